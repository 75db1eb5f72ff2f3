// Package sshconfig determines what `ssh TARGET` would do: ssh_config(5), from
// the command line, the user's file and the system's, first value wins.
//
// It evaluates the files itself, as readconf.c, misc.c and ssh.c of OpenSSH 9.2
// to 10.x do. It asks `ssh -T -G` what it cannot know: Match exec, hostname
// canonicalization, what versions of ssh disagree about; and once a run,
// whether it accepts the lines that are not evaluated here. A file without
// these costs no process.
package sshconfig

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/confline"
)

// A Request is the part of ssh's command line that determines the
// configuration, and the environment around it.
type Request struct {
	Host       string   // as given: a name, an address or an alias
	User       string   // of user@host or -l; "" if not given
	Port       int      // of host:port or -p; 0 if not given
	Jump       string   // -J; "" if not given
	ConfigFile string   // -F; "" for the user's and the system's, "none" for none
	Options    []string // -o KEY=VALUE, in order; they go before User, Port and Jump
}

// A Host is the configuration of one target. Tokens and ~ are expanded.
type Host struct {
	Alias                    string // as given
	HostName                 string
	User                     string
	Port                     int
	IdentityFiles            []string // in the order ssh tries them
	CertificateFiles         []string
	RequiredRSASize          int // bits; shorter RSA keys are not used
	IdentitiesOnly           bool
	IdentityAgent            string // socket path; "" for none
	ProxyJump                string // as in ssh_config: "user@a:22,b"; "" for none
	ProxyCommand             string // tokens expanded, for /bin/sh; "" for none
	UserKnownHostsFiles      []string
	GlobalKnownHostsFiles    []string
	KnownHostsCommand        string   // as in ssh_config, see KnownHostsArguments; "" for none
	RevokedHostKeys          []string // files of keys that no host may show
	HostKeyAlias             string
	HostKeyAlgorithms        []string // nil: ssh's default, of which ssh prefers those that it has keys on file for
	HashKnownHosts           bool
	StrictHostKeyChecking    string        // "yes", "no", "ask", "accept-new"
	ConnectTimeout           time.Duration // 0: none
	BatchMode                bool
	PasswordPrompts          int // how often a person is asked for one password or passphrase; 0: never
	PubkeyAuthentication     bool
	PasswordAuthentication   bool
	KbdInteractive           bool
	PreferredAuthentications []string          // nil: ssh's default
	PubkeyAcceptedAlgorithms []string          // nil: ssh's default
	KexAlgorithms            []string          // the same
	Ciphers                  []string          // the same
	MACs                     []string          // the same
	AddressFamily            string            // "any", "inet", "inet6"
	BindAddress              string            // of this machine, to connect from; "" for any
	BindInterface            string            // the same by the name of an interface
	Sources                  map[string]string // lower-case keyword: FILE:LINE that set it, where known
	SetTwice                 map[string]bool   // lower-case keyword: a file may set it too, for which the command line does

	tokens map[byte]string
	getenv func(string) string
}

// KnownHostsArguments splits KnownHostsCommand as ssh does, which runs it
// without a shell (sshconnect.c load_hostkeys_command()). more has the tokens
// that depend on the server's key: H I K f t. A command that is not properly
// quoted has no arguments.
func (h *Host) KnownHostsArguments(more map[byte]string) ([]string, error) {
	words, ok := confline.Command(h.KnownHostsCommand)
	if !ok || len(words) == 0 {
		return nil, nil
	}
	tokens := maps.Clone(h.tokens)
	maps.Copy(tokens, more)
	for i, w := range words[1:] {
		var err error
		if words[i+1], err = expand(w, tokens, h.getenv); err != nil {
			return nil, err
		}
	}
	return words, nil
}

