package identity

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// A Loading says how an agent is to hold a key: ssh-add(1) -t and -c.
type Loading struct {
	Life    time.Duration // after which the agent forgets it; 0: it does not
	Confirm bool          // a person confirms each use
}

// check says what is wrong with it: PROTOCOL.agent has 32 bits of seconds, and
// 0 is for ever.
func (l Loading) check() error {
	if l.Life < 0 || l.Life > math.MaxUint32*time.Second || l.Life%time.Second != 0 {
		return fmt.Errorf("%v is not a time that an agent can keep a key for", l.Life)
	}
	return nil
}

// Load adds a pair to the agent, and with it the certificate beside it in
// FILE-cert.pub, as ssh-add(1) does. It returns what was added, in that order;
// with an error, what was added before it. passphrase and the errors are as for
// Pair.Signer; ErrAgentWillNot means that the agent would not accept it.
func (a *Agent) Load(ctx context.Context, p *Pair, passphrase func(context.Context) ([]byte, error), how Loading) ([]sshkey.Public, error) {
	if err := how.check(); err != nil {
		return nil, err
	}
	key, signer, err := p.open(ctx, passphrase)
	if err != nil {
		return nil, err
	}
	add := agent.AddedKey{PrivateKey: key, Comment: p.Public.Comment, LifetimeSecs: uint32(how.Life / time.Second), ConfirmBeforeUse: how.Confirm}
	if add.Comment == "" {
		add.Comment = p.Path
	}
	public := PublicOf(signer.PublicKey())
	public.Comment = add.Comment
	if err := a.add(ctx, add); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	loaded := []sshkey.Public{public}

	cert, err := p.Certificate()
	if errors.Is(err, fs.ErrNotExist) {
		return loaded, nil
	}
	if err != nil {
		return loaded, err
	}
	add.Certificate = cert
	if err := a.add(ctx, add); err != nil {
		return loaded, fmt.Errorf("%s: %w", p.CertificatePath(), err)
	}
	public = PublicOf(cert)
	public.Comment = add.Comment
	return append(loaded, public), nil
}

// LoadFault is why Load did not add a pair, by its error.
func LoadFault(p *Pair, err error) Fault {
	f := Fault{Cause: "key-damaged", Path: p.Path, Detail: record.Words(err)}
	var unsupported *UnsupportedError
	switch {
	case errors.As(err, &unsupported):
		f.Cause, f.Hint = "key-format", unsupported.Hint()
	case errors.Is(err, ErrAgentWillNot):
		f.Cause, f.Hint = "agent-refused", "it may be locked (pikeycheck -X), or take no keys of this type"
	case errors.Is(err, ErrPassphraseNeeded), errors.Is(err, ErrPassphraseWrong):
		f.Cause, f.Hint = "key-encrypted", "pikeycheck -a --passphrase-file FILE "+sh.Quote(p.Path)
	case errors.Is(err, fs.ErrNotExist):
		f.Cause = "key-missing"
	}
	return f
}

func (a *Agent) add(ctx context.Context, key agent.AddedKey) error {
	return a.do(ctx, func() error { return a.client.Add(key) })
}

// ErrAgentWillNot means that the agent was asked to do something other than
// sign, and reported failure. It gives no reason.
var ErrAgentWillNot = errors.New("the agent will not do it")

// do asks the agent to do something.
func (a *Agent) do(ctx context.Context, what func() error) error {
	_, err := ask(ctx, a, func() (struct{}, error) { return struct{}{}, what() })
	if err != nil && !errors.Is(err, ErrAgentSilent) {
		err = fmt.Errorf("%w: %w", ErrAgentWillNot, err)
	}
	return err
}

// Remove removes a key from the agent. One it does not hold is ErrAgentWillNot.
func (a *Agent) Remove(ctx context.Context, key sshkey.Public) error {
	return a.do(ctx, func() error { return a.client.Remove(&agent.Key{Format: key.Type, Blob: key.Blob}) })
}

// RemoveAll removes every key from the agent.
func (a *Agent) RemoveAll(ctx context.Context) error { return a.do(ctx, a.client.RemoveAll) }

// Lock makes the agent list and use no keys until it is unlocked with the same
// passphrase.
func (a *Agent) Lock(ctx context.Context, passphrase []byte) error {
	return a.do(ctx, func() error { return a.client.Lock(passphrase) })
}

// Unlock undoes Lock. The error is ErrAgentWillNot if the passphrase is wrong
// or the agent is not locked.
func (a *Agent) Unlock(ctx context.Context, passphrase []byte) error {
	return a.do(ctx, func() error { return a.client.Unlock(passphrase) })
}
