package confline

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		in   string
		want []string
		ok   bool
	}{
		{"", nil, true},
		{"a  b\tc", []string{"a", "b", "c"}, true},
		{`"a b" 'c d'`, []string{"a b", "c d"}, true},
		{`a"b"'c'`, []string{"abc"}, true},
		{`a\ b "a\ b" \" \' \\ \n`, []string{"a b", `a\ b`, `"`, "'", `\`, `\n`}, true},
		{`'a"b' "a'b"`, []string{`a"b`, "a'b"}, true},
		{`a#b #c "d`, []string{"a#b"}, true},
		{`""`, []string{""}, true},
		{`a\`, []string{`a\`}, true},
		{"a \r b\r\tc\fd \n", []string{"a", "\r", "b\r", "c\fd", "\n"}, true},
		{"# a", nil, true},
		{"a \"#\" \\#", []string{"a", "#", `\#`}, true},
		{`"a`, nil, false},
		{`'a`, nil, false},
		{`"a\"`, nil, false},
		{`a "b' #`, nil, false},
	} {
		if got, ok := Split(c.in); ok != c.ok || !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, %v, want %q, %v", c.in, got, ok, c.want, c.ok)
		}
	}
	if got, ok := Command(`/a "b c" # d`); !ok || !slices.Equal(got, []string{"/a", "b c", "#", "d"}) {
		t.Errorf("a command: %q, %v", got, ok)
	}
}

// FuzzSplit: any words come back when they are quoted, and only a quote makes a
// line fail.
func FuzzSplit(f *testing.F) {
	f.Add(`a "b c" # d`, "it's")
	f.Add(`\" 'x\y' ""`, `a\`)
	f.Add("a\tb\r\n", "#\t")
	f.Fuzz(func(t *testing.T, line, tail string) {
		words, ok := Split(line)
		if !ok {
			if !strings.ContainsAny(line, `"'`) {
				t.Errorf("%q has no quote, and fails", line)
			}
			return
		}
		words = append(words, tail)
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w)+`"`)
		}
		again, ok := Split("\t" + strings.Join(quoted, " ") + " # \"")
		if !ok || !slices.Equal(again, words) {
			t.Errorf("%q: %q, quoted and split again %q, %v", line, words, again, ok)
		}
	})
}
