// Package sshconfig knows what `ssh TARGET` would do: ssh_config(5), from the
// command line, the user's file and the system's, first value wins.
package sshconfig

import (
	"context"
	"time"
)

// A Request is the part of ssh's command line that decides, and the world
// around it.
type Request struct {
	Host       string   // as given: a name, an address or an alias
	User       string   // of user@host or -l; "" if not given
	Port       int      // of host:port or -p; 0 if not given
	Jump       string   // -J; "" if not given
	ConfigFile string   // -F; "" for the user's and the system's, "none" for none
	Options    []string // -o KEY=VALUE, in order
}

// A Host is what holds for one target. Tokens and ~ are expanded.
type Host struct {
	Alias                    string // as given
	HostName                 string
	User                     string
	Port                     int
	IdentityFiles            []string // in the order ssh tries them
	IdentityFilesSet         bool     // named by somebody, not ssh's own defaults
	CertificateFiles         []string
	IdentitiesOnly           bool
	IdentityAgent            string // socket path; "" for none
	ProxyJump                string // as ssh_config has it: "user@a:22,b"; "" for none
	ProxyCommand             string // tokens expanded, for /bin/sh; "" for none
	UserKnownHostsFiles      []string
	GlobalKnownHostsFiles    []string
	HostKeyAlias             string
	HostKeyAlgorithms        []string // nil: ssh's default
	HashKnownHosts           bool
	StrictHostKeyChecking    string        // "yes", "no", "ask", "accept-new"
	ConnectTimeout           time.Duration // 0: none
	BatchMode                bool
	PubkeyAuthentication     bool
	PasswordAuthentication   bool
	KbdInteractive           bool
	PreferredAuthentications []string
	PubkeyAcceptedAlgorithms []string          // nil: ssh's default
	AddressFamily            string            // "any", "inet", "inet6"
	Sources                  map[string]string // lower-case keyword: FILE:LINE that set it, where known
}

// A Resolver answers for many targets.
type Resolver struct {
	Home   string              // of the user, for ~/.ssh/config and ~
	Getenv func(string) string // SSH_AUTH_SOCK, for ${VAR}
	// Trace, if set, is told why each answer is what it is.
	Trace func(format string, args ...any)
}

// CheckOption says what is wrong with an -o KEY=VALUE: a key that ssh does not
// know, or one that these commands do not honour, is an error, not silence.
func CheckOption(option string) error { panic("unwritten") }

// Resolve returns what holds for the request.
func (r *Resolver) Resolve(ctx context.Context, req Request) (*Host, error) { panic("unwritten") }
