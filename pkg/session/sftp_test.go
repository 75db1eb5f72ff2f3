//go:build unix

package session_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

func toPi(t *testing.T, ctx context.Context, c sshtest.PiConfig) (*session.Client, *sshtest.Pi) {
	t.Helper()
	pi := sshtest.StartPi(t, c)
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.Password = password(pi.Password)
	client, _, err := session.Login(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, pi
}

func TestSFTP(t *testing.T) {
	client, pi := toPi(t, timeLimit(t, 10*time.Second), sshtest.PiConfig{})
	files, err := client.SFTP(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if home, err := files.RealPath("."); err != nil || home != pi.Home {
		t.Errorf("home %q %v, want %q", home, err, pi.Home)
	}
}

// A request that is never answered ends with its context.
func TestSFTPEndsWithItsContext(t *testing.T) {
	client, pi := toPi(t, timeLimit(t, 10*time.Second), sshtest.PiConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	files, err := client.SFTP(ctx)
	if err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(pi.Home, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, cancel)
	ended := make(chan error, 1)
	go func() {
		_, err := files.Open(fifo) // nobody writes
		ended <- err
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the fifo was opened")
		}
	case <-time.After(5 * time.Second):
		t.Error("it hangs")
	}
	if f, err := os.OpenFile(fifo, os.O_RDWR, 0); err == nil { // lets the server go
		f.Close()
	}
}

// A server that refuses the subsystem, and one whose program for it is missing.
func TestNoSFTP(t *testing.T) {
	for name, line := range map[string]string{
		"refused": "Subsystem other internal-sftp",
		"missing": "Subsystem sftp /nonexistent/sftp-server",
	} {
		server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{line}})
		user := sshtest.AddUser(t, sshtest.UserConfig{})
		cfg := config(server.Addr, trusts(server.Endpoint))
		cfg.User, cfg.Password = user.Name, password(user.Password)
		client, _, err := session.Login(timeLimit(t, 10*time.Second), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.SFTP(t.Context()); !errors.Is(err, session.ErrNoSFTP) {
			t.Errorf("%s: %v", name, err)
		}
		if out, _, _, err := client.Run(t.Context(), "echo alive"); err != nil || string(out) != "alive\n" {
			t.Errorf("%s: the connection is gone: %q %v", name, out, err)
		}
		client.Close()
	}
}

// A connection that is gone is not taken for a server without sftp.
func TestSFTPOnALostConnection(t *testing.T) {
	client, pi := toPi(t, timeLimit(t, 10*time.Second), sshtest.PiConfig{})
	pi.Close()
	if _, err := client.SFTP(t.Context()); err == nil || errors.Is(err, session.ErrNoSFTP) {
		t.Errorf("error %v", err)
	}
}
