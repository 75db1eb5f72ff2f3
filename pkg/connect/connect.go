// Package connect makes ready what `ssh TARGET` would do: the configuration
// that holds for a target, the way to dial it, its host key, the keys in the
// order in which ssh offers them, and where a password comes from.
package connect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/mdns"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshkey"
)

// Options are what a command line says for all its targets.
type Options struct {
	ConfigFile     string        // -F
	Jump           string        // -J
	User           string        // -l
	Port           int           // -p
	Options        []string      // -o KEY=VALUE
	HostKey        string        // --host-key SHA256:…
	PasswordFile   string        // --password-file
	Passwords      *secret.List  // --passwords; nil for none
	PassphraseFile string        // --passphrase-file
	Timeout        time.Duration // for all work on one target
	Home           string        // of the user who runs us
	Getenv         func(string) string
	// Dial, if set, takes the place of net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Note tells the user something about a target; Trace tells why, to the
	// one who asked.
	Note  func(target, format string, args ...any)
	Trace func(level int, target, format string, args ...any)
	// Hold, if set, keeps the terminal for whoever is asked for a secret, until
	// what it returns is called.
	Hold func() (release func())
}

// A Connector serves all targets of one run: configuration, known_hosts, the
// agent and secrets are read once. It is safe for concurrent use.
type Connector struct {
	opt         Options
	resolver    *sshconfig.Resolver
	passwords   secret.Source
	passphrases secret.Source
	hostKeys    hostKeyFiles
	tries       triesOf
	places      places
	machines    machines
	jumps       jumps
	neighbours  func(ctx context.Context, name string) ([]mdns.Machine, error)

	mu     sync.Mutex
	agents map[string]*agentState
	pairs  map[string]*pairState
}

// New returns the Connector of a run.
func New(opt Options) *Connector {
	life, end := context.WithCancel(context.Background())
	return &Connector{
		opt: opt,
		resolver: &sshconfig.Resolver{Home: opt.Home, Getenv: opt.Getenv,
			Trace: func(format string, args ...any) { opt.Trace(2, "", format, args...) }},
		passwords:   secret.Source{File: opt.PasswordFile, Getenv: opt.Getenv, Hold: opt.Hold},
		passphrases: secret.Source{File: opt.PassphraseFile, Getenv: opt.Getenv, Hold: opt.Hold},
		agents:      map[string]*agentState{},
		pairs:       map[string]*pairState{},
		neighbours:  mdns.Query,
		jumps:       jumps{life: life, end: end, by: map[string]*jump{}},
	}
}

// Close ends the connections to jump hosts and agents, and wipes the secrets that
// were read.
func (c *Connector) Close() {
	c.jumps.close()
	if c.opt.Passwords != nil {
		c.opt.Passwords.Wipe()
	}
	c.passwords.Forget()
	c.passphrases.Forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.agents {
		if a.agent != nil {
			a.agent.Close()
		}
	}
}

// A Host is one target, resolved.
type Host struct {
	Target   string // as given
	Config   *sshconfig.Host
	c        *Connector
	named    destination.Destination // the target, taken apart
	alone    *Options                // how to reach a jump host for its own sake; nil for a target
	password []byte                  // that was given for this host, for its next connection
	refused  bool                    // it was, by the host
	kept     time.Duration           // how long the last connection was kept waiting for it
	trying   *tries                  // that have let it be sent; nil if it is not
	seat     *seat                   // its place at its address; nil if it has none
	known    *[]knownhosts.Line      // of its host key; nil when they are to be looked up
}

// Host resolves a target.
func (c *Connector) Host(ctx context.Context, target string, d destination.Destination) (*Host, error) {
	// ssh(1): user@host wins over -l, host:port over -p, and both over -o.
	req := sshconfig.Request{Host: d.Host, User: d.User, Port: d.Port, Jump: c.opt.Jump,
		ConfigFile: c.opt.ConfigFile, Options: c.opt.Options}
	if req.User == "" {
		req.User = c.opt.User
	}
	if req.Port == 0 {
		req.Port = c.opt.Port
	}
	h, err := c.resolve(ctx, target, req)
	if err == nil {
		h.named = d
	}
	return h, err
}

