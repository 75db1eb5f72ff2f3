package install

import (
	"errors"
	"io/fs"
	"syscall"

	"pi-key-tools/pkg/hostfs"
)

// causeOf returns the word of pi-key-causes(7) for an error that left the file
// as it was; "" for one that says nothing by itself.
func causeOf(err error) string {
	for _, c := range []struct {
		is    error
		cause string
	}{
		{hostfs.ErrBusy, "busy"},
		{hostfs.ErrChanged, "busy"},
		{hostfs.ErrLeadsOut, "keys-symlink"},
		{hostfs.ErrLinks, "keys-symlink"},
		{hostfs.ErrNoHome, "home-missing"},
		{hostfs.ErrOwner, "wrong-owner"},
		{hostfs.ErrLinked, "keys-linked"},
		{hostfs.ErrNotDirectory, "keys-not-a-file"},
		{hostfs.ErrNotRegular, "keys-not-a-file"},
		{hostfs.ErrModesIgnored, "modes-unsupported"},
		{syscall.ENOSPC, "disk-full"},
		{syscall.EDQUOT, "disk-full"},
		{syscall.EROFS, "read-only-fs"},
		{syscall.EPERM, "immutable"},
		{fs.ErrPermission, "write-failed"},
		{fs.ErrNotExist, "write-failed"},
	} {
		if errors.Is(err, c.is) {
			return c.cause
		}
	}
	return ""
}
