package hostfs

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
)

func (s *sftpFS) ReadFile(ctx context.Context, p string) ([]byte, error) {
	data, err := s.read(p)
	return data, tell(ctx, "read", p, err)
}

func (s *sftpFS) read(p string) ([]byte, error) {
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
	if inProc(p) {
		return io.ReadAll(io.LimitReader(f, maxRead))
	}
	data, _, err := ReadOpen(f, maxRead)
	return data, err
}

// ReadOpen reads a regular file of no more than most bytes, up to the size it
// claims to have, where it expects the end. Any read may come short; only one
// that returns nothing is the end; File.WriteTo would leave a hole unseen. The
// error may be ErrNotRegular, bounded.ErrTooLarge or ErrChanged.
func ReadOpen(f *sftp.File, most int64) ([]byte, *sftp.FileStat, error) {
	info, err := Given(f.Stat())
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, ErrNotRegular
	case info.Size() < 0 || info.Size() > most:
		return nil, nil, fmt.Errorf("%w: %d bytes", bounded.ErrTooLarge, uint64(info.Size()))
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

func (s *sftpFS) Glob(ctx context.Context, pattern string) ([]string, error) {
	return glob(ctx, s, pattern, func(dir string) ([]string, error) {
		if info, err := s.stat(dir); err != nil || !info.IsDir() {
			return nil, tell(ctx, "stat", dir, err)
		}
		entries, err := s.client.ReadDir(dir)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names, tell(ctx, "readdir", dir, err)
	})
}

func (s *sftpFS) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	if _, err := s.Lstat(ctx, p); err != nil {
		return strictmodes.Attributes{}, err
	}
	a := attributesOf(mountOf(s.mounts(), p))
	if st, ok := fileSystem(s.client, p); ok {
		a.ReadOnly = st.Flag&readOnly != 0
	}
	return a, nil
}

// Listless is for a strictmodes.Examiner: nothing here tells of access lists.
func (*sftpFS) Listless(string) bool { return true }

// readOnly is SSH2_FXE_STATVFS_ST_RDONLY of OpenSSH's PROTOCOL.
const readOnly = 1

func fileSystem(client *sftp.Client, p string) (*sftp.StatVFS, bool) {
	if _, ok := client.HasExtension("statvfs@openssh.com"); !ok {
		return nil, false
	}
	st, err := client.StatVFS(p)
	return st, err == nil && st != nil
}

// TakesNothing returns why nothing can be written to the file system of a path, as
// far as the server tells: syscall.EROFS, syscall.ENOSPC or nil. "Failure" is all
// that it says of either when something is.
func TakesNothing(client *sftp.Client, p string) error {
	st, ok := fileSystem(client, p)
	switch {
	case !ok:
		return nil
	case st.Flag&readOnly != 0:
		return syscall.EROFS
	case st.Bavail == 0, st.Files > 0 && st.Favail == 0:
		return syscall.ENOSPC
	}
	return nil
}

// mounts returns /proc/mounts, whose size is 0, or "".
func (s *sftpFS) mounts() string {
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
