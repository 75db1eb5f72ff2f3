//go:build unix

package hostfs

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
)

// notReal turns the errors that O_NOFOLLOW (EMLINK on FreeBSD) and O_DIRECTORY
// give for a link into ErrChanged.
func notReal(err error) error {
	switch err {
	case unix.ELOOP, unix.EMLINK, unix.ENOTDIR:
		return fmt.Errorf("%w: a directory on the way is a link or a file", ErrChanged)
	}
	return err
}

// StatOf returns the facts by which a file of this machine is judged.
func StatOf(info fs.FileInfo) strictmodes.Stat {
	sys := info.Sys().(*syscall.Stat_t)
	return strictmodes.Stat{Mode: info.Mode(), UID: int(sys.Uid), GID: int(sys.Gid), Nlink: int(sys.Nlink)}
}

// look is lstat(2).
func look(path string) (strictmodes.Stat, error) {
	var st unix.Stat_t
	for {
		switch err := unix.Lstat(path, &st); err {
		case nil:
			return statOf(&st), nil
		case unix.EINTR:
		default:
			return strictmodes.Stat{}, &fs.PathError{Op: "lstat", Path: path, Err: err}
		}
	}
}

func statOf(st *unix.Stat_t) strictmodes.Stat {
	return strictmodes.Stat{Mode: modeOf(uint32(st.Mode)), UID: int(st.Uid), GID: int(st.Gid), Nlink: int(st.Nlink)}
}

// here is the files of this machine.
var here = files{open}

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flags, mode); err != unix.EINTR {
			return fd, err
		}
	}
}

// openDir opens a directory, through links, to list it. A pipe is none, and not
// waited for.
func openDir(path string) (*os.File, error) {
	fd, err := openat(unix.AT_FDCWD, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// A handle is a file or a directory that is open, whatever its name leads to by
// now.
type handle int

func (h handle) stat() (strictmodes.Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(h), &st); err != nil {
		return strictmodes.Stat{}, err
	}
	return statOf(&st), nil
}

// small returns the size of a regular file, unless it is larger than that.
func (h handle) small(most int64) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(h), &st); err != nil {
		return 0, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return 0, ErrNotRegular
	}
	if st.Size > most {
		return 0, fmt.Errorf("%w: %d bytes", bounded.ErrTooLarge, st.Size)
	}
	return st.Size, nil
}

func (h handle) close() { unix.Close(int(h)) }

// The bits of stat(2) beside Go's.
var modeBits = [...]struct {
	bit   uint32
	value fs.FileMode
}{{unix.S_ISUID, fs.ModeSetuid}, {unix.S_ISGID, fs.ModeSetgid}, {unix.S_ISVTX, fs.ModeSticky}}

func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0777)
	for _, b := range modeBits {
		if m&b.bit != 0 {
			mode |= b.value
		}
	}
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		mode |= fs.ModeSocket
	case unix.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		mode |= fs.ModeDevice
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

func bitsOf(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	for _, b := range modeBits {
		if mode&b.value != 0 {
			m |= b.bit
		}
	}
	return m
}
