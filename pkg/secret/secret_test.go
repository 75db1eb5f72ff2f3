package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func unset(string) string { return "" }

func write(t *testing.T, content string, mode fs.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFileContent(t *testing.T) {
	long := strings.Repeat("x", maxSecret-1)
	for content, want := range map[string]string{
		"hunter2\n":           "hunter2",
		"hunter2\r\n":         "hunter2",
		"hunter2":             "hunter2",
		"hunter2\nsecond\n":   "hunter2",
		"  two  words \t\n":   "  two  words \t",
		"cr\rinside\r\r\n":    "cr\rinside\r",
		"\ufeffhunter2\r\n":   "hunter2",
		"pässwörd \xff\n\x00": "pässwörd \xff",
		long + "\n":           long,
		long:                  long,
	} {
		s := &Source{File: write(t, content, 0o600), Batch: true}
		got, err := s.Get(t.Context(), "prompt")
		if err != nil || string(got) != want {
			t.Errorf("%.40q gives %.40q, %v", content, got, err)
		}
	}
	for content, want := range map[string]string{
		"":                                "is empty",
		"\n":                              "is empty",
		"\r\n":                            "is empty",
		"\nhunter2\n":                     "is empty",
		"\ufeff\n":                        "is empty",
		"\xff\xfeh\x00u\x00n\x00\n\x00":   "UTF-16",
		"hunter2\x00\n":                   "NUL",
		long + "hunter2\n":                "longer than 64 KiB",
		strings.Repeat("hunter2\r", 1e5):  "longer than 64 KiB",
		strings.Repeat("hunter2", 99_999): "longer than 64 KiB",
	} {
		s := &Source{File: write(t, content, 0o600)}
		got, err := s.Get(t.Context(), "prompt")
		if err == nil || got != nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), s.File) {
			t.Errorf("%.40q gives %.40q, %v; want the path and %q", content, got, err, want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows keeps its permissions elsewhere")
	}
	for _, mode := range []fs.FileMode{0o600, 0o400, 0o700, 0o611} {
		s := &Source{File: write(t, "hunter2\n", mode)}
		if got, err := s.Get(t.Context(), ""); string(got) != "hunter2" {
			t.Errorf("mode %04o: %q, %v", mode, got, err)
		}
	}
	for _, mode := range []fs.FileMode{0o640, 0o620, 0o604, 0o602, 0o660, 0o644, 0o666, 0o777} {
		path := write(t, "hunter2\n", mode)
		link := filepath.Join(t.TempDir(), "a link")
		if err := os.Symlink(path, link); err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{path, link} {
			s := &Source{File: file}
			got, err := s.Get(t.Context(), "")
			var refused *RefusedError
			if got != nil || !errors.As(err, &refused) || refused.Mode != mode || refused.Path != file {
				t.Errorf("mode %04o: %q, %v", mode, got, err)
				continue
			}
			if !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), fmt.Sprintf("%04o", mode)) {
				t.Errorf("the error names not all: %v", err)
			}
			if want := "chmod 600 '" + file + "'"; refused.Hint() != want {
				t.Errorf("hint %q, want %q", refused.Hint(), want)
			}
		}
	}
}

func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "missing"), filepath.Join(dir, "x\x00y")} {
		s := &Source{File: path}
		got, err := s.Get(t.Context(), "")
		if got != nil || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%q gives %q, %v", path, got, err)
		}
	}
	if _, err := (&Source{File: filepath.Join(dir, "missing")}).Get(t.Context(), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// A pipe can be read once, and there may be many targets.
func TestFileIsReadOnce(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no /dev/fd")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := &Source{File: fmt.Sprintf("/dev/fd/%d", r.Fd())}

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got, err := s.Get(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("of an empty pipe: %q, %v", got, err)
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			got, err := s.Get(t.Context(), "")
			if err != nil || string(got) != "hunter2" {
				t.Errorf("got %q, %v", got, err)
			}
			Wipe(got)
			if !bytes.Equal(got, make([]byte, 7)) {
				t.Errorf("wiped is %q", got)
			}
		})
	}
	// The writer keeps its end open: it is the line that ends the secret.
	if _, err := w.WriteString("hunter2\nrest"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	w.Close()
	if got, err := s.Get(t.Context(), ""); err != nil || string(got) != "hunter2" {
		t.Errorf("later: %q, %v", got, err)
	}
}

func TestNobody(t *testing.T) {
	always := func(string) string { return "force" }
	if got, err := (&Source{Batch: true, Getenv: always}).Get(t.Context(), ""); err != ErrNobody || got != nil {
		t.Errorf("BatchMode: %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := (&Source{Getenv: unset}).Get(ctx, ""); err != context.Canceled || got != nil {
		t.Errorf("cancelled before: %q, %v", got, err)
	}
}
