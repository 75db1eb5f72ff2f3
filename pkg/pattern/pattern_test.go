package pattern

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		s, pattern string
		want       bool
	}{
		{"", "", true}, {"", "*", true}, {"", "?", false}, {"a", "", false}, {"abc", "a*c", true}, {"abc", "a?c", true},
		{"abc", "*?", true}, {"abc", "?*?*?", true}, {"abc", "?*?*??", false}, {"aab", "*ab", true}, {"aXbXc", "a*X*c", true},
		{"abc", "ABC", false}, {"a[b]", "a[b]", true}, {"a", "**", true}, {"a", "[a]", false}, {"a/b", "a*", true},
		{"ä", "?", false}, {"ä", "??", true}, {"*", `\*`, false},
	} {
		if got := Match(c.s, c.pattern); got != c.want {
			t.Errorf("%q, %q: %v", c.s, c.pattern, got)
		}
	}
	// What takes ssh's own matcher years takes this one no time.
	if Match(strings.Repeat("a", 5000), strings.Repeat("*a", 200)+"b") {
		t.Error("matches")
	}
}

func TestMatchList(t *testing.T) {
	long := strings.Repeat("x", 1023)
	for _, c := range []struct {
		s, patterns string
		want        Result
	}{
		{"a", "", Unmatched}, {"a", "a", Matched}, {"a", "b,a,", Matched}, {"a", "!a", Refused}, {"a", "*,!a", Refused},
		{"a", "!a,*", Refused}, {"a", "!b", Unmatched}, {"a", "!b,*", Matched}, {"a", "b, a", Unmatched}, {"a", "A", Unmatched},
		{"!a", "!!a", Refused},
		{"", "", Unmatched}, {"", ",a", Matched}, {"", "a,", Unmatched}, {"", "a,,", Matched}, {"", "!", Refused},
		{"a", long + ",a", Unmatched}, {"a", "a," + long, Unmatched}, {"a", "!a," + long, Refused}, {"a", long[1:] + ",a", Matched},
		{long, long, Unmatched}, {long[1:], "!" + long[1:], Refused},
	} {
		if got := MatchList(c.s, c.patterns); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.s, c.patterns, got, c.want)
		}
	}
}

// naive goes back nowhere: it keeps whether each beginning of s is matched by
// the pattern so far.
func naive(s, pattern string) bool {
	matches := make([]bool, len(s)+1)
	matches[0] = true
	for _, p := range []byte(pattern) {
		next := make([]bool, len(s)+1)
		for i := range next {
			if p == '*' {
				next[i] = matches[i] || i > 0 && next[i-1]
			} else {
				next[i] = i > 0 && matches[i-1] && (p == '?' || p == s[i-1])
			}
		}
		matches = next
	}
	return matches[len(s)]
}

// FuzzMatch: going back to the last '*' only is enough, and a list says what
// its two halves say.
func FuzzMatch(f *testing.F) {
	f.Add("pi.local", "*.local", "!pi.*")
	f.Add("192.168.1.7", "192.168.?.*", "10.*,!*7")
	f.Add("aabab", "*a?*b", "")
	f.Add("", "*,", ",!")
	f.Fuzz(func(t *testing.T, s, a, b string) {
		if len(s) >= tooLong || len(a) >= tooLong || len(b) >= tooLong {
			return
		}
		for _, p := range []string{a, b} {
			want := naive(s, p)
			if got := Match(s, p); got != want {
				t.Errorf("%q, %q: %v", s, p, got)
			}
			if p == "" || strings.Contains(p, ",") || p[0] == '!' {
				continue
			}
			if got := MatchList(s, p) == Matched; got != want {
				t.Errorf("%q, list of %q alone: %v", s, p, got)
			}
			if got := MatchList(s, "!"+p) == Refused; got != want {
				t.Errorf("%q, list of %q negated: %v", s, p, got)
			}
		}
		if a == "" || strings.HasSuffix(a, ",") {
			return // one more empty pattern than a alone has
		}
		if got, want := MatchList(s, a+","+b), max(MatchList(s, a), MatchList(s, b)); got != want {
			t.Errorf("%q, %q and %q: %d, want %d", s, a, b, got, want)
		}
	})
}