func (c *Connector) resolve(ctx context.Context, target string, req sshconfig.Request) (*Host, error) {
	cfg, err := c.resolver.Resolve(ctx, req)
	if err != nil {
		return nil, err
	}
	c.opt.Trace(1, target, "%s is %s@%s port %d", req.Host, cfg.User, cfg.HostName, cfg.Port)
	return &Host{Target: target, Config: cfg, c: c}, nil
}

// ConfigFile names the user's configuration, that of -F or ~/.ssh/config, as a
// shell is told it; "" if none is read.
func (h *Host) ConfigFile() string {
	switch file := h.c.opt.ConfigFile; {
	case file == "":
		return "~/.ssh/config"
	case strings.EqualFold(file, "none"):
		return ""
	default:
		return hostfs.Quote(file)
	}
}

// Again is the command line that runs a program on this target with what this
// run was told about reaching it: a hint that can be pasted. What the run was
// told is not said of a jump host.
func (h *Host) Again(program string) string {
	words := []string{program}
	add := func(option, value string) {
		if value != "" {
			words = append(words, option, hostfs.Quote(value))
		}
	}
	o := h.c.opt
	if h.alone != nil {
		o = *h.alone
	}
	add("-F", o.ConfigFile)
	add("-J", o.Jump)
	add("-l", o.User)
	if o.Port != 0 {
		add("-p", strconv.Itoa(o.Port))
	}
	for _, option := range o.Options {
		add("-o", option)
	}
	addFile := func(option, file string) {
		// What the shell opened for this run is gone in the next.
		if !strings.HasPrefix(file, "/dev/fd/") && !strings.HasPrefix(file, "/proc/self/fd/") {
			add(option, file)
		}
	}
	if o.Passwords != nil {
		addFile("--passwords", o.Passwords.Path)
	}
	addFile("--password-file", o.PasswordFile)
	addFile("--passphrase-file", o.PassphraseFile)
	return strings.Join(append(words, hostfs.Quote(h.Target)), " ")
}

// Deadline returns a context that ends after the time for one target. A person
// who is asked for a secret has more: see session.Deadline.
func (c *Connector) Deadline(ctx context.Context) (context.Context, func()) {
	ctx, pause, resume, cancel := session.Deadline(ctx, c.opt.Timeout)
	return context.WithValue(ctx, clockKey{}, clock{pause, resume}), cancel
}

type clockKey struct{}
type clock struct{ pause, resume func() }

// stopClock has the target's clock stand still until resume is called.
func stopClock(ctx context.Context) (resume func()) {
	k, ok := ctx.Value(clockKey{}).(clock)
	if !ok {
		return func() {}
	}
	k.pause()
	return k.resume
}

// ask gets a secret, with the target's clock stopped where a person is asked. A
// file may be a pipe that nobody writes to.
func ask(ctx context.Context, from *secret.Source, prompt string) ([]byte, error) {
	if from.File == "" {
		defer stopClock(ctx)()
	}
	return from.Get(ctx, prompt)
}

// A Candidate is a key that could be offered to a host.
type Candidate struct {
	session.Key
	Pair   *identity.Pair // nil for a key that only the agent has
	Agent  bool           // the agent holds it
	Faults []identity.Fault
}

// HasPrivate reports whether this side could sign with the key, or at least
// has what it would take.
func (c Candidate) HasPrivate() bool {
	return c.Agent || (c.Pair != nil && !slices.Contains(c.Pair.Missing, "private"))
}

