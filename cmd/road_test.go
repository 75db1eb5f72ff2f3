//go:build unix

package cmd_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A traveller is somebody at a machine of his own with the four programs.
type traveller struct {
	t    *testing.T
	home string
	as   *syscall.Credential // nil: who runs the tests
}

func newTraveller(t *testing.T, server sshtest.Endpoint) *traveller {
	t.Helper()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	who := &traveller{t: t, home: home}
	who.file(".ssh/known_hosts", server.KnownHosts())
	return who
}

// file writes a file of his, 0600, and returns its path.
func (w *traveller) file(name, content string) string {
	w.t.Helper()
	path := filepath.Join(w.home, name)
	if err := sshtest.WriteFile(path, []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// program writes a shell script of his that can be run.
func (w *traveller) program(name, script string) {
	w.t.Helper()
	if err := os.Chmod(w.file(name, "#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		w.t.Fatal(err)
	}
}

// run runs one of the programs and wants its exit status.
func (w *traveller) run(status int, stdin, program string, args ...string) (stdout, stderr string) {
	w.t.Helper()
	cmd := exec.Command(filepath.Join(binaries(w.t), program), args...)
	cmd.Env = sshtest.Env(w.home)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: w.as}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		w.t.Errorf("%s %q: status %d, want %d\n%s%s", program, args, got, status, out.String(), errOut.String())
	}
	return out.String(), errOut.String()
}

// outcomes are the second and third field of each record.
func outcomes(records string) []string {
	var got []string
	for line := range strings.Lines(records) {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			got = append(got, "not a record: "+line)
			continue
		}
		got = append(got, f[1]+" "+f[2])
	}
	return got
}

func wantOutcomes(t *testing.T, records string, want ...string) {
	t.Helper()
	if got := outcomes(records); !slices.Equal(got, want) {
		t.Errorf("outcomes %q, want %q\n%s", got, want, records)
	}
}

// The whole road against real servers. OpenSSH's ssh is the judge of whether
// the key logs in, before and after.
func TestRoadWithRealServers(t *testing.T) {
	servers := map[string]func(t *testing.T) sshtest.Endpoint{
		"sshd with PAM": func(t *testing.T) sshtest.Endpoint {
			return sshtest.StartSSHD(t, sshtest.SSHDConfig{UsePAM: true}).Endpoint
		},
		"sshd without PAM": func(t *testing.T) sshtest.Endpoint {
			return sshtest.StartSSHD(t, sshtest.SSHDConfig{}).Endpoint
		},
		"sshd with PAM's own prompt": func(t *testing.T) sshtest.Endpoint {
			return sshtest.StartSSHD(t, sshtest.SSHDConfig{UsePAM: true, Config: []string{"PasswordAuthentication no", "KbdInteractiveAuthentication yes"}}).Endpoint
		},
		"dropbear": func(t *testing.T) sshtest.Endpoint { return sshtest.StartDropbear(t).Endpoint },
	}
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			user := sshtest.AddUser(t, sshtest.UserConfig{})
			me := newTraveller(t, server)
			target := user.Name + "@" + server.Addr
			password := me.file("password", user.Password+"\n")

			public, _ := me.run(0, "", "pikeygen")
			key := filepath.Join(me.home, ".ssh", "id_ed25519")
			if ok, _ := sshtest.SSH(t, server, user.Name, key); ok {
				t.Fatal("the key logs in before it was copied")
			}
			records, _ := me.run(0, public, "pikeycopy", "-i", "-", "--password-file", password, target)
			wantOutcomes(t, records, "done key-added", "ok login")
			if ok, stderr := sshtest.SSH(t, server, user.Name, key); !ok {
				t.Errorf("pikeycopy says that the key logs in, ssh says: %s", stderr)
			}
			records, _ = me.run(0, "", "pikeycheck", target)
			wantOutcomes(t, records, "ok login")
			records, _ = me.run(0, public, "pikeycopy", "-i", "-", target)
			wantOutcomes(t, records, "ok key-present", "ok login")

			if err := os.Chmod(user.Home, 0o777); err != nil {
				t.Fatal(err)
			}
			if ok, _ := sshtest.SSH(t, server, user.Name, key); ok {
				t.Fatal("the server takes a key from a home of mode 0777")
			}
			records, _ = me.run(1, "", "pikeycheck", target)
			wantOutcomes(t, records, "fail key-refused")
			records, stderr := me.run(1, public, "pikeycopy", "-i", "-", "--password-file", password, target)
			wantOutcomes(t, records, "ok key-present", "fail home-writable")
			if !strings.Contains(stderr, "hint: pikeyfix --password-file "+password+" "+target+"\n") {
				t.Errorf("no way on: %s", stderr)
			}
			records, _ = me.run(1, "", "pikeyfix", "-n", "--password-file", password, target)
			wantOutcomes(t, records, "todo home-writable")
			records, _ = me.run(0, "", "pikeyfix", "--password-file", password, target)
			wantOutcomes(t, records, "done home-writable")
			if ok, stderr := sshtest.SSH(t, server, user.Name, key); !ok {
				t.Errorf("pikeyfix is done, and ssh says: %s", stderr)
			}
			records, _ = me.run(0, "", "pikeyfix", target)
			wantOutcomes(t, records, "ok modes")
		})
	}
}

