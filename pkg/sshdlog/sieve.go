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

// AddLog counts the events of a log of this severity and above: those that a
// Scanner yields, in its order, but with all processors and in much less time.
// It reads to the end, of which it returns the error if it was another than
// io.EOF, and holds a bounded part of the log.
func (c *Counter) AddLog(r io.Reader, want Severity) (Stats, error) {
	prepare()
	workers := runtime.GOMAXPROCS(0)
	c.init()
	m := merger{counter: c, scanner: Scanner{want: want}}
	m.full.Store(&full{})
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
				v.full = *m.full.Load()
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

	sifted chan struct{} // receives once what is below holds
	stats  Stats
	marks  []mark
	wanted []wanted
	misses []miss
	export int // where it goes on as journalctl -o export, or -1
}

// A mark is a line of a program that we know.
type mark struct {
	at      int
	process process
}

// A wanted line is one of which there is an event.
type wanted struct {
	mark  int    // its index
	count int    // what it is counted as, or -1 if that is not known yet
	times int    // if it is
	time  []byte // if it is
}

// A miss is how many events of a cause are counted as left out.
type miss struct {
	cause string
	times int
}

// line returns the line at a place, as Scanner.line does, and where the next
// one is. There is no newline in its first bytes, as many as are sure.
func (p *piece) line(at, sure int) (line []byte, cut bool, next int) {
	line, next = p.buf[at:p.to], p.to
	if end := bytes.IndexByte(line[sure:], '\n'); end >= 0 {
		line, next = line[:sure+end], at+sure+end+1
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
// Most lines start as the one before, and go on as many do that nobody wants: it
// compares them eight bytes at a time, and understands only the others.
type sieve struct {
	want  Severity
	full  full
	found spans
	head  head
	known [64][4]beginning // by a hash of their first bytes, the latest first
}

// sift fills in what a piece says about its lines.
func (v *sieve) sift(p *piece) {
	p.stats, p.marks, p.wanted, p.misses, p.export = Stats{}, p.marks[:0], p.wanted[:0], p.misses[:0], -1
	at := 0
	if p.inside {
		_, _, at = p.line(0, 0)
	}
	for at < p.to {
		pid, id, message, ours := v.head.skim(p.buf[at:], p.to-at)
		line, cut, next := p.line(at, message)
		if startsExport(line) {
			p.export = at
			return
		}
		p.stats.Lines++
		switch {
		case message > 0 && v.passes(line[message:], p.buf[at+message:]):
			p.stats.Known++
			p.marks = append(p.marks, mark{at, id})
		case message > 0:
			t := text{times: 1, cut: cut, time: line[:v.head.time], pid: line[pid : message-len("]: ")], msg: bytes.TrimSuffix(line[message:], []byte{'\r'}), program: sshd}
			t.syslog()
			v.look(&t, p, mark{at, id})
		case !ours:
			p.stats.Foreign++
		default:
			t := text{times: 1, cut: cut}
			ours := t.read(line)
			v.head.learn(line, &t)
			if !ours {
				p.stats.Foreign++
				break
			}
			v.look(&t, p, mark{at, processOf(t.pid)})
		}
		at = next
	}
}

// Words of eight bytes, the first one lowest.
const (
	wordSize = 8
	each     = 0x0101010101010101
)

func load(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// firstBytes is the word that keeps the first n bytes of another.
func firstBytes(n int) uint64 {
	if n >= wordSize {
		return ^uint64(0)
	}
	return 1<<(8*max(n, 0)) - 1
}

// A head is how lines start, up to their tag: that of a line of sshd, but for
// the digits.
type head struct {
	words  [8]uint64
	exact  [8]uint64 // the bits that are the same
	digits [8]uint64 // the lower bits of the digits
	n      int       // how many words there are, 0 if no head is known
	time   int       // where it ends; it comes first
	tag    int       // where it starts
}

// learn takes the head of a line that was read.
func (h *head) learn(line []byte, t *text) {
	if t.program != sshd || t.tagAt == 0 || t.tagAt > len(h.words)*wordSize || !bytes.HasPrefix(line, t.time) || !bytes.HasPrefix(line[t.tagAt:], []byte("sshd")) {
		return
	}
	*h = head{n: (t.tagAt + wordSize - 1) / wordSize, time: len(t.time), tag: t.tagAt}
	for i, c := range line[:h.tag] {
		shift := i % wordSize * 8
		h.words[i/wordSize] |= uint64(c) << shift
		if isDigit(c) {
			h.exact[i/wordSize] |= 0xf0 << shift
			h.digits[i/wordSize] |= 0x0f << shift
		} else {
			h.exact[i/wordSize] |= 0xff << shift
		}
	}
}

// skim finds the PID and the message of a line of sshd that starts with the
// head. The line is the first of so many bytes; more can be read. message is 0
// where it is in doubt, and ours is false where the line is surely of another
// program.
func (h *head) skim(b []byte, size int) (pid int, id process, message int, ours bool) {
	if h.n == 0 || size < h.tag {
		return 0, 0, 0, true
	}
	b = b[:longestHead]
	differ := uint64(0)
	for i := range h.n {
		w := load(b[i*wordSize:])
		differ |= (w^h.words[i])&h.exact[i] | (w&h.digits[i]+h.digits[i]&(each*6))&(each*0x10)
	}
	if differ != 0 {
		return 0, 0, 0, true
	}
	const older, newer = "sshd[", "sshd-session["
	switch tag := b[h.tag:]; {
	case string(tag[:len(older)]) == older:
		pid = h.tag + len(older)
	case string(tag[:len(newer)]) == newer:
		pid = h.tag + len(newer)
	default: // all of our names begin with ss or dr, in brackets or not
		tag = tag[:min(size-h.tag, len(tag))]
		end := bytes.IndexByte(tag, ' ')
		other := end > 1 && tag[end-1] == ':' && tag[0] != '(' && tag[0] != '[' && string(tag[:2]) != "ss" && string(tag[:2]) != "dr"
		return 0, 0, 0, !other || bytes.IndexByte(tag[:end], '\n') >= 0
	}
	// The first bracket, and nothing but digits before it.
	w := load(b[pid:])
	brackets := w ^ each*']'
	n := bits.TrailingZeros64((brackets-each)&^brackets&(each*0x80)) / 8
	w &= firstBytes(n)
	digits := w ^ each*'0'&firstBytes(n)
	message = pid + n + len("]: ")
	if n == 0 || n == wordSize || (digits|(digits+each*(0x7f-9)))&(each*0x80) != 0 || message > size || b[message-2] != ':' || b[message-1] != ' ' {
		return 0, 0, 0, true
	}
	return pid, process(w), message, true
}

// A beginning is that of messages of sshd that are known and not wanted,
// whatever follows.
type beginning struct {
	words [6]uint64
	exact [6]uint64 // the bits that are of it
	size  int       // in bytes, 0 if there is none
}

// What may be read from a line on: a head with a tag and a PID, and a beginning.
const (
	longestHead = 128
	slack       = longestHead + 6*wordSize
)

// longestEnd is what clean and syslog take off the end of a message at most; it
// ends in one of "]5\r".
const longestEnd = len(" [postauth]#015\r")

// beginnings returns where those of a message are kept.
func (v *sieve) beginnings(first, second uint64) *[4]beginning {
	hi, lo := bits.Mul64(first^0x9e3779b97f4a7c15, second^0xbf58476d1ce4e5b9)
	return &v.known[(hi^lo)%64]
}

// passes reports whether a message of sshd has one of the beginnings; all is
// what stands in memory from its start.
func (v *sieve) passes(m, all []byte) bool {
	all = all[:6*wordSize]
	of := v.beginnings(load(all), load(all[wordSize:]))
	for i := range of {
		b := &of[i]
		differ := uint64(0)
		for j := range b.words {
			differ |= (load(all[j*wordSize:]) ^ b.words[j]) & b.exact[j]
		}
		if differ == 0 && b.size > 0 && len(m) >= b.size {
			end := m[len(m)-1]
			return len(m) >= b.size+longestEnd || end != ']' && end != '\r' && end != '5'
		}
	}
	return false
}

// learn notes the beginning of a message that is not wanted, if nothing that
// may follow on it is.
func (v *sieve) learn(m []byte) {
	t := text{msg: m, program: sshd}
	t.clean()
	n, size := byPrefix.find(t.msg, sshd, v.want)
	size += bytes.Index(m, t.msg) // its level
	if n.any[sshd] >= v.want || size > len(beginning{}.words)*wordSize || len(m) < 2*wordSize {
		return
	}
	b := beginning{size: size}
	for i, c := range m[:size] {
		b.words[i/wordSize] |= uint64(c) << (i % wordSize * 8)
		b.exact[i/wordSize] |= 0xff << (i % wordSize * 8)
	}
	of := v.beginnings(load(m), load(m[wordSize:]))
	copy(of[1:], of[:])
	of[0] = b
}

// look takes a line of ours.
func (v *sieve) look(t *text, in *piece, m mark) {
	raw := t.msg
	t.clean()
	p := t.match(v.want, &v.found)
	if p == nil {
		in.stats.Unknown++
		return
	}
	in.stats.Known++
	in.marks = append(in.marks, m)
	switch {
	case p == &unwanted:
		if t.program == sshd { // as are all that passes looks at
			v.learn(raw)
		}
	case p.severity >= v.want:
		v.keep(t, p, in)
	}
}

// keep notes that the last mark is of a line that is wanted, or counts it.
func (v *sieve) keep(t *text, p *pattern, in *piece) {
	w := wanted{mark: len(in.marks) - 1, count: -1}
	if users, ok := v.full[p.group()]; ok && t.isOfUser(p, &v.found) {
		name := v.found[user]
		if w.count, ok = users[string(t.msg[name.from:name.to])]; !ok {
			in.miss(p.cause, t.times)
			return
		}
		w.times, w.time = t.times, t.time
	}
	in.wanted = append(in.wanted, w)
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

// full are the groups of which a Counter keeps no more, and of each the users
// that it counts events of which name no file and no key. An event of such a
// group and of another user is left out.
type full map[string]map[string]int

// A merger puts together what the pieces say, in their order.
type merger struct {
	counter *Counter
	scanner Scanner
	full    atomic.Pointer[full] // as the sieves may read it
}

// merge takes the next piece.
func (m *merger) merge(p *piece) {
	s := &m.scanner
	s.stats.Lines += p.stats.Lines
	s.stats.Known += p.stats.Known
	s.stats.Unknown += p.stats.Unknown
	s.stats.Foreign += p.stats.Foreign
	for _, miss := range p.misses {
		m.counter.leftOut[miss.cause] += miss.times
	}
	next := 0 // mark
	for _, w := range p.wanted {
		if w.count < 0 {
			m.tell(p, p.marks[next:w.mark])
			t := m.text(p, p.marks[w.mark])
			if pattern := t.match(s.want, &s.found); pattern != nil {
				s.understood(&t, pattern)
				m.flush()
			}
		} else {
			m.tell(p, p.marks[next:w.mark+1])
			m.counter.again(w.count, w.times, string(w.time))
		}
		next = w.mark + 1
	}
	m.tell(p, p.marks[next:])
	if len(*m.full.Load()) < m.counter.full {
		f := m.counter.fullGroups()
		m.full.Store(&f)
	}
}

// tell gives the events that wait what lines of their connections know.
func (m *merger) tell(p *piece, marks []mark) {
	s := &m.scanner
	for _, k := range marks {
		if len(s.waiting.events) == 0 {
			return
		}
		if s.waiting.processes[k.process] > 0 {
			t := m.text(p, k)
			s.tell(&t, &unwanted)
			m.flush()
		}
	}
}

// text returns the text of a line.
func (m *merger) text(p *piece, k mark) text {
	line, cut, _ := p.line(k.at, 0)
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
		m.counter.Add(*e)
	}
	m.scanner.ready = m.scanner.ready[:0]
}
