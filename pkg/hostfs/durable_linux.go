package hostfs

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// createUnnamed writes a file that has no name until it is complete, so that
// nothing of it is left whatever kills us (open(2) O_TMPFILE).
func createUnnamed(path string, data []byte, mode os.FileMode, like os.FileInfo) error {
	fd, err := unix.Open(filepath.Dir(path), unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return errors.ErrUnsupported // the other way has the better words for what is wrong
	}
	named, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(fd)
		return err
	}
	defer unix.Close(named)
	if err := fill(os.NewFile(uintptr(fd), path), data, mode, like); err != nil {
		return err
	}
	err = unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(named), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	switch err {
	case unix.ENOENT, unix.EXDEV, unix.EPERM, unix.EOPNOTSUPP: // no /proc; file systems that make no links
		return errors.ErrUnsupported
	}
	return err
}