// Keys are what this side has for a host.
type Keys struct {
	Candidates []Candidate      // in the order in which ssh offers them
	Broken     []*identity.Pair // with no public half that could be offered
	Looked     []string         // the files that were looked for
	Unaccepted []Candidate      // kept back by PubkeyAcceptedAlgorithms
	AgentErr   *identity.AgentError
	AgentKeys  int // how many the agent holds; -1 if there is no agent
}

// MaxOffers is how many keys one connection offers at most: x/crypto gives up
// after 64 attempts of any kind.
const MaxOffers = 50

// Offers returns the keys as session.Login wants them.
func (k Keys) Offers() []session.Key {
	offers := make([]session.Key, len(k.Candidates))
	for i, c := range k.Candidates {
		offers[i] = c.Key
	}
	return offers
}

// Find returns the candidate for a public key.
func (k Keys) Find(public sshkey.Public) (Candidate, bool) {
	i := slices.IndexFunc(k.Candidates, func(c Candidate) bool { return c.Public.Equal(public) })
	if i < 0 {
		return Candidate{}, false
	}
	return k.Candidates[i], true
}

// IsCertificate reports whether it is a certificate rather than a key.
func (c Candidate) IsCertificate() bool { return sshkey.PlainType(c.Public.Type) != c.Public.Type }

// Keys collects the keys that ssh would offer to the host, in its order
// (sshconnect2.c pubkey_prepare): the certificates of CertificateFile, keys of
// the agent that identity files name, the agent's others unless IdentitiesOnly,
// then the files that no agent holds. Without a CertificateFile, the one in
// FILE-cert.pub goes after its key (ssh.c load_public_identity_files). extra
// files go before those of the configuration, as with ssh -i.
func (h *Host) Keys(ctx context.Context, extra ...string) Keys {
	keys := Keys{AgentKeys: -1}
	var files []Candidate
	for i, path := range slices.Concat(extra, h.Config.IdentityFiles) {
		keys.Looked = append(keys.Looked, path)
		s := h.c.pair(path)
		p, err := s.pair, s.err
		if err != nil {
			h.c.opt.Trace(1, h.Target, "%s: %v", path, err)
			continue
		}
		if p.Offered.Blob == nil {
			keys.Broken = append(keys.Broken, p)
			continue
		}
		c := Candidate{Key: session.Key{Public: p.Offered, Name: path, Signer: h.fileSigner(p)}, Pair: p, Faults: p.Faults}
		if strings.HasSuffix(path, ".pub") && i >= len(extra) {
			c.Pair, c.Faults, c.Signer = nil, nil, publicNamed(path) // whatever the private half is like
		}
		if i := slices.IndexFunc(files, func(f Candidate) bool { return f.Public.Equal(p.Offered) }); i >= 0 {
			if !files[i].HasPrivate() { // a copy of the public half was found first
				files[i] = c
			}
			continue
		}
		files = append(files, c)
		if cert, err := s.cert(); err == nil && len(h.Config.CertificateFiles) == 0 {
			c.Public = identity.PublicOf(cert)
			files = append(files, c)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.c.opt.Trace(1, h.Target, "%v", err)
		}
	}
	var both, agentOnly []Candidate
	agent, held, err := h.c.agent(ctx, h.Config.IdentityAgent)
	if err != nil {
		errors.As(err, &keys.AgentErr)
	} else {
		keys.AgentKeys = len(held)
	}
	for _, public := range held {
		key := session.Key{Public: public, Name: "agent", Signer: agentSigner(agent, public)}
		if i := slices.IndexFunc(files, func(f Candidate) bool { return f.Public.Equal(public) }); i >= 0 {
			key.Name = files[i].Name + " (agent)"
			if files[i].HasPrivate() {
				key.Signer = unlessRestricted(key.Signer, files[i].Signer)
			}
			both = append(both, Candidate{Key: key, Pair: files[i].Pair, Agent: true})
			files = slices.Delete(files, i, i+1)
		} else if !h.Config.IdentitiesOnly {
			agentOnly = append(agentOnly, Candidate{Key: key, Agent: true})
		}
	}
	certified := h.certificates(&keys, slices.Concat(both, agentOnly, files))
	for _, c := range slices.Concat(certified, both, agentOnly, files) {
		if h.accepts(c.Public) {
			keys.Candidates = append(keys.Candidates, c)
		} else {
			keys.Unaccepted = append(keys.Unaccepted, c)
		}
	}
	return keys
}

