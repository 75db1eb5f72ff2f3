//go:build unix

package repair

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

func TestKeysFiles(t *testing.T) {
	const main = "/etc/ssh/sshd_config"
	for _, c := range []struct {
		name   string
		texts  map[string]string
		server strictmodes.Server
		who    strictmodes.Account
		want   []string
		trace  string
	}{
		{"no configuration", nil, strictmodes.Debian, pi, nil, ""},
		{"nothing said", map[string]string{main: "Port 22\n"}, strictmodes.Debian, pi, nil, ""},
		{"elsewhere", map[string]string{main: "AuthorizedKeysFile .ssh/keys /etc/keys/%u\n"}, strictmodes.OpenSSH, pi,
			[]string{"/home/pi/.ssh/keys", "/etc/keys/pi"}, "sshd_config:1 says"},
		{"none", map[string]string{main: "AuthorizedKeysFile none\n"}, strictmodes.OpenSSH, pi, []string{}, ""},
		{"a pattern", map[string]string{main: "AuthorizedKeysFile .ssh/k[13-9] .ssh/x? .ssh/k*\n"}, strictmodes.OpenSSH, pi,
			[]string{"/home/pi/.ssh/k[13-9]", "/home/pi/.ssh/k1", "/home/pi/.ssh/x?", "/home/pi/.ssh/k*", "/home/pi/.ssh/k2"}, ""},
		{"a group", map[string]string{main: "Match Group web\nAuthorizedKeysFile /w\n", "/etc/group": "pi:x:1000:\nweb:x:7:pi\n"}, strictmodes.All,
			strictmodes.Account{Name: "pi", UID: 1000, Home: "/home/pi", Groups: []int{1000, 7}}, []string{"/w"}, ""},
		{"another group", map[string]string{main: "Match Group web\nAuthorizedKeysFile /w\n", "/etc/group": "pi:x:1000:\nweb:x:7:pi\n"}, strictmodes.All, pi, nil, ""},
		{"a group without a name", map[string]string{main: "Match Group web\nAuthorizedKeysFile /w\n"}, strictmodes.All, pi, nil, "may say"},
		{"unreadable", map[string]string{main: "denied"}, strictmodes.All, pi, nil, "cannot be read"},
		{"dropbear", map[string]string{main: "AuthorizedKeysFile /w\n"}, strictmodes.Dropbear, pi, nil, ""},
		{"OpenWrt", map[string]string{"/etc/openwrt_release": ""}, strictmodes.Dropbear, strictmodes.Account{Name: "root", Home: "/root"},
			[]string{"/etc/dropbear/authorized_keys"}, ""},
		{"OpenWrt, another", map[string]string{"/etc/openwrt_release": ""}, strictmodes.Dropbear, pi, nil, ""},
	} {
		var said strings.Builder
		job := Job{Trace: func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }}
		m := &machine{texts: c.texts, files: map[string]strictmodes.Stat{"/home/pi/.ssh/k1": {}, "/home/pi/.ssh/k2": {}}}
		rules, err := job.readRules(t.Context(), m, c.server)
		if err != nil {
			t.Fatal(err)
		}
		got := job.keysFiles(t.Context(), m, rules, c.who)
		if !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) || !strings.Contains(said.String(), c.trace) {
			t.Errorf("%s: %q, want %q; said %s", c.name, got, c.want, said.String())
		}
	}
}

// Where StrictModes is off, nothing is changed but what cannot be read.
func TestNotStrict(t *testing.T) {
	for _, c := range []struct {
		server strictmodes.Server
		want   string
	}{
		{strictmodes.OpenSSH, "done keys-unreadable"},
		{strictmodes.Debian, "done keys-unreadable"},
		{strictmodes.Dropbear, "done home-writable, done keys-writable"},
		{strictmodes.All, "done home-writable, done keys-writable"},
	} {
		m := newMachine(0o777, 0o700, 0o222, 1000)
		m.texts = map[string]string{"/etc/ssh/sshd_config": "StrictModes no\n"}
		if records := new(Job).Login(t.Context(), m, c.server, nil); brief(records) != c.want {
			t.Errorf("%v: %s", c.server, text(records))
		}
	}
}

