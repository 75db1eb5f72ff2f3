package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/sshkey"
)

// A Binding tells an agent at which server a connection ends, as it requires
// for a key added for some destinations only (ssh-add -h).
type Binding struct {
	HostKey   []byte // as on the wire
	SessionID []byte
	Signature []byte // of HostKey over SessionID, as on the wire
}

// ErrRestricted means that the agent reserves the key for other destinations.
// It comes with ErrAgentRefused.
var ErrRestricted = errors.New("it is for other destinations only")

// ErrPerhapsOthers comes with ErrAgentRefused if the agent knows the server and
// still refuses to sign. A key reserved for some users of a server is listed to
// all of them (ssh-agent.c identity_permitted()), and no reason is given.
var ErrPerhapsOthers = errors.New("perhaps it is for other users there")

// BoundSigner is Signer for the login at a server, for which the agent may deny
// the key (ErrRestricted). As ssh does (sshconnect2.c get_agent_identities), it
// uses a connection of its own, which lives as long as ctx: a connection is
// bound for good, and to a second session only if an agent is forwarded.
func (a *Agent) BoundSigner(ctx context.Context, key sshkey.Public, to Binding) (ssh.Signer, error) {
	own, err := DialAgent(ctx, a.Socket)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgentRefused, err)
	}
	context.AfterFunc(ctx, func() { own.Close() })
	own.Patience = a.Patience
	bound := false
	hidden, err := ask(ctx, own, func() (bool, error) {
		// An agent that does not know of bindings knows of no restrictions.
		bound = own.bind(to) == nil
		return own.hides(key, a), nil
	})
	if err == nil && hidden {
		err = ErrRestricted
	}
	if err != nil {
		own.Close()
		return nil, fmt.Errorf("%w: %w", ErrAgentRefused, err)
	}
	return own.signer(ctx, key, bound)
}

// restricted reports whether the agent keeps a key for some destinations, and
// thus signs no challenge with it: it does not show such a key to a connection
// that is bound to a server which exists nowhere.
func (a *Agent) restricted(ctx context.Context, key sshkey.Public) bool {
	nowhere, err := newBinding()
	if err != nil {
		return false
	}
	own, err := DialAgent(ctx, a.Socket)
	if err != nil {
		return false
	}
	defer own.Close()
	own.Patience = a.Patience
	hidden, err := ask(ctx, own, func() (bool, error) { return own.bind(nowhere) == nil && own.hides(key, a), nil })
	return err == nil && hidden
}

// newBinding is to a session with a server that is made up.
func newBinding() (Binding, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Binding{}, err
	}
	server, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return Binding{}, err
	}
	session := []byte(rand.Text())
	signature, err := server.Sign(rand.Reader, session)
	if err != nil {
		return Binding{}, err
	}
	return Binding{server.PublicKey().Marshal(), session, ssh.Marshal(signature)}, nil
}

// bind sends session-bind@openssh.com (OpenSSH's PROTOCOL.agent section 1).
func (a *Agent) bind(to Binding) error {
	const forwarded = 0 // it is not
	_, err := a.client.Extension("session-bind@openssh.com", append(ssh.Marshal(to), forwarded))
	return err
}

// hides reports whether this connection, which is bound, does not list a key
// that one which is not does: the key is not for this destination
// (ssh-agent.c identity_permitted).
func (a *Agent) hides(key sshkey.Public, unbound *Agent) bool {
	here, err := a.lists(key)
	if err != nil || here {
		return false
	}
	there, err := unbound.lists(key)
	return err == nil && there
}

func (a *Agent) lists(key sshkey.Public) (bool, error) {
	keys, err := a.client.List()
	return slices.ContainsFunc(keys, func(k *agent.Key) bool { return bytes.Equal(k.Blob, key.Blob) }), err
}
