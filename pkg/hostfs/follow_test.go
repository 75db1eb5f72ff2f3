package hostfs

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"
	"testing"

	"pi-key-tools/pkg/strictmodes"
)

// A linkTree is directories ("/"), files ("") and links (their targets) by path.
type linkTree map[string]string

func (t linkTree) Lstat(_ context.Context, name string) (strictmodes.Stat, error) {
	if parent, ok := t[path.Dir(name)]; ok && name != "/" && parent != "/" {
		return strictmodes.Stat{}, errors.New("asked through a link or a file")
	}
	target, ok := t[name]
	switch {
	case !ok:
		return strictmodes.Stat{}, fs.ErrNotExist
	case target == "/":
		return strictmodes.Stat{Mode: fs.ModeDir | 0o700}, nil
	case target == "":
		return strictmodes.Stat{Mode: 0o600}, nil
	case target == "denied":
		return strictmodes.Stat{}, fs.ErrPermission
	}
	return strictmodes.Stat{Mode: fs.ModeSymlink | 0o777}, nil
}

func (t linkTree) Readlink(_ context.Context, name string) (string, error) {
	return strings.TrimPrefix(t[name], "-> "), nil
}

func (t linkTree) PrivateGroup(context.Context, int, int, int) (bool, error) { return false, nil }

func TestFollow(t *testing.T) {
	const keys = "/home/pi/.ssh/authorized_keys"
	for name, c := range map[string]struct {
		tree linkTree // besides the home, .ssh and two more directories
		name string   // "" for .ssh/authorized_keys
		want string   // where it leads, below the home; "!" before it where the directory is missing
		err  error
	}{
		"a file":              {tree: linkTree{keys: ""}, want: ".ssh/authorized_keys"},
		"nothing":             {want: ".ssh/authorized_keys"},
		"no folder":           {name: "no/keys", want: "!no/keys"},
		"no folders":          {name: "no/such/keys", err: fs.ErrNotExist},
		"relative":            {tree: linkTree{keys: "-> ../a/keys", "/home/pi/a/keys": ""}, want: "a/keys"},
		"a folder's":          {tree: linkTree{"/home/pi/link": "-> ./a/.//b/"}, name: "link/keys", want: "a/b/keys"},
		"dangling":            {tree: linkTree{keys: "-> keys"}, want: ".ssh/keys"},
		"to no folder":        {tree: linkTree{keys: "-> no/keys"}, want: "!.ssh/no/keys"},
		"absolute":            {tree: linkTree{keys: "-> /home/pi/a/keys"}, want: "a/keys"},
		"by another name":     {tree: linkTree{"/pi": "-> /home/pi", keys: "-> /pi/a/keys"}, want: "a/keys"},
		"up from a link":      {tree: linkTree{"/home/pi/link": "-> a/b"}, name: "link/../keys", want: "a/keys"},
		"up and in again":     {tree: linkTree{keys: "-> ../../pi/a/keys"}, err: ErrLeadsOut},
		"out":                 {tree: linkTree{keys: "-> ../../other/keys"}, err: ErrLeadsOut},
		"out, absolute":       {tree: linkTree{keys: "-> /etc/shadow"}, err: ErrLeadsOut},
		"a name alike":        {tree: linkTree{keys: "-> /home/pi2/keys"}, err: ErrLeadsOut},
		"in, then out":        {tree: linkTree{keys: "-> /home/pi/a/../../keys"}, err: ErrLeadsOut},
		"out by the name":     {name: "../keys", err: ErrLeadsOut},
		"a circle":            {tree: linkTree{keys: "-> authorized_keys"}, err: ErrLinks},
		"a file for a folder": {tree: linkTree{"/home/pi/f": ""}, name: "f/keys", err: ErrNotDirectory},
		"not to be looked at": {tree: linkTree{keys: "denied"}, err: fs.ErrPermission},
		"itself":              {name: ".", err: ErrNotRegular},
		"the home by a link":  {tree: linkTree{keys: "-> .."}, err: ErrNotRegular},
	} {
		t.Run(name, func(t *testing.T) {
			tree := linkTree{"/": "/", "/home": "/", "/home/pi": "/", "/home/pi/.ssh": "/", "/home/pi/a": "/", "/home/pi/a/b": "/"}
			maps.Copy(tree, c.tree)
			if c.name == "" {
				c.name = ".ssh/authorized_keys"
			}
			at, err := Follow(t.Context(), tree, "/home/pi", c.name)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Fatalf("%+v %v, want %v", at, err, c.err)
			}
			if err != nil {
				return
			}
			got := path.Join(at.Dir, at.Name)
			if at.NoDir {
				got = "!" + got
			}
			if _, there := tree[path.Join("/home/pi", at.Dir, at.Name)]; got != c.want || there != (at.Stat != nil) {
				t.Errorf("%+v, want %s", at, c.want)
			}
		})
	}
}
