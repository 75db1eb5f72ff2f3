//go:build unix

package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// shells are the shells that a script is for, as far as they are here.
func shells(t *testing.T) [][]string {
	var found [][]string
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}} {
		if _, err := exec.LookPath(shell[0]); err == nil {
			found = append(found, shell)
		}
	}
	if len(found) == 0 {
		sshtest.Need(t, "dash")
	}
	return found
}

// Who owns the directory of a file cannot lead root's script elsewhere by a link
// that takes its place right before the change: here chmod and chown make it.
func TestScriptSwapped(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip(err)
	}
	for _, shell := range shells(t) {
		for _, folder := range []bool{false, true} {
			for _, op := range []Op{Chmod, Chown} {
				dir := t.TempDir()
				at, victim, bin := filepath.Join(dir, "it"), filepath.Join(dir, "victim"), filepath.Join(dir, "bin")
				for _, p := range []string{at, victim, bin} {
					if err := os.Mkdir(p, 0o755); err != nil {
						t.Fatal(err)
					}
				}
				if !folder {
					for _, p := range []string{at, victim} {
						if err := errors.Join(os.Remove(p), os.WriteFile(p, nil, 0o644)); err != nil {
							t.Fatal(err)
						}
					}
				}
				for _, command := range []string{"chmod", "chown"} {
					swap := fmt.Sprintf("#!/bin/sh\nmv %s %[1]s.was\nln -s victim %[1]s\nPATH=/usr/bin:/bin exec %s \"$@\"\n", at, command)
					if err := os.WriteFile(filepath.Join(bin, command), []byte(swap), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				was := func(p string) strictmodes.Stat {
					info, err := os.Lstat(p)
					if err != nil {
						t.Fatal(err)
					}
					return hostfs.StatOf(info)
				}
				before := was(victim)
				script := Script{}.Head("") + Script{}.Lines("", []Step{{Op: op, Path: at, Was: was(at), Mode: 0o600, UID: third}}) + Script{}.Tail()
				cmd := sshtest.Command(t, dir, shell[0], append(shell[1:], "-c", script)...)
				cmd.Env = append(cmd.Env, "PATH="+bin+":/usr/bin:/bin")
				out, _ := cmd.CombinedOutput()
				if after := was(victim); after != before {
					t.Errorf("%v, %v of a folder %v: %+v became %+v: %s", shell, op, folder, before, after, out)
				}
				if was(at).Mode&fs.ModeSymlink == 0 && shell[0] != "busybox" { // which may have its own of both
					t.Errorf("%v: nothing was swapped: %s", shell, out)
				}
			}
		}
	}
}

// tree says everything of what is in a directory but times.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(p)
		if err != nil {
			return err
		}
		st := hostfs.StatOf(info)
		fmt.Fprintf(&b, "%q %v %d:%d", p, info.Mode(), st.UID, st.GID)
		switch {
		case info.Mode().IsRegular():
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %d %q", st.Nlink, data)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " -> %q", target)
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// asUser is how a command is run as the user.
func asUser(cmd *exec.Cmd, u *sshtest.User) {
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + u.Home}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
}

// over is the files as the user reaches them by a login.
func over(u *sshtest.User) hostfs.FS {
	return hostfs.Far(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		asUser(cmd, u)
		out, err := cmd.Output()
		return out, nil, 0, err
	})
}

const odd = "-a 'b' $(c) \\ \"d\"\n* "

// oddlyNamed moves the keys file to where its name needs quoting.
func oddlyNamed(keys string) error {
	dir := filepath.Join(filepath.Dir(filepath.Dir(keys)), odd)
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, odd), nil, 0o600)
}

// fullFolder makes a directory of root's of ~/.ssh, with everything in it.
func fullFolder(keys string) error {
	dir := filepath.Dir(keys)
	for name, mode := range map[string]fs.FileMode{"id_ed25519": 0o644, "known_hosts": 0o604, "secret": 0o600, ".hidden": 0o444} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), mode); err != nil {
			return err
		}
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			return err
		}
	}
	if err := os.Symlink("known_hosts", filepath.Join(dir, "link")); err != nil {
		return err
	}
	return unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666)
}

