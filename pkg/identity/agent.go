package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/sshkey"
)

// An Agent is a connection to ssh-agent. It is safe for concurrent use; the
// agent answers one request after another, so that one for which it asks a
// person delays those behind it.
type Agent struct {
	Socket string // as it was given to DialAgent
	// Patience is how long it may take for each answer, also where it has to ask
	// a person; 0: as long as the context lasts.
	Patience time.Duration

	conn   io.ReadWriteCloser
	client agent.ExtendedAgent
}

// AgentError says why no agent answers. errors.Is distinguishes the cases:
// ErrNoSocket, ErrNotSocket, fs.ErrNotExist (the agent and its socket are
// gone), syscall.ECONNREFUSED (the agent is gone, its socket stayed).
type AgentError struct {
	Socket string // "" if none is named
	Err    error
}

// ErrNoSocket means that no agent is named: SSH_AUTH_SOCK is not set.
var ErrNoSocket = errors.New("SSH_AUTH_SOCK is not set")

// ErrNotSocket means that what is named as the agent's socket is not one.
var ErrNotSocket = errors.New("it is not a socket")

func (e *AgentError) Error() string {
	switch {
	case e.Socket == "":
		return "no agent: " + e.Err.Error()
	case errors.Is(e.Err, fs.ErrNotExist):
		return "no agent at " + e.Socket + ": there is no such socket"
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "no agent at " + e.Socket + ": it has ended and left its socket behind"
	case errors.Is(e.Err, ErrAgentSilent): // there is one
		return "the agent at " + e.Socket + " does not answer"
	}
	return fmt.Sprintf("no agent at %s: %v", e.Socket, e.Err)
}

func (e *AgentError) Unwrap() error { return e.Err }

// DialAgent connects to the agent at socket, the value of SSH_AUTH_SOCK or of
// IdentityAgent; on Windows "" is the pipe of its own agent. The error is an
// *AgentError. ctx limits only the dialling.
func DialAgent(ctx context.Context, socket string) (*Agent, error) {
	conn, err := dialAgent(ctx, socket)
	if err != nil {
		return nil, &AgentError{socket, err}
	}
	return &Agent{Socket: socket, conn: conn, client: agent.NewClient(conn)}, nil
}

// Close closes the connection. Requests in progress fail.
func (a *Agent) Close() error { return a.conn.Close() }

// ErrAgentSilent means that the agent did not answer in time.
var ErrAgentSilent = errors.New("the agent did not answer in time")

// ask waits for an answer of the agent no longer than ctx and its patience last.
// An answer that comes later is dropped, and those after it are still told apart.
func ask[T any](ctx context.Context, a *Agent, question func() (T, error)) (T, error) {
	if a.Patience > 0 {
		limited, cancel := context.WithTimeoutCause(ctx, a.Patience, fmt.Errorf("not within %v", a.Patience))
		defer cancel()
		ctx = limited
	}
	v, err := bounded.Await(ctx, question)
	if err != nil && err == context.Cause(ctx) {
		err = fmt.Errorf("%w: %w", ErrAgentSilent, err)
	}
	return v, err
}

// Keys lists the agent's keys, in its order. A locked agent lists none.
func (a *Agent) Keys(ctx context.Context) ([]sshkey.Public, error) {
	list, err := ask(ctx, a, a.client.List)
	if err != nil {
		return nil, fmt.Errorf("listing the keys of the agent at %s: %w", a.Socket, err)
	}
	keys := make([]sshkey.Public, len(list))
	for i, k := range list {
		keys[i] = printable(sshkey.Public{Type: k.Format, Blob: k.Blob, Comment: k.Comment})
	}
	return keys, nil
}

// ErrAgentRefused means that the agent holds the key but would not sign.
var ErrAgentRefused = errors.New("the agent holds the key and refuses to sign with it")

// Signer returns a signer for one of the agent's keys. It signs only while ctx
// lasts, since the methods of ssh.Signer take no context: an agent that waits
// for a person would block a login forever. If it fails to sign, the error is
// ErrAgentRefused along with the cause: the agent's answer, or ctx's error. RSA
// keys sign with SHA-2, unless SHA-1 is asked for by its name.
func (a *Agent) Signer(ctx context.Context, key sshkey.Public) (ssh.Signer, error) {
	return a.signer(ctx, key, false)
}

