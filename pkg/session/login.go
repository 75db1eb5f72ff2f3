package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

func connect(ctx context.Context, cfg Config, offered ssh.Config) (*Client, *Report, error) {
	l := &login{ctx: ctx, cfg: cfg, rep: &Report{Stage: Dialling, Began: time.Now()}, turned: make(chan struct{}), attempt: "none"}
	if cfg.Trace == nil {
		l.cfg.Trace = func(string, ...any) {}
	}
	client, err := l.run(cfg.restrict(offered))
	if err != nil {
		// A dead context is why the connection ended, not what it said last.
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, l.rep, fmt.Errorf("%s: %w", l.rep.Stage, err)
	}
	return client, l.rep, nil
}

type login struct {
	ctx      context.Context
	cfg      Config
	rep      *Report
	conn     *sniffer
	exchange *Exchange // of the connection, once authentication has begun

	trusted    []byte        // the host key, once it is
	hostKeyErr error         // why it is not
	turned     chan struct{} // closed when another one is shown later

	next    int    // the next of cfg.Keys
	offer   *offer // the key under way
	refused int
	partial int    // how many attempts have counted so far
	tries   int    // of a password, in either form
	sent    bool   // the password, in the attempt under way
	attempt string // the method under way
}

func (l *login) run(offered ssh.Config) (*Client, error) {
	began := l.rep.Began
	raw, err := l.cfg.Dial(l.ctx)
	if err != nil {
		return nil, err
	}
	l.rep.Connect = time.Since(began)
	l.rep.Remote = raw.RemoteAddr()
	l.rep.Stage = Versions
	var silent atomic.Bool
	patience := func() {}
	if t := l.cfg.ConnectTimeout; t > 0 {
		timer := time.AfterFunc(t-time.Since(began), func() {
			silent.Store(true)
			raw.Close()
		})
		patience = func() { timer.Stop() }
	}
	defer patience()
	l.conn = newSniffer(raw, patience)
	// Closing is the one thing that ends a read on every kind of connection:
	// those through a jump host or a ProxyCommand know no deadline.
	stop := context.AfterFunc(l.ctx, func() { raw.Close() })

	sshConn, chans, reqs, err := ssh.NewClientConn(l.conn, "", &ssh.ClientConfig{
		Config:            offered,
		User:              l.cfg.User,
		HostKeyAlgorithms: l.cfg.HostKeyAlgorithms,
		ClientVersion:     "SSH-2.0-pi-key-tools",
		HostKeyCallback:   l.checkHostKey,
		BannerCallback:    func(text string) error { l.hear(text); return nil },
		AuthCallback:      l.authenticate,
	})
	l.rep.Start = l.conn.start()
	l.rep.ServerVersion = versionLine(l.rep.Start)
	if err == nil || l.rep.Stage == Auth {
		l.rep.Auth = time.Since(began) - l.rep.Connect - l.rep.Handshake
		l.settle(err == nil, err != nil && disconnectMessage(err) != "")
	}
	if err != nil {
		stop()
		raw.Close()
		if l.rep.Stage == Versions && l.rep.ServerVersion != "" && !errors.Is(err, ErrNotSSH2) {
			l.rep.Stage = KeyExchange
		}
		if l.hostKeyErr != nil {
			return nil, l.hostKeyErr
		}
		if silent.Load() && l.rep.ServerVersion == "" {
			return nil, ErrSilent
		}
		l.rep.Disconnect = disconnectMessage(err)
		return nil, named(err, l.turned)
	}
	l.rep.Stage, l.rep.By = LoggedIn, l.attempt
	if l.rep.Password == Unanswered {
		l.rep.Password = LogsIn
	}
	// ssh.NewClient would have three goroutines for what serve does by one.
	return &Client{ssh: ssh.Client{Conn: sshConn}, stop: stop, turned: l.turned, server: l.rep.ServerVersion, spoke: serve(reqs, chans)}, nil
}

