package hostfs

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"pi-key-tools/pkg/strictmodes"
)

// counted is a machine that counts looks and changes what is said of a path.
type counted struct {
	Machine
	stats  map[string]strictmodes.Stat
	looked []string
}

func (c *counted) Lstat(_ context.Context, path string) (strictmodes.Stat, error) {
	c.looked = append(c.looked, path)
	st, ok := c.stats[path]
	if !ok {
		return st, fs.ErrNotExist
	}
	return st, nil
}

func (c *counted) Chmod(_ context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	was.Mode = fs.ModeDir | mode
	c.stats[path] = was
	return nil
}

func TestSteady(t *testing.T) {
	folder := func(uid int, mode fs.FileMode) strictmodes.Stat {
		return strictmodes.Stat{Mode: fs.ModeDir | mode, UID: uid, Nlink: 2}
	}
	c := &counted{stats: map[string]strictmodes.Stat{
		"/": folder(0, 0o755), "/home": folder(0, 0o755), "/home/pi": folder(1000, 0o755), "/home/pi/root's": folder(0, 0o755),
		"/tmp": folder(0, 0o777|fs.ModeSticky), "/tmp/in": folder(0, 0o755), "/file": {Mode: 0o644},
	}}
	m := Steady(c)
	look := func(want ...string) {
		t.Helper()
		c.looked = nil
		for _, p := range []string{"/", "/home", "/home/pi", "/home/pi/root's", "/tmp", "/tmp/in", "/file", "/none"} {
			st, err := m.Lstat(t.Context(), p)
			if st != c.stats[p] || (err != nil) != (p == "/none") {
				t.Errorf("%s: %+v, %v", p, st, err)
			}
		}
		if !slices.Equal(c.looked, want) {
			t.Errorf("looked at %q, want %q", c.looked, want)
		}
	}
	always := []string{"/home/pi", "/home/pi/root's", "/tmp", "/tmp/in", "/file", "/none"}
	look("/", "/home", "/home/pi", "/home/pi/root's", "/tmp", "/tmp/in", "/file", "/none")
	look(always...)
	if err := m.Chmod(t.Context(), "/home", c.stats["/home"], 0o711); err != nil {
		t.Fatal(err)
	}
	look("/", "/home", "/home/pi", "/home/pi/root's", "/tmp", "/tmp/in", "/file", "/none")
	look(always...)
	for i := range 2 * mostFolders {
		p := fmt.Sprint("/d", i)
		c.stats[p] = folder(0, 0o755)
		if _, err := m.Lstat(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(m.(*steady).folders); n != mostFolders {
		t.Errorf("%d folders are remembered", n)
	}
}
