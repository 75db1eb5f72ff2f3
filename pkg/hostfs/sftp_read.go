package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/strictmodes"
)

func (s *overSFTP) ReadFile(ctx context.Context, p string) ([]byte, error) {
	data, err := s.read(p)
	return data, tell(ctx, "read", p, err)
}

func (s *overSFTP) read(p string) ([]byte, error) {
	// Opening a pipe would wait for its other end.
	if info, err := s.stat(p); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	f, err := s.openFile(p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, _, err := ReadOpen(f, maxRead)
	return data, err
}

// ReadOpen reads a regular file of no more than most bytes, up to the size it
// claims to have, where it expects the end. Any read may come short; only one
// that returns nothing is the end; File.WriteTo would leave a hole unseen. The
// error may be ErrNotRegular, ErrTooLarge or ErrChanged.
func ReadOpen(f *sftp.File, most int64) ([]byte, *sftp.FileStat, error) {
	info, err := Given(f.Stat())
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, ErrNotRegular
	case info.Size() < 0 || info.Size() > most:
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, uint64(info.Size()))
	}
	data := make([]byte, info.Size()+1)
	n := 0
	for n < len(data) {
		m, err := f.ReadAt(data[n:], int64(n))
		n += m
		if err == io.EOF && (m == 0 || n == len(data)-1) {
			break
		}
		if err != nil && err != io.EOF {
			return nil, nil, err
		}
	}
	if n != len(data)-1 {
		return nil, nil, fmt.Errorf("%w while it was read", ErrChanged)
	}
	return data[:n], info.Sys().(*sftp.FileStat), nil
}

func (s *overSFTP) Glob(ctx context.Context, pattern string) ([]string, error) {
	if !path.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path", pattern)
	}
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			names, err := s.match(ctx, dir, part)
			if err != nil {
				return nil, fmt.Errorf("looking for %s: %w", pattern, err)
			}
			next = append(next, names...)
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// match returns what is in a folder by a pattern of its name, as glob(7) has it.
func (s *overSFTP) match(ctx context.Context, dir, pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		p := path.Join(dir, pattern)
		if _, err := s.lstat(p); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return nil, tell(ctx, "lstat", p, err)
		}
		return []string{p}, nil
	}
	if info, err := s.stat(dir); err != nil || !info.IsDir() {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, tell(ctx, "stat", dir, err)
	}
	entries, err := s.client.ReadDir(dir)
	if err != nil {
		return nil, tell(ctx, "readdir", dir, err)
	}
	var found []string
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(pattern, ".")
		if ok, _ := path.Match(pattern, e.Name()); ok && !hidden {
			found = append(found, path.Join(dir, e.Name()))
		}
	}
	return found, nil
}

func (s *overSFTP) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	if _, err := s.Lstat(ctx, p); err != nil {
		return strictmodes.Attributes{}, err
	}
	a := attributesOf(mountOf(s.mounts(), p))
	if st, ok := s.fileSystem(p); ok {
		a.ReadOnly = st.Flag&readOnly != 0
	}
	return a, nil
}

// readOnly is SSH2_FXE_STATVFS_ST_RDONLY of OpenSSH's PROTOCOL.
const readOnly = 1

func (s *overSFTP) fileSystem(p string) (*sftp.StatVFS, bool) {
	if _, ok := s.client.HasExtension("statvfs@openssh.com"); !ok {
		return nil, false
	}
	st, err := s.client.StatVFS(p)
	return st, err == nil && st != nil
}

// mounts returns /proc/mounts, whose size is 0, or "".
func (s *overSFTP) mounts() string {
	f, err := s.openFile("/proc/mounts", os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer f.Close()
	var text []byte
	b := make([]byte, 32<<10)
	for len(text) < 1<<20 {
		n, err := f.ReadAt(b, int64(len(text)))
		text = append(text, b[:n]...)
		if n == 0 || err != nil && err != io.EOF {
			break
		}
	}
	return string(text)
}
