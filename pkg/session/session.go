// Package session makes one authenticated SSH connection and runs commands on
// it: host key first, then one authentication attempt after another, and a
// report of everything that was seen on the way, for whoever has to explain a
// failure.
package session

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// A Config is how to log in. All of its functions are called at most once at
// a time.
type Config struct {
	Dial func(context.Context) (net.Conn, error)
	// ConnectTimeout bounds Dial and the wait for the server's version, as it
	// does in ssh; 0 for no bound but the context's.
	ConnectTimeout time.Duration
	User           string
	// HostKeyAlgorithms is the order to ask in; see knownhosts.Algorithms.
	HostKeyAlgorithms []string
	// CheckHostKey decides whether the server may be trusted with anything.
	// remote is its address, for known_hosts.
	CheckHostKey func(key ssh.PublicKey, remote net.Addr) error
	// Keys are offered in order, each in an attempt of its own, so that one
	// that cannot sign does not hide the next.
	Keys []Key
	// MaxRefused ends the offering after so many refused keys, to leave room
	// below MaxAuthTries for the password; 0 offers all.
	MaxRefused int
	// Password is asked at most once, after the keys and only if the server
	// takes one by one of PasswordMethods. nil means that none is to be used.
	Password        func(ctx context.Context) ([]byte, error)
	PasswordMethods []string // nil for both "password" and "keyboard-interactive"
	// Hold, if set, keeps everything from being offered until it is closed: the
	// connection is made, and its host key checked, while something else is
	// still to be done.
	Hold <-chan struct{}
	// Trace, if set, is told of each step.
	Trace func(format string, args ...any)
}

// A Stage is how far a connection came.
type Stage string

// The stages, in order. The words go into messages: "the server closed the
// connection during STAGE".
const (
	Dialling    Stage = "connect"
	Versions    Stage = "version exchange"
	KeyExchange Stage = "key exchange"
	HostKey     Stage = "host key check"
	Auth        Stage = "authentication"
	LoggedIn    Stage = "session"
)

// An Answer is what the server said to a key, or what became of signing.
type Answer string

// The answers to an offered key, or to a password. A password is not asked
// about, and not signed with.
const (
	Refused          Answer = "refused"
	Accepted         Answer = "accepted"          // to the question; nothing was signed
	SignFailed       Answer = "sign-failed"       // accepted, and then our side could not sign, or signed wrongly
	SignatureRefused Answer = "signature-refused" // accepted, and then the server refused the signature, which is right
	Partial          Answer = "partial"           // it counted, but the server wants more
	LogsIn           Answer = "logs-in"
	Unanswered       Answer = "unanswered" // the connection ended first
	Unasked          Answer = "unasked"    // the server takes no signature algorithm that the key has
)

// An Offer is a key that was offered and what became of it.
type Offer struct {
	Key    Key
	Answer Answer
	Err    error // of SignFailed
	Late   bool  // the password came before it
}

// A Report is what was seen of a connection, also of one that failed.
//
// Two things that a server tells are not in it. Its server-sig-algs (RFC 8308)
// come encrypted, and x/crypto keeps them in a variable of its own
// (client_auth.go clientAuthenticate()): that none of them is for a key shows as
// Unasked. What sshd says in SSH_MSG_DEBUG after a login, such as "Ignored
// authorized keys: bad ownership or modes", x/crypto reads and drops
// (handshake.go readLoop()): the log there has the same words.
type Report struct {
	Stage         Stage
	Began         time.Time // when the connection was begun
	Remote        net.Addr  // nil before it was connected
	Start         []byte    // the first bytes that the server sent, at most 4 KiB
	ServerVersion string    // "SSH-2.0-…"; "" before it came
	HostKey       ssh.PublicKey
	Banner        string   // at most 4 KiB
	Methods       []string // that the server last said can continue
	Offers        []Offer  // in order
	NotOffered    int      // keys left unoffered because of MaxRefused
	PasswordSent  bool
	Password      Answer // to the password; "" if none was sent
	PasswordErr   error  // why no password could be had; a *PromptError for a question that was not answered
	By            string // the method that let us in: "publickey", "password", …
	Disconnect    string // the server's own words at the end of authentication

	// How long it took to connect, from there until the host key was accepted,
	// and from there to the end of authentication; 0 for what was not reached.
	Connect, Handshake, Auth time.Duration
}

