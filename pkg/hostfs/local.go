package hostfs

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"

	"pi-key-tools/pkg/strictmodes"
)

// Local is the files of this machine. Chmod and Chown are safe on Linux when
// root works in the home of a user who swaps files and links meanwhile: every
// component is opened from the root without following links, and what was
// looked at is what is changed. Elsewhere only the last component is guarded so.
//
// The home of its Account is $HOME, as everywhere on Unix, or else that of
// passwd(5), which is the one that sshd takes. On Windows, where files have no
// modes, its Chmod and Chown fail with errors.ErrUnsupported.
func Local() FS { return &local{} }

type local struct {
	once          sync.Once
	passwd, group string
	err           error
}

func (l *local) Lstat(_ context.Context, path string) (strictmodes.Stat, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return strictmodes.Stat{}, err
	}
	return StatOf(info), nil
}

func (l *local) Readlink(_ context.Context, path string) (string, error) { return os.Readlink(path) }

func (l *local) PrivateGroup(ctx context.Context, gid, owner int) (bool, error) {
	l.once.Do(func() {
		if l.passwd, l.err = database(ctx, "passwd"); l.err == nil {
			l.group, l.err = database(ctx, "group")
		}
	})
	if l.err != nil {
		return false, l.err
	}
	return privateGroup(l.passwd, l.group, gid, owner), nil
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

func (l *local) Account(context.Context) (strictmodes.Account, error) {
	who := strictmodes.Account{UID: os.Getuid(), Home: os.Getenv("HOME")}
	u, err := user.Current()
	if err == nil {
		who.Name = u.Username
	}
	if !filepath.IsAbs(who.Home) {
		if err != nil {
			return who, fmt.Errorf("looking up the home of uid %d: %w", who.UID, err)
		}
		who.Home = u.HomeDir
	}
	if groups, err := os.Getgroups(); err == nil {
		who.Groups = append([]int{os.Getgid()}, groups...)
	}
	return who, nil
}

func (l *local) Chmod(_ context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	mode = strictmodes.Permissions(mode)
	now, err := change(path, was, func(h handle) error { return h.chmod(mode) })
	if err == nil && strictmodes.Permissions(now.Mode) != mode {
		err = fmt.Errorf("%w: the mode is %s", ErrModesIgnored, strictmodes.Octal(now.Mode))
	}
	if err != nil {
		return fmt.Errorf("changing the mode of %s to %s: %w", path, strictmodes.Octal(mode), plain(err))
	}
	return nil
}

func (l *local) Chown(_ context.Context, path string, was strictmodes.Stat, uid int) error {
	now, err := change(path, was, func(h handle) error { return h.chown(uid) })
	if err == nil && now.UID != uid {
		err = fmt.Errorf("%w: the owner is uid %d", ErrModesIgnored, now.UID)
	}
	if err != nil {
		return fmt.Errorf("changing the owner of %s to uid %d: %w", path, uid, plain(err))
	}
	return nil
}

// change opens path, does what is to be done to what is open if that is still
// as it was, and returns how it is then.
func change(path string, was strictmodes.Stat, do func(handle) error) (strictmodes.Stat, error) {
	h, err := open(path)
	if err != nil {
		return strictmodes.Stat{}, err
	}
	defer h.close()
	is, err := h.stat()
	if err != nil {
		return is, err
	}
	if err := same(was, is); err != nil {
		return is, err
	}
	if err := do(h); err != nil {
		return is, err
	}
	return h.stat()
}

// same says whether what is there may be changed as what was judged.
func same(was, is strictmodes.Stat) error {
	switch {
	case !is.Mode.IsDir() && !is.Mode.IsRegular():
		return fmt.Errorf("%w: it is neither a file nor a folder", ErrChanged)
	case was.Mode != is.Mode || was.UID != is.UID || was.GID != is.GID:
		return fmt.Errorf("%w: it is %v of uid %d, gid %d now", ErrChanged, is.Mode, is.UID, is.GID)
	case is.Mode.IsRegular() && is.Nlink > 1:
		return ErrLinked
	}
	return nil
}

func (l *local) Attributes(context.Context, string) (strictmodes.Attributes, error) {
	panic("unwritten")
}

func (l *local) ReadFile(context.Context, string) ([]byte, error) { panic("unwritten") }

func (l *local) Glob(context.Context, string) ([]string, error) { panic("unwritten") }

func (l *local) Rename(context.Context, string, strictmodes.Stat, string) error { panic("unwritten") }

func (l *local) Mkdir(context.Context, string, fs.FileMode) error { panic("unwritten") }

func (l *local) Copy(context.Context, string, strictmodes.Stat, string, fs.FileMode) error {
	panic("unwritten")
}
