package hostfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTurn(t *testing.T) {
	dir := t.TempDir()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	left := func(want int) {
		t.Helper()
		if entries, _ := os.ReadDir(dir); len(entries) != want {
			t.Errorf("there are %v, want %d", entries, want)
		}
	}
	take := func() *turn {
		t.Helper()
		turn, err := takeTurn(t.Context(), folder{d}, 50*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		return turn
	}
	take().leave()
	left(0)

	// Dead ones: a shell's, ours; and an empty directory.
	ok(t, os.MkdirAll(filepath.Join(dir, TurnName, "1.2.host"), 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, TurnName, "1.2.host/new"), nil, 0o600))
	late := take()
	next := take()
	if _, err := os.Stat(filepath.Join(dir, TurnName, late.file.Name())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the new file of one that was taken for dead: %v", err)
	}
	late.leave()
	if entries, _ := os.ReadDir(filepath.Join(dir, TurnName)); len(entries) != 2 {
		t.Errorf("in the turn are %v, want the two files of the next", entries)
	}
	next.leave()
	left(0)
	ok(t, os.Mkdir(filepath.Join(dir, TurnName), 0o700))
	take().leave()
	left(0)

	// Nothing of another's is cleared away.
	if os.Geteuid() == 0 {
		ok(t, os.MkdirAll(filepath.Join(dir, TurnName, "x"), 0o700))
		ok(t, os.Chown(filepath.Join(dir, TurnName), 31234, 31234))
		if _, err := takeTurn(t.Context(), folder{d}, 50*time.Millisecond); !errors.Is(err, ErrOwner) {
			t.Errorf("another's folder: %v, want %v", err, ErrOwner)
		}
		left(1)
	}
}