// Booting reports whether the server lets nobody in because the machine is not
// up yet: pam_nologin(8) shows what systemd-user-sessions(8) writes meanwhile. A
// right password is refused as well then.
func (r *Report) Booting() bool { return strings.Contains(r.Banner, "System is booting up") }

// LoginKey returns the key that let us in.
func (r *Report) LoginKey() (Key, bool) {
	for _, o := range r.Offers {
		if o.Answer == LogsIn {
			return o.Key, true
		}
	}
	return Key{}, false
}

// Answer returns what became of a key; "" if it was not offered.
func (r *Report) Answer(key sshkey.Public) Answer {
	for _, o := range r.Offers {
		if o.Key.Public.Equal(key) {
			return o.Answer
		}
	}
	return ""
}

// ErrDenied means that the server took none of what we had to offer.
var ErrDenied = errors.New("permission denied")

// ErrSilent means that the server took the connection and did not say its
// version within Config.ConnectTimeout.
var ErrSilent = errors.New("no version came within ConnectTimeout")

// ErrNotSSH2 means that the server's version is not one of SSH 2 (RFC 4253
// section 5.1). What it would do next makes no difference.
var ErrNotSSH2 = errors.New("the server does not speak SSH 2")

// ErrSignature means that what was signed is no signature of the key that was
// offered: the private half is damaged, or an agent signs with another.
var ErrSignature = errors.New("its signature is wrong")

// ErrHostKey means that the server showed a host key that it does not have:
// its signature of the key exchange is not that key's. Somebody else may be
// answering in its place.
var ErrHostKey = errors.New("the server shows a host key and cannot sign with it")

// ErrHostKeyTurned means that the server showed another host key in a later
// key exchange of the same connection.
var ErrHostKeyTurned = errors.New("the server changed its host key in the middle of the connection")

// ErrNoCommand means that the server runs no command for this account.
var ErrNoCommand = errors.New("the server refuses to run a command")

// A PromptError is a question that was not answered, since it is not, or not
// only, for the password.
type PromptError struct {
	Questions []string // the peer's words
	New       bool     // after the password: it is to be changed
}

func (e *PromptError) Error() string {
	return "the server asks: " + strings.Join(e.Questions, " ")
}

// errProbe ends the attempt of a key that was only asked about.
var errProbe = errors.New("asked only")

// Login makes the connection. The report is never nil. The connection lives
// no longer than ctx, whose deadline bounds every read and write of it.
func Login(ctx context.Context, cfg Config) (*Client, *Report, error) {
	return connect(ctx, cfg, algorithms)
}

// Prove is Login by a key where that is all: whatever Config says, no password
// is sent, and the connection ends once the login has come about. What it is
// protected by may be what costs least; see proofAlgorithms.
func Prove(ctx context.Context, cfg Config) (*Report, error) {
	cfg.Password = nil
	client, rep, err := connect(ctx, cfg, proofAlgorithms)
	if err == nil {
		client.Close()
	}
	return rep, err
}