// What sshd_config(5) forbids the account that is asked about is told, whatever its files.
func TestForbidden(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"PubkeyAuthentication no\n", "fail pubkey-disabled"},
		{"DenyGroups web\n", "fail user-not-allowed"},
		{"AllowGroups pi\n", ""},
		{"RevokedKeys /revoked\n", "fail key-revoked"},
		{"RevokedKeys /etc\n", "fail key-revoked"},
		{"RevokedKeys /etc/list\nAllowUsers pi@10.0.0.0/8\n", ""},
		{"Match User pi\nRevokedKeys none\n", "fail key-revoked"},
		{"RevokedKeys none\n", ""},
		{"Include closed\nRevokedKeys /revoked\n", ""},
	} {
		m := newMachine(0o755, 0o700, 0o600, 1000)
		m.files["/etc"] = strictmodes.Stat{Mode: fs.ModeDir | 0o755, Nlink: 2}
		m.files["/etc/ssh/closed"] = strictmodes.Stat{Nlink: 1}
		m.files["/etc/list"] = strictmodes.Stat{Nlink: 1}
		m.texts = map[string]string{"/etc/ssh/sshd_config": c.text, "/etc/ssh/closed": "denied", "/etc/list": "", "/etc/group": "pi:x:1000:\nweb:x:7:pi\n"}
		m.me.Groups = []int{1000, 7}
		if records := new(Job).Login(t.Context(), m, strictmodes.Debian, func(cause string) bool { return "fail "+cause == c.want }); brief(records) != "" || len(records) != 1 {
			t.Errorf("%q, refuted: %s", c.text, text(records))
		}
		if records := new(Job).Login(t.Context(), m, strictmodes.Debian, nil); brief(records) != c.want {
			t.Errorf("%q: %s, want %s", c.text, text(records), c.want)
		}
		for _, all := range []bool{false, true} {
			want := c.want
			if all { // some are to be kept out
				want = ""
			}
			records := slices.Collect(new(Job).Accounts(t.Context(), m, one(m.me), all, strictmodes.Debian, strictmodes.Debian))
			if brief(records) != want || len(records) != 1 {
				t.Errorf("%q, all %v: %s, want %s", c.text, all, text(records), want)
			}
			job := Job{Unnamed: true}
			if records := slices.Collect(job.Accounts(t.Context(), m, one(m.me), all, strictmodes.Debian, strictmodes.Debian)); brief(records) != "" || len(records) != 1 {
				t.Errorf("%q, unnamed: %s", c.text, text(records))
			}
		}
	}
	for shell, want := range map[string]string{"": "", "/bin/sh": "", "/bin/none": "fail shell-missing", "/bin/plain": "fail shell-missing", "/bin": "fail shell-missing", "sh": ""} {
		for _, config := range []string{"", "ChrootDirectory /srv\n", "Match Address 10.0.0.0/8\nChrootDirectory /srv\n"} {
			m := newMachine(0o755, 0o700, 0o600, 1000)
			m.files["/bin"] = strictmodes.Stat{Mode: fs.ModeDir | 0o755, Nlink: 2}
			m.files["/bin/sh"], m.files["/bin/plain"] = strictmodes.Stat{Mode: 0o755, Nlink: 1}, strictmodes.Stat{Mode: 0o644, Nlink: 1}
			m.texts = map[string]string{"/etc/ssh/sshd_config": config}
			m.me.Shell = shell
			want := want
			if config != "" {
				want = ""
			}
			if records := slices.Collect(new(Job).Accounts(t.Context(), m, one(m.me), false, strictmodes.Debian, strictmodes.Debian)); brief(records) != want {
				t.Errorf("%q, %q: %s, want %s", shell, config, text(records), want)
			}
		}
	}
}

// On a card, /run and other file systems are not mounted, and the shell may be there.
func TestShellOfCard(t *testing.T) {
	m := newMachine(0o755, 0o700, 0o600, 1000)
	m.files["/bin"], m.files["/bin/link"] = strictmodes.Stat{Mode: fs.ModeDir | 0o755, Nlink: 2}, strictmodes.Stat{Mode: fs.ModeSymlink | 0o777, Nlink: 1}
	m.links = map[string]string{"/bin/link": "/run/system/sh"}
	for shell, want := range map[string]string{"/run/system/sh": "", "/bin/link": "", "/bin/none": "fail shell-missing"} {
		m.me.Shell = shell
		job := Job{Root: "/mnt"}
		if records := slices.Collect(job.Accounts(t.Context(), m, one(m.me), false, strictmodes.Debian, strictmodes.Debian)); brief(records) != want {
			t.Errorf("%s: %s, want %s", shell, text(records), want)
		}
	}
}

