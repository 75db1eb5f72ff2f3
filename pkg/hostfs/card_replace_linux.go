package hostfs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// Replace writes a file of an account durably: it has the complete old or the
// complete new content at every moment, and is on disk when Replace returns
// nil. edit gets the file's path and its content (nil if there is no file) and
// returns the new; nil changes nothing, and an error is returned as it is. edit
// may be called again. All writers of keys take turns, and who is taken for dead begins
// anew; see TurnName.
//
// With keep, a copy of an old file that changes is kept beside it, under the first
// BackupName that is free. The copy is on disk before the new file gets the name;
// kept is its path.
//
// Links in the home are followed while they stay in it (for a file named
// elsewhere, in its directory), and then must lead to the account's own. A new
// file is the account's, mode 0600, and so is its directory, 0700, if only that
// is missing. An old file keeps owner, group, mode, ACL, SELinux label and user
// attributes; it must be regular, the account's or root's, and have no further
// hard links.
//
// Replace is safe if somebody swaps files and links meanwhile: what was looked
// at is what is opened, directory by directory. The error is ErrUnsure after
// the last step but one; with any other error nothing was changed.
func (c *Card) Replace(ctx context.Context, who strictmodes.Account, name string, keep bool, edit func(path string, old []byte) ([]byte, error)) (kept string, err error) {
	for deadline := time.Now().Add(TurnWait); ; {
		if kept, err = c.replace(ctx, who, name, keep, edit); !errors.Is(err, errEvicted) || time.Now().After(deadline) {
			return kept, err
		}
	}
}

func (c *Card) replace(ctx context.Context, who strictmodes.Account, name string, keep bool, edit func(path string, old []byte) ([]byte, error)) (kept string, err error) {
	s, err := c.find(ctx, who, name)
	if err != nil {
		return "", err
	}
	defer s.close()
	f, before, err := s.read(false)
	f.Close()
	if err != nil {
		return "", err
	}
	data, err := edit(s.path, before)
	if data == nil || err != nil {
		return "", err
	}
	if s.in.File == nil {
		if err := s.makeDir(); err != nil {
			return "", err
		}
	}
	t, err := takeTurn(ctx, s.in, TurnPatience)
	if err != nil {
		return "", err
	}
	defer t.leave()
	f, old, err := s.read(false) // as it is in our turn
	if err != nil {
		return "", err
	}
	defer f.Close()
	if !alike(old, before) {
		if data, err = edit(s.path, old); data == nil || err != nil {
			return "", err
		}
	}
	if keep && f != nil {
		if kept, err = s.preserve(t, f, old); err != nil {
			return "", err
		}
	}
	if err := s.write(t, f, old, data); err != nil {
		if kept != "" && !errors.Is(err, ErrUnsure) { // a copy of what still is there
			unix.Unlinkat(s.in.fd(), path.Base(kept), 0)
		}
		return "", err
	}
	// By its name, once more: the directory may be another by now.
	switch _, now, err := c.ReadKeys(ctx, who, name); {
	case err != nil:
		return "", fmt.Errorf("%w: reading it back: %w", ErrUnsure, err)
	case !alike(now, data):
		return "", fmt.Errorf("%w: something else was read back", ErrUnsure)
	}
	return kept, nil
}

