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
	t.Parallel()
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
				sshtest.Keygen(t, args...)
			}
			check := func(status int, want string, args ...string) {
				t.Helper()
				records, _ := me.run(status, "", "pikeycheck", append(args, target)...)
				wantOutcomes(t, records, want)
			}
			check(1, "fail key-refused")
			sign("-n", user.Name)
			names := func(says string, args ...string) { // what let us in, and not its key
				t.Helper()
				if records, _ := me.run(0, "", "pikeycheck", append(args, target)...); !strings.Contains(records, says) {
					t.Errorf("no %q in %s", says, records)
				}
			}
			names("-CERT " + key + "-cert.pub, OpenSSH")
			sign("-n", user.Name, "-V", "-2d:-1d")
			check(1, "fail cert-expired")
			sign("-n", user.Name, "-V", "+1d:+2d")
			check(1, "fail cert-not-yet")
			sign("-n", "somebody,nobody")
			check(1, "fail cert-principal")

			sign("-n", user.Name)
			forced, elsewhere := filepath.Join(me.home, "forced"), filepath.Join(me.home, "elsewhere")
			if err := os.Rename(key+"-cert.pub", elsewhere); err != nil {
				t.Fatal(err)
			}
			check(1, "fail key-refused")
			check(0, "ok login", "-o", "CertificateFile="+elsewhere)
			for command, says := range map[string]string{"echo no": "said: no", "true": "nothing, with status 0", "exit 3": "nothing, with status 3"} {
				sign("-n", user.Name, "-O", "force-command="+command)
				must(t, os.Rename(key+"-cert.pub", forced))
				records, _ := me.run(1, "", "pikeycheck", "--shell", "-o", "CertificateFile="+forced, target)
				wantOutcomes(t, records, "ok login", "fail command-forced")
				if !strings.Contains(records, "force-command="+command+" of the certificate "+forced) || !strings.Contains(records, says) {
					t.Errorf("force-command=%s: %s", command, records)
				}
			}
			socket := sshtest.StartAgent(t)
			must(t, os.Link(elsewhere, key+"-cert.pub"))
			me.run(0, "", "pikeycheck", "-a", "-o", "IdentityAgent="+socket, key)
			names("-CERT "+key+"-cert.pub (agent), OpenSSH", "-o", "IdentityAgent="+socket)
			if err := os.Rename(key, key+".aside"); err != nil {
				t.Fatal(err)
			}
			me.run(0, "", "pikeycheck", "-D", "-o", "IdentityAgent="+socket)
			sshtest.AddToAgent(t, socket, key+".aside") // without a certificate, for which it is to sign all the same
			names("-CERT "+key+"-cert.pub, OpenSSH", "-o", "IdentityAgent="+socket)
			must(t, os.Remove(key+"-cert.pub"))
			check(0, "ok login", "-o", "CertificateFile="+elsewhere, "-o", "IdentityAgent="+socket)
		})
	}
}

