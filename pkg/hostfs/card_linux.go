package hostfs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// A Card is a root file system mounted here, such as an SD card, or that of the
// running system itself, perhaps crafted to harm whoever examines it. Paths are
// the card's own: every link, absolute or not, leads to a place there, and ".."
// of its root is its root (openat2(2), RESOLVE_IN_ROOT). Only regular files and
// directories are ever opened. It is a Machine whose accounts are numbers: ours
// is the card's of the same number. A user other than root can work on what is
// theirs.
type Card struct {
	files
	root     handle
	accounts *accounts
}

// OpenCard opens the card mounted at dir. The caller closes it.
func OpenCard(dir string) (*Card, error) {
	fd, err := openat(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: dir, Err: err}
	}
	c := &Card{root: handle(fd)}
	c.files.open = func(name string) (handle, error) {
		h, err := resolve(c.root, name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
		return h, notReal(err)
	}
	passwd, err := c.ReadFile(context.Background(), "/etc/passwd")
	if err == nil {
		var groups []byte
		if groups, err = c.ReadFile(context.Background(), "/etc/group"); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		c.accounts = readAccounts(string(passwd), string(groups))
	}
	if err != nil {
		c.Close()
		if errors.Is(err, unix.ENOSYS) {
			return nil, errors.New("a card can be worked on only by Linux 5.6 or later, which has openat2(2)")
		}
		return nil, fmt.Errorf("%s holds no root file system: %w", dir, err)
	}
	return c, nil
}

// Close releases the card.
func (c *Card) Close() { c.root.close() }

// resolve opens a name below dir by the rules of openat2(2). It is asked again
// when a directory that ".." passes was renamed meanwhile.
func resolve(dir handle, name string, flags, rules uint64) (handle, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: rules | unix.RESOLVE_NO_MAGICLINKS}
	for range 100 {
		fd, err := unix.Openat2(int(dir), name, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return handle(fd), err
		}
	}
	return -1, ErrChanged
}

func (c *Card) look(name string, flags uint64) (handle, error) {
	return resolve(c.root, name, flags|unix.O_PATH, unix.RESOLVE_IN_ROOT)
}

// Lstat implements strictmodes.Tree.
func (c *Card) Lstat(_ context.Context, name string) (strictmodes.Stat, error) {
	h, err := c.look(name, unix.O_NOFOLLOW)
	if err != nil {
		return strictmodes.Stat{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	defer h.close()
	return h.stat()
}

// Readlink implements strictmodes.Tree.
func (c *Card) Readlink(_ context.Context, name string) (string, error) {
	h, err := c.look(name, unix.O_NOFOLLOW)
	if err == nil {
		defer h.close()
		b := make([]byte, unix.PathMax)
		var n int
		if n, err = unix.Readlinkat(int(h), "", b); err == nil {
			return string(b[:n]), nil
		}
	}
	return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
}

// PrivateGroup implements strictmodes.Tree, by the accounts of the card.
func (c *Card) PrivateGroup(_ context.Context, gid, owner int) (bool, error) {
	return c.accounts.privateGroup(gid, owner), nil
}

// Account returns our uid and groups, which are all that the card's file system
// knows of us, with the name and home that its passwd(5) has for that uid.
func (c *Card) Account(context.Context) (strictmodes.Account, error) {
	who := c.accounts.as(os.Geteuid())
	groups, err := os.Getgroups()
	if err != nil {
		return who, fmt.Errorf("looking up our groups: %w", err)
	}
	who.Groups = append([]int{os.Getegid()}, groups...)
	return who, nil
}

// as returns the first account with this uid, as far as it alone says, or
// nothing but the uid.
func (a *accounts) as(uid int) strictmodes.Account {
	for _, u := range a.users {
		if u.uid == uid {
			u = a.users[a.named[u.name]]
			return strictmodes.Account{Name: u.name, UID: u.uid, Home: u.home}
		}
	}
	return strictmodes.Account{UID: uid}
}

// Lookup implements Machine, by the passwd(5) and group(5) of the card.
func (c *Card) Lookup(_ context.Context, name string) (strictmodes.Account, error) {
	return c.accounts.lookup(name)
}

// Accounts implements Machine.
func (c *Card) Accounts(context.Context) ([]strictmodes.Account, error) {
	return c.accounts.sensible(), nil
}

// GroupNames implements Machine.
func (c *Card) GroupNames(_ context.Context, who strictmodes.Account) ([]string, error) {
	return c.accounts.groupNames(who.Groups), nil
}

// ReadFile implements FS.
func (c *Card) ReadFile(_ context.Context, name string) ([]byte, error) {
	h, err := c.look(name, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: name, Err: err}
	}
	defer h.close()
	f, err := h.regular(maxRead)
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: name, Err: err}
	}
	defer f.Close()
	return readAtMost(f, maxRead)
}

