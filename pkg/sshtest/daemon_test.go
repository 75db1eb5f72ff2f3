package sshtest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// askpass returns the environment in which ssh takes the password from us
// rather than from a terminal.
func askpass(t *testing.T, password string) []string {
	t.Helper()
	script := filepath.Join(t.TempDir(), "askpass")
	write(t, script, "#!/bin/sh\ncat <<'EOF'\n"+password+"\nEOF\n", 0o700)
	return []string{"SSH_ASKPASS=" + script, "SSH_ASKPASS_REQUIRE=force"}
}

// byPassword runs a command through ssh with a password and no key.
func byPassword(t *testing.T, server Endpoint, login, password string, command ...string) (stdout, stderr string, status int) {
	t.Helper()
	args := append(server.SSHArgs(t), "-o", "PubkeyAuthentication=no", "-o", "NumberOfPasswordPrompts=1", "-l", login, "127.0.0.1")
	cmd := Command(t, t.TempDir(), "ssh", append(args, command...)...)
	cmd.Env = append(cmd.Env, askpass(t, password)...)
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), string(exit.Stderr), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), "", 0
}

// leavesNothing runs body as a subtest, whose server and user end with it, and
// then looks whether they have.
func leavesNothing(t *testing.T, name string, body func(t *testing.T) (*Daemon, *User)) {
	t.Helper()
	var d *Daemon
	var u *User
	t.Run(name, func(t *testing.T) { d, u = body(t) })
	if u == nil {
		return // skipped, or failed at once
	}
	if pids := processesOf(u.UID); len(pids) > 0 {
		t.Errorf("processes %v of user %s are left", pids, u.Name)
	}
	if _, err := user.Lookup(u.Name); err == nil {
		t.Errorf("user %s is left", u.Name)
	}
	if _, err := user.LookupGroup(u.Name); err == nil {
		t.Errorf("group %s is left", u.Name)
	}
	if _, err := os.Stat(filepath.Dir(u.Home)); !os.IsNotExist(err) {
		t.Errorf("home %s is left: %v", u.Home, err)
	}
	if alive(d.cmd.Process.Pid) {
		t.Errorf("process %d is left", d.cmd.Process.Pid)
	}
	if conn, err := net.Dial("tcp", d.Addr); err == nil {
		conn.Close()
		t.Errorf("somebody still listens at %s", d.Addr)
	}
}

func TestSSHD(t *testing.T) {
	t.Parallel()
	for _, pam := range []bool{true, false} {
		name := map[bool]string{true: "UsePAM yes", false: "UsePAM no"}[pam]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leavesNothing(t, "server", func(t *testing.T) (*Daemon, *User) {
				u := AddUser(t, UserConfig{})
				d := StartSSHD(t, SSHDConfig{UsePAM: pam, HostKeys: []string{"ed25519", "ecdsa", "rsa"}})
				k := NewKey(t, t.TempDir(), "ed25519")

				if ok, _ := SSH(t, d.Endpoint, u.Name, k.File); ok {
					t.Error("ssh logs in with a key that is not installed")
				}
				file := u.Authorize(t, k.Line)
				if ok, stderr := SSH(t, d.Endpoint, u.Name, k.File); !ok {
					t.Errorf("ssh does not log in: %s\n%s", stderr, d.Log())
				}
				u.Own(t, file, 0o666)
				if ok, _ := SSH(t, d.Endpoint, u.Name, k.File); ok {
					t.Error("ssh logs in though all may write authorized_keys")
				}
				if !strings.Contains(d.Log(), "bad ownership or modes for file "+file) {
					t.Errorf("the log does not say why: %s", d.Log())
				}

				stdout, stderr, status := byPassword(t, d.Endpoint, u.Name, u.Password, "whoami; exit 7")
				if stdout != u.Name+"\n" || status != 7 {
					t.Errorf("by password: status %d, %q, %s", status, stdout, stderr)
				}
				if _, _, status := byPassword(t, d.Endpoint, u.Name, u.Password+"x", "true"); status != 255 {
					t.Errorf("by a wrong password: status %d", status)
				}
				// One that does not end by itself, and ignores that the line is cut.
				byPassword(t, d.Endpoint, u.Name, u.Password, "setsid sleep 1000 </dev/null >/dev/null 2>&1 &")
				if len(processesOf(u.UID)) == 0 {
					t.Error("the process that is to be cleaned up does not run")
				}
				return d, u
			})
		})
	}
}