// What we sign, sshd takes and refuses as it does what ssh-keygen signs. It is
// asked by OpenSSH's ssh.
func TestCertificatesLikeSSHKeygens(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "sshd", "ssh", "ssh-keygen")
	dir := t.TempDir()
	trusted := sshtest.NewKey(t, dir, "rsa") // by TrustedUserCAKeys
	entry, second, other := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ecdsa"), sshtest.NewKey(t, t.TempDir(), "ed25519")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"TrustedUserCAKeys " + trusted.File + ".pub"}})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	user.Authorize(t, `cert-authority,principals="admin,robot" `+entry.Line, "cert-authority,no-pty "+second.Line)
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
		{second, "-n " + user.Name, true},
		{second, "-n robot", false},
		{other, "-n admin,robot," + user.Name, false},
	} {
		args := append([]string{"-q", "-s", c.ca.File, "-I", "id"}, strings.Fields(c.args)...)
		theirs, ours := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ed25519")
		sshtest.Keygen(t, append(args, theirs.File+".pub")...)
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
	t.Parallel()
	sshtest.Need(t, "sshd", "ssh-agent")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	key, ca := filepath.Join(me.home, ".ssh", "id_ed25519"), filepath.Join(me.home, "ca")
	me.run(0, "", "pikeygen")
	me.run(0, "", "pikeygen", "-f", ca)
	sign := func(args ...string) {
		me.run(0, "", "pikeygen", append(append([]string{"-s", ca, "-I", "me"}, args...), key)...)
	}
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
	copyCA(0, "; not proven: the certificate "+key+"-cert.pub is for "+user.Name, admin, "ok key-present")
	sign("-n", "robot", "-V", "-2d:-1d")
	copyCA(0, "; not proven: seen: the certificate "+key+"-cert.pub expired on ", admin, "ok key-present")
	sign("-n", "robot", "-V", "+1d")
	copyCA(0, "on a fresh connection, by the certificate "+key+"-cert.pub", admin, "ok key-present", "ok login")
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

// What is wrong with a certificate shows here, without a target.
func TestCertificatesHere(t *testing.T) {
	sshtest.Need(t, "ssh-keygen", "ssh-agent")
	me := newTraveller(t, sshtest.Endpoint{})
	key := filepath.Join(me.home, ".ssh", "id_ed25519")
	me.run(0, "", "pikeygen")
	ca, other := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ed25519")
	here := func(status int, says string, args []string, want ...string) {
		t.Helper()
		records, _ := me.run(status, "", "pikeycheck", args...)
		if wantOutcomes(t, records, want...); !strings.Contains(records, says) {
			t.Errorf("no %q in %s", says, records)
		}
	}
	sign := func(file string, args ...string) {
		t.Helper()
		args = append([]string{"-q", "-s", ca.File, "-I", "me"}, append(args, file+".pub")...)
		sshtest.Keygen(t, args...)
	}
	sign(key, "-n", "pi,admin")
	here(0, "ED25519-CERT "+key+"-cert.pub, id me for pi, admin, valid forever, signed by SHA256:", nil, "ok key", "ok cert")
	sign(key)
	here(0, "for nobody, and before OpenSSH 10.3 anybody", nil, "ok key", "ok cert")
	sign(key, "-n", "pi", "-V", "-2d:-1d")
	here(1, " expired on ", nil, "ok key", "fail cert-expired")
	sign(key, "-n", "pi", "-V", "+1d:+2d")
	here(1, "by the clock of this machine", nil, "ok key", "fail cert-not-yet")
	sign(key, "-h", "-n", "pi")
	here(1, "a host certificate", nil, "ok key", "fail cert-refused")
	sign(other.File, "-n", "pi")
	named := []string{"-o", "CertificateFile=" + other.File + "-cert.pub"}
	here(1, "not here", named, "ok key", "fail key-missing")
	if err := os.Rename(other.File+"-cert.pub", key+"-cert.pub"); err != nil {
		t.Fatal(err)
	}
	here(1, "it certifies SHA256:", nil, "ok key", "fail key-pair-mismatch")
	here(1, "does not exist", named, "ok key", "fail key-pair-mismatch", "fail key-missing")

	// One in the agent is no better for that.
	sign(key, "-n", "pi", "-V", "-2d:-1d")
	socket := sshtest.StartAgent(t)
	me.run(0, "", "pikeycheck", "-a", "-o", "IdentityAgent="+socket, key)
	here(1, "", []string{"-o", "IdentityAgent=" + socket}, "ok key", "fail cert-expired", "ok agent", "ok agent")
}

// dropbear accepts no certificates, and none is promised.
func TestCertificatesAndDropbear(t *testing.T) {
	server := sshtest.StartDropbear(t)
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	other := sshtest.NewKey(t, t.TempDir(), "ed25519")
	file := user.Authorize(t, other.Line)
	me.run(0, "", "pikeygen", "-f", filepath.Join(me.home, "ca"))
	me.run(0, "", "pikeygen")
	me.run(0, "", "pikeygen", "-s", filepath.Join(me.home, "ca"), "-I", "me", "-n", user.Name, filepath.Join(me.home, ".ssh", "id_ed25519"))
	target := user.Name + "@" + server.Addr
	records, _ := me.run(1, "", "pikeycopy", "--ca", "-i", filepath.Join(me.home, "ca"), "-o", "IdentityFile="+other.File, target)
	wantOutcomes(t, records, "fail cert-refused")
	if data, err := os.ReadFile(file); err != nil || strings.Contains(string(data), "cert-authority") {
		t.Errorf("it was added all the same: %s, %v", data, err)
	}
	records, _ = me.run(1, "", "pikeycheck", "--inside-key", other.File, target)
	wantOutcomes(t, records, "fail cert-refused", "fail key-not-installed")
}

// writeFile writes a file that others may read, and returns its path.
func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicFile writes the public half beside the private one, for those who look
// there.
func publicFile(t *testing.T, k sshtest.Key) string {
	t.Helper()
	return writeFile(t, k.File+".pub", k.Line+"\n")
}