// certificates are those of CertificateFile, each with what signs for the key in
// it (sshconnect2.c sign_and_send_pubkey).
func (h *Host) certificates(keys *Keys, candidates []Candidate) []Candidate {
	var list []Candidate
	for _, path := range h.Config.CertificateFiles {
		keys.Looked = append(keys.Looked, path)
		cert, err := identity.LoadCertificate(path)
		if err != nil {
			h.c.opt.Trace(1, h.Target, "%v", err)
			continue
		}
		c := Candidate{Key: session.Key{Public: identity.PublicOf(cert), Name: path}}
		plain := c.Public.Plain()
		signs := func(k Candidate) bool { return k.Public.Equal(plain) && k.HasPrivate() }
		if i := slices.IndexFunc(candidates, signs); i >= 0 {
			c.Key.Signer, c.Pair, c.Agent, c.Faults = candidates[i].Signer, candidates[i].Pair, candidates[i].Agent, candidates[i].Faults
		} else {
			c.Key.Signer = func(context.Context, session.Exchange) (ssh.Signer, error) {
				return nil, &FaultError{path, identity.Fault{Cause: "key-missing", Path: path, Detail: "the private key that it certifies is not here"}}
			}
		}
		list = append(list, c)
	}
	return list
}

// publicNamed is of a public half that IdentityFile names: ssh uses it to choose
// a key of the agent, and finds no private key in it.
func publicNamed(path string) func(context.Context, session.Exchange) (ssh.Signer, error) {
	return func(context.Context, session.Exchange) (ssh.Signer, error) {
		return nil, &FaultError{path, identity.Fault{Cause: "key-missing", Path: path,
			Detail: "IdentityFile names the public half, which ssh uses only with an agent that holds the other",
			Hint:   "name the private one: IdentityFile " + strings.TrimSuffix(path, ".pub")}}
	}
}

// accepts reports whether ssh_config lets a key of this type, and of this length
// if it is RSA, be used. An RSA key signs by other names than its own.
func (h *Host) accepts(key sshkey.Public) bool {
	list, keyType := h.Config.PubkeyAcceptedAlgorithms, key.Type
	if plain := key.Plain(); plain.Type == ssh.KeyAlgoRSA && plain.Bits() < h.Config.RequiredRSASize {
		return false
	}
	if keyType == ssh.CertAlgoRSAv01 {
		return list == nil || slices.Contains(list, ssh.CertAlgoRSASHA512v01) || slices.Contains(list, ssh.CertAlgoRSASHA256v01)
	}
	if keyType == ssh.KeyAlgoRSA {
		return list == nil || slices.Contains(list, ssh.KeyAlgoRSASHA512) || slices.Contains(list, ssh.KeyAlgoRSASHA256)
	}
	return list == nil || slices.Contains(list, keyType)
}

// FaultError is why a private half that is here was not used: ssh would not
// read it either.
type FaultError struct {
	Path  string
	Fault identity.Fault
}

func (e *FaultError) Error() string { return e.Path + ": " + e.Fault.Detail }

// Hinders reports whether ssh does not use a pair for a fault of it.
func Hinders(p *identity.Pair, f identity.Fault) bool {
	switch f.Cause {
	case "key-mode", "key-damaged", "key-format", "key-pair-mismatch", "key-unreadable":
		return !p.IgnoredBySSH(f)
	}
	return false
}

