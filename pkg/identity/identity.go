// Package identity finds and makes the user's key pairs, on disk and in
// ssh-agent.
package identity

import (
	"context"
	"errors"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshkey"
)

// DefaultNames are the files in ~/.ssh that ssh(1) tries by itself, in its
// order (ssh_config(5) IdentityFile), without those of DSA.
var DefaultNames = []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"}

// A Pair is a key pair on disk, or half of one, as far as it can be told
// without a passphrase.
type Pair struct {
	Path     string          // of the private half; the public one has ".pub" after it
	Public   sshkey.Public   // from the private half where it tells, else from .pub
	Private  sshkey.Envelope // zero if there is none
	Missing  []string        // "private", "public": halves that are not there
	Faults   []Fault         // why ssh would not use it, or pikeygen would not take it
	InAgent  bool            // set by whoever asked the agent
	contents []byte          // of the private half
}

// A Fault is one thing wrong with a pair.
type Fault struct {
	Cause  string // key-mode, key-damaged, key-format, key-pair-mismatch, key-weak, key-unreadable …
	Detail string
}

// Load looks at the pair at path (of the private half, or of the .pub). An
// error means neither half is there, or the folder cannot be read; faults are
// in the Pair.
func Load(path string) (*Pair, error) { panic("unwritten") }

// Usable reports whether the pair logs in as it is: both halves there or the
// private one alone telling its public half, and no faults.
func (p *Pair) Usable() bool { panic("unwritten") }

// ErrPassphraseNeeded means the private half is encrypted and nobody gave the
// passphrase.
var ErrPassphraseNeeded = errors.New("the private key is encrypted and no passphrase was given")

// ErrPassphraseWrong means the passphrase does not open the private half.
var ErrPassphraseWrong = errors.New("the passphrase is wrong")

// Signer opens the private half. passphrase is asked only if it is encrypted;
// nil means nobody can be asked. The secret is wiped after use.
func (p *Pair) Signer(ctx context.Context, passphrase func(context.Context) ([]byte, error)) (ssh.Signer, error) {
	panic("unwritten")
}

// A Spec is the key pair to make.
type Spec struct {
	Type       string // "ed25519", "rsa", "ecdsa"
	Bits       int    // 0: ssh-keygen's default (3072 for rsa, 256 for ecdsa)
	Comment    string
	Passphrase []byte // nil: none
}

// Check says what is wrong with the spec, by ssh-keygen's own limits.
func (s Spec) Check() error { panic("unwritten") }

// Make makes a pair and writes it to path and path.pub: complete or absent at
// every moment, nothing overwritten (fs.ErrExist), 0600 and 0644, on the disk
// when it returns nil. The folder is made, 0700, if it is missing.
func Make(ctx context.Context, path string, spec Spec) (*Pair, error) { panic("unwritten") }

// Agent is a connection to ssh-agent.
type Agent struct{ Socket string }

// AgentError says why no agent answers.
type AgentError struct {
	Socket string // "" if none is named
	Err    error
}

func (e *AgentError) Error() string { panic("unwritten") }
func (e *AgentError) Unwrap() error { return e.Err }

// DialAgent connects to the agent at socket; its error is an *AgentError.
func DialAgent(ctx context.Context, socket string) (*Agent, error) { panic("unwritten") }

// Keys lists the agent's keys, in its order.
func (a *Agent) Keys(ctx context.Context) ([]sshkey.Public, error) { panic("unwritten") }

// ErrAgentRefused means that the agent holds the key and would not sign.
var ErrAgentRefused = errors.New("the agent holds the key but refuses to sign with it")

// Signer returns a signer for one of the agent's keys. When it fails to sign,
// the error is ErrAgentRefused.
func (a *Agent) Signer(key sshkey.Public) (ssh.Signer, error) { panic("unwritten") }

// TestSign has the agent sign a random challenge and verifies the result.
func (a *Agent) TestSign(ctx context.Context, key sshkey.Public) error { panic("unwritten") }

// Close closes the connection.
func (a *Agent) Close() error { panic("unwritten") }
