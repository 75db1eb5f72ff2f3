package hostfs

import (
	"context"
	"io/fs"
	"sync"

	"pi-key-tools/pkg/strictmodes"
)

// Steady is an FS for the looking at many homes, one after another: it
// looks at nothing twice until it changes something, since each file of an
// account is in the same folders, and most of those are above all homes. What it
// remembers may be untrue by now; no change trusts it. It is for one goroutine,
// and for a run, not for a daemon. The caller calls end, which leaves f open.
func Steady(f FS) (steadied FS, end func()) {
	s := newSteady(f)
	return s, s.forget
}

func newSteady(f FS) *steady {
	s := &steady{FS: f}
	var tree strictmodes.Tree = f
	if f, ok := f.(interface{ near() nearby }); ok {
		s.near = f.near()
		tree = s.near
	}
	s.memory = strictmodes.NewMemory(tree)
	return s
}

type steady struct {
	FS
	memory *strictmodes.Memory
	near   nearby // nil if nothing is quicker than the FS
	who    *strictmodes.Account
}

// nearby looks at what is in folders that it keeps open, until it forgets.
type nearby interface {
	strictmodes.Tree
	strictmodes.Descender
	forget()
}

// Steadies lends Steady FSs of f to goroutines. What one remembers is known to
// who borrows it next. The caller calls end when all are given back.
func Steadies(f FS) (borrow func() (steadied FS, back func()), end func()) {
	var mu sync.Mutex
	var idle []*steady
	borrow = func() (FS, func()) {
		mu.Lock()
		defer mu.Unlock()
		var s *steady
		if last := len(idle) - 1; last >= 0 {
			s, idle = idle[last], idle[:last]
		} else {
			s = newSteady(f)
		}
		return s, func() {
			mu.Lock()
			defer mu.Unlock()
			idle = append(idle, s)
		}
	}
	return borrow, func() {
		for _, s := range idle {
			s.forget()
		}
	}
}

func (s *steady) forget() {
	s.memory.Forget()
	if s.near != nil {
		s.near.forget()
	}
}

// Memory is what strictmodes judges by.
func (s *steady) Memory() *strictmodes.Memory { return s.memory }

func (s *steady) Lstat(ctx context.Context, path string) (strictmodes.Stat, error) {
	return s.memory.Lstat(ctx, path)
}

// Account is FS's, asked for once.
func (s *steady) Account(ctx context.Context) (strictmodes.Account, error) {
	if s.who == nil {
		who, err := s.FS.Account(ctx)
		if err != nil {
			return who, err
		}
		s.who = &who
	}
	return *s.who, nil
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
