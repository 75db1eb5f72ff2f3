package cmd_test

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"pi-key-tools/pkg/cause"
	"pi-key-tools/pkg/sshtest"
)

// What root has left in somebody's ~/.ssh, and what is closed to its owner, is
// named on this side, and each hint brings that a step on.
func TestClosedFiles(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh-keygen")
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	must(t, os.Chmod(binaries(t), 0o755)) // everybody may run them
	key := sshtest.NewKey(t, t.TempDir(), "ed25519")
	user.Authorize(t, key.Line)
	me := &traveller{t: t, home: user.Home, as: &syscall.Credential{Uid: uint32(user.UID), Gid: uint32(user.GID)}}
	private, err := os.ReadFile(key.File)
	must(t, err)
	file, known := me.file(".ssh/id_ed25519", string(private)), me.file(".ssh/known_hosts", server.KnownHosts())
	target := user.Name + "@" + server.Addr

	// The first hint gives it back, the second opens it.
	must(t, os.Chmod(file, 0))
	for _, paste := range []string{"sudo chown " + fmt.Sprint(user.UID) + " " + file + " && chmod u+r " + file, "chmod u+r " + file} {
		for _, args := range [][]string{nil, {target}} {
			must(t, os.Chown(known, user.UID, user.GID))
			records, stderr := me.run(1, "", "pikeycheck", args...)
			wantOutcomes(t, records, "fail key-unreadable")
			if !strings.Contains(stderr, "hint: "+paste+"\n") {
				t.Errorf("%q: %s", args, stderr)
			}
		}
		must(t, os.Chown(file, user.UID, user.GID))
	}
	must(t, os.Chmod(file, 0o600))

	for _, c := range []struct {
		uid       int
		mode      os.FileMode
		fix, hint string
	}{
		{0, 0o600, "fail known-hosts-unreadable", fmt.Sprintf("sudo chown %d %s", user.UID, known)},
		{user.UID, 0, "todo known-hosts-unreadable", "chmod u+r " + known},
	} {
		must(t, os.Chown(known, c.uid, c.uid))
		must(t, os.Chmod(known, c.mode))
		records, stderr := me.run(1, "", "pikeycheck", target)
		wantOutcomes(t, records, "fail known-hosts-unreadable")
		if !strings.Contains(stderr, "hint: "+c.hint+"\n") || strings.Count(stderr, known+": permission denied") != 1 {
			t.Errorf("uid %d: %s", c.uid, stderr)
		}
		records, _ = me.run(1, "", "pikeyfix", "-n")
		wantOutcomes(t, records, c.fix)
	}
	records, _ := me.run(0, "", "pikeyfix")
	wantOutcomes(t, records, "done known-hosts-unreadable")
	records, _ = me.run(0, "", "pikeycheck", target)
	wantOutcomes(t, records, "ok login")
}

// A home that is listed in fstab(5) and not mounted is not one without keys.
func TestNotMounted(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	dir := t.TempDir()
	fstab := filepath.Join(dir, "fstab")
	must(t, os.WriteFile(fstab, []byte("UUID=x "+user.Home+" ext4 defaults 0 2\n"), 0o644))
	sshd := sshtest.Command(t, "/", "sshd").Path
	program := filepath.Join(dir, "sshd")
	must(t, sshtest.WriteFile(program, []byte(fmt.Sprintf("#!/bin/sh\nexec unshare -m sh -c 'mount --bind %s /etc/fstab && exec %s \"$@\"' sh \"$@\"\n", fstab, sshd)), 0o755))
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: program})
	me := newTraveller(t, server.Endpoint)
	me.run(0, "", "pikeygen")
	args := []string{"--password-file", me.file("password", user.Password+"\n"), user.Name + "@" + server.Addr}
	records, _ := me.run(1, "", "pikeycheck", args...)
	wantOutcomes(t, records, "fail home-not-mounted")
	records, stderr := me.run(1, "", "pikeyfix", args...)
	wantOutcomes(t, records, "fail home-not-mounted")
	if !strings.Contains(stderr, "hint: there: sudo mount "+user.Home+"\n") {
		t.Error(stderr)
	}
}

