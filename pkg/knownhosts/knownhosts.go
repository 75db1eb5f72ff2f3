// Package knownhosts reads and edits known_hosts as ssh does: a line it cannot
// read is skipped, not fatal, and what is not ours stays byte for byte.
// Source: sshd(8) SSH_KNOWN_HOSTS FILE FORMAT; hostfile.c, match.c.
package knownhosts

import (
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/pattern"
	"pi-key-tools/pkg/sshkey"
)

// A File is the content of one known_hosts file.
type File struct {
	Path string // for messages only
	Data []byte
}

// The markers that a line may begin with.
const (
	MarkerCA      = "@cert-authority"
	MarkerRevoked = "@revoked"
)

// A Line is a line that matches the host asked for.
type Line struct {
	Path   string
	Number int    // from 1
	Marker string // "", MarkerCA or MarkerRevoked
	Key    sshkey.Public
}

// Name returns the form of a host in known_hosts: lower case, "[host]:port"
// unless the port is 22 (or 0, not given). host is ssh's HostName with
// addresses canonicalized, without brackets; a trailing dot and an IPv6 zone
// stay, as in ssh. A HostKeyAlias has no port: Name(alias, 22).
func Name(host string, port int) string {
	host = pattern.Lower(host)
	if port == 0 || port == 22 {
		return host
	}
	return "[" + host + "]:" + strconv.Itoa(port)
}

// An Index is a File prepared for lookups of many hosts: a line that names its
// hosts in the clear is parsed only when one of them is looked up.
type Index struct {
	path   string
	lines  []line
	named  map[string][]int // by a name: the lines that have it
	wild   []int            // lines with a pattern
	hashed []hashed
}

// NewIndex indexes a file. A line that cannot be read is skipped.
func NewIndex(f File) *Index {
	x := &Index{path: f.Path, named: map[string][]int{}}
	number := 0
	for text := range strings.Lines(string(f.Data)) {
		number++
		l, ok := split(text)
		if !ok {
			continue
		}
		i := len(x.lines)
		l.number = number
		x.lines = append(x.lines, l)
		switch {
		case strings.HasPrefix(l.hosts, "|"):
			if h, ok := readHash(l.hosts); ok {
				h.line = i
				x.hashed = append(x.hashed, h)
			}
		case strings.ContainsAny(l.hosts, "*?!") || len(l.hosts) > maxNames:
			x.lines[i].hosts = pattern.Lower(l.hosts)
			x.wild = append(x.wild, i)
		default:
			for name := range strings.SplitSeq(strings.TrimSuffix(pattern.Lower(l.hosts), ","), ",") {
				x.named[name] = append(x.named[name], i)
			}
		}
	}
	return x
}

// maxNames is how long a list of names may be of which no length matters; see
// pattern.MatchList.
const maxNames = 1000

// Lookup returns the lines that match the name (see Name), in order, handling
// hashes, wildcards and negation as ssh does. A well-formed key of an unknown
// type is kept: the host is known, if only to a newer ssh.
//
// If no line has "[host]:port", ssh asks again without the port, and then
// accepts only a key that it knows; that is left to the caller.
func (x *Index) Lookup(name string) (found []Line) {
	name = pattern.Lower(name)
	matching := slices.Clone(x.named[name])
	for _, i := range x.wild {
		if pattern.MatchList(name, x.lines[i].hosts) == pattern.Matched {
			matching = append(matching, i)
		}
	}
	matching = appendHashed(matching, x.hashed, name)
	slices.Sort(matching)
	for _, i := range slices.Compact(matching) { // a line may say a name twice
		l := x.lines[i]
		if key, err := sshkey.ParseLenient(l.key); err == nil {
			found = append(found, Line{x.path, l.number, l.marker, key})
		}
	}
	return found
}

// LookupOnce is Lookup for a single host of a file.
func LookupOnce(f File, name string) []Line { return NewIndex(f).Lookup(name) }

// A Status is the verdict of known_hosts on a key that a host has shown.
type Status int

// In order of weight: a revoked key is refused whatever other lines say.
const (
	Unknown Status = iota // no line of that name (for any key type)
	Known                 // a line has this key
	Changed               // there are lines, none has this key
	Revoked               // an @revoked line has this key, or the CA that signed it
)

// Judge returns the verdict of a host's lines on the key it has shown. For a
// host certificate, key is the certificate, or the key inside it, and ca the
// key that signed it; otherwise ca is the zero Public. The lines that decided
// are returned: the matching one, all for Changed, the revoking one.
//
// A certificate is Known by an @cert-authority line that has ca; its validity
// and principals are for the caller to check. Without such a line, or if
// invalid (then leave ca out), its inner key decides, as in ssh. Source:
// sshconnect.c check_host_key(), hostfile.c check_hostkeys_by_key_or_type().
func Judge(lines []Line, key, ca sshkey.Public) (Status, []Line) {
	// Who revokes a key does not want its certificates either, and the other
	// way round (sshkey.c sshkey_equal_public()).
	key = key.Plain()
	find := func(marker string, want sshkey.Public) []Line {
		i := slices.IndexFunc(lines, func(l Line) bool {
			return l.Marker == marker && len(want.Blob) > 0 && l.Key.Plain().Equal(want)
		})
		if i < 0 {
			return nil
		}
		return lines[i : i+1]
	}
	if by := find(MarkerRevoked, key); by != nil {
		return Revoked, by
	}
	if by := find(MarkerRevoked, ca); by != nil {
		return Revoked, by
	}
	if by := find(MarkerCA, ca); by != nil {
		return Known, by
	}
	var others []Line
	for i, l := range lines {
		if l.Marker != "" {
			continue
		}
		if l.Key.Equal(key) {
			return Known, lines[i : i+1]
		}
		others = append(others, l)
	}
	if others != nil {
		return Changed, others
	}
	return Unknown, nil
}

// Algorithms orders the host key algorithms that a client should offer, as
// ssh's order_hostkeyalgs() does: those for key types in lines come first, so
// that a host known by its ed25519 key shows that one and not another that
// looks like a change. defaults is ssh's preference.
func Algorithms(lines []Line, defaults []string) []string {
	// As in ssh, a type counts unless its first key is revoked.
	has := func(algorithm string) bool {
		want := sshkey.PlainType(sshkey.KeyType(algorithm))
		i := slices.IndexFunc(lines, func(l Line) bool { return l.Marker == "" && l.Key.Type == want })
		if i < 0 {
			return false
		}
		status, _ := Judge(lines, lines[i].Key, sshkey.Public{})
		return status != Revoked
	}
	if len(defaults) == 0 || has(defaults[0]) {
		return slices.Clone(defaults)
	}
	authority := slices.ContainsFunc(lines, func(l Line) bool { return l.Marker == MarkerCA })
	var first, last []string
	for _, a := range defaults {
		if authority && sshkey.IsCertificate(a) || has(a) {
			first = append(first, a)
		} else {
			last = append(last, a)
		}
	}
	return append(first, last...)
}
