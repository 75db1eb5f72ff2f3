//go:build unix

package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// shellAs returns a Runner that is a login shell on this machine, after noise
// as of a .bashrc; uid 0 is whoever we are.
func shellAs(uid int, shell ...string) Runner {
	return func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, shell[0], append(shell[1:], "-c", command)...)
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/home/nobody else", "LANG=de_DE.UTF-8"}
		cmd.Dir = "/"
		if uid != 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), NoSetGroups: false}}
		}
		var stdout, stderr strings.Builder
		stdout.WriteString("Welcome!\ndrwxrwxrwx 1 0 0 -- pi-key-tools")
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = nil
		}
		return []byte(stdout.String()), []byte(stderr.String()), cmd.ProcessState.ExitCode(), err
	}
}

func lstat(t *testing.T, fsys FS, path string) strictmodes.Stat {
	t.Helper()
	st, err := fsys.Lstat(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// tree makes one of everything, and returns the paths.
func tree(t *testing.T) (dir string, paths []string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, mode := range map[string]uint32{
		"plain": 0644, "set": 06711, "odd": 05020, "with blank": 0600, "with\nnewline": 0604, "* $(id) 'quoted' \\": 0640, "zero": 0, "ümlaut -> x": 0777,
	} {
		p := filepath.Join(dir, name)
		must(os.WriteFile(p, nil, 0o600))
		must(unix.Chmod(p, mode))
		paths = append(paths, p)
	}
	for name, mode := range map[string]uint32{"dir": 0755, "shared": 03775, "sticky": 01777} {
		p := filepath.Join(dir, name)
		must(os.Mkdir(p, 0o700))
		must(unix.Chmod(p, mode))
		paths = append(paths, p)
	}
	for name, target := range map[string]string{"link": "plain", "dangling": "no where\n", "link -> link": "a -> b"} {
		must(os.Symlink(target, filepath.Join(dir, name)))
		paths = append(paths, filepath.Join(dir, name))
	}
	must(os.Link(filepath.Join(dir, "plain"), filepath.Join(dir, "plain too")))
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0600))
	return dir, append(paths, filepath.Join(dir, "fifo"), filepath.Join(dir, "plain too"), "/dev/null", "/")
}

// Far sees through every login shell what Local sees.
func TestFarIsLocal(t *testing.T) {
	dir, paths := tree(t)
	for _, shell := range [][]string{{"sh"}, {"bash"}, {"dash"}, {"zsh"}, {"fish"}, {"tcsh"}, {"busybox", "ash"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			t.Logf("no %s here", shell[0])
			continue
		}
		far := Far(shellAs(0, shell...))
		for _, p := range paths {
			want := lstat(t, Local(), p)
			got, err := far.Lstat(t.Context(), p)
			if err != nil || got != want {
				t.Errorf("%s: %q is %+v, %v; want %+v", shell, p, got, err, want)
			}
			wantTo, wantErr := Local().Readlink(t.Context(), p)
			to, err := far.Readlink(t.Context(), p)
			if to != wantTo || (err == nil) != (wantErr == nil) {
				t.Errorf("%s: %q links to %q, %v; want %q, %v", shell, p, to, err, wantTo, wantErr)
			}
			if shell[0] != "sh" {
				break
			}
		}
		who, err := far.Account(t.Context())
		if err != nil || who.UID != os.Getuid() || who.Home != "/home/nobody else" || len(who.Groups) == 0 || who.Groups[0] != os.Getgid() {
			t.Errorf("%s: account %+v, %v", shell, who, err)
		}
	}
	for _, fsys := range []FS{Local(), Far(shellAs(0, "sh"))} {
		for _, p := range []string{"none", "none/deeper", "dir/none"} {
			if _, err := fsys.Lstat(t.Context(), filepath.Join(dir, p)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%T: lstat of %s: %v", fsys, p, err)
			}
			if _, err := fsys.Readlink(t.Context(), filepath.Join(dir, p)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%T: readlink of %s: %v", fsys, p, err)
			}
		}
		for gid, want := range map[int]bool{0: true, 987654: false} {
			if got, err := fsys.PrivateGroup(t.Context(), gid, 0, 0); err != nil || got != want {
				t.Errorf("%T: PrivateGroup(%d, 0) = %v, %v", fsys, gid, got, err)
			}
		}
	}
	if _, err := Far(shellAs(0, "sh")).Lstat(t.Context(), "-rf"); err == nil {
		t.Error("a relative path was taken")
	}
}

