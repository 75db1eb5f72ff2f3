package install

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// posixShells are what /bin/sh is somewhere.
var posixShells = []string{"dash", "bash --posix", "busybox ash", "mksh", "ksh93", "zsh --emulate sh"}

// as runs the program for a far /bin/sh with this one instead, PATH and all.
func as(t *testing.T, shell, home string, env ...string) hostfs.Runner {
	t.Helper()
	run := account(t, "sh", home, env...)
	if strings.Contains(shell, "ksh") {
		if _, err := exec.LookPath(shell); err != nil {
			t.Skip(shell + " is not here")
		}
	} else {
		sshtest.Need(t, strings.Fields(shell)[0])
	}
	return func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		rest, ok := strings.CutPrefix(command, "exec /bin/sh ")
		if !ok {
			t.Fatalf("not for /bin/sh: %.40q", command)
		}
		return run(ctx, "exec "+shell+" "+rest)
	}
}

func TestShellUnderEveryPosixShell(t *testing.T) {
	for _, sh := range posixShells {
		t.Run(sh, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			run := as(t, sh, home)
			write(t, home, "# caf\xe9\r\n\x00\x00\nssh-ed25519 AAAA someone")
			key, other := newKey(t), newKey(t)
			if _, _, err := putLines(t.Context(), Shell(run, ""), lines(key, other), false, false); err != nil {
				t.Fatal(err)
			}
			want := "# caf\xe9\r\n\x00\x00\nssh-ed25519 AAAA someone\n" + key.Line() + "\n" + other.Line() + "\n"
			if got := content(t, home); got != want {
				t.Fatalf("file %q, want %q", got, want)
			}
			_, data, err := Shell(run, "").Read(t.Context())
			if err != nil || string(data) != want {
				t.Errorf("read %q %v", data, err)
			}
			a, err := Shell(run, "").Edit(t.Context(), Change{Drop: []Numbered{{1, "# caf\xe9\r"}, {2, "\x00\x00"}, {4, key.Line()}}, Add: lines(key)})
			if err != nil || len(a.Have[key.Base64()]) != 1 {
				t.Fatal(a, err)
			}
			if got, want := content(t, home), "ssh-ed25519 AAAA someone\n"+other.Line()+"\n"; got != want {
				t.Errorf("file %q, want %q", got, want)
			}
			noLeftovers(t, home)
		})
	}
}

