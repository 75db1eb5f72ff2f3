package hostfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

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
	return a.privateGroup(gid, owner, uid), nil
}

// Lookup also finds what a directory service knows but does not list.
func (l *local) Lookup(ctx context.Context, name string) (strictmodes.Account, error) {
	a, err := l.known(ctx)
	if err != nil {
		return strictmodes.Account{}, err
	}
	who, err := a.lookup(name)
	if !errors.Is(err, ErrNoAccount) {
		return who, err
	}
	line, _ := exec.CommandContext(ctx, "getent", "passwd", "--", name).Output()
	one, lerr := readAccounts(string(line), "").lookup(name) // not whose uid is that name
	if lerr != nil {
		return strictmodes.Account{}, err
	}
	groups, _ := exec.CommandContext(ctx, "getent", "initgroups", "--", name).Output()
	one.Groups = withIDs(one.Groups, strings.TrimPrefix(string(groups), name))
	return one, nil
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
	if u, err := user.Current(); err == nil {
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
	return ReadAtMost(f, maxRead)
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

const (
	maxRead = 4 << 20   // what is read or copied, such as passwd or sshd_config
	maxKeys = 128 << 20 // more than 100,000 long RSA keys

	maxNames = 10_000 // that a pattern may make us look at: a user's may lead anywhere
)

// Read is os.ReadFile for ssh's own files, which the user may point anywhere,
// even at a pipe. The error is ErrTooLarge for /dev/zero and for anything
// larger than such files ever are.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadAll(f)
}

// Await returns what do returns, or the cause of the end of ctx if that comes
// first: to open or read a pipe, for one, can take for ever and cannot be called
// off. do goes on then, and is not to write to what the caller looks at.
func Await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := context.Cause(ctx); err != nil {
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// Open is os.Open for a file that may be a pipe.
func Open(ctx context.Context, path string) (*os.File, error) {
	return Await(ctx, func() (*os.File, error) { return os.Open(path) })
}

// ReadAll is Read for an open file.
func ReadAll(f *os.File) ([]byte, error) {
	data, err := ReadAtMost(f, bound(f))
	if errors.Is(err, ErrTooLarge) {
		return nil, &fs.PathError{Op: "read", Path: f.Name(), Err: err}
	}
	return data, err
}

// Bounded returns what reads an open file no further than ReadAll does.
func Bounded(f *os.File) io.Reader {
	return &bounded{f, bound(f), &fs.PathError{Op: "read", Path: f.Name(), Err: ErrTooLarge}}
}

// AtMost returns what reads no further than most bytes, as ReadAtMost does.
func AtMost(r io.Reader, most int64) io.Reader { return &bounded{r, most, ErrTooLarge} }

type bounded struct {
	r        io.Reader // not embedded: io.Copy would find a file's WriteTo, which knows no bound
	left     int64
	tooLarge error
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, b.tooLarge
	}
	return n, err
}

func bound(f *os.File) int64 {
	if info, err := f.Stat(); err == nil && info.Mode()&fs.ModeDevice != 0 { // ends at once, as /dev/null, or never
		return 64 << 10
	}
	return maxKeys
}

// ReadAtMost reads to the end, which is no further than most bytes away: else the
// error is ErrTooLarge.
func ReadAtMost(r io.Reader, most int64) ([]byte, error) {
	var data bytes.Buffer
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil { // whose size may be another by now, or none at all
			if info.Size() > most {
				return nil, ErrTooLarge
			}
			data.Grow(int(max(info.Size(), 0)) + bytes.MinRead)
		}
	}
	n, err := data.ReadFrom(io.LimitReader(r, most+1))
	if err == nil && n > most {
		err = ErrTooLarge
	}
	return data.Bytes(), err
}

// glob returns what a pattern of an absolute path leads to, sorted, by the
// rules of glob(3): a leading dot is matched by a dot alone, and what has no
// special character need not be in a directory that can be read. names lists one.
// The error is ErrTooMany rather than that the whole disk is searched.
func glob(ctx context.Context, tree strictmodes.Tree, pattern string, names func(dir string) ([]string, error)) ([]string, error) {
	if !path.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path", pattern)
	}
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }
	found, looked := []string{""}, 0
	parts := components(strings.ReplaceAll(pattern, "[!", "[^"))
	for i, c := range parts {
		var next []string
		for _, dir := range found {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			if !strings.ContainsAny(c, `*?[\`) {
				if i < len(parts)-1 { // whether it is there, what is in it will tell
					next = append(next, dir+"/"+c)
					continue
				}
				_, err := tree.Lstat(ctx, dir+"/"+c)
				if err == nil {
					next = append(next, dir+"/"+c)
				} else if !missing(err) {
					return nil, err
				}
				continue
			}
			all, err := names(dir + "/")
			if err != nil && !missing(err) {
				return nil, err
			}
			if looked += len(all); looked > maxNames {
				return nil, fmt.Errorf("%s: %w", pattern, ErrTooMany)
			}
			for _, name := range all {
				ok, err := path.Match(c, name)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", pattern, err)
				}
				if ok && (c[0] == '.' || name[0] != '.') {
					next = append(next, dir+"/"+name)
				}
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}