// The link is read from ls where there is no readlink(1).
func TestFarWithoutReadlink(t *testing.T) {
	dir, _ := tree(t)
	bin := t.TempDir()
	for _, name := range []string{"ls", "sh"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	far := Far(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Env = []string{"PATH=" + bin}
		out, err := cmd.Output()
		return out, nil, 0, err
	})
	for name, want := range map[string]string{"link": "plain", "link -> link": "a -> b", "dangling": "no where\n"} {
		if got, err := far.Readlink(t.Context(), filepath.Join(dir, name)); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

// Of two names of one uid, ours is the one that we came by.
func TestTwoNames(t *testing.T) {
	bin := t.TempDir()
	const id = `#!/bin/sh
case "$*" in
-un) echo first ;;
"-u third") echo 8 ;;
"-u ") exit 1 ;;
*) echo 7 ;;
esac
`
	if err := os.WriteFile(filepath.Join(bin, "id"), []byte(id), 0o755); err != nil {
		t.Fatal(err)
	}
	for logname, want := range map[string]string{"second": "second", "third": "first", "": "first"} {
		far := Far(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
			cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
			cmd.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=/", "LOGNAME=" + logname}
			out, err := cmd.Output()
			return out, nil, 0, err
		})
		if who, err := far.Account(t.Context()); err != nil || who.Name != want || who.UID != 7 {
			t.Errorf("LOGNAME=%s: %+v, %v", logname, who, err)
		}
	}
	me, err := user.Current()
	if err != nil || me.Uid == "65534" {
		t.Skipf("we are nobody: %v", err)
	}
	t.Setenv("LOGNAME", "nobody")
	if who, err := Local().Account(t.Context()); err != nil || who.Name != me.Username {
		t.Errorf("here: %+v, %v", who, err)
	}
}

func TestFarDenied(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can be somebody else")
	who, err := Far(shellAs(12345, "sh")).Account(t.Context())
	if err != nil || who.Name != "" || who.UID != 12345 || !slices.Contains(who.Groups, 12345) {
		t.Errorf("somebody without a name is %+v, %v", who, err)
	}
	dir, _ := tree(t)
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) { // t.TempDir lets nobody else in
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	closed := filepath.Join(dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	far := Far(shellAs(12345, "sh"))
	if _, err := far.Lstat(t.Context(), closed); err != nil {
		t.Errorf("a closed folder can be looked at from outside, but: %v", err)
	}
	for _, p := range []string{"x", "x/y"} {
		if _, err := far.Lstat(t.Context(), filepath.Join(closed, p)); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("lstat of %s in a closed folder: %v", p, err)
		}
	}
	if _, err := far.Lstat(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lstat of none: %v", err)
	}
	st := lstat(t, far, closed)
	if err := far.Chmod(t.Context(), closed, st, 0o700); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("chmod of root's: %v", err)
	}
	if err := far.Chown(t.Context(), closed, st, 12345); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("chown of root's: %v", err)
	}
}

