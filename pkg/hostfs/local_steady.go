package hostfs

import (
	"context"
	"io/fs"

	"pi-key-tools/pkg/strictmodes"
)

// Steady is an FS for the looking at many homes, one after another: it
// looks at nothing twice until it changes something, since each file of an
// account is in the same folders, and most of those are above all homes. What it
// remembers may be untrue by now; no change trusts it. It is for one goroutine,
// and for a run, not for a daemon. The caller calls end, which leaves f open.
func Steady(f FS) (steadied FS, end func()) {
	s := &steady{FS: f, seen: make(map[string]looked, mostSeen)}
	if f, ok := f.(interface{ near() nearby }); ok {
		s.near = f.near()
	}
	return s, s.forget
}

type steady struct {
	FS
	seen map[string]looked
	near nearby // nil if nothing is quicker than the FS
}

// nearby looks at what is in folders that it keeps open, until it forgets.
type nearby interface {
	lstat(path string) (strictmodes.Stat, error)
	forget()
}

// mostSeen is how many paths are remembered: more than lead to a home and are in
// its .ssh, and few enough to be found and forgotten quickly.
const mostSeen = 100

func (s *steady) forget() {
	clear(s.seen)
	if s.near != nil {
		s.near.forget()
	}
}

func (s *steady) Lstat(ctx context.Context, path string) (strictmodes.Stat, error) {
	if l, ok := s.seen[path]; ok {
		return l.st, l.err
	}
	if len(s.seen) == mostSeen {
		clear(s.seen)
	}
	var l looked
	if s.near != nil {
		l.st, l.err = s.near.lstat(path)
	} else {
		l.st, l.err = s.FS.Lstat(ctx, path)
	}
	s.seen[path] = l
	return l.st, l.err
}

func (s *steady) Chmod(ctx context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	s.forget()
	return s.FS.Chmod(ctx, path, was, mode)
}

func (s *steady) Chown(ctx context.Context, path string, was strictmodes.Stat, uid int) error {
	s.forget()
	return s.FS.Chown(ctx, path, was, uid)
}

func (s *steady) Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error {
	s.forget()
	return s.FS.Rename(ctx, from, was, to)
}

func (s *steady) Mkdir(ctx context.Context, path string, mode fs.FileMode) error {
	s.forget()
	return s.FS.Mkdir(ctx, path, mode)
}

func (s *steady) Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	s.forget()
	return s.FS.Copy(ctx, from, was, to, mode)
}