// fileSigner opens the private half when the server would take the key.
func (h *Host) fileSigner(p *identity.Pair) func(context.Context, session.Exchange) (ssh.Signer, error) {
	return func(ctx context.Context, _ session.Exchange) (ssh.Signer, error) {
		if slices.Contains(p.Missing, "private") {
			return nil, &FaultError{p.Path, identity.Fault{Cause: "key-missing", Path: p.Path, Detail: "only the public half is here"}}
		}
		if i := slices.IndexFunc(p.Faults, func(f identity.Fault) bool { return Hinders(p, f) }); i >= 0 {
			return nil, &FaultError{p.Path, p.Faults[i]}
		}
		return h.c.signer(ctx, p, h.Config.BatchMode)
	}
}

// agentSigner has the agent sign for one login.
func agentSigner(a *identity.Agent, key sshkey.Public) func(context.Context, session.Exchange) (ssh.Signer, error) {
	return func(ctx context.Context, at session.Exchange) (ssh.Signer, error) {
		return a.BoundSigner(ctx, key, identity.Binding(at))
	}
}

// unlessRestricted uses the file of a key that the agent keeps for other
// destinations: ssh asks for the agent's list once it is bound, and finds such
// a key in its file only.
func unlessRestricted(agent, file func(context.Context, session.Exchange) (ssh.Signer, error)) func(context.Context, session.Exchange) (ssh.Signer, error) {
	return func(ctx context.Context, at session.Exchange) (ssh.Signer, error) {
		signer, err := agent(ctx, at)
		if errors.Is(err, identity.ErrRestricted) {
			return file(ctx, at)
		}
		return signer, err
	}
}

// pairState is a pair that has been read, and opened at most once.
type pairState struct {
	pair   *identity.Pair
	err    error
	cert   func() (*ssh.Certificate, error)
	turn   chan struct{} // held by who opens it, so that a passphrase is asked once for all targets
	signer ssh.Signer
}

func newPairState(p *identity.Pair, err error) *pairState {
	return &pairState{pair: p, err: err, cert: sync.OnceValues(p.Certificate), turn: make(chan struct{}, 1)}
}

// wait takes the turn. The target's clock stands still meanwhile: somebody is
// being asked for the passphrase that this target needs too.
func (s *pairState) wait(ctx context.Context) error {
	defer stopClock(ctx)()
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Connector) pair(path string) *pairState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.pairs[path]
	if !ok {
		s = newPairState(identity.Load(path))
		c.pairs[path] = s
	}
	return s
}

func (c *Connector) signer(ctx context.Context, p *identity.Pair, batch bool) (ssh.Signer, error) {
	c.mu.Lock()
	s := c.pairs[p.Path]
	if s == nil {
		s = newPairState(p, nil)
		c.pairs[p.Path] = s
	}
	c.mu.Unlock()
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.turn }()
	if s.signer == nil {
		signer, err := p.Signer(ctx, func(ctx context.Context) ([]byte, error) {
			return ask(ctx, c.source(&c.passphrases, batch), fmt.Sprintf("Enter passphrase for key '%s': ", p.Path))
		})
		if err != nil {
			return nil, err
		}
		s.signer = signer
	}
	return s.signer, nil
}

// source honours BatchMode, which ssh_config may set for one host.
func (c *Connector) source(s *secret.Source, batch bool) *secret.Source {
	if batch && s.File == "" {
		return &secret.Source{Batch: true, Getenv: c.opt.Getenv}
	}
	return s
}

// An agentState is an agent that has been asked for its keys, once a run.
type agentState struct {
	once  sync.Once
	agent *identity.Agent
	keys  []sshkey.Public
	err   error
}

// agentPatience is how long an agent may take to list its keys. It asks nobody
// for that.
const agentPatience = 2 * time.Second

func (c *Connector) agent(ctx context.Context, socket string) (*identity.Agent, []sshkey.Public, error) {
	c.mu.Lock()
	s, ok := c.agents[socket]
	if !ok {
		s = &agentState{}
		c.agents[socket] = s
	}
	c.mu.Unlock()
	s.once.Do(func() {
		// What holds for all targets must not depend on one target's time.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), agentPatience)
		defer cancel()
		if s.agent, s.err = identity.DialAgent(ctx, socket); s.err == nil {
			if s.keys, s.err = s.agent.Keys(ctx); s.err != nil {
				s.err = &identity.AgentError{Socket: socket, Err: s.err}
			}
		}
	})
	return s.agent, s.keys, s.err
}

