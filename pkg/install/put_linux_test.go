package install

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// newKey returns a public key with a comment that a shell would trip over.
func newKey(t *testing.T) sshkey.Public {
	t.Helper()
	k, err := sshkey.ParsePublic(sshtest.NewKey(t, t.TempDir(), "ed25519").Line)
	if err != nil {
		t.Fatal(err)
	}
	k.Comment = `o'brien "$HOME" $(id) \n %s !x @pi é`
	return k
}

func lines(keys ...sshkey.Public) []Line {
	var all []Line
	for _, k := range keys {
		all = append(all, Line{Key: k})
	}
	return all
}

// account runs commands as sshd would for an account with this login shell.
func account(t *testing.T, shell, home string, env ...string) hostfs.Runner {
	t.Helper()
	words := strings.Fields(shell)
	sshtest.Need(t, words[0])
	return func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, words[0], append(words[1:], "-c", command)...)
		cmd.Env = append(sshtest.Env(home), env...)
		cmd.Dir = home
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		err := cmd.Run()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return out.Bytes(), errOut.Bytes(), exit.ExitCode(), nil
		}
		return out.Bytes(), errOut.Bytes(), 0, err
	}
}

func keysFile(home string) string { return filepath.Join(home, ".ssh", "authorized_keys") }

func write(t *testing.T, home, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keysFile(home), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, home string) string {
	t.Helper()
	data, err := os.ReadFile(keysFile(home))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// noLeftovers wants nothing in ~/.ssh but the keys file.
func noLeftovers(t *testing.T, home string) {
	t.Helper()
	entries, _ := os.ReadDir(filepath.Join(home, ".ssh"))
	for _, e := range entries {
		if e.Name() != "authorized_keys" {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestPutUnderEveryLoginShell(t *testing.T) {
	for _, shell := range []string{"sh", "bash", "dash", "zsh", "fish", "tcsh", "busybox ash"} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			run := account(t, shell, home)
			a, b := newKey(t), newKey(t)
			path, placed, err := putLines(t.Context(), Shell(run, ""), lines(a, b), false, false)
			if err != nil || path != keysFile(home) || len(placed) != 2 || !placed[0].Added || !placed[1].Added {
				t.Fatalf("Put: %q %+v %v", path, placed, err)
			}
			if got, want := content(t, home), a.Line()+"\n"+b.Line()+"\n"; got != want {
				t.Errorf("file %q, want %q", got, want)
			}
			for name, want := range map[string]os.FileMode{".ssh": 0o700, ".ssh/authorized_keys": 0o600} {
				if st, err := os.Stat(filepath.Join(home, name)); err != nil || st.Mode().Perm() != want {
					t.Errorf("%s: %v, %v; want %v", name, st.Mode(), err, want)
				}
			}
			_, placed, err = putLines(t.Context(), Shell(run, ""), lines(b), false, false)
			if err != nil || placed[0].Added || placed[0].Entry == nil || placed[0].Entry.Line != 2 {
				t.Errorf("again: %+v %v", placed, err)
			}
			noLeftovers(t, home)
		})
	}
}

func TestPutPresence(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string]struct {
		old     string
		present bool
	}{
		"other comment": {key.Type + " " + key.Base64() + " elsewhere\n", true},
		"restricted":    {`from="10.0.0.1",command="/bin/true" ` + key.Line() + "\n", true},
		"commented out": {"# " + key.Line() + "\n", false},
		"authority":     {"cert-authority " + key.Line() + "\n", false},
		"bad option":    {"nonsense " + key.Line() + "\n", false},
		"torn":          {key.Line()[:40] + "\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, c.old)
			_, placed, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(key), false, false)
			if err != nil || placed[0].Added == c.present {
				t.Fatalf("%+v %v, want present %v", placed, err, c.present)
			}
			want := c.old
			if !c.present {
				want += key.Line() + "\n"
			}
			if got := content(t, home); got != want {
				t.Errorf("file %q, want %q", got, want)
			}
			if name == "restricted" && !strings.Contains(describe(placed[0].Entry), `from="10.0.0.1"`) {
				t.Errorf("the restriction is not told: %s", describe(placed[0].Entry))
			}
		})
	}
}

