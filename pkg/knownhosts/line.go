package knownhosts

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strings"

	"pi-key-tools/pkg/pattern"
)

const blanks = " \t"

// A line taken apart as hostfile.c hostkeys_foreach_file() does it. The parts
// are slices of the text; hosts begins at byte start of it.
type line struct {
	marker string
	hosts  string // "name,pattern,!pattern" or "|1|salt|hash"
	start  int
	key    string // "type base64 comment"; may be anything
}

// split takes a line apart. It is not ok for what says nothing of any host:
// comments, blank lines, unknown markers, a single word.
func split(text string) (l line, ok bool) {
	// ssh works on C strings: a line ends at its first NUL.
	if i := strings.IndexAny(text, "\n\x00"); i >= 0 {
		text = text[:i]
	}
	rest := strings.TrimLeft(text, blanks)
	if rest == "" || rest[0] == '#' {
		return line{}, false
	}
	if rest[0] == '@' {
		// A TAB ends the marker only where the line has no space at all.
		end := strings.IndexByte(rest, ' ')
		if end < 0 {
			end = strings.IndexByte(rest, '\t')
		}
		if end < 0 {
			return line{}, false
		}
		l.marker = rest[:end]
		if l.marker != MarkerCA && l.marker != MarkerRevoked {
			return line{}, false
		}
		rest = strings.TrimLeft(rest[end:], blanks)
		if strings.HasPrefix(rest, "@") { // one marker only
			return line{}, false
		}
	}
	end := strings.IndexAny(rest, blanks)
	if end < 0 {
		return line{}, false
	}
	l.hosts, l.start = rest[:end], len(text)-len(rest)
	l.key = strings.TrimLeft(rest[end:], blanks)
	return l, true
}

// matchHosts reports whether the host part of a line speaks of name, which is
// in lower case. Source: hostfile.c match_maybe_hashed(),
// match.c match_hostname().
func matchHosts(name, hosts string) bool {
	if strings.HasPrefix(hosts, "|") {
		return matchHash(name, hosts)
	}
	return pattern.MatchList(name, lower(hosts)) == pattern.Matched
}

const hashMagic = "|1|"

// matchHash compares as text, as ssh does, so that only what ssh would write
// for the salt matches.
func matchHash(name, hosts string) bool {
	encoded, _, _ := strings.Cut(strings.TrimPrefix(hosts, hashMagic), "|")
	salt, err := base64.StdEncoding.DecodeString(encoded)
	return err == nil && len(salt) == sha1.Size && hashName(name, salt) == hosts
}

// hashName returns a name as HashKnownHosts writes it.
func hashName(name string, salt []byte) string {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hashMagic + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// lower is ssh's lowercase(): ASCII only.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