// A Plan is what to log in with.
type Plan struct {
	Keys       []session.Key
	MaxRefused int             // see session.Config
	Password   bool            // may one be asked for
	Hold       <-chan struct{} // see session.Config
}

// Login makes a connection to the host. Where the server turns it away, since it
// has too many at the door or shuts our address out, it waits, and comes again as
// long as the time for one target lasts, for all that wait there together.
func (h *Host) Login(ctx context.Context, plan Plan) (*session.Client, *session.Report, error) {
	var turned func() (*session.Client, *session.Report, error)
	for once := true; ; {
		client, rep, err := h.login(ctx, plan)
		away := (*awayError)(nil)
		switch {
		case errors.As(err, &away) && turned != nil:
			return turned()
		case errors.As(err, &away): // as those heard who went there
			rep.Stage, rep.Start = session.Versions, away.said
			return nil, rep, err
		case h.turnedAway(ctx, rep, err):
			turned = func() (*session.Client, *session.Report, error) { return nil, rep, err }
		case once && err != nil && ctx.Err() == nil && h.kept > serverPatience && rep.Password == session.Unanswered && rep.Disconnect == "":
			// Who has typed a password had to wait for others to be asked, and sshd waits
			// no longer than LoginGraceTime. By now it is at hand.
			h.c.opt.Trace(1, h.Target, "the server has left while it waited for the password: once more")
			once = false
		default:
			if err != nil {
				h.depart()
			}
			return client, rep, err
		}
	}
}

// serverPatience is how long a server may be expected to wait for a password.
var serverPatience = 10 * time.Second

func (h *Host) login(ctx context.Context, plan Plan) (*session.Client, *session.Report, error) {
	gate, err := h.approach(ctx, plan.Password)
	if err != nil {
		return nil, &session.Report{Stage: session.Dialling, Began: time.Now()}, err
	}
	check, algorithms, err := h.hostKeyPolicy(ctx)
	if err != nil {
		return nil, &session.Report{Stage: session.Dialling}, err
	}
	cfg := session.Config{
		User:              h.Config.User,
		HostKeyAlgorithms: algorithms,
		CheckHostKey:      check,
		MaxRefused:        plan.MaxRefused,
		Hold:              plan.Hold,
		ConnectTimeout:    h.Config.ConnectTimeout,
		Trace:             func(format string, args ...any) { h.c.opt.Trace(1, h.Target, format, args...) },
	}
	if _, off := h.KeysOff(); !off {
		cfg.Keys = plan.Keys[:min(len(plan.Keys), MaxOffers)]
	}
	if methods := h.passwordMethods(); plan.Password && len(methods) > 0 {
		cfg.Password, cfg.PasswordMethods = h.askPassword, methods
	}
	// A context that ends takes the place of every other error; at which jump
	// host it ended is still to be known.
	var jump *JumpError
	var through *jumpConn
	cfg.Dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := h.dial(ctx, gate)
		errors.As(err, &jump)
		through, _ = conn.(*jumpConn)
		return conn, err
	}
	client, rep, err := session.Login(ctx, cfg)
	if err != nil && through != nil && ctx.Err() == nil {
		errors.As(through.why(), &jump)
	}
	h.c.machines.meet(h, rep)
	if h.trying != nil {
		answer := rep.Password
		switch {
		case rep.Booting(): // which says nothing of the password
			answer = ""
		case answer == session.Unanswered && rep.Disconnect != "": // as after MaxAuthTries
			answer = session.Refused
		}
		h.refused = answer == session.Refused
		h.trying.end(answer)
		h.trying = nil
	}
	if jump != nil {
		err = jump
	}
	return client, rep, err
}

