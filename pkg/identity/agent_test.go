package identity_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

func dial(t *testing.T, ctx context.Context, socket string) *identity.Agent {
	t.Helper()
	a, err := identity.DialAgent(ctx, socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// socketPath is short enough for a socket's name everywhere.
func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "agent")
}

// serve has an agent of this process, or whatever handle is, answer at the
// socket that it returns.
func serve(t *testing.T, handle func(net.Conn)) (socket string) {
	t.Helper()
	socket = socketPath(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Skip(err)
	}
	var conns sync.WaitGroup
	done := make(chan struct{})
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(contextOf(done), func() { c.Close() })
				defer stop()
				handle(c)
			})
		}
	})
	t.Cleanup(func() { close(done); l.Close(); conns.Wait() })
	return socket
}

// contextOf returns a context that ends with done.
func contextOf(done <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { <-done; cancel() }()
	return ctx
}

func TestAgent(t *testing.T) {
	t.Parallel()
	socket := sshtest.StartAgent(t)
	a := dial(t, t.Context(), socket)
	if keys, err := a.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Fatalf("an empty agent has %v, %v", keys, err)
	}
	dir := t.TempDir()
	var want []sshkey.Public
	for _, args := range [][]string{
		{"-t", "ed25519"}, {"-t", "rsa", "-b", "2048"}, {"-t", "ecdsa"},
	} {
		path := filepath.Join(dir, args[1])
		sshtest.KeygenPair(t, path, args...)
		sshtest.AddToAgent(t, socket, path)
		want = append(want, load(t, path).Public)
	}
	keys, err := a.Keys(t.Context())
	if err != nil || !slices.EqualFunc(keys, want, func(a, b sshkey.Public) bool { return a.Line() == b.Line() }) {
		t.Fatalf("the agent has %v, %v, want %v", keys, err, want)
	}
	for _, k := range keys {
		if err := a.TestSign(t.Context(), k); err != nil {
			t.Errorf("%s: %v", k.Name(), err)
		}
		s, err := a.Signer(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if err := signs(s, k); err != nil {
			t.Errorf("%s: %v", k.Name(), err)
		}
	}
	s, err := a.Signer(t.Context(), keys[1])
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := s.(ssh.MultiAlgorithmSigner); !ok || !slices.Equal(m.Algorithms(), []string{"rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"}) {
		t.Errorf("RSA is offered as %T", s)
	} else if sig, err := m.SignWithAlgorithm(rand.Reader, []byte("x"), ssh.KeyAlgoRSA); err != nil || sig.Format != ssh.KeyAlgoRSA {
		t.Errorf("RSA, asked for SHA-1: %v", err)
	}

	// A key that it does not hold is refused.
	sshtest.KeygenPair(t, filepath.Join(dir, "other"), "-t", "ed25519")
	if err := a.TestSign(t.Context(), load(t, filepath.Join(dir, "other")).Public); !errors.Is(err, identity.ErrAgentRefused) {
		t.Errorf("a key that is not there: %v", err)
	}

	// Many at once through one connection get their own answers.
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := a.TestSign(t.Context(), keys[i%len(keys)]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// Ways in which an agent that lists a key refuses to sign.
func TestAgentRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	key := load(t, path).Public

	t.Run("confirm", func(t *testing.T) { // and there is nobody who could
		socket := sshtest.StartAgent(t)
		sshtest.AddToAgent(t, socket, path, "-c")
		a := dial(t, t.Context(), socket)
		if keys, err := a.Keys(t.Context()); err != nil || len(keys) != 1 {
			t.Fatalf("%v, %v", keys, err)
		}
		if err := a.TestSign(t.Context(), key); !errors.Is(err, identity.ErrAgentRefused) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("locked", func(t *testing.T) {
		socket := sshtest.StartAgent(t)
		sshtest.AddToAgent(t, socket, path)
		a := dial(t, t.Context(), socket)
		if err := a.TestSign(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := agent.NewClient(conn).Lock([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if keys, err := a.Keys(t.Context()); err != nil || len(keys) != 0 {
			t.Errorf("a locked agent lists %v, %v", keys, err)
		}
		if err := a.TestSign(t.Context(), key); !errors.Is(err, identity.ErrAgentRefused) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("SHA-1", func(t *testing.T) { // agents of before 2018 know no flags
		private, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		keyring := agent.NewKeyring()
		if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		socket := serve(t, func(c net.Conn) { agent.ServeAgent(struct{ agent.Agent }{keyring}, c) })
		a := dial(t, t.Context(), socket)
		keys, err := a.Keys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.TestSign(t.Context(), keys[0]); !errors.Is(err, identity.ErrAgentRefused) || !strings.Contains(err.Error(), "ssh-rsa") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("wrong signature", func(t *testing.T) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		other, err := ssh.NewSignerFromKey(private)
		if err != nil {
			t.Fatal(err)
		}
		socket := serve(t, func(c net.Conn) { agent.ServeAgent(liar{signer: other}, c) })
		if err := dial(t, t.Context(), socket).TestSign(t.Context(), key); !errors.Is(err, identity.ErrAgentRefused) {
			t.Errorf("error %v", err)
		}
	})
}

// A liar signs for every key with its own.
type liar struct {
	agent.Agent
	signer ssh.Signer
}

func (l liar) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	return l.signer.Sign(rand.Reader, data)
}

// An agent that never answers holds nobody longer than the context lasts, and
// the connection is as good as before for whoever has more time.
func TestAgentHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	key := load(t, path).Public
	socket := serve(t, func(c net.Conn) {
		for buf := make([]byte, 512); ; {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})

	a := dial(t, t.Context(), socket)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := a.Keys(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Keys: %v", err)
	}
	if err := a.TestSign(short, key); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, identity.ErrAgentRefused) {
		t.Errorf("TestSign: %v", err)
	}

	s, err := a.Signer(short, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(rand.Reader, []byte("x")); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, identity.ErrAgentRefused) {
		t.Errorf("Sign: %v", err)
	}

	a.Patience = 20 * time.Millisecond
	for name, ask := range map[string]func() error{
		"Keys":        func() error { _, err := a.Keys(t.Context()); return err },
		"KeyNamed":    func() error { _, err := a.KeyNamed(t.Context(), key); return err },
		"TestSign":    func() error { return a.TestSign(t.Context(), key) },
		"BoundSigner": func() error { _, err := a.BoundSigner(t.Context(), key, identity.Binding{}); return err },
		"RemoveAll":   func() error { return a.RemoveAll(t.Context()) },
		"Load":        func() error { _, err := a.Load(t.Context(), load(t, path), nil, identity.Loading{}); return err },
	} {
		if err := ask(); !errors.Is(err, identity.ErrAgentSilent) || errors.Is(err, identity.ErrAgentWillNot) || errors.Is(err, identity.ErrNotHeld) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An answer that comes too late is not taken for the next one's.
func TestAgentSlow(t *testing.T) {
	dir := t.TempDir()
	keyring := agent.NewKeyring()
	var keys []sshkey.Public
	for _, name := range []string{"a", "b"} {
		sshtest.KeygenPair(t, filepath.Join(dir, name), "-t", "ed25519")
		private, err := ssh.ParseRawPrivateKey([]byte(read(t, filepath.Join(dir, name))))
		if err != nil {
			t.Fatal(err)
		}
		if err := keyring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, load(t, filepath.Join(dir, name)).Public)
	}
	confirmed := make(chan struct{})
	socket := serve(t, func(c net.Conn) { agent.ServeAgent(&slow{Agent: keyring, confirmed: confirmed}, c) })
	a := dial(t, t.Context(), socket)
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.TestSign(short, keys[0]); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	close(confirmed)
	if err := a.TestSign(t.Context(), keys[1]); err != nil {
		t.Error(err)
	}
}

// A slow agent signs when somebody has confirmed it.
type slow struct {
	agent.Agent
	confirmed chan struct{}
}

func (s *slow) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	<-s.confirmed
	return s.Agent.Sign(key, data)
}

// An agent that goes away, or talks nonsense, is an error and no panic.
func TestAgentNonsense(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	key := load(t, path).Public
	for name, answer := range map[string]string{
		"nothing":   "",
		"torn":      "\x00\x00\x00\x05\x0c\x00",
		"huge":      "\xff\xff\xff\xff",
		"empty":     "\x00\x00\x00\x00",
		"unknown":   "\x00\x00\x00\x01\xee",
		"too many":  "\x00\x00\x00\x05\x0c\xff\xff\xff\xff",
		"signature": "\x00\x00\x00\x09\x0e\x00\x00\x00\x04\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			socket := serve(t, func(c net.Conn) {
				c.Read(make([]byte, 512))
				c.Write([]byte(answer))
			})
			if keys, err := dial(t, t.Context(), socket).Keys(t.Context()); err == nil {
				t.Errorf("Keys: %v", keys)
			}
			if err := dial(t, t.Context(), socket).TestSign(t.Context(), key); !errors.Is(err, identity.ErrAgentRefused) {
				t.Errorf("TestSign: %v", err)
			}
		})
	}
}

func TestDialAgentErrors(t *testing.T) {
	stale := socketPath(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Skip(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "", 0o600)
	for _, c := range []struct {
		socket string
		want   error
		text   string
	}{
		{"", identity.ErrNoSocket, "no agent: SSH_AUTH_SOCK is not set"},
		{stale + "2", fs.ErrNotExist, "no agent at " + stale + "2: there is no such socket"},
		{stale, syscall.ECONNREFUSED, "no agent at " + stale + ": it has ended and left its socket behind"},
		{file, identity.ErrNotSocket, "no agent at " + file + ": it is not a socket"},
	} {
		_, err := identity.DialAgent(t.Context(), c.socket)
		if e, ok := errors.AsType[*identity.AgentError](err); !ok || e.Socket != c.socket || !errors.Is(err, c.want) || err.Error() != c.text {
			t.Errorf("DialAgent(%q): %v, want %q", c.socket, err, c.text)
		}
	}
}

// An agent that does not answer is there all the same.
func TestAgentErrorSilent(t *testing.T) {
	err := &identity.AgentError{Socket: "/s", Err: fmt.Errorf("listing: %w", identity.ErrAgentSilent)}
	if err.Error() != "the agent at /s does not answer" {
		t.Error(err)
	}
}