func TestPutDryRunChangesNothing(t *testing.T) {
	home := t.TempDir()
	_, placed, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(newKey(t)), false, true)
	if err != nil || !placed[0].Added {
		t.Fatalf("%+v %v", placed, err)
	}
	if _, err := os.Stat(filepath.Join(home, ".ssh")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf(".ssh was made: %v", err)
	}
}

func TestPutThroughALink(t *testing.T) {
	home := t.TempDir()
	write(t, home, "")
	dotfiles := filepath.Join(home, "dotfiles")
	if err := os.Mkdir(dotfiles, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(keysFile(home), filepath.Join(dotfiles, "keys")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../dotfiles/keys", keysFile(home)); err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	if _, _, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(key), false, false); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Lstat(keysFile(home)); err != nil || st.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v %v", st, err)
	}
	if got := content(t, home); got != key.Line()+"\n" {
		t.Errorf("file %q", got)
	}
}

func TestPutKeepsTheMode(t *testing.T) {
	shell := "sh"
	if os.Getuid() == 0 { // which may write what has no w
		shell = "setpriv --bounding-set -dac_override sh"
	}
	for _, mode := range []os.FileMode{0o640, 0o400} {
		home := t.TempDir()
		write(t, home, "# mine\n")
		if err := os.Chmod(keysFile(home), mode); err != nil {
			t.Fatal(err)
		}
		if _, _, err := putLines(t.Context(), Shell(account(t, shell, home), ""), lines(newKey(t)), false, false); err != nil {
			t.Fatal(err)
		}
		if st, _ := os.Stat(keysFile(home)); st.Mode().Perm() != mode {
			t.Errorf("mode %v, want %v", st.Mode(), mode)
		}
		if _, err := Shell(account(t, shell, home), "").Edit(t.Context(), Change{Drop: []Numbered{{1, "# mine"}}}); err != nil {
			t.Errorf("removing from mode %v: %v", mode, err)
		}
		if st, _ := os.Stat(keysFile(home)); st.Mode().Perm() != mode {
			t.Errorf("mode %v after removing, want %v", st.Mode(), mode)
		}
	}
}

// What goes wrong is named, the file stays, and nothing is left beside it.
func TestPutFailures(t *testing.T) {
	const old = "ssh-ed25519 AAAA someone\n"
	key := newKey(t)
	for _, c := range []struct {
		name, cause string
		set         func(t *testing.T, home string)
	}{
		{"a folder", "keys-not-a-file", func(t *testing.T, home string) {
			os.Remove(keysFile(home))
			if err := os.Mkdir(keysFile(home), 0o700); err != nil {
				t.Fatal(err)
			}
		}},
		{"a link in a circle", "keys-symlink", func(t *testing.T, home string) {
			os.Remove(keysFile(home))
			if err := os.Symlink("authorized_keys", keysFile(home)); err != nil {
				t.Fatal(err)
			}
		}},
		{"a full disk", "disk-full", func(t *testing.T, home string) {
			mountTmpfs(t, filepath.Join(home, ".ssh"), "size=16k")
			if err := os.WriteFile(keysFile(home), []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			fill(t, filepath.Join(home, ".ssh", "filler"))
		}},
		{"a full disk, and no file yet", "disk-full", func(t *testing.T, home string) { // so the shell itself is the first to write
			mountTmpfs(t, filepath.Join(home, ".ssh"), "size=16k")
			fill(t, filepath.Join(home, ".ssh", "filler"))
		}},
		{"a read-only file system", "read-only-fs", func(t *testing.T, home string) {
			dir := filepath.Join(home, ".ssh")
			mountTmpfs(t, dir, "size=1m")
			if err := os.WriteFile(keysFile(home), []byte(old), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			home := t.TempDir()
			write(t, home, old)
			c.set(t, home)
			_, _, err := putLines(t.Context(), Shell(account(t, "sh", home), ""), lines(key), false, false)
			var put *PutError
			if !errors.As(err, &put) || put.Cause != c.cause {
				t.Fatalf("error %v, want cause %s", err, c.cause)
			}
			if st, err := os.Lstat(keysFile(home)); err == nil && st.Mode().IsRegular() && content(t, home) != old {
				t.Errorf("the file changed: %q", content(t, home))
			}
			entries, _ := os.ReadDir(filepath.Join(home, ".ssh"))
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), ".authorized_keys") {
					t.Errorf("left behind: %s", e.Name())
				}
			}
		})
	}
}