// Glob implements FS.
func (c *Card) Glob(ctx context.Context, pattern string) ([]string, error) {
	return glob(ctx, c, pattern, func(dir string) ([]string, error) {
		h, err := resolve(c.root, dir, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT)
		if err != nil {
			return nil, &fs.PathError{Op: "opening", Path: dir, Err: err}
		}
		d := os.NewFile(uintptr(h), dir)
		defer d.Close()
		return d.Readdirnames(-1)
	})
}

// ReadKeys reads a file of an account as Replace sees it, even one of its own
// that Replace refuses for further hard links; nil if there is none.
func (c *Card) ReadKeys(ctx context.Context, who strictmodes.Account, name string) (string, []byte, error) {
	s, f, err := c.openKeys(ctx, who, name)
	if f == nil || err != nil {
		return s.path, nil, err
	}
	defer f.Close()
	data, err := s.contents(f)
	return s.path, data, err
}

// openKeys opens a file of an account for ReadKeys; nil if there is none.
func (c *Card) openKeys(ctx context.Context, who strictmodes.Account, name string) (spot, *os.File, error) {
	s, err := c.find(ctx, who, name)
	if err != nil {
		return s, nil, err
	}
	defer s.base.close()
	if s.noDir {
		return s, nil, nil
	}
	dir, err := s.open(s.dir)
	if err != nil {
		return s, nil, err
	}
	defer dir.Close()
	f, err := s.file(dir, true)
	return s, f, err
}

// Replace writes a file of an account durably: it has the complete old or the
// complete new content at every moment, and is on disk when Replace returns
// nil. edit gets the file's path and its content (nil if there is no file) and
// returns the new; nil changes nothing, and an error is returned as it is. edit
// may be called twice. All writers of keys take turns; see turn.
//
// If keep is not nil and an old file changes, a copy of it is kept beside it,
// at the first of keep(name, 1), keep(name, 2) and so on that is free. The copy
// is on disk before the new file gets the name; kept is its path.
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
func (c *Card) Replace(ctx context.Context, who strictmodes.Account, name string, keep func(name string, n int) string, edit func(path string, old []byte) ([]byte, error)) (kept string, err error) {
	s, err := c.find(ctx, who, name)
	if err != nil {
		return "", err
	}
	defer s.base.close()
	var dir *os.File
	var old []byte
	if !s.noDir {
		if dir, err = s.open(s.dir); err != nil {
			return "", err
		}
		defer dir.Close()
		if old, err = s.read(dir); err != nil {
			return "", err
		}
	}
	data, err := edit(s.path, old)
	if data == nil || err != nil {
		return "", err
	}
	if s.noDir {
		if dir, err = s.makeDir(); err != nil {
			return "", err
		}
		defer dir.Close()
	}
	t, err := takeTurn(ctx, dir, TurnPatience)
	if err != nil {
		return "", err
	}
	defer t.leave()
	f, err := s.file(dir, false) // as it is in our turn
	if err != nil {
		return "", err
	}
	same := old == nil
	if f != nil {
		defer f.Close()
		if same, err = holds(f, old); err != nil {
			return "", s.failed(err)
		}
		same = same && old != nil
	}
	if !same {
		old = nil
		if f != nil {
			if old, err = s.contents(f); err != nil {
				return "", err
			}
		}
		if data, err = edit(s.path, old); data == nil || err != nil {
			return "", err
		}
	}
	if keep != nil && f != nil {
		if kept, err = s.preserve(t, f, old, keep); err != nil {
			return "", err
		}
	}
	if err := s.write(t, f, old, data); err != nil {
		if kept != "" && !errors.Is(err, ErrUnsure) { // a copy of what still is there
			unix.Unlinkat(t.dir.fd(), path.Base(kept), 0)
		}
		return "", err
	}
	// By its name, once more: the directory may be another by now.
	if _, now, err := c.openKeys(ctx, who, name); err != nil {
		return "", fmt.Errorf("%w: reading it back: %w", ErrUnsure, err)
	} else if now != nil {
		defer now.Close()
		if same, err = holds(now, data); err != nil {
			return "", fmt.Errorf("%w: reading it back: %w", ErrUnsure, err)
		}
	} else {
		same = false
	}
	if !same {
		return "", fmt.Errorf("%w: something else was read back", ErrUnsure)
	}
	return kept, nil
}

