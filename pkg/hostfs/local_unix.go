//go:build unix

package hostfs

import (
	"fmt"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// notReal turns the errors that O_NOFOLLOW (EMLINK on FreeBSD) and O_DIRECTORY
// give for a link into ErrChanged.
func notReal(err error) error {
	switch err {
	case unix.ELOOP, unix.EMLINK, unix.ENOTDIR:
		return fmt.Errorf("%w: a folder on the way is a link or a file", ErrChanged)
	}
	return err
}

// StatOf returns what a file of this machine is to be judged by.
func StatOf(info fs.FileInfo) strictmodes.Stat {
	sys := info.Sys().(*syscall.Stat_t)
	return strictmodes.Stat{Mode: info.Mode(), UID: int(sys.Uid), GID: int(sys.Gid), Nlink: int(sys.Nlink)}
}

// A handle is a file or a folder that is open, whatever its name leads to by
// now.
type handle int

func (h handle) stat() (strictmodes.Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(h), &st); err != nil {
		return strictmodes.Stat{}, err
	}
	return strictmodes.Stat{Mode: modeOf(uint32(st.Mode)), UID: int(st.Uid), GID: int(st.Gid), Nlink: int(st.Nlink)}, nil
}

func (h handle) close() { unix.Close(int(h)) }

// The bits of stat(2) beside Go's.
var modeBits = map[uint32]fs.FileMode{unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky}

func modeOf(m uint32) fs.FileMode {
	mode := fs.FileMode(m & 0777)
	for bit, value := range modeBits {
		if m&bit != 0 {
			mode |= value
		}
	}
	switch m & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		mode |= fs.ModeDir
	case unix.S_IFLNK:
		mode |= fs.ModeSymlink
	default:
		mode |= fs.ModeIrregular
	}
	return mode
}

func bitsOf(mode fs.FileMode) uint32 {
	m := uint32(mode.Perm())
	for bit, value := range modeBits {
		if mode&value != 0 {
			m |= bit
		}
	}
	return m
}