// What Edit makes of a file is what apply makes of its content.
func TestShellEditsAsApplyDoes(t *testing.T) {
	key := newKey(t)
	for _, c := range []struct {
		name, old string
		change    Change
	}{
		{"first", "a\nb\nc\n", Change{Drop: []Numbered{{1, "a"}}}},
		{"last", "a\nb\nc\n", Change{Drop: []Numbered{{3, "c"}}}},
		{"last without newline", "a\nb\nc", Change{Drop: []Numbered{{3, "c"}}}},
		{"before no newline", "a\nb\nc", Change{Drop: []Numbered{{2, "b"}}}},
		{"all", "a\nb\n", Change{Drop: []Numbered{{2, "b"}, {1, "a"}}}},
		{"blank", "a\n\n\nb\n", Change{Drop: []Numbered{{2, ""}}}},
		{"only", "a", Change{Drop: []Numbered{{1, "a"}}}},
		{"drop and add", "a\nb", Change{Drop: []Numbered{{1, "a"}}, Add: lines(key)}},
		{"backslash", "a\\n%s\\\n-n\n", Change{Drop: []Numbered{{1, `a\n%s\`}, {2, "-n"}}}},
		{"NUL", "\x00\x00x\nb\n", Change{Drop: []Numbered{{1, "\x00\x00x"}}}},
		{"changed", "a\nx\n", Change{Drop: []Numbered{{2, "b"}}}},
		{"gone", "a\n", Change{Drop: []Numbered{{2, "b"}}}},
		{"longer", "ab\n", Change{Drop: []Numbered{{1, "a"}}}},
		{"carriage return", "a\r\n", Change{Drop: []Numbered{{1, "a"}}}},
		{"in its place", "a\nb\nc\n", Change{Drop: []Numbered{{2, "b"}}, With: map[int][]string{2: {"x y ", `\n%s`}}}},
		{"in several places", "a\nb\nc\nd", Change{Drop: []Numbered{{1, "a"}, {2, "b"}, {4, "d"}}, With: map[int][]string{1: {"1"}, 4: {"4", "5"}}, Add: lines(key)}},
		{"in the place of all", "a", Change{Drop: []Numbered{{1, "a"}}, With: map[int][]string{1: {"much longer", ""}}}},
		{"one that stays", "a\nb\nc", Change{Drop: []Numbered{{1, "a"}, {3, "c"}}, With: map[int][]string{3: {"c"}}}},
		{"one that stays, and one more", "a\nb\nc", Change{Drop: []Numbered{{1, "a"}, {2, "b"}}, With: map[int][]string{2: {"b"}}, Add: lines(key)}},
		{"after no newline", "# mine", Change{Add: lines(key)}},
		{"after CRLF", "ssh-ed25519 AAAA someone\r\n", Change{Add: lines(key)}},
		{"after NULs", "ssh-ed25519 AAAA someone\n\x00\x00\x00", Change{Add: lines(key)}},
		{"after Latin-1", "# caf\xe9\n", Change{Add: lines(key)}},
		{"to nothing", "", Change{Add: lines(key)}},
		{"after blanks", "\n\n", Change{Add: lines(key)}},
		{"force", key.Line() + "\n", Change{Add: lines(key), Force: true}},
		{"twice", "", Change{Add: lines(key, key)}},
		{"dry", "a\n", Change{Add: lines(key), DryRun: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, c.old)
			want, wantAnswer, wantErr := c.change.apply(keysFile(home), []byte(c.old))
			if wantErr != nil || c.change.DryRun {
				want = []byte(c.old)
			}
			a, err := Shell(account(t, "sh", home), "").Edit(t.Context(), c.change)
			var put *PutError
			if wantErr != nil {
				if !errors.As(err, &put) || put.Cause != "busy" || put.Unsure {
					t.Errorf("error %v, want busy", err)
				}
			} else if err != nil || fmt.Sprint(a) != fmt.Sprint(wantAnswer) {
				t.Errorf("answer %+v %v, want %+v", a, err, wantAnswer)
			}
			if got := content(t, home); got != string(want) {
				t.Errorf("file %q, want %q", got, want)
			}
			noLeftovers(t, home)
		})
	}
}

// engines are all that there are, for an account of ours.
var engines = []struct {
	name string
	make func(t *testing.T, home string) Engine
}{
	{"shell", func(t *testing.T, home string) Engine { return Shell(account(t, "sh", home), "") }},
	{"sftp", func(t *testing.T, home string) Engine { return SFTP(overPipe(t, home), "", "") }},
	{"mounted", func(t *testing.T, home string) Engine {
		sshtest.NeedRoot(t)
		if err := errors.Join(os.Mkdir(filepath.Join(home, "etc"), 0o755),
			os.WriteFile(filepath.Join(home, "etc/passwd"), []byte("root:x:0:0::/:/bin/sh\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
		m, err := Root(home, "root", ".ssh/authorized_keys")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}},
}

// A copy of a file that could not be changed would say nothing.
func TestNoBackupOfWhatStays(t *testing.T) {
	sshtest.NeedRoot(t)
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			home := sftpHome(t)
			write(t, home, "one\n")
			if out, err := exec.Command("chattr", "+i", keysFile(home)).CombinedOutput(); err != nil {
				t.Skipf("chattr: %s", out)
			}
			defer exec.Command("chattr", "-i", keysFile(home)).Run()
			_, err := e.make(t, home).Edit(t.Context(), Change{Add: lines(newKey(t)), Backup: true})
			var put *PutError
			if !errors.As(err, &put) || put.Unsure || e.name != "sftp" && put.Cause != "immutable" {
				t.Errorf("error %v", err)
			}
			noLeftovers(t, home)
		})
	}
}

// Before a change, and only then, a copy is kept; none takes the place of another.
func TestBackup(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			home := sftpHome(t)
			engine := e.make(t, home)
			edit := func(c Change, old, want, wantBackup string) {
				t.Helper()
				c.Backup = true
				a, err := engine.Edit(t.Context(), c)
				if err != nil || filepath.Base(a.Backup) != filepath.Base(wantBackup) {
					t.Fatalf("%+v %v, want %q", a, err, wantBackup)
				}
				if got := content(t, home); got != want {
					t.Errorf("file %q, want %q", got, want)
				}
				if wantBackup == "." {
					return
				}
				kept := filepath.Join(home, ".ssh", wantBackup)
				data, err := os.ReadFile(kept)
				if err != nil || string(data) != old {
					t.Errorf("%s: %q %v, want %q", wantBackup, data, err, old)
				}
				if st, err := os.Stat(kept); err != nil || st.Mode().Perm() != 0o640 {
					t.Errorf("%s: %v %v", wantBackup, st.Mode(), err)
				}
			}
			key := newKey(t)
			edit(Change{Add: lines(key)}, "", key.Line()+"\n", ".")
			write(t, home, "one\n\x00two")
			if err := os.Chmod(keysFile(home), 0o640); err != nil {
				t.Fatal(err)
			}
			edit(Change{Drop: []Numbered{{1, "one"}}, With: map[int][]string{1: {"eins"}}}, "one\n\x00two", "eins\n\x00two", "authorized_keys.old")
			edit(Change{Add: lines(key), DryRun: true}, "", "eins\n\x00two", ".")
			if err := os.Symlink("nowhere", keysFile(home)+".old2"); err != nil {
				t.Fatal(err)
			}
			edit(Change{Add: lines(key)}, "eins\n\x00two", "eins\n\x00two\n"+key.Line()+"\n", "authorized_keys.old3")
			edit(Change{Add: lines(key)}, "", "eins\n\x00two\n"+key.Line()+"\n", ".")
			entries, err := os.ReadDir(filepath.Join(home, ".ssh"))
			if err != nil || len(entries) != 4 {
				t.Errorf("%v %v", entries, err)
			}
		})
	}
}

func TestShellPaths(t *testing.T) {
	for _, c := range []struct{ path, want string }{
		{"", ".ssh/authorized_keys"},
		{"~/.ssh/authorized_keys2", ".ssh/authorized_keys2"},
		{"keys/mine", "keys/mine"},
		{"with a blank'", "with a blank'"},
		{"nowhere/keys", ""},
	} {
		home := t.TempDir()
		if err := os.Mkdir(filepath.Join(home, "keys"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{c.path, filepath.Join(home, c.want)} {
			if c.path == "" || c.want == "" {
				path = c.path
			}
			key := newKey(t)
			got, _, err := putLines(t.Context(), Shell(account(t, "sh", home), path), lines(key), false, false)
			if c.want == "" {
				if err == nil || !strings.Contains(err.Error(), "No such file") {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			data, _ := os.ReadFile(filepath.Join(home, c.want))
			if err != nil || got != filepath.Join(home, c.want) || !strings.HasSuffix(string(data), key.Line()+"\n") {
				t.Errorf("%s: %q %v", path, got, err)
			}
		}
	}
	home := t.TempDir()
	for _, e := range []func(Engine) error{
		func(e Engine) error { _, _, err := e.Read(t.Context()); return err },
		func(e Engine) error { _, err := e.Edit(t.Context(), add(newKey(t))); return err },
	} {
		var put *PutError
		if err := e(Shell(account(t, "sh", home), "a\nb")); !errors.As(err, &put) || put.Unsure || put.Path != home+"/a" || !strings.Contains(put.Said, "newline") {
			t.Errorf("a newline in the path: %v", err)
		}
	}
}

// OpenWrt's dropbear reads root's keys in /etc/dropbear, if it is it that
// serves; an own path wins.
func TestShellOnOpenWrt(t *testing.T) {
	sshtest.NeedRoot(t)
	for _, c := range []struct {
		sshd, path, want string
	}{{"", "", "dropbear/authorized_keys"}, {"sshd", "", ".ssh/authorized_keys"}, {"", "~/x", "x"}} {
		home := t.TempDir()
		for _, name := range []string{"dropbear", ".ssh"} {
			if err := os.Mkdir(filepath.Join(home, name), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"openwrt_release", c.sshd} {
			if err := os.WriteFile(filepath.Join(home, name), nil, 0o700); name != "" && err != nil {
				t.Fatal(err)
			}
		}
		here := strings.NewReplacer("/etc/dropbear", home+"/dropbear", "/etc/openwrt_release", home+"/openwrt_release", "/usr/sbin/sshd", home+"/sshd")
		run := account(t, "sh", home)
		there := func(ctx context.Context, command string) ([]byte, []byte, int, error) {
			// Letters and _ are what they are in the command, or in octal.
			command = strings.ReplaceAll(command, `\137`, "_")
			return run(ctx, here.Replace(command))
		}
		path, _, err := putLines(t.Context(), Shell(there, c.path), lines(newKey(t)), false, false)
		if err != nil || path != filepath.Join(home, c.want) {
			t.Errorf("%+v: %q %v", c, path, err)
		}
	}
}

func TestShellReadsAllBytes(t *testing.T) {
	home := t.TempDir()
	engine := Shell(account(t, "sh", home), "")
	if path, data, err := engine.Read(t.Context()); err != nil || data != nil || path != keysFile(home) {
		t.Errorf("no file: %q %q %v", path, data, err)
	}
	random := make([]byte, 3*pieceSize+17)
	for i := range random {
		random[i] = byte(mathrand.IntN(5) * 10) // NULs and newlines among them
	}
	for _, want := range [][]byte{{}, []byte("\x00"), random[:pieceSize], random} {
		write(t, home, string(want))
		if _, data, err := engine.Read(t.Context()); err != nil || data == nil || !bytes.Equal(data, want) {
			t.Errorf("%d bytes: got %d, %v", len(want), len(data), err)
		}
	}
}

func TestShellKeepsTheACL(t *testing.T) {
	sshtest.Need(t, "setfacl", "getfacl")
	home := t.TempDir()
	write(t, home, "# mine\n")
	if out, err := exec.Command("setfacl", "-m", "u:12345:r", keysFile(home)).CombinedOutput(); err != nil {
		t.Skipf("no ACLs here: %s", out)
	}
	acl := func() string {
		out, err := exec.Command("getfacl", "-cn", keysFile(home)).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	before := acl()
	// BusyBox's cp drops ACLs.
	bin := filepath.Join(home, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	run := account(t, "sh", home)
	for range 2 {
		if _, _, err := putLines(t.Context(), Shell(run, ""), lines(newKey(t)), false, false); err != nil {
			t.Fatal(err)
		}
		if after := acl(); after != before || !strings.Contains(after, "user:12345:r") {
			t.Errorf("ACL %q, want %q", after, before)
		}
		sshtest.Need(t, "busybox")
		program(t, bin, "cp", `exec busybox cp "$@"`)
		run = account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH"))
	}
}

// program puts a script of this name into a directory for PATH.
func program(t *testing.T, dir, name, body string) {
	t.Helper()
	if err := sshtest.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
}

// Who is refused the turn again and again in the same moment gives up, but not
// where others had it meanwhile.
func TestShellTurnLostOften(t *testing.T) {
	home, bin := t.TempDir(), t.TempDir()
	write(t, home, "# mine\n")
	turn := filepath.Join(home, ".ssh", ".authorized_keys.turn")
	program(t, bin, "mkdir", fmt.Sprintf(`n=$(cat '%[1]s/n' 2>/dev/null); n=$((n + 1)); echo $n >'%[1]s/n'
		[ $((n %% 4)) -ne 0 ] || /bin/mkdir -p '%[2]s/other'
		[ $n -le 12 ] || exec /bin/mkdir "$@"
		exit 1`, bin, turn))
	program(t, bin, "sleep", fmt.Sprintf("rm -rf '%s'", turn))
	key := newKey(t)
	if _, _, err := putLines(t.Context(), Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), ""), lines(key), false, false); err != nil {
		t.Fatal(err)
	}
	if got := content(t, home); got != "# mine\n"+key.Line()+"\n" {
		t.Errorf("file %q", got)
	}
}

// What would leave two files, or lead away from home, is refused.
func TestShellRefuses(t *testing.T) {
	for _, c := range []struct {
		name, cause string
		set         func(t *testing.T, home string)
	}{
		{"a hard link", "keys-linked", func(t *testing.T, home string) {
			if err := os.Link(keysFile(home), filepath.Join(home, "other")); err != nil {
				t.Fatal(err)
			}
		}},
		{"a link to another's file", "keys-symlink", func(t *testing.T, home string) {
			sshtest.NeedRoot(t)
			out := t.TempDir()
			theirs := filepath.Join(out, "keys")
			os.Remove(keysFile(home))
			if err := errors.Join(os.WriteFile(theirs, []byte("old\n"), 0o600), os.Chown(theirs, 1, 1), os.Symlink(theirs, keysFile(home))); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, "old\n")
			c.set(t, home)
			_, _, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(newKey(t)), false, false)
			var put *PutError
			if !errors.As(err, &put) || put.Cause != c.cause || put.Unsure {
				t.Errorf("error %v, want %s", err, c.cause)
			}
			if content(t, home) != "old\n" {
				t.Errorf("file %q", content(t, home))
			}
			noLeftovers(t, home)
		})
	}
}

// Root writes nowhere where another may move things.
func TestShellAsRootWhereOthersMay(t *testing.T) {
	sshtest.NeedRoot(t)
	theirs := func(t *testing.T) string {
		dir := t.TempDir()
		if err := os.Chown(dir, 1, 1); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	open := func(mode fs.FileMode) func(*testing.T) string {
		return func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	for _, c := range []struct {
		name       string
		dir        func(t *testing.T) string
		home, fine bool // whether that is HOME, and whether it is ours alone
	}{
		{"our home", open(0o755), true, true},
		{"another's home", theirs, true, false},
		{"a folder", open(0o755), false, true},
		{"another's folder", theirs, false, false},
		{"a folder that a group may write", open(0o775), false, false},
		{"a folder that all may write", open(0o777), false, false},
		{"a sticky folder", open(0o777 | fs.ModeSticky), false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := c.dir(t)
			home, path := dir, ""
			if !c.home {
				home, path = t.TempDir(), filepath.Join(dir, "keys")
			}
			_, _, err := putLines(t.Context(), Shell(account(t, "sh", home), path), lines(newKey(t)), false, false)
			var put *PutError
			if errors.As(err, &put); c.fine != (err == nil) || err != nil && (put == nil || put.Cause != "wrong-owner" || put.Unsure) {
				t.Errorf("error %v", err)
			}
			if left, err := os.ReadDir(dir); err != nil || c.fine != (len(left) == 1) || !c.fine && len(left) > 0 {
				t.Errorf("left %v, %v", left, err)
			}
		})
	}
}

// A writer that was taken for dead while it waited for a disk begins again.
func TestShellWhoseTurnIsTakenAway(t *testing.T) {
	for _, name := range []string{"cp", "sync", "mv"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home, bin := t.TempDir(), t.TempDir()
			write(t, home, "# mine\n")
			program(t, bin, name, fmt.Sprintf(`PATH=%s
				[ -e '%[2]s/once' ] || { : >'%[2]s/once'; rm -rf '%[3]s/.ssh/.authorized_keys.turn'; }
				exec %[4]s "$@"`, os.Getenv("PATH"), bin, home, name))
			key := newKey(t)
			c := Change{Add: lines(key), Backup: name == "mv"}
			if _, err := Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), "").Edit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(filepath.Join(bin, "once")); err != nil {
				t.Fatal(err)
			}
			if got := content(t, home); got != "# mine\n"+key.Line()+"\n" {
				t.Errorf("file %q", got)
			}
			if _, err := os.Lstat(filepath.Join(home, ".ssh", ".authorized_keys.turn")); err == nil {
				t.Error("the turn is still there")
			}
		})
	}
}

// Programs of the far side that fail or are old.
func TestShellWithOddPrograms(t *testing.T) {
	for _, c := range []struct {
		name, program, body string
		cause               string // "" if all is well
		unsure              bool
	}{
		{"sync fails", "sync", `echo "sync: error syncing '$1': Input/output error" >&2; exit 1`, "write-failed", false},
		{"sync of the folder fails", "sync", `[ ! -d "$1" ] || { echo "sync: error syncing '$1': Input/output error" >&2; exit 1; }`, "write-failed", true},
		{"quota", "sync", `echo "sync: error syncing '$1': Disk quota exceeded" >&2; exit 1`, "disk-full", false},
		{"old sync", "sync", `[ $# -eq 0 ] || { echo "Usage: sync" >&2; exit 1; }`, "", false},
		{"no sync of folders", "sync", `[ ! -d "${1-}" ] || { echo "sync: error syncing '$1': Invalid argument" >&2; exit 1; }`, "", false},
		{"no grep -a", "grep", `[ "$1" != -a ] || exit 2; exec /bin/grep "$@"`, "", false},
		{"grep fails", "grep", `echo "grep: x: Input/output error" >&2; exit 2`, "keys-unreadable", false},
		{"ls fails", "ls", `echo "ls: cannot access 'x': Permission denied" >&2; exit 2`, "keys-unreadable", false},
		{"cp fails", "cp", `echo "cp: x: No space left on device" >&2; exit 1`, "disk-full", false},
		{"cp writes half and says nothing", "cp", `head -c 5 "$2" >"$3"`, "write-failed", false},
		{"mv fails", "mv", `echo "mv: x: Operation not permitted" >&2; exit 1`, "immutable", false},
		{"mv fails afterwards", "mv", `/bin/mv "$@"; echo "mv: x: Input/output error" >&2; exit 1`, "write-failed", true},
		{"flock without -w", "flock", `case $* in *-w*) exit 1;; esac; exec /usr/bin/flock "$@"`, "", false},
		{"no flock", "flock", `exit 71`, "", false},
		{"ls without --full-time", "ls", `[ "$2" != --full-time ] || { echo "ls: unrecognized option: full-time" >&2; exit 1; }; exec /bin/ls "$@"`, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			old := "ssh-ed25519 AAAA someone\n"
			if c.program == "grep" {
				old += "\x00\n" // without which it is not needed
			}
			write(t, home, old)
			bin := t.TempDir()
			program(t, bin, c.program, c.body)
			key := newKey(t)
			_, _, err := putLines(t.Context(), Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), ""), lines(key), false, false)
			var put *PutError
			errors.As(err, &put)
			switch {
			case c.cause == "" && err != nil:
				t.Error(err)
			case c.cause != "" && (put == nil || put.Cause != c.cause || put.Unsure != c.unsure):
				t.Errorf("error %v, want %s", err, c.cause)
			}
			want := old
			if c.cause == "" || c.unsure {
				want += key.Line() + "\n"
			}
			if got := content(t, home); got != want {
				t.Errorf("file %q, want %q", got, want)
			}
			noLeftovers(t, home)
		})
	}
}

// Who appends without taking turns loses nothing, whenever he does it.
func TestShellWithAForeignAppender(t *testing.T) {
	for name, c := range map[string][2]string{
		"before the sync":    {"sync", `[ -d "$1" ] || echo "# foreign" >>"$HOME/.ssh/authorized_keys"; exec /bin/sync "$@"`},
		"holding the old":    {"mv", `exec 5>>"$HOME/.ssh/authorized_keys"; /bin/mv "$@" && echo "# foreign" >&5`},
		"replacing it":       {"cp", `/bin/cp "$@"; f=$HOME/.ssh/authorized_keys; [ -e "$HOME/once" ] || { >"$HOME/once"; { cat "$f"; echo "# foreign"; } >"$f.2"; /bin/mv "$f.2" "$f"; }`},
		"in place":           {"sync", `[ -d "$1" ] || printf "# foreign" | dd of="$HOME/.ssh/authorized_keys" conv=notrunc 2>/dev/null; exec /bin/sync "$@"`},
		"after the renaming": {"mv", `/bin/mv "$@"; echo "# foreign" >>"$HOME/.ssh/authorized_keys"`},
	} {
		for _, mine := range []string{"# mine###\n# mine", "# mine###\n# mine\n", strings.Repeat("# mine###\n", 500)} {
			t.Run(fmt.Sprint(name, len(mine)), func(t *testing.T) {
				t.Parallel()
				home := t.TempDir()
				write(t, home, mine)
				bin := t.TempDir()
				program(t, bin, "grep", `exec /bin/grep "$@" </dev/fd/0`) // as one that reads ahead: where it stopped is not seen
				program(t, bin, c[0], strings.Replace(c[1], "[ -d", `[ -e "$HOME/once" ] || { >"$HOME/once"; false; } || [ -d`, 1))
				key := newKey(t)
				_, _, err := putLines(t.Context(), Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), ""), lines(key), false, false)
				if err != nil {
					t.Fatal(err)
				}
				got := content(t, home)
				if strings.Count(got, "# foreign") != 1 || strings.Count(got, key.Line()+"\n") != 1 || !strings.Contains(got, "\n# mine") {
					t.Errorf("file %q", got)
				}
				noLeftovers(t, home)
			})
		}
	}
}

