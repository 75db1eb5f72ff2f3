package hostfs

import (
	"context"
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
	folder := strictmodes.Stat{Mode: fs.ModeDir | 0o755, Nlink: 2}
	c := &counted{stats: map[string]strictmodes.Stat{"/": folder, "/home": folder, "/home/pi": {Mode: fs.ModeDir | 0o775, UID: 1000, Nlink: 2}, "/file": {Mode: 0o644}}}
	m, end := Steady(c)
	defer end()
	all := []string{"/", "/home", "/home/pi", "/file", "/none"}
	look := func(want ...string) {
		t.Helper()
		c.looked = nil
		for _, p := range all {
			st, err := m.Lstat(t.Context(), p)
			if st != c.stats[p] || (err != nil) != (p == "/none") {
				t.Errorf("%s: %+v, %v", p, st, err)
			}
		}
		if !slices.Equal(c.looked, want) {
			t.Errorf("looked at %q, want %q", c.looked, want)
		}
	}
	look(all...)
	look()
	if err := m.Chmod(t.Context(), "/home", c.stats["/home"], 0o711); err != nil {
		t.Fatal(err)
	}
	look(all...)
	look()
}
