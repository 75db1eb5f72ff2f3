//go:build unix

package hostfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
)

// The files of this machine, or of a card, are looked into and changed by their
// real paths. Whoever owns a directory on the way may swap what is in it at any
// moment: everything is done to what is open, and was looked at when it was.
type files struct {
	open func(path string) (handle, error) // follows no link
}

func (f files) Chmod(_ context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	return changeMode(path, was, mode, func(mode fs.FileMode) (strictmodes.Stat, error) {
		return f.change(path, was, func(h handle) error { return h.chmod(mode) })
	})
}

func (f files) Chown(_ context.Context, path string, was strictmodes.Stat, uid int) error {
	return changeOwner(path, was, uid, func() (strictmodes.Stat, error) {
		return f.change(path, was, func(h handle) error { return h.chown(uid) })
	})
}

// change opens path, does what is to be done to what is open if that is still
// as it was, and returns how it is then.
func (f files) change(path string, was strictmodes.Stat, do func(handle) error) (strictmodes.Stat, error) {
	h, err := f.open(path)
	if err != nil {
		return strictmodes.Stat{}, err
	}
	defer h.close()
	if was.Mode.IsRegular() && os.Geteuid() == 0 {
		if err := f.only(h, path); err != nil {
			return strictmodes.Stat{}, err
		}
	}
	is, err := h.stat()
	if err != nil {
		return is, err
	}
	if err := same(was, is); err != nil {
		return is, err
	}
	if err := do(h); err != nil {
		return is, err
	}
	return h.stat()
}

