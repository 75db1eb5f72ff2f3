// Package authorizedkeys reads authorized_keys as sshd does, and edits it
// without reprinting it: what is not ours stays byte for byte.
// Source: sshd(8) AUTHORIZED_KEYS FILE FORMAT; auth2-pubkeyfile.c, auth-options.c.
package authorizedkeys

import (
	"bytes"
	"slices"
	"strings"

	"pi-key-tools/pkg/sshkey"
)

// An Entry is one line that is neither blank nor a comment.
type Entry struct {
	Line    int           // from 1
	Key     sshkey.Public // zero if the line holds no key that sshd would read
	Options []Option      // in order
	Dead    string        // why sshd skips the line; "" if it is live
}

// An Option is one of an entry's options.
type Option struct {
	Name  string // lower case
	Value string // unquoted; "" for a flag
}

// unrestricting are the options that take nothing from what a bare key may.
var unrestricting = []string{
	"agent-forwarding", "environment", "no-touch-required", "no-verify-required",
	"port-forwarding", "pty", "touch-required", "user-rc", "x11-forwarding",
}

// Restricts reports whether the entry allows less than a bare key would: from=,
// command=, expiry-time=, restrict, no-pty, cert-authority ….
func (e Entry) Restricts() bool {
	return slices.ContainsFunc(e.Options, func(o Option) bool {
		return !slices.Contains(unrestricting, o.Name)
	})
}

// ParseLine reads one line, without its newline. ok is false for a blank line
// or a comment.
//
// An entry is live if there are a client, an address and a time for which sshd
// accepts it: whether expiry-time= has passed or from= names the client's
// address does not matter. A well-formed key of a type that OpenSSH 9.2 does
// not know counts as live, since a newer sshd may know it.
func ParseLine(line []byte) (e Entry, ok bool) {
	text, hasNUL := string(line), false
	if i := strings.IndexByte(text, 0); i >= 0 { // the C string ends here
		text, hasNUL = text[:i], true
	}
	text = strings.TrimLeft(text, " \t")
	switch {
	case text == "" && hasNUL:
		return Entry{Dead: "starts with NUL bytes, and sshd reads only up to the first"}, true
	case strings.TrimRight(text, "\r") == "", text[0] == '#':
		return Entry{}, false
	}

	var err error
	if e.Key, err = sshkey.ParseLenient(text); err == nil {
		return e.judged(nil), true
	}
	options, rest, closed := cutOptions(text)
	if !closed {
		return Entry{Dead: `an option's '"' is never closed`}, true
	}
	if e.Key, err = sshkey.ParseLenient(strings.TrimLeft(rest, " \t")); err != nil {
		return Entry{Dead: whyNoKey(text, rest)}, true
	}
	e.Options, err = parseOptions(options)
	return e.judged(err), true
}

// judged sets what speaks against an entry that has a key.
func (e Entry) judged(err error) Entry {
	switch {
	case err != nil:
		e.Dead = err.Error()
	case sshkey.IsCertificate(e.Key.Type):
		e.Dead = "a certificate; sshd expects the plain key, or the CA's with cert-authority"
	case e.has("principals") && !e.IsAuthority():
		e.Dead = "principals= without cert-authority"
	}
	return e
}

// IsAuthority reports whether the entry lets in what its key has signed, and not
// the key itself.
func (e Entry) IsAuthority() bool { return e.has("cert-authority") }

func (e Entry) has(name string) bool {
	_, ok := e.Value(name)
	return ok
}

// Value returns the value of an option, if the entry has it.
func (e Entry) Value(name string) (value string, ok bool) {
	i := slices.IndexFunc(e.Options, func(o Option) bool { return o.Name == name })
	if i < 0 {
		return "", false
	}
	return e.Options[i].Value, true
}

// cutOptions finds the end of the options, as sshkey_advance_past_options()
// does: the first blank that is not between quotes.
func cutOptions(s string) (options, rest string, closed bool) { return cutUnquoted(s, " \t") }

// cutUnquoted cuts s before the first of the stops that is not between quotes.
func cutUnquoted(s, stops string) (before, rest string, closed bool) {
	quoted := false
	i := 0
	for ; i < len(s) && (quoted || strings.IndexByte(stops, s[i]) < 0); i++ {
		switch {
		case strings.HasPrefix(s[i:], `\"`):
			i++
		case s[i] == '"':
			quoted = !quoted
		}
	}
	return s[:i], s[i:], !quoted
}

// whyNoKey says why neither the line nor what follows its options is a key.
func whyNoKey(line, rest string) string {
	switch {
	case strings.HasPrefix(line, "\xef\xbb\xbf"):
		return "a byte order mark before it"
	case strings.HasPrefix(line, "\xff\xfe"), strings.HasPrefix(line, "\xfe\xff"):
		return "the file is UTF-16"
	}
	for _, family := range []string{"ssh-", "ecdsa-", "sk-"} {
		if after := strings.TrimLeft(rest, " \t"); strings.HasPrefix(after, family) {
			line = after
		}
	}
	// The stricter reader has the words for it. It takes nothing that the
	// lenient one does not, so it cannot be without an error here.
	_, err := sshkey.ParsePublic(strings.TrimRight(line, "\r"))
	return err.Error()
}

// Entries returns the entries of a whole file.
func Entries(data []byte) []Entry {
	var entries []Entry
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if e, ok := ParseLine(bytes.TrimSuffix(line, []byte("\n"))); ok {
			e.Line = n
			entries = append(entries, e)
		}
	}
	return entries
}

// Append returns data with lines added, each ended by a newline; a missing
// newline at the end of data is added first. data is not changed in place.
func Append(data []byte, lines ...string) []byte {
	if len(lines) == 0 {
		return data
	}
	size := 1
	for _, line := range lines {
		size += len(line) + 1
	}
	data = append(make([]byte, 0, len(data)+size), data...)
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	for _, line := range lines {
		data = append(append(data, line...), '\n')
	}
	return data
}
