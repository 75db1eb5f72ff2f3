package hostfs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// nearDirs keep the directory open that homes are in, its base: what is below
// it is a shorter way for the kernel than from the root. Descents of several
// components begin there.
type nearDirs struct{ base keptDir }

// A keptDir is a real directory that is kept open.
type keptDir struct {
	path string // "" for none
	handle
}

func (f *keptDir) forget() {
	if f.path != "" {
		f.close()
		f.path = ""
	}
}

// replace keeps another directory open, or none if it cannot be opened.
func (f *keptDir) replace(dir string, open func(string) (handle, error)) (err error) {
	f.forget()
	if f.handle, err = open(dir); err == nil {
		f.path = dir
	}
	return err
}

// holds returns the name of what is below the directory, as seen from there: one
// that only links could lead out of it by.
func (f *keptDir) holds(p string) (name string, ok bool) {
	dir := strings.TrimSuffix(f.path, "/")
	if f.path == "" || len(p) <= len(dir) || p[len(dir)] != '/' || p[:len(dir)] != dir {
		return "", false
	}
	name = p[len(dir)+1:]
	return name, fs.ValidPath(name)
}

// lstat looks at what has this name below the directory; whole is for its error.
func (f *keptDir) lstat(name, whole string) (strictmodes.Stat, error) {
	var st unix.Stat_t
	for {
		switch err := unix.Fstatat(int(f.handle), name, &st, unix.AT_SYMLINK_NOFOLLOW); err {
		case nil:
			return statOf(&st), nil
		case unix.EINTR:
		default:
			return strictmodes.Stat{}, &fs.PathError{Op: "lstat", Path: whole, Err: err}
		}
	}
}

// opened opens what is below the base from there, following no link: a directory
// for reading, which tells its attributes sooner than O_PATH.
func (n *nearDirs) opened(p string, open func(string) (handle, error)) (handle, error) {
	if name, ok := n.base.holds(p); ok {
		if h, err := resolve(n.base.handle, name, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS); err == nil {
			return h, nil
		}
	}
	return open(p)
}

// descend calls look with the name, as seen from the base, of each component of p
// that begins behind the first from bytes, until one is no directory.
func (n *nearDirs) descend(p string, from int, into []strictmodes.Stat, open func(string) (handle, error),
	look func(name, whole string) (strictmodes.Stat, error)) ([]strictmodes.Stat, error) {
	if from == 0 {
		return into, nil
	}
	end := from
	if p[end-1] != '/' { // it is not the root
		end++
	}
	several := strings.IndexByte(p[end:], '/') >= 0
	if dir := p[:from]; several && n.base.path != dir && n.base.replace(dir, open) != nil {
		return into, nil
	}
	name, ok := n.base.holds(p)
	if !ok {
		return into, nil
	}
	for ahead := len(p) - len(name); end < len(p); end++ { // past the slash
		if i := strings.IndexByte(p[end:], '/'); i >= 0 {
			end += i
		} else {
			end = len(p)
		}
		st, err := look(name[:end-ahead], p[:end])
		if err != nil {
			return into, err
		}
		if into = append(into, st); !st.Mode.IsDir() {
			break
		}
	}
	return into, nil
}

// A nearLocal is this machine.
type nearLocal struct {
	*local
	nearDirs
}

func (l *local) near() nearby { return &nearLocal{local: l} }

func (n *nearLocal) forget() { n.base.forget() }

// Lstat implements strictmodes.Tree.
func (n *nearLocal) Lstat(ctx context.Context, p string) (strictmodes.Stat, error) {
	if name, ok := n.base.holds(p); ok {
		return n.base.lstat(name, p)
	}
	return n.local.Lstat(ctx, p)
}

// Descend implements strictmodes.Descender.
func (n *nearLocal) Descend(_ context.Context, p string, from int, into []strictmodes.Stat) ([]strictmodes.Stat, error) {
	return n.descend(p, from, into, n.open, n.base.lstat)
}

// Attributes implements FS.
func (n *nearLocal) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	return files{func(p string) (handle, error) { return n.opened(p, n.open) }}.Attributes(ctx, p)
}

// A nearCard is a card. So that no link leads out of it, whoever swaps directories
// meanwhile, it looks from the base through a mount that follows none. Where it may
// not make one, it looks only at what is in a directory that is open: the base, or
// the one below it that it looked at last.
type nearCard struct {
	*Card
	nearDirs
	linkless keptDir // the base, on a mount that follows no link
	refused  bool    // there can be none
	last     keptDir
}

func (c *Card) near() nearby { return &nearCard{Card: c} }

func (n *nearCard) forget() {
	n.base.forget()
	n.linkless.forget()
	n.last.forget()
}

// open opens the base.
func (n *nearCard) open(dir string) (handle, error) {
	n.linkless.forget()
	h, err := n.Card.open(dir)
	if err == nil && !n.refused {
		n.refused = n.linkless.replace(dir, func(string) (handle, error) { return h.linkless() }) != nil
	}
	return h, err
}

// linkless opens a directory on a mount of its own, together with what is mounted
// below it. On that mount no path leads through a link, open_tree(2) and
// mount_setattr(2); it has no place among those of the machine, and is gone when
// it is closed. Linux before 5.14 knows no such thing, and only root may have one.
func (h handle) linkless() (handle, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return -1, err
	}
	for line := range bytes.Lines(mounts) {
		// What would not come along, and what is mounted when it is looked at.
		if bytes.Contains(line, []byte(" unbindable ")) || bytes.Contains(line, []byte(" - autofs ")) && !bytes.Contains(line, []byte(" /proc/")) {
			return -1, errors.ErrUnsupported
		}
	}
	fd, err := unix.OpenTree(int(h), "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, err
	}
	// MS_PRIVATE: what is mounted below it later would follow links.
	err = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE,
		&unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSYMFOLLOW, Propagation: unix.MS_PRIVATE})
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return handle(fd), nil
}

// Lstat implements strictmodes.Tree.
func (n *nearCard) Lstat(_ context.Context, p string) (strictmodes.Stat, error) {
	if name, ok := n.base.holds(p); ok {
		return n.look(name, p)
	}
	return n.lstat(p)
}

// look looks at what has this name below the base; whole is its path.
func (n *nearCard) look(name, whole string) (strictmodes.Stat, error) {
	if n.linkless.path != "" {
		if st, err := n.linkless.lstat(name, whole); err == nil || errors.Is(err, unix.ENOENT) {
			return st, err
		}
		return n.lstat(whole) // through links
	}
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return n.base.lstat(name, whole)
	}
	if dir := whole[:len(whole)-len(name[i:])]; n.last.path == dir {
		return n.last.lstat(name[i+1:], whole)
	}
	if n.last.path != whole && n.last.replace(whole, func(string) (handle, error) {
		return resolve(n.base.handle, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	}) != nil {
		return n.lstat(whole)
	}
	return n.last.stat()
}

// Attributes implements FS.
func (n *nearCard) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	return files{func(p string) (handle, error) { return n.opened(p, n.Card.open) }}.Attributes(ctx, p)
}

// Descend implements strictmodes.Descender.
func (n *nearCard) Descend(_ context.Context, p string, from int, into []strictmodes.Stat) ([]strictmodes.Stat, error) {
	return n.descend(p, from, into, n.open, n.look)
}
