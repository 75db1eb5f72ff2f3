package authorizedkeys

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pi-key-tools/pkg/sshkey"
)

// sshd itself says which of the odd lines let their keys in.
func TestAgreesWithSSHD(t *testing.T) {
	t.Parallel()
	var file strings.Builder
	var keys []sshkey.Public
	for n, o := range oddLines {
		line, p := o.fill(n)
		file.WriteString(line + "\n")
		if p.Blob != nil { // RSA too short: ssh would not offer it
			keys = append(keys, p)
		}
	}
	taken := acceptedBySSHD(t, keys, file.String())
	for n, o := range oddLines {
		if _, p := o.fill(n); p.Blob != nil && taken[p.Fingerprint()] != (o.dead == "") {
			t.Errorf("%q: accepted by sshd: %v; we say dead: %q", o.line, o.dead != "", o.dead)
		}
	}
}

// acceptedBySSHD has ssh offer the keys one after the other to an sshd that
// reads these files, and returns the fingerprints of those that sshd accepts:
// it does, or does not, without the private halves that nobody has.
func acceptedBySSHD(t *testing.T, keys []sshkey.Public, files ...string) map[string]bool {
	t.Helper()
	sshd := lookPath(t, "sshd", "/usr/sbin/sshd")
	ssh := lookPath(t, "ssh", "")
	keygen := lookPath(t, "ssh-keygen", "")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hostKey := filepath.Join(dir, "hostkey")
	if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", hostKey).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	hostLine, err := os.ReadFile(hostKey + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for i, file := range files {
		paths = append(paths, write(fmt.Sprint("authorized_keys", i), file))
	}
	control, err := sshkey.ParsePublic(key(1 << 30))
	if err != nil {
		t.Fatal(err)
	}
	// Behind all the others, so that none takes it along.
	paths = append(paths, write("control", control.Line()+"\n"))
	keys = append(slices.Clone(keys), control)

	config := write("sshd_config", strings.Join([]string{
		"HostKey " + hostKey,
		"AuthorizedKeysFile " + strings.Join(paths, " "),
		"StrictModes no", "UsePAM no", "PermitRootLogin yes", "MaxAuthTries 1000",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "LogLevel DEBUG", "",
	}, "\n"))
	args := []string{
		"-F", "none", "-v", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "UserKnownHostsFile=" + write("known_hosts", "pi "+string(hostLine)), "-o", "StrictHostKeyChecking=yes",
		"-o", "HostKeyAlias=pi", "-p", serve(t, sshd, "-i", "-f", config, "-E", filepath.Join(dir, "log")),
	}
	taken := map[string]bool{}
	n := 0
	for batch := range slices.Chunk(keys, 50) { // ssh takes 100 at most
		offers := slices.Clone(args)
		for _, p := range batch {
			n++
			offers = append(offers, "-i", write(fmt.Sprint("key", n, ".pub"), p.Line()+"\n"))
		}
		cmd := exec.Command(ssh, append(offers, me.Username+"@127.0.0.1", "true")...)
		cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput() // the login itself must fail
		for line := range strings.Lines(string(out)) {
			if !strings.Contains(line, "Server accepts key") {
				continue
			}
			for word := range strings.FieldsSeq(line) {
				if strings.HasPrefix(word, "SHA256:") {
					taken[word] = true
				}
			}
		}
	}
	if !taken[control.Fingerprint()] {
		if os.Geteuid() == 0 {
			log, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Fatalf("sshd lets us in with no key at all:\n%s", log)
		}
		t.Skipf("sshd, run by %s, lets %[1]s in with no key at all", me.Username) // such as nobody
	}
	return taken
}

// serve listens on loopback, starts a program for each connection, as inetd
// does, and returns the port. sshd judges from= by a real address only.
func serve(t *testing.T, program string, args ...string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { l.Close(); running.Wait() })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			socket, err := conn.(*net.TCPConn).File()
			conn.Close()
			if err != nil {
				continue
			}
			cmd := exec.Command(program, args...)
			cmd.Stdin, cmd.Stdout = socket, socket
			_ = cmd.Run() // what it does is seen at the other end
			socket.Close()
		}
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// lookPath finds a peer program, or skips the test, or fails it when
// everything must be there.
func lookPath(t *testing.T, name, path string) string {
	t.Helper()
	if found, err := exec.LookPath(name); err == nil {
		return found
	}
	if _, err := os.Stat(path); err == nil {
		return path
	}
	if os.Getenv("PIKEY_TEST_REQUIRE") == "1" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}