// passwordMethods are those that ssh_config leaves for a password.
func (h *Host) passwordMethods() []string {
	methods := []string{}
	for method, on := range map[string]bool{"password": h.Config.PasswordAuthentication, "keyboard-interactive": h.Config.KbdInteractive} {
		if p := h.Config.PreferredAuthentications; on && (p == nil || slices.Contains(p, method)) {
			methods = append(methods, method)
		}
	}
	return methods
}

func (h *Host) askPassword(ctx context.Context) ([]byte, error) {
	if h.refused {
		return nil, ErrRefused
	}
	if h.alone != nil {
		// What was given is the target's. A jump host could keep it.
		from := &secret.Source{Batch: h.Config.BatchMode, Getenv: h.c.opt.Getenv, Hold: h.c.opt.Hold}
		return h.askFor(ctx, from)
	}
	began := time.Now()
	defer func() { h.kept = time.Since(began) }()
	if h.password == nil {
		secret, err := h.findPassword(ctx)
		if err != nil {
			return nil, err
		}
		h.password = secret
	}
	tries := h.c.tries.password(h.password)
	if err := tries.begin(ctx); err != nil {
		return nil, err
	}
	h.trying = tries
	return h.password, nil
}

// findPassword gets the host's own, or else the one for all that have none, or
// asks for it.
func (h *Host) findPassword(ctx context.Context) ([]byte, error) {
	if password, found := h.listedPassword(); found {
		return password, nil
	}
	password, err := h.askFor(ctx, h.c.source(&h.c.passwords, h.Config.BatchMode))
	if errors.Is(err, secret.ErrNobody) && h.c.opt.Passwords != nil {
		return nil, fmt.Errorf("%s has no line for this target, and %w", h.c.opt.Passwords.Path, err)
	}
	return password, err
}

func (h *Host) askFor(ctx context.Context, from *secret.Source) ([]byte, error) {
	at := h.named
	at.User, at.Host = h.Config.User, h.Config.Alias
	return ask(ctx, from, at.String()+"'s password: ")
}

// listedPassword is that of the line of --passwords which names the target as
// it was given or, else, with the user or the port that the target leaves to the
// configuration. A line that names less than the target is for another one.
func (h *Host) listedPassword() (password []byte, found bool) {
	if h.c.opt.Passwords == nil {
		return nil, false
	}
	at := h.named
	for _, at.Port = range []int{h.named.Port, h.Config.Port} {
		for _, at.User = range []string{h.named.User, h.Config.User} {
			if password, found := h.c.opt.Passwords.Find(at); found {
				return password, true
			}
		}
	}
	return nil, false
}

// PasswordGiven reports whether a file has a password for the host, so that
// nobody need be asked.
func (h *Host) PasswordGiven() bool {
	password, listed := h.listedPassword()
	secret.Wipe(password)
	return listed || h.c.opt.PasswordFile != ""
}

// Forget wipes the password that was given for the host, and lets the next
// target at its address begin.
func (h *Host) Forget() {
	secret.Wipe(h.password)
	h.depart()
}

// KeysOff reports whether ssh_config switches login by key off for the host,
// and where.
func (h *Host) KeysOff() (where string, off bool) {
	if !h.Config.PubkeyAuthentication {
		return "PubkeyAuthentication no, " + h.Config.Sources["pubkeyauthentication"], true
	}
	if p := h.Config.PreferredAuthentications; p != nil && !slices.Contains(p, "publickey") {
		return "PreferredAuthentications without publickey, " + h.Config.Sources["preferredauthentications"], true
	}
	return "", false
}

// Home returns the user's home for ~/.ssh: $HOME, as every shell's ~.
func Home(getenv func(string) string) (string, error) {
	if home := getenv("HOME"); filepath.IsAbs(home) {
		return filepath.Clean(home), nil
	}
	return os.UserHomeDir()
}
