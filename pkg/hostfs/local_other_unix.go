//go:build unix && !linux

package hostfs

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// open opens what path leads to, following no link at its end and waiting for
// no pipe. What may not be read cannot be opened so, nor repaired.
func open(path string) (handle, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	return handle(fd), notReal(err)
}

// openRegular opens a regular file for reading, through links.
func openRegular(path string) (*os.File, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return handle(fd).regular(maxRead)
}

// regular returns a handle that can be read and outlives this one, if it is of
// a regular file and no larger than that.
func (h handle) regular(most int64) (*os.File, error) {
	if _, err := h.small(most); err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(uintptr(h), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "file"), nil
}

func (h handle) chmod(mode fs.FileMode) error { return unix.Fchmod(int(h), bitsOf(mode)) }
func (h handle) chown(uid int) error          { return unix.Fchown(int(h), uid, -1) }
