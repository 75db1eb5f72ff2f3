package sshconfig

import "strings"

// matchPattern is match.c match_pattern(): '*' and '?', nothing else, case
// matters.
func matchPattern(s, pattern string) bool {
	star, from := -1, 0 // where to go on when the rest does not match
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

// matchList is match.c match_pattern_list(): patterns separated by commas, of
// which one must match and none with '!' before it may. It returns 1 for a
// match, -1 for a negated one and 0 for none.
func matchList(s, patterns string) int {
	if patterns == "" {
		return 0
	}
	found := 0
	for pattern := range strings.SplitSeq(strings.TrimSuffix(patterns, ","), ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if len(pattern) >= 1023 {
			return 0
		}
		if matchPattern(s, pattern) {
			if negated {
				return -1
			}
			found = 1
		}
	}
	return found
}
