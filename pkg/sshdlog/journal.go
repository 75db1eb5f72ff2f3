package sshdlog

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
)

// A record is an entry of the journal, as far as we need it.
type record struct {
	more                                 func(s *Scanner, line []byte, cut bool) bool // takes its next line; nil if none is started
	message, tag, comm, pid, host, stamp []byte
	pretty                               []byte // all of it, in one line
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

// startsRecord returns what takes the lines of a record, from this one on: in each
// of these formats it has several. It is nil for any other line.
func startsRecord(line []byte) func(s *Scanner, line []byte, cut bool) bool {
	const first = "__CURSOR="
	switch {
	case len(line) > len(first) && line[0] == '_' && string(line[:len(first)]) == first:
		return (*Scanner).export
	case len(line) == 1 && line[0] == '{':
		return (*Scanner).pretty
	case startsVerbose(line):
		return (*Scanner).verbose
	}
	return nil
}

// startsVerbose reports whether the line is the first of a record of journalctl
// -o verbose: the time, and the cursor in brackets.
func startsVerbose(line []byte) bool {
	const cursor = "[s="
	if len(line) < len(cursor) || line[len(line)-1] != ']' || line[0] < 'A' || line[0] > 'Z' {
		return false
	}
	at := stamp(line)
	return at > 0 && bytes.HasPrefix(line[at:], []byte(cursor))
}

// verbose takes a line of journalctl -o verbose: the first of a record, or four
// blanks and KEY=value. It reports whether the line was one.
func (s *Scanner) verbose(line []byte, cut bool) bool {
	switch {
	case startsVerbose(line):
		if s.record.stamp != nil {
			s.endRecord()
		}
		s.record.more = (*Scanner).verbose
		s.record.stamp = bytes.Clone(bytes.TrimRight(line[:stamp(line)], " "))
	case len(line) > 4 && string(line[:4]) == "    ":
		if name, value, ok := bytes.Cut(line[4:], []byte{'='}); ok {
			s.record.keep(s.record.field(name), value, cut)
		}
	default:
		s.endRecord()
		return false
	}
	return true
}

// pretty takes a line of journalctl -o json-pretty, of which those with { and }
// alone are around a record. It reports whether the line was one.
func (s *Scanner) pretty(line []byte, cut bool) bool {
	r := &s.record
	last := len(line) > 0 && line[0] == '}'
	if !last && len(r.pretty) > 0 && (len(line) == 0 || line[0] != '\t' && line[0] != ' ') {
		s.endRecord()
		return false
	}
	if len(r.pretty)+len(line) < maxRecord && !cut {
		r.pretty = append(append(r.pretty, line...), ' ')
	}
	if last {
		t := text{times: 1}
		ours, _ := t.json(r.pretty)
		s.record = record{}
		s.count(&t, ours)
	}
	return true
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
	to := r.field(name)
	if !hasValue { // and the memory of the line is used again
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
	r.keep(to, value, cut)
	return true
}

// keep notes the value of a field, unless to is nil.
func (r *record) keep(to *[]byte, value []byte, cut bool) {
	if to != nil && r.size < maxRecord {
		keep := value[:min(len(value), maxRecord-r.size)]
		r.size += len(keep)
		*to = bytes.Clone(keep)
		r.cut = r.cut || to == &r.message && (cut || len(keep) < len(value))
	}
}

func (s *Scanner) endRecord() {
	t := text{times: 1}
	ours := s.record.text(&t)
	s.record = record{}
	s.count(&t, ours)
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
