package identity_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshtest"
)

// tmpfs mounts an empty file system of its own until the test ends.
func tmpfs(t *testing.T, options string) string {
	t.Helper()
	sshtest.NeedRoot(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a disk that has room for n files only, a pair is there with both halves
// or not at all.
func TestMakeDiskFull(t *testing.T) {
	complete, absent := 0, 0
	for n := 1; n <= 6; n++ { // one is the directory itself
		dir := tmpfs(t, fmt.Sprintf("nr_inodes=%d", n))
		_, err := identity.Make(t.Context(), filepath.Join(dir, "k"), identity.Spec{Type: "ed25519"})
		entries, rerr := os.ReadDir(dir)
		if rerr != nil {
			t.Fatal(rerr)
		}
		switch {
		case err == nil && len(entries) == 2:
			complete++
		case errors.Is(err, syscall.ENOSPC) && len(entries) == 0:
			absent++
		default:
			t.Errorf("room for %d: error %v, and there is %v", n, err, entries)
		}
	}
	if complete == 0 || absent < 2 {
		t.Errorf("complete %d times, absent %d times", complete, absent)
	}
}

func TestMakeReadOnly(t *testing.T) {
	dir := tmpfs(t, "")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "k"), filepath.Join(dir, ".ssh", "k")} {
		if _, err := identity.Make(t.Context(), path, identity.Spec{Type: "ed25519"}); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there", path)
		}
	}
}
