//go:build unix

package cmd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// What gpg-agent does as ssh-agent, and what it only says that it does.
func TestGPGAgent(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gpg-agent", "gpgconf"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip(err)
		}
	}
	me := newTraveller(t, sshtest.Endpoint{})
	// The path of a socket is short.
	dir, err := os.MkdirTemp("", "gpg")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	gpg := func(name string, args ...string) *exec.Cmd {
		cmd := sshtest.Command(t, me.home, name, args...)
		cmd.Env = append(cmd.Env, "GNUPGHOME="+dir)
		return cmd
	}
	// It wants a passphrase for each key that it is given, and takes none.
	pinentry := me.file("pinentry", `#!/bin/sh
echo OK
while read -r word rest; do
	[ "$word" != GETPIN ] || echo 'D '
	echo OK
	[ "$word" != BYE ] || exit
done
`)
	must(t, os.Chmod(pinentry, 0o700))
	must(t, gpg("gpg-agent", "--daemon", "--enable-ssh-support", "--pinentry-program", pinentry).Run()) // it keeps its output open
	t.Cleanup(func() {
		if out, err := gpg("gpgconf", "--kill", "gpg-agent").CombinedOutput(); err != nil {
			t.Errorf("gpgconf: %v: %s", err, out)
		}
	})
	key := sshtest.NewKey(t, me.home, "ed25519")
	agent := []string{"-o", "IdentityAgent=" + filepath.Join(dir, "S.gpg-agent.ssh")}
	for _, tt := range []struct {
		args   []string
		status int
		want   string
		says   string
	}{
		{[]string{"-l"}, 1, "fail agent-empty", ""},
		{[]string{"-a", key.File}, 0, "done agent-added", ""},
		{[]string{"-l"}, 0, "ok agent-key", ""},
		{nil, 0, "ok agent", ""},
		{[]string{"-a", "-t", "1h", key.File}, 0, "done agent-added", "whatever time it is given"},
		{[]string{"-x", "--passphrase-file", me.file("word", "word\n")}, 1, "fail agent-refused", "lists its keys"},
		{[]string{"-X", "--passphrase-file", me.file("word", "word\n")}, 1, "fail agent-refused", "was not locked"},
		{[]string{"-d", key.File}, 1, "fail agent-refused", "delete_key"},
		{[]string{"-D"}, 1, "fail agent-refused", "delete_key"},
	} {
		records, stderr := me.run(tt.status, "", "pikeycheck", append(tt.args, agent...)...)
		wantOutcomes(t, records, tt.want)
		if !strings.Contains(records+stderr, tt.says) {
			t.Errorf("%q does not say %q: %s%s", tt.args, tt.says, records, stderr)
		}
	}
}
