// Package connect prepares what `ssh TARGET` would do: the configuration for a
// target, the way to dial it, its host key, the keys in the order in which ssh
// offers them, and the source of its password.
package connect

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/mdns"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshconfig"
)

// Options are what a command line says about all its targets.
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
	// Dial, if set, replaces net.Dialer's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Note tells the user something about a target; Trace explains, to a user
	// who asked for it.
	Note  func(target, format string, args ...any)
	Trace func(level int, target, format string, args ...any)
	// Hold, if set, reserves the terminal for a prompt for a secret, until
	// release is called.
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

// Close closes the connections to jump hosts and agents, and wipes the secrets
// that were read.
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
	asked    bool                    // for a password, in the login under way
	refused  bool                    // it was, by the host
	trailing bool                    // it came from a file, and ends in a blank
	kept     time.Duration           // how long the last connection was kept waiting for it
	trying   *tries                  // that have let it be sent; nil if it is not
	given    []*tries                // of each that somebody was asked for
	seat     *seat                   // its place at its address; nil if it has none
	known    *[]knownhosts.Line      // of its host key; nil when they are to be looked up
	unread   bool                    // a file of such could not be read, and may have the host
	closed   string                  // one that may not be read
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

// ConfigFile returns the path of the user's configuration, from -F or
// ~/.ssh/config, quoted for a shell; "" if none is read.
func (h *Host) ConfigFile() string {
	switch file := h.c.opt.ConfigFile; {
	case file == "":
		return "~/.ssh/config"
	case strings.EqualFold(file, "none"):
		return ""
	default:
		return sh.Quote(file)
	}
}

// Again returns the command line that runs a program on this target with the
// options by which this run reaches it: a hint that can be pasted. Options of
// this run are not applied to a jump host.
func (h *Host) Again(program string) string { return h.again(program, nil) }

// AgainByPassword is Again for a program that may have to log in by password,
// to a server that offers these methods; nil if they are unknown. Whatever
// keeps this run from giving one is undone: an option is left out, and a line
// of ssh_config is overridden by one.
func (h *Host) AgainByPassword(program string, methods []string) string {
	return h.again(program, h.back(methods))
}

// check is Again for pikeycheck with an option, to log in by key alone.
func (h *Host) check(option string) string {
	return strings.Join(append(h.reach("pikeycheck "+option, nil), sh.Quote(h.Target)), " ")
}

// SSH returns the ssh command line for this target, for a person at a terminal.
func (h *Host) SSH() string {
	back := h.back(nil)
	if h.Config.BatchMode { // whatever file there is for us
		back["batchmode"] = "BatchMode=no"
	}
	words := h.reach("ssh", back)
	for _, word := range h.named.SSH() {
		words = append(words, sh.Quote(word))
	}
	return strings.Join(words, " ")
}

// back are the options, by their keywords, that let a person give a password for
// which the server has these methods, where this run may not.
func (h *Host) back(methods []string) map[string]string {
	takes := func(method string) bool { return methods == nil || slices.Contains(methods, method) }
	asks := func(method string) bool {
		return (method == "password" || method == "keyboard-interactive") && takes(method)
	}
	may, preferred := slices.ContainsFunc(h.passwordMethods(), takes), h.Config.PreferredAuthentications
	back := map[string]string{}
	for _, o := range []struct {
		forbids    bool
		key, value string
	}{
		{!may && !h.Config.PasswordAuthentication && takes("password"), "PasswordAuthentication", "yes"},
		{!may && !h.Config.KbdInteractive && takes("keyboard-interactive"), "KbdInteractiveAuthentication", "yes"},
		{!may && preferred != nil && !slices.ContainsFunc(preferred, asks), "PreferredAuthentications", "publickey,keyboard-interactive,password"},
		{h.Config.BatchMode && !h.PasswordGiven(), "BatchMode", "no"},
	} {
		if o.forbids {
			back[strings.ToLower(o.key)] = o.key + "=" + o.value
		}
	}
	return back
}

func (h *Host) again(program string, back map[string]string) string {
	words, o := h.reach(program, back), h.told()
	addFile := func(option, file string) {
		// What the shell opened for this run is gone in the next.
		if file != "" && !strings.HasPrefix(file, "/dev/fd/") && !strings.HasPrefix(file, "/proc/self/fd/") {
			words = append(words, option, sh.Quote(file))
		}
	}
	if o.Passwords != nil {
		addFile("--passwords", o.Passwords.Path)
	}
	addFile("--password-file", o.PasswordFile)
	addFile("--passphrase-file", o.PassphraseFile)
	return strings.Join(append(words, sh.Quote(h.Target)), " ")
}