func TestPutWhereNoShellAnswers(t *testing.T) {
	run := func(context.Context, string) ([]byte, []byte, int, error) {
		return []byte("This account is currently not available.\n"), nil, 1, nil
	}
	_, _, err := putLines(t.Context(), Shell(run, ""), lines(newKey(t)), false, false)
	var put *PutError
	if !errors.As(err, &put) || put.Cause != "no-shell" || !strings.Contains(err.Error(), "not available") {
		t.Errorf("error %v", err)
	}
}

// A server that says 0 and has thrown the command away is not believed.
func TestPutBelievesNoBareStatus(t *testing.T) {
	run := func(context.Context, string) ([]byte, []byte, int, error) { return nil, nil, 0, nil }
	if _, _, err := putLines(t.Context(), Shell(run, ""), lines(newKey(t)), false, false); err == nil {
		t.Error("believed")
	}
}

// What is written on an overlay, as raspi-config puts one over the card, is told
// of: it is gone at the next boot, and what was taken out is back.
func TestOnAnOverlay(t *testing.T) {
	sshtest.NeedRoot(t)
	for name, connect := range map[string]func(t *testing.T, home string) Engine{
		"dash":        func(t *testing.T, home string) Engine { return Shell(account(t, "dash", home), "") },
		"busybox ash": func(t *testing.T, home string) Engine { return Shell(account(t, "busybox ash", home), "") },
		"sftp-server": func(t *testing.T, home string) Engine { return SFTP(overPipe(t, home), sshtest.Bookworm, "") },
	} {
		t.Run(name, func(t *testing.T) {
			home := sftpHome(t)
			job := Job{Keys: []sshkey.Public{newKey(t)}, Force: true} // the last key may go
			says := func(records []record.Record, cause string, told bool) {
				t.Helper()
				if len(records) != 1 || records[0].Cause != cause || strings.Contains(records[0].Detail, "overlay") != told || strings.Contains(records[0].Hint, "do_overlayfs 1") != told {
					t.Errorf("%+v, want %s, and told %v", records, cause, told)
				}
			}
			says(job.PutHere(t.Context(), connect(t, home)), "key-added", false)
			layers := t.TempDir()
			for _, dir := range []string{"up", "work"} {
				must(t, os.Mkdir(filepath.Join(layers, dir), 0o755))
			}
			options := "lowerdir=" + home + ",upperdir=" + layers + "/up,workdir=" + layers + "/work"
			if err := syscall.Mount("overlay", home, "overlay", 0, options); err != nil {
				t.Skipf("an overlay cannot be mounted here: %v", err)
			}
			t.Cleanup(func() { must(t, syscall.Unmount(home, syscall.MNT_DETACH)) })
			engine := connect(t, home)
			says(job.RemoveHere(t.Context(), engine), "key-removed", true)
			says(job.RemoveHere(t.Context(), engine), "key-absent", false)
			says(job.PutHere(t.Context(), engine), "key-added", true)
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	sshtest.NeedRoot(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("tmpfs cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for {
		if _, err := f.Write(make([]byte, 512)); err != nil {
			return
		}
	}
}
