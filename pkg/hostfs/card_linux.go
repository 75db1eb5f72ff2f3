package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/bounded"
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
func (c *Card) Lstat(_ context.Context, name string) (strictmodes.Stat, error) { return c.lstat(name) }

func (c *Card) lstat(name string) (strictmodes.Stat, error) {
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
func (c *Card) PrivateGroup(_ context.Context, gid, owner, uid int) (bool, error) {
	return c.accounts.privateGroup(gid, owner, uid, nil)
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
	for u := range a.users() {
		if u.uid == uid {
			u, _ = a.first(u.name) // which is this one at the latest
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
func (c *Card) Accounts(context.Context) (iter.Seq[strictmodes.Account], error) {
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
	return bounded.ReadAll(f, maxRead)
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
