package hostfs

import (
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
	"time"

	"golang.org/x/sys/unix"
)

// turnName is the directory that stands for the turn of all who write a keys file:
// of far shells and of sftp too, since the card may be the root of a machine
// that runs. Whoever is alone in it has the turn.
const turnName = ".authorized_keys.turn"

// How long is waited for the turn, and how long a writer may keep it without a
// sign of life before it is taken for dead.
const (
	turnWait     = 20 * time.Second
	turnPatience = 10 * time.Second
)

// A turn is a directory with the new file in it, and one more, so that it is not
// over before what was written is read back. It is made under a name of its own
// and renamed to turnName, which rename(2) does over nothing or an empty directory
// only.
//
// A writer that died leaves its turn behind, and is cleared away by one that has
// watched it for turnPatience. If it lives after all it has lost its new file,
// which therefore goes to its place by the name of the turn, and not by the
// open directory: it changes nothing then, and no line is lost.
type turn struct {
	dir  *os.File // of the keys file
	name string   // in dir
	own  *os.File // it
	file *os.File // the new one in it
	mark string   // the other's name
}

// takeTurn waits for the turn in dir. The directory is given to the owner of dir,
// whose own writers must be able to look into it, and to clear it away.
func takeTurn(ctx context.Context, dir *os.File, patience time.Duration) (*turn, error) {
	t, err := newTurn(dir)
	if err != nil {
		return nil, &fs.PathError{Op: "making a directory in", Path: dir.Name(), Err: plain(err)}
	}
	if err := t.wait(ctx, patience); err != nil {
		t.end()
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		return nil, &fs.PathError{Op: "taking", Path: path.Join(dir.Name(), turnName), Err: plain(err)}
	}
	return t, nil
}

// newTurn makes the directory and two empty files in it, both before it is anybody's
// turn: whoever clears it away takes all that he has seen there.
func newTurn(dir *os.File) (_ *turn, err error) {
	t := &turn{dir: dir, name: ".authorized_keys." + rand.Text(), mark: rand.Text()}
	if err := unix.Mkdirat(t.fd(), t.name, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.end()
		}
	}()
	fd, err := openat(t.fd(), t.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	t.own = os.NewFile(uintptr(fd), t.name)
	var st unix.Stat_t
	if err := unix.Fstat(t.fd(), &st); err != nil {
		return nil, err
	}
	owner := os.Geteuid()
	if owner == 0 {
		owner = int(st.Uid)
	}
	if err := give(t.own, owner, os.Getegid()); err != nil {
		return nil, err
	}
	mark, err := t.create(t.mark)
	if err != nil {
		return nil, err
	}
	mark.Close()
	t.file, err = t.create(rand.Text())
	return t, err
}

func (t *turn) fd() int { return int(t.dir.Fd()) }

// create makes a file in the directory of the turn, closed to others.
func (t *turn) create(name string) (*os.File, error) {
	fd, err := openat(int(t.own.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (t *turn) wait(ctx context.Context, patience time.Duration) error {
	begun := time.Now()
	seen, since := "", begun
	for {
		err := unix.Renameat(t.fd(), t.name, t.fd(), turnName)
		if err == nil {
			t.name = turnName
			return nil
		}
		if err != unix.ENOTEMPTY && err != unix.EEXIST {
			return lostTurn(err)
		}
		now, err := t.holder()
		switch {
		case err != nil && !errors.Is(err, fs.ErrNotExist): // given back just now, perhaps while it was read
			return err
		case time.Since(begun) > turnWait:
			return fmt.Errorf("%w: another writer did not finish in time", ErrChanged)
		case now != seen:
			seen, since = now, time.Now()
		case time.Since(since) > patience:
			t.clear()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// holder returns what is in the turn, and how that looks.
func (t *turn) holder() (string, error) {
	d, err := t.enter(t.dir, turnName)
	if err != nil {
		return "", err
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return "", err
	}
	slices.Sort(names)
	var signs strings.Builder
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(int(d.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			fmt.Fprintln(&signs, name, st.Size, st.Mtim)
		}
	}
	return signs.String(), nil
}

// enter opens a directory of the owner of the directory of the keys file: nothing of
// another's is cleared away.
func (t *turn) enter(in *os.File, name string) (*os.File, error) {
	fd, err := openat(int(in.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(fd), name)
	var st, ours unix.Stat_t
	if err = errors.Join(unix.Fstat(fd, &st), unix.Fstat(t.fd(), &ours)); err == nil && st.Uid != ours.Uid {
		err = fmt.Errorf("%w, uid %d", ErrOwner, st.Uid)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// clear takes a turn away, and removes it as far as it is what a writer makes: a
// directory with files, or with a directory with files. What stays of it stands in
// nobody's way.
func (t *turn) clear() {
	aside := ".authorized_keys." + rand.Text()
	if unix.Renameat(t.fd(), turnName, t.fd(), aside) != nil {
		return
	}
	if d, err := t.enter(t.dir, aside); err == nil {
		t.empty(d, 1)
	}
	unix.Unlinkat(t.fd(), aside, unix.AT_REMOVEDIR)
}

// empty removes what is in d, to a depth, and closes it.
func (t *turn) empty(d *os.File, depth int) {
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, name := range names {
		if unix.Unlinkat(int(d.Fd()), name, 0) == nil || depth == 0 {
			continue
		}
		if below, err := t.enter(d, name); err == nil {
			t.empty(below, depth-1)
			unix.Unlinkat(int(d.Fd()), name, unix.AT_REMOVEDIR)
		}
	}
}

// end leaves nothing behind. What is another's by now is not empty, or gone.
func (t *turn) end() {
	if t.file != nil {
		t.file.Close()
		unix.Unlinkat(int(t.own.Fd()), t.file.Name(), 0)
	}
	if t.own != nil {
		unix.Unlinkat(int(t.own.Fd()), t.mark, 0)
		t.own.Close()
	}
	unix.Unlinkat(t.fd(), t.name, unix.AT_REMOVEDIR)
}

// give makes a new directory an account's, if it is the one that we have made:
// ours, closed to others, and with nothing in it.
func give(dir *os.File, uid, gid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return err
	}
	if _, err := dir.Readdirnames(1); err != io.EOF || int(st.Uid) != os.Geteuid() || st.Mode&0o77 != 0 {
		return ErrChanged
	}
	if err := chown(dir, uid, gid); err != nil {
		return err
	}
	return dir.Chmod(0o700) // whatever the umask is
}