// only says whether an open file has no name but the path, as far as it matters: in the
// directory of somebody else than the file's owner. He may give another's file a name
// there (where fs.protected_hardlinks is 0) and take it away right after it was opened,
// and a count of one is then that of the other name. To link and to unlink set the
// time of change, so that of a time that is past and stays nothing was in between.
func (f files) only(h handle, path string) error {
	dir, name, err := f.above(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	for end := time.Now().Add(3 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var st, above unix.Stat_t
		begun := time.Now()
		if err := unix.Fstat(int(h), &st); err != nil {
			return err
		}
		if err := dir.is(name, &st); err != nil {
			return err
		}
		if st.Nlink > 1 {
			return ErrLinked
		}
		if above, err = dir.stat("."); err != nil || above.Uid == st.Uid {
			return err
		}
		changed, tick := time.Unix(st.Ctim.Unix()), 20*time.Millisecond
		if changed.Nanosecond() == 0 { // of a file system that may keep no parts of a second, or two
			tick = 2 * time.Second
		}
		var after unix.Stat_t
		if err := unix.Fstat(int(h), &after); err != nil {
			return err
		}
		past := begun.Sub(changed) > tick || changed.After(time.Now())
		if past && after.Ctim == st.Ctim {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%w: its names change", ErrChanged)
		}
	}
}

func (f files) Attributes(_ context.Context, path string) (a strictmodes.Attributes, err error) {
	h, err := f.open(path)
	if err == nil {
		defer h.close()
		a, err = h.attributes()
	}
	if err != nil {
		return a, fmt.Errorf("looking at what guards %s: %w", path, err)
	}
	return a, nil
}

// A directory is what names are made and changed in.
type folder struct{ *os.File }

// above opens the directory that a path is in. It must be readable: what cannot be
// read cannot be brought to the disk.
func (f files) above(name string) (folder, string, error) {
	dir, base := path.Split(name)
	if base == "" || base == "." || base == ".." {
		return folder{}, "", unix.EINVAL
	}
	h, err := f.open(dir)
	if err != nil {
		return folder{}, "", err
	}
	defer h.close()
	d, err := openat(int(h), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return folder{}, "", notReal(err)
	}
	return folder{os.NewFile(uintptr(d), dir)}, base, nil
}

func (d folder) fd() int { return int(d.Fd()) }

func (d folder) stat(name string) (st unix.Stat_t, err error) {
	err = unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// Rename restores the old name of a file swapped in at the last moment.
func (f files) Rename(_ context.Context, from string, was strictmodes.Stat, to string) error {
	err := func() error {
		if path.Dir(from) != path.Dir(to) {
			return errors.New("they are in two directories")
		}
		d, name, err := f.above(from)
		if err != nil {
			return err
		}
		defer d.Close()
		judged, err := d.stat(name)
		if err != nil {
			return err
		}
		if err := same(was, statOf(&judged)); err != nil {
			return err
		}
		if err := d.rename(name, path.Base(to)); err != nil {
			return err
		}
		if err := d.is(path.Base(to), &judged); err != nil {
			if d.rename(path.Base(to), name) == nil {
				return err
			}
			return fmt.Errorf("%w: %w", ErrUnsure, err)
		}
		return d.keep()
	}()
	if err != nil {
		return fmt.Errorf("renaming %s to %s: %w", from, path.Base(to), plain(err))
	}
	return nil
}

// rename gives what is in a directory another, free name.
func (d folder) rename(from, to string) error {
	err := renameNew(d.fd(), from, to)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	switch _, err := d.stat(to); err {
	case nil:
		return fs.ErrExist
	case unix.ENOENT:
		return unix.Renameat(d.fd(), from, d.fd(), to)
	default:
		return err
	}
}

// is says whether a name is of the file that it should be.
func (d folder) is(name string, want *unix.Stat_t) error {
	st, err := d.stat(name)
	if err == unix.ENOENT || err == nil && (st.Dev != want.Dev || st.Ino != want.Ino) {
		return fmt.Errorf("%w: another file took its name", ErrChanged)
	}
	return err
}

// keep brings the names in a directory to the disk.
func (d folder) keep() error {
	if err := flush(d.File); err != nil {
		return fmt.Errorf("%w: bringing it to the disk: %w", ErrUnsure, plain(err))
	}
	return nil
}

func (f files) Mkdir(_ context.Context, path string, mode fs.FileMode) error {
	err := func() error {
		d, name, err := f.above(path)
		if err != nil {
			return err
		}
		defer d.Close()
		if err := unix.Mkdirat(d.fd(), name, 0o700); err != nil {
			return err
		}
		if err := d.finish(name, strictmodes.Permissions(mode)); err != nil {
			unix.Unlinkat(d.fd(), name, unix.AT_REMOVEDIR) // which takes nothing that holds anything
			return err
		}
		return d.keep()
	}()
	if err != nil {
		return fmt.Errorf("making the directory %s: %w", path, plain(err))
	}
	return nil
}

// finish gives a new directory its mode.
func (d folder) finish(name string, mode fs.FileMode) error {
	fd, err := openat(d.fd(), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return notReal(err)
	}
	made := os.NewFile(uintptr(fd), name)
	defer made.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	// It must be the one that we made: ours, empty and closed to others.
	is := statOf(&st)
	if _, err := made.Readdirnames(1); err != io.EOF || is.UID != os.Geteuid() {
		return fmt.Errorf("%w: it is not the directory that was made, or the file system keeps no owners", ErrChanged)
	}
	if strictmodes.Permissions(is.Mode) != mode {
		if is.Mode.Perm()&0o77 != 0 {
			return fmt.Errorf("%w: it is not the directory that was made, or the file system keeps no modes", ErrChanged)
		}
		if err := unix.Fchmod(fd, bitsOf(mode)); err != nil {
			return err
		}
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if is := statOf(&st); strictmodes.Permissions(is.Mode) != mode {
			return fmt.Errorf("%w: mode %s came", ErrModesIgnored, strictmodes.Octal(is.Mode))
		}
	}
	return d.is(name, &st)
}

func (f files) Copy(_ context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	err := func() error {
		data, err := f.content(from, was)
		if err != nil {
			return err
		}
		d, name, err := f.above(to)
		if err != nil {
			return err
		}
		defer d.Close()
		if _, err := d.stat(name); err == nil {
			return fs.ErrExist // said before anything is written; whether it still is so, rename sees
		}
		return d.create(name, data, mode)
	}()
	if err != nil {
		return fmt.Errorf("copying %s to %s: %w", from, to, plain(err))
	}
	return nil
}

// content reads a file that is still as it was.
func (f files) content(path string, was strictmodes.Stat) ([]byte, error) {
	h, err := f.open(path)
	if err != nil {
		return nil, err
	}
	defer h.close()
	is, err := h.stat()
	if err != nil {
		return nil, err
	}
	if err := same(was, is); err != nil {
		return nil, err
	}
	r, err := h.regular(maxRead)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return bounded.ReadAll(r, maxRead)
}

// create makes a new file: complete or absent at every moment.
func (d folder) create(name string, data []byte, mode fs.FileMode) error {
	temp := ".new-" + rand.Text()
	err := func() error {
		fd, err := openat(d.fd(), temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return err
		}
		var made unix.Stat_t
		if err := unix.Fstat(fd, &made); err != nil {
			unix.Close(fd)
			return err
		}
		if err := fill(os.NewFile(uintptr(fd), temp), data, mode, nil); err != nil {
			return err
		}
		if err := d.is(temp, &made); err != nil {
			return err
		}
		if err := d.rename(temp, name); err != nil {
			return err
		}
		if err := d.is(name, &made); err != nil {
			return fmt.Errorf("%w: %v", ErrUnsure, err)
		}
		return nil
	}()
	if err != nil {
		unix.Unlinkat(d.fd(), temp, 0) // it is gone where it was renamed
		return err
	}
	return d.keep()
}
