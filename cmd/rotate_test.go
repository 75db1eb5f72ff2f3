//go:build unix

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// rotate runs scripts/rotate in a process group of its own, with the four
// programs in PATH and something else before them, and returns its status; -1 if
// it was killed.
func (w *traveller) rotate(before string, args ...string) (status int, stdout, stderr string) {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(root, "scripts", "rotate"), args...)
	cmd.Env = append(sshtest.Env(w.home), "TMPDIR="+w.t.TempDir(), "PATH="+before+":"+binaries(w.t)+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	_ = cmd.Run() // the status tells
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// last are the last record's verdict and cause of each target.
func last(records string) map[string]string {
	found := map[string]string{}
	for line := range strings.Lines(records) {
		if f := strings.Split(line, "\t"); len(f) == 5 {
			found[f[0]] = f[1] + " " + f[2]
		}
	}
	return found
}

// Against a real sshd that allows two tries, with an agent full of other keys:
// an account where all is well, one that lets the old key in from a second file
// too, and one whose home keeps every key out.
func TestRotate(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "sshd", "ssh-agent")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"MaxAuthTries 2"}})
	me := newTraveller(t, server.Endpoint)
	old, new := filepath.Join(me.home, "old"), filepath.Join(me.home, "new")
	public, _ := me.run(0, "", "pikeygen", "-f", old)
	me.run(0, "", "pikeygen", "-f", new, "-t", "ecdsa")
	socket := sshtest.StartAgent(t)
	for range 3 {
		sshtest.AddToAgent(t, socket, sshtest.NewKey(t, t.TempDir(), "ed25519").File)
	}
	// The secret of the new one is in the agent alone.
	sshtest.AddToAgent(t, socket, new)
	must(t, os.Rename(new, new+".aside"))
	good, twice, closed := sshtest.AddUser(t, sshtest.UserConfig{}), sshtest.AddUser(t, sshtest.UserConfig{}), sshtest.AddUser(t, sshtest.UserConfig{})
	for _, u := range []*sshtest.User{good, closed} {
		u.Authorize(t, "# a comment", strings.TrimSpace(public))
	}
	second := twice.Authorize(t, strings.TrimSpace(public)) + "2"
	twice.Own(t, writeFile(t, second, public), 0o600)
	must(t, os.Chmod(closed.Home, 0o777))
	target := func(u *sshtest.User) string { return u.Name + "@" + server.Addr }
	args := []string{old, new, "-o", "IdentityAgent=" + socket, target(good), target(twice), target(closed)}
	status, records, stderr := me.rotate("", args...)
	want := map[string]string{target(good): "ok key-absent", target(twice): "fail keys-file-elsewhere", target(closed): "fail too-many-tries"}
	if got := last(records); status != 1 || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("status %d, %v, want %v\n%s%s", status, got, want, records, stderr)
	}
	if !strings.Contains(stderr, "rotate: "+target(twice)+": keys-file-elsewhere: SHA256:") {
		t.Errorf("nothing is said of the second file: %s", stderr)
	}
	for u, lets := range map[*sshtest.User][2]bool{good: {false, true}, twice: {true, true}, closed: {false, false}} {
		for i, key := range []string{old, new + ".aside"} {
			if in, stderr := sshtest.SSH(t, server.Endpoint, u.Name, key); in != lets[i] {
				t.Errorf("%s lets in %s: %v, want %v: %s", u.Name, key, in, lets[i], stderr)
			}
		}
	}
	data, err := os.ReadFile(filepath.Join(closed.Home, ".ssh", "authorized_keys"))
	if err != nil || string(data) != "# a comment\n"+public {
		t.Errorf("something was done where nobody can log in: %s, %v", data, err)
	}

	// That the old one still logs in shows without its private half, too.
	must(t, os.Rename(old, old+".aside"))
	if status, records, _ := me.rotate("", append(args[:4:4], target(twice))...); status != 1 || last(records)[target(twice)] != "fail keys-file-elsewhere" {
		t.Errorf("status %d\n%s", status, records)
	}
	must(t, os.Rename(old+".aside", old))

	// Both are cured, and it goes on.
	must(t, os.Chmod(closed.Home, 0o755))
	must(t, os.Remove(second))
	status, records, stderr = me.rotate("", args...)
	for to, what := range last(records) {
		if status != 0 || what != "ok key-absent" {
			t.Errorf("status %d, %s: %s\n%s%s", status, to, what, records, stderr)
		}
	}
}

