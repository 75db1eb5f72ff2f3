package sshdlog

import (
	"bytes"
	"math/bits"
	"strings"
	"sync"

	"pi-key-tools/pkg/cause"
)

// group is what its events are counted in.
func (p *pattern) group() string {
	if p.cause == "" {
		return p.name
	}
	return p.cause
}

// A form is the text of a pattern, compiled: literals with parameters between
// them. A message must fit from its first byte to its last.
type form struct {
	pattern *pattern
	prefix  string
	params  []param
	suffix  []byte // after the last parameter
	last    int    // the last parameter that is free text, or the last of all
	ends    []end  // what follows on a user, from the right; nil where nameEnd is of no use
}

type param struct {
	field field
	class class
	after []byte // the literal that follows
	apart bool   // no byte of the class ends the literal before
}

// An end is a parameter that follows on a user, and the literal between them.
type end struct {
	class      class
	size       int    // of the literal
	word, bits uint64 // which stands at the end of a word
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
// panics.
func compile(p *pattern, s string) *form {
	f := &form{pattern: p}
	f.prefix, s, _ = strings.Cut(s, "{")
	before := f.prefix
	for s != "" {
		name, rest, ok := strings.Cut(s, "}")
		kind, known := kinds[name]
		if !ok || !known {
			panic("sshdlog: " + p.name + ": no parameter {" + name + "}")
		}
		rest, s, _ = strings.Cut(rest, "{")
		kind.after = []byte(rest)
		kind.apart = before != "" && kind.class.run([]byte(before)) == len(before)
		before = rest
		if s != "" && rest == "" {
			panic("sshdlog: " + p.name + ": two parameters without a literal between them")
		}
		f.params = append(f.params, kind)
	}
	f.last = len(f.params) - 1
	if f.last >= 0 {
		f.suffix = f.params[f.last].after
	}
	for f.last > 0 && (f.params[f.last].class == word || f.params[f.last].class == digits || f.params[f.last].class == peer) {
		f.last--
	}
	f.ends = f.findEnds()
	return f
}

// findEnds returns the ends of a form that tells of a user, an address and a
// port, and of nothing else. It ends in digits, of which nobody takes anything
// off.
func (f *form) findEnds() (ends []end) {
	p := f.params
	if len(p) != 3 || p[0].field != user || p[1].field != addr || p[2].field != port || len(f.suffix) > 0 || f.pattern.ofEntry() {
		return nil
	}
	for i := 2; i > 0; i-- {
		before := p[i-1].after
		if !p[i].apart || len(before) > wordSize {
			return nil
		}
		e := end{class: p[i].class, size: len(before), bits: ^lowest(wordSize - len(before))}
		for _, c := range before {
			e.word = e.word>>8 | uint64(c)<<(64-8)
		}
		ends = append(ends, e)
	}
	return ends
}

// nameEnd returns where the user ends that starts at a place of a line, at least
// two words from its start, or less if the line is perhaps not of this form. Then
// match tells, as it does for what syslogd has encoded with a #.
func (f *form) nameEnd(line []byte, from int) int {
	to := len(line)
	for i := range f.ends {
		e, at := &f.ends[i], to
		for at > from {
			w := load(line[at-wordSize:])
			if others := e.class.others(w) | having(w, '#'); others != 0 {
				at -= bits.LeadingZeros64(others) / 8
				break
			}
			at -= wordSize
		}
		if at == to || (load(line[at-wordSize:])^e.word)&e.bits != 0 {
			return -1
		}
		to = at - e.size
	}
	return to
}

// having has the highest bit of each byte that is c, and perhaps of some after one.
func having(w uint64, c byte) uint64 {
	w ^= each * uint64(c)
	return (w - each) &^ w & (each * 0x80)
}

// match reports whether the message is of this form, and notes where its
// parameters stand. What stands before the last free text is found from the
// left, what stands after it from the right: a free text that looks like the
// rest of the line deceives nobody.
func (f *form) match(m []byte, found *spans) bool {
	lo, hi := len(f.prefix), len(m)-len(f.suffix)
	if hi < lo || !bytes.HasSuffix(m, f.suffix) || string(m[:lo]) != f.prefix {
		return false
	}
	*found = spans{}
	if len(f.params) == 0 {
		return hi == lo
	}
	for i := len(f.params) - 1; i > f.last; i-- {
		p, before := &f.params[i], f.params[i-1].after
		var at int
		if p.apart { // the literal cannot stand anywhere else
			at = lo + p.class.run(m[lo:hi])
			if at == hi || !bytes.HasSuffix(m[lo:at], before) {
				return false
			}
			found.put(p, m, at, hi)
			hi = at - len(before)
			continue
		}
		if at = lastIndex(m[lo:hi], before); at < 0 || !found.set(p, m, lo+at+len(before), hi) {
			return false
		}
		hi = lo + at
	}
	for i := range f.params[:f.last] {
		p := &f.params[i]
		at := index(m[lo:hi], p.after)
		if at < 0 || !found.set(p, m, lo, lo+at) {
			return false
		}
		lo += at + len(p.after)
	}
	return found.set(&f.params[f.last], m, lo, hi)
}

// matchCut is match for a message whose end is missing: the parameter in which
// it breaks off takes what is left. It returns how many parameters it found.
func (f *form) matchCut(m []byte, found *spans) int {
	lo := len(f.prefix)
	if lo == 0 || len(m) < lo || string(m[:lo]) != f.prefix {
		return 0
	}
	for i := range f.params {
		p := &f.params[i]
		at := -1
		if len(p.after) > 0 {
			at = index(m[lo:], p.after)
		}
		if at < 0 {
			if (p.class == free || p.class == some) && found.set(p, m, lo, len(m)) {
				return i + 1
			}
			return 0
		}
		if !found.set(p, m, lo, lo+at) {
			return 0
		}
		lo += at + len(p.after)
	}
	return 0
}

// set notes a parameter if it is of its class.
func (found *spans) set(p *param, m []byte, from, to int) bool {
	switch p.class {
	case some, place:
		if from == to {
			return false
		}
	case word, peer, digits:
		if from == to || p.class.run(m[from:to]) > 0 {
			return false
		}
	}
	return found.put(p, m, from, to)
}

// put notes a parameter of which all bytes are of its class. It reports whether
// they are in the right order.
func (found *spans) put(p *param, m []byte, from, to int) bool {
	s := span{from, to}
	if p.class == place || p.class == peer {
		at := bytes.LastIndexByte(m[from:to], ':')
		switch {
		case at > 0 && isDigits(m[from+at+1:to]):
			s.to = from + at
			after := span{from + at + 1, to}
			if p.class == place {
				found[line] = after
			} else {
				found[port] = after
			}
		case p.class == place:
			return false
		}
	}
	found[p.field] = s
	return true
}

// run returns where the last bytes start that are all of a class, which is one of
// word, peer and digits.
func (c class) run(b []byte) int {
	i := len(b)
	for ; i >= wordSize; i -= wordSize {
		if others := c.others(load(b[i-wordSize:])); others != 0 {
			return i - bits.LeadingZeros64(others)/8
		}
	}
	var rest [wordSize]byte
	copy(rest[wordSize-i:], b[:i])
	return i - bits.LeadingZeros64(c.others(load(rest[:])))/8
}

// others has the highest bit of each byte that is not of a class. The bytes are
// looked at without that bit, so that none carries into the next one.
func (c class) others(w uint64) uint64 {
	const high, low = each * 0x80, each * 0x7f
	if c == digits {
		w ^= each * '0'
		return (w&low + each*(0x80-10) | w) & high
	}
	printed, deleted := w&low+each*(0x80-'!')|w, w^each*0x7f
	return ^(printed & (deleted&low + low | deleted)) & high
}

func isDigits(b []byte) bool { return len(b) > 0 && digits.run(b) == 0 }

// index is bytes.Index, quick for a literal of one byte.
func index(b, literal []byte) int {
	if len(literal) == 1 {
		return bytes.IndexByte(b, literal[0])
	}
	return bytes.Index(b, literal)
}

// lastIndex is bytes.LastIndex, quick for what stands near the end.
func lastIndex(b, literal []byte) int {
	for i := len(b) - len(literal); i >= 0; i-- {
		if b[i] == literal[0] && string(b[i:i+len(literal)]) == string(literal) {
			return i
		}
	}
	return -1
}

// services are what {service} of a form stands for: the names that the servers
// have for PAM.
var services = []string{"sshd", "dropbear"}

// The forms of all patterns: by the text before their first parameter, and
// those that start with one. Forms with the same text are in the order of the
// table, and a longer text goes first.
var (
	byPrefix node
	byRest   []*form
)

// A node is a place in the tree of the prefixes.
type node struct {
	text  string // to get here, from the node above
	first []byte // of the texts of those below
	below []*node
	forms []*form              // whose prefix ends here, and then those of the nodes above
	most  [client + 1]Severity // of the forms, for a text of each program
	any   [client + 1]Severity // of the forms here and in the nodes below
	last  bool                 // there are none below
}

// prepare fills them from the table, before the first text is matched: most
// runs of a program read no log.
var prepare = sync.OnceFunc(func() {
	for i := range patterns {
		p := &patterns[i]
		if p.cure == "" {
			entry, _ := cause.Lookup(p.cause)
			p.cure = entry.Cure
		}
		for s := range strings.SplitSeq(p.forms, " | ") {
			if before, after, ok := strings.Cut(s, "{service}"); ok {
				for _, service := range services {
					enter(compile(p, before+service+after))
				}
				continue
			}
			enter(compile(p, s))
		}
	}
	byPrefix.finish(nil)
})

func enter(f *form) {
	if f.prefix == "" {
		byRest = append(byRest, f)
		return
	}
	n := byPrefix.grow(f.prefix)
	n.forms = append(n.forms, f)
}

// grow returns the node of a prefix below n, and makes it if need be.
func (n *node) grow(prefix string) *node {
	if prefix == "" {
		return n
	}
	i := bytes.IndexByte(n.first, prefix[0])
	if i < 0 {
		return n.add(&node{text: prefix})
	}
	next := n.below[i]
	same := 0
	for same < len(prefix) && same < len(next.text) && prefix[same] == next.text[same] {
		same++
	}
	if same < len(next.text) { // part it
		upper := &node{text: next.text[:same]}
		next.text = next.text[same:]
		upper.add(next)
		n.below[i], next = upper, upper
	}
	return next.grow(prefix[same:])
}

// add puts a node below n, and returns it.
func (n *node) add(next *node) *node {
	n.first, n.below = append(n.first, next.text[0]), append(n.below, next)
	return next
}

// finish gives each node the forms of those above.
func (n *node) finish(above []*form) {
	n.forms = append(n.forms, above...)
	for _, f := range n.forms {
		for w := range n.most {
			if program(w).writes(f.pattern) {
				n.most[w] = max(n.most[w], f.pattern.severity)
			}
		}
	}
	n.any, n.last = n.most, len(n.below) == 0
	for _, next := range n.below {
		next.finish(n.forms)
		for w, s := range next.any {
			n.any[w] = max(n.any[w], s)
		}
	}
}

// find returns the node of the longest prefix that the message has, or one
// above it that has forms, when none below is of the severity want; and how long
// its prefix is.
func (n *node) find(m []byte, w program, want Severity) (at *node, depth int) {
	for len(m) > 0 && (len(n.forms) == 0 || n.any[w] >= want) {
		i := bytes.IndexByte(n.first, m[0])
		if i < 0 {
			break
		}
		next := n.below[i]
		if len(m) < len(next.text) || string(m[:len(next.text)]) != next.text {
			break
		}
		n, m = next, m[len(next.text):]
		depth += len(next.text)
	}
	return n, depth
}

// leaves returns how many bytes of the rest of a message, which has no text of a
// node below n, show that; more than it has if it may yet go on as one.
func (n *node) leaves(rest []byte) int {
	if len(rest) == 0 {
		return 1
	}
	same := 0
	if i := bytes.IndexByte(n.first, rest[0]); i >= 0 {
		for text := n.below[i].text; same < len(rest) && rest[same] == text[same]; same++ {
		}
	}
	return same + 1
}

// unwanted is the pattern of what nobody asks for.
var unwanted pattern

// match finds the pattern of a text, or nil. A text that begins as only those
// of a severity below want do is taken for known, and not looked at further.
func (t *text) match(want Severity, found *spans) *pattern {
	n, _ := byPrefix.find(t.msg, t.program, want)
	return t.matchAt(n, want, found)
}

// matchAt is match for a text of which the node is found.
func (t *text) matchAt(n *node, want Severity, found *spans) *pattern {
	if len(n.forms) > 0 && n.most[t.program] < want {
		return &unwanted
	}
	for _, f := range n.forms {
		if t.program.writes(f.pattern) && f.match(t.msg, found) {
			return f.pattern
		}
	}
	for _, f := range byRest {
		if t.program.writes(f.pattern) && f.match(t.msg, found) {
			return f.pattern
		}
	}
	if !t.cut {
		return nil
	}
	// Of the forms that fit as far as it goes the last says the least, and
	// without the end no more is known.
	var p *pattern
	most := 1
	for _, f := range n.forms {
		var part spans
		if !t.program.writes(f.pattern) {
			continue
		}
		if fits := f.matchCut(t.msg, &part); fits >= most {
			p, most, *found = f.pattern, fits, part
		}
	}
	return p
}
