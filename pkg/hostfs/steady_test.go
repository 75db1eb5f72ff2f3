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

func (c *counted) ReadFile(ctx context.Context, path string) ([]byte, error) {
	_, err := c.Lstat(ctx, "read "+path)
	return []byte(path), err
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
	// Nor does it read twice what it has just read, nor at all what is not there.
	c.stats["read /file"], c.stats["/other"], c.stats["read /other"] = strictmodes.Stat{}, strictmodes.Stat{}, strictmodes.Stat{}
	read := func(want ...string) {
		t.Helper()
		c.looked = nil
		for _, p := range []string{"/file", "/file", "/none", "/file", "/other"} {
			data, err := m.ReadFile(t.Context(), p)
			if (err != nil) != (p == "/none") || err == nil && string(data) != p {
				t.Errorf("%s: %q, %v", p, data, err)
			}
		}
		if !slices.Equal(c.looked, want) {
			t.Errorf("looked at %q, want %q", c.looked, want)
		}
	}
	read("read /file", "/other", "read /other")
	ok(t, m.Chmod(t.Context(), "/other", strictmodes.Stat{}, 0o600))
	read("/file", "read /file", "/none", "/other", "read /other")
}

// What was read for one borrower is not held for the next.
func TestSteadiesHoldNoContent(t *testing.T) {
	c := &counted{stats: map[string]strictmodes.Stat{"/file": {}, "read /file": {}}}
	borrow, end := Steadies(c)
	defer end()
	for range 2 {
		c.looked = nil
		m, back := borrow()
		for range 2 {
			_, err := m.ReadFile(t.Context(), "/file")
			ok(t, err)
		}
		if !slices.Contains(c.looked, "read /file") || len(c.looked) > 2 {
			t.Errorf("looked at %q, want to read the file once", c.looked)
		}
		back()
		if kept := m.(*steady); kept.last != "" || kept.data != nil {
			t.Errorf("%q is held: %q", kept.last, kept.data)
		}
	}
}
