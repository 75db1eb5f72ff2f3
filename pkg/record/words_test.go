package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWords(t *testing.T) {
	_, open := os.Open("nosuch")
	_, stat := os.Lstat("a\nb")
	ours := &fs.PathError{Op: "looking at", Path: "/a", Err: &fs.PathError{Op: "lstat", Path: "/a/b", Err: syscall.EACCES}}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("open nosuch: said by somebody"), "open nosuch: said by somebody"},
		{open, "nosuch: no such file or directory"},
		{stat, `a\nb: no such file or directory`},
		{fmt.Errorf("--hosts %s: %w", "nosuch", open), "--hosts nosuch: no such file or directory"},
		{fmt.Errorf("one and %w", errors.Join(fs.ErrInvalid, open)), "one and invalid argument\nnosuch: no such file or directory"},
		{ours, "looking at /a: /a/b: permission denied"},
		{&fs.PathError{Op: "opening", Path: "/a", Err: fs.ErrInvalid}, "/a: invalid argument"},
	} {
		if got := Words(tt.err); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// Whatever os calls its calls, on this system.
func TestWordsOfOS(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "nosuch", "file")
	_, readDir := os.ReadDir(missing)
	_, link := os.Readlink(missing)
	for _, err := range []error{readDir, link, os.Mkdir(missing, 0o700), os.Remove(missing), os.Chmod(missing, 0o600)} {
		if got, want := Words(err), missing+": "+errors.Unwrap(err).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
