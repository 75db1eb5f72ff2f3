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

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/strictmodes"
)

// now looks again at what is to be changed, which no link may lead to.
func (s *sftpFS) now(p string, was strictmodes.Stat) (fs.FileInfo, error) {
	dir := path.Dir(p)
	if real, err := s.realPath(dir); err != nil {
		return nil, err
	} else if real != path.Clean(dir) {
		return nil, fmt.Errorf("%w: a link leads to %s", ErrChanged, real)
	}
	info, err := s.lstat(p)
	if err != nil {
		return nil, err
	}
	return info, same(was, sftpStat(info))
}

// open opens what is still as it was. The error is fs.ErrPermission for what we
// may not read.
func (s *sftpFS) open(p string, was strictmodes.Stat) (*sftp.File, error) {
	before, err := s.now(p, was)
	if err != nil {
		return nil, err
	}
	f, err := s.openFile(p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	is, err := Given(f.Stat())
	if err == nil && (sftpStat(is) != sftpStat(before) || is.Size() != before.Size() || !is.ModTime().Equal(before.ModTime())) {
		err = fmt.Errorf("%w: it is %v now", ErrChanged, is.Mode())
	}
	if err == nil {
		_, err = s.now(p, was)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// errUnseen is why more is not done to a file that may be known by other names.
var errUnseen = fmt.Errorf("%w: whether it has further hard links cannot be seen by sftp", errors.ErrUnsupported)

func (s *sftpFS) Chmod(ctx context.Context, p string, was strictmodes.Stat, mode fs.FileMode) error {
	return changeMode(p, was, mode, func(mode fs.FileMode) (strictmodes.Stat, error) {
		if was.Mode.IsRegular() {
			if me, err := s.Account(ctx); err != nil {
				return was, err
			} else if me.UID != was.UID {
				return was, errUnseen
			}
		}
		return s.change(ctx, p, was, func(f *sftp.File) error { return f.Chmod(mode) }, func() error { return s.client.Chmod(p, mode) })
	})
}

func (s *sftpFS) Chown(ctx context.Context, p string, was strictmodes.Stat, uid int) error {
	return changeOwner(p, was, uid, func() (strictmodes.Stat, error) {
		if was.Mode.IsRegular() {
			return was, errUnseen
		}
		return s.change(ctx, p, was, func(f *sftp.File) error { return f.Chown(uid, was.GID) }, nil)
	})
}

// change does something to what is still as it was, by its handle, or by name if
// it cannot be opened and there is a way, and returns how it is then.
func (s *sftpFS) change(ctx context.Context, p string, was strictmodes.Stat, do func(*sftp.File) error, byName func() error) (now strictmodes.Stat, err error) {
	f, err := s.open(p, was)
	switch {
	case err == nil:
		err = do(f)
		f.Close()
	case errors.Is(err, fs.ErrPermission) && byName != nil:
		if _, err = s.now(p, was); err == nil {
			err = byName()
		}
	}
	s.forget()
	if err == nil {
		now, err = s.Lstat(ctx, p)
	}
	return now, s.reason(ctx, p, err)
}

// failed says what an error was of.
func (s *sftpFS) failed(ctx context.Context, doing, p string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, s.reason(ctx, p, err))
}

// reason says more than "failure"; see TakesNothing.
func (s *sftpFS) reason(ctx context.Context, p string, err error) error {
	var status *sftp.StatusError
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if errors.As(err, &status) {
		if why := TakesNothing(s.client, path.Dir(p)); why != nil {
			return why
		}
	}
	return err
}

// durable says whether what we are about to do can be brought to the disk.
func (s *sftpFS) durable() error {
	if _, ok := s.client.HasExtension("fsync@openssh.com"); !ok {
		return fmt.Errorf("%w: the sftp server there cannot bring a change to the disk (fsync@openssh.com)", errors.ErrUnsupported)
	}
	return nil
}

// sync brings the names in a directory to the disk.
func (s *sftpFS) sync(dir string) error {
	d, err := s.openFile(dir, os.O_RDONLY)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: bringing it to the disk: %w", ErrUnsure, err)
	}
	return nil
}

// free fails if there is anything.
func (s *sftpFS) free(p string) error {
	switch _, err := s.lstat(p); {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// orExists gives an error that says no more than "failure" its usual reason.
func (s *sftpFS) orExists(p string, err error) error {
	if err != nil && errors.Is(s.free(p), fs.ErrExist) {
		return fs.ErrExist
	}
	return err
}

func (s *sftpFS) Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error {
	defer s.forget()
	err := func() error {
		if path.Dir(from) != path.Dir(to) {
			return fmt.Errorf("%s is not in the same directory", to)
		}
		if err := s.durable(); err != nil {
			return err
		}
		if _, err := s.now(from, was); err != nil {
			return err
		}
		if err := s.free(to); err != nil {
			return err
		}
		if err := s.client.Rename(from, to); err != nil {
			return s.orExists(to, err)
		}
		if _, err := s.now(to, was); err != nil {
			return fmt.Errorf("%w: something else was put there meanwhile: %w", ErrUnsure, err)
		}
		return s.sync(path.Dir(to))
	}()
	return s.failed(ctx, "renaming "+from+" to "+path.Base(to), to, err)
}

func (s *sftpFS) Mkdir(ctx context.Context, p string, mode fs.FileMode) error {
	mode = strictmodes.Permissions(mode)
	defer s.forget()
	err := func() error {
		if err := s.durable(); err != nil {
			return err
		}
		if err := s.free(p); err != nil {
			return err
		}
		if err := s.client.Mkdir(p); err != nil { // with the mode that the umask there leaves
			return s.orExists(p, err)
		}
		info, err := s.lstat(p)
		if err != nil {
			return err
		}
		d, err := s.open(p, sftpStat(info))
		if err != nil {
			return err
		}
		defer d.Close()
		if err := setMode(d, fs.ModeDir|mode); err != nil {
			return err
		}
		if err := d.Sync(); err != nil {
			return fmt.Errorf("%w: bringing it to the disk: %w", ErrUnsure, err)
		}
		return s.sync(path.Dir(p))
	}()
	return s.failed(ctx, "making the directory "+p, p, err)
}

// setMode sets a mode and looks whether it took.
func setMode(f *sftp.File, mode fs.FileMode) error {
	if err := f.Chmod(strictmodes.Permissions(mode)); err != nil {
		return err
	}
	if is, err := Given(f.Stat()); err != nil {
		return err
	} else if is.Mode() != mode {
		return fmt.Errorf("%w: it is %v", ErrModesIgnored, is.Mode())
	}
	return nil
}

func (s *sftpFS) Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	defer s.forget()
	err := func() error {
		if !was.Mode.IsRegular() {
			return ErrNotRegular
		}
		if err := s.durable(); err != nil {
			return err
		}
		f, err := s.open(from, was)
		if err != nil {
			return err
		}
		data, _, err := ReadOpen(f, maxRead)
		f.Close()
		if err != nil {
			return err
		}
		if real, err := s.realPath(path.Dir(to)); err != nil {
			return err
		} else if real != path.Clean(path.Dir(to)) {
			return fmt.Errorf("%w: a link leads to %s", ErrChanged, real)
		}
		if err := s.free(to); err != nil {
			return err
		}
		temp := path.Join(path.Dir(to), ".new-"+rand.Text())
		if err := s.write(temp, data, strictmodes.Permissions(mode)); err != nil {
			s.client.Remove(temp)
			return err
		}
		if err := s.client.Rename(temp, to); err != nil {
			s.client.Remove(temp)
			return s.orExists(to, err)
		}
		return s.sync(path.Dir(to))
	}()
	return s.failed(ctx, "copying "+from+" to "+to, to, err)
}

// write makes a new file, brings it to the disk and reads it back.
func (s *sftpFS) write(p string, data []byte, mode fs.FileMode) error {
	f, err := s.openFile(p, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := setMode(f, mode&^0077); err != nil { // before there is anything to read
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	back, _, err := ReadOpen(f, maxRead)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return errors.New("the server returns other bytes than were written")
	}
	if err := setMode(f, mode); err != nil {
		return err
	}
	return f.Sync()
}
