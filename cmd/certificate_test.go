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

// An authority is let in by the entry that pikeycopy writes, which is proven by
// a certificate that is here, and taken out again.
func TestAuthority(t *testing.T) {
	sshtest.Need(t, "sshd", "ssh-agent")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	key, ca := filepath.Join(me.home, ".ssh", "id_ed25519"), filepath.Join(me.home, "ca")
	me.run(0, "", "pikeygen")
	me.run(0, "", "pikeygen", "-f", ca)
	sign := func(args ...string) { me.run(0, "", "pikeygen", append(append([]string{"-s", ca, "-I", "me"}, args...), key)...) }
	password := me.file("password", user.Password+"\n")
	copyCA := func(status int, says string, args []string, want ...string) {
		t.Helper()
		args = append([]string{"--ca", "-i", ca, "--password-file", password}, args...)
		records, _ := me.run(status, "", "pikeycopy", append(args, user.Name+"@"+server.Addr)...)
		if wantOutcomes(t, records, want...); !strings.Contains(records, says) {
			t.Errorf("no %q in %s", says, records)
		}
	}
	admin := []string{"--principals", "admin,robot"}
	copyCA(0, "; not proven: no certificate of this authority is here", admin, "done key-added")
	sign("-n", user.Name)
	copyCA(0, "; not proven: the certificate "+key+" is for "+user.Name, admin, "ok key-present")
	sign("-n", "robot", "-V", "-2d:-1d")
	copyCA(0, "; not proven: seen: the certificate "+key+" expired on ", admin, "ok key-present")
	sign("-n", "robot", "-V", "+1d")
	copyCA(0, "on a fresh connection, by the certificate "+key, admin, "ok key-present", "ok login")
	if in, stderr := sshtest.SSH(t, server.Endpoint, user.Name, key); !in {
		t.Errorf("proven, and ssh says: %s", stderr)
	}
	sign("-n", user.Name, "-V", "+1d")
	copyCA(0, ", beside line 1, with cert-authority,principals=", nil, "done key-added", "ok login")

	// The other way: what proves it is in the agent alone.
	socket := sshtest.StartAgent(t)
	me.run(0, "", "pikeycheck", "-a", "-o", "IdentityAgent="+socket, key)
	for _, name := range []string{key, key + ".pub", key + "-cert.pub"} {
		if err := os.Rename(name, name+".aside"); err != nil {
			t.Fatal(err)
		}
	}
	inAgent := []string{"-o", "IdentityAgent=" + socket}
	copyCA(0, "by the certificate agent", inAgent, "ok key-present", "ok login")

	// It is not taken out by the login that it makes, and no plain key with it.
	target := user.Name + "@" + server.Addr
	remove := []string{"-r", "--ca", "-i", ca}
	records, _ := me.run(1, "", "pikeycopy", append(append(remove, inAgent...), target)...)
	wantOutcomes(t, records, "fail key-in-use")
	me.run(0, "", "pikeycopy", "-i", ca, "--password-file", password, target)
	records, _ = me.run(0, "", "pikeycopy", append(append(remove, "-i", ca), target)...)
	wantOutcomes(t, records, "done key-removed")
	records, _ = me.run(0, "", "pikeycopy", "-L", "-o", "IdentityFile="+ca, target)
	wantOutcomes(t, records, "ok entry")
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
