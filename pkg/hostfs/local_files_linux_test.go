package hostfs

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/strictmodes"
)

const cardPasswd = `root:x:0:0::/root:/bin/bash
daemon:x:1:1::/usr/sbin:/usr/sbin/nologin
pi:x:1000:1000:,,,:/home/pi:/bin/bash
ann:x:1001:1001::/home/ann/:
gone:x:1002:1002::/nonexistent:/bin/sh
homeless:x:1003:1003:::/bin/sh
nfs:x:4294967295:1::/:/bin/sh
sync:x:4:65534::/bin:/bin/sync
pi:x:1005:1005::/home/other:/bin/sh
+::::::
`

const cardGroup = `root:x:0:
adm:x:4:pi,ann
pi:x:1000:
ann:x:1001:
both:x:1010:pi
both2:x:1010:pi
`

// makeCard makes a root file system that has little but accounts.
func makeCard(t *testing.T) (*Card, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"passwd": cardPasswd, "group": cardGroup} {
		if err := os.MkdirAll(dir+"/etc", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/etc/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	card, err := OpenCard(dir)
	if errors.Is(err, unix.ENOSYS) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(card.Close)
	return card, dir
}

// rootCard is a card whose root is this machine's; nil where there are no cards.
func rootCard(t *testing.T) FS {
	card, err := OpenCard("/")
	if errors.Is(err, unix.ENOSYS) {
		return nil
	}
	must(t, err)
	t.Cleanup(card.Close)
	return card
}

// onBoth runs the same body on this machine and on a card: dir is the directory as
// fsys has it, real as the test has it.
func onBoth(t *testing.T, body func(t *testing.T, fsys Machine, dir, real string)) {
	t.Run("local", func(t *testing.T) {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		body(t, Local(), dir, dir)
	})
	t.Run("card", func(t *testing.T) {
		card, dir := makeCard(t)
		if err := os.Mkdir(dir+"/d", 0o755); err != nil {
			t.Fatal(err)
		}
		body(t, card, "/d", dir+"/d")
	})
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

// What here alone is refused.
func TestLocalRefuses(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys Machine, dir, real string) {
		ctx := t.Context()
		ok(t, os.WriteFile(real+"/file", nil, 0o600))
		ok(t, os.Mkdir(real+"/folder", 0o700))
		was := lstat(t, fsys, dir+"/file")
		for _, bad := range []string{"", "/", dir + "/", dir + "/.."} {
			if err := fsys.Rename(ctx, bad, was, bad+"x"); err == nil {
				t.Errorf("%q was renamed", bad)
			}
		}
		is(t, "to the same", fsys.Rename(ctx, dir+"/file", was, dir+"/file"), fs.ErrExist)
		ok(t, os.Symlink("folder", real+"/link"))
		is(t, "through a link", fsys.Mkdir(ctx, dir+"/link/x", 0o700), ErrChanged)
		ok(t, os.Link(real+"/file", real+"/file too"))
		was = lstat(t, fsys, dir+"/file")
		is(t, "linked", fsys.Rename(ctx, dir+"/file", was, dir+"/x"), ErrLinked)
		is(t, "linked", fsys.Copy(ctx, dir+"/file", was, dir+"/x", 0o600), ErrLinked)
	})
}

// What is replaced may be no larger than it may be to be read.
func TestReplaceTooLarge(t *testing.T) {
	path := t.TempDir() + "/sparse"
	ok(t, os.WriteFile(path, nil, 0o600))
	ok(t, os.Truncate(path, 1<<40))
	is(t, "replaced", Replace(path, 0o600, func([]byte) ([]byte, error) { return []byte{}, nil }), bounded.ErrTooLarge)
}

