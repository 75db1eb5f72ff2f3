package sshdlog

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// A sieve looks at each line of a piece by itself, and keeps those that matter.
// Most lines start as the one before, and go on as many do: it compares them
// eight bytes at a time, and understands only the others.
type sieve struct {
	want    Severity
	tallies tallies
	last    *pattern // that was wanted, and its tally
	tally   tally
	found   spans
	head    head
	known   beginnings
}

// sift fills in what a piece says about its lines.
func (v *sieve) sift(p *piece) {
	v.lines(p)
	for i := range p.again {
		if a := &p.again[i]; a.times > 0 {
			a.last = string(a.time)
		}
	}
}

// lines takes the lines of a piece.
func (v *sieve) lines(p *piece) {
	p.unknown, p.foreign, p.records = 0, 0, -1
	p.marks, p.wanted, p.again, p.misses = p.marks[:0], p.wanted[:0], p.again[:0], p.misses[:0]
	at := 0
	if p.inside {
		_, _, at = p.line(0)
	}
	for at < p.to {
		var l spots
		var forms *node
		if at, l, forms = v.pass(p, at); l.message > 0 {
			line := p.buf[at : at+l.size]
			t := text{times: 1, program: sshd, tagAt: v.head.tag}
			t.time, t.pid, t.msg = line[:v.head.time], line[l.pid:l.message-len("]: ")], withoutCR(line[l.message:])
			t.syslog()
			v.look(&t, forms, p, mark{at, l.process})
			at += l.size + 1
			continue
		}
		if at == p.to {
			return
		}
		line, cut, next := p.line(at)
		if startsRecord(line) != nil {
			p.records = at
			return
		}
		t := text{times: 1, cut: cut}
		ours := t.read(line)
		v.head.learn(line, &t)
		if ours {
			v.look(&t, nil, p, mark{at, processOf(t.pid)})
		} else {
			p.foreign++
		}
		at = next
	}
}

// spots are where a line of sshd has what, from its start.
type spots struct {
	pid, message, size int // the message is 0 where it is in doubt
	process            process
}

// pass goes over lines that start as the head and go on as nobody wants, are
// counted at once, or are of other programs. It returns where the first other
// line starts, and the forms of its message if they are known.
func (v *sieve) pass(p *piece, at int) (to int, l spots, forms *node) {
	const older, newer, auth = "sshd[", "sshd-session[", "sshd-auth["
	h := &v.head
	for at+h.tag < p.to && h.tag > 0 {
		b := p.buf[at : at+slack]
		if h.differ(b, 0)|h.differ(b, 1)|h.differ(b, 2)|h.differ(b, 3)|h.differ(b, 4)|h.differ(b, 5) != 0 ||
			h.tag > 6*wordSize && h.differ(b, 6)|h.differ(b, 7) != 0 {
			break
		}
		size := bytes.IndexByte(p.buf[at+h.tag:p.to], '\n') + h.tag
		if size < h.tag || size >= bufferSize {
			break
		}
		pid := h.tag
		switch tag := b[h.tag : h.tag+len(newer)]; {
		case string(tag[:len(older)]) == older:
			pid += len(older)
		case string(tag) == newer:
			pid += len(newer)
		case string(tag[:len(auth)]) == auth:
			pid += len(auth)
		case ofOther(p.buf[at+h.tag : at+size]):
			p.foreign++
			at += size + 1
			continue
		default:
			return at, spots{}, nil
		}
		// The first bracket, and nothing but digits before it.
		w := load(b[pid:])
		bracket := having(w, ']')
		bracket &= -bracket
		before := bracket>>7 - 1
		digits := (w ^ each*'0') & before
		message := pid + bits.TrailingZeros64(bracket)/8 + len("]: ")
		if bracket <= 0x80 || (digits|(digits+each*6))&(each*0xf0) != 0 || message > size || b[message-2] != ':' || b[message-1] != ' ' {
			break
		}
		l = spots{pid: pid, message: message, size: size, process: process(w & before)}
		m := b[message : message+6*wordSize]
		var known *beginning
		of := v.known.place(m)
		for i := range of {
			k := &of[i]
			if k.differ(m, 0)|k.differ(m, 1)|k.differ(m, 2)|k.differ(m, 3)|k.differ(m, 4)|k.differ(m, 5) == 0 && k.size > 0 {
				known = k
				break
			}
		}
		if known == nil {
			return at, l, nil
		}
		if size < message+known.size+longestEnd {
			if end := p.buf[at+size-1]; size < message+known.size || end == ']' || end == '\r' || end == '5' {
				return at, l, nil
			}
		}
		if known.forms != nil && !v.countAt(p, at, &l, known) {
			return at, l, known.forms
		}
		p.marks = append(p.marks, mark{at, l.process})
		at += size + 1
	}
	return at, spots{}, nil
}

