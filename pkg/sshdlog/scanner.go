package sshdlog

import (
	"bytes"
	"errors"
	"io"
)

// A Scanner reads a log and yields the events that it recognizes, in the order
// in which they are complete: one may wait for a later line of its connection
// that tells the user and the address. It holds a bounded part of the log.
type Scanner struct {
	r     io.Reader
	want  Severity
	stats Stats

	buf      []byte
	from, to int // what is unread in buf
	err      error

	ready   []Event // to be yielded, from next on
	next    int
	waiting waiting
	last    conn // that told which line of the keys refused; what follows repeats it

	record record // of journalctl, over several lines
	found  spans
}

// Stats count the lines that were read. A record of the journal is one line.
type Stats struct {
	Lines   int
	Known   int // of those, recognized
	Unknown int // of sshd, dropbear or ssh, or of no named program, and not recognized
	Foreign int // of other programs
}

// A line that the buffer cannot hold is cut. What is kept of it is longer than
// any head and message.
const (
	bufferSize = 1 << 18
	keptOfLong = messageMax * 8
)

// NewScanner returns a Scanner that yields events of severity want and above.
func NewScanner(r io.Reader, want Severity) *Scanner {
	prepare()
	return &Scanner{r: r, want: want, buf: make([]byte, bufferSize)}
}

// Scan advances to the next event. It returns false at the end of the log, and
// after an error.
func (s *Scanner) Scan() bool {
	if s.next++; s.next < len(s.ready) {
		return true
	}
	s.next, s.ready = 0, s.ready[:0]
	for len(s.ready) == 0 {
		line, cut, ok := s.line()
		if !ok {
			if s.record.more != nil {
				s.endRecord()
			}
			s.ready = append(s.ready, s.waiting.drain()...)
			return len(s.ready) > 0
		}
		s.read(line, cut)
	}
	return true
}

// Event returns the event that Scan found, after it has returned true.
func (s *Scanner) Event() Event {
	e := s.ready[s.next]
	e.settle()
	return e
}

// Stats returns counts of what has been read so far.
func (s *Scanner) Stats() Stats { return s.stats }

// Err returns the error that ended the reading, except for the end of the log.
func (s *Scanner) Err() error {
	if errors.Is(s.err, io.EOF) {
		return nil
	}
	return s.err
}

// line returns the next line without its end. The memory is the buffer's. Of a
// line that is longer than the buffer, cut says that the rest was passed over.
func (s *Scanner) line() (line []byte, cut, ok bool) {
	seen := 0
	for {
		if at := bytes.IndexByte(s.buf[s.from+seen:s.to], '\n'); at >= 0 {
			line = s.buf[s.from : s.from+seen+at]
			s.from += seen + at + 1
			return line, false, true
		}
		seen = s.to - s.from
		if seen == len(s.buf) {
			break
		}
		if !s.fill() {
			if seen == 0 {
				return nil, false, false
			}
			line = s.buf[s.from:s.to]
			s.from = s.to
			return line, false, true
		}
	}
	line = bytes.Clone(s.buf[:keptOfLong])
	for {
		if at := bytes.IndexByte(s.buf[s.from:s.to], '\n'); at >= 0 {
			s.from += at + 1
			return line, true, true
		}
		s.from = s.to
		if !s.fill() {
			return line, true, true
		}
	}
}

// fill reads more behind what is unread, and reports whether there is any.
func (s *Scanner) fill() bool {
	if s.from > 0 {
		copy(s.buf, s.buf[s.from:s.to])
		s.from, s.to = 0, s.to-s.from
	}
	if s.err != nil {
		return false
	}
	var n int
	n, s.err = readSome(s.r, s.buf[s.to:])
	s.to += n
	return n > 0
}

// readSome reads what there is. It returns 0 with an error alone.
func readSome(r io.Reader, b []byte) (int, error) {
	for range 100 { // empty reads
		if n, err := r.Read(b); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// read understands one line.
func (s *Scanner) read(line []byte, cut bool) {
	if s.record.more == nil {
		s.record.more = startsRecord(line)
	}
	if s.record.more != nil && s.record.more(s, line, cut) {
		return
	}
	t := text{times: 1, cut: cut}
	ours := t.read(line)
	s.count(&t, ours)
}

// count takes a line or a record, which is ours or not.
func (s *Scanner) count(t *text, ours bool) {
	s.stats.Lines++
	if !ours {
		s.stats.Foreign++
		return
	}
	s.text(t)
}

// read understands the head of a line. ours is false for one of a program that
// we do not know.
func (t *text) read(line []byte) (ours bool) {
	if len(line) == 0 {
		return false
	}
	if line[0] == 0 { // a power cut leaves them before what is logged next
		line = bytes.TrimLeft(line, "\x00")
	}
	if len(line) > 0 && (line[0] == '{' || line[0] == 0x1e || line[0] == 'd') {
		if ours, structured := t.json(line); structured {
			return ours
		}
	}
	return t.parse(line)
}

// text takes a line of ours.
func (s *Scanner) text(t *text) {
	t.clean()
	p := t.match(s.want, &s.found)
	if p == nil {
		s.stats.Unknown++
		return
	}
	s.stats.Known++
	s.understood(t, p)
}

// understood takes a text of which the pattern is found, as far as match does
// for what is wanted.
func (s *Scanner) understood(t *text, p *pattern) {
	s.tell(t, p)
	if p.severity < s.want {
		return
	}
	e := t.event(p, &s.found)
	switch p.cause {
	case "entry-from", "entry-expired":
		s.last = e.conn()
	case "entry-refused":
		if e.PID != "" && e.conn() == s.last {
			return
		}
	}
	if t.waits(p, &s.found) {
		s.ready = append(s.ready, s.waiting.add(e)...)
		return
	}
	s.ready = append(s.ready, e)
}

// tell gives the events that wait what a text of their connection knows.
func (s *Scanner) tell(t *text, p *pattern) {
	if s.waiting.processes[processOf(t.pid)] == 0 {
		return
	}
	if p == &unwanted {
		p = t.match(Context, &s.found)
	}
	if p != nil {
		s.ready = append(s.ready, s.waiting.tell(t, p, &s.found)...)
	}
}

// waits reports whether a later line of the connection may tell the user or the
// address, or that another key let him in. A line without a PID is of a connection
// only by its port.
func (t *text) waits(p *pattern, found *spans) bool {
	if p.severity != Refusal || p.ofServer() {
		return false
	}
	if p.name == "failed-publickey" {
		return true
	}
	return len(t.pid) > 0 && (found[user].from == found[user].to || found[addr].from == found[addr].to)
}

// ofServer reports whether the pattern is about the server, not a connection.
func (p *pattern) ofServer() bool {
	switch p.cause {
	case byConfig, "server-config-bad", "host-key-unusable", "connection-refused":
		return true
	}
	return false
}