func TestMakeDir(t *testing.T) {
	dir := t.TempDir()
	for _, umask := range []int{0, 0o777} {
		path := filepath.Join(dir, strconv.Itoa(umask))
		old := unix.Umask(umask)
		err := MakeDir(path, 0o700)
		unix.Umask(old)
		ok(t, err)
		modeIs(t, path, fs.ModeDir|0o700)
	}
	ok(t, os.Chmod(dir+"/0", 0o750))
	ok(t, MakeDir(dir+"/0", 0o700))
	modeIs(t, dir+"/0", fs.ModeDir|0o750)
	// What failed is said: that there is no such directory is no news where it is made.
	if err := MakeDir(dir+"/none/x", 0o700); !errors.Is(err, fs.ErrNotExist) || err.Error() != "making "+dir+"/none/x: no such file or directory" {
		t.Error(err)
	}
}

func TestLocalGlob(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys Machine, dir, real string) {
		ctx := t.Context()
		ok(t, os.Mkdir(real+"/conf.d", 0o755))
		ok(t, os.Mkdir(real+"/other.d", 0o711))
		for _, name := range []string{"conf.d/b.conf", "conf.d/a.conf", "conf.d/.hidden.conf", "conf.d/c.conf~", "other.d/a.conf"} {
			ok(t, os.WriteFile(filepath.Join(real, name), []byte(name), 0o644))
		}
		ok(t, unix.Mkfifo(real+"/fifo", 0o600))
		ok(t, os.Symlink(dir+"/conf.d", real+"/abs"))
		for pattern, want := range map[string]string{
			"conf.d/*.conf":       "conf.d/a.conf conf.d/b.conf",
			"conf.d/.*.conf":      "conf.d/.hidden.conf",
			"conf.d/[!a].conf":    "conf.d/b.conf",
			"*.d/a.conf":          "conf.d/a.conf other.d/a.conf",
			"conf.d/./a.conf":     "conf.d/a.conf",
			"abs/?.conf":          "abs/a.conf abs/b.conf",
			"conf.d/none":         "",
			"none/*":              "",
			"fifo/*":              "",
			"conf.d/a.conf/*":     "",
			"conf.d/a.conf/x":     "",
			"conf.d/..conf.d/*.c": "",
		} {
			found, err := fsys.Glob(ctx, dir+"/"+pattern)
			if err != nil || strings.ReplaceAll(strings.Join(found, " "), dir+"/", "") != want {
				t.Errorf("%s: %q, %v; want %s", pattern, found, err, want)
			}
		}
		if _, err := fsys.Glob(ctx, dir+"/conf.d/[a"); err == nil {
			t.Error("a pattern without an end was taken")
		}
	})
}

