// Package authorizedkeys reads authorized_keys as sshd does, and never prints
// it anew: what is not ours stays byte for byte.
// Source: sshd(8) AUTHORIZED_KEYS FILE FORMAT; auth2-pubkeyfile.c, auth-options.c.
package authorizedkeys

import "pi-key-tools/pkg/sshkey"

// An Entry is one line that is neither blank nor a comment.
type Entry struct {
	Line    int           // from 1
	Key     sshkey.Public // zero if the line holds no key that sshd would read
	Options []Option      // in order
	Dead    string        // why sshd passes the line by; "" if it is live
}

// An Option is one of an entry's options.
type Option struct {
	Name  string // lower case
	Value string // unquoted; "" for a flag
}

// Restricts reports whether the entry lets less in than a bare key would:
// from=, command=, expiry-time=, restrict, no-pty, cert-authority ….
func (e Entry) Restricts() bool { panic("unwritten") }

// ParseLine reads one line, without its newline. ok is false for a blank line
// and for a comment.
func ParseLine(line []byte) (e Entry, ok bool) { panic("unwritten") }

// Entries reads a whole file.
func Entries(data []byte) []Entry { panic("unwritten") }

// Find returns the live entries for a key.
func Find(data []byte, key sshkey.Public) []Entry { panic("unwritten") }

// Append returns data with lines added, each ended by a newline; a missing
// newline at the end of data is added first. data is not changed in place.
func Append(data []byte, lines ...string) []byte { panic("unwritten") }
