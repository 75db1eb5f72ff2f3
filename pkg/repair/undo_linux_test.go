package repair

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"pi-key-tools/pkg/strictmodes"
)

// After a step that could not be noted none is, though there may be room again:
// behind a torn line the shell would read nothing.
func TestUndoFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "undo")
	undo, err := NewUndo(path, "", "a test")
	if err != nil {
		t.Fatal(err)
	}
	step := Step{Op: Chmod, Path: "/home/pi", Was: strictmodes.Stat{Mode: os.ModeDir | 0o777}, Mode: 0o755}
	if err := undo.note(step); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	file := undo.file
	if undo.file, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Skip(err)
	}
	defer undo.file.Close()
	if err := undo.note(step); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	undo.file = file
	if err := undo.note(step); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	if err := undo.Close(); err != nil {
		t.Error(err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("%v: %q became %q", err, before, after)
	}
}

// What has taken the place of the file that was made is not appended to.
func TestUndoReplaced(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "undo")
	if err := errors.Join(os.WriteFile(victim, []byte("#!/bin/sh\n"), 0o600), os.Symlink("victim", path)); err != nil {
		t.Fatal(err)
	}
	if file, err := reopen(path, "#!/bin/sh\n# what was made\n"); err == nil {
		t.Errorf("%s was opened", file.Name())
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n# what was made\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if file, err := reopen(path, "#!/bin/sh\n# what was made\n"); err == nil {
		t.Errorf("%s with more in it was opened", file.Name())
	}
}
