package unixpath

import (
	"path"
	"testing"
)

func TestClean(t *testing.T) {
	for p, want := range map[string]string{
		"/":               "/",
		"//home/./pi/":    "/home/pi",
		"/home/pi/../x":   "/home/pi/../x",
		"/home//pi/..":    "/home//pi/..",
		"/..":             "/..",
		"/home/..pi/a../": "/home/..pi/a..",
	} {
		if got := Clean(p); got != want {
			t.Errorf("%q: %q, want %q", p, got, want)
		}
	}
}

func FuzzIsClean(f *testing.F) {
	for _, p := range []string{"", "/", "//", "/a", "/a/", "/a//b", "/a/./b", "/a/../b", "/..a/b..", "a", "."} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if got, want := IsClean(p), path.IsAbs(p) && path.Clean(p) == p; got != want {
			t.Errorf("%q: %v, want %v", p, got, want)
		}
		if path.IsAbs(p) && !Climbs(p) && !IsClean(Clean(p)) {
			t.Errorf("%q: %q is not clean", p, Clean(p))
		}
	})
}

func TestWithin(t *testing.T) {
	for _, c := range []struct {
		dir, p string
		want   bool
	}{
		{"/home/pi", "/home/pi", true},
		{"/home/pi", "/home/pi/.ssh", true},
		{"/home/pi", "/home/pi2", false},
		{"/home/pi", "/home", false},
		{"/", "/home", true},
		{"/", "/", true},
	} {
		if got := Within(c.dir, c.p); got != c.want {
			t.Errorf("%q within %q: %v", c.p, c.dir, got)
		}
	}
}