// Who has a lease on a file, as Samba, is asked to give it up, and keeps nobody waiting
// for long who would read it.
func TestLocalReadLeased(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(name)
	ok(t, err)
	defer f.Close()
	lease := func() {
		if _, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK); err != nil {
			t.Skipf("no lease: %v", err)
		}
	}
	lease()
	given := make(chan error)
	go func() { // as a holder does who is asked
		for {
			if now, err := unix.FcntlInt(f.Fd(), unix.F_GETLEASE, 0); err != nil || now != unix.F_WRLCK {
				_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
				given <- err
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	_, err = Local().ReadFile(t.Context(), name)
	ok(t, err)
	ok(t, <-given)
	lease()
	_, err = Local().ReadFile(t.Context(), name)
	is(t, "read", err, syscall.EAGAIN)
}

// A file that can be waited for, as those of FUSE, may be slow: what has a size is
// read whenever that is, and what has none once more after it was read.
func TestLocalReadSlowly(t *testing.T) {
	sized, err := openRegular("/sys/devices/system/cpu/online")
	need(t, err == nil, "sysfs")
	defer sized.Close()
	empty, err := openRegular("/proc/self/mountinfo")
	ok(t, err)
	defer empty.Close()
	_, err = contents(empty)
	ok(t, err)
	time.Sleep(1100 * time.Millisecond)
	for _, f := range []*os.File{sized, empty} {
		if data, err := contents(f); err != nil || len(data) == 0 {
			t.Errorf("%q, %v", data, err)
		}
	}
}

func TestLocalAttributes(t *testing.T) {
	onBoth(t, func(t *testing.T, fsys Machine, dir, real string) {
		attributes := func(name string) strictmodes.Attributes {
			t.Helper()
			a, err := fsys.Attributes(t.Context(), dir+"/"+name)
			ok(t, err)
			return a
		}
		ok(t, os.WriteFile(real+"/file", nil, 0o600))
		ok(t, unix.Mkfifo(real+"/fifo", 0o600))
		attributes("fifo")
		plain := attributes("file")
		if plain.FS == "" || plain.Granted != nil || plain.Immutable || plain.ReadOnly {
			t.Errorf("a plain file: %+v", plain)
		}
		_, err := fsys.Attributes(t.Context(), dir+"/none")
		is(t, "none", err, fs.ErrNotExist)

		t.Run("acl", func(t *testing.T) {
			_, err := exec.LookPath("setfacl")
			need(t, err == nil, "setfacl is missing")
			owner, group := strconv.Itoa(os.Getuid()), strconv.Itoa(os.Getgid())
			for _, c := range []struct {
				acl  string
				want bool // others write
			}{
				{"u:12345:rwx", true}, {"u:12345:r-x", false}, {"g:12345:-w-", true}, {"u:12345:rwx,m::r-x", false},
				{"u:" + owner + ":rwx", false}, {"g:" + group + ":rwx", false}, {"m::rwx", false},
			} {
				ok(t, os.RemoveAll(real+"/guarded"))
				ok(t, os.Mkdir(real+"/guarded", 0o755))
				if out, err := exec.Command("setfacl", "-m", c.acl, real+"/guarded").CombinedOutput(); err != nil {
					t.Skipf("setfacl: %s", out)
				}
				a := attributes("guarded")
				if got := a.OthersWrite(lstat(t, fsys, dir+"/guarded")); got != c.want || (len(a.Granted) == 1) != (c.acl == "m::rwx") {
					t.Errorf("%s: %+v", c.acl, a)
				}
			}
		})
		t.Run("immutable", func(t *testing.T) {
			need(t, os.Geteuid() == 0, "only root can")
			for _, flag := range []string{"i", "a"} {
				if out, err := exec.Command("chattr", "+"+flag, real+"/file").CombinedOutput(); err != nil {
					t.Skipf("chattr: %v: %s", err, out)
				}
				a := attributes("file")
				st := lstat(t, fsys, dir+"/file")
				cerr := fsys.Chmod(t.Context(), dir+"/file", st, 0o400)
				rerr := fsys.Rename(t.Context(), dir+"/file", st, dir+"/x")
				run(t, "chattr", "-"+flag, real+"/file")
				if !a.Immutable {
					t.Errorf("+%s: %+v", flag, a)
				}
				is(t, "chmod", cerr, fs.ErrPermission)
				is(t, "rename", rerr, fs.ErrPermission)
			}
		})
		t.Run("mounts", func(t *testing.T) {
			need(t, os.Geteuid() == 0, "only root can mount")
			for name, options := range map[string][]string{
				"tmpfs":   {"-t", "tmpfs", "none"},
				"overlay": {"-t", "overlay", "-o", "lowerdir=" + real + "/low,upperdir=" + real + "/up,workdir=" + real + "/work", "none"},
				"bind":    {"--bind", "-o", "ro", real + "/low"},
			} {
				for _, d := range []string{"low", "up", "work", name} {
					ok(t, os.MkdirAll(real+"/"+d, 0o755))
				}
				if name != "overlay" {
					ok(t, os.WriteFile(real+"/low/f", nil, 0o644))
				}
				if out, err := exec.Command("mount", append(options, real+"/"+name)...).CombinedOutput(); err != nil {
					t.Logf("%s: not tried: %s", name, out)
					continue
				}
				a := attributes(name)
				want := strictmodes.Attributes{FS: name}
				if name == "bind" {
					want = strictmodes.Attributes{FS: plain.FS, ReadOnly: true}
					st := lstat(t, fsys, dir+"/bind/f")
					is(t, "chmod", fsys.Chmod(t.Context(), dir+"/bind/f", st, 0o600), syscall.EROFS)
					is(t, "rename", fsys.Rename(t.Context(), dir+"/bind/f", st, dir+"/bind/g"), syscall.EROFS)
					is(t, "mkdir", fsys.Mkdir(t.Context(), dir+"/bind/d", 0o700), syscall.EROFS)
					is(t, "copy", fsys.Copy(t.Context(), dir+"/bind/f", st, dir+"/bind/g", 0o600), syscall.EROFS)
				} else {
					ok(t, os.WriteFile(real+"/"+name+"/new", nil, 0o644))
					st := lstat(t, fsys, dir+"/"+name+"/new")
					ok(t, fsys.Copy(t.Context(), dir+"/"+name+"/new", st, dir+"/"+name+"/copy", 0o600))
					ok(t, fsys.Rename(t.Context(), dir+"/"+name+"/new", st, dir+"/"+name+"/aside"))
					ok(t, fsys.Mkdir(t.Context(), dir+"/"+name+"/made", 0o700))
				}
				run(t, "umount", real+"/"+name)
				if !reflect.DeepEqual(a, want) {
					t.Errorf("%s: %+v, want %+v", name, a, want)
				}
			}
		})
	})
}

func FuzzGrants(f *testing.F) {
	entry := func(tag, perm uint16, id uint32) []byte {
		b := binary.LittleEndian.AppendUint16(nil, tag)
		return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint16(b, perm), id)
	}
	f.Add(slices.Concat([]byte{2, 0, 0, 0}, entry(2, 7, 12345), entry(0x10, 5, 1<<32-1)))
	f.Add(slices.Concat([]byte{2, 0, 0, 0}, entry(8, 2, 12345), entry(0x10, 7, 1<<32-1)))
	f.Add([]byte{2, 0, 0})
	f.Fuzz(func(t *testing.T, acl []byte) {
		got, err := grants(acl)
		if len(got) > 0 && (err != nil || len(acl) < 4+8*len(got)) {
			t.Errorf("%x: %v, %v", acl, got, err)
		}
	})
}

func TestAccounts(t *testing.T) {
	card, _ := makeCard(t)
	list, err := card.Accounts(t.Context())
	ok(t, err)
	var got []string
	for who := range list {
		got = append(got, who.Name+" "+who.Home)
	}
	if want := []string{"root /root", "pi /home/pi", "ann /home/ann"}; !slices.Equal(got, want) {
		t.Errorf("accounts: %q, want %q", got, want)
	}
	pi, err := card.Lookup(t.Context(), "pi")
	if err != nil || pi.UID != 1000 || pi.Home != "/home/pi" || !slices.Equal(pi.Groups, []int{1000, 4, 1010}) {
		t.Errorf("pi: %+v, %v", pi, err)
	}
	if groups, err := card.GroupNames(t.Context(), pi); err != nil || !slices.Equal(groups, []string{"pi", "adm", "both"}) {
		t.Errorf("pi's groups: %q, %v", groups, err)
	}
	for _, name := range []string{"none", "", "+"} {
		_, err := card.Lookup(t.Context(), name)
		is(t, name, err, ErrNoAccount)
	}
	for _, name := range []string{"homeless", "nfs"} {
		if _, err := card.Lookup(t.Context(), name); err == nil || errors.Is(err, ErrNoAccount) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if me, err := card.Account(t.Context()); err != nil || me.UID != os.Geteuid() || me.UID == 0 && me.Name != "root" {
		t.Errorf("who works: %+v, %v", me, err)
	}
	root, err := Local().Lookup(t.Context(), "root")
	if err != nil || root.UID != 0 || len(root.Groups) == 0 || root.Groups[0] != 0 {
		t.Errorf("root: %+v, %v", root, err)
	}
	_, err = Local().Lookup(t.Context(), "-x")
	is(t, "-x", err, ErrNoAccount)
}

// Ten thousand accounts are read, and each is found.
func TestManyAccounts(t *testing.T) {
	var passwd, groups strings.Builder
	for i := range 10_000 {
		n := strconv.Itoa(i + 1000)
		passwd.WriteString("u" + n + ":x:" + n + ":" + n + "::/home/u" + n + ":/bin/sh\n")
		groups.WriteString("u" + n + ":x:" + n + ":\n")
	}
	a := readAccounts(passwd.String(), groups.String())
	for who := range a.sensible() {
		private, perr := a.privateGroup(who.UID, who.UID, who.UID, nil)
		if _, err := a.lookup(who.Name); err != nil || perr != nil || !private {
			t.Fatal(who, err)
		}
	}
	if _, err := a.lookup("none"); !errors.Is(err, ErrNoAccount) || strings.Contains(err.Error(), "u1000") { // not all of them
		t.Error(err)
	}
}

// Root works in the home of somebody who swaps files and directories with links to
// what is not his, and makes hard links, as fast as he can. With
// HOSTFS_TEST_TRIES that many tries are made on this machine and on a card each.
func TestSwapRace(t *testing.T) {
	tries := 4000
	if n, err := strconv.Atoi(os.Getenv("HOSTFS_TEST_TRIES")); err == nil {
		tries = n
	}
	onBoth(t, func(t *testing.T, fsys Machine, dir, real string) {
		// The attacker needs no root for what he does to names in his home;
		// where we are root, all that is in it and not of root is his.
		const eve = 12345
		mine := func(path string) {
			if os.Geteuid() == 0 {
				ok(t, os.Lchown(path, eve, eve))
			}
		}
		for _, d := range []string{"/etc", "/etc/ssh", "/home", "/home/ssh"} {
			ok(t, os.Mkdir(real+d, 0o755))
		}
		for _, p := range []string{"/etc/ssh/f", "/etc/secret", "/home/ssh/f"} {
			ok(t, os.WriteFile(real+p, []byte(p), 0o600))
			ok(t, os.Chmod(real+p, 0o666))
		}
		links := map[string]string{"/home/evil": dir + "/etc/ssh", "/home/ssh/evil": dir + "/etc/ssh/f", "/home/up": "../etc/ssh"}
		for link, target := range links {
			ok(t, os.Symlink(target, real+link))
			mine(real + link)
		}
		mine(real + "/home")
		mine(real + "/home/ssh")
		mine(real + "/home/ssh/f")
		snapshot := func() string {
			out, err := exec.Command("find", real+"/etc", "-printf", "%P %M %U %G %n %i %l\n").Output()
			ok(t, err)
			for _, p := range []string{"/etc/ssh/f", "/etc/secret"} {
				contentIs(t, real+p, p)
			}
			return string(out)
		}
		before := snapshot()

		own, err := os.Open(real + "/home/ssh/f") // before a swap could make it another's
		ok(t, err)
		defer own.Close()

		var stop atomic.Bool
		swaps := make(chan int)
		go func() {
			n := 0
			ssh, home := real+"/home/ssh", real+"/home"
			for ; !stop.Load(); n++ {
				unix.Link(ssh+"/f", home+"/hard")
				swap(ssh, home+"/evil")
				swap(ssh, home+"/evil")
				unix.Unlink(home + "/hard")
				swap(ssh+"/f", ssh+"/evil")
				swap(ssh+"/f", ssh+"/evil")
				swap(ssh, home+"/up")
				swap(ssh, home+"/up")
			}
			swaps <- n
		}()
		var changed, refused int
		count := func(err error) bool {
			if err != nil {
				refused++
				return false
			}
			changed++
			return true
		}
		ctx := context.Background()
		f, aside := dir+"/home/ssh/f", dir+"/home/ssh/aside"
		// As of the file of his own, and as of the victim's.
		st := lstat(t, fsys, dir+"/etc/ssh/f")
		if os.Geteuid() == 0 {
			st.UID, st.GID = eve, eve
		}
		for i := range tries {
			was := st
			if i%5 == 4 {
				was.UID, was.GID = os.Geteuid(), os.Getegid()
			}
			switch i % 6 {
			case 0:
				if count(fsys.Chmod(ctx, f, was, 0o600)) {
					ok(t, own.Chmod(0o666))
				}
			case 1:
				if os.Geteuid() == 0 && count(fsys.Chown(ctx, f, was, 54321)) {
					ok(t, own.Chown(eve, eve))
				}
			case 2:
				if count(fsys.Rename(ctx, f, was, aside)) {
					// He may have left it no way back: then what follows is refused.
					for left := 10_000; fsys.Rename(ctx, aside, was, f) != nil && left > 0; left-- {
					}
				}
			case 3:
				if count(fsys.Copy(ctx, f, was, aside, 0o600)) {
					unix.Unlink(real + "/home/ssh/aside")
				}
			case 4:
				if count(fsys.Mkdir(ctx, aside, 0o711)) {
					unix.Rmdir(real + "/home/ssh/aside")
				}
			case 5:
				_, err := fsys.Attributes(ctx, f)
				count(err)
			}
			unix.Rmdir(real + "/home/ssh/aside")
			unix.Unlink(real + "/home/ssh/aside")
		}
		stop.Store(true)
		n := <-swaps
		t.Logf("%d tries: %d carried out, %d refused, %d rounds of swaps meanwhile", tries, changed, refused, n)
		if after := snapshot(); after != before {
			t.Errorf("what is not his is now\n%s, was\n%s", after, before)
		}
		if changed == 0 || refused == 0 || n == 0 {
			t.Error("there was no race")
		}
	})
}

// Nor does a name in his home that was of another's file for a moment make it his: of
// one that root has left there he has the like.
func TestLinkRace(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can give files away")
	const eve = 12345
	onBoth(t, func(t *testing.T, fsys Machine, dir, real string) {
		ok(t, os.Mkdir(real+"/home", 0o755))
		ok(t, os.Chown(real+"/home", eve, eve))
		victim, keys := real+"/victim", real+"/home/keys"
		ok(t, os.WriteFile(victim, nil, 0o600))
		ok(t, os.WriteFile(keys, nil, 0o600))
		was := lstat(t, fsys, dir+"/home/keys")
		if err := fsys.Chown(t.Context(), dir+"/home/keys", was, eve); err != nil { // new as it is
			t.Error(err)
		}
		ok(t, os.Remove(keys))
		var stop atomic.Bool
		rounds := make(chan int)
		go func() {
			n := 0
			for ; !stop.Load(); n++ {
				unix.Link(victim, keys)
				unix.Unlink(keys)
			}
			rounds <- n
		}()
		for range 20_000 {
			fsys.Chown(t.Context(), dir+"/home/keys", was, eve)
			if st := lstat(t, fsys, dir+"/victim"); st.UID != 0 {
				t.Error("it is his")
				break
			}
		}
		stop.Store(true)
		if <-rounds == 0 {
			t.Error("there was no race")
		}
	})
}

// What took the place of a new directory is not taken for it.
func TestMkdirFinish(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(dir string) error
		want error
	}{
		{"ours", func(string) error { return nil }, nil},
		{"not empty", func(dir string) error { return os.Mkdir(dir+"/x", 0o700) }, ErrChanged},
		{"another's", func(dir string) error { return os.Chown(dir, 1, 1) }, ErrChanged},
		{"another's, of another mode", func(dir string) error { return errors.Join(os.Chmod(dir, 0o500), os.Chown(dir, 1, 1)) }, ErrChanged},
	} {
		dir := t.TempDir()
		if err := errors.Join(os.Mkdir(dir+"/new", 0o700), c.make(dir+"/new")); errors.Is(err, fs.ErrPermission) {
			continue // only root gives away
		} else if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := (folder{f}).finish("new", 0o700); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// A pattern of a user's own does not have root search the disk.
func TestGlobEnds(t *testing.T) {
	dir, below := t.TempDir(), t.TempDir()
	for i := range 100 {
		must(t, os.Mkdir(filepath.Join(below, strconv.Itoa(i)), 0o700))
	}
	for i := range 110 { // through links, which is quicker to make and to remove
		must(t, os.Symlink(below, filepath.Join(dir, strconv.Itoa(i))))
	}
	_, err := Local().Glob(t.Context(), dir+"/*/*/*")
	is(t, "a deep pattern", err, ErrTooMany)
	if found, err := Local().Glob(t.Context(), dir+"/1*/7"); err != nil || len(found) != 21 {
		t.Errorf("%d found, %v", len(found), err)
	}
}