// told is what the run was told about this host.
func (h *Host) told() Options {
	if h.alone != nil {
		return *h.alone
	}
	return h.c.opt
}

// reach are the words of a command line that ours and ssh read alike. The options
// that set a keyword of back are left out. Where none does, or a line of
// ssh_config would count then, there is the one that back has for it.
func (h *Host) reach(program string, back map[string]string) []string {
	words, o := []string{program}, h.told()
	add := func(option, value string) {
		if value != "" {
			words = append(words, option, sh.Quote(value))
		}
	}
	add("-F", o.ConfigFile)
	add("-J", o.Jump)
	if h.named.User == "" { // else that is who it is
		add("-l", o.User)
	}
	if h.named.Port == 0 && o.Port != 0 {
		add("-p", strconv.Itoa(o.Port))
	}
	for _, option := range o.Options {
		if _, out := back[sshconfig.OptionKeyword(option)]; !out {
			add("-o", option)
		}
	}
	for _, keyword := range slices.Sorted(maps.Keys(back)) {
		if h.Config.SetTwice[keyword] || !slices.ContainsFunc(o.Options, func(option string) bool { return sshconfig.OptionKeyword(option) == keyword }) {
			add("-o", back[keyword])
		}
	}
	return words
}

// Deadline returns a context that ends after the time for one target. A person
// who is asked for a secret gets more: see session.Deadline.
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

// A Plan says what to log in with.
type Plan struct {
	Keys       []session.Key
	MaxRefused int             // see session.Config
	Password   bool            // whether one may be asked for
	Hold       <-chan struct{} // see session.Config
	// Proof means that the login is an end in itself: no password is sent, and
	// no client is returned. See session.Prove.
	Proof bool
}

// Login connects to the host. If the server turns it away, because too many are
// logging in or it blocks our address, Login waits and retries as long as the
// time for one target lasts, on behalf of all that wait there together.
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
			h.c.opt.Trace(1, h.Target, "the server disconnected while it waited for the password: trying once more")
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
	rep := &session.Report{Stage: session.Dialling, Began: time.Now()}
	gate, err := h.approach(ctx, plan.Password)
	if err != nil {
		return nil, rep, err
	}
	h.asked = false
	cfg, err := h.sessionConfig(ctx, plan)
	if err != nil {
		return nil, rep, err
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
	var client *session.Client
	if plan.Proof {
		rep, err = session.Prove(ctx, cfg)
	} else {
		client, rep, err = session.Login(ctx, cfg)
	}
	if err != nil && through != nil && ctx.Err() == nil {
		errors.As(through.why(), &jump)
	}
	h.c.machines.meet(h, rep)
	h.endTrying(rep)
	if jump != nil {
		err = jump
	}
	return client, rep, err
}

// sessionConfig is how to log in by a plan, but for how to dial.
func (h *Host) sessionConfig(ctx context.Context, plan Plan) (session.Config, error) {
	check, algorithms, err := h.hostKeyPolicy(ctx)
	if err != nil {
		return session.Config{}, err
	}
	cfg := session.Config{
		User:              h.Config.User,
		HostKeyAlgorithms: algorithms,
		CheckHostKey:      check,
		MaxRefused:        plan.MaxRefused,
		Hold:              plan.Hold,
		ConnectTimeout:    h.Config.ConnectTimeout,
		KeyAlgorithms:     h.Config.PubkeyAcceptedAlgorithms,
		Trace:             func(format string, args ...any) { h.c.opt.Trace(1, h.Target, format, args...) },
	}
	if err := h.protect(&cfg); err != nil {
		return cfg, err
	}
	if _, off := h.KeysOff(); !off {
		cfg.Keys = plan.Keys[:min(len(plan.Keys), MaxOffers)]
	}
	if methods := h.passwordMethods(); plan.Password && len(methods) > 0 {
		cfg.Password, cfg.PasswordTries, cfg.PasswordMethods = h.askPassword, h.passwordTries(), methods
	}
	return cfg, nil
}

// endTrying tells those for whom the password is tried too what became of it.
func (h *Host) endTrying(rep *session.Report) {
	if h.trying == nil {
		return
	}
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

// Forget wipes the password given for the host, and lets the next target at its
// address begin.
func (h *Host) Forget() {
	secret.Wipe(h.password)
	h.depart()
}
