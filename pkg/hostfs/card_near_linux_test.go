package hostfs

import (
	"fmt"
	"io/fs"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A card that is looked at from its open folders is the same card, and no link
// leads out of it.
func TestSteadyCard(t *testing.T) {
	card, dir := makeCard(t)
	outside := t.TempDir()
	ok(t, os.WriteFile(outside+"/file", nil, 0o600))
	ok(t, os.MkdirAll(dir+"/home/pi/.ssh", 0o755))
	ok(t, os.WriteFile(dir+"/home/pi/.ssh/keys", nil, 0o640))
	ok(t, os.Symlink(outside, dir+"/out"))
	ok(t, os.Symlink("/home/pi", dir+"/in"))
	ok(t, os.Symlink("../../../../../../..", dir+"/up"))
	before := descriptors(t)
	steady, end := Steady(card)
	for range 2 {
		for _, p := range []string{"/", "/home", "/home/pi", "/home/pi/.ssh", "/home/pi/.ssh/keys", "/home/pi/.ssh/keys2", "/home/pi/.ssh/keys/x",
			"/home/", "/home/.", "/home/..", "/..", "/out", "/out/file", "/in", "/in/.ssh/keys", "/up/etc/passwd", "/up/tmp", "/none/x", "/etc/passwd"} {
			want, werr := card.Lstat(t.Context(), p)
			st, err := steady.Lstat(t.Context(), p)
			if st != want || fmt.Sprint(err) != fmt.Sprint(werr) {
				t.Errorf("%s: %+v, %v; want %+v, %v", p, st, err, want, werr)
			}
		}
	}
	// What takes the place of a folder is seen after a change at the latest.
	ok(t, os.Rename(dir+"/home/pi/.ssh", dir+"/home/pi/old"))
	ok(t, os.Mkdir(dir+"/home/pi/.ssh", 0o700))
	ok(t, steady.Mkdir(t.Context(), "/home/pi/new", 0o700))
	_, err := steady.Lstat(t.Context(), "/home/pi/.ssh/keys")
	is(t, "in the new folder", err, fs.ErrNotExist)
	end()
	if after := descriptors(t); after != before {
		t.Errorf("%d files are open, %d were", after, before)
	}
}

func descriptors(t *testing.T) (n int) {
	for fd := range 1000 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			n++
		}
	}
	return n
}
