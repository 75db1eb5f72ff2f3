package hostfs

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"pi-key-tools/pkg/strictmodes"
)

// Steady returns an FS for examining many homes one after another. It looks at
// nothing twice until it changes something, since an account's files are in the
// same directories, most of which are above all homes. What it remembers may be
// out of date; no change relies on it. It is for one goroutine and for one run,
// not for a daemon. The caller calls end, which leaves f open.
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
	last   string // the file that was read last, whose lines and kind are looked at in turn
	data   []byte // of it
}

// nearby looks at what is in directories that it keeps open, until it forgets.
type nearby interface {
	strictmodes.Tree
	strictmodes.Descender
	strictmodes.Examiner
	forget()
}

// Steadies lends Steady FSs of f to goroutines. The next borrower of one finds
// what it remembers, but no content. The caller calls end when all are given back.
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
			s.drop()
			idle = append(idle, s)
		}
	}
	return borrow, func() {
		for _, s := range idle {
			s.forget()
		}
	}
}

// drop forgets the content of the file that was read last: it may be a private
// key, or out of date for the next borrower.
func (s *steady) drop() { s.last, s.data = "", nil }

func (s *steady) forget() {
	s.memory.Forget()
	s.drop()
	if s.near != nil {
		s.near.forget()
	}
}

// Memory returns what strictmodes judges by.
func (s *steady) Memory() *strictmodes.Memory { return s.memory }

func (s *steady) Lstat(ctx context.Context, path string) (strictmodes.Stat, error) {
	return s.memory.Lstat(ctx, path)
}

// ReadFile implements FS. The caller leaves the content as it is.
func (s *steady) ReadFile(ctx context.Context, path string) ([]byte, error) {
	if s.data != nil && s.last == path {
		return s.data, nil
	}
	if _, err := s.memory.Lstat(ctx, path); errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	s.drop() // not two at once, which may be large
	data, err := s.FS.ReadFile(ctx, path)
	if err == nil {
		s.last, s.data = path, data
	}
	return data, err
}

// Attributes implements FS.
func (s *steady) Attributes(ctx context.Context, path string) (strictmodes.Attributes, error) {
	if s.near != nil {
		return s.near.Attributes(ctx, path)
	}
	return s.FS.Attributes(ctx, path)
}

// Account implements FS; it asks only once.
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
