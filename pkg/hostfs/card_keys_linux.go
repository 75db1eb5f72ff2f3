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
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
	"pi-key-tools/pkg/unixpath"
)

// ReadKeys reads a file of an account as Replace sees it, even one of its own
// that Replace refuses for further hard links; nil if there is none.
func (c *Card) ReadKeys(ctx context.Context, who strictmodes.Account, name string) (string, []byte, error) {
	s, err := c.find(ctx, who, name)
	if err != nil {
		return s.path, nil, err
	}
	defer s.close()
	f, data, err := s.read(true)
	f.Close()
	return s.path, data, err
}

// A spot is where a file of an account is, or will be.
type spot struct {
	who    strictmodes.Account
	base   handle // what links must not leave
	below  string // the directory below base; no link in it
	in     folder // it; nil if it is missing
	name   string
	path   string // of the card
	linked bool   // through a link that, most likely, is the account's own
}

// find returns the spot that a name of an account leads to, for the caller to
// close.
func (c *Card) find(ctx context.Context, who strictmodes.Account, name string) (spot, error) {
	name = unixpath.Clean(name)
	base, rest := who.Home, strings.TrimPrefix(name, strings.TrimSuffix(who.Home, "/")+"/")
	if path.IsAbs(rest) {
		base, rest = path.Split(name)
		if unixpath.Climbs(base) {
			if real, _, err := strictmodes.RealPath(ctx, c, base); err == nil {
				base = real
			}
		}
	}
	s := spot{who: who, path: path.Join(base, rest)}
	h, err := c.look(base, unix.O_DIRECTORY)
	if errors.Is(err, fs.ErrNotExist) && base == who.Home {
		err = ErrNoHome
	}
	if err != nil {
		return s, &fs.PathError{Op: "opening", Path: base, Err: err}
	}
	s.base = h
	at, err := Follow(ctx, c, base, rest)
	if err == nil {
		real := path.Join(at.Dir, at.Name)
		s.below, s.name, s.path, s.linked = at.Dir, at.Name, path.Join(base, real), real != rest
		if !at.NoDir {
			s.in, err = s.open(s.below)
		}
	}
	if err != nil {
		s.close()
	}
	return s, err
}

func (s *spot) close() {
	s.in.Close()
	s.base.close()
}

// open opens a directory below base. No link is followed: one that is there now
// was not when Follow looked.
func (s spot) open(dir string) (folder, error) {
	h, err := resolve(s.base, dir, unix.O_RDONLY|unix.O_DIRECTORY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
	if err == unix.EXDEV {
		err = ErrChanged
	}
	if err != nil {
		return folder{}, &fs.PathError{Op: "opening", Path: path.Dir(s.path), Err: notReal(err)}
	}
	return folder{os.NewFile(uintptr(h), path.Dir(s.path))}, nil
}

// makeDir makes the directory of the file, for the account. It has another name until
// it is theirs: who finds it by then may write there at once.
func (s *spot) makeDir() error {
	above, err := s.open(path.Dir(s.below))
	if err != nil {
		return err
	}
	defer above.Close()
	name := path.Base(s.below)
	temp := name + "." + rand.Text()
	if err = unix.Mkdirat(above.fd(), temp, 0o700); err == nil {
		if s.in, err = s.open(path.Join(path.Dir(s.below), temp)); err == nil {
			err = give(s.in.File, s.who.UID, s.who.Groups[0])
		}
		if err == nil {
			err = flush(s.in.File)
		}
		if err == nil {
			err = above.rename(temp, name)
		}
		if err != nil {
			unix.Unlinkat(above.fd(), temp, unix.AT_REMOVEDIR)
		}
	}
	switch {
	case errors.Is(err, fs.ErrExist): // another writer was faster
		s.in.Close()
		s.in, err = s.open(s.below)
		return err
	case err == nil:
		err = flush(above.File)
	}
	return s.failed("making", path.Dir(s.path), err)
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
	if err := giveTo(dir, uid, gid); err != nil {
		return err
	}
	return dir.Chmod(0o700) // whatever the umask is
}

// failed is an error with the place that it is about.
func (spot) failed(doing, place string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: doing, Path: place, Err: plain(err)}
}

// mine reports whether the account may have what belongs to this uid.
func (s spot) mine(uid uint32) bool {
	return int(uid) == s.who.UID || uid == 0 && !s.linked
}

// read opens and reads the file; nil if there is none. The caller closes it.
func (s spot) read(look bool) (f *os.File, data []byte, err error) {
	if s.in.File == nil {
		return nil, nil, nil
	}
	if st, err := s.in.stat("."); err != nil {
		return nil, nil, s.failed("opening", s.path, err)
	} else if !s.mine(st.Uid) {
		return nil, nil, s.failed("using", path.Dir(s.path), fmt.Errorf("%w, uid %d", ErrOwner, st.Uid))
	}
	if f, err = s.file(look); f != nil {
		if data, err = contents(f); err != nil {
			f.Close()
			f = nil
		}
	}
	return f, data, s.failed("opening", s.path, err)
}

// file opens the file. One with further hard links, which may be somebody else's, is
// not written, and only looked at if it is the account's own.
func (s spot) file(look bool) (*os.File, error) {
	fd, err := openat(s.in.fd(), s.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h := handle(fd)
	defer h.close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return nil, fmt.Errorf("%w: it is a link", ErrChanged)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, ErrNotRegular
	case st.Nlink > 1 && !(look && int(st.Uid) == s.who.UID):
		return nil, ErrLinked
	case !s.mine(st.Uid):
		return nil, fmt.Errorf("%w, uid %d", ErrOwner, st.Uid)
	}
	return h.regular(bounded.MaxFile)
}

// contents reads the whole file, once more if need be.
func contents(f *os.File) ([]byte, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	data, err := bounded.ReadAll(f, bounded.MaxFile)
	if err == nil { // it keeps nobody waiting, however long the writing takes until the next time
		_ = f.SetReadDeadline(time.Time{})
	}
	return data, err
}
