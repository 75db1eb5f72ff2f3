package knownhosts

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strings"
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
// in lower case. Source: hostfile.c match_maybe_hashed().
func matchHosts(name, hosts string) bool {
	if strings.HasPrefix(hosts, "|") {
		return matchHash(name, hosts)
	}
	// match.c match_pattern_list()
	matched := false
	for p := range strings.SplitSeq(hosts, ",") {
		p, negated := strings.CutPrefix(p, "!")
		if len(p) >= 1023 { // its buffer: the whole list does not match
			return false
		}
		if matchPattern(name, p) {
			if negated {
				return false
			}
			matched = true
		}
	}
	return matched
}

// matchPattern reports whether the pattern, with * and ?, matches all of name.
// It goes back to the last * only, which is enough, and never exponential.
func matchPattern(name, pattern string) bool {
	n, p := 0, 0
	star, from := -1, 0 // where the last * was, and how far it reaches
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || lowerByte(pattern[p]) == name[n]):
			n++
			p++
		case star >= 0:
			from++
			n, p = from, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
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
	for i := range b {
		b[i] = lowerByte(b[i])
	}
	return string(b)
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
