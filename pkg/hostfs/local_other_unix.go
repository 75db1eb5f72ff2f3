//go:build unix && !linux

package hostfs

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// open opens what path leads to, following no link at its end and waiting for
// no pipe. What may not be read cannot be opened so, nor repaired.
func open(path string) (handle, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return handle(fd), notReal(err)
		}
	}
}

func (h handle) chmod(mode fs.FileMode) error { return unix.Fchmod(int(h), bitsOf(mode)) }
func (h handle) chown(uid int) error          { return unix.Fchown(int(h), uid, -1) }
