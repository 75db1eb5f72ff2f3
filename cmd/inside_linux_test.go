package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// Where the far files explain nothing, the server's log does: its lines of this
// connection, and of no other.
func TestInsideLog(t *testing.T) {
	const program = `#!/bin/sh
set -- $SSH_CONNECTION
now=$(date +%s)
say() { printf '{"__REALTIME_TIMESTAMP":"%s000000","SYSLOG_IDENTIFIER":"sshd","_PID":"%s","MESSAGE":"%s"}\n' "$now" "$1" "$2"; }
say 6 "Failed publickey for $LOGNAME from $1 port 1 ssh2: ED25519 SHA256:other"
say 6 "Authentication refused: bad ownership or modes for directory /srv/stale"
say 6 "Connection closed by authenticating user $LOGNAME $1 port 1 [preauth]"
say 7 "Connection from $1 port $2 on $3 port $4 rdomain"
say 7 "LINE"
say 7 "Failed publickey for $LOGNAME from $1 port $2 ssh2: ED25519 KEY"
say 7 "Accepted password for $LOGNAME from $1 port $2 ssh2"
`
	for line, want := range map[string]string{
		"Authentication refused: bad ownership or modes for directory /srv/keys": "parent-writable\t/srv/keys\tlogged: ",
		"Authentication key ED25519 KEY revoked by file /etc/ssh/revoked":        "key-revoked\t/etc/ssh/revoked\tlogged: ",
		"nothing that matters": "key-refused\tSHA256:",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
				if err := os.Chmod(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			keys := filepath.Join(dir, "keys") // which the account is not told
			server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"AuthorizedKeysFile " + keys, "SetEnv PATH=" + dir + ":/usr/bin:/bin"}})
			user := sshtest.AddUser(t, sshtest.UserConfig{})
			me := newTraveller(t, server.Endpoint)
			key, _ := me.run(0, "", "pikeygen")
			user.Authorize(t, strings.TrimSpace(key))
			fingerprint, err := sshtest.Command(t, me.home, "ssh-keygen", "-lf", filepath.Join(me.home, ".ssh/id_ed25519.pub")).Output()
			if err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer("LINE", strings.ReplaceAll(line, "KEY", strings.Fields(string(fingerprint))[1]), "KEY", strings.Fields(string(fingerprint))[1]).Replace(program)
			if err := sshtest.WriteFile(filepath.Join(dir, "journalctl"), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
			records, stderr := me.run(1, "", "pikeycheck", "--password-file", me.file("password", user.Password+"\n"), user.Name+"@"+server.Addr)
			if !strings.Contains(records, "\tfail\t"+want) || strings.Contains(records, "stale") || strings.Contains(records, "logged: Failed") || !strings.Contains(stderr, "hint: ") {
				t.Errorf("want %q\n%s%s%s", want, records, stderr, server.Log())
			}
		})
	}
}

// Another key that works lets pikeycheck look; it speaks of the key that is
// there, and a locked password is no fault where PAM decides.
func TestInsideByKey(t *testing.T) {
	t.Parallel()
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{UsePAM: true})
	user := sshtest.AddUser(t, sshtest.UserConfig{Locked: true})
	me := newTraveller(t, server.Endpoint)
	other := sshtest.NewKey(t, t.TempDir(), "ed25519")
	me.run(0, "", "pikeygen")
	second, _ := me.run(0, "", "pikeygen", "-t", "ecdsa", "-f", filepath.Join(me.home, ".ssh/id_ecdsa"))
	user.Authorize(t, other.Line, `from="10.0.0.1" `+strings.TrimSpace(second))
	records, stderr := me.run(1, "", "pikeycheck", "--inside-key", other.File, user.Name+"@"+server.Addr)
	wantOutcomes(t, records, "fail entry-from")
	if !strings.Contains(stderr, "ecdsa-sha2-nistp256") || !strings.Contains(stderr, "-o 'IdentityFile="+other.File) {
		t.Error("no way on: ", stderr)
	}
	if n := strings.Count(server.Log(), "Connection from "); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// What pikeyfix can cure it takes from the records of pikeycheck.
func TestInsideThenFix(t *testing.T) {
	t.Parallel()
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	key, _ := me.run(0, "", "pikeygen")
	user.Authorize(t, strings.TrimSpace(key))
	user.Own(t, user.Home, 0o777)
	user.Own(t, filepath.Join(user.Home, ".ssh"), 0o777)
	password, target := me.file("password", user.Password+"\n"), user.Name+"@"+server.Addr
	records, _ := me.run(1, "", "pikeycheck", "--password-file", password, target)
	wantOutcomes(t, records, "fail home-writable", "fail dir-writable")
	fixed, _ := me.run(0, records, "pikeyfix", "--hosts", "-", "--password-file", password)
	if !strings.Contains(fixed, "done\thome-writable") || !strings.Contains(fixed, "done\tdir-writable") {
		t.Errorf("not repaired:\n%s", fixed)
	}
	records, _ = me.run(0, fixed, "pikeycheck", "--hosts", "-")
	if strings.Contains(records, "fail") {
		t.Errorf("it does not log in:\n%s", records)
	}
}