// countAt counts a line that begins as is known, before it has a mark, if its
// user alone tells how: as keep does what look finds.
func (v *sieve) countAt(p *piece, at int, l *spots, known *beginning) bool {
	f := known.form
	if f == nil || l.size-l.message > messageMax {
		return false
	}
	line, from := p.buf[at:at+l.size], l.message+known.size
	to := f.nameEnd(line, from)
	return to > from && v.count(p, f.pattern, line[from:to], 1, line[:v.head.time], len(p.marks))
}

// Words of eight bytes, the first one lowest.
const (
	wordSize = 8
	each     = 0x0101010101010101
	mix      = 0x9e3779b97f4a7c15 // a factor that makes the highest bits depend on all
)

func load(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// A head is how lines start, up to their tag, but for the digits: that of a line
// of sshd, or of another program as long as there is none.
type head struct {
	words [8]uint64 // with 0 for the digits
	six   [8]uint64 // where they stand
	exact [8]uint64 // the bits that are the same
	time  int       // where it ends; it comes first
	tag   int       // where it starts, 0 if no head is known
}

// learn takes the head of a line that was read.
func (h *head) learn(line []byte, t *text) {
	if t.tagAt == 0 || t.tagAt > len(h.words)*wordSize || !bytes.HasPrefix(line, t.time) {
		return
	}
	tag := line[t.tagAt:]
	if ours := t.program == sshd && bytes.HasPrefix(tag, []byte("sshd")); !ours && (h.tag > 0 || !ofOther(tag)) {
		return
	}
	*h = head{time: len(t.time), tag: t.tagAt}
	for i, c := range line[:h.tag] {
		exact, six := uint64(0xff), uint64(0)
		if isDigit(c) {
			c, exact, six = '0', 0xf0, 6
		}
		shift := i % wordSize * 8
		h.words[i/wordSize] |= uint64(c) << shift
		h.exact[i/wordSize] |= exact << shift
		h.six[i/wordSize] |= six << shift
	}
}

// differ returns bits that are not those of a word of the head. What differs
// from 0 by less than ten is a digit: six more have no higher bit.
func (h *head) differ(b []byte, i int) uint64 {
	w := load(b[i*wordSize:]) ^ h.words[i]
	return (w | (w + h.six[i])) & h.exact[i]
}

// ofOther reports whether a line is surely of a program that we do not know, by
// what stands in it from its tag on: all of our names begin with ss or dr, in
// brackets or not.
func ofOther(tag []byte) bool {
	end := bytes.IndexByte(tag[:min(len(tag), longestHead/2)], ' ')
	return end > 1 && tag[end-1] == ':' && tag[0] != '(' && tag[0] != '[' && string(tag[:2]) != "ss" && string(tag[:2]) != "dr"
}

// A beginning is that of messages of sshd of which this is known, whatever
// follows.
type beginning struct {
	words [6]uint64
	exact [6]uint64 // the bits that are of it
	size  int       // in bytes, 0 if there is none
	forms *node     // that they may have, nil if nobody wants any
	form  *form     // the first of them, if its nameEnd is of use
}

// What may be read from a line on: a head with a tag and a PID, and a beginning.
const (
	longestHead = 128
	slack       = longestHead + 6*wordSize
)

// longestEnd is what clean and syslog take off the end of a message at most; it
// ends in one of "]5\r".
const longestEnd = len(" [postauth]#015\r")

func (b *beginning) differ(m []byte, i int) uint64 {
	return (load(m[i*wordSize:]) ^ b.words[i]) & b.exact[i]
}

// beginnings are those met of late, by bytes that tell most of them apart. The
// latest come first.
type beginnings [64][4]beginning

// ofPAM is what stands there in the messages of PAM, which differ further on.
var ofPAM = load([]byte("nix(sshd"))

func (k *beginnings) place(m []byte) *[4]beginning {
	w, further := load(m[5:]), load(m[21:])
	if w == ofPAM {
		w = further
	}
	return &k[w*mix>>58]
}

// learn notes the beginning of a message of which p is the pattern, if nobody
// wants what begins so, whatever follows, or else if the same forms tell of it.
// It goes on to where the message leaves what somebody wants.
func (v *sieve) learn(m []byte, t *text, p *pattern) {
	n, size := byPrefix.find(t.msg, sshd, v.want)
	level := bytes.Index(m, t.msg)
	var b beginning
	switch {
	case p == &unwanted && n.any[sshd] < v.want:
	case p == &unwanted:
		size += n.leaves(t.msg[size:])
	case n.last:
		b.forms = n
		if f := n.forms[0]; f.ends != nil && sshd.writes(f.pattern) && f.pattern.severity >= v.want {
			b.form = f
		}
	default:
		return
	}
	b.size = level + size
	if size > len(t.msg) || b.size > len(b.words)*wordSize || len(m) < 4*wordSize || bytes.IndexByte(m[:b.size], '#') >= 0 {
		return
	}
	for i, c := range m[:b.size] {
		b.words[i/wordSize] |= uint64(c) << (i % wordSize * 8)
		b.exact[i/wordSize] |= 0xff << (i % wordSize * 8)
	}
	of := v.known.place(m)
	copy(of[1:], of[:])
	of[0] = b
}

// look takes a line of ours. of has the forms of its message, if they are known.
func (v *sieve) look(t *text, of *node, in *piece, m mark) {
	raw := t.msg
	t.clean()
	forms := of
	if forms == nil {
		forms, _ = byPrefix.find(t.msg, t.program, v.want)
	}
	p := t.matchAt(forms, v.want, &v.found)
	if p == nil {
		in.unknown++
		return
	}
	in.marks = append(in.marks, m)
	if of == nil && t.program == sshd && t.tagAt > 0 { // in a text, as are all that pass and find see
		v.learn(raw, t, p)
	}
	if p != &unwanted && p.severity >= v.want {
		v.keep(t, p, in)
	}
}

// keep notes that the last mark is of a line that is wanted, or counts it.
func (v *sieve) keep(t *text, p *pattern, in *piece) {
	mark, name := len(in.marks)-1, v.found[user]
	if !t.isOfUser(p, &v.found) || !v.count(in, p, t.msg[name.from:name.to], t.times, t.time, mark) {
		in.wanted = append(in.wanted, mark)
	}
}

// count counts events by their user, or as left out, if it is known that they are.
func (v *sieve) count(in *piece, p *pattern, name []byte, times int, time []byte, mark int) bool {
	if p != v.last {
		v.last, v.tally = p, v.tallies[p.group()]
	}
	if v.tally.users == nil {
		return false
	}
	count, ok := v.tally.users.find(name)
	if !ok {
		if !v.tally.full || encoded(name) {
			return false
		}
		in.miss(p.cause, times)
		return true
	}
	if more := count + 1 - len(in.again); more > 0 {
		in.again = append(in.again, make([]again, more)...)
	}
	a := &in.again[count]
	a.times += times
	a.mark, a.time = mark, time
	return true
}

// isOfUser reports whether an event is counted by its user alone, whatever
// stands in other lines.
func (t *text) isOfUser(p *pattern, found *spans) bool {
	return !p.ofEntry() && found[file].to == 0 && found[key].to == 0 && found[line].to == 0 && !t.waits(p, found)
}

// ofEntry reports whether the pattern is of what other lines tell more about.
func (p *pattern) ofEntry() bool {
	switch p.cause {
	case "entry-from", "entry-expired", "entry-refused":
		return true
	}
	return false
}