// What a shell reads by itself, and where grep numbers lines at once or only if
// there is something to be found, is told alike.
func TestShellSizes(t *testing.T) {
	for _, size := range []int{0, 100, 1900, 2100, 1_100_000} {
		for _, end := range []string{"\n", "", "\n\x00"} {
			home := t.TempDir()
			there, key := newKey(t), newKey(t)
			filler := strings.Repeat("# "+strings.Repeat("x", 96)+"\r\n", size/100)
			old := filler + `from="\1 *" ` + there.Line() + end
			write(t, home, old)
			_, placed, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(there, key), false, false)
			if err != nil || len(placed) != 2 || placed[0].Added || placed[0].Entry.Line != size/100+1 || !placed[1].Added {
				t.Errorf("%d %q: %+v %v", size, end, placed, err)
			}
			if end != "\n" {
				old += "\n"
			}
			if got := content(t, home); got != old+key.Line()+"\n" {
				t.Errorf("%d %q: file ends in %q", size, end, got[max(0, len(got)-300):])
			}
			noLeftovers(t, home)
		}
	}
}

// A turn of a killed one is taken away, that of a living one is not.
func TestShellTurnOfAnother(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	began := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))[20]
	for _, c := range []struct {
		holder string
		moves  bool // gives signs of life
		free   bool
	}{
		{fmt.Sprintf("%d.%s.%s", os.Getpid(), began, host), true, false},
		{fmt.Sprintf("%d.1.%s", os.Getpid(), host), false, true}, // the number is another's now
		{"999999999.5." + host, false, true},
		{"999999999.5.elsewhere", false, true},
		{rand.Text(), false, true}, // by sftp
	} {
		t.Run(c.holder, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			write(t, home, "# mine\n")
			bin := t.TempDir()
			turn := filepath.Join(home, ".ssh", ".authorized_keys.turn")
			program(t, bin, "sleep", "exec /bin/sleep 0.01")
			if c.moves {
				program(t, bin, "sleep", fmt.Sprintf("mkdir '%s/'$$; exec /bin/sleep 0.01", turn))
			}
			claim := filepath.Join(turn, c.holder)
			if err := os.MkdirAll(claim, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(claim, "new"), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := putLines(t.Context(), Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), ""), lines(newKey(t)), false, false)
			var put *PutError
			if errors.As(err, &put); c.free != (err == nil) || err != nil && (put == nil || put.Cause != "busy" || put.Unsure) {
				t.Errorf("error %v", err)
			}
			if _, err := os.Lstat(claim); c.free != (err != nil) {
				t.Errorf("the other's new file: %v", err)
			}
			if c.free {
				noLeftovers(t, home)
			}
		})
	}
}

