//go:build unix

package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// What a key may do once it is in, by real servers.
func TestAfterLogin(t *testing.T) {
	// Debian's, which the login shell starts; StartSSHD has the one inside sshd.
	const program = "Subsystem sftp /usr/lib/openssh/sftp-server"
	for name, tt := range map[string]struct {
		config  []string
		user    sshtest.UserConfig
		options string // of the key
		bashrc  string
		want    []string
		hint    string // with USER
	}{
		"everything": {want: []string{"ok login", "ok shell", "ok sftp"}},
		"sftp alone": {config: []string{"ForceCommand internal-sftp"}, want: []string{"ok login", "fail command-forced", "ok sftp"}},
		"one command": {options: `command="uptime" `, want: []string{"ok login", "fail command-forced", "fail no-sftp"},
			hint: "there: sudo sshd -T -C user=USER | grep -i -e forcecommand; sudo grep -n command= ~USER/.ssh/authorized_keys"},
		"one that is silent":    {options: `command="true" `, want: []string{"ok login", "fail no-shell", "fail no-sftp"}, hint: "check the login shell there: getent passwd USER"},
		"no shell":              {config: []string{program}, user: sshtest.UserConfig{Shell: "/usr/sbin/nologin"}, want: []string{"ok login", "fail no-shell", "fail no-sftp"}, hint: "there: sudo chsh -s /bin/sh USER"},
		"a shell that is false": {user: sshtest.UserConfig{Shell: "/bin/false"}, want: []string{"ok login", "fail no-shell", "ok sftp"}},
		"no sftp":               {config: []string{"Subsystem sftp /nosuch"}, want: []string{"ok login", "ok shell", "fail no-sftp"}},
		"a greeting": {config: []string{program}, user: sshtest.UserConfig{Shell: "/bin/bash"}, bashrc: "echo Welcome to this machine\n", want: []string{"ok login", "ok shell", "fail no-sftp"},
			hint: "~/.bashrc, must print nothing unless"},
		"fish":       {user: sshtest.UserConfig{Shell: "/usr/bin/fish"}, want: []string{"ok login", "ok shell", "ok sftp"}},
		"no session": {config: []string{"MaxSessions 0"}, want: []string{"ok login", "fail no-shell", "fail no-sftp"}, hint: "MaxSessions in sshd_config there"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: tt.config})
			user := sshtest.AddUser(t, tt.user)
			if err := os.WriteFile(filepath.Join(user.Home, ".bashrc"), []byte(tt.bashrc), 0o644); err != nil {
				t.Fatal(err)
			}
			me := newTraveller(t, server.Endpoint)
			public, _ := me.run(0, "", "pikeygen")
			user.Authorize(t, tt.options+strings.TrimSpace(public))
			status := 0
			if strings.Contains(strings.Join(tt.want, ""), "fail") {
				status = 1
			}
			records, stderr := me.run(status, "", "pikeycheck", "--shell", "--sftp", user.Name+"@"+server.Addr)
			wantOutcomes(t, records, tt.want...)
			if hint := strings.ReplaceAll(tt.hint, "USER", user.Name); !strings.Contains(stderr, hint) {
				t.Errorf("no %q in %s", hint, stderr)
			}
		})
	}
}
