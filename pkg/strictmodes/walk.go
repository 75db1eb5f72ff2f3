package strictmodes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/unixpath"
)

// RealPath resolves every link of an absolute path, as realpath(3) does. Its
// error may wrap fs.ErrNotExist or fs.ErrPermission.
func RealPath(ctx context.Context, tree Tree, name string) (string, Stat, error) {
	if !path.IsAbs(name) {
		return "", Stat{}, fmt.Errorf("%q is not an absolute path", name)
	}
	way, err := newWalker(ctx, tree).walk(name)
	switch {
	case err != nil:
		return "", Stat{}, err
	case way.end == missing:
		return "", Stat{}, fmt.Errorf("%s: %w", way.real, fs.ErrNotExist)
	case way.end == denied:
		return "", Stat{}, fmt.Errorf("%s: %w", way.real, fs.ErrPermission)
	case way.end == stuck:
		return "", Stat{}, fmt.Errorf("%s: %s", way.real, way.describe(""))
	}
	return way.last.path, way.last.Stat, nil
}

// A walker resolves paths a component at a time.
type walker struct {
	ctx context.Context
	*Memory
}

func newWalker(ctx context.Context, tree Tree) walker {
	if t, ok := tree.(interface{ Memory() *Memory }); ok {
		return walker{ctx, t.Memory()}
	}
	return walker{ctx, NewMemory(tree)}
}

type node struct {
	path string // real
	Stat
}

// The ends of a way.
type end int

const (
	found   end = iota
	missing     // something on the way is not there
	denied      // something on the way may not be looked at
	stuck       // a loop of links, or a file where a directory must be
)

// A way is how a path was resolved.
type way struct {
	passed []node // every real directory that was searched, each before what is in it; to be read before the next walk
	last   node   // what is at the end, if found; what is in the way, if stuck in a file
	real   string // the real path as far as it is there
	link   node   // if missing: the first link that leads to nothing; zero for none
	end    end
}

func (w way) describe(otherwise string) string {
	switch {
	case w.end == stuck && w.last.path == "":
		return "its links form a loop"
	case w.end == stuck, w.end == found:
		return "it is " + kind(w.last.Mode) + ", not a directory"
	}
	return otherwise
}

// maxLinks is how many links Linux follows, path_resolution(7).
const maxLinks = 40

func (w walker) walk(name string) (way, error) {
	if unixpath.IsClean(name) {
		if r, ok := w.straight(name); ok {
			return r, nil
		}
	}
	return w.follow(name)
}

// straight walks a clean path that is its own real path, as most are, from
// where the last such way parted from it. It is false if that cannot be said: a
// link is on the way, or something that follow has more to say of.
func (w walker) straight(name string) (way, bool) {
	known, end := len(w.trail), 0
	for known > 0 && !unixpath.Within(w.trail[known-1].path, name) {
		known--
	}
	if known > 0 {
		end = len(w.trail[known-1].path)
	}
	var ahead descent
	if end < len(name) {
		ahead = w.descend(w.ctx, name, end)
	}
	for end < len(name) {
		end = next(name, end)
		p := name[:end]
		l, ok := ahead.next()
		if !ok {
			l = w.lstat(w.ctx, p)
		}
		if l.err == nil && l.st.Mode.IsDir() {
			w.leave(known)
			w.trail = append(w.trail, node{p, l.st})
			known++
			continue
		}
		w.keep(p, l)
		switch st, err := l.st, l.err; {
		case err == nil && st.Mode&fs.ModeSymlink == 0 && p == name:
			return way{passed: w.trail[:known], last: node{p, st}, real: name}, true
		case errors.Is(err, fs.ErrNotExist) && p != "/":
			return way{passed: w.trail[:known], real: name, end: missing}, true
		default:
			return way{}, false
		}
	}
	return way{passed: w.trail[:known-1], last: w.trail[known-1], real: name}, true
}

// next returns where the component of a clean path ends that comes after the
// one that ends there; the first is the root.
func next(name string, end int) int {
	if end == 0 {
		return 1
	}
	if i := strings.IndexByte(name[end+1:], '/'); i >= 0 {
		return end + 1 + i
	}
	return len(name)
}

// follow walks any path, from the root on.
func (w walker) follow(name string) (way, error) {
	root, err := w.Lstat(w.ctx, "/")
	if err != nil {
		return way{}, err
	}
	var r way
	at, links := node{"/", root}, 0
	link, after := node{}, 0 // the one whose target is being walked, and how much comes after that
	for rest := strings.Split(name, "/"); len(rest) > 0; {
		c := rest[0]
		rest = rest[1:]
		if c == "" || c == "." {
			continue
		}
		if !at.Mode.IsDir() {
			r.last, r.real, r.end = at, at.path, stuck
			return r, nil
		}
		if !slices.ContainsFunc(r.passed, func(n node) bool { return n.path == at.path }) {
			r.passed = append(r.passed, at)
		}
		p := path.Join(at.path, c) // also for "..", since at is real
		st, err := w.Lstat(w.ctx, p)
		if err == nil && st.Mode&fs.ModeSymlink == 0 {
			at = node{p, st}
			continue
		}
		var target string
		if err == nil {
			target, err = w.Readlink(w.ctx, p)
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			r.real, r.end = path.Join(append([]string{p}, rest...)...), missing
			if len(rest) >= after {
				r.link = link
			}
			return r, nil
		case errors.Is(err, fs.ErrPermission):
			r.real, r.end = path.Join(append([]string{p}, rest...)...), denied
			return r, nil
		case err != nil:
			return way{}, err
		}
		if links++; links > maxLinks {
			r.real, r.end = p, stuck
			return r, nil
		}
		if path.IsAbs(target) {
			at = node{"/", root}
		}
		if link.path == "" || len(rest) < after {
			link, after = node{p, st}, len(rest)
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	r.last, r.real = at, at.path
	return r, nil
}

// named returns the real paths of name and of the directories above it by name, up
// to the home, or to the root if the home is not among them.
func (w walker) named(name, home string) ([]string, error) {
	var reals []string
	for ; ; name = above(name) {
		r, err := w.walk(name)
		if err != nil {
			return nil, err
		}
		if r.end == found {
			reals = append(reals, r.real)
		}
		if name == home || name == "/" {
			return reals, nil
		}
	}
}

// above returns the path of the directory that an absolute path names something in.
func above(p string) string { return p[:max(1, strings.LastIndexByte(p, '/'))] }
