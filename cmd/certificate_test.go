//go:build unix

package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// Certificates against a real sshd: one logs in, whether it is beside its key,
// named, or in the agent; what is wrong with one is named.
func TestCertificates(t *testing.T) {
	sshtest.Need(t, "sshd", "ssh-keygen", "ssh-agent")
	ca := sshtest.NewKey(t, t.TempDir(), "ed25519")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"TrustedUserCAKeys " + publicFile(t, ca)}})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	target := user.Name + "@" + server.Addr
	for _, keytype := range []string{"ed25519", "rsa"} {
		t.Run(keytype, func(t *testing.T) {
			me := newTraveller(t, server.Endpoint)
			key := filepath.Join(me.home, ".ssh", "id_"+keytype)
			me.run(0, "", "pikeygen", "-t", keytype, "-f", key)
			sign := func(args ...string) {
				t.Helper()
				args = append([]string{"-q", "-s", ca.File, "-I", "me"}, append(args, key+".pub")...)
				if out, err := sshtest.Command(t, me.home, "ssh-keygen", args...).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			check := func(status int, want string, args ...string) {
				t.Helper()
				records, _ := me.run(status, "", "pikeycheck", append(args, target)...)
				wantOutcomes(t, records, want)
			}
			check(1, "fail key-refused")
			sign("-n", user.Name)
			check(0, "ok login")
			sign("-n", user.Name, "-V", "-2d:-1d")
			check(1, "fail cert-expired")
			sign("-n", user.Name, "-V", "+1d:+2d")
			check(1, "fail cert-not-yet")
			sign("-n", "somebody,nobody")
			check(1, "fail cert-principal")

			sign("-n", user.Name)
			elsewhere := filepath.Join(me.home, "elsewhere")
			if err := os.Rename(key+"-cert.pub", elsewhere); err != nil {
				t.Fatal(err)
			}
			check(1, "fail key-refused")
			check(0, "ok login", "-o", "CertificateFile="+elsewhere)
			socket := sshtest.StartAgent(t)
			me.run(0, "", "pikeycheck", "-a", "-o", "IdentityAgent="+socket, key)
			if err := os.Rename(key, key+".aside"); err != nil {
				t.Fatal(err)
			}
			check(0, "ok login", "-o", "CertificateFile="+elsewhere, "-o", "IdentityAgent="+socket)
		})
	}
}

// What we sign, sshd takes and refuses as it does what ssh-keygen signs. It is
// asked by OpenSSH's ssh.
func TestCertificatesLikeSSHKeygens(t *testing.T) {
	sshtest.Need(t, "sshd", "ssh", "ssh-keygen")
	dir := t.TempDir()
	trusted := sshtest.NewKey(t, dir, "rsa") // by TrustedUserCAKeys
	entry, other := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ecdsa")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"TrustedUserCAKeys " + trusted.File + ".pub"}})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	user.Authorize(t, `cert-authority,principals="admin,robot" `+entry.Line)
	for _, c := range []struct {
		ca   sshtest.Key
		args string
		in   bool
	}{
		{trusted, "-n " + user.Name, true},
		{trusted, "-n admin", false},
		{trusted, "-n admin," + user.Name + " -V -1h:+1h -O clear -O force-command=true", true},
		{trusted, "-n " + user.Name + " -V -2d:-1d", false},
		{trusted, "-n " + user.Name + " -V +1d:+2d", false},
		{trusted, "-n " + user.Name + " -O source-address=127.0.0.0/8", true},
		{trusted, "-n " + user.Name + " -O source-address=10.0.0.0/8", false},
		{trusted, "-n " + user.Name + " -O critical:x@example.com", false},
		{trusted, "-n " + user.Name + " -O extension:x@example.com=y", true},
		{entry, "-n robot", true},
		{entry, "-n " + user.Name, false},
		{entry, "-n admin -V always:20200101", false},
		{entry, "-n admin -O source-address=10.0.0.0/8,127.0.0.1", true},
		{other, "-n admin,robot," + user.Name, false},
	} {
		args := append([]string{"-q", "-s", c.ca.File, "-I", "id"}, strings.Fields(c.args)...)
		theirs, ours := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ed25519")
		if out, err := sshtest.Command(t, dir, "ssh-keygen", append(args, theirs.File+".pub")...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c.args, err, out)
		}
		run(t, filepath.Join(binaries(t), "pikeygen"), append(args, ours.File+".pub")...)
		for _, key := range []string{theirs.File, ours.File} {
			if in, stderr := sshtest.SSH(t, server.Endpoint, user.Name, key, "-o", "CertificateFile="+key+"-cert.pub"); in != c.in {
				t.Errorf("%s, signed by ssh-keygen: %v; in: %v, want %v: %s", c.args, key == theirs.File, in, c.in, stderr)
			}
		}
	}
}

// publicFile writes the public half beside the private one, for those who look
// there.
func publicFile(t *testing.T, k sshtest.Key) string {
	t.Helper()
	path := k.File + ".pub"
	if err := os.WriteFile(path, []byte(k.Line+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