func connect(ctx context.Context, cfg Config, offered ssh.Config) (*Client, *Report, error) {
	l := &login{ctx: ctx, cfg: cfg, rep: &Report{Stage: Dialling, Began: time.Now()}, attempt: "none"}
	if cfg.Trace == nil {
		l.cfg.Trace = func(string, ...any) {}
	}
	client, err := l.run(offered)
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

	next    int    // the next of cfg.Keys
	offer   *offer // the key under way
	refused int
	partial int    // how many attempts have counted so far
	tried   bool   // a password, in either form
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

	var hostKeyErr error
	var trusted []byte
	turned := make(chan struct{})
	sshConn, chans, reqs, err := ssh.NewClientConn(l.conn, "", &ssh.ClientConfig{
		Config:            offered,
		User:              l.cfg.User,
		HostKeyAlgorithms: l.cfg.HostKeyAlgorithms,
		ClientVersion:     "SSH-2.0-pi-key-tools",
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if trusted != nil { // a later key exchange of this connection
				if !bytes.Equal(key.Marshal(), trusted) {
					close(turned) // once: x/crypto ends the connection with the error
					return ErrHostKeyTurned
				}
				return nil
			}
			l.rep.Stage, l.rep.HostKey = HostKey, key
			if hostKeyErr = l.cfg.CheckHostKey(key, l.rep.Remote); hostKeyErr != nil {
				return hostKeyErr
			}
			l.rep.Stage, trusted = Auth, key.Marshal()
			l.rep.Handshake = time.Since(began) - l.rep.Connect
			return nil
		},
		BannerCallback: func(text string) error {
			l.rep.Banner += text[:min(len(text), max(0, 4096-len(l.rep.Banner)))]
			return nil
		},
		AuthCallback: l.authenticate,
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
		if hostKeyErr != nil {
			return nil, hostKeyErr
		}
		if silent.Load() && l.rep.ServerVersion == "" {
			return nil, ErrSilent
		}
		l.rep.Disconnect = disconnectMessage(err)
		return nil, named(err, turned)
	}
	l.rep.Stage, l.rep.By = LoggedIn, l.attempt
	if l.rep.Password == Unanswered {
		l.rep.Password = LogsIn
	}
	return &Client{ssh: ssh.NewClient(sshConn, chans, reqs), stop: stop, turned: turned, server: l.rep.ServerVersion}, nil
}

// named gives an error of x/crypto, which has no type, a name of ours.
func named(err error, turned <-chan struct{}) error {
	select {
	case <-turned: // x/crypto tells only that the connection has ended
		return ErrHostKeyTurned
	default:
	}
	if errors.Is(err, rsa.ErrVerification) || strings.Contains(err.Error(), "ssh: signature did not verify") {
		return fmt.Errorf("%w: %w", ErrHostKey, err)
	}
	return err
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
	if l.conn.lost() {
		return nil, io.ErrUnexpectedEOF
	}
	if err := context.Cause(l.ctx); err != nil {
		return nil, err
	}
	if l.exchange == nil {
		hostKey := l.rep.HostKey.Marshal()
		l.exchange = &Exchange{hostKey, ctx.Metadata.SessionID(), hostSignature(l.conn.clear(), hostKey)}
		if agreed, ok := ctx.Metadata.(ssh.AlgorithmsConnMetadata); ok {
			l.cfg.Trace("key exchange %s", agreed.Algorithms().KeyExchange)
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

	if slices.Contains(ctx.AllowedMethods, "publickey") {
		if l.cfg.MaxRefused > 0 && l.refused >= l.cfg.MaxRefused {
			l.rep.NotOffered = len(l.cfg.Keys) - l.next
		} else if l.next < len(l.cfg.Keys) {
			l.offer = &offer{ctx: l.ctx, key: l.cfg.Keys[l.next], exchange: *l.exchange, answer: Unanswered, writes: l.conn.writes(), late: l.rep.PasswordSent}
			l.next++
			l.attempt = "publickey"
			l.cfg.Trace("offering %s %s (%s)", l.offer.key.Public.Name(), l.offer.key.Public.Fingerprint(), l.offer.key.Name)
			return ssh.PublicKeys(l.offer), nil
		}
	}
	if l.cfg.Password != nil && !l.tried {
		takes := func(method string) bool {
			return slices.Contains(ctx.AllowedMethods, method) &&
				(l.cfg.PasswordMethods == nil || slices.Contains(l.cfg.PasswordMethods, method))
		}
		switch {
		case takes("password"):
			l.tried = true
			secret, err := l.password()
			if err != nil {
				return nil, err
			}
			l.attempt = "password"
			l.cfg.Trace("sending the password")
			l.rep.PasswordSent, l.rep.Password = true, Unanswered
			return ssh.Password(secret), nil
		case takes("keyboard-interactive"):
			l.tried = true
			l.attempt = "keyboard-interactive"
			return ssh.KeyboardInteractive(l.challenge), nil
		}
	}
	return nil, ErrDenied
}

func (l *login) password() (string, error) {
	secret, err := l.cfg.Password(l.ctx)
	if err != nil {
		l.rep.PasswordErr = err
		return "", err
	}
	return string(secret), nil
}

var (
	passwordPrompt = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)password`) })
	otherPrompt    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)new|current|retype|again|change|passphrase`) })
)

