// Package knownhosts reads and edits known_hosts as ssh does: a line it cannot
// read is skipped, not fatal, and what is not ours stays byte for byte.
// Source: sshd(8) SSH_KNOWN_HOSTS FILE FORMAT; hostfile.c, match.c.
package knownhosts

import "pi-key-tools/pkg/sshkey"

// A File is the content of one known_hosts file.
type File struct {
	Path string // for messages only
	Data []byte
}

// A Line is one that speaks of the host that was asked for.
type Line struct {
	Path   string
	Number int    // from 1
	Marker string // "", "@cert-authority", "@revoked"
	Key    sshkey.Public
}

// Name returns how known_hosts writes a host: lower case, "[host]:port" unless
// the port is 22.
func Name(host string, port int) string { panic("unwritten") }

// Lookup returns the lines of the files that match the name (see Name), in
// their order: hashed ones, wildcards and negation as ssh does it.
func Lookup(files []File, name string) []Line { panic("unwritten") }

// A Status is what known_hosts says of a key that a host has shown.
type Status int

// In the order of their weight: a revoked key is refused whatever else is said.
const (
	Unknown Status = iota // no line of that name (for any key type)
	Known                 // a line has this key
	Changed               // there are lines, none has this key
	Revoked               // an @revoked line has this key, or the CA that signed it
)

// Judge says what the lines of a host say of the key it has shown. For a host
// certificate ca is the key that signed it, and Known means an @cert-authority
// line has ca; else ca is the zero Public. Validity and principals of a
// certificate are the caller's to check. The lines that decided come back:
// the matching one, all for Changed, the revoking one.
func Judge(lines []Line, key, ca sshkey.Public) (Status, []Line) { panic("unwritten") }

// Algorithms orders the host key algorithms that a client should offer, as
// ssh's order_hostkeyalgs() does: the ones for key types that the lines have
// come first, so that a host known by its ed25519 key shows that one and not
// another that looks like a change. defaults is the preference of ssh.
func Algorithms(lines []Line, defaults []string) []string { panic("unwritten") }

// Append returns data with a line for the names (see Name) and the key added,
// its names hashed if hash is set (one line a name, as ssh does it). salt is
// called for the 20 random bytes of each hashed name.
func Append(data []byte, names []string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	panic("unwritten")
}

// Replace removes what the file says of the names (plain keys only: markers
// and other names on the same line stay) and appends the new key. Every other
// line stays byte for byte.
func Replace(data []byte, names []string, key sshkey.Public, hash bool, salt func() []byte) []byte {
	panic("unwritten")
}
