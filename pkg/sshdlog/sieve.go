package sshdlog

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
)

// AddLog counts the events of a log of severity want and above: those that a
// Scanner yields, in its order, but using all processors and in much less time.
// It reads to the end, returns any error other than io.EOF, and holds a bounded
// part of the log.
func (c *Counter) AddLog(r io.Reader, want Severity) (Stats, error) {
	prepare()
	workers := runtime.GOMAXPROCS(0)
	c.init()
	m := merger{counter: c, scanner: Scanner{want: want}, last: make(map[int]int)}
	m.tallies.Store(&tallies{})
	l := cutter{r: r, queue: make(chan *piece, 2*workers)}
	free := make(chan *piece, cap(l.queue))
	for range cap(free) {
		free <- &piece{sifted: make(chan struct{}, 1)}
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			v := sieve{want: want}
			for p := range free {
				if !l.next(p) {
					return
				}
				v.tallies, v.last = *m.tallies.Load(), nil
				v.sift(p)
				p.sifted <- struct{}{}
			}
		})
	}
	go func() {
		running.Wait()
		close(l.queue)
	}()
	var left []io.Reader // what is not for the sieve
	for p := range l.queue {
		<-p.sifted
		if left != nil {
			left = append(left, bytes.NewReader(p.buf[:p.to]))
			continue
		}
		m.merge(p)
		if p.export < 0 {
			free <- p
			continue
		}
		left = append(left, bytes.NewReader(p.buf[p.export:p.to]))
		l.stop()
		close(free)
	}
	s := &m.scanner
	s.r, s.buf = io.MultiReader(append(left, &l)...), make([]byte, bufferSize)
	for s.Scan() {
		c.Add(s.Event())
	}
	return s.Stats(), s.Err()
}

// pieceSize is how much of a log is read at once. It is more than a line may
// have, and less than the nearer caches of a processor.
const pieceSize = 2 * bufferSize

// A piece is a part of a log, of whole lines, but for one that is too long.
type piece struct {
	buf    []byte // with room behind it that may be read
	to     int    // where it ends in buf
	inside bool   // it starts in a line of which no more is wanted

	sifted  chan struct{} // receives once what is below holds
	marks   []mark
	unknown int     // lines of programs that we know, but without a mark
	foreign int     // lines of others
	wanted  []int   // the marks of lines of which there is an event that is not counted here
	again   []again // those that are, by what they are counted as
	misses  []miss
	export  int // where it goes on as journalctl -o export, or -1
}

// A mark is a line that was recognized.
type mark struct {
	at      int
	process process
}

// What is again is met as often in a piece as this says.
type again struct {
	times int
	mark  int    // of the last line
	time  []byte // of that
}

// A miss is how many events of a cause are counted as left out.
type miss struct {
	cause string
	times int
}

// line returns the line at a place, as Scanner.line does, and where the next
// one is.
func (p *piece) line(at int) (line []byte, cut bool, next int) {
	line, next = p.buf[at:p.to], p.to
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line, next = line[:end], at+end+1
	}
	if len(line) >= bufferSize {
		return line[:keptOfLong], true, next
	}
	return line, false, next
}

// A cutter cuts a log into pieces.
type cutter struct {
	mu     sync.Mutex
	r      io.Reader
	err    error  // of r
	rest   []byte // of a line that is not whole yet
	inside bool   // what comes next belongs to a line that was too long
	queue  chan *piece

	stopped bool
}

// next reads a piece and puts it into the queue, before anyone reads the one
// that follows. It reports whether there was any.
func (l *cutter) next(p *piece) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.err != nil {
		return false
	}
	if p.buf == nil {
		p.buf = make([]byte, pieceSize+slack)
	}
	p.inside, p.to = l.inside, copy(p.buf, l.rest)
	l.rest = l.rest[:0]
	for l.err == nil && p.to < pieceSize {
		var n int
		n, l.err = readSome(l.r, p.buf[p.to:pieceSize])
		p.to += n
	}
	if p.to == 0 {
		return false
	}
	if l.err == nil {
		end := bytes.LastIndexByte(p.buf[:p.to], '\n') + 1
		if l.inside = end == 0; !l.inside {
			l.rest = append(l.rest, p.buf[end:p.to]...)
			p.to = end
		}
	}
	l.queue <- p
	return true
}

