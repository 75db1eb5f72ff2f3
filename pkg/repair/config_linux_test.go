package repair

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// Where sshd_config(5) and shadow(5) decide, our verdict is that of the real servers.
func TestTruthOfConfig(t *testing.T) {
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "ssh")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	k := sshtest.NewKey(t, dir, "ed25519")
	usual := sshtest.AddUser(t, sshtest.UserConfig{Shell: "/bin/sh"})
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("none", "")
	write("list", k.Line+"\n")
	other := sshtest.NewKey(t, t.TempDir(), "ed25519").Line
	write("other", "# \n\n \t"+other+"\r\n\x00\n"+other)
	write("torn", other+"\n\r\n")
	write("options", "restrict "+other+"\n")
	change := func(command ...string) func(*sshtest.User) {
		return func(u *sshtest.User) {
			t.Helper()
			for try := 1; ; try++ { // others may be changing the accounts too
				out, err := exec.Command(command[0], append(command[1:], u.Name)...).CombinedOutput()
				if err == nil {
					return
				}
				if try == 10 {
					t.Fatalf("%q: %v: %s", command, err, out)
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
	}
	locked := sshtest.AddUser(t, sshtest.UserConfig{Shell: "/bin/sh", Locked: true})
	brackets := sshtest.AddUser(t, sshtest.UserConfig{Shell: "/bin/sh"})
	brackets.Home += "[ab]"
	change("usermod", "-d", brackets.Home)(brackets)
	if err := os.Mkdir(brackets.Home, 0o755); err != nil {
		t.Fatal(err)
	}
	brackets.Own(t, brackets.Home, 0o755)

	programs := []string{""}
	if program := os.Getenv("PIKEY_TEST_SSHD10"); program != "" {
		programs = append(programs, program)
	}
	for _, c := range []struct {
		config string
		user   *sshtest.User // nil for the usual one
		before func(*sshtest.User)
		want   string // a cause; "" where the login works
		ten    string // the same from OpenSSH 10.0 on, if it differs; "ok" where the login works
	}{
		{},
		{config: "AuthorizedKeysFile .ssh/keys", want: "keys-file-elsewhere"},
		{config: "AuthorizedKeysFile .ssh/auth*", want: "keys-file-elsewhere", ten: "ok"},
		{config: "AuthorizedKeysFile ~NAME/.ssh/authorized_keys"},
		{config: "AuthorizedKeysFile /etc/no-such/%u", want: "keys-file-elsewhere"},
		{config: "RevokedKeys none"},
		{config: "Match User NAME\nRevokedKeys none", want: "key-revoked"},
		{config: "RevokedKeys .DIR/none"},
		{config: "RevokedKeys DIR", want: "key-revoked"},
		{config: "RevokedKeys DIR/list", want: "key-revoked"},
		{config: "RevokedKeys ~/no-such-list", want: "key-revoked"},
		{config: "RevokedKeys DIR/other"},
		{config: "RevokedKeys DIR/torn", want: "key-revoked"},
		{config: "RevokedKeys DIR/options", want: "key-revoked"},
		{config: "AuthenticationMethods publickey,password", want: "more-needed"},
		{config: "AuthenticationMethods password publickey"},
		{config: "AuthenticationMethods publickey,publickey", want: "more-needed"},
		{config: "AuthenticationMethods publickey,publickey publickey"},
		{config: "PubkeyAcceptedAlgorithms rsa-sha2-512", want: "key-type-refused"},
		{config: "PubkeyAcceptedAlgorithms +ssh-rsa"},
		{config: "PubkeyAcceptedAlgorithms -*"},
		{config: "Match Address 127.0.0.0/8\nPubkeyAuthentication no", want: "pubkey-disabled"},
		{config: "Match Address 127.0.0.0/8,!127.0.0.1\nPubkeyAuthentication no"},
		{config: "AllowUsers NAME@10.* NAME@127.0.0.2", want: "user-not-allowed"},
		{config: "DenyUsers NAME@!127.0.0.1,*"},
		{user: locked, want: "account-locked"},
		{user: locked, config: "UsePAM yes"},
		{user: brackets, ten: "keys-file-elsewhere"},
		{before: change("chage", "-E", "1"), want: "account-expired"},
		{before: change("chage", "-E", "-1")},
	} {
		u := c.user
		if u == nil {
			u = usual
		}
		if c.before != nil {
			c.before(u)
		}
		u.Authorize(t, k.Line)
		main := write("sshd_config", strings.NewReplacer("NAME", u.Name, "DIR", dir).Replace(c.config)+"\n")
		for i, program := range programs {
			config, want := []string{"Include " + main}, c.want
			if i > 0 {
				config = append([]string{"PerSourcePenalties no"}, config...)
				if c.ten != "" {
					want = strings.TrimPrefix(c.ten, "ok")
				}
			}
			d := sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: program, Config: config})
			login, err := logsIn(d, u.Name, k.Signer)
			if err != nil {
				t.Fatal(err)
			}
			version := banner(t, d)
			d.Stop()
			who, err := hostfs.Local().Lookup(t.Context(), u.Name)
			if err != nil {
				t.Fatal(err)
			}
			serving := diagnose.Serving{Version: version, Main: main, Conn: sshdconfig.Connection{Address: "127.0.0.1"}}
			job := Job{DryRun: true, Serving: serving}
			server := strictmodes.ServerOf(version)
			causes := ""
			for r := range job.Accounts(t.Context(), hostfs.Local(), one(who), false, server, server) {
				if r.Verdict != record.OK {
					causes += r.Cause
				}
			}
			if login != (want == "") || causes != want {
				t.Errorf("%s, %q: login works: %v, we say %q, want %q", version, c.config, login, causes, want)
			}
		}
	}
}

// banner is the line in which a server tells its version.
func banner(t *testing.T, d *sshtest.Daemon) string {
	t.Helper()
	conn, err := net.Dial("tcp", d.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