// A spot is where a file of an account is, or will be.
type spot struct {
	who    strictmodes.Account
	base   handle // what links must not leave
	dir    string // below base; no link in it
	name   string
	path   string // of the card
	noDir  bool
	linked bool // through a link that, most likely, is the account's own
}

func (c *Card) find(ctx context.Context, who strictmodes.Account, name string) (spot, error) {
	name = path.Clean(name)
	base, rest := who.Home, strings.TrimPrefix(name, strings.TrimSuffix(who.Home, "/")+"/")
	if path.IsAbs(rest) {
		base, rest = path.Split(name)
	}
	s := spot{who: who, path: path.Join(base, rest)}
	h, err := c.look(base, unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) && base == who.Home {
		err = ErrNoHome
	}
	if err != nil {
		return s, &fs.PathError{Op: "opening", Path: base, Err: err}
	}
	at, err := Follow(ctx, c, base, rest)
	if err != nil {
		h.close()
		return s, err
	}
	s.base, s.dir, s.name, s.noDir = h, at.Dir, at.Name, at.NoDir
	real := path.Join(at.Dir, at.Name)
	s.path, s.linked = path.Join(base, real), real != rest
	return s, nil
}

// open opens a directory below base. No link is followed: one that is there now
// was not when Follow looked.
func (s spot) open(dir string) (*os.File, error) {
	h, err := resolve(s.base, dir, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err == unix.EXDEV {
		err = ErrChanged
	}
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: path.Dir(s.path), Err: notReal(err)}
	}
	return os.NewFile(uintptr(h), path.Dir(s.path)), nil
}

// mine reports whether the account may have what belongs to this uid.
func (s spot) mine(uid uint32) bool {
	return int(uid) == s.who.UID || uid == 0 && !s.linked
}

// read reads the file in dir; nil if there is none.
func (s spot) read(dir *os.File) ([]byte, error) {
	f, err := s.file(dir, false)
	if f == nil || err != nil {
		return nil, err
	}
	defer f.Close()
	return s.contents(f)
}

// contents reads the whole file.
func (s spot) contents(f *os.File) ([]byte, error) {
	_, err := f.Seek(0, io.SeekStart)
	var data []byte
	if err == nil {
		data, err = readAtMost(f, maxKeys)
	}
	if err != nil {
		return nil, s.failed(err)
	}
	return data, nil
}

func (s spot) failed(err error) error {
	return &fs.PathError{Op: "opening", Path: s.path, Err: plain(err)}
}

// file opens the file in dir; nil if there is none. One with further hard links,
// which may be somebody else's, is not written, and only looked at if it is the
// account's own.
func (s spot) file(dir *os.File, look bool) (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		return nil, &fs.PathError{Op: "opening", Path: s.path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return fail(err)
	}
	if !s.mine(st.Uid) {
		return nil, &fs.PathError{Op: "using", Path: path.Dir(s.path), Err: fmt.Errorf("%w, uid %d", ErrOwner, st.Uid)}
	}
	fd, err := openat(int(dir.Fd()), s.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return fail(err)
	}
	h := handle(fd)
	defer h.close()
	if err := unix.Fstat(fd, &st); err != nil {
		return fail(err)
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return fail(fmt.Errorf("%w: it is a link", ErrChanged))
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fail(ErrNotRegular)
	case st.Nlink > 1 && !(look && int(st.Uid) == s.who.UID):
		return fail(ErrLinked)
	case !s.mine(st.Uid):
		return fail(fmt.Errorf("%w, uid %d", ErrOwner, st.Uid))
	}
	f, err := h.regular(maxKeys)
	if err != nil {
		return fail(err)
	}
	return f, nil
}

