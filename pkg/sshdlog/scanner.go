package sshdlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
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

	record record // of journalctl -o export
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
			if s.record.started {
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
	if s.record.started || startsExport(line) {
		if s.export(line, cut) {
			return
		}
	}
	s.stats.Lines++
	t := text{times: 1, cut: cut}
	if !t.read(line) {
		s.stats.Foreign++
		return
	}
	s.text(&t)
}

// read understands the head of a line. ours is false for one of a program that
// we do not know.
func (t *text) read(line []byte) (ours bool) {
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
// address.
func (t *text) waits(p *pattern, found *spans) bool {
	return p.severity == Refusal && len(t.pid) > 0 && !p.ofServer() &&
		(found[user].from == found[user].to || found[addr].from == found[addr].to)
}

// ofServer reports whether the pattern is about the server, not a connection.
func (p *pattern) ofServer() bool {
	switch p.cause {
	case "server-config-bad", "host-key-unusable", "connection-refused":
		return true
	}
	return false
}

// A conn is what tells the lines of one connection from those of others.
type conn struct{ host, pid string }

func (e *Event) conn() conn { return conn{e.Host, e.PID} }

// A process stands for a PID: one of up to eight bytes alone, a longer one
// together with others.
type process uint64

// processOf puts the bytes of a PID side by side, the first one lowest.
func processOf[T string | []byte](pid T) process {
	var id process
	for i := range len(pid) {
		id ^= process(pid[i]) << (i % 8 * 8)
	}
	return id
}

// maxWaiting bounds the events that wait for a later line.
const maxWaiting = 256

// waiting are events of which the user or the address is not known yet, in the
// order of their lines.
type waiting struct {
	events    []Event
	processes map[process]int // how many events wait for it
}

// add lets an event wait. It returns the oldest if there are too many.
func (w *waiting) add(e Event) (done []Event) {
	if w.processes == nil {
		w.processes = make(map[process]int)
	}
	if len(w.events) == maxWaiting {
		done = append(done, w.remove(0))
	}
	w.events = append(w.events, e)
	w.processes[processOf(e.PID)]++
	return done
}

func (w *waiting) remove(i int) Event {
	e := w.events[i]
	w.events = append(w.events[:i], w.events[i+1:]...)
	id := processOf(e.PID)
	if w.processes[id]--; w.processes[id] == 0 {
		delete(w.processes, id)
	}
	return e
}

// tell gives the events of the same connection what a line knows, and returns
// those that know all then.
func (w *waiting) tell(t *text, p *pattern, found *spans) (done []Event) {
	if found[user].to == 0 && found[addr].to == 0 {
		return nil
	}
	told := t.event(p, found)
	for i := 0; i < len(w.events); {
		e := &w.events[i]
		if e.conn() != told.conn() {
			i++
			continue
		}
		if e.User == "" {
			e.User = told.User
		}
		if e.Addr == "" {
			e.Addr, e.Port = told.Addr, told.Port
		}
		if e.User == "" || e.Addr == "" {
			i++
			continue
		}
		done = append(done, w.remove(i))
	}
	return done
}

// drain returns all that wait.
func (w *waiting) drain() []Event {
	events := w.events
	*w = waiting{}
	return events
}

// A record is an entry of the journal, as far as we need it.
type record struct {
	started                              bool
	message, tag, comm, pid, host, stamp []byte
	size                                 int
	cut                                  bool // the message is
}

// field returns where the value of a field goes; nil if it does not matter.
func (r *record) field(name []byte) *[]byte {
	switch string(name) {
	case "MESSAGE":
		return &r.message
	case "SYSLOG_IDENTIFIER":
		return &r.tag
	case "_COMM":
		return &r.comm
	case "SYSLOG_PID":
		return &r.pid
	case "_PID":
		if r.pid == nil {
			return &r.pid
		}
	case "_HOSTNAME":
		return &r.host
	case "__REALTIME_TIMESTAMP":
		return &r.stamp
	}
	return nil
}

// text makes a text of the record. The identifier is the writer's to choose,
// so the name of its process counts as well.
func (r *record) text(t *text) (ours bool) {
	if r.message == nil || !t.ident(r.tag) {
		return false
	}
	if len(r.comm) > 0 && !bytes.HasPrefix(r.comm, []byte("sshd")) && !bytes.HasPrefix(r.comm, []byte("dropbear")) && string(r.comm) != "ssh" {
		return false
	}
	t.cut = r.cut
	t.time, t.host, t.pid = r.stamp, r.host, r.pid
	t.msg = withoutCR(r.message)
	t.syslog()
	return true
}

// json takes a line of journalctl -o json, json-seq or json-sse. It reports
// whether the record is ours, and whether the line is one at all.
func (t *text) json(line []byte) (ours, structured bool) {
	line = bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("data: ")), []byte{0x1e})
	if len(line) < 2 || line[0] != '{' {
		return false, false
	}
	var r record
	for rest := line[1:]; ; {
		rest = jsonBehind(rest, ',')
		name, after, ok := jsonString(rest)
		if !ok {
			structured = len(rest) > 0 && rest[0] == '}'
			break
		}
		rest = jsonBehind(after, ' ')
		if len(rest) == 0 || rest[0] != ':' {
			break
		}
		rest = jsonBehind(rest[1:], ' ')
		value, after, ok := jsonValue(rest)
		if !ok {
			break
		}
		if to := r.field(name[1 : len(name)-1]); to != nil {
			*to = jsonBytes(value)
		}
		rest = after
	}
	// What is torn says nothing, and is a record all the same.
	return structured && r.text(t), structured || r.tag != nil || r.stamp != nil
}

