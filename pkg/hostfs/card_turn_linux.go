package hostfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"golang.org/x/sys/unix"
)

// A turn is a directory with the new file in it (see TurnName), and one more, so
// that it is not over before what was written is read back.
type turn struct {
	dir  turnDir  // of the keys file
	name string   // in dir
	own  *os.File // it
	file *os.File // the new one in it
	mark string   // the other's name
}

// takeTurn waits for the turn in dir. The directory is given to the owner of dir,
// whose own writers must be able to look into it, and to clear it away.
func takeTurn(ctx context.Context, dir folder, patience time.Duration) (*turn, error) {
	t, err := newTurn(turnDir{dir})
	if err != nil {
		return nil, &fs.PathError{Op: "making a directory in", Path: dir.Name(), Err: plain(err)}
	}
	name, err := TakeTurn(ctx, t.dir, t.name, patience, time.Now().Add(TurnWait))
	if err != nil {
		t.leave()
		return nil, &fs.PathError{Op: "taking", Path: path.Join(dir.Name(), TurnName), Err: plain(err)}
	}
	t.name = name
	return t, nil
}

// newTurn makes the directory and two empty files in it, both before it is anybody's
// turn: whoever clears it away takes all that he has seen there.
func newTurn(dir turnDir) (_ *turn, err error) {
	t := &turn{dir: dir, name: AwaitedTurn("."), mark: rand.Text()}
	if err := unix.Mkdirat(dir.fd(), t.name, 0o700); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.leave()
		}
	}()
	fd, err := openat(dir.fd(), t.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	t.own = os.NewFile(uintptr(fd), t.name)
	owner := os.Geteuid()
	if owner == 0 {
		st, err := dir.stat(".")
		if err != nil {
			return nil, err
		}
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

// create makes a file in the directory of the turn, closed to others.
func (t *turn) create(name string) (*os.File, error) {
	fd, err := openat(int(t.own.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// leave leaves nothing behind. What is another's by now is not empty, or gone.
func (t *turn) leave() {
	if t.file != nil {
		t.file.Close()
		unix.Unlinkat(int(t.own.Fd()), t.file.Name(), 0)
	}
	if t.own != nil {
		unix.Unlinkat(int(t.own.Fd()), t.mark, 0)
		t.own.Close()
	}
	unix.Unlinkat(t.dir.fd(), t.name, unix.AT_REMOVEDIR)
}

// A turnDir is a TurnDir in which nothing but its owner's is looked into or removed.
type turnDir struct{ folder }

func (d turnDir) enter(name string) (folder, error) {
	h, err := resolve(handle(d.fd()), name, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return folder{}, err
	}
	in := folder{os.NewFile(uintptr(h), h.name())}
	st, err := in.stat(".")
	ours, oerr := d.stat(".")
	if err = errors.Join(err, oerr); err == nil && st.Uid != ours.Uid {
		err = fmt.Errorf("%w, uid %d", ErrOwner, st.Uid)
	}
	if err != nil {
		in.Close()
		return folder{}, err
	}
	return in, nil
}

func (d turnDir) ReadDir(name string) ([]fs.FileInfo, error) {
	in, err := d.enter(name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return in.Readdir(-1)
}

func (d turnDir) PosixRename(from, to string) error {
	return unix.Renameat(d.fd(), from, d.fd(), to)
}

func (d turnDir) Remove(name string) error {
	in, err := d.enter(path.Dir(name))
	if err != nil {
		return err
	}
	defer in.Close()
	if unix.Unlinkat(in.fd(), path.Base(name), 0) == nil {
		return nil
	}
	return unix.Unlinkat(in.fd(), path.Base(name), unix.AT_REMOVEDIR)
}
