package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// A card that is looked at from its open directories, or through a mount that follows
// no link, is the same card, and no link leads out of it.
func TestSteadyCard(t *testing.T) {
	t.Run("linkless", func(t *testing.T) { testSteadyCard(t, false) })
	t.Run("open", func(t *testing.T) { testSteadyCard(t, true) })
}

// steadyAs is Steady where a card may, or may not, be looked at through a mount.
func steadyAs(f FS, refused bool) (FS, func()) {
	s := newSteady(f)
	if card, ok := s.near.(*nearCard); ok {
		card.refused = refused
	}
	return s, s.forget
}

func testSteadyCard(t *testing.T, refused bool) {
	card, dir := makeCard(t)
	outside := t.TempDir()
	ok(t, os.WriteFile(outside+"/file", nil, 0o600))
	ok(t, os.MkdirAll(dir+"/home/pi/.ssh", 0o755))
	ok(t, os.WriteFile(dir+"/home/pi/.ssh/keys", nil, 0o640))
	ok(t, os.Symlink(outside, dir+"/out"))
	ok(t, os.Symlink("/home/pi", dir+"/in"))
	ok(t, os.Symlink("../../../../../../..", dir+"/up"))
	ok(t, os.Symlink(outside, dir+"/home/out"))
	ok(t, os.Symlink("pi", dir+"/home/in"))
	ok(t, os.Symlink("../../../../../../..", dir+"/home/pi/up"))
	before := descriptors(t)
	steady, end := steadyAs(card, refused)
	memory := steady.(interface{ Memory() *strictmodes.Memory }).Memory()
	for n := range 3 {
		if n == 2 { // from /home, which is kept open for the second home
			memory.Forget()
			strictmodes.RealPath(t.Context(), steady, "/home/none/.ssh/keys")
			strictmodes.RealPath(t.Context(), steady, "/home/pi/.ssh/keys")
		}
		for _, p := range []string{"/", "/home", "/home/pi", "/home/pi/.ssh", "/home/pi/.ssh/keys", "/home/pi/.ssh/keys2", "/home/pi/.ssh/keys/x",
			"/home/", "/home2pi", "/home/.", "/home/..", "/..", "/out", "/out/file", "/in", "/in/.ssh/keys", "/up/etc/passwd", "/up/tmp", "/none/x", "/etc/passwd",
			"/home/out", "/home/out/file", "/home/in/.ssh", "/home/in/.ssh/keys", "/home/pi/up", "/home/pi/up/tmp", "/home/pi/up/etc/passwd",
			"/home/pi/.ssh/../../..", "/home/../etc/passwd", "/home/pi/../../..", "/home/pi/", "/home/pi/.ssh/."} {
			if n == 2 { // or it is remembered
				memory.Forget()
			}
			want, werr := card.Lstat(t.Context(), p)
			st, err := steady.Lstat(t.Context(), p)
			if st != want || fmt.Sprint(err) != fmt.Sprint(werr) {
				t.Errorf("%s: %+v, %v; want %+v, %v", p, st, err, want, werr)
			}
			attributes, werr := card.Attributes(t.Context(), p)
			if a, err := steady.Attributes(t.Context(), p); !reflect.DeepEqual(a, attributes) || (err != nil) != (werr != nil) {
				t.Errorf("%s: %+v, %v; want %+v, %v", p, a, err, attributes, werr)
			}
		}
	}
	// Nor does ".." lead out of the root of the card where that is the directory kept
	// open.
	near := card.near().(*nearCard)
	near.refused = refused
	if _, err := near.Descend(t.Context(), "/home/pi", 1, nil); err != nil || near.base.path != "/" {
		t.Fatalf("%q is kept open, %v", near.base.path, err)
	}
	for _, p := range []string{"/..", "/../..", "/.", "/home", "//home"} {
		want, werr := card.Lstat(t.Context(), p)
		if st, err := near.Lstat(t.Context(), p); st != want || fmt.Sprint(err) != fmt.Sprint(werr) {
			t.Errorf("%s: %+v, %v; want %+v, %v", p, st, err, want, werr)
		}
	}
	near.forget()
	// What takes the place of a directory is seen after a change at the latest.
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

// From directories that are kept open, many homes are judged as each is from the
// root on.
func TestSteadyJudges(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys Machine, dir, real string) {
		outside := t.TempDir()
		ok(t, os.WriteFile(outside+"/keys", nil, 0o666))
		homes := map[string]func(home string){
			"sound":    func(string) {},
			"writable": func(home string) { ok(t, os.Chmod(home+"/.ssh", 0o777)) },
			"file":     func(home string) { ok(t, os.Chmod(home+"/.ssh/authorized_keys", 0o666)) },
			"second":   func(home string) { ok(t, os.WriteFile(home+"/.ssh/authorized_keys2", nil, 0o600)) },
			"no keys":  func(home string) { ok(t, os.Remove(home+"/.ssh/authorized_keys")) },
			"no ssh":   func(home string) { ok(t, os.RemoveAll(home+"/.ssh")) },
			"no home":  func(home string) { ok(t, os.RemoveAll(home)) },
			"out": func(home string) {
				ok(t, os.Remove(home+"/.ssh/authorized_keys"))
				ok(t, os.Symlink(outside+"/keys", home+"/.ssh/authorized_keys"))
			},
			"in": func(home string) {
				ok(t, os.Rename(home+"/.ssh", home+"/dot ssh"))
				ok(t, os.Symlink("dot ssh", home+"/.ssh"))
			},
			"a file": func(home string) {
				ok(t, os.RemoveAll(home+"/.ssh"))
				ok(t, os.WriteFile(home+"/.ssh", nil, 0o600))
			},
		}
		var names []string
		for name, change := range homes {
			home := real + "/home/" + name
			ok(t, os.MkdirAll(home+"/.ssh", 0o755))
			ok(t, os.WriteFile(home+"/.ssh/authorized_keys", nil, 0o600))
			change(home)
			names = append(names, name)
		}
		before := descriptors(t)
		for _, refused := range []bool{false, true} {
			steady, end := steadyAs(fsys, refused)
			for _, name := range slices.Concat(names, names) {
				for _, files := range [][]string{nil, {".ssh/authorized_keys"}, {".ssh/authorized_keys", "a/b/c"}, {".ssh/../.ssh/authorized_keys"}} {
					who := strictmodes.Account{Name: name, UID: os.Getuid(), Home: dir + "/home/" + name}
					for i := range files {
						files[i] = who.Home + "/" + files[i]
					}
					want, werr := strictmodes.Judge(t.Context(), fsys, who, files, strictmodes.OpenSSH)
					got, err := strictmodes.Judge(t.Context(), steady, who, files, strictmodes.OpenSSH)
					for _, findings := range [][]strictmodes.Finding{got, want} {
						for i := range findings {
							findings[i].Stat.Nlink = 0 // of /tmp, in which others make directories
						}
					}
					if !slices.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(werr) {
						t.Errorf("%s, %q: %+v, %v; want %+v, %v", name, files, got, err, want, werr)
					}
				}
			}
			end()
		}
		if after := descriptors(t); after != before {
			t.Errorf("%d files are open, %d were", after, before)
		}
	})
}