func sorted(brief string) string {
	words := strings.Split(brief, ", ")
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// What the script of a dry run makes of a home is what the run itself makes of
// it, in every shell, and the undoing brings back every bit.
func TestScript(t *testing.T) {
	t.Parallel()
	u := sshtest.AddUser(t, sshtest.UserConfig{})
	keysFiles := []string{filepath.Join(u.Home, ".ssh/authorized_keys"), filepath.Join(u.Home, odd, odd)}
	for n, c := range []struct {
		home
		user bool // works, not root
	}{
		{home: home{}},
		{home: home{home: "0777", ssh: "2777", keys: "0666", want: "todo home-writable, todo dir-writable, todo keys-writable"}},
		{home: home{ssh: "0775 third", keys: "0666 third", want: "todo wrong-owner, todo dir-writable, todo wrong-owner, todo keys-writable"}},
		{home: home{special: oddlyNamed, want: "todo dir-writable, todo keys-unreadable"}},
		{home: home{special: folder, want: "todo keys-not-a-file"}},
		{home: home{home: "0777", keys: "0666", want: "todo home-writable, todo keys-writable"}, user: true},
		{home: home{keys: "0066", want: "todo keys-writable"}, user: true},
		{home: home{special: oddlyNamed, want: "todo dir-writable"}, user: true},
		{home: home{special: folder, want: "todo keys-not-a-file"}, user: true},
		{home: home{keys: "0664 root root", want: "todo keys-writable"}, user: true},
		{home: home{keys: "0666 third", want: "todo wrong-owner"}, user: true},
		{home: home{keys: "0600 root root", want: "fail keys-unreadable"}, user: true},
		{home: home{home: "2755", ssh: "0775 root root", special: fullFolder, want: "todo dir-writable"}, user: true},
		{home: home{ssh: "0700 root root", special: fullFolder, want: "todo keys-unreadable"}, user: true},
	} {
		state := fmt.Sprintf("%s,%s,%s, by the user: %v", c.home.home, c.ssh, c.keys, c.user)
		set := func() string {
			c.set(t, u, "ssh-ed25519 AAAA")
			return tree(t, u.Home)
		}
		repair := func(job *Job) string {
			fsys := hostfs.FS(hostfs.Local())
			if c.user {
				fsys = over(u)
			}
			records, err := job.home(t.Context(), fsys, account(u), strictmodes.All, keysFiles)
			if err != nil {
				t.Fatal(err)
			}
			return brief(records)
		}
		run := func(shell []string, script string) (said string, err error) {
			cmd := exec.Command(shell[0], shell[1:]...)
			if c.user {
				asUser(cmd, u)
			}
			cmd.Stdin = strings.NewReader(script)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}

		before := set()
		var s Script
		script := s.Head("a test\nof it")
		if got := repair(&Job{DryRun: true, Plan: func(about string, steps []Step) { script += s.Lines(about, steps) }}); got != c.want {
			t.Errorf("%s: %q, want %q", state, got, c.want)
		}
		script += s.Tail()
		if after := tree(t, u.Home); after != before {
			t.Errorf("%s: the dry run changed it to\n%s", state, after)
		}

		undoFile := filepath.Join(t.TempDir(), "undo")
		undo, err := NewUndo(undoFile, "", "a test")
		if err != nil {
			t.Fatal(err)
		}
		// What hides behind another fault is found a round later.
		if got := repair(&Job{Undo: undo}); sorted(got) != sorted(strings.ReplaceAll(c.want, "todo", "done")) {
			t.Errorf("%s: it does %q, and planned %q", state, got, c.want)
		}
		data, err := os.ReadFile(undoFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := undo.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(undoFile); (err == nil) != strings.Contains(c.want, "todo") {
			t.Errorf("%s: the file for what was done: %v", state, err)
		}
		after := tree(t, u.Home)
		if strings.Contains(c.want, "dir-writable") {
			check(t, script, string(data))
		}
		for i, shell := range shells(t) {
			set()
			if said, err := run(shell, script); err != nil || said != "" {
				t.Errorf("%s: %v: %v\n%s\n%s", state, shell, err, said, script)
			}
			if got := tree(t, u.Home); got != after {
				t.Errorf("%s: %v makes\n%sinstead of\n%sby\n%s", state, shell, got, after, script)
			}
			undone := func(what string) {
				if got := tree(t, u.Home); got != before {
					t.Errorf("%s: %s by %v, it is\n%sinstead of\n%s", state, what, shell, got, before)
				}
			}
			if said, err := run(shell, string(data)); err != nil || said != "" {
				t.Errorf("%s: undone by %v: %v\n%s\n%s", state, shell, err, said, data)
			}
			undone("undone")
			if i != n%len(shells(t)) { // what comes now is a matter of the shell more than of the case
				continue
			}
			_, _ = run(shell, string(data))
			undone("undone once more")
			if strings.Contains(c.want, "todo") {
				// What a power cut left of a line of which nothing was done.
				if said, err := run(shell, script); err != nil || said != "" {
					t.Errorf("%s: once more: %v: %v\n%s", state, shell, err, said)
				}
				if said, _ := run(shell, string(data)+"step9() { change '/x"); said == "" {
					t.Errorf("%s: %v says nothing of half a line", state, shell)
				}
				undone("undone with half a line")
			}
		}
	}
}

// check has shellcheck look at the scripts.
func check(t *testing.T, scripts ...string) {
	if _, err := exec.LookPath("shellcheck"); err != nil && os.Getenv("PIKEY_TEST_REQUIRE") == "" {
		return
	}
	for _, s := range scripts {
		cmd := exec.Command("shellcheck", "-")
		cmd.Stdin = strings.NewReader(s)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// Whatever is no longer what was judged stays as it is.
func TestScriptRefuses(t *testing.T) {
	u := sshtest.AddUser(t, sshtest.UserConfig{})
	dir := filepath.Join(u.Home, ".ssh")
	keys := filepath.Join(dir, "authorized_keys")
	other := filepath.Join(t.TempDir(), "other")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path string, mode fs.FileMode) {
		t.Helper()
		must(os.RemoveAll(path))
		must(os.WriteFile(path, nil, 0o600))
		must(os.Chmod(path, mode))
	}
	for name, change := range map[string]func(){
		"a link":    func() { must(os.Remove(keys)); must(os.Symlink(other, keys)) },
		"a way":     func() { must(os.Rename(dir, dir+"2")); must(os.Symlink(dir+"2", dir)) },
		"the mode":  func() { must(os.Chmod(keys, 0o662)) },
		"the owner": func() { must(os.Chown(keys, third, u.GID)) },
		"the group": func() { must(os.Chown(keys, u.UID, shared)) },
		"a name":    func() { must(os.Link(keys, keys+"2")) },
		"a pipe":    func() { must(os.Remove(keys)); must(unix.Mkfifo(keys, 0o666)) },
		"nothing":   func() { must(os.Remove(keys)) },
	} {
		for _, shell := range shells(t) {
			home{keys: "0666"}.set(t, u, "ssh-ed25519 AAAA")
			write(other, 0o666)
			var s Script
			script := s.Head("")
			_, err := (&Job{DryRun: true, Plan: func(about string, steps []Step) { script += s.Lines(about, steps) }}).
				home(t.Context(), hostfs.Local(), account(u), strictmodes.All, nil)
			must(err)
			change()
			before := tree(t, u.Home) + tree(t, filepath.Dir(other))
			cmd := exec.Command(shell[0], shell[1:]...)
			cmd.Stdin = strings.NewReader(script + s.Tail())
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(string(out), keys+": ") || strings.Count(string(out), "\n") != 1 {
				t.Errorf("%s, %v: %v: %s", name, shell, err, out)
			}
			if after := tree(t, u.Home) + tree(t, filepath.Dir(other)); after != before {
				t.Errorf("%s, %v: changed to\n%sfrom\n%s", name, shell, after, before)
			}
		}
	}
}

// What stood in the place goes back where the last step fails.
func TestAnewFails(t *testing.T) {
	for _, c := range []struct {
		path string
		want string
	}{
		{"/home/pi/.ssh", "/home/pi/.ssh.new"},
		{"/home/pi/.ssh/authorized_keys", "/home/pi/.ssh/authorized_keys.new"},
	} {
		m := newMachine(0o755, 0o700, 0o600, 1000)
		st := m.files[c.path]
		st.UID, st.GID, st.Mode = 0, 0, st.Mode|0o055
		m.files[c.path], m.refuse = st, syscall.EIO
		if st.Mode.IsRegular() {
			m.files[c.path] = strictmodes.Stat{Mode: 0o666, Nlink: 1}
		} else {
			m.files[c.path] = strictmodes.Stat{Mode: fs.ModeDir | 0o777, Nlink: 2}
		}
		was := m.files[c.path]
		records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
		if err != nil || len(records) != 1 || records[0].Verdict != record.Fail || !strings.Contains(records[0].Detail, c.want+" is left") {
			t.Errorf("%v: %s", err, text(records))
		}
		if m.files[c.path] != was {
			t.Errorf("%s is %+v", c.path, m.files[c.path])
		}
	}
}

func TestPassBy(t *testing.T) {
	for _, c := range []struct {
		r    record.Record
		want bool
	}{
		{record.Record{Verdict: record.OK, Cause: "login"}, true},
		{record.Record{Verdict: record.Done, Cause: "home-writable"}, true},
		{record.Record{Verdict: record.Todo, Cause: "home-writable"}, false},
		{record.Record{Verdict: record.Fail, Cause: "key-refused"}, false},
		{record.Record{Verdict: record.Fail, Cause: "connection-refused"}, true},
	} {
		if PassBy(c.r) != c.want {
			t.Errorf("%+v: %v", c.r, !c.want)
		}
	}
	slices.Sort(curable)
	if slices.Contains(curable, "") {
		t.Error("no cause is curable")
	}
}
