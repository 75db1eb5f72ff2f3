package hostfs

import (
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// open opens a path one component after another, following no link. O_PATH
// needs no permission on the file and wakes no device or pipe.
func open(path string) (handle, error) {
	const flags = unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openat(unix.AT_FDCWD, "/", flags|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, err
	}
	rest := strings.Trim(path, "/")
	for rest != "" {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		more := 0
		if rest != "" {
			more = unix.O_DIRECTORY
		}
		next, err := openat(fd, name, flags|more, 0)
		unix.Close(fd)
		if err != nil {
			return -1, notReal(err)
		}
		fd = next
	}
	return handle(fd), nil
}

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flags, mode); err != unix.EINTR {
			return fd, err
		}
	}
}

// chmod uses fchmodat2(2), of Linux 6.6. Before, and in sandboxes that do not
// know it, the name that /proc has for the handle leads to nothing else.
func (h handle) chmod(mode fs.FileMode) error {
	err := unix.Fchmodat(int(h), "", bitsOf(mode), unix.AT_EMPTY_PATH)
	switch err {
	case unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL, unix.EPERM:
		if perr := unix.Chmod("/proc/self/fd/"+strconv.Itoa(int(h)), bitsOf(mode)); perr != unix.ENOENT {
			return perr
		}
	}
	return err
}

func (h handle) chown(uid int) error { return unix.Fchownat(int(h), "", uid, -1, unix.AT_EMPTY_PATH) }