// On a mount without links no path leads through one, not even one that takes the
// place of a directory, and what is mounted below it is there. Nobody else sees the
// mount, and nothing is left of it.
func TestLinkless(t *testing.T) {
	dir := mount(t, "tmpfs", "size=64k")
	run(t, "mount", "--make-shared", dir)
	for _, d := range []string{"/home/pi", "/home/below", "/out/in"} {
		ok(t, os.MkdirAll(dir+d, 0o755))
	}
	ok(t, os.Mkdir(dir+"/home/pi/in", 0o700))
	ok(t, os.Symlink("../out", dir+"/home/link"))
	run(t, "mount", "-t", "tmpfs", "none", dir+"/home/below")
	ok(t, os.Symlink("../../out", dir+"/home/below/link"))
	ok(t, os.Mkdir(dir+"/home/below/in", 0o750))
	mounts := func() string {
		table, err := os.ReadFile("/proc/self/mountinfo")
		ok(t, err)
		return string(table)
	}
	before, files := mounts(), descriptors(t)
	h, err := open(dir + "/home")
	ok(t, err)
	base := keptDir{path: "/home"}
	if base.handle, err = h.linkless(); errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) || errors.Is(err, errors.ErrUnsupported) {
		need(t, false, "a mount without links: "+err.Error())
	}
	ok(t, err)
	if now := mounts(); now != before {
		t.Errorf("mounted is\n%s\nbefore it was\n%s", now, before)
	}
	for name, want := range map[string]fs.FileMode{"pi": 0o755, "pi/in": 0o700, "below/in": 0o750} {
		if st, err := base.lstat(name, name); err != nil || st.Mode != fs.ModeDir|want {
			t.Errorf("%s: %+v, %v", name, st, err)
		}
	}
	if st, err := base.lstat("link", ""); err != nil || st.Mode.Type() != fs.ModeSymlink {
		t.Errorf("the link itself: %+v, %v", st, err)
	}
	for _, name := range []string{"link/in", "below/link/in"} {
		_, err := base.lstat(name, name)
		is(t, name, err, unix.ELOOP)
	}
	ok(t, os.Mkdir(dir+"/home/pi/later", 0o755))
	run(t, "mount", "-t", "tmpfs", "none", dir+"/home/pi/later")
	ok(t, os.Symlink("../../../out", dir+"/home/pi/later/link"))
	_, err = base.lstat("pi/later/link/in", "")
	is(t, "below what was mounted later", err, fs.ErrNotExist)
	run(t, "umount", dir+"/home/pi/later")

	var stop atomic.Bool
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for !stop.Load() {
			swap(dir+"/home/pi", dir+"/home/link")
		}
	})
	inside, refused := 0, 0
	for inside < 100 || refused < 100 {
		switch st, err := base.lstat("pi/in", ""); {
		case err == nil && st.Mode.Perm() == 0o700:
			inside++
		case errors.Is(err, unix.ELOOP):
			refused++
		default:
			t.Fatalf("%+v, %v", st, err)
		}
	}
	stop.Store(true)
	swapping.Wait()
	base.forget()
	h.close()
	run(t, "umount", dir+"/home/below")
	if now := descriptors(t); now != files {
		t.Errorf("%d files are open, %d were", now, files)
	}
}
