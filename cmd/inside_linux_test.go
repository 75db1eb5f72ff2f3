package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// Where the keys are refused, pikeycheck looks inside by password, on the same
// connection, and changes nothing.
func TestInside(t *testing.T) {
	const sshd, dropbear = "sshd", "dropbear"
	type pi struct {
		*sshtest.User
		t *testing.T
	}
	ssh := func(p pi) string { return filepath.Join(p.Home, ".ssh") }
	authorize := func(lines func(key string) string) func(pi, string) {
		return func(p pi, key string) { p.Authorize(p.t, lines(key)) }
	}
	asItIs := func(key string) string { return key }
	chmod := func(path func(pi) string, mode os.FileMode) func(pi, string) {
		return func(p pi, key string) {
			p.Authorize(p.t, key)
			if err := os.Chmod(path(p), mode); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	misnamed := func(name string) func(pi, string) {
		return func(p pi, key string) {
			path := p.Authorize(p.t, key)
			if err := os.Rename(path, filepath.Join(filepath.Dir(path), name)); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		server string
		config []string
		do     func(p pi, key string)
		want   string // outcomes
		hint   string
	}{
		"nothing there":            {want: "key-not-installed", hint: "pikeycopy -i -"},
		"another key there":        {do: authorize(func(string) string { return sshtest.NewKey(t, t.TempDir(), "ed25519").Line }), want: "key-not-installed", hint: "pikeycopy -i -"},
		"home 0777":                {do: chmod(func(p pi) string { return p.Home }, 0o777), want: "home-writable", hint: "pikeyfix --password-file"},
		".ssh 0777":                {do: chmod(ssh, 0o777), want: "dir-writable", hint: "pikeyfix"},
		"authorised_keys":          {do: misnamed("authorised_keys"), want: "keys-misnamed", hint: "pikeyfix"},
		"authorized_keys2, unread": {config: []string{"AuthorizedKeysFile .ssh/authorized_keys"}, do: misnamed("authorized_keys2"), want: "keys-misnamed", hint: "pikeyfix"},
		"authorized_keys2, read":   {do: func(p pi, key string) { misnamed("authorized_keys2")(p, `from="10.0.0.1" `+key) }, want: "entry-from"},
		"elsewhere":                {config: []string{"AuthorizedKeysFile .keys"}, do: authorize(asItIs), want: "keys-file-elsewhere", hint: "/.keys"},
		"elsewhere, and no key":    {config: []string{"AuthorizedKeysFile .keys"}, want: "key-not-installed"},
		"from":                     {do: authorize(func(k string) string { return `from="10.0.0.1" ` + k }), want: "entry-from", hint: "--options"},
		"expired":                  {do: authorize(func(k string) string { return `expiry-time="20200101" ` + k }), want: "entry-expired"},
		"glued": {do: authorize(func(k string) string { return sshtest.NewKey(t, t.TempDir(), "ed25519").Line + k }),
			want: "entry-glued", hint: "pikeyfix --rewrite"},
		"wrapped":      {do: authorize(func(k string) string { return k[:40] + "\n" + k[40:] }), want: "entry-wrapped", hint: "pikeyfix --rewrite"},
		"cut off":      {do: authorize(func(k string) string { return k[:70] }), want: "entry-truncated", hint: "pikeycopy -f"},
		"commented":    {do: authorize(func(k string) string { return "#" + k }), want: "entry-commented", hint: "pikeycopy -f"},
		"UTF-16":       {do: authorize(func(k string) string { return "\xff\xfe" + strings.Join(strings.Split(k, ""), "\x00") + "\x00\n\x00" }), want: "entry-encoding", hint: "pikeyfix --rewrite"},
		"zeros":        {do: authorize(func(k string) string { return strings.Repeat("\x00", len(k)) }), want: "entry-nul"},
		"type word":    {do: authorize(func(k string) string { return strings.Replace(k, "ssh-ed25519", "ssh-rsa", 1) }), want: "entry-type-mismatch", hint: "pikeyfix --rewrite"},
		"bad option":   {do: authorize(func(k string) string { return "no-such-option " + k }), want: "entry-options-bad"},
		"keys off":     {config: []string{"PubkeyAuthentication no"}, do: authorize(asItIs), want: "pubkey-disabled"},
		"both needed":  {config: []string{"AuthenticationMethods publickey,password"}, do: authorize(asItIs), want: "more-needed"},
		"both, turned": {config: []string{"AuthenticationMethods password,publickey"}, do: authorize(asItIs), want: "more-needed"},
		"type refused": {config: []string{"PubkeyAcceptedAlgorithms rsa-sha2-512"}, do: authorize(asItIs), want: "key-type-refused"},
		"one try":      {config: []string{"MaxAuthTries 1"}, do: chmod(ssh, 0o777), want: "dir-writable"},
		"two faults": {do: func(p pi, key string) {
			chmod(func(p pi) string { return p.Home }, 0o777)(p, `from="10.0.0.1" `+key)
			p.Own(p.t, ssh(p), 0o777)
		}, want: "home-writable dir-writable entry-from"},
		"CR LF, and a home of 0777": {do: func(p pi, key string) { chmod(func(p pi) string { return p.Home }, 0o777)(p, key+"\r") }, want: "home-writable"},
		"home 0775, which Debian takes, and from": {do: func(p pi, key string) {
			chmod(func(p pi) string { return p.Home }, 0o775)(p, `from="10.0.0.1" `+key)
		}, want: "entry-from"},
		"dropbear":            {server: dropbear, want: "key-not-installed"},
		"dropbear, home 0775": {server: dropbear, do: chmod(func(p pi) string { return p.Home }, 0o775), want: "home-writable"},
		"dropbear, from":      {server: dropbear, do: authorize(func(k string) string { return `from="127.0.0.1" ` + k }), want: "dropbear-limits"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var server sshtest.Endpoint
			if tt.server == dropbear {
				server = sshtest.StartDropbear(t).Endpoint
			} else {
				d := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: tt.config})
				server = d.Endpoint
				if err := os.Chmod(configOf(t, d), 0o644); err != nil { // as /etc/ssh/sshd_config is
					t.Fatal(err)
				}
				defer func() {
					if t.Failed() {
						t.Log(d.Log())
					}
				}()
			}
			user := sshtest.AddUser(t, sshtest.UserConfig{})
			me := newTraveller(t, server)
			key, _ := me.run(0, "", "pikeygen")
			key = strings.TrimSpace(key)
			if tt.do != nil {
				tt.do(pi{user, t}, key)
			}
			target := user.Name + "@" + server.Addr
			password := me.file("password", user.Password+"\n")
			records, stderr := me.run(1, "", "pikeycheck", "--password-file", password, target)
			t.Log(records, stderr)
			var want []string
			for _, cause := range strings.Fields(tt.want) {
				want = append(want, "fail "+cause)
			}
			wantOutcomes(t, records, want...)
			if !strings.Contains(stderr, tt.hint) {
				t.Errorf("no hint of %q", tt.hint)
			}
		})
	}
}

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
			if !strings.Contains(records, "\tfail\t"+want) || strings.Contains(records, "stale") || !strings.Contains(stderr, "hint: ") {
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
