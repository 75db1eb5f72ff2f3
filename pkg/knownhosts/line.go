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
	number int    // in its file, from 1
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
		h, ok := readHash(hosts)
		return ok && appendHashed(nil, []hashed{h}, name) != nil
	}
	return pattern.MatchList(name, pattern.Lower(hosts)) == pattern.Matched
}

const hashMagic = "|1|"

// A hashed is the host part of a line that HashKnownHosts wrote.
type hashed struct {
	salt, sum [sha1.Size]byte
	line      int
}

// readHash takes only what ssh would write for the salt: ssh compares as text. What
// cannot be decoded is not that either.
func readHash(hosts string) (h hashed, ok bool) {
	salt, sum, _ := strings.Cut(strings.TrimPrefix(hosts, hashMagic), "|")
	for _, part := range []struct {
		text string
		into *[sha1.Size]byte
	}{{salt, &h.salt}, {sum, &h.sum}} {
		b, _ := base64.StdEncoding.DecodeString(part.text)
		copy(part.into[:], b)
	}
	return h, hashText(h.salt[:], h.sum[:]) == hosts
}

func hashText(salt, sum []byte) string {
	return hashMagic + base64.StdEncoding.EncodeToString(salt) + "|" + base64.StdEncoding.EncodeToString(sum)
}

// appendHashed adds those lines that speak of name, which no index tells. What
// crypto/hmac would do (RFC 2104) is done by hand: it makes two hashes anew for
// each salt, and there is one salt a line.
func appendHashed(matching []int, lines []hashed, name string) []int {
	inner := append(make([]byte, sha1.BlockSize, sha1.BlockSize+len(name)), name...)
	var outer [sha1.BlockSize + sha1.Size]byte
	for _, h := range lines {
		for i := range sha1.BlockSize {
			b := byte(0)
			if i < len(h.salt) {
				b = h.salt[i]
			}
			inner[i], outer[i] = b^0x36, b^0x5c
		}
		sum := sha1.Sum(inner)
		copy(outer[sha1.BlockSize:], sum[:])
		if sha1.Sum(outer[:]) == h.sum {
			matching = append(matching, h.line)
		}
	}
	return matching
}

// hashName returns a name as HashKnownHosts writes it.
func hashName(name string, salt []byte) string {
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(name))
	return hashText(salt, mac.Sum(nil))
}
