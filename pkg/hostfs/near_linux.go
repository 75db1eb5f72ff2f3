package hostfs

import (
	"context"
	"io/fs"
	"path"
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

// descend calls look with each component of p that begins behind the first from
// bytes, until one is no directory.
func (n *nearDirs) descend(ctx context.Context, p string, from int, into []strictmodes.Stat, open func(string) (handle, error),
	look func(context.Context, string) (strictmodes.Stat, error)) ([]strictmodes.Stat, error) {
	if from == 0 {
		return into, nil
	}
	rest := strings.TrimPrefix(p[from:], "/")
	several := strings.Contains(rest, "/")
	if dir := p[:from]; several && n.base.path != dir && n.base.replace(dir, open) != nil {
		return into, nil
	}
	for end := len(p) - len(rest); end < len(p); end++ { // past the slash
		if i := strings.IndexByte(p[end:], '/'); i >= 0 {
			end += i
		} else {
			end = len(p)
		}
		st, err := look(ctx, p[:end])
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
func (n *nearLocal) Descend(ctx context.Context, p string, from int, into []strictmodes.Stat) ([]strictmodes.Stat, error) {
	return n.descend(ctx, p, from, into, n.open, n.Lstat)
}

// Attributes implements FS.
func (n *nearLocal) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	return files{func(p string) (handle, error) { return n.opened(p, n.open) }}.Attributes(ctx, p)
}

// A nearCard is a card. So that no link leads out of it, whoever swaps
// directories meanwhile, it looks only at what is in a directory that is open: the base,
// or the one below it that it looked at last.
type nearCard struct {
	*Card
	nearDirs
	last keptDir
}

func (c *Card) near() nearby { return &nearCard{Card: c} }

func (n *nearCard) forget() {
	n.base.forget()
	n.last.forget()
}

// Lstat implements strictmodes.Tree.
func (n *nearCard) Lstat(ctx context.Context, p string) (strictmodes.Stat, error) {
	dir, name := path.Split(p)
	if f := n.kept(dir); f != nil && name != "" && name != "." && name != ".." { // which would lead out of a directory
		return f.lstat(name, p)
	}
	if n.last.path != p {
		name, ok := n.base.holds(p)
		if !ok || n.last.replace(p, func(string) (handle, error) {
			return resolve(n.base.handle, name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
		}) != nil {
			return n.Card.Lstat(ctx, p)
		}
	}
	return n.last.stat()
}

// kept returns the open directory of this name, which ends with a slash.
func (n *nearCard) kept(dir string) *keptDir {
	for _, f := range []*keptDir{&n.base, &n.last} {
		if f.path != "" && strings.TrimSuffix(f.path, "/") == strings.TrimSuffix(dir, "/") {
			return f
		}
	}
	return nil
}

// Attributes implements FS.
func (n *nearCard) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	return files{func(p string) (handle, error) { return n.opened(p, n.Card.open) }}.Attributes(ctx, p)
}

// Descend implements strictmodes.Descender.
func (n *nearCard) Descend(ctx context.Context, p string, from int, into []strictmodes.Stat) ([]strictmodes.Stat, error) {
	return n.descend(ctx, p, from, into, n.Card.open, n.Lstat)
}