// checkHostKey is called in each key exchange of the connection.
func (l *login) checkHostKey(_ string, _ net.Addr, key ssh.PublicKey) error {
	if l.trusted != nil { // a later one
		if !bytes.Equal(key.Marshal(), l.trusted) {
			close(l.turned) // once: x/crypto ends the connection with the error
			return ErrHostKeyTurned
		}
		return nil
	}
	l.rep.Stage, l.rep.HostKey = HostKey, key
	if l.hostKeyErr = l.cfg.CheckHostKey(key, l.rep.Remote); l.hostKeyErr != nil {
		return l.hostKeyErr
	}
	l.rep.Stage, l.trusted = Auth, key.Marshal()
	l.rep.Handshake = time.Since(l.rep.Began) - l.rep.Connect
	return nil
}

// authenticate chooses the next attempt: the keys one by one, then the
// password. x/crypto calls it after "none" and after every attempt.
func (l *login) authenticate(ctx *ssh.ClientAuthContext) (ssh.AuthMethod, error) {
	if l.cfg.Hold != nil {
		select {
		case <-l.cfg.Hold:
		case <-l.ctx.Done():
		}
	}
	// x/crypto takes a lost connection for one more failed method.
	if err := l.conn.lost(); err == io.EOF {
		return nil, io.ErrUnexpectedEOF
	} else if err != nil {
		return nil, err
	}
	if err := context.Cause(l.ctx); err != nil {
		return nil, err
	}
	if l.exchange == nil {
		hostKey := l.rep.HostKey.Marshal()
		l.exchange = &Exchange{hostKey, ctx.Metadata.SessionID(), hostSignature(l.conn.clear(), hostKey)}
		if agreed, ok := ctx.Metadata.(ssh.AlgorithmsConnMetadata); ok {
			l.cfg.Trace("key exchange %s, cipher %s", agreed.Algorithms().KeyExchange, agreed.Algorithms().Write.Cipher)
		}
	}
	l.rep.Methods = ctx.AllowedMethods
	if n := len(ctx.PartialSuccessMethods); n > l.partial {
		l.partial = n
		if l.offer != nil {
			l.offer.answer = Partial
		} else if l.rep.PasswordSent {
			l.rep.Password = Partial
		}
	}
	l.settle(false, false)
	if l.rep.Password == Unanswered {
		l.rep.Password = Refused
	}

	enough := l.cfg.MaxRefused > 0 && l.refused >= l.cfg.MaxRefused
	if !enough && l.next < len(l.cfg.Keys) && slices.Contains(ctx.AllowedMethods, "publickey") {
		return l.nextKey(), nil
	}
	if l.cfg.Password != nil && l.mayTry() {
		return l.nextPassword(ctx.AllowedMethods)
	}
	return nil, ErrDenied
}

// nextKey is the attempt of the next key.
func (l *login) nextKey() ssh.AuthMethod {
	l.offer = &offer{ctx: l.ctx, key: l.cfg.Keys[l.next], exchange: *l.exchange, answer: Unanswered, writes: l.conn.writes(), late: l.rep.PasswordSent,
		overdue: l.overdue, allowed: l.cfg.KeyAlgorithms}
	l.next++
	l.attempt = "publickey"
	l.cfg.Trace("offering %s %s (%s)", l.offer.key.Public.Name(), l.offer.key.Public.Fingerprint(), l.offer.key.Name)
	return ssh.PublicKeys(l.offer)
}

// nextPassword is the attempt of a password, by one of the methods that the server
// allows.
func (l *login) nextPassword(allowed []string) (ssh.AuthMethod, error) {
	takes := func(method string) bool {
		return slices.Contains(allowed, method) && (l.cfg.PasswordMethods == nil || slices.Contains(l.cfg.PasswordMethods, method))
	}
	switch {
	case takes("password"):
		l.tries++
		secret, err := l.password()
		if err != nil {
			return nil, err
		}
		l.attempt = "password"
		l.cfg.Trace("sending the password")
		l.rep.PasswordSent, l.rep.Password = true, Unanswered
		l.rep.Passwords++
		return ssh.Password(secret), nil
	case takes("keyboard-interactive"):
		l.tries++
		l.sent = false
		l.attempt = "keyboard-interactive"
		return ssh.KeyboardInteractive(l.challenge), nil
	}
	return nil, ErrDenied
}

