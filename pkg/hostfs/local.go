package hostfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
)

// Local returns the files of this machine. On Linux its changes are safe when
// root works in the home of a user who swaps files and links meanwhile: every
// component is opened from the root without following links, and what was
// looked at is what is changed. Elsewhere only the last component is guarded.
//
// The kernel keeps Rename and Copy from replacing anything on Linux and macOS;
// where it or the file system cannot, a look first does. Attributes are
// complete on Linux, lack ACLs on macOS, and are empty elsewhere.
//
// The home of its Account is $HOME, as everywhere on Unix, or else the one in
// passwd(5), which is what sshd uses. On Windows, where files have no modes,
// everything that concerns them fails with errors.ErrUnsupported.
func Local() Machine { return &local{files: here} }

type local struct {
	files
	once     sync.Once
	accounts *accounts
	err      error
}

func (l *local) Lstat(_ context.Context, path string) (strictmodes.Stat, error) {
	return look(path)
}

func (l *local) Readlink(_ context.Context, path string) (string, error) { return os.Readlink(path) }

func (l *local) PrivateGroup(ctx context.Context, gid, owner, uid int) (bool, error) {
	a, err := l.known(ctx)
	if err != nil {
		return false, err
	}
	return a.privateGroup(gid, owner, uid, func(database string, id int) string {
		return getent(ctx, database, strconv.Itoa(id))
	})
}

// Lookup also finds what a directory service knows but does not list.
func (l *local) Lookup(ctx context.Context, name string) (strictmodes.Account, error) {
	a, err := l.known(ctx)
	if err != nil {
		return strictmodes.Account{}, err
	}
	who, err := a.lookup(name)
	if errors.Is(err, ErrNoAccount) {
		one, lerr := readAccounts(getent(ctx, "passwd", name), "").lookup(name) // not whose uid is that name
		if lerr != nil {
			return strictmodes.Account{}, err
		}
		who, err = one, nil
	}
	if err == nil {
		who.Groups = withIDs(who.Groups, strings.TrimPrefix(getent(ctx, "initgroups", name), name))
	}
	return who, err
}

// getent returns what getent(1) says of a key, or "".
func getent(ctx context.Context, database, key string) string {
	out, _ := exec.CommandContext(ctx, "getent", database, "--", key).Output()
	return string(out)
}

// withIDs adds to gids those of a text that are not among them.
func withIDs(gids []int, text string) []int {
	for word := range strings.FieldsSeq(text) {
		if gid, err := id(word); err == nil && !slices.Contains(gids, gid) {
			gids = append(gids, gid)
		}
	}
	return gids
}

func (l *local) Accounts(ctx context.Context) (iter.Seq[strictmodes.Account], error) {
	a, err := l.known(ctx)
	if err != nil {
		return nil, err
	}
	return a.sensible(), nil
}

func (l *local) GroupNames(ctx context.Context, who strictmodes.Account) ([]string, error) {
	a, err := l.known(ctx)
	if err != nil {
		return nil, err
	}
	if who.UID == os.Getuid() {
		// sshd asks getgrouplist(3), as id does: ours may be those of before a change.
		out, _ := exec.CommandContext(ctx, "id", "-G", "--", who.Name).Output()
		if listed := withIDs(nil, string(out)); listed != nil {
			who.Groups = listed
		}
	}
	return a.groupNames(who.Groups), nil
}

// known reads the accounts once.
func (l *local) known(ctx context.Context) (*accounts, error) {
	l.once.Do(func() {
		var passwd, groups string
		if passwd, l.err = database(ctx, "passwd"); l.err == nil {
			groups, l.err = database(ctx, "group")
		}
		l.accounts = readAccounts(passwd, groups)
	})
	return l.accounts, l.err
}

// database returns passwd(5) or group(5) with what getent(1) knows besides, as
// Debian's sshd gets it from getpwent(3).
func database(ctx context.Context, name string) (string, error) {
	if out, err := exec.CommandContext(ctx, "getent", name).Output(); err == nil && len(bytes.TrimSpace(out)) > 0 {
		return string(out), nil
	}
	data, err := os.ReadFile("/etc/" + name)
	return string(data), err
}

// Home returns the current user's home: $HOME, as for every shell's ~, or where
// it is unset, as in many timers, that of passwd(5), which ssh always uses.
func Home(getenv func(string) string) (string, error) {
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Clean(home), nil
	}
	u, err := user.Current()
	if err == nil && !filepath.IsAbs(u.HomeDir) {
		err = errors.New("there is none")
	}
	if err != nil {
		return "", fmt.Errorf("looking up the home of uid %d: %w", os.Getuid(), err)
	}
	return u.HomeDir, nil
}

func (l *local) Account(context.Context) (strictmodes.Account, error) {
	who := strictmodes.Account{UID: os.Getuid()}
	// Of two names of one uid, sshd knows the one that we logged in by.
	if u, err := user.Lookup(os.Getenv("LOGNAME")); err == nil && u.Uid == strconv.Itoa(who.UID) {
		who.Name = u.Username
	} else if u, err := user.Current(); err == nil {
		who.Name = u.Username
	}
	var err error
	if who.Home, err = Home(os.Getenv); err != nil {
		return who, err
	}
	if groups, err := os.Getgroups(); err == nil {
		who.Groups = append([]int{os.Getgid()}, groups...)
	}
	return who, nil
}

func (l *local) ReadFile(_ context.Context, path string) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, &fs.PathError{Op: "opening", Path: path, Err: plain(err)}
	}
	defer f.Close()
	return bounded.ReadAll(f, maxRead)
}

func (l *local) Glob(ctx context.Context, pattern string) ([]string, error) {
	return glob(ctx, l, pattern, func(dir string) ([]string, error) {
		d, err := openDir(dir)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.Readdirnames(-1)
	})
}

// maxRead is how much is read or copied, in bytes, of a file such as passwd or
// sshd_config.
const maxRead = 4 << 20