func TestShellManyWriters(t *testing.T) {
	for _, flock := range []string{`exec /usr/bin/flock "$@"`, "exit 71"} {
		t.Run(flock, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, "# mine")
			bin := t.TempDir()
			program(t, bin, "flock", flock)
			run := account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH"))
			writers := map[bool]int{true: 64, false: 8}[flock != "exit 71"]
			same := newKey(t)
			keys := lines(same)
			var all sync.WaitGroup
			for range writers {
				key := newKey(t)
				keys = append(keys, Line{Key: key})
				all.Go(func() {
					if _, _, err := putLines(t.Context(), Shell(run, ""), lines(key, same), false, false); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			got := content(t, home)
			for _, k := range keys {
				if n := strings.Count(got, k.Text()+"\n"); n != 1 {
					t.Errorf("%d lines of one key, want 1", n)
				}
			}
			if n := strings.Count(got, "\n"); n != writers+2 {
				t.Errorf("%d lines, want %d", n, writers+2)
			}
			noLeftovers(t, home)
		})
	}
}

func TestShellOnFullFileSystems(t *testing.T) {
	home := t.TempDir()
	write(t, home, "")
	dir := filepath.Join(home, ".ssh")
	mountTmpfs(t, dir, "nr_inodes=3")
	write(t, home, "old\n")
	if err := os.WriteFile(filepath.Join(dir, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(newKey(t)), false, false)
	var put *PutError
	if !errors.As(err, &put) || put.Cause != "disk-full" || content(t, home) != "old\n" {
		t.Errorf("no inodes: %v, file %q", err, content(t, home))
	}
	// A key that is there is there, whatever else cannot be done.
	key := newKey(t)
	os.Remove(filepath.Join(dir, "other"))
	write(t, home, key.Line()+"\n")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, placed, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(key), false, false); err != nil || placed[0].Added {
		t.Errorf("present on a read-only file system: %+v %v", placed, err)
	}
}

// Each start-up file is run by bash as it is for sshd's commands.
func TestShellAfterStartUpFiles(t *testing.T) {
	for name, c := range map[string]struct{ body, cause string }{
		"reads":     {"echo welcome; echo pikeycopy-x end; cat; echo read", ""},
		"megabytes": {"head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2", ""},
		"sleeps":    {"sleep 1", ""},
		"complains": {"echo 'bash: x: Permission denied' >&2", ""},
		"execs":     {"exec /bin/sh", "no-shell"},
		"exits":     {"echo 'go away'; exit 1", "command-forced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			rc := filepath.Join(home, "rc")
			if err := os.WriteFile(rc, []byte(c.body+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			key := newKey(t)
			_, _, err := putLines(t.Context(), Shell(account(t, "bash", home, "BASH_ENV="+rc), ""), lines(key), false, false)
			var put *PutError
			switch errors.As(err, &put); {
			case c.cause == "" && (err != nil || content(t, home) != key.Line()+"\n"):
				t.Errorf("%v, file %q", err, content(t, home))
			case c.cause != "" && (put == nil || put.Cause != c.cause):
				t.Errorf("error %v, want %s", err, c.cause)
			}
		})
	}
}

// Another shell of the far side that is killed in the middle is not believed
// to have left things as they were.
func TestShellKilledInTheMiddle(t *testing.T) {
	home := t.TempDir()
	write(t, home, "old\n")
	bin := t.TempDir()
	program(t, bin, "mv", `/bin/mv "$@"; kill -KILL $PPID`)
	key := newKey(t)
	_, _, err := putLines(t.Context(), Shell(account(t, "sh", home, "PATH="+bin+":"+os.Getenv("PATH")), ""), lines(key), false, false)
	if put, ok := errors.AsType[*PutError](err); ok && !put.Unsure || err == nil {
		t.Errorf("error %v", err)
	}
	if got := content(t, home); got != "old\n"+key.Line()+"\n" {
		t.Errorf("file %q", got)
	}
}

// Of an answer that ends too early, wherever that is, it is not believed that
// nothing was done.
func TestShellTornAnswers(t *testing.T) {
	home := t.TempDir()
	run := account(t, "sh", home)
	key := newKey(t)
	for n, whole := 0, 1; n < whole; n += 7 {
		write(t, home, "old\n")
		torn := func(ctx context.Context, command string) ([]byte, []byte, int, error) {
			stdout, stderr, status, err := run(ctx, command)
			whole = len(stdout) - len("done\n")
			return stdout[:n], stderr, status, err
		}
		_, _, err := putLines(t.Context(), Shell(torn, ""), lines(key), false, false)
		var put *PutError
		if !errors.As(err, &put) || !put.Unsure {
			t.Errorf("after %d bytes: %v", n, err)
		}
		if got := content(t, home); got != "old\n"+key.Line()+"\n" {
			t.Errorf("after %d bytes: file %q", n, got)
		}
	}
}

func TestShellBatches(t *testing.T) {
	home := t.TempDir()
	var old strings.Builder
	var drop []Numbered
	for i := range 300 {
		text := fmt.Sprintf("%d %s", i, strings.Repeat("'", 200))
		fmt.Fprintln(&old, text)
		if i%3 > 0 {
			drop = append(drop, Numbered{i + 1, text})
		}
	}
	var keys []sshkey.Public
	for range 40 {
		key := newKey(t)
		key.Comment = strings.Repeat("x", 2000)
		keys = append(keys, key)
	}
	write(t, home, old.String())
	change := Change{Drop: drop, Add: lines(keys...)}
	want, _, err := change.apply("", []byte(old.String()))
	if err != nil {
		t.Fatal(err)
	}
	runs, run := 0, account(t, "sh", home)
	counting := func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		runs++
		if len(command) > 128<<10-1 {
			t.Errorf("a command of %d bytes", len(command))
		}
		return run(ctx, command)
	}
	if _, err := Shell(counting, "").Edit(t.Context(), change); err != nil || runs < 2 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if got := content(t, home); got != string(want) {
		t.Errorf("%d bytes, want %d", len(got), len(want))
	}

	// Where the second run fails, the file is not as it was.
	write(t, home, old.String())
	runs = 0
	_, err = Shell(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		if runs++; runs == 2 {
			write(t, home, "another's\n")
		}
		return run(ctx, command)
	}, "").Edit(t.Context(), change)
	var put *PutError
	if !errors.As(err, &put) || !put.Unsure || put.Cause != "busy" {
		t.Errorf("error %v", err)
	}
}