// After ^C, which everybody at the terminal gets, the records of what was done
// still come out.
func TestRotateInterrupted(t *testing.T) {
	sshtest.Need(t, "bash")
	if signal.Ignored(os.Interrupt) {
		t.Skip("SIGINT is ignored here, and so it is by every program that is started")
	}
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	me := newTraveller(t, pi.Endpoint)
	old, new := filepath.Join(me.home, "old"), filepath.Join(me.home, "new")
	public, _ := me.run(0, "", "pikeygen", "-f", old)
	me.run(0, "", "pikeygen", "-f", new)
	must(t, os.MkdirAll(filepath.Join(pi.Home, ".ssh"), 0o700))
	must(t, os.WriteFile(filepath.Join(pi.Home, ".ssh", "authorized_keys"), []byte(public), 0o600))
	bin := t.TempDir()
	must(t, os.WriteFile(filepath.Join(bin, "pikeycopy"), fmt.Appendf(nil, `#!/bin/bash
echo >>%[1]s/count
if [ "$(wc -l <%[1]s/count)" -eq 2 ]; then trap : INT; kill -INT 0; sleep 0.3; fi
exec %[2]s/pikeycopy "$@"
`, bin, binaries(t)), 0o755))
	status, records, stderr := me.rotate(bin, old, new, "pi@"+pi.Addr)
	if status != 130 || !strings.Contains(records, "\tdone\tkey-added\t") || last(records)["pi@"+pi.Addr] != "ok login" {
		t.Errorf("status %d\n%s%s", status, records, stderr)
	}
}

// Killed before, in, and after each of its steps, it locks nobody out, and when it
// is run again it comes to the same end.
func TestRotateKilled(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "bash")
	pis := []*sshtest.Pi{sshtest.StartPi(t, sshtest.PiConfig{}), sshtest.StartPi(t, sshtest.PiConfig{})}
	me := newTraveller(t, sshtest.Endpoint{})
	var known, targets string
	for _, pi := range pis {
		known += pi.KnownHosts()
		targets += " pi@" + pi.Addr
	}
	me.file(".ssh/known_hosts", known)
	old, new := filepath.Join(me.home, "old"), filepath.Join(me.home, "new")
	oldPublic, _ := me.run(0, "", "pikeygen", "-f", old)
	newPublic, _ := me.run(0, "", "pikeygen", "-f", new)
	args := append([]string{old, new}, strings.Fields(targets)...)
	for _, at := range []struct {
		step int
		when string
	}{{1, "before"}, {2, "before"}, {2, "in"}, {3, "before"}, {3, "in"}, {3, "after"}, {5, "before"}, {5, "after"}} {
		step, when := at.step, at.when
		for _, pi := range pis {
			must(t, os.MkdirAll(filepath.Join(pi.Home, ".ssh"), 0o700))
			must(t, os.WriteFile(filepath.Join(pi.Home, ".ssh", "authorized_keys"), []byte("# a comment\n"+oldPublic), 0o600))
		}
		bin := t.TempDir()
		script := fmt.Sprintf(`#!/bin/bash
echo >>%[1]s/count
if [ "$(wc -l <%[1]s/count)" -ne %[2]d ]; then exec %[3]s/pikeycopy "$@"; fi
case %[4]s in
in) %[3]s/pikeycopy "$@" & sleep 0.0$((RANDOM %% 10))5 ;;
after) %[3]s/pikeycopy "$@" ;;
esac
kill -9 0
`, bin, step, binaries(t), when)
		must(t, os.WriteFile(filepath.Join(bin, "pikeycopy"), []byte(script), 0o755))
		if status, records, stderr := me.rotate(bin, args...); status != -1 {
			t.Fatalf("step %d: status %d: it was not killed %s\n%s%s", step, status, when, records, stderr)
		}
		for _, pi := range pis {
			data, err := os.ReadFile(filepath.Join(pi.Home, ".ssh", "authorized_keys"))
			if err != nil || !strings.Contains(string(data), oldPublic) && !strings.Contains(string(data), newPublic) {
				t.Errorf("killed %s step %d, and nobody can log in: %q, %v", when, step, data, err)
			}
		}
		status, records, stderr := me.rotate("", args...)
		if status != 0 {
			t.Errorf("killed %s step %d, and run again: status %d\n%s%s", when, step, status, records, stderr)
		}
		for _, pi := range pis {
			if data, err := os.ReadFile(filepath.Join(pi.Home, ".ssh", "authorized_keys")); err != nil || string(data) != "# a comment\n"+newPublic {
				t.Errorf("killed %s step %d, and run again, there is %q, %v", when, step, data, err)
			}
		}
	}
}
