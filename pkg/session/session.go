// Package session makes one authenticated SSH connection and runs commands on
// it: it checks the host key, makes one authentication attempt after another,
// and reports everything seen on the way, so that a failure can be explained.
package session

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshkey"
)

// A Key is one public key to offer.
type Key struct {
	Public sshkey.Public
	Name   string // where it comes from: a path, or "agent"
	// Signer opens the private half once the server has said that it would
	// take the key; the exchange is that of this connection. nil asks only
	// whether it would.
	Signer func(context.Context, Exchange) (ssh.Signer, error)
}

// A Config says how to log in. Each function is called at most once at a time.
type Config struct {
	Dial func(context.Context) (net.Conn, error)
	// ConnectTimeout bounds Dial and the wait for the server's version, as it
	// does in ssh; 0 for no bound but the context's.
	ConnectTimeout time.Duration
	User           string
	// KeyExchanges, Ciphers and MACs may protect the connection, the preferred one
	// first, and nothing else may; nil for what ssh offers by default.
	KeyExchanges, Ciphers, MACs []string
	// HostKeyAlgorithms is the order to ask in; see knownhosts.Algorithms.
	HostKeyAlgorithms []string
	// CheckHostKey decides whether the server may be trusted with anything.
	// remote is its address, for known_hosts.
	CheckHostKey func(key ssh.PublicKey, remote net.Addr) error
	// Keys are offered in order, each in an attempt of its own, so that a key
	// that cannot sign does not hide the next.
	Keys []Key
	// KeyAlgorithms are those that the keys may sign by, or be of; nil for all.
	KeyAlgorithms []string
	// MaxRefused ends the offering after that many refused keys, to leave room
	// below MaxAuthTries for the password; 0 offers all.
	MaxRefused int
	// Password is called after the keys, and only if the server accepts one of
	// PasswordMethods. nil means that no password is used.
	Password func(ctx context.Context) ([]byte, error)
	// PasswordTries is how often it may be called: again only after a refusal,
	// which stands if Password then fails. 0 is once.
	PasswordTries   int
	PasswordMethods []string // nil for both "password" and "keyboard-interactive"
	// Hold, if set, delays all offers until it is closed: meanwhile the
	// connection is made and its host key checked, while the caller finishes
	// something else.
	Hold <-chan struct{}
	// Trace, if set, is called with each step.
	Trace func(format string, args ...any)
}

// Login makes the connection. The report is never nil. The connection lives no
// longer than ctx, whose deadline bounds all its reads and writes.
func Login(ctx context.Context, cfg Config) (*Client, *Report, error) {
	return connect(ctx, cfg, algorithms)
}

// Prove is Login by a key for no other purpose: whatever Config says, no
// password is sent, and the connection ends once the login has succeeded; the
// error is ErrCutOff if the server ended it before us. It may be protected by the
// cheapest algorithms; see proofAlgorithms.
func Prove(ctx context.Context, cfg Config) (*Report, error) {
	cfg.Password = nil
	client, rep, err := connect(ctx, cfg, proofAlgorithms)
	if err != nil {
		return rep, err
	}
	defer client.Close()
	if _, byKey := rep.LoginKey(); byKey && !client.stays(ctx, cfg.User, rep) {
		return rep, fmt.Errorf("%s: %w", rep.Stage, cmp.Or(context.Cause(ctx), ErrCutOff))
	}
	return rep, nil
}
