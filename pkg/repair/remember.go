package repair

import (
	"context"
	"io/fs"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

// A remembering FS looks at nothing twice until it changes something: of every
// account the same folders are asked about for each of its files, and most of
// them for all accounts. What is remembered may be untrue by now; no change
// trusts it.
type remembering struct {
	hostfs.FS
	seen map[string]looked
}

type looked struct {
	st  strictmodes.Stat
	err error
}

// most is how many paths are remembered: accounts may be many.
const most = 1000

func (m *remembering) forget() { m.seen = make(map[string]looked) }

func (m *remembering) Lstat(ctx context.Context, path string) (strictmodes.Stat, error) {
	l, ok := m.seen[path]
	if !ok {
		if len(m.seen) >= most {
			m.forget()
		}
		l.st, l.err = m.FS.Lstat(ctx, path)
		m.seen[path] = l
	}
	return l.st, l.err
}

func (m *remembering) Chmod(ctx context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	m.forget()
	return m.FS.Chmod(ctx, path, was, mode)
}

func (m *remembering) Chown(ctx context.Context, path string, was strictmodes.Stat, uid int) error {
	m.forget()
	return m.FS.Chown(ctx, path, was, uid)
}

func (m *remembering) Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error {
	m.forget()
	return m.FS.Rename(ctx, from, was, to)
}

func (m *remembering) Mkdir(ctx context.Context, path string, mode fs.FileMode) error {
	m.forget()
	return m.FS.Mkdir(ctx, path, mode)
}

func (m *remembering) Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	m.forget()
	return m.FS.Copy(ctx, from, was, to, mode)
}
