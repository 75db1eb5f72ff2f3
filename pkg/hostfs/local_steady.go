package hostfs

import (
	"context"
	"io/fs"
	"path"

	"pi-key-tools/pkg/strictmodes"
)

// Steady is a machine for the judging of many homes, one after another: it looks
// once at what they share. It remembers those folders alone that nobody but root
// can change or put something else in the place of: folders of root, writable
// by nobody else, in such folders, from the root on. A change made through it
// makes it forget all. It is for one goroutine, and for a run, not for a daemon.
func Steady(m Machine) Machine {
	return &steady{Machine: m, folders: make(map[string]strictmodes.Stat)}
}

type steady struct {
	Machine
	folders map[string]strictmodes.Stat
}

// mostFolders is more than lie above any homes.
const mostFolders = 1000

func (s *steady) Lstat(ctx context.Context, name string) (strictmodes.Stat, error) {
	if st, ok := s.folders[name]; ok {
		return st, nil
	}
	st, err := s.Machine.Lstat(ctx, name)
	if err != nil || !st.Mode.IsDir() || st.UID != 0 || st.Mode&0o022 != 0 || len(s.folders) == mostFolders {
		return st, err
	}
	if _, ok := s.folders[path.Dir(name)]; ok || name == "/" {
		s.folders[name] = st
	}
	return st, nil
}

func (s *steady) Chmod(ctx context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	clear(s.folders)
	return s.Machine.Chmod(ctx, path, was, mode)
}

func (s *steady) Chown(ctx context.Context, path string, was strictmodes.Stat, uid int) error {
	clear(s.folders)
	return s.Machine.Chown(ctx, path, was, uid)
}

func (s *steady) Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error {
	clear(s.folders)
	return s.Machine.Rename(ctx, from, was, to)
}