// challenge answers one hidden question for the password, once. Answering
// whatever is asked would walk into PAM's forced change of the password, or
// hand it to a prompt for something else.
func (l *login) challenge(_, _ string, questions []string, echos []bool) ([]string, error) {
	if len(questions) == 0 {
		return nil, nil
	}
	if l.rep.PasswordSent || len(questions) != 1 || echos[0] || !passwordPrompt().MatchString(questions[0]) || otherPrompt().MatchString(questions[0]) {
		e := &PromptError{Questions: questions}
		e.New = l.rep.PasswordSent && slices.ContainsFunc(questions, otherPrompt().MatchString)
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
	l.rep.PasswordSent, l.rep.Password = true, Unanswered
	return []string{secret}, nil
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
	case o.answer == Unanswered && !l.conn.lost() && !ended:
		o.answer = Refused
		if o.signed {
			o.answer = SignatureRefused
			if err := o.verify(); err != nil {
				o.answer, o.err = SignFailed, fmt.Errorf("%w: %w", ErrSignature, err)
			}
		}
		l.refused++
	}
	l.cfg.Trace("%s: %s", o.key.Public.Fingerprint(), o.answer)
	l.rep.Offers = append(l.rep.Offers, Offer{o.key, o.answer, o.err, o.late})
}

// An offer is the signer of one key. x/crypto asks the server about the key
// first and calls it only when the answer was yes.
type offer struct {
	ctx       context.Context
	key       Key
	exchange  Exchange
	answer    Answer
	writes    int // of the connection before it was offered
	late      bool
	signed    bool
	data      []byte // that was signed
	signature *ssh.Signature
	err       error
}

func (o *offer) PublicKey() ssh.PublicKey { return opaqueKey{o.key.Public} }

func (o *offer) Algorithms() []string {
	// A certificate signs as the key in it does.
	switch t := sshkey.PlainType(o.key.Public.Type); t {
	case ssh.KeyAlgoRSA:
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	default:
		return []string{t}
	}
}

func (o *offer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return o.SignWithAlgorithm(rand, data, "")
}

func (o *offer) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if o.key.Signer == nil {
		o.answer = Accepted
		return nil, errProbe
	}
	sig, err := o.sign(rand, data, algorithm)
	if err != nil {
		o.answer, o.err = SignFailed, err
		return nil, err
	}
	o.signed, o.data, o.signature = true, bytes.Clone(data), sig
	return sig, nil
}

// verify returns what is wrong with the signature; nil if it cannot be told.
func (o *offer) verify() error {
	public, err := ssh.ParsePublicKey(o.key.Public.Plain().Blob)
	if err != nil {
		return nil // a type that x/crypto does not know
	}
	return public.Verify(o.data, o.signature)
}

func (o *offer) sign(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := o.key.Signer(o.ctx, o.exchange)
	if err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// opaqueKey offers a key by its blob alone, so that one of a type that
// x/crypto does not know can be asked about too.
type opaqueKey struct{ public sshkey.Public }

func (k opaqueKey) Type() string    { return k.public.Type }
func (k opaqueKey) Marshal() []byte { return k.public.Blob }
func (k opaqueKey) Verify([]byte, *ssh.Signature) error {
	return errors.New("session: an opaque key verifies nothing")
}

// disconnect matches x/crypto's disconnectMsg, a type that it does not export.
var disconnect = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`ssh: disconnect, reason \d+: (".*")`) })

// disconnectMessage returns the words of the server's SSH_MSG_DISCONNECT.
func disconnectMessage(err error) string {
	if m := disconnect().FindStringSubmatch(err.Error()); m != nil {
		if text, err := strconv.Unquote(m[1]); err == nil {
			return text
		}
	}
	return ""
}