// holds reports whether what is left to read of a file is this.
func holds(f io.Reader, content []byte) (bool, error) {
	b := make([]byte, 64<<10)
	for {
		n, err := f.Read(b)
		if !bytes.HasPrefix(content, b[:n]) {
			return false, nil
		}
		content = content[n:]
		if err == io.EOF {
			return len(content) == 0, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// makeDir makes the directory of the file and gives it to the account.
func (s spot) makeDir() (*os.File, error) {
	fail := func(err error) (*os.File, error) {
		return nil, &fs.PathError{Op: "making", Path: path.Dir(s.path), Err: plain(err)}
	}
	above, err := s.open(path.Dir(s.dir))
	if err != nil {
		return nil, err
	}
	defer above.Close()
	err = unix.Mkdirat(int(above.Fd()), path.Base(s.dir), 0o700)
	if err == unix.EEXIST { // another writer was faster
		return s.open(s.dir)
	}
	if err != nil {
		return fail(err)
	}
	dir, err := s.open(s.dir)
	if err != nil {
		return nil, err
	}
	err = func() error {
		if err := give(dir, s.who.UID, s.who.Groups[0]); err != nil {
			return err
		}
		if err := dir.Sync(); err != nil {
			return err
		}
		return above.Sync()
	}()
	if err != nil {
		dir.Close()
		unix.Unlinkat(int(above.Fd()), path.Base(s.dir), unix.AT_REMOVEDIR)
		return fail(err)
	}
	return dir, nil
}

// chown gives a file that we have made to an account, if it is not so already.
func chown(f *os.File, uid, gid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if int(st.Uid) == uid && int(st.Gid) == gid {
		return nil
	}
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("%w: giving it to uid %d, gid %d: %v", ErrOwner, uid, gid, plain(err))
	}
	return nil
}

// write puts data in the place of old, whose content was that; both nil if
// there is none.
func (s spot) write(t *turn, old *os.File, content, data []byte) error {
	err := func() error {
		if err := s.fill(t.file, old, data); err != nil {
			return err
		}
		if err := s.unchanged(t.dir.fd(), old, content); err != nil {
			return err
		}
		return evicted(t.dir.PosixRename(path.Join(t.name, t.file.Name()), s.name))
	}()
	if err != nil {
		return &fs.PathError{Op: "writing", Path: s.path, Err: plain(err)}
	}
	if err := t.dir.Sync(); err != nil {
		return fmt.Errorf("%w: bringing it to the disk: %w", ErrUnsure, plain(err))
	}
	return nil
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
func (s spot) preserve(t *turn, old *os.File, content []byte, keep func(name string, n int) string) (string, error) {
	temp := rand.Text()
	kept, err := func() (string, error) {
		f, err := t.create(temp)
		if err != nil {
			return "", err
		}
		if err := s.fill(f, old, content); err != nil {
			return "", err
		}
		for n := 1; ; n++ {
			name := keep(s.name, n)
			switch err := unix.Renameat2(t.dir.fd(), path.Join(t.name, temp), t.dir.fd(), name, unix.RENAME_NOREPLACE); err {
			case nil:
				return path.Join(path.Dir(s.path), name), t.dir.Sync()
			case unix.EEXIST:
			default:
				return "", evicted(err)
			}
		}
	}()
	if err != nil {
		unix.Unlinkat(int(t.own.Fd()), temp, 0)
		return "", &fs.PathError{Op: "keeping a copy of", Path: s.path, Err: plain(err)}
	}
	return kept, nil
}

// fill writes and closes the new file and gives it what the old one has.
func (s spot) fill(f, old *os.File, data []byte) error {
	err := func() error {
		if _, err := f.Write(data); err != nil {
			return err
		}
		want := unix.Stat_t{Mode: 0o600, Uid: uint32(s.who.UID), Gid: uint32(s.who.Groups[0])}
		if old != nil {
			if err := unix.Fstat(int(old.Fd()), &want); err != nil {
				return err
			}
		}
		if err := chown(f, int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
		if err := unix.Fchmod(int(f.Fd()), want.Mode&0o7777); err != nil {
			return err
		}
		if old != nil {
			if err := keepAttributes(f, old); err != nil {
				return err
			}
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return err
		}
		if st.Mode&0o7777 != want.Mode&0o7777 || st.Uid != want.Uid || st.Gid != want.Gid {
			return fmt.Errorf("%w: uid %d, gid %d, mode %04o came", ErrModesIgnored, st.Uid, st.Gid, st.Mode&0o7777)
		}
		return f.Sync()
	}()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// unchanged says whether the name still leads to the old file, and that holds
// what it held: somebody may write who takes no turns.
func (s spot) unchanged(dir int, old *os.File, content []byte) error {
	var now, was unix.Stat_t
	err := unix.Fstatat(dir, s.name, &now, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT && old == nil:
		return nil
	case err == unix.ENOENT || err == nil && old == nil:
		return ErrChanged
	case err != nil:
		return err
	}
	if err := unix.Fstat(int(old.Fd()), &was); err != nil {
		return err
	}
	if _, err := old.Seek(0, io.SeekStart); err != nil {
		return err
	}
	same, err := holds(old, content)
	switch {
	case err != nil:
		return err
	case now.Dev != was.Dev || now.Ino != was.Ino || was.Nlink > 1 || !same:
		return ErrChanged
	}
	return nil
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
