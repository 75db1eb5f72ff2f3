// Package sshtest provides what the toolkit is tested against: OpenSSH's own
// programs, a real sshd or dropbear on a port of its own with throw-away users,
// a pretend Raspberry Pi in this process, and servers that misbehave. Only
// tests and the demo import it. Everything it starts listens on 127.0.0.1 alone
// and is gone when the test ends; nothing of the developer's is read or
// changed.
package sshtest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// commandTimeout ends a program under test that hangs.
const commandTimeout = time.Minute

// Need skips the test if one of the programs is not installed. If
// PIKEY_TEST_REQUIRE is 1 the test fails instead, so that a machine meant to
// test everything cannot pass by lacking a program.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := lookPath(name); err != nil {
			lacks(t, "no "+name+" here")
		}
	}
}

// NeedRoot skips the test, or fails it as Need does, if we are not root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "only root can do this")
	}
}

func lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("PIKEY_TEST_REQUIRE") == "1" {
		t.Fatal(what + ", and PIKEY_TEST_REQUIRE is 1")
	}
	t.Skip(what)
}

// searchPath is our PATH and the directories of daemons, which a user's lacks.
func searchPath() string {
	path := os.Getenv("PATH")
	if runtime.GOOS != "windows" {
		path += ":/usr/local/sbin:/usr/sbin:/sbin"
	}
	return path
}

// lookPath returns the absolute path of a program, which sshd must be started
// by.
func lookPath(name string) (string, error) {
	for _, dir := range filepath.SplitList(searchPath()) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("finding %s: %w", name, exec.ErrNotFound)
}

// Env returns the environment of a program under test: home for HOME, a PATH,
// the C locale, then more. It has no agent, askpass or display unless more adds
// one.
func Env(home string, more ...string) []string {
	env := []string{"HOME=" + home, "PATH=" + searchPath(), "LC_ALL=C"}
	if runtime.GOOS == "windows" {
		env = append(env, "SystemRoot="+os.Getenv("SystemRoot"))
	}
	return append(env, more...)
}

// Command prepares a program with Env(home), in a process group of its own that
// is killed after a minute, or when the test ends. It needs the program, as by
// Need.
func Command(t testing.TB, home, name string, args ...string) *exec.Cmd {
	t.Helper()
	Need(t, name)
	path, err := lookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = Env(home)
	ownGroup(cmd)
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, os.Kill) }
	cmd.WaitDelay = time.Second
	return cmd
}

// Keygen runs ssh-keygen and returns what it printed on its standard output.
func Keygen(t testing.TB, args ...string) string {
	t.Helper()
	cmd := Command(t, t.TempDir(), "ssh-keygen", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s%s", args, err, out, said.Bytes())
	}
	return string(out)
}

// KeygenPair has ssh-keygen make a pair with the comment "the comment", and without a
// passphrase unless args have -N.
func KeygenPair(t testing.TB, path string, args ...string) {
	t.Helper()
	if !slices.Contains(args, "-N") {
		args = append(args, "-N", "")
	}
	Keygen(t, append([]string{"-q", "-C", "the comment", "-f", path}, args...)...)
}

// An Endpoint says where a server listens, and how it proves its identity.
type Endpoint struct {
	Addr     string // "127.0.0.1:40022"
	Port     int
	HostKeys []ssh.PublicKey
}

func newEndpoint(addr net.Addr, keys ...ssh.PublicKey) Endpoint {
	return Endpoint{addr.String(), addr.(*net.TCPAddr).Port, keys}
}

// KnownHosts returns the server's host keys as lines of a known_hosts file,
// each ended by a newline.
func (e Endpoint) KnownHosts() string {
	host, port, _ := net.SplitHostPort(e.Addr)
	var b strings.Builder
	for _, k := range e.HostKeys {
		fmt.Fprintf(&b, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(k))
	}
	return b.String()
}

// KnownHostsFile writes KnownHosts to a new file and returns its path.
func (e Endpoint) KnownHostsFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "known_hosts")
	write(t, path, e.KnownHosts(), 0o600)
	return path
}

// SSHArgs returns the arguments that make ssh, scp or sftp read no file of the
// developer's, never ask, and know the server's host keys. The port is among
// them, as an -o option; the user and the host are not.
func (e Endpoint) SSHArgs(t testing.TB) []string {
	t.Helper()
	return []string{
		"-F", "none",
		"-o", "Port=" + strconv.Itoa(e.Port),
		"-o", "UserKnownHostsFile=" + e.KnownHostsFile(t),
		"-o", "GlobalKnownHostsFile=" + os.DevNull,
		"-o", "StrictHostKeyChecking=yes",
		"-o", "UpdateHostKeys=no",
		"-o", "IdentitiesOnly=yes",
		"-o", "ConnectTimeout=10",
	}
}

// SSH asks OpenSSH's ssh, as the judge: can user log in to the server with this
// private key file alone? more has options of ssh, such as "-v", and precedes
// ours, since ssh takes the first value. ok says that true(1) ran there; stderr
// is what ssh printed.
func SSH(t testing.TB, server Endpoint, user, keyFile string, more ...string) (ok bool, stderr string) {
	t.Helper()
	args := append(more, server.SSHArgs(t)...)
	args = append(args, "-o", "BatchMode=yes", "-i", keyFile, "-l", user, "127.0.0.1", "true")
	cmd := Command(t, t.TempDir(), "ssh", args...)
	var out bytes.Buffer
	cmd.Stderr = &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("running ssh: %v", err)
	}
	return err == nil, out.String()
}

// A Key is a user's key pair.
type Key struct {
	File   string // of the private half; the public half is in File.pub
	Line   string // "type base64 comment", without a newline
	Signer ssh.Signer
}

// NewKey makes a pair of keytype ed25519, ecdsa or rsa, in the files id_TYPE
// and id_TYPE.pub of an existing directory.
func NewKey(t testing.TB, dir, keytype string) Key {
	t.Helper()
	k, err := writeKey(filepath.Join(dir, "id_"+keytype), keytype, "test@"+keytype)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// writeKey makes a pair and writes it to path and path.pub.
func writeKey(path, keytype, comment string) (Key, error) {
	private, err := generate(keytype)
	if err != nil {
		return Key{}, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return Key{}, err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return Key{}, err
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(signer.PublicKey())), "\n") + " " + comment
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return Key{}, err
	}
	if err := os.WriteFile(path+".pub", []byte(line+"\n"), 0o644); err != nil {
		return Key{}, err
	}
	return Key{path, line, signer}, nil
}

// generate makes a private key. RSA has 2048 bits, the least in use, for speed.
func generate(keytype string) (crypto.PrivateKey, error) {
	switch keytype {
	case "ed25519":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case "ecdsa":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "rsa":
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, fmt.Errorf("making a key: type %q is not ed25519, ecdsa or rsa", keytype)
}

func write(t testing.TB, path, data string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
}

// tempDir makes a directory that every user may pass, under a short path: TempDir
// of testing is closed to others, and long for the name of a socket.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