// versionLine finds "SSH-…" among the server's first lines (RFC 4253 section
// 4.2 lets others come before it).
func versionLine(start []byte) string {
	for line := range bytes.Lines(start) {
		if bytes.HasPrefix(line, []byte("SSH-")) && bytes.HasSuffix(line, []byte("\n")) {
			return string(bytes.TrimRight(line, "\r\n"))
		}
	}
	return ""
}

// A sniffer keeps the first bytes read: what a server says before its version,
// such as "Exceeded MaxStartups", is thrown away by x/crypto, and so is its
// signature of the key exchange.
type sniffer struct {
	net.Conn
	in    *bufio.Reader // of Conn: x/crypto reads the version a byte at a time
	spoke func()        // called when the version is there

	mu        sync.Mutex
	versioned bool   // it is there, and of SSH 2
	head      []byte // no more than maxClear; than maxStart, once clear has been called
	keyed     bool   // clear has been called
	err       error
	wrote     int // how often
}

const (
	maxStart = 4096 // of Report.Start
	// maxClear is enough for two packets of the largest size that RFC 4253
	// section 6.1 has everybody take: KEXINIT, and the reply.
	maxClear = 2*35000 + maxStart
)

func (s *sniffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.wrote++
	s.mu.Unlock()
	return s.Conn.Write(b)
}

func (s *sniffer) writes() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wrote
}

func newSniffer(conn net.Conn, spoke func()) *sniffer {
	// A small buffer: reads that are larger pass it by.
	return &sniffer{Conn: conn, in: bufio.NewReaderSize(conn, 256), spoke: spoke}
}

func (s *sniffer) Read(b []byte) (int, error) {
	n, err := s.in.Read(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.keyed {
		early := !s.versioned && len(s.head) < maxStart
		s.head = append(s.head, b[:min(n, maxClear-len(s.head))]...)
		if early && bytes.IndexByte(b[:n], '\n') >= 0 {
			version := versionLine(s.head)
			switch {
			case version == "":
			case !strings.HasPrefix(version, "SSH-2.0-") && !strings.HasPrefix(version, "SSH-1.99-"):
				return 0, ErrNotSSH2 // x/crypto would talk to it, and wait
			default:
				s.versioned = true
				s.spoke()
			}
		}
	}
	if err != nil {
		s.err = err
	}
	return n, err
}

func (s *sniffer) start() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.head), maxStart)
	return s.head[:n:n] // to which nothing is written any more
}

// clear returns what was read so far, once: no more is kept from then on.
func (s *sniffer) clear() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := s.head
	if s.keyed = true; len(head) > maxStart {
		s.head = slices.Clone(head[:maxStart])
	}
	return head
}

func (s *sniffer) lost() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// A Client is a connection that is logged in.
type Client struct {
	ssh    *ssh.Client
	stop   func() bool
	turned <-chan struct{} // closed when the host key changes
	server string          // its version
}

// Close ends the connection.
func (c *Client) Close() error {
	c.stop()
	return c.ssh.Close()
}

// Wait waits for the end of the connection, and lets go of what it held.
func (c *Client) Wait() {
	_ = c.ssh.Wait() // what ended it is told to those who use it
	c.stop()
}

// Alive asks the server for a sign of life: it answers what it does not know.
func (c *Client) Alive(ctx context.Context) bool {
	_, err := within(ctx, func() (bool, error) {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		return true, err
	})
	return err == nil
}

// DialTCP opens a connection from the far side, as a jump host does.
func (c *Client) DialTCP(ctx context.Context, address string) (net.Conn, error) {
	return c.ssh.DialContext(ctx, "tcp", address)
}

// maxOutput is how much of a command's output is kept, counted from its end:
// what a shell's start-up files print comes first and may be endless.
const maxOutput = 1 << 20

