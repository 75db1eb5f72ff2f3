package sshtest

import (
	"net"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// StartAgent starts OpenSSH's ssh-agent, empty, and returns the path of its
// socket, for SSH_AUTH_SOCK or IdentityAgent. The test ends it.
func StartAgent(t testing.TB) (socket string) {
	t.Helper()
	Need(t, "ssh-agent")
	path, err := lookPath("ssh-agent")
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(tempDir(t), "agent")
	cmd := exec.Command(path, "-D", "-a", socket)
	cmd.Env = Env(t.TempDir())
	p := startProcess(t, cmd)
	for deadline := time.Now().Add(10 * time.Second); !p.ended() && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("unix", socket); err == nil {
			conn.Close()
			return socket
		}
	}
	t.Fatal("ssh-agent does not start")
	return ""
}

// AddToAgent adds a private key file without a passphrase, using ssh-add. more
// has options of ssh-add, such as "-c".
func AddToAgent(t testing.TB, socket, keyFile string, more ...string) {
	t.Helper()
	cmd := Command(t, t.TempDir(), "ssh-add", append(more, "-q", keyFile)...)
	cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
}
