package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"pi-key-tools/pkg/sh"
)

// maxSecret bounds what is read of a secret, in bytes.
const maxSecret = 64 << 10

// A RefusedError means that a secret's file was not read, since others than its
// owner may read or write it.
type RefusedError struct {
	Path string
	Mode fs.FileMode // its permissions
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s: refused: its mode %04o lets users other than its owner read or write it", e.Path, e.Mode)
}

// Hint returns the command that makes the file acceptable.
func (e *RefusedError) Hint() string { return "chmod 600 " + sh.Quote(e.Path) }

// fromFile returns a copy of the secret in the file, which is read once.
func (s *Source) fromFile(ctx context.Context) ([]byte, error) {
	s.once.Do(func() {
		s.read = make(chan struct{})
		// Opening and reading a pipe can take for ever and cannot be called
		// off; and one caller's end must not lose the pipe to the others.
		go func() {
			s.line, s.err = readFile(s.File)
			close(s.read)
		}()
	})
	select {
	case <-s.read:
		return bytes.Clone(s.line), s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// CheckFile returns what is wrong with a file that is to provide a secret,
// without reading it, as it may be a pipe.
func CheckFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return absent(path, err)
	}
	if info.IsDir() {
		return fmt.Errorf("%s: a directory, not a file with a secret", path)
	}
	return refuse(path, info)
}

// absent is the error of a file that is not there. Where "-" asks for keys or
// targets, a secret would not come with them.
func absent(path string, err error) error {
	if path == "-" && errors.Is(err, fs.ErrNotExist) {
		return errors.New("-: a secret on standard input is read from /dev/stdin")
	}
	return err
}

func refuse(path string, info fs.FileInfo) error {
	// Windows keeps its permissions elsewhere; POSIX ACLs show in the group's.
	if perm := info.Mode().Perm(); info.Mode().IsRegular() && perm&0o066 != 0 && runtime.GOOS != "windows" {
		return &RefusedError{path, perm}
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, absent(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := refuse(path, info); err != nil {
		return nil, err
	}
	buf := make([]byte, maxSecret)
	defer clear(buf)
	line, err := firstLine(f, buf)
	line = bytes.TrimPrefix(line, []byte("\ufeff")) // of Windows editors
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	case len(line) == 0:
		return nil, fmt.Errorf("%s: its first line is empty", path)
	case bytes.IndexByte(line, 0) >= 0:
		return nil, fmt.Errorf("%s: its first line has NUL bytes; if it is UTF-16, save it as UTF-8", path)
	}
	return bytes.Clone(line), nil
}

var errTooLong = errors.New("its first line is longer than 64 KiB")

// firstLine reads into buf until a line or the data ends, and returns what is
// before the line's end. buf holds all that was read.
func firstLine(r io.Reader, buf []byte) ([]byte, error) {
	for n := 0; n < len(buf); {
		m, err := r.Read(buf[n:])
		if end := bytes.IndexByte(buf[n:n+m], '\n'); end >= 0 {
			return bytes.TrimSuffix(buf[:n+end], []byte("\r")), nil
		}
		n += m
		switch {
		case errors.Is(err, io.EOF):
			return bytes.TrimSuffix(buf[:n], []byte("\r")), nil
		case err != nil:
			return nil, err
		}
	}
	return nil, errTooLong
}
