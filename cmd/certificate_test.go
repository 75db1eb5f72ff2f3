//go:build unix

package cmd_test

import (
	"os"
	"path/filepath"
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