// mayTry reports whether a password may be tried, for the first time or after
// one was refused. Who is booting refuses all.
func (l *login) mayTry() bool {
	return l.tries == 0 ||
		l.tries < l.cfg.PasswordTries && l.rep.Password == Refused && l.rep.PasswordErr == nil && !l.rep.Booting()
}

func (l *login) password() (string, error) {
	secret, err := l.cfg.Password(l.ctx)
	if err != nil && l.rep.PasswordSent {
		l.cfg.Trace("no other password: %v", err)
		return "", ErrDenied
	}
	if err != nil {
		l.rep.PasswordErr = err
		return "", err
	}
	l.overdue()
	return string(secret), nil
}

// overdue notes whether the server has waited until now.
func (l *login) overdue() { l.rep.Overdue = l.rep.Overdue || l.conn.lost() != nil }

var (
	passwordPrompt = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)password`) })
	otherPrompt    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)new|current|retype|again|change|passphrase`) })
)

// challenge answers one hidden question for the password, once. Answering
// whatever is asked would walk into PAM's forced change of the password, or
// hand it to a prompt for something else.
func (l *login) challenge(_, instruction string, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 { // what PAM has to say, which comes as a banner with other methods
		l.hear(instruction)
		return nil, nil
	}
	if l.sent || len(questions) != 1 || echos[0] || !passwordPrompt().MatchString(questions[0]) || otherPrompt().MatchString(questions[0]) {
		e := &PromptError{Questions: questions}
		e.New = l.sent && slices.ContainsFunc(questions, otherPrompt().MatchString)
		e.Again = l.sent && !e.New && !slices.ContainsFunc(questions, func(q string) bool { return !passwordPrompt().MatchString(q) })
		l.rep.PasswordErr = e
		if e.New {
			l.rep.Password = Partial
		}
		return nil, e
	}
	secret, err := l.password()
	if err != nil {
		return nil, err
	}
	l.cfg.Trace("answering the password prompt")
	l.sent, l.rep.PasswordSent, l.rep.Password = true, true, Unanswered
	l.rep.Passwords++
	return []string{secret}, nil
}

// hear keeps what the server tells the user.
func (l *login) hear(text string) {
	l.rep.Banner += text[:min(len(text), max(0, 4096-len(l.rep.Banner)))]
}

// settle files the key under way with what is known of it by now: that the
// exchange went on, succeeded, or ended without an answer.
func (l *login) settle(success, ended bool) {
	o := l.offer
	if o == nil {
		return
	}
	l.offer = nil
	switch {
	case success && o.signed:
		o.answer = LogsIn
	case o.answer == Unanswered && l.conn.writes() == o.writes:
		// x/crypto found no algorithm in the server's server-sig-algs, and
		// went on without a word to anybody.
		o.answer = Unasked
	case o.answer == Unanswered && l.conn.lost() == nil && !ended:
		o.answer = Refused
		if o.signed {
			o.answer = SignatureRefused
			if err := o.verify(); err != nil {
				o.answer, o.err = SignFailed, fmt.Errorf("%w: %w", ErrSignature, err)
			}
		}
		l.refused++
	case o.answer == Unanswered && o.signed && l.conn.lost() == io.EOF && !l.rep.Overdue && l.ctx.Err() == nil: // a network that breaks gives another error
		o.answer = HungUp
	}
	l.cfg.Trace("%s: %s", o.key.Public.Fingerprint(), o.answer)
	l.rep.Offers = append(l.rep.Offers, Offer{o.key, o.answer, o.err, o.late})
}
