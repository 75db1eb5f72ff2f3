package cmd_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// What may end a login by key that works is told by -v, and by nothing else.
func TestFragile(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "dropbear", "ssh-keygen")
	ca := sshtest.NewKey(t, t.TempDir(), "ed25519")
	sshd := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"TrustedUserCAKeys " + publicFile(t, ca)}})
	dropbear, pam := sshtest.StartDropbear(t), sshtest.StartSSHD(t, sshtest.SSHDConfig{UsePAM: true})
	configOf(t, sshd)
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	for _, tt := range []struct {
		name    string
		server  *sshtest.Daemon
		options string // before the key
		home    os.FileMode
		cert    bool
		want    []string
	}{
		{"nothing", sshd, "", 0o755, false, nil},
		{"an end", sshd, `expiry-time="20400101" `, 0o755, false, []string{`authorized_keys:1 has expiry-time="20400101"`}},
		{"an address and an open home", sshd, `from="127.0.0.1" `, 0o775, false, []string{`authorized_keys:1 has from="127.0.0.1"`, "only Debian's sshd accepts " + user.Home}},
		{"a certificate", sshd, "", 0o755, true, []string{"the certificate expires on "}},
		{"dropbear", dropbear, "", 0o755, false, nil},
		{"an expired password", pam, "", 0o755, false, []string{"the password has expired, and the server runs nothing until it is changed: ssh "}},
	} {
		me := newTraveller(t, tt.server.Endpoint)
		public, _ := me.run(0, "", "pikeygen")
		public = strings.TrimSpace(public)
		user.Authorize(t, tt.options+public)
		if tt.cert {
			user.Authorize(t, "# none")
			file := me.home + "/.ssh/id_ed25519.pub"
			sshtest.Keygen(t, "-q", "-s", ca.File, "-I", "me", "-n", user.Name, "-V", "+1h", file)
		}
		must(t, os.Chmod(user.Home, tt.home))
		if tt.server == pam {
			if out, err := sshtest.Command(t, "/", "chage", "-d", "0", user.Name).CombinedOutput(); err != nil {
				t.Fatalf("chage: %v: %s", err, out)
			}
		}
		target := user.Name + "@" + tt.server.Addr
		records, quiet := me.run(0, "", "pikeycheck", target)
		if strings.Contains(records, "; the server says: You are required to change your password") != (tt.server == pam) {
			t.Errorf("%s: %s", tt.name, records)
		}
		_, stderr := me.run(0, "", "pikeycheck", "-v", target)
		var notes []string
		for line := range strings.Lines(stderr) {
			if _, note, ok := strings.Cut(line, "fragile: "); ok {
				notes = append(notes, note)
			}
		}
		want := append([]string{"it takes passwords too"}, tt.want...)
		if !slices.EqualFunc(notes, want, strings.Contains) || strings.Contains(quiet, "fragile") {
			t.Errorf("%s: %q, want %q; without -v: %q", tt.name, notes, want, quiet)
		}
	}
}