// The program for a console is whole, clean, and does what the engine does.
func TestProgram(t *testing.T) {
	key := newKey(t)
	text := Program(lines(key), "")
	for _, sh := range posixShells {
		t.Run(sh, func(t *testing.T) {
			if _, err := exec.LookPath(strings.Fields(sh)[0]); err != nil {
				t.Skip(err)
			}
			home := t.TempDir()
			file := filepath.Join(home, "program")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"add ", "have "} {
				words := append(strings.Fields(sh), file)
				cmd := exec.Command(words[0], words[1:]...)
				cmd.Env = sshtest.Env(home)
				out, err := cmd.CombinedOutput()
				if err != nil || !strings.HasSuffix(string(out), "\npikeycopy: done\n") || !strings.Contains(string(out), "\npikeycopy: "+want) {
					t.Errorf("%v\n%s", err, out)
				}
			}
			if got := content(t, home); got != key.Line()+"\n" {
				t.Errorf("file %q", got)
			}
		})
	}
	sshtest.Need(t, "shellcheck")
	cmd := exec.Command("shellcheck", "-")
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("shellcheck: %v\n%s", err, out)
	}
}

// A coarse sweep of what scripts/torture does call by call: every process is
// killed at its nth call of a kind, or all of them fail from the nth on.
func TestShellStruckAtItsCalls(t *testing.T) {
	sshtest.Need(t, "strace")
	const kinds = "openat,write,rename,renameat,renameat2,linkat,unlink,unlinkat,mkdir,fsync,fdatasync,syncfs,copy_file_range,fchmod,fchown,flock,newfstatat,read"
	const old = "ssh-ed25519 AAAA someone"
	key := newKey(t)
	strike := func(t *testing.T, inject string) {
		t.Parallel()
		home := t.TempDir()
		write(t, home, old)
		run := as(t, "strace -f -qq -o /dev/null -e trace="+kinds+" -e inject="+inject+" sh", home)
		_, _, err := putLines(t.Context(), Shell(run, ""), lines(key), false, false)
		got := content(t, home)
		changed := got == old+"\n"+key.Line()+"\n"
		if !changed && got != old {
			t.Errorf("file %q", got)
		}
		var put *PutError
		if err == nil && !changed || errors.As(err, &put) && !put.Unsure && changed {
			t.Errorf("changed: %v, answer %v", changed, err)
		}
		_, _, err = putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(key), false, false)
		if got := content(t, home); err != nil || got != old+"\n"+key.Line()+"\n" {
			t.Errorf("the next run: %v, file %q", err, got)
		}
		noLeftovers(t, home)
	}
	for n := 1; n <= 7; n += 3 {
		for _, blow := range []string{"signal=SIGKILL:when=%d", "error=ENOSPC:when=%d+", "error=EIO:when=%d"} {
			for _, calls := range []string{"openat", "write", "newfstatat,read", "rename,renameat,renameat2,unlink,unlinkat,fsync,copy_file_range,fchmod,flock"} {
				inject := fmt.Sprintf(calls+":"+blow, n)
				t.Run(inject, func(t *testing.T) { strike(t, inject) })
			}
		}
	}
}
