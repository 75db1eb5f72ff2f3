package hostfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/strictmodes"
)

func TestTurn(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	left := func(want int) {
		t.Helper()
		if entries, _ := os.ReadDir(dir); len(entries) != want {
			t.Errorf("there are %v, want %d", entries, want)
		}
	}
	take := func() *turn {
		t.Helper()
		turn, err := takeTurn(t.Context(), folder{d}, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	take().leave()
	left(0)

	// Dead ones: a shell's, ours; and an empty directory.
	ok(t, os.MkdirAll(filepath.Join(dir, TurnName, "1.2.host"), 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, TurnName, "1.2.host/new"), nil, 0o600))
	late := take()
	next := take()
	if _, err := os.Stat(filepath.Join(dir, TurnName, late.file.Name())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the new file of one that was taken for dead: %v", err)
	}
	late.leave()
	if entries, _ := os.ReadDir(filepath.Join(dir, TurnName)); len(entries) != 2 {
		t.Errorf("in the turn are %v, want the two files of the next", entries)
	}
	next.leave()
	left(0)
	ok(t, os.Mkdir(filepath.Join(dir, TurnName), 0o700))
	take().leave()
	left(0)

	// Nothing of another's is cleared away.
	if os.Geteuid() == 0 {
		ok(t, os.MkdirAll(filepath.Join(dir, TurnName, "x"), 0o700))
		ok(t, os.Chown(filepath.Join(dir, TurnName), 31234, 31234))
		if _, err := takeTurn(t.Context(), folder{d}, 50*time.Millisecond); !errors.Is(err, ErrOwner) {
			t.Errorf("another's folder: %v, want %v", err, ErrOwner)
		}
		left(1)
	}
}

// What happens to a card while its file is replaced.
func TestReplaceOnCard(t *testing.T) {
	for _, c := range []struct {
		name   string
		keep   bool
		edits  int
		meddle func(ssh string, edits int) error // before the edit of that number
		want   error
	}{
		{"nothing", true, 1, func(string, int) error { return nil }, nil},
		{"it is evicted", false, 3, func(ssh string, edits int) error { // by the second edit it is our turn
			if edits == 2 {
				return os.RemoveAll(ssh + "/" + TurnName)
			}
			return os.WriteFile(ssh+"/authorized_keys", []byte("another\n"), 0o600)
		}, nil},
		{"it is evicted before it keeps a copy", true, 3, func(ssh string, edits int) error {
			if edits == 2 {
				return os.RemoveAll(ssh + "/" + TurnName)
			}
			return os.WriteFile(ssh+"/authorized_keys", []byte("another\n"), 0o600)
		}, nil},
		{"another directory takes the name", false, 1, func(ssh string, _ int) error {
			return errors.Join(os.Rename(ssh, ssh+".old"), os.Mkdir(ssh, 0o700), os.WriteFile(ssh+"/authorized_keys", []byte("another\n"), 0o600))
		}, ErrUnsure},
	} {
		ssh, edits, err := replaceOnCard(t, c.keep, c.meddle)
		if c.want == nil && err != nil || !errors.Is(err, c.want) || edits != c.edits {
			t.Errorf("%s: %v after %d edits, want %v after %d", c.name, err, edits, c.want, c.edits)
		}
		if c.want == nil {
			if data, err := os.ReadFile(ssh + "/authorized_keys"); err != nil || !strings.HasSuffix(string(data), "\nnew\n") {
				t.Errorf("%s: %q, %v", c.name, data, err)
			}
			if there := entries(t, ssh); len(there) != 1 && !c.keep || len(there) != 2 && c.keep {
				t.Errorf("%s: there is %q", c.name, there)
			}
		}
	}
}

// replaceOnCard adds a line to the keys on a card, while meddle does what another does
// there before the edit of that number.
func replaceOnCard(t *testing.T, keep bool, meddle func(ssh string, edits int) error) (ssh string, edits int, err error) {
	t.Helper()
	dir := t.TempDir()
	uid, gid := os.Geteuid(), os.Getegid()
	for name, text := range map[string]string{"etc/passwd": "pi:x:" + strconv.Itoa(uid) + ":" + strconv.Itoa(gid) + "::/home/pi:\n", "home/pi/.ssh/authorized_keys": "old\n"} {
		ok(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	card, err := OpenCard(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer card.Close()
	ssh = filepath.Join(dir, "home/pi/.ssh")
	_, err = card.Replace(t.Context(), strictmodes.Account{Name: "pi", UID: uid, Home: "/home/pi", Groups: []int{gid}}, ".ssh/authorized_keys", keep, func(_ string, old []byte) ([]byte, error) {
		edits++
		ok(t, meddle(ssh, edits))
		return append(old, "new\n"...), nil
	})
	return ssh, edits, err
}

// Who takes no turns, such as an editor, and comes right before the new file gets the
// name, loses nothing by it.
func TestReplaceOnCardOfAnother(t *testing.T) {
	const theirs = "theirs, longer than it was\n"
	write := func(name string) error { return os.WriteFile(name, []byte(theirs), 0o600) }
	for name, c := range map[string]struct {
		before func(keys string) error // the first edit
		then   func(keys string) error // it is our turn
	}{
		"writes":                    {write, func(keys string) error { return os.WriteFile(keys, []byte(strings.ToUpper(theirs)), 0o600) }},
		"puts another in its place": {write, func(keys string) error { return errors.Join(write(keys+".x"), os.Rename(keys+".x", keys)) }},
		"gives it another name":     {write, func(keys string) error { return os.Link(keys, keys+".x") }},
		"removes it":                {write, os.Remove},
		"makes it":                  {os.Remove, write},
	} {
		var want []string
		for _, keep := range []bool{false, true} {
			ssh, edits, err := replaceOnCard(t, keep, func(ssh string, edits int) error {
				if edits == 1 {
					return c.before(ssh + "/authorized_keys")
				}
				err := c.then(ssh + "/authorized_keys")
				want = slices.DeleteFunc(entries(t, ssh), func(name string) bool { return name == TurnName })
				return err
			})
			if !errors.Is(err, ErrChanged) || errors.Is(err, ErrUnsure) || edits != 2 {
				t.Errorf("%s: %v after %d edits", name, err, edits)
			}
			data, err := os.ReadFile(ssh + "/authorized_keys")
			if err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && !strings.EqualFold(string(data), theirs) {
				t.Errorf("%s: %q, %v", name, data, err)
			}
			if there := entries(t, ssh); !slices.Equal(there, want) {
				t.Errorf("%s: there is %q, want %q", name, there, want)
			}
		}
	}
}
