// Package pattern matches names as OpenSSH does everywhere: in Host and Match,
// in known_hosts, in AllowUsers, in lists of algorithms (ssh_config(5)
// PATTERNS, match.c). '*' is any number of bytes, '?' is one byte, and nothing
// else is special: no ranges, no escapes, no separators.
//
// Case matters. Where OpenSSH folds it, which it does for the names of hosts in
// match.c match_hostname(), the caller gives both sides in lower case; see Lower.
package pattern

import "strings"

// tooLong is the length, in bytes, that a pattern of a list does not reach: the
// buffer of match_pattern_list() is one longer.
const tooLong = 1023

// Match reports whether the pattern matches all of s (match_pattern()). It
// takes at most len(s) × len(pattern) steps: it backtracks only to the last
// '*', which is enough.
func Match(s, pattern string) bool {
	star, from := -1, 0 // where the last '*' is, and up to where it reaches
	i, j := 0, 0
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, from = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i++
			j++
		case star >= 0:
			from++
			i, j = from, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// A Result is the verdict of a list of patterns on a name.
type Result int

const (
	Unmatched Result = iota
	Matched
	Refused // a pattern with '!' before it matches, whatever else does
)

// MatchList matches s against comma-separated patterns (match_pattern_list()).
// Blanks are not special.
//
// An empty pattern matches the empty name, but an empty list has none, nor does
// a trailing comma add one. A pattern of 1023 bytes or more ends the list, and
// nothing has matched unless a pattern before it refuses.
func MatchList(s, patterns string) Result {
	if patterns == "" {
		return Unmatched
	}
	result := Unmatched
	for p := range strings.SplitSeq(strings.TrimSuffix(patterns, ","), ",") {
		p, negated := strings.CutPrefix(p, "!")
		if len(p) >= tooLong {
			return Unmatched
		}
		if Match(s, p) {
			if negated {
				return Refused
			}
			result = Matched
		}
	}
	return result
}

// Lower is lowercase() of misc.c, which knows ASCII alone; strings.ToLower would
// change bytes that are not UTF-8.
func Lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}