// What sshd does to a client, and the word for it.
func TestCheckRealSSHD(t *testing.T) {
	t.Run("too-many-tries", func(t *testing.T) {
		t.Parallel()
		server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"MaxAuthTries 2"}})
		user := sshtest.AddUser(t, sshtest.UserConfig{})
		me := newTraveller(t, server.Endpoint)
		args := []string{"-o", "IdentitiesOnly=yes"}
		for _, name := range []string{"a", "b", "c", "d"} {
			me.run(0, "", "pikeygen", "-f", filepath.Join(me.home, name))
			args = append(args, "-o", "IdentityFile="+filepath.Join(me.home, name))
		}
		records, _ := me.run(1, "", "pikeycheck", append(args, user.Name+"@"+server.Addr)...)
		wantOutcomes(t, records, "fail too-many-tries")
	})
	t.Run("pubkey-disabled", func(t *testing.T) {
		t.Parallel()
		server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"PubkeyAuthentication no"}})
		user := sshtest.AddUser(t, sshtest.UserConfig{})
		me := newTraveller(t, server.Endpoint)
		me.run(0, "", "pikeygen")
		records, _ := me.run(1, "", "pikeycheck", user.Name+"@"+server.Addr)
		wantOutcomes(t, records, "fail pubkey-disabled")
	})
	t.Run("more-needed", func(t *testing.T) {
		t.Parallel()
		server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"AuthenticationMethods publickey,password"}})
		user := sshtest.AddUser(t, sshtest.UserConfig{})
		me := newTraveller(t, server.Endpoint)
		public, _ := me.run(0, "", "pikeygen")
		user.Authorize(t, strings.TrimSpace(public))
		records, _ := me.run(1, "", "pikeycheck", user.Name+"@"+server.Addr)
		wantOutcomes(t, records, "fail more-needed")
	})
	t.Run("agent-refused", func(t *testing.T) {
		t.Parallel()
		server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
		user := sshtest.AddUser(t, sshtest.UserConfig{})
		me := newTraveller(t, server.Endpoint)
		public, _ := me.run(0, "", "pikeygen", "-f", filepath.Join(me.home, "key"))
		user.Authorize(t, strings.TrimSpace(public))
		socket := sshtest.StartAgent(t)
		// -c asks for each use, and nobody can be asked.
		sshtest.AddToAgent(t, socket, filepath.Join(me.home, "key"), "-c")
		records, stderr := me.run(1, "", "pikeycheck", "-o", "IdentityAgent="+socket, user.Name+"@"+server.Addr)
		wantOutcomes(t, records, "fail agent-refused")
		if !strings.Contains(stderr, "hint: ") {
			t.Errorf("no way on: %s", stderr)
		}
		records, _ = me.run(1, "", "pikeycheck", "-o", "IdentityAgent="+socket)
		if !slices.Contains(outcomes(records), "fail agent-refused") {
			t.Errorf("the key is not test-signed: %s", records)
		}
	})
}

// A key that only the agent can use is proven through the agent.
func TestRoadWithAgent(t *testing.T) {
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	key := filepath.Join(me.home, "key")
	public, _ := me.run(0, "", "pikeygen", "-f", key)
	socket := sshtest.StartAgent(t)
	sshtest.AddToAgent(t, socket, key)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	target := user.Name + "@" + server.Addr
	records, _ := me.run(0, public, "pikeycopy", "-i", "-", "-o", "IdentityAgent="+socket,
		"--password-file", me.file("password", user.Password+"\n"), target)
	wantOutcomes(t, records, "done key-added", "ok login")
}

// What one of the programs would refuse ends the road before it begins.
func TestPasswordlessRefuses(t *testing.T) {
	home := t.TempDir()
	for _, args := range [][]string{nil, {"--nosuch", "pi"}, {"-i", "key", "pi"}, {"--timeout", "5", "pi"}} {
		out, stderr, status := script(t, home, binaries(t), "", "passwordless", args...)
		if _, err := os.Lstat(filepath.Join(home, ".ssh")); status != 2 || out != "" || strings.Contains(stderr, "not found") || stderr == "" || err == nil {
			t.Errorf("%q: status %d, %q, %q, %v", args, status, out, stderr, err)
		}
	}
}