func TestSSHDConfig(t *testing.T) {
	t.Parallel()
	NeedRoot(t)
	u := AddUser(t, UserConfig{Locked: true, HomeMode: 0o700})
	d := StartSSHD(t, SSHDConfig{Config: []string{"LogLevel DEBUG1", "PasswordAuthentication no", "Match User " + u.Name, "ForceCommand false"}})
	k := NewKey(t, t.TempDir(), "ed25519")
	u.Authorize(t, k.Line)
	if ok, _ := SSH(t, d.Endpoint, u.Name, k.File); ok {
		t.Error("a locked user logs in without PAM")
	}
	if !strings.Contains(d.Log(), "not allowed because account is locked") {
		t.Error(d.Log())
	}
	if !strings.Contains(d.Log(), "debug1:") {
		t.Error("LogLevel of Config does not override ours")
	}
	if _, stderr, _ := byPassword(t, d.Endpoint, u.Name, "x", "true"); !strings.Contains(stderr, "Permission denied (publickey)") {
		t.Errorf("PasswordAuthentication of Config is not obeyed: %s", stderr)
	}
}

// As another user than root, sshd serves that user alone.
func TestSSHDAsUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("we are root")
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	k := NewKey(t, t.TempDir(), "ed25519")
	d := StartSSHD(t, SSHDConfig{Config: []string{"StrictModes no", "AuthorizedKeysFile " + k.File + ".pub"}})
	if ok, stderr := SSH(t, d.Endpoint, me.Username, k.File); !ok {
		if strings.Contains(d.Log(), "account is locked") || strings.Contains(d.Log(), "shell") {
			t.Skip("sshd serves no user without a password or a shell")
		}
		t.Errorf("ssh does not log in: %s\n%s", stderr, d.Log())
	}
}

func TestDropbear(t *testing.T) {
	t.Parallel()
	leavesNothing(t, "dropbear", func(t *testing.T) (*Daemon, *User) {
		u := AddUser(t, UserConfig{Shell: "/bin/sh"})
		d := StartDropbear(t)
		k := NewKey(t, t.TempDir(), "ed25519")
		if ok, _ := SSH(t, d.Endpoint, u.Name, k.File); ok {
			t.Error("ssh logs in with a key that is not installed")
		}
		u.Authorize(t, k.Line)
		if ok, stderr := SSH(t, d.Endpoint, u.Name, k.File); !ok {
			t.Errorf("ssh does not log in: %s\n%s", stderr, d.Log())
		}
		if stdout, stderr, status := byPassword(t, d.Endpoint, u.Name, u.Password, "whoami; exit 7"); stdout != u.Name+"\n" || status != 7 {
			t.Errorf("by password: status %d, %q, %s", status, stdout, stderr)
		}
		return d, u
	})
}

func TestAgent(t *testing.T) {
	t.Parallel()
	Need(t, "ssh-agent", "ssh-add")
	var socket string
	agents := func() []int {
		return pids(func(pid int) bool {
			args, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
			return bytes.Contains(args, []byte(socket))
		})
	}
	t.Run("", func(t *testing.T) {
		socket = StartAgent(t)
		k := NewKey(t, t.TempDir(), "ed25519")
		AddToAgent(t, socket, k.File)
		cmd := Command(t, t.TempDir(), "ssh-add", "-L")
		cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
		if out, err := cmd.Output(); err != nil || string(out) != k.Line+"\n" {
			t.Errorf("ssh-add -L: %v: %s", err, out)
		}
		if _, err := os.Stat("/proc"); err == nil && len(agents()) != 1 {
			t.Errorf("agents %v run", agents())
		}
	})
	if len(agents()) > 0 {
		t.Errorf("agents %v are left", agents())
	}
	if _, err := os.Lstat(filepath.Dir(socket)); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", filepath.Dir(socket), err)
	}
}

// Need skips, but fails where everything is to be tried.
func TestNeed(t *testing.T) {
	for _, require := range []string{"", "1"} {
		t.Setenv("PIKEY_TEST_REQUIRE", require)
		f := &fakeTB{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Need(f, "no-such-program")
		}()
		<-done
		if f.skipped == f.failed || f.failed != (require == "1") {
			t.Errorf("PIKEY_TEST_REQUIRE=%q: skipped %v, failed %v", require, f.skipped, f.failed)
		}
		Need(t, "sh")
	}
}

// A fakeTB notes how a test would have ended.
type fakeTB struct {
	testing.TB
	skipped, failed bool
}

func (f *fakeTB) Helper()      {}
func (f *fakeTB) Skip(...any)  { f.skipped = true; runtime.Goexit() }
func (f *fakeTB) Fatal(...any) { f.failed = true; runtime.Goexit() }