func (a *Agent) signer(ctx context.Context, key sshkey.Public, bound bool) (ssh.Signer, error) {
	s := &agentSigner{ctx, a, &agent.Key{Format: key.Type, Blob: key.Blob, Comment: key.Comment}, bound}
	if !s.rsa() {
		return s, nil
	}
	sha2, err := ssh.NewSignerWithAlgorithms(s, rsaAlgorithms)
	if err != nil {
		return nil, err
	}
	return rsaSigner{sha2}, nil
}

// ErrNotHeld means that the agent does not hold the key.
var ErrNotHeld = errors.New("does not hold")

// KeyNamed returns a signer for key. The error is ErrNotHeld if the agent
// answers, but does not hold it.
func (a *Agent) KeyNamed(ctx context.Context, key sshkey.Public) (ssh.Signer, error) {
	held, err := a.Keys(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(held, key.Equal) {
		return nil, fmt.Errorf("the agent at %s %w %s", a.Socket, ErrNotHeld, key.Fingerprint())
	}
	return a.Signer(ctx, key)
}

// TestSign has the agent sign a random challenge and verifies the result. Its
// error is ErrAgentRefused unless the key is of a type that cannot be verified,
// along with ErrRestricted for a key that signs only for some destinations.
func (a *Agent) TestSign(ctx context.Context, key sshkey.Public) error {
	public, err := ssh.ParsePublicKey(key.Blob)
	if err != nil {
		return fmt.Errorf("a signature of a %s key cannot be verified here: %w", key.Type, err)
	}
	if cert, ok := public.(*ssh.Certificate); ok {
		public = cert.Key
	}
	signer, err := a.Signer(ctx, key)
	if err != nil {
		return err
	}
	challenge := make([]byte, 64)
	if _, err := rand.Read(challenge); err != nil {
		return err
	}
	signature, err := signer.Sign(rand.Reader, challenge)
	if err != nil && !errors.Is(err, ErrAgentSilent) && a.restricted(ctx, key) {
		return fmt.Errorf("%w: %w", ErrAgentRefused, ErrRestricted)
	}
	if err != nil {
		return err
	}
	// Some security keys need no touch (ssh-keygen -O no-touch-required), which
	// x/crypto takes for a wrong signature.
	untouched := strings.HasPrefix(public.Type(), "sk-") && len(signature.Rest) > 0 && signature.Rest[0]&1 == 0
	if err := public.Verify(challenge, signature); err != nil && !untouched {
		return fmt.Errorf("%w: its signature is wrong: %w", ErrAgentRefused, err)
	}
	return nil
}

// An agentSigner signs with a key in the agent. The key may be of a type that
// x/crypto does not know.
type agentSigner struct {
	ctx   context.Context
	agent *Agent
	key   *agent.Key
	bound bool // the agent has been told at which server it signs
}

func (s *agentSigner) rsa() bool {
	return s.key.Format == ssh.KeyAlgoRSA || s.key.Format == ssh.CertAlgoRSAv01
}

func (s *agentSigner) PublicKey() ssh.PublicKey { return s.key }

func (s *agentSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, "")
}

func (s *agentSigner) SignWithAlgorithm(_ io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	var flags agent.SignatureFlags
	switch algorithm {
	case ssh.KeyAlgoRSASHA512:
		flags = agent.SignatureFlagRsaSha512
	case ssh.KeyAlgoRSASHA256:
		flags = agent.SignatureFlagRsaSha256
	}
	signature, err := ask(s.ctx, s.agent, func() (*ssh.Signature, error) {
		return s.agent.client.SignWithFlags(s.key, bytes.Clone(data), flags)
	})
	if err != nil && s.bound && !errors.Is(err, ErrAgentSilent) {
		return nil, fmt.Errorf("%w: %w; %w", ErrAgentRefused, err, ErrPerhapsOthers)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgentRefused, err)
	}
	// Agents older than the flags ignore them and sign with SHA-1.
	if flags != 0 && signature.Format != algorithm {
		return nil, fmt.Errorf("%w: asked for %s, it signed with %q", ErrAgentRefused, algorithm, signature.Format)
	}
	return signature, nil
}

// A FoundAgent is an agent that answers though nothing names it.
type FoundAgent struct {
	Socket string
	Keys   int // that it holds
}