// An sshd that does not start says why, and its log is read.
func TestServersThatDoNotStart(t *testing.T) {
	t.Parallel()
	key := sshtest.NewKey(t, t.TempDir(), "ed25519").File
	me := newTraveller(t, sshtest.Endpoint{})
	for _, c := range []struct {
		how, config string
		mode        os.FileMode
		text        string // of the key; "" for its own
		want, hint  string
	}{
		{"a line that it does not know", "PubkeyAuthentification no", 0o600, "", "fail server-config-bad", "sudo sshd -t names the line"},
		{"a value that it does not know", "PubkeyAuthentication maybe", 0o600, "", "fail server-config-bad", "sudo sshd -t names the line"},
		{"a line without a value", "AllowUsers", 0o600, "", "fail server-config-bad", "sudo sshd -t names the line"},
		{"a cipher that it does not know", "RSAAuthentication yes\nCiphers nonsense", 0o600, "", "fail server-config-bad", "sudo sshd -t names the line"},
		{"a host key that others may read", "", 0o644, "", "fail host-key-unusable; fail host-key-unusable", "sudo chmod 600 "},
		{"a host key of NULs", "", 0o600, strings.Repeat("\x00", 400), "fail host-key-unusable; fail host-key-unusable", "sudo rm on the file"},
		{"no host key", "", 0o600, "-", "fail host-key-unusable; fail host-key-unusable", "sudo ssh-keygen -A"},
	} {
		file := filepath.Join(t.TempDir(), "host_key")
		private, err := os.ReadFile(key)
		must(t, err)
		if c.text != "" {
			private = []byte(c.text)
		}
		must(t, os.WriteFile(file, private, c.mode))
		if c.text == "-" {
			must(t, os.Remove(file))
		}
		out, err := sshtest.Command(t, "/", "sshd", "-t", "-f", me.file("sshd_config", "HostKey "+file+"\n"+c.config+"\n")).CombinedOutput()
		if err == nil {
			t.Fatalf("%s: sshd would start", c.how)
		}
		records, stderr := me.run(1, string(out), "pikeyfix", "--log", "-")
		if got := strings.Join(outcomes(records), "; "); got != c.want || !strings.Contains(stderr, c.hint) {
			t.Errorf("%s: %s\n%s%s", c.how, out, records, stderr)
		}
	}
}

// A card that was copied is told by its host key, which another address has too.
func TestCopiedCard(t *testing.T) {
	t.Parallel()
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	copied, err := net.Listen("tcp", "127.0.0.2:0")
	must(t, err)
	t.Cleanup(func() { copied.Close() })
	go func() {
		for {
			near, err := copied.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server.Addr)
			if err != nil {
				near.Close()
				continue
			}
			go func() { io.Copy(far, near); far.Close() }()
			go func() { io.Copy(near, far); near.Close() }()
		}
	}()
	me := newTraveller(t, server.Endpoint)
	public, _ := me.run(0, "", "pikeygen")
	user.Authorize(t, strings.TrimSpace(public))
	_, hostKey, _ := strings.Cut(server.KnownHosts(), " ")
	_, port, _ := strings.Cut(copied.Addr().String(), ":")
	me.file(".ssh/known_hosts", server.KnownHosts()+"[127.0.0.2]:"+port+" "+hostKey)
	records, stderr := me.run(0, "", "pikeycheck", "-j", "1", user.Name+"@"+server.Addr, user.Name+"@"+copied.Addr().String())
	wantOutcomes(t, records, "ok login", "ok login")
	if !strings.Contains(stderr, ": host-key-shared: SHA256:") || !strings.Contains(stderr, "hint: ") {
		t.Error(stderr)
	}
}

// unshown are the words that no test of the programs shows with a real server,
// a real agent or real files, and why.
var unshown = map[string]string{
	"busy":              "takes 20 s; pkg/install/shell_linux_test.go has real files and a real writer",
	"host-key-unproven": "every sshd can sign with its keys; an in-process server cannot",
	"interrupted":       "cmd/resume_test.go has real signals, and in-process servers",
	"name-ambiguous":    "takes several machines that answer to multicast DNS",
	"penalised":         "needs OpenSSH 9.8; an in-process server says its words",
	"prompt-unknown":    "needs a PAM module that Debian does not install; an in-process server asks as it does",
}

// Every word that a record may have is shown by a test that runs the programs
// against a real server or agent, or on real files: by an outcome that it wants.
func TestEveryCauseIsShown(t *testing.T) {
	shown := shownCauses(t)
	for _, e := range cause.All() {
		switch reason := unshown[e.Word]; {
		case shown[e.Word] && reason != "":
			t.Errorf("%s is shown: take it from the exceptions", e.Word)
		case !shown[e.Word] && reason == "":
			t.Errorf("no test shows %s with a real server or real files", e.Word)
		}
	}
	if shown["no-such-cause"] || shown["penalised"] || !shown["home-writable"] {
		t.Error("what is shown is not found out")
	}
}

var (
	outcome = regexp.MustCompile(`\b(?:ok|done|todo|fail)(?: |\t|\\t)([a-z]+(?:-[a-z]+)*)\b|": ([a-z]+(?:-[a-z]+)*): `) // or a note
	real    = regexp.MustCompile(`sshtest\.(?:StartSSHD|StartDropbear|StartAgent)\(`)
)

// shownCauses are the words of outcomes in the tests of the programs, but those
// of Go files that start no real server or agent, and of what has a hostile one.
func shownCauses(t *testing.T) map[string]bool {
	t.Helper()
	shown := make(map[string]bool)
	for _, pattern := range []string{"*_test.go", "*/*_test.go", "testdata/script/*.txtar"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			must(t, err)
			if strings.HasSuffix(file, ".go") && !real.Match(text) {
				continue
			}
			for line := range strings.Lines(string(text)) {
				if strings.Contains(line, "hostile(") {
					continue
				}
				for _, m := range outcome.FindAllStringSubmatch(line, -1) {
					shown[cmp.Or(m[1], m[2])] = true
				}
			}
		}
	}
	return shown
}