// What only dropbear does not read in a line is said for dropbear, unless another
// line lets the key in.
func TestDropbearLines(t *testing.T) {
	const a, b = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"
	for _, c := range []struct {
		server strictmodes.Server
		text   string
		want   string
	}{
		{strictmodes.Dropbear, a + "\n" + b + " b\n", ""},
		{strictmodes.Dropbear, a + "\n  " + b + "\nno-such-option " + b + "\n#" + b + "\n", "fail dropbear-limits authorized_keys:2"},
		{strictmodes.Dropbear2025, `from="10.0.0.1" ` + a + "\nssh-ed25519 " + b + "\n", "fail dropbear-limits authorized_keys:1"},
		{strictmodes.Dropbear, `from="10.0.0.1" ` + a + "\n" + a + "\n", ""},
		{strictmodes.OpenSSH, " " + a + "\n", ""},
		{strictmodes.All, " " + a + "\n", ""},
	} {
		m := newMachine(0o755, 0o700, 0o600, 1000)
		m.texts = map[string]string{"/home/pi/.ssh/authorized_keys": c.text}
		got := ""
		for _, r := range new(Job).Login(t.Context(), m, c.server, nil) {
			if r.Verdict != record.OK {
				got += fmt.Sprint(r.Verdict, " ", r.Cause, " ", strings.TrimPrefix(r.Subject, "/home/pi/.ssh/"))
			}
		}
		if got != c.want {
			t.Errorf("%v, %q: %q, want %q", c.server, c.text, got, c.want)
		}
	}
}

// What a link leads root to that the user cannot read is not read for lines.
func TestUnreadableLines(t *testing.T) {
	const keys = "/home/pi/.ssh/authorized_keys"
	for st, want := range map[strictmodes.Stat]int{
		{Mode: 0o400, Nlink: 1}:            0,
		{Mode: 0o444, Nlink: 1}:            1,
		{Mode: 0o200, Nlink: 1, UID: 1000}: 1, // in a dry run, of what would be read
	} {
		m := newMachine(0o755, 0o700, 0o600, 1000)
		m.me = strictmodes.Account{Name: "root", Home: "/root"}
		m.files[keys] = strictmodes.Stat{Mode: fs.ModeSymlink | 0o777, UID: 1000, Nlink: 1}
		m.links = map[string]string{keys: "/secret"}
		m.files["/secret"] = st
		m.texts = map[string]string{keys: "\ufeffssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"}
		asked := 0
		job := Job{DryRun: true, Content: func(context.Context, strictmodes.Account, string) []record.Record {
			asked++
			return nil
		}}
		if _, err := job.home(t.Context(), m, pi, strictmodes.OpenSSH, nil); err != nil || asked != want {
			t.Errorf("%+v: %v, looked at %d times", st, err, asked)
		}
	}
}

// Of all accounts, those are looked at that have something to look at, and of
// a daemon whose home a group shares on purpose nothing is changed.
func TestAccounts(t *testing.T) {
	m := newMachine(0o777, 0o700, 0o600, 1000)
	m.me = strictmodes.Account{Name: "root", Home: "/root"}
	m.files["/var"] = strictmodes.Stat{Mode: fs.ModeDir | 0o755, Nlink: 3}
	m.files["/var/mail"] = strictmodes.Stat{Mode: fs.ModeDir | fs.ModeSetgid | 0o775, GID: 8, Nlink: 2}
	mail := strictmodes.Account{Name: "mail", UID: 8, Home: "/var/mail", Groups: []int{8}}
	var records []record.Record
	for r := range new(Job).Accounts(t.Context(), m, slices.Values([]strictmodes.Account{mail, pi}), true, strictmodes.All, strictmodes.All) {
		records = append(records, r)
	}
	if brief(records) != "done home-writable" || m.writes != 1 {
		t.Errorf("%d writes: %s", m.writes, text(records))
	}
}
