//go:build unix

package identity_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshtest"
)

// Only an agent of ours that answers is found, and one with keys first.
func TestFindAgents(t *testing.T) {
	empty, full := sshtest.StartAgent(t), sshtest.StartAgent(t)
	sshtest.AddToAgent(t, full, sshtest.NewKey(t, t.TempDir(), "ed25519").File)
	home := t.TempDir()
	run := filepath.Dir(socketPath(t)) // short enough
	link := func(socket, as string) string {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(as), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(socket, as); err != nil { // a socket that leads to the same agent
			t.Skip(err)
		}
		return as
	}
	first := link(empty, filepath.Join(run, "ssh-agent.socket"))
	second := link(full, filepath.Join(run, "gcr/ssh"))
	// Nobody listens any more; nobody answers; no socket.
	gone, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(run, "openssh_agent")})
	if err != nil {
		t.Fatal(err)
	}
	gone.SetUnlinkOnClose(false)
	gone.Close()
	if err := os.MkdirAll(filepath.Join(run, "keyring"), 0o700); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("unix", filepath.Join(run, "keyring/ssh"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for i := range 20 { // they are waited for together
		folder := filepath.Join(home, fmt.Sprintf("ssh-%d", i))
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		link(filepath.Join(run, "keyring/ssh"), filepath.Join(folder, "agent.1"))
	}
	if err := os.MkdirAll(filepath.Join(run, "gnupg/S.gpg-agent.ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	getenv := func(name string) string {
		return map[string]string{"XDG_RUNTIME_DIR": run, "TMPDIR": home}[name]
	}
	found := func(except string) []identity.FoundAgent {
		return identity.FindAgents(t.Context(), home, getenv, except)
	}
	began := time.Now()
	if got, want := found(""), []identity.FoundAgent{{Socket: second, Keys: 1}, {Socket: first}}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	if took := time.Since(began); took > 3*time.Second { // 300 ms; one after the other: 6 s
		t.Errorf("it took %v", took)
	}
	if got, want := found(second), []identity.FoundAgent{{Socket: first}}; !slices.Equal(got, want) {
		t.Errorf("without the one that is known: %v, want %v", got, want)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(second, 65534, -1); err != nil {
			t.Fatal(err)
		}
		if got, want := found(""), []identity.FoundAgent{{Socket: first}}; !slices.Equal(got, want) {
			t.Errorf("another user's was talked to: %v, want %v", got, want)
		}
	}
}
