package hostfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// open opens a path, following no link. O_PATH needs no permission on the file
// and wakes no device or pipe. Before Linux 5.6, and in sandboxes that do not know
// openat2(2), it goes one component after another.
func open(path string) (handle, error) {
	h, err := resolve(unix.AT_FDCWD, path, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
	if err == unix.ENOSYS || err == unix.EPERM {
		return openEach(path)
	}
	return h, notReal(err)
}

func openEach(path string) (handle, error) {
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

// openRegular opens a regular file for reading, through links, and nothing else.
func openRegular(path string) (*os.File, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return handle(fd).regular(maxRead)
}

// name is a path that leads to what is open, and to nothing else.
func (h handle) name() string { return "/proc/self/fd/" + strconv.Itoa(int(h)) }

// regular opens a handle of O_PATH for reading, if it is of a regular file and
// no larger than that: opening a device may do something, and a pipe waits. So
// does a file that somebody has a lease on, as Samba and NFS, who give it up when
// they are asked, and some that claim to be regular and to hold nothing, as
// /proc/kmsg: no longer than a moment.
func (h handle) regular(most int64) (*os.File, error) {
	size, err := h.small(most)
	if err != nil {
		return nil, err
	}
	var fd int
	for tries := 50; ; tries-- {
		// os.Open would ask in five calls what of a file can be waited for.
		fd, err = openat(unix.AT_FDCWD, h.name(), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EAGAIN || tries == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "file")
	if size == 0 { // others are only slow, as on FUSE
		_ = f.SetReadDeadline(time.Now().Add(time.Second))
	}
	return f, nil
}

// chmod uses fchmodat2(2), of Linux 6.6. Before, and in sandboxes that do not
// know it, the name that /proc has for the handle leads to nothing else.
func (h handle) chmod(mode fs.FileMode) error {
	err := unix.Fchmodat(int(h), "", bitsOf(mode), unix.AT_EMPTY_PATH)
	switch err {
	case unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL, unix.EPERM:
		if perr := unix.Chmod(h.name(), bitsOf(mode)); perr != unix.ENOENT {
			return perr
		}
	}
	return err
}

func (h handle) chown(uid int) error { return unix.Fchownat(int(h), "", uid, -1, unix.AT_EMPTY_PATH) }

// renameNew fails with errors.ErrUnsupported where the file system, the kernel
// or a sandbox cannot rename without replacing.
func renameNew(dir int, from, to string) error {
	err := unix.Renameat2(dir, from, dir, to, unix.RENAME_NOREPLACE)
	switch err {
	case unix.EINVAL, unix.ENOSYS, unix.EPERM:
		return errors.ErrUnsupported
	}
	return err
}

// attributes tells what is known. A kernel or a file system that has no such
// thing does not fail.
func (h handle) attributes() (a strictmodes.Attributes, err error) {
	var sys unix.Statfs_t
	if err := unix.Fstatfs(int(h), &sys); err != nil {
		return a, err
	}
	a.ReadOnly = sys.Flags&unix.ST_RDONLY != 0
	var more unix.Statx_t // zero before Linux 4.11
	unix.Statx(int(h), "", unix.AT_EMPTY_PATH, unix.STATX_TYPE|unix.STATX_MNT_ID_UNIQUE, &more)
	a.Immutable = more.Attributes&(unix.STATX_ATTR_IMMUTABLE|unix.STATX_ATTR_APPEND) != 0
	a.FS = h.kind(more)
	b := make([]byte, 512) // which most access lists fit in
	n, err := unix.Fgetxattr(int(h), accessACL, b)
	if err == unix.EBADF { // of O_PATH
		n, err = unix.Getxattr(h.name(), accessACL, b)
	}
	if err == unix.ERANGE {
		b = make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err = unix.Getxattr(h.name(), accessACL, b)
	}
	switch err {
	case nil:
		a.Granted, err = grants(b[:n])
	case unix.ENODATA, unix.EOPNOTSUPP, unix.ENOENT:
		err = nil
	}
	return a, err
}

const accessACL = "system.posix_acl_access"

// grants returns what an access ACL grants, within the mask (acl(5);
// linux/posix_acl_xattr.h).
func grants(acl []byte) ([]strictmodes.Grant, error) {
	const (
		version                               = 2
		user, owningGroup, group, mask uint16 = 0x02, 0x04, 0x08, 0x10
		header, each                          = 4, 8
	)
	if len(acl) < header || (len(acl)-header)%each != 0 || binary.LittleEndian.Uint32(acl) != version {
		return nil, fmt.Errorf("its access list is not understood: %d bytes", len(acl))
	}
	var granted []strictmodes.Grant
	limit := fs.FileMode(7)
	for e := acl[header:]; len(e) > 0; e = e[each:] {
		tag, perm, id := binary.LittleEndian.Uint16(e), fs.FileMode(binary.LittleEndian.Uint16(e[2:])), int(binary.LittleEndian.Uint32(e[4:]))
		switch tag {
		case mask:
			limit = perm
		case user, group:
			granted = append(granted, strictmodes.Grant{Group: tag == group, ID: id, Mode: perm})
		case owningGroup:
			granted = append(granted, strictmodes.Grant{Group: true, ID: strictmodes.OwningGroup, Mode: perm})
		}
	}
	return limited(granted, limit), nil
}

// kinds are what file systems are, by the numbers of mounts that the kernel
// gives to no other one later, from Linux 6.8 on.
var kinds sync.Map

// kind returns the kind of the file system that a handle is on, or "".
func (h handle) kind(more unix.Statx_t) string {
	if more.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return h.mounted()
	}
	kind, ok := kinds.Load(more.Mnt_id)
	if !ok {
		kind, _ = kinds.LoadOrStore(more.Mnt_id, h.mounted())
	}
	return kind.(string)
}

// mounted looks kind up among all that is mounted.
func (h handle) mounted() string {
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(int(h)))
	if err != nil {
		return ""
	}
	_, id, _ := bytes.Cut(info, []byte("mnt_id:"))
	id, _, _ = bytes.Cut(bytes.TrimSpace(id), []byte("\n"))
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(mounts)) {
		// ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAG]... - KIND SOURCE OPTIONS
		mount, what, ok := strings.Cut(line, " - ")
		if ok && strings.HasPrefix(mount, string(id)+" ") {
			kind, _, _ := strings.Cut(what, " ")
			return kind
		}
	}
	return ""
}
