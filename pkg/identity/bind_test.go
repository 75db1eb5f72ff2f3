package identity_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshtest"
)

// bound is a binding to a session with a server.
func bound(t *testing.T, server sshtest.Key) identity.Binding {
	t.Helper()
	session := []byte("a session")
	signature, err := server.Signer.Sign(rand.Reader, session)
	if err != nil {
		t.Fatal(err)
	}
	return identity.Binding{HostKey: server.Signer.PublicKey().Marshal(), SessionID: session, Signature: ssh.Marshal(signature)}
}

// An agent that holds a key for one destination, another for all, and OpenSSH's
// own judgement of both.
func TestRestricted(t *testing.T) {
	t.Parallel()
	here, there := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ecdsa")
	known := filepath.Join(t.TempDir(), "known_hosts")
	if err := os.WriteFile(known, []byte("here "+here.Line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	socket := sshtest.StartAgent(t)
	sshtest.AddToAgent(t, socket, sshtest.NewKey(t, t.TempDir(), "ed25519").File, "-h", "here", "-H", known)
	sshtest.AddToAgent(t, socket, sshtest.NewKey(t, t.TempDir(), "ed25519").File)
	a := dial(t, t.Context(), socket)
	keys, err := a.Keys(t.Context())
	if err != nil || len(keys) != 2 {
		t.Fatalf("a connection that is not bound sees %v, %v", keys, err)
	}
	restricted, free := keys[0], keys[1]
	if err := a.TestSign(t.Context(), restricted); !errors.Is(err, identity.ErrRestricted) || !errors.Is(err, identity.ErrAgentRefused) {
		t.Errorf("a challenge is signed by a restricted key: %v", err)
	}
	if err := a.TestSign(t.Context(), free); err != nil {
		t.Error(err)
	}
	forged := bound(t, here)
	forged.SessionID = []byte("another session")
	for name, to := range map[string]identity.Binding{"here": bound(t, here), "there": bound(t, there), "forged": forged, "none": {}} {
		// Only signatures of a login are made with a restricted key. Older
		// agents go on listing them where a binding has failed.
		s, err := a.BoundSigner(t.Context(), restricted, to)
		if hidden := errors.Is(err, identity.ErrRestricted); name == "here" && hidden || name == "there" && !hidden {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			_, err = s.Sign(rand.Reader, []byte("x"))
		}
		if !errors.Is(err, identity.ErrAgentRefused) {
			t.Errorf("%s: %v", name, err)
		}
		s, err = a.BoundSigner(t.Context(), free, to)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := signs(s, free); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	// A key that is gone is not kept for others.
	if err := a.Remove(t.Context(), restricted); err != nil {
		t.Fatal(err)
	}
	s, err := a.BoundSigner(t.Context(), restricted, bound(t, there))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(rand.Reader, []byte("x")); !errors.Is(err, identity.ErrAgentRefused) || errors.Is(err, identity.ErrRestricted) {
		t.Errorf("a key that is gone: %v", err)
	}
}

// Agents that do not know of bindings sign as ever. One that no longer answers
// holds nobody up.
func TestBoundSignerOfOtherAgents(t *testing.T) {
	t.Parallel()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	to := bound(t, sshtest.NewKey(t, t.TempDir(), "ed25519"))
	a := dial(t, t.Context(), serve(t, func(c net.Conn) { agent.ServeAgent(keyring, c) }))
	keys, err := a.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s, err := a.BoundSigner(t.Context(), keys[0], to)
	if err != nil {
		t.Fatal(err)
	}
	if err := signs(s, keys[0]); err != nil {
		t.Error(err)
	}

	closed := make(chan struct{})
	silent := dial(t, t.Context(), serve(t, func(c net.Conn) {
		io.Copy(io.Discard, c)
		closed <- struct{}{}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := silent.BoundSigner(ctx, keys[0], to); !errors.Is(err, identity.ErrAgentRefused) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an agent that does not answer: %v", err)
	}
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("the connection to it stays")
	}
	silent.Close()
	<-closed
}