// Run runs a command line of ASCII in the far login shell and returns the last 1 MiB of
// what it wrote and its exit status. err means that the command has not ended
// with one in time: the connection ended, a signal killed the command, or the
// server refused it (ErrNoCommand).
func (c *Client) Run(ctx context.Context, command string) (stdout, stderr []byte, status int, err error) {
	fail := func(err error) ([]byte, []byte, int, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, nil, 0, fmt.Errorf("running a command there: %w", named(err, c.turned))
	}
	s, err := within(ctx, c.ssh.NewSession)
	if refused := (*ssh.OpenChannelError)(nil); errors.As(err, &refused) {
		return fail(fmt.Errorf("%w: %w", ErrNoCommand, refused))
	} else if err != nil {
		return fail(err)
	}
	defer s.Close()
	var out, errOut tail
	s.Stdout, s.Stderr = &out, &errOut
	if len(command) > dropbearCommand && strings.Contains(c.server, "dropbear") {
		s.Stdin = strings.NewReader(command)
		command = fromInput(len(command))
	}
	if err := s.Start(command); err != nil {
		// x/crypto's text for a request that was answered with no.
		if strings.HasPrefix(err.Error(), "ssh: command ") {
			err = ErrNoCommand
		}
		return fail(err)
	}
	if err := s.Wait(); err != nil {
		var exit *ssh.ExitError
		if !errors.As(err, &exit) || exit.Signal() != "" {
			return fail(err)
		}
		status = exit.ExitStatus()
	}
	// An exit status may have come although the rest of the output has not.
	if err := context.Cause(ctx); err != nil {
		return fail(err)
	}
	return out.bytes(), errOut.bytes(), status, nil
}

// dropbearCommand is the longest command line, in bytes, that dropbear takes
// (svr-chansession.c MAX_CMD_LEN); it hangs up at a longer one.
const dropbearCommand = 9000

// fromInput is the command line that runs another one, which comes on its
// standard input. A start-up file of the shell may have eaten from that: what
// is not there as a whole is not run.
func fromInput(length int) string {
	return fmt.Sprintf(`exec /bin/sh -c 's=$(dd bs=1 count=%[1]d 2>/dev/null); if [ ${#s} -eq %[1]d ]; then eval "$s"; else echo "the command was lost on the way" >&2; exit 1; fi'`, length)
}

// within bounds what x/crypto does for as long as ctx lasts. Opening a channel
// waits for ever if the connection ends at just that moment: mux.go loop() tells
// the channels that it knows of, and then closes the connection, between which
// one more can be opened.
func within[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// A tail keeps the last maxOutput bytes written.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.cut()
	return len(p), nil
}

// ReadFrom spares io.Copy its 32 KiB: most commands say next to nothing.
func (t *tail) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		t.b = slices.Grow(t.b, 512)
		n, err := r.Read(t.b[len(t.b):cap(t.b)])
		t.b = t.b[:len(t.b)+n]
		t.cut()
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

func (t *tail) cut() {
	if len(t.b) > 2*maxOutput {
		t.b = append(t.b[:0], t.b[len(t.b)-maxOutput:]...)
	}
}

func (t *tail) bytes() []byte { return t.b[max(0, len(t.b)-maxOutput):] }

// Deadline returns a context that ends after d, not counting the time between
// pause and resume: a person who types a password does not run out of the
// machine's time. The cause of its end is ErrTooSlow.
func Deadline(parent context.Context, d time.Duration) (ctx context.Context, pause, resume, cancel func()) {
	ctx, cancelCause := context.WithCancelCause(parent)
	var mu sync.Mutex
	left, since := d, time.Now()
	timer := time.AfterFunc(d, func() { cancelCause(ErrTooSlow) })
	pause = func() {
		mu.Lock()
		defer mu.Unlock()
		if timer.Stop() {
			left -= time.Since(since)
		}
	}
	resume = func() {
		mu.Lock()
		defer mu.Unlock()
		since = time.Now()
		timer.Reset(max(left, time.Millisecond))
	}
	return ctx, pause, resume, func() { timer.Stop(); cancelCause(nil) }
}

// ErrTooSlow is the cause of a context whose time for one target is up.
var ErrTooSlow = errors.New("the time for this target is up")