// What comes instead of an answer is shown, but never raw, nor all of it.
func TestFarNoShell(t *testing.T) {
	for said, want := range map[string]string{
		"This account is currently not available.\n": `"This account is currently not available."`,
		"":                                     "it said nothing",
		"\x1b[2J" + strings.Repeat("x", 1<<20): `"\x1b[2Jxxx`,
		"x\n" + begin + "drwxr-xr-x 2 0 0 x\n": "ran no command",
	} {
		far := Far(func(context.Context, string) ([]byte, []byte, int, error) { return []byte(said), nil, 1, nil })
		_, err := far.Lstat(t.Context(), "/x")
		if !errors.Is(err, ErrNoShell) || !strings.Contains(err.Error(), want) || len(err.Error()) > 500 {
			t.Errorf("%.60q: %v", said, err)
		}
	}
	broken := errors.New("connection lost")
	far := Far(func(context.Context, string) ([]byte, []byte, int, error) { return nil, nil, 0, broken })
	if _, err := far.Account(t.Context()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func both() map[string]FS { return map[string]FS{"local": Local(), "far": Far(shellAs(0, "sh"))} }

func TestChmod(t *testing.T) {
	for name, fsys := range both() {
		dir, paths := tree(t)
		for _, p := range paths[:len(paths)-4] {
			was := lstat(t, fsys, p)
			if was.Mode&fs.ModeSymlink != 0 || was.Nlink > 1 && !was.Mode.IsDir() {
				continue
			}
			for _, mode := range []fs.FileMode{strictmodes.Permissions(was.Mode) &^ 0022, 0o600, 0o755} {
				if err := fsys.Chmod(t.Context(), p, was, mode); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				was.Mode = was.Mode.Type() | mode
				if got := lstat(t, fsys, p); got != was {
					t.Errorf("%s: %q is %+v, want %+v", name, p, got, was)
				}
			}
		}
		// Nothing is changed that is not as it was.
		p := filepath.Join(dir, "with blank")
		st := lstat(t, fsys, p)
		for what, wrong := range map[string]strictmodes.Stat{
			"mode":  {Mode: st.Mode ^ 0020, UID: st.UID, GID: st.GID, Nlink: 1},
			"type":  {Mode: st.Mode | fs.ModeDir, UID: st.UID, GID: st.GID, Nlink: 1},
			"owner": {Mode: st.Mode, UID: st.UID + 1, GID: st.GID, Nlink: 1},
			"group": {Mode: st.Mode, UID: st.UID, GID: st.GID + 1, Nlink: 1},
		} {
			if err := fsys.Chmod(t.Context(), p, wrong, 0o777); !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), p) {
				t.Errorf("%s, other %s: %v", name, what, err)
			}
			if got := lstat(t, fsys, p); got != st {
				t.Errorf("%s, other %s: changed to %+v", name, what, got)
			}
		}
		for link, want := range map[string]error{"link": ErrChanged, "fifo": ErrChanged, "plain": ErrLinked, "none": nil} {
			p := filepath.Join(dir, link)
			if err := fsys.Chmod(t.Context(), p, lstat(t, Local(), filepath.Join(dir, "dir")), 0o777); link != "plain" && err == nil {
				t.Errorf("%s: %s was taken for a folder", name, link)
			}
			if want == nil {
				continue
			}
			if err := fsys.Chmod(t.Context(), p, lstat(t, Local(), p), 0o777); !errors.Is(err, want) {
				t.Errorf("%s: chmod of %s: %v", name, link, err)
			}
			// A second name that was made since.
			st := lstat(t, Local(), p)
			if st.Nlink = 1; link == "plain" {
				if err := fsys.Chmod(t.Context(), p, st, 0o777); !errors.Is(err, ErrLinked) {
					t.Errorf("%s: chmod of %s: %v", name, link, err)
				}
			}
		}
	}
}

