package bounded

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// A pipe that nobody writes to is waited for as long as there is time.
func TestAwait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	began, enough := make(chan bool), errors.New("enough")
	go func() { <-began; cancel(enough) }()
	_, err := Await(ctx, func() (int, error) {
		close(began)
		return r.Read(make([]byte, 1))
	})
	if err != enough {
		t.Errorf("%v", err)
	}
	if n, err := Await(t.Context(), func() (int, error) { return 1, io.ErrUnexpectedEOF }); n != 1 || err != io.ErrUnexpectedEOF {
		t.Errorf("%d, %v", n, err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Reader and ReadAll stop at the same byte, of a file and of what has no size.
func TestBound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	ok(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	for most, want := range map[int64]error{9: ErrTooLarge, 10: nil, 11: nil} {
		for name, open := range map[string]func() io.ReadCloser{
			"file": func() io.ReadCloser { f, err := os.Open(path); ok(t, err); return f },
			"text": func() io.ReadCloser { return io.NopCloser(strings.NewReader("0123456789")) },
		} {
			r := open()
			n, err := io.Copy(io.Discard, Reader(r, most))
			r.Close()
			if !errors.Is(err, want) || want == nil && n != 10 {
				t.Errorf("%s, at most %d: %d bytes, %v", name, most, n, err)
			}
			r = open()
			data, err := ReadAll(r, most)
			r.Close()
			if !errors.Is(err, want) || want == nil && string(data) != "0123456789" {
				t.Errorf("%s, at most %d: %q, %v", name, most, data, err)
			}
		}
	}
}

// A user's file may lead anywhere. A pipe is read to its end.
func TestReadFile(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it has no /dev/fd that opens a pipe anew")
	}
	dir := t.TempDir()
	ok(t, os.WriteFile(dir+"/file", []byte("of\nlines"), 0o600))
	ok(t, os.Symlink("file", dir+"/link"))
	ok(t, os.Symlink("/dev/zero", dir+"/endless"))
	ok(t, os.WriteFile(dir+"/sparse", nil, 0o600))
	ok(t, os.Truncate(dir+"/sparse", 1<<40))
	r, w, err := os.Pipe()
	ok(t, err)
	defer r.Close()
	go func() { w.WriteString("of\nlines"); w.Close() }()
	for _, path := range []string{dir + "/link", "/dev/fd/" + strconv.Itoa(int(r.Fd()))} {
		if data, err := ReadFile(path); err != nil || string(data) != "of\nlines" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
	for _, path := range []string{dir + "/endless", dir + "/sparse"} {
		if data, err := ReadFile(path); !errors.Is(err, ErrTooLarge) || len(data) > 0 || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
		f, err := Open(t.Context(), path)
		ok(t, err)
		_, err = io.Copy(io.Discard, io.LimitReader(File(f), MaxFile+1))
		f.Close()
		if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := ReadFile(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