// alike reports whether two files, nil for none, have the same content.
func alike(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

// write puts data in the place of old, whose content was that; both nil if
// there is none.
func (s spot) write(t *turn, old *os.File, content, data []byte) error {
	err := s.fill(t.file, old, data)
	if err == nil {
		err = s.unchanged(old, content)
	}
	if err == nil {
		err = evicted(t.dir.PosixRename(path.Join(t.name, t.file.Name()), s.name))
	}
	if err != nil {
		return s.failed("writing", s.path, err)
	}
	return s.in.keep()
}

// evicted is the error of our turn, with the new file in it, being gone.
func evicted(err error) error {
	if err == unix.ENOENT {
		return errEvicted
	}
	return err
}

// preserve gives a copy of the old file the first name that is free, brings it
// to the disk, and returns its path.
func (s spot) preserve(t *turn, old *os.File, content []byte) (string, error) {
	temp := rand.Text()
	f, err := t.create(temp)
	if err == nil {
		err = s.fill(f, old, content)
	}
	for n := 1; err == nil; n++ {
		name := BackupName(s.name, n)
		switch err = unix.Renameat2(s.in.fd(), path.Join(t.name, temp), s.in.fd(), name, unix.RENAME_NOREPLACE); err {
		case nil:
			return path.Join(path.Dir(s.path), name), s.failed("keeping a copy of", s.path, flush(s.in.File))
		case unix.EEXIST:
			err = nil
		}
	}
	unix.Unlinkat(int(t.own.Fd()), temp, 0)
	return "", s.failed("keeping a copy of", s.path, evicted(err))
}

// fill writes and closes the new file and gives it what the old one has.
func (s spot) fill(f, old *os.File, data []byte) error {
	mode, err := s.dress(f, old)
	if err != nil {
		f.Close()
		return err
	}
	return fill(f, data, mode, nil)
}

// dress gives the new file owner and attributes, and returns the mode that it is
// to have.
func (s spot) dress(f, old *os.File) (fs.FileMode, error) {
	if old == nil {
		return 0o600, giveTo(f, s.who.UID, s.who.Groups[0])
	}
	info, err := old.Stat()
	if err != nil {
		return 0, err
	}
	st := StatOf(info)
	if err := giveTo(f, st.UID, st.GID); err != nil {
		return 0, err
	}
	return st.Mode, keepAttributes(f, old)
}

// giveTo gives a file that we have made to an account, if it is not so already.
func giveTo(f *os.File, uid, gid int) error {
	err := chown(f, uid, gid)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: giving it to uid %d, gid %d: %v", ErrOwner, uid, gid, plain(err))
	}
	return err
}

// unchanged says whether the name still leads to the old file, and that holds
// what it held: somebody may write who takes no turns.
func (s spot) unchanged(old *os.File, content []byte) error {
	now, err := s.in.stat(s.name)
	switch {
	case err == unix.ENOENT && old == nil:
		return nil
	case err == unix.ENOENT || err == nil && old == nil:
		return ErrChanged
	case err != nil:
		return err
	}
	var was unix.Stat_t
	if err := unix.Fstat(int(old.Fd()), &was); err != nil {
		return err
	}
	data, err := contents(old)
	if err == nil && (now.Dev != was.Dev || now.Ino != was.Ino || was.Nlink > 1 || !bytes.Equal(data, content)) {
		err = ErrChanged
	}
	return err
}

// keepAttributes gives a new file the ACL, the SELinux label and the user
// attributes of the old one, and no ACL that its directory has for new files.
func keepAttributes(f, old *os.File) error {
	names, err := attributes(old)
	if err != nil {
		return err
	}
	for _, name := range names {
		if name != accessACL && name != "security.selinux" && !strings.HasPrefix(name, "user.") {
			continue // what is of the content, such as security.ima, or of the kernel
		}
		value, err := attribute(old, name)
		if err != nil {
			return err
		}
		if has, err := attribute(f, name); err == nil && bytes.Equal(has, value) {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
			return fmt.Errorf("%w: %s: %v", ErrModesIgnored, name, err)
		}
	}
	if !slices.Contains(names, accessACL) {
		switch err := unix.Fremovexattr(int(f.Fd()), accessACL); err {
		case nil, unix.ENODATA, unix.EOPNOTSUPP:
		default:
			return err
		}
	}
	return nil
}

func attributes(f *os.File) ([]string, error) {
	b := make([]byte, 64<<10) // XATTR_LIST_MAX
	n, err := unix.Flistxattr(int(f.Fd()), b)
	if err == unix.EOPNOTSUPP {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return strings.FieldsFunc(string(b[:n]), func(r rune) bool { return r == 0 }), nil
}

func attribute(f *os.File, name string) ([]byte, error) {
	b := make([]byte, 64<<10) // XATTR_SIZE_MAX
	n, err := unix.Fgetxattr(int(f.Fd()), name, b)
	if err != nil {
		return nil, err
	}
	return b[:n], nil
}
