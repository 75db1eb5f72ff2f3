package repair

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

// A Step is one change to one file or directory, from which follow the change
// itself, the line of a shell script that makes it and the steps that undo it.
type Step struct {
	Op   Op
	Path string           // real and absolute; for Mkdir what is to be made
	Was  strictmodes.Stat // of Path; zero for what an earlier step makes
	Mode fs.FileMode      // for Chmod, Mkdir and Copy
	UID  int              // for Chown
	To   string           // for Rename, Copy and Unmake
}

// An Op is what a Step does.
type Op int

// The changes. Unmake undoes a Copy of Path to To, and Rmdir a Mkdir: only a
// script does these.
const (
	Chmod Op = iota
	Chown
	Rename
	Mkdir
	Copy
	Unmake
	Rmdir
)

// do makes the change.
func (s Step) do(ctx context.Context, fsys hostfs.FS) error {
	switch s.Op {
	case Chmod:
		return fsys.Chmod(ctx, s.Path, s.Was, s.Mode)
	case Chown:
		return fsys.Chown(ctx, s.Path, s.Was, s.UID)
	case Rename:
		return fsys.Rename(ctx, s.Path, s.Was, s.To)
	case Mkdir:
		return fsys.Mkdir(ctx, s.Path, s.Mode)
	case Copy:
		return fsys.Copy(ctx, s.Path, s.Was, s.To, s.Mode)
	}
	return fmt.Errorf("%s: only a script can undo this", s.Path)
}

// after is what Path is, by its new name if it has one, once the step is done.
func (s Step) after() strictmodes.Stat {
	st := s.Was
	switch s.Op {
	case Chmod:
		st.Mode = st.Mode.Type() | strictmodes.Permissions(s.Mode)
	case Chown:
		st.UID = s.UID
		if !st.Mode.IsDir() { // chown(2); setgid without x for the group is a lock, and stays
			st.Mode &^= fs.ModeSetuid
			if st.Mode&0010 != 0 {
				st.Mode &^= fs.ModeSetgid
			}
		}
	}
	return st
}

// undo returns the steps that bring back what was, in their order.
func (s Step) undo() []Step {
	now := s.after()
	switch s.Op {
	case Chmod:
		return []Step{{Op: Chmod, Path: s.Path, Was: now, Mode: strictmodes.Permissions(s.Was.Mode)}}
	case Chown:
		back := Step{Op: Chown, Path: s.Path, Was: now, UID: s.Was.UID}
		if now = back.after(); now.Mode != s.Was.Mode {
			return []Step{back, {Op: Chmod, Path: s.Path, Was: now, Mode: strictmodes.Permissions(s.Was.Mode)}}
		}
		return []Step{back}
	case Rename:
		return []Step{{Op: Rename, Path: s.To, Was: now, To: s.Path}}
	case Mkdir:
		return []Step{{Op: Rmdir, Path: s.Path}}
	case Copy:
		return []Step{{Op: Unmake, Path: s.Path, To: s.To}}
	}
	return nil
}

// anew returns the steps that put a copy that is ours in the place of what is
// another's, and give the old one the name aside: first the copy is made
// beside it, as fresh, then the two renames follow each other. copies are the
// files of a directory to take along, by their names; nil for a file.
func anew(at string, was strictmodes.Stat, aside, fresh string, copies []entry) []Step {
	var steps []Step
	if was.Mode.IsDir() {
		steps = append(steps, Step{Op: Mkdir, Path: fresh, Mode: 0o700})
		for _, e := range copies {
			steps = append(steps, Step{Op: Copy, Path: path.Join(at, e.name), Was: e.st, To: path.Join(fresh, e.name), Mode: ownMode(e.st)})
		}
	} else {
		steps = append(steps, Step{Op: Copy, Path: at, Was: was, To: fresh, Mode: ownMode(was)})
	}
	return append(steps,
		Step{Op: Rename, Path: at, Was: was, To: aside},
		Step{Op: Rename, Path: fresh, To: at})
}

// An entry is a file in a directory.
type entry struct {
	name string
	st   strictmodes.Stat
}

// ownMode is the mode of a copy that is ours: what the owner had, and that we
// can read it.
func ownMode(st strictmodes.Stat) fs.FileMode { return st.Mode.Perm()&0o700 | 0o400 }