// stop ends the cutting. What is left can be read then.
func (l *cutter) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

// Read reads what no piece has.
func (l *cutter) Read(b []byte) (int, error) {
	if len(l.rest) > 0 {
		n := copy(b, l.rest)
		l.rest = l.rest[n:]
		return n, nil
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(b)
}

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
	p.unknown, p.foreign, p.export = 0, 0, -1
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
		if startsExport(line) {
			p.export = at
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

// pass goes over lines that start as the head and go on as nobody wants, or are
// of other programs, and returns where the first other line starts, and the forms
// of its message if they are known.
func (v *sieve) pass(p *piece, at int) (to int, l spots, forms *node) {
	const older, newer, auth = "sshd[", "sshd-session[", "sshd-auth["
	h := &v.head
	for at+h.tag < p.to && h.tag > 0 {
		b := p.buf[at : at+slack]
		if h.differ(b, 0)|h.differ(b, 1)|h.differ(b, 2)|h.differ(b, 3)|h.differ(b, 4)|h.differ(b, 5)|h.differ(b, 6)|h.differ(b, 7) != 0 {
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
		bracket := w ^ each*']'
		bracket = (bracket - each) &^ bracket & (each * 0x80)
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
		if known.forms != nil {
			return at, l, known.forms
		}
		p.marks = append(p.marks, mark{at, l.process})
		at += size + 1
	}
	return at, spots{}, nil
}

// Words of eight bytes, the first one lowest.
const (
	wordSize = 8
	each     = 0x0101010101010101
	mix      = 0x9e3779b97f4a7c15 // a factor that makes the highest bits depend on all
)

func load(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// A head is how lines start, up to their tag: that of a line of sshd, but for
// the digits.
type head struct {
	words [8]uint64 // with 0 for the digits
	six   [8]uint64 // where they stand
	exact [8]uint64 // the bits that are the same
	time  int       // where it ends; it comes first
	tag   int       // where it starts, 0 if no head is known
}

// learn takes the head of a line that was read.
func (h *head) learn(line []byte, t *text) {
	if t.program != sshd || t.tagAt == 0 || t.tagAt > len(h.words)*wordSize || !bytes.HasPrefix(line, t.time) || !bytes.HasPrefix(line[t.tagAt:], []byte("sshd")) {
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
func (v *sieve) learn(m []byte, t *text, p *pattern) {
	n, size := byPrefix.find(t.msg, sshd, v.want)
	size += bytes.Index(m, t.msg) // its level
	b := beginning{size: size}
	switch {
	case p == &unwanted && n.any[sshd] < v.want:
	case n.last:
		b.forms = n
	default:
		return
	}
	if size > len(b.words)*wordSize || len(m) < 4*wordSize || bytes.IndexByte(m[:size], '#') >= 0 {
		return
	}
	for i, c := range m[:size] {
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
	mark := len(in.marks) - 1
	if p != v.last {
		v.last, v.tally = p, v.tallies[p.group()]
	}
	if v.tally.users != nil && t.isOfUser(p, &v.found) {
		name := v.found[user]
		if count, ok := v.tally.users.find(t.msg[name.from:name.to]); ok {
			if more := count + 1 - len(in.again); more > 0 {
				in.again = append(in.again, make([]again, more)...)
			}
			a := &in.again[count]
			a.times += t.times
			a.mark, a.time = mark, t.time
			return
		} else if v.tally.full {
			in.miss(p.cause, t.times)
			return
		}
	}
	in.wanted = append(in.wanted, mark)
}

// isOfUser reports whether an event is counted by its user alone, whatever
// stands in other lines.
func (t *text) isOfUser(p *pattern, found *spans) bool {
	switch p.cause {
	case "entry-from", "entry-expired", "entry-refused":
		return false
	}
	name := found[user]
	return found[file].to == 0 && found[key].to == 0 && found[line].to == 0 && !t.waits(p, found) &&
		bytes.IndexByte(t.msg[name.from:name.to], '\\') < 0
}

// miss counts an event as left out.
func (p *piece) miss(cause string, times int) {
	for i := range p.misses {
		if p.misses[i].cause == cause {
			p.misses[i].times += times
			return
		}
	}
	p.misses = append(p.misses, miss{cause, times})
}

// tallies are the groups of a Counter, as it was at some time.
type tallies map[string]tally

// A tally has the users whom a group counts events of that name no file and no
// key. When it is full, such an event of another user is left out.
type tally struct {
	users *users
	full  bool
}

// users are names, and what their events are counted as. Those of up to two
// words are found without a map.
type users struct {
	all   map[string]int
	short [512]struct { // more than twice perCause
		shortName
		count int
		taken bool
	}
}

// A shortName has 0 behind its end.
type shortName struct {
	first, second uint64
	size          int
}

// shorten takes a name of up to two words, with room for them.
func shorten(name []byte) shortName {
	n, b := len(name), name[:2*wordSize]
	return shortName{load(b) & lowest(n), load(b[wordSize:]) & lowest(n-wordSize), n}
}

// lowest has the bits of the first n bytes of a word.
func lowest(n int) uint64 { return ^uint64(0) >> (64 - 8*max(0, min(n, wordSize))) }

// place returns where a short name stands, or is to stand.
func (u *users) place(n shortName) int {
	at := int((n.first ^ bits.RotateLeft64(n.second, 29)) * mix >> 55)
	for u.short[at].taken && u.short[at].shortName != n {
		at = (at + 1) % len(u.short)
	}
	return at
}

func (u *users) add(name string, count int) {
	u.all[name] = count
	if len(name) <= 2*wordSize {
		n := shorten(append(make([]byte, 0, 2*wordSize), name...))
		s := &u.short[u.place(n)]
		s.shortName, s.count, s.taken = n, count, true
	}
}

func (u *users) find(name []byte) (count int, ok bool) {
	if len(name) > 2*wordSize || cap(name) < 2*wordSize {
		count, ok = u.all[string(name)]
		return count, ok
	}
	s := &u.short[u.place(shorten(name))]
	return s.count, s.taken
}

// A merger puts together what the pieces say, in their order.
type merger struct {
	counter *Counter
	scanner Scanner
	tallies atomic.Pointer[tallies] // as the sieves may read them
	slow    int                     // events since, that they did not help with
	mark    int                     // where it is in a piece
	last    map[int]int             // the mark at which what is counted was counted last in it, but for what is again
}

// merge takes the next piece.
func (m *merger) merge(p *piece) {
	s := &m.scanner
	s.stats.Lines += len(p.marks) + p.unknown + p.foreign
	s.stats.Known += len(p.marks)
	s.stats.Unknown += p.unknown
	s.stats.Foreign += p.foreign
	for _, miss := range p.misses {
		m.counter.leftOut[miss.cause] += miss.times
	}
	clear(m.last)
	m.mark = 0
	for _, mark := range p.wanted {
		m.tell(p, mark)
		t := m.text(p, p.marks[mark])
		if pattern := t.match(s.want, &s.found); pattern != nil {
			s.understood(&t, pattern)
			m.flush()
		}
		m.mark++
		m.slow++
	}
	m.tell(p, len(p.marks))
	for i, a := range p.again {
		if a.times == 0 {
			continue
		}
		count := &m.counter.counts[i]
		count.Times += a.times
		if m.last[i] <= a.mark {
			count.Last = string(a.time)
		}
	}
	if m.slow > len(m.counter.counts) {
		t := m.counter.tallies()
		m.tallies.Store(&t)
		m.slow = 0
	}
}

// tell gives the events that wait what lines of their connections know, up to a
// mark.
func (m *merger) tell(p *piece, to int) {
	s := &m.scanner
	for ; m.mark < to && len(s.waiting.events) > 0; m.mark++ {
		if k := p.marks[m.mark]; s.waiting.processes[k.process] > 0 {
			t := m.text(p, k)
			s.tell(&t, &unwanted)
			m.flush()
		}
	}
	m.mark = to
}

// text returns the text of a line.
func (m *merger) text(p *piece, k mark) text {
	line, cut, _ := p.line(k.at)
	t := text{times: 1, cut: cut}
	t.read(line)
	t.clean()
	return t
}

// flush counts what is ready.
func (m *merger) flush() {
	for i := range m.scanner.ready {
		e := &m.scanner.ready[i]
		e.settle()
		if i := m.counter.add(*e); i >= 0 {
			m.last[i] = m.mark
		}
	}
	m.scanner.ready = m.scanner.ready[:0]
}