// jsonBehind returns b behind the blanks, and any of a mark, that it starts with.
func jsonBehind(b []byte, mark byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t' || b[0] == mark) {
		b = b[1:]
	}
	return b
}

// jsonString returns the string that b starts with, in its quotes.
func jsonString(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; ; {
		at := bytes.IndexByte(b[i:], '"')
		if at < 0 {
			return nil, nil, false
		}
		i += at + 1
		slashes := 0
		for b[i-2-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return b[:i], b[i:], true
		}
	}
}

// jsonValue returns the value that b starts with. journalctl writes strings,
// null, and arrays: of bytes, and of the values of a field that is there twice.
func jsonValue(b []byte) (value, rest []byte, ok bool) {
	if len(b) > 0 && b[0] == '"' {
		return jsonString(b)
	}
	for depth, i := 0, 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			s, _, ok := jsonString(b[i:])
			if !ok {
				return nil, nil, false
			}
			i += len(s) - 1
		case c == '[', c == '{':
			depth++
		case depth > 0 && (c == ']' || c == '}'):
			if depth--; depth == 0 {
				return b[:i+1], b[i+1:], true
			}
		case depth == 0 && (c == ',' || c == '}' || c == ']'):
			return b[:i], b[i:], i > 0
		}
	}
	return nil, nil, false
}

// jsonBytes decodes a value: a string, an array of bytes, or of such values, of
// which the first counts. It is nil for null and for anything else.
func jsonBytes(value []byte) []byte {
	if value[0] == '"' && bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	switch value[0] {
	case '"':
		var s string
		if json.Unmarshal(value, &s) == nil {
			return []byte(s)
		}
	case '[':
		var b []byte
		if json.Unmarshal(value, &b) == nil {
			return b
		}
		var several []json.RawMessage
		if json.Unmarshal(value, &several) == nil && len(several) > 0 && len(several[0]) > 0 && several[0][0] != 'n' {
			return jsonBytes(several[0])
		}
	}
	return nil
}

// maxRecord bounds what is kept of one record of journalctl -o export, and what
// of a field is passed over before the stream is taken for something else.
const (
	maxRecord = 1 << 14
	maxField  = 1 << 26
)

// startsExport reports whether the line is the first of a record.
func startsExport(line []byte) bool {
	const first = "__CURSOR="
	return len(line) > len(first) && line[0] == '_' && string(line[:len(first)]) == first
}

// export takes a line of journalctl -o export: KEY=value, or KEY alone, and
// then a length in eight bytes, the value and a newline; an empty line ends the
// record. It reports whether the line was one.
func (s *Scanner) export(line []byte, cut bool) bool {
	r := &s.record
	if len(line) == 0 {
		s.endRecord()
		return true
	}
	name, value, hasValue := bytes.Cut(line, []byte{'='})
	for _, c := range name {
		if c != '_' && (c < 'A' || c > 'Z') && !isDigit(c) {
			s.endRecord()
			return false
		}
	}
	r.started = true
	to := r.field(name)
	if !hasValue {
		length, ok := s.take(8)
		if !ok {
			return true
		}
		n := binary.LittleEndian.Uint64(length)
		if n > maxField {
			s.endRecord()
			return true
		}
		value, cut = s.takeMost(int(n))
		s.take(1)
	}
	if to != nil && r.size < maxRecord {
		keep := value[:min(len(value), maxRecord-r.size)]
		r.size += len(keep)
		*to = bytes.Clone(keep)
		r.cut = r.cut || to == &r.message && (cut || len(keep) < len(value))
	}
	return true
}

func (s *Scanner) endRecord() {
	t := text{times: 1}
	ours := s.record.text(&t)
	s.record = record{}
	s.stats.Lines++
	if !ours {
		s.stats.Foreign++
		return
	}
	s.text(&t)
}

// take returns the next n bytes, which the buffer can hold.
func (s *Scanner) take(n int) (b []byte, ok bool) {
	for s.to-s.from < n {
		if !s.fill() {
			s.from = s.to
			return nil, false
		}
	}
	s.from += n
	return s.buf[s.from-n : s.from], true
}

// takeMost returns as many of the next n bytes as are kept of a record, and
// passes over the others.
func (s *Scanner) takeMost(n int) (b []byte, cut bool) {
	first, _ := s.take(min(n, maxRecord))
	b = bytes.Clone(first)
	for left := n - len(b); left > 0; {
		step := min(left, len(s.buf))
		if _, ok := s.take(step); !ok {
			break
		}
		left -= step
	}
	return b, n > maxRecord
}
