package hostfs

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
)

// CreateNew writes a new file durably with exactly this mode: it is complete or
// absent at every moment, and on disk with its name when CreateNew returns nil.
// Nothing is overwritten (fs.ErrExist), and missing parents are not made.
//
// Only where a file system can neither rename without replacing nor make hard
// links is the file written in place, so that a power cut can leave part of it.
func CreateNew(path string, data []byte, mode fs.FileMode) error {
	err := createUnnamed(path, data, mode, nil)
	if errors.Is(err, errors.ErrUnsupported) {
		err = createNew(path, data, mode, publishers)
	} else if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", path, plain(err))
	}
	return nil
}

// A publisher gives a complete file its final name, if that is free. It fails
// with errors.ErrUnsupported where the system or the file system does not know
// this way.
type publisher func(temp, path string) error

func createNew(path string, data []byte, mode fs.FileMode, publishers []publisher) error {
	// Said early, before anything is written. That it is still so in the end
	// is for the publisher to see to.
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	temp, err := writeTemp(filepath.Dir(path), data, mode, nil)
	if err != nil {
		return err
	}
	err = errors.ErrUnsupported
	for _, publish := range publishers {
		if err = publish(temp, path); !errors.Is(err, errors.ErrUnsupported) {
			break
		}
	}
	if errors.Is(err, errors.ErrUnsupported) {
		err = writeInPlace(path, data, mode)
	}
	os.Remove(temp) // it is gone where it was renamed
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// link is the publisher of every Unix.
func link(temp, path string) error {
	err := os.Link(temp, path)
	if err != nil && noLinks(err) {
		return errors.ErrUnsupported
	}
	return err
}

func writeInPlace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := fill(f, data, mode, nil); err != nil {
		os.Remove(path)
		return err
	}
	return nil
}

