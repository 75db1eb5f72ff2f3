package hostfs

import (
	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// renameNew fails with errors.ErrUnsupported where the file system cannot
// rename without replacing.
func renameNew(dir int, from, to string) error {
	return unix.RenameatxNp(dir, from, dir, to, unix.RENAME_EXCL)
}

// attributes knows nothing of access lists, which are not POSIX's here.
func (h handle) attributes() (a strictmodes.Attributes, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(h), &st); err != nil {
		return a, err
	}
	var sys unix.Statfs_t
	if err := unix.Fstatfs(int(h), &sys); err != nil {
		return a, err
	}
	a.Immutable = st.Flags&(unix.UF_IMMUTABLE|unix.UF_APPEND|unix.SF_IMMUTABLE|unix.SF_APPEND) != 0
	a.ReadOnly = sys.Flags&unix.MNT_RDONLY != 0
	a.FS = unix.ByteSliceToString(sys.Fstypename[:])
	return a, nil
}