func TestChown(t *testing.T) {
	need(t, os.Geteuid() == 0, "only root can give files away")
	for name, fsys := range both() {
		dir, _ := tree(t)
		for _, f := range []string{"with blank", "shared"} {
			p := filepath.Join(dir, f)
			was := lstat(t, fsys, p)
			if err := fsys.Chown(t.Context(), p, was, 12345); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			was.UID = 12345
			if got := lstat(t, fsys, p); got != was {
				t.Errorf("%s: %s is %+v, want %+v", name, f, got, was)
			}
		}
		if err := fsys.Chown(t.Context(), filepath.Join(dir, "link"), lstat(t, fsys, filepath.Join(dir, "link")), 12345); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: chown of a link: %v", name, err)
		}
		if err := fsys.Chown(t.Context(), filepath.Join(dir, "plain"), lstat(t, fsys, filepath.Join(dir, "plain")), 12345); !errors.Is(err, ErrLinked) {
			t.Errorf("%s: chown of a linked file: %v", name, err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	dir := mount(t, "tmpfs", "size=64k")
	p := filepath.Join(dir, "f")
	if err := os.WriteFile(p, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "mount", "-o", "remount,ro", dir)
	for name, fsys := range both() {
		if err := fsys.Chmod(t.Context(), p, lstat(t, fsys, p), 0o600); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An FS that says yes and does nothing: FAT, some network file systems.
func TestModesIgnored(t *testing.T) {
	dir, _ := tree(t)
	p := filepath.Join(dir, "with blank")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "chmod"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	far := Far(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin"}
		out, err := cmd.Output()
		return out, nil, 0, err
	})
	if err := far.Chmod(t.Context(), p, lstat(t, far, p), 0o644); !errors.Is(err, ErrModesIgnored) {
		t.Error(err)
	}
}

// Root repairs in the home of somebody who swaps the file, and the directory it is
// in, with a link to a victim as fast as he can.
func TestLocalRace(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	victims, home := filepath.Join(dir, "etc"), filepath.Join(dir, "home")
	victim := filepath.Join(victims, "f")
	for _, d := range []string{victims, home, home + "/ssh"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{victim, home + "/ssh/f"} {
		if err := os.WriteFile(p, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(p, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	own, err := os.Open(home + "/ssh/f")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	was := lstat(t, Local(), victim)
	for link, target := range map[string]string{home + "/evil": victims, home + "/ssh/evil": victim} {
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
	}
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			swap(home+"/ssh", home+"/evil")
			swap(home+"/ssh", home+"/evil")
			swap(home+"/ssh/f", home+"/ssh/evil")
			swap(home+"/ssh/f", home+"/ssh/evil")
		}
		done <- n
	}()
	hits := 0
	for range 10_000 {
		if err := Local().Chmod(t.Context(), home+"/ssh/f", was, 0o644); err == nil {
			hits++
			if err := own.Chmod(0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop.Store(true)
	swaps := <-done
	if got := lstat(t, Local(), victim); got != was {
		t.Errorf("the victim is %+v, was %+v", got, was)
	}
	if swaps == 0 || hits == 0 {
		t.Errorf("no race: %d swaps, %d repairs", swaps, hits)
	}
}

func TestLocalAccount(t *testing.T) {
	if _, err := user.Current(); err != nil {
		t.Skipf("we are nobody: %v", err)
	}
	for home, want := range map[string]bool{"/home/elsewhere": true, "": false, "relative": false} {
		t.Setenv("HOME", home)
		who, err := Local().Account(t.Context())
		if err != nil || (who.Home == home) != want || who.UID != os.Getuid() || !filepath.IsAbs(who.Home) {
			t.Errorf("HOME=%q: %+v, %v", home, who, err)
		}
	}
}

// A file system that says yes and does something else is found out.
func TestChangeIgnored(t *testing.T) {
	was := strictmodes.Stat{Mode: 0o666, UID: 1000, GID: 1000, Nlink: 1}
	for _, c := range []struct {
		now         strictmodes.Stat
		owner, mode error
	}{
		{was, ErrModesIgnored, ErrModesIgnored},
		{strictmodes.Stat{Mode: 0o666, UID: 7}, nil, ErrModesIgnored},
		{strictmodes.Stat{Mode: 0o644, UID: 1000}, ErrModesIgnored, nil},
		{strictmodes.Stat{Mode: 0o600}, ErrModesIgnored, ErrModesIgnored},
	} {
		owner := changeOwner("/f", was, 7, func() (strictmodes.Stat, error) { return c.now, nil })
		mode := changeMode("/f", was, 0o644, func(fs.FileMode) (strictmodes.Stat, error) { return c.now, nil })
		if !errors.Is(owner, c.owner) || !errors.Is(mode, c.mode) {
			t.Errorf("%+v: %v and %v, want %v and %v", c.now, owner, mode, c.owner, c.mode)
		}
	}
}

func TestPrivateGroup(t *testing.T) {
	const passwd = "root:x:0:0::/root:/bin/sh\npi:x:1000:1000:,,,:/home/pi:/bin/bash\npi2:x:1000:1000::/:\neve:x:1001:1001::/home/eve:\nann:x:1002:1001::/home/ann:\n+::::::\n"
	const group = "root:x:0:\npi:x:1000:\neve:x:1001:\nempty:x:1002:\nonly:x:1003:pi\ntwo:x:1004:pi,eve\nalias:x:1005:pi2\nadm:x:1006:root\n+\n"
	for _, c := range []struct {
		gid, owner, uid int
		want            bool
	}{
		{1000, 1000, 1000, true}, // of two names
		{1000, 1001, 1001, false},
		{1000, 0, 1000, true},     // root's file
		{1000, 1009, 1000, false}, // nobody's
		{1001, 1001, 1001, false}, // ann's primary group too
		{1002, 1000, 1000, false}, // nobody's group
		{1003, 1000, 1000, true},  // the only, supplementary, member
		{1003, 0, 1000, false},    // who does not own the file
		{1003, 1001, 1001, false}, // who is another
		{1004, 1000, 1000, false}, // two
		{1005, 1000, 1000, false}, // the second name of the owner
		{1006, 0, 1000, true},     // root alone
		{987654, 1000, 1000, false},
		// What a directory service knows, and does not list.
		{5000, 1000, 1000, true},  // pi is its only member
		{5000, 5000, 5000, false}, // who is another
		{5001, 5000, 5000, true},
		{5002, 5000, 5000, false}, // no member: that it is the primary group of one is not listed
	} {
		ask := func(database string, id int) string {
			return map[string]string{"group5000": "web:*:5000:pi\n", "group5001": "sam:*:5001:sam\n", "group5002": "sam:*:5002:\n",
				"passwd5000": "sam:*:5000:5002::/home/sam:/bin/sh\n"}[fmt.Sprint(database, id)]
		}
		a := readAccounts(passwd, group)
		if got, err := a.privateGroup(c.gid, c.owner, c.uid, ask); got != c.want || err != nil {
			t.Errorf("gid %d, owner %d, uid %d: %v, %v", c.gid, c.owner, c.uid, got, err)
		}
		unlisted := c.gid > 2000 || c.owner > 1002
		if got, err := a.privateGroup(c.gid, c.owner, c.uid, nil); got && unlisted || errors.Is(err, strictmodes.ErrUnlisted) != unlisted {
			t.Errorf("gid %d, owner %d, uid %d, nobody to ask: %v, %v", c.gid, c.owner, c.uid, got, err)
		}
	}
}

func FuzzParseLs(f *testing.F) {
	for _, s := range []string{"drwxr-xr-x 2 1000 1000 4096 Nov 22 13:00 /p", "-rwsr-sr-T+ 12 0 0 1 x", "crw-rw-rw-. 1 0 0 1, 3 /dev/null", "lrwxrwxrwx@ 1 0 0 x", "?--------- ? ? ? ?", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		st, ok := parseLs(s)
		if !ok || st.Mode&fs.ModeIrregular != 0 {
			return
		}
		again, ok := parseLs(fmt.Sprintf("%s %d %d %d x", LsMode(st.Mode), st.Nlink, st.UID, st.GID))
		if !ok || again != st {
			t.Errorf("%q: %+v became %+v", s, st, again)
		}
	})
}
