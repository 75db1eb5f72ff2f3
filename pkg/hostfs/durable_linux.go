package hostfs

import (
	"errors"

	"golang.org/x/sys/unix"
)

var publishers = []publisher{renameNoReplace, link}

// renameNoReplace knows no moment with two names, and FAT has it too.
func renameNoReplace(temp, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	switch err {
	case unix.EINVAL, unix.ENOSYS, unix.EPERM: // the file system; the kernel; a sandbox
		return errors.ErrUnsupported
	}
	return err
}