// A Resolver resolves many targets, several at a time. It reads each file once:
// later changes on disk are not seen. Its fields must not be changed after the
// first call.
type Resolver struct {
	// Home is the user's, for ~/.ssh/config and ~; "" means the one in passwd.
	// ssh uses passwd's and ignores $HOME; here the caller decides, and ssh is
	// not asked about a home other than the one it would use.
	Home string
	// Getenv is for SSH_AUTH_SOCK and ${VAR}; nil means os.Getenv. An empty
	// variable counts as unset. What ssh is asked, it answers by the
	// environment of this process.
	Getenv func(string) string
	// SystemFile is read after the user's; "" means /etc/ssh/ssh_config, on
	// Windows %ProgramData%\ssh\ssh_config.
	SystemFile string
	// Trace, if set, is called to explain each answer. It must be safe for
	// concurrent use.
	Trace func(format string, args ...any)

	local func() (local, error) // set once, see setUp
	setUp sync.Once
	mu    sync.Mutex
	files map[string]configFiles // by Request.ConfigFile
	told  sync.Map               // what Trace was told already, where once is enough

	confirming chan struct{}    // held by who asks; made by setUp
	confirmed  map[string]error // by Request.ConfigFile: what ssh says of lines in doubt
}

// configFiles is what Resolver remembers of one ConfigFile.
type configFiles struct {
	files []*file
	err   error
}

// local is this side: what ssh takes from passwd and from the kernel.
type local struct {
	user, uid  string
	home       string // that ~ stands for
	passwdHome string // that ssh would take
	hostname   string
}

// A SyntaxError is a line at which ssh gives up.
type SyntaxError struct {
	At     string // FILE:LINE, or "command line -o"
	Reason string
}

func (e *SyntaxError) Error() string { return e.At + ": " + e.Reason }

// A PermissionError is a configuration file that ssh refuses to read, because
// others than its owner may write it or because a stranger owns it. A file
// named by -F is not checked, but what it includes is.
type PermissionError struct {
	Path string
	Mode os.FileMode
	UID  int
}

func (e *PermissionError) Error() string {
	return fmt.Sprintf("bad owner or permissions on %s: owner uid %d, mode %04o; ssh wants it to be yours or root's, and chmod go-w",
		e.Path, e.UID, e.Mode.Perm())
}

// A WaitError means that a file has no end in the time there is, such as a pipe
// that nobody writes to.
type WaitError struct{ Path string }

func (e *WaitError) Error() string {
	return e.Path + ": it was not read to its end in the time for one target; is it a pipe?"
}

// Resolve returns the configuration for the request. The error is a
// *SyntaxError for a line, and a *PermissionError for a file, that ssh refuses,
// or a *WaitError.
func (r *Resolver) Resolve(ctx context.Context, req Request) (*Host, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if req.Host == "" || req.Host[0] == '-' || strings.ContainsAny(req.Host, "@/") {
		return nil, fmt.Errorf("not a host: %q", req.Host)
	}
	r.setUp.Do(func() {
		r.local, r.confirming = sync.OnceValues(r.lookAround), make(chan struct{}, 1)
	})
	here, err := r.local()
	if err != nil {
		return nil, err
	}
	e := &evaluation{r: r, local: here, alias: req.Host, host: req.Host, values: make(map[string]value)}
	if err := e.commandLine(req); err != nil {
		return nil, err
	}
	files, err := r.load(ctx, req.ConfigFile, here)
	if err != nil {
		return nil, err
	}
	err = e.run(files)
	if _, refused := errors.AsType[*PermissionError](err); refused {
		return nil, err
	}
	if len(e.unsure) > 0 {
		if ssh := r.askable(req, here); ssh != "" {
			answer, err := r.ask(ctx, ssh, req, e)
			if err != nil {
				return nil, err
			}
			// What nobody has set is ssh's default, whatever version it is.
			maps.DeleteFunc(answer.values, func(name string, _ value) bool {
				return keywords()[name].kind == takesAlgorithms && !e.has(name) && !mentioned(files, name)
			})
			return answer.result()
		}
		for _, why := range e.unsure {
			r.traceOnce("%s: skipped, there is no ssh here that could be asked", why)
		}
	}
	if err != nil {
		return nil, err
	}
	if err := r.confirm(ctx, req, here, e, files); err != nil {
		return nil, err
	}
	return e.result()
}