// writeTemp writes a hidden file to dir and syncs it. With like, its owner and
// group are those of that file. There is no file where it fails; and where the
// system has files without names, what kills us leaves none either.
func writeTemp(dir string, data []byte, mode fs.FileMode, like fs.FileInfo) (string, error) {
	name := filepath.Join(dir, fmt.Sprintf(".new-%d", rand.Uint64()))
	if err := createUnnamed(name, data, mode, like); err == nil || !errors.Is(err, errors.ErrUnsupported) {
		return name, err
	}
	f, err := os.CreateTemp(dir, ".new-*") // O_EXCL, 0600
	if err != nil {
		return "", err
	}
	if err := fill(f, data, mode, like); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// fill writes, sets owner and mode, syncs and closes.
func fill(f *os.File, data []byte, mode fs.FileMode, like fs.FileInfo) error {
	err := func() error {
		if _, err := f.Write(data); err != nil {
			return err
		}
		if like != nil {
			if err := chownLike(f, like); err != nil {
				return err
			}
		}
		if runtime.GOOS != "windows" { // whose modes are but the read-only mark
			if err := f.Chmod(mode); err != nil {
				return err
			}
			if st, err := f.Stat(); err != nil {
				return err
			} else if strictmodes.Permissions(st.Mode()) != strictmodes.Permissions(mode) {
				return fmt.Errorf("%w: mode %s was asked for and %s came", ErrModesIgnored, strictmodes.Octal(mode), strictmodes.Octal(st.Mode()))
			}
		}
		return f.Sync()
	}()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// MakeDir makes a missing directory with exactly this mode whatever the umask;
// its name is on disk when MakeDir returns nil. Anything already at path is
// left as it is, and missing parents are not made.
func MakeDir(path string, mode fs.FileMode) error {
	err := os.Mkdir(path, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("making %s: %w", path, plain(err))
	}
	// Where nothing is missing there is nothing to ask of a file system that keeps
	// no modes, such as FAT.
	info, err := os.Lstat(path)
	if err == nil && info.Mode()&mode != mode {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// An Edit gets what is in a file and returns what is to be written.
type Edit = func(old []byte) ([]byte, error)

// Replace writes a file durably: it has the complete old or the complete new
// content at every moment, and keeps owner and mode; a link is written at its
// target. edit gets the old content (nil if there is no file; the new one then
// gets mode) and returns the new; nil changes nothing, and an error is returned
// as it is. Writers that all use Replace take turns, except on a file system
// without locks, such as some NFS. If another writer, such as ssh, interferes,
// edit is called again; if that does not end, the error is ErrChanged.
//
// Only regular files are replaced, never a device such as /dev/null. A new file
// takes the place of the old, so that further hard links and ACLs stay with the
// old one. The directories on the way are trusted: root must not use Replace in
// another user's home.
func Replace(path string, mode fs.FileMode, edit Edit) error {
	return inTurn(path, edit, func(path string, edit Edit) (err error) {
		for range 20 {
			if err = replaceOnce(path, mode, edit); !errors.Is(err, ErrChanged) {
				break
			}
		}
		return err
	})
}

// Append adds to the end of a file what edit returns; else it is as Replace. All
// is written at once, into the same file, as ssh does: neither loses what the other
// adds, which may come before ours and after edit has seen the file.
func Append(path string, mode fs.FileMode, edit Edit) error {
	return inTurn(path, edit, func(path string, edit Edit) error {
		old, _, err := readRegular(path)
		if err != nil {
			return err
		}
		more, err := edit(old)
		if more == nil || err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, mode)
		if err != nil {
			return err
		}
		n, err := f.Write(more)
		if err != nil && n > 0 {
			takeBack(f, n)
		}
		if err = cmp.Or(err, f.Sync(), f.Close()); err != nil || old != nil {
			return err
		}
		return syncDir(filepath.Dir(path))
	})
}

// takeBack cuts off the n bytes that were written last, as a full disk leaves them
// of a line, unless somebody else has added more.
func takeBack(f *os.File, n int) {
	end, err := f.Seek(0, io.SeekCurrent)
	if st, serr := f.Stat(); err == nil && serr == nil && st.Size() == end {
		_ = f.Truncate(end - int64(n)) // the error of the writing is told
	}
}

// inTurn calls write for where the links at path lead, when nobody else who
// takes turns writes there.
func inTurn(path string, edit Edit, write func(path string, edit Edit) error) error {
	target, err := followLinks(path)
	var refused error
	if err == nil {
		var unlock func()
		if unlock, err = lock(target); err == nil {
			defer unlock()
			err = write(target, func(old []byte) (data []byte, err error) {
				data, refused = edit(old)
				return data, refused
			})
		}
	}
	if refused != nil {
		return refused
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, plain(err))
	}
	return nil
}

// readRegular returns what is in a regular file, and nil if there is no file.
func readRegular(path string) ([]byte, fs.FileInfo, error) {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case err != nil:
		return nil, nil, err
	case !st.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%w: it is %s", ErrNotRegular, st.Mode().Type())
	}
	data, err := bounded.ReadFile(path)
	return data, st, err
}

// replaceOnce fails with ErrChanged, and changes nothing, if the file is another
// one after edit and all the writing than before. What is written to it from then
// on, by who has it open, is lost.
func replaceOnce(path string, mode fs.FileMode, edit Edit) error {
	old, st, err := readRegular(path)
	if err != nil {
		return err
	}
	if st != nil {
		mode = st.Mode()
	}
	data, err := edit(old)
	if data == nil || err != nil {
		return err
	}
	temp, err := writeTemp(filepath.Dir(path), data, mode, st)
	if err != nil {
		return err
	}
	now, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && st == nil:
		err = os.Rename(temp, path)
	case err == nil && st != nil && os.SameFile(st, now) && st.Size() == now.Size() && st.ModTime().Equal(now.ModTime()):
		err = os.Rename(temp, path)
	default:
		err = ErrChanged
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// BackupName is the nth name for the copy of a file, counted from 1.
func BackupName(file string, n int) string {
	if n == 1 {
		return file + ".old"
	}
	return fmt.Sprintf("%s.old%d", file, n)
}

// followLinks returns where the links at the end of path lead, whether there
// is something or not.
func followLinks(path string) (string, error) {
	for range 40 { // as many as Linux follows
		st, err := os.Lstat(path)
		if err != nil || st.Mode()&fs.ModeSymlink == 0 {
			return path, nil // that it is not there is for the caller to see
		}
		target, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(target) {
			// Not Join: it would take "link/.." for nothing.
			target = filepath.Dir(path) + string(filepath.Separator) + target
		}
		path = target
	}
	return "", errors.New("too many links")
}

// plain drops the operation and the path from an error of os: the path that
// matters is named by us, and that of a temporary file helps nobody.
func plain(err error) error {
	switch err := err.(type) {
	case *fs.PathError:
		return err.Err
	case *os.LinkError:
		return err.Err
	}
	return err
}
