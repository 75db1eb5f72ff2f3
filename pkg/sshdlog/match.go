package sshdlog

import (
	"bytes"
	"strings"
)

// A form is the text of a pattern, compiled: literals with parameters between
// them. A message must fit from its first byte to its last.
type form struct {
	pattern *pattern
	prefix  string
	params  []param
	last    int // the last parameter that is free text, or the last of all
}

type param struct {
	field field
	class class
	after string // the literal that follows
}

// A field is where a parameter goes in an Event.
type field int

const (
	ignored field = iota
	user
	addr
	port
	file
	line
	keyType
	key
	reason
	nFields
)

// A class is what a parameter may be made of.
type class int

const (
	free   class = iota // any bytes
	some                // any bytes, but not none
	word                // no blank or control byte, and not none
	digits              // and not none
	place               // FILE:LINE
	peer                // ADDRESS:PORT, or ADDRESS
)

// kinds are the names that a form may give to a parameter.
var kinds = map[string]param{
	"user":   {field: user, class: free},
	"addr":   {field: addr, class: word},
	"peer":   {field: addr, class: peer}, // and port
	"port":   {field: port, class: digits},
	"path":   {field: file, class: some},
	"line":   {field: line, class: digits},
	"at":     {field: file, class: place}, // and line
	"type":   {field: keyType, class: word},
	"key":    {field: key, class: word},
	"reason": {field: reason, class: free},
	"word":   {field: reason, class: word},
	"*":      {field: ignored, class: free},
	"-":      {field: ignored, class: word},
	"#":      {field: ignored, class: digits},
}

type span struct{ from, to int }

// spans are where the parameters stand in a message.
type spans [nFields]span

// compile reads "prefix {param} literal {param} …". A mistake in the table
// panics, when the program starts.
func compile(p *pattern, s string) *form {
	f := &form{pattern: p}
	f.prefix, s, _ = strings.Cut(s, "{")
	for s != "" {
		name, rest, ok := strings.Cut(s, "}")
		kind, known := kinds[name]
		if !ok || !known {
			panic("sshdlog: " + p.name + ": no parameter {" + name + "}")
		}
		kind.after, s, _ = strings.Cut(rest, "{")
		if s != "" && kind.after == "" {
			panic("sshdlog: " + p.name + ": two parameters without a literal between them")
		}
		f.params = append(f.params, kind)
	}
	f.last = len(f.params) - 1
	for f.last > 0 && (f.params[f.last].class == word || f.params[f.last].class == digits || f.params[f.last].class == peer) {
		f.last--
	}
	return f
}

// match reports whether the message is of this form, and where its parameters
// stand. What stands before the last free text is found from the left, what
// stands after it from the right: a free text that looks like the rest of the
// line deceives nobody.
func (f *form) match(m []byte) (found spans, ok bool) {
	if len(f.params) == 0 {
		return found, string(m) == f.prefix
	}
	suffix := f.params[len(f.params)-1].after
	lo, hi := len(f.prefix), len(m)-len(suffix)
	if hi < lo || string(m[:lo]) != f.prefix || string(m[hi:]) != suffix {
		return found, false
	}
	for i := len(f.params) - 1; i > f.last; i-- {
		before := f.params[i-1].after
		at := lastIndex(m[lo:hi], before)
		if at < 0 || !found.set(f.params[i], m, lo+at+len(before), hi) {
			return found, false
		}
		hi = lo + at
	}
	for _, p := range f.params[:f.last] {
		at := index(m[lo:hi], p.after)
		if at < 0 || !found.set(p, m, lo, lo+at) {
			return found, false
		}
		lo += at + len(p.after)
	}
	return found, found.set(f.params[f.last], m, lo, hi)
}

// matchCut is match for a message whose end is missing: the parameter in which
// it breaks off takes what is left.
func (f *form) matchCut(m []byte) (found spans, ok bool) {
	lo := len(f.prefix)
	if lo == 0 || len(m) < lo || string(m[:lo]) != f.prefix {
		return found, false
	}
	for _, p := range f.params {
		at := -1
		if p.after != "" {
			at = index(m[lo:], p.after)
		}
		if at < 0 {
			return found, (p.class == free || p.class == some) && found.set(p, m, lo, len(m))
		}
		if !found.set(p, m, lo, lo+at) {
			return found, false
		}
		lo += at + len(p.after)
	}
	return found, false
}

// set notes a parameter if it is of its class.
func (found *spans) set(p param, m []byte, from, to int) bool {
	s := span{from, to}
	switch p.class {
	case some:
		if from == to {
			return false
		}
	case word:
		if !isWord(m[from:to]) {
			return false
		}
	case digits:
		if !isDigits(m[from:to]) {
			return false
		}
	case place:
		at := bytes.LastIndexByte(m[from:to], ':')
		if at <= 0 || !isDigits(m[from+at+1:to]) {
			return false
		}
		s.to = from + at
		found[line] = span{from + at + 1, to}
	case peer:
		if !isWord(m[from:to]) {
			return false
		}
		if at := bytes.LastIndexByte(m[from:to], ':'); at > 0 && isDigits(m[from+at+1:to]) {
			s.to = from + at
			found[port] = span{from + at + 1, to}
		}
	}
	found[p.field] = s
	return true
}

func isWord(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c == 0x7f {
			return false
		}
	}
	return len(b) > 0
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// index is bytes.Index, quick for a literal of one byte.
func index(b []byte, s string) int {
	if len(s) == 1 {
		return bytes.IndexByte(b, s[0])
	}
	return bytes.Index(b, []byte(s)) // does not escape
}

func lastIndex(b []byte, s string) int {
	for i := len(b) - len(s); i >= 0; i-- {
		if b[i] == s[0] && string(b[i:i+len(s)]) == s {
			return i
		}
	}
	return -1
}

// The forms of all patterns, in the order of the table, by the first bytes of
// the message; those that start with a parameter stand apart.
var (
	byPrefix [256][]*form
	byRest   []*form
)

// prefixMin is how many bytes of a message choose its patterns.
const prefixMin = 3

func bucket[T string | []byte](s T) byte { return s[0] + s[1]*5 + s[2]*25 }

func init() {
	for i := range patterns {
		p := &patterns[i]
		for s := range strings.SplitSeq(p.forms, " | ") {
			switch f := compile(p, s); {
			case f.prefix == "":
				byRest = append(byRest, f)
			case len(f.prefix) < prefixMin:
				panic("sshdlog: " + p.name + ": the text before its first parameter is too short")
			default:
				b := bucket(f.prefix)
				byPrefix[b] = append(byPrefix[b], f)
			}
		}
	}
}

// match finds the pattern of a text, or nil.
func (t *text) match() (*pattern, spans) {
	if len(t.msg) < prefixMin {
		return nil, spans{}
	}
	forms := byPrefix[bucket(t.msg)]
	for _, f := range forms {
		if t.program.writes(f.pattern) {
			if found, ok := f.match(t.msg); ok {
				return f.pattern, found
			}
		}
	}
	for _, f := range byRest {
		if t.program.writes(f.pattern) {
			if found, ok := f.match(t.msg); ok {
				return f.pattern, found
			}
		}
	}
	if t.cut {
		for _, f := range forms {
			if t.program.writes(f.pattern) {
				if found, ok := f.matchCut(t.msg); ok {
					return f.pattern, found
				}
			}
		}
	}
	return nil, spans{}
}
