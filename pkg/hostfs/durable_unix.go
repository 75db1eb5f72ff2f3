//go:build unix

package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// To rename knows no moment with two names, and FAT has it too.
var publishers = []publisher{
	func(temp, path string) error { return renameNew(unix.AT_FDCWD, temp, path) },
	link,
}

// noLinks reports whether link(2) failed because there are no hard links here:
// FAT says EPERM, Android EACCES.
func noLinks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EMLINK)
}

// chownLike gives f the owner and group of a file, if they differ.
func chownLike(f *os.File, like fs.FileInfo) error {
	st := StatOf(like)
	return chown(f, st.UID, st.GID)
}

// chown gives f to an account, if it is not so already, and looks whether it took.
func chown(f *os.File, uid, gid int) error {
	for tried := false; ; tried = true {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		switch st := StatOf(info); {
		case st.UID == uid && st.GID == gid:
			return nil
		case tried:
			return fmt.Errorf("%w: uid %d, gid %d came", ErrModesIgnored, st.UID, st.GID)
		}
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
}

// syncDir makes a name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return flush(d)
}

// flush brings the names in a directory to the disk. Some file systems cannot sync
// one; they say EINVAL, and there is nothing more to be done.
func flush(d *os.File) error {
	if err := d.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// lock waits for its turn to replace path. The lock is on the directory: the file
// itself is another after every turn, and may not be there at all. It is gone
// with the process.
func lock(path string) (unlock func(), err error) {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(d.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	switch err {
	case nil, syscall.EBADF, syscall.ENOLCK, syscall.ENOSYS, syscall.EINVAL, syscall.EOPNOTSUPP:
		return func() { d.Close() }, nil
	}
	d.Close()
	return nil, err
}