// confirm has ssh say, once for a ConfigFile, whether it takes the lines that are
// not looked at here: one that it does not take ends it for every target. e is of
// a target for which ssh runs nothing.
func (r *Resolver) confirm(ctx context.Context, req Request, here local, e *evaluation, files []*file) error {
	at := doubt(files)
	if at == "" {
		return nil
	}
	ssh := r.askable(req, here)
	if ssh == "" {
		return nil
	}
	select {
	case r.confirming <- struct{}{}:
		defer func() { <-r.confirming }()
	case <-ctx.Done():
		return fmt.Errorf("waiting for what ssh -G says: %w", ctx.Err())
	}
	err, known := r.confirmed[req.ConfigFile]
	if known {
		return err
	}
	e.unsure = []string{at + ": what is not looked at"}
	if _, err = r.ask(ctx, ssh, req, e); ctx.Err() != nil {
		return err
	}
	if r.confirmed == nil {
		r.confirmed = make(map[string]error)
	}
	r.confirmed[req.ConfigFile] = err
	return err
}

// doubt is the place of the first line that some ssh may refuse; "" for none.
func doubt(files []*file) string {
	for _, f := range files {
		for _, d := range f.lines {
			if d.doubt {
				return d.at
			}
			if at := doubt(d.include); at != "" {
				return at
			}
		}
	}
	return ""
}

// mentioned reports whether a file may have a line for a keyword.
func mentioned(files []*file, name string) bool {
	return slices.ContainsFunc(files, func(f *file) bool {
		return slices.ContainsFunc(f.lines, func(d *directive) bool {
			is := d.keyword != nil && (d.keyword.name == name || d.keyword.kind == isInclude && d.unsure != "")
			return is || mentioned(d.include, name)
		})
	})
}

// lookAround finds out what ssh takes from passwd and from the kernel.
func (r *Resolver) lookAround() (local, error) {
	u, err := user.Current()
	if err != nil {
		return local{}, fmt.Errorf("finding the local user's name: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return local{}, fmt.Errorf("finding this machine's name: %w", err)
	}
	here := local{user: u.Username, uid: u.Uid, home: r.Home, passwdHome: u.HomeDir, hostname: name}
	here.user = here.user[strings.LastIndexByte(here.user, '\\')+1:] // Windows: DOMAIN\name
	if here.home == "" {
		here.home = u.HomeDir
	}
	return here, nil
}

// getenv returns "" for a variable that is not set.
func (r *Resolver) getenv(name string) string {
	if r.Getenv == nil {
		return os.Getenv(name)
	}
	return r.Getenv(name)
}

func (r *Resolver) trace(format string, args ...any) {
	if r.Trace != nil {
		r.Trace(format, args...)
	}
}

// traceOnce is for what holds for many targets alike.
func (r *Resolver) traceOnce(format string, args ...any) {
	if r.Trace == nil {
		return
	}
	if _, again := r.told.LoadOrStore(fmt.Sprintf(format, args...), true); !again {
		r.Trace(format, args...)
	}
}

// commandLine takes what the command line sets: the options, then the rest of
// the request. ssh goes by the order in which they were typed, which nobody
// tells us; where that order would decide more than which of two equal
// settings wins, it is an error.
func (e *evaluation) commandLine(req Request) error {
	for _, option := range req.Options {
		if err := CheckOption(option); err != nil {
			return err
		}
		d := parseOption(option)
		if d == nil {
			continue
		}
		decide := e.set
		if d.keyword.kind == takesPath {
			decide = func(d *directive, active bool) error { return e.add(d, active, true) }
		}
		if err := decide(d, true); err != nil {
			return err
		}
	}
	if req.User != "" {
		e.setFirst("user", []string{req.User}, commandLine)
	}
	if req.Port < 0 || req.Port > 65535 {
		return fmt.Errorf("bad port %d", req.Port)
	}
	if req.Port != 0 {
		e.setFirst("port", []string{strconv.Itoa(req.Port)}, commandLine)
	}
	if req.Jump != "" {
		if e.has("proxyjump") || e.has("proxycommand") {
			return errors.New("-J cannot be combined with -o ProxyJump or -o ProxyCommand")
		}
		jump, err := parseJump(req.Jump)
		if err != nil {
			return fmt.Errorf("invalid -J %q: %w", req.Jump, err)
		}
		e.setJump(jump, commandLine)
	}
	return nil
}
