package sshdlog

import "bytes"

// parse takes the head off a line of text. What it makes of the formats:
//
//	Nov 22 07:23:29 HOST sshd[1]: …                   rsyslog, journalctl -o short, short-precise
//	2026-11-22T07:23:29.719890+00:00 HOST sshd[1]: …  rsyslog in Debian 12, short-iso
//	<38>1 2026-11-22T07:23:29Z HOST sshd 1 - - …      RFC 5424; RFC 3164 also begins with a number
//	Sun 2026-11-22 07:23:29 UTC HOST sshd[1]: …       short-full, with-unit
//	Sun Nov 22 07:23:29 2026 auth.info sshd[1]: …     logread of OpenWrt
//	1795332209.719436 HOST sshd[1]: …                 short-unix
//	[ 2906.078609] HOST sshd[1]: …                    short-monotonic, and with <    1.000000 > in it short-delta
//	[1] Nov 22 07:23:29 …                             dropbear -E
//
// Anything else is a bare line, as of sshd -e, ssh -v and journalctl -o cat.
// ours is false for a line of another program, whatever it says.
func (t *text) parse(line []byte) (ours bool) {
	line = withoutCR(line)
	rest := line
	if len(rest) > 2 && rest[0] == '<' && isDigit(rest[1]) {
		if at := bytes.IndexByte(rest[:min(len(rest), 6)], '>'); at > 0 {
			if rest = rest[at+1:]; len(rest) > 2 && rest[0] == '1' && rest[1] == ' ' {
				return t.parse5424(rest[2:])
			}
		}
	}
	at := stamp(rest)
	switch {
	case at > 0:
	case len(rest) > 17 && rest[0] == '[': // dropbear's own, as of no other program
		end := bytes.IndexByte(rest, ']')
		if end < 2 || !isDigits(rest[1:end]) || len(rest) < end+2 || rest[end+1] != ' ' {
			break
		}
		if at := traditional(rest[end+2:]); at > 0 {
			t.pid, t.time, t.msg, t.program = rest[1:end], rest[end+2:end+1+at], rest[end+2+at:], dropbear
			return true
		}
	}
	if at <= 0 {
		t.msg = line
		return true
	}
	t.time = bytes.TrimRight(rest[:at], " ")
	tag, rest := cutWord(rest[at:])
	if n := len(tag); n > 0 && tag[n-1] != ':' { // else there is no host
		t.host = tag
		tag, rest = cutWord(rest)
		// busybox writes auth.info between the host and the tag.
		if n := len(tag); n > 0 && tag[n-1] != ':' && bytes.IndexByte(tag, '.') > 0 {
			tag, rest = cutWord(rest)
		}
	}
	t.tagAt = len(line) - len(rest) - 1 - len(tag)
	if len(tag) < 2 || tag[len(tag)-1] != ':' || !t.ident(tag[:len(tag)-1]) {
		return false
	}
	t.msg = rest
	t.syslog()
	return true
}

// parse5424 takes the head of RFC 5424 after the version.
func (t *text) parse5424(rest []byte) (ours bool) {
	var tag []byte
	t.time, rest = cutWord(rest)
	t.host, rest = cutWord(rest)
	tag, rest = cutWord(rest)
	t.pid, rest = cutWord(rest)
	_, rest = cutWord(rest) // MSGID
	pid := t.pid
	if !t.ident(tag) {
		return false
	}
	t.pid = pid
	if len(rest) > 0 && rest[0] == '[' { // structured data, with ] escaped in its strings
		quoted := false
		for i := 0; i < len(rest); i++ {
			switch {
			case rest[i] == '\\':
				i++
			case rest[i] == '"':
				quoted = !quoted
			case rest[i] == ']' && !quoted && (i+1 == len(rest) || rest[i+1] != '['):
				rest = rest[i+1:]
				i = len(rest)
			}
		}
	} else {
		_, rest = cutWord(rest)
	}
	t.msg = bytes.TrimPrefix(bytes.TrimLeft(rest, " "), []byte("\xef\xbb\xbf"))
	t.syslog()
	return true
}

// syslog undoes what syslogd has done to the message.
func (t *text) syslog() {
	if m := t.msg; len(m) > 4 && m[0] == '[' && string(m[:4]) == "[ID " { // Solaris
		if at := bytes.Index(m, []byte("] ")); at > 0 {
			t.msg = m[at+2:]
		}
	}
	const repeated = "message repeated "
	if len(t.msg) > len(repeated) && string(t.msg[:len(repeated)]) == repeated && t.msg[len(t.msg)-1] == ']' {
		number, inner, ok := bytes.Cut(t.msg[len(repeated):], []byte(" times: [ "))
		if n, valid := atoi(number); ok && valid && n > 0 {
			t.times, t.msg = n, inner[:max(0, len(inner)-1)]
		}
	}
	if bytes.IndexByte(t.msg, '#') >= 0 { // control characters of those that do not encode them: #011
		t.msg = decodeHash(t.msg)
		t.msg = withoutCR(t.msg)
	}
	t.cut = t.cut || len(t.msg) >= syslogMax
}

// withoutCR takes a CR off the end.
func withoutCR(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\r' {
		return b[:n-1]
	}
	return b
}

func decodeHash(b []byte) []byte {
	var out []byte
	for i := 0; i < len(b); i++ {
		if b[i] == '#' {
			if v, ok := octal(b[i+1:]); ok && (v < ' ' || v == 0x7f) {
				if out == nil {
					out = append(make([]byte, 0, len(b)), b[:i]...)
				}
				out = append(out, v)
				i += 3
				continue
			}
		}
		if out != nil {
			out = append(out, b[i])
		}
	}
	if out == nil {
		return b
	}
	return out
}

// ident takes "sshd[123]" and the like apart, and reports whether it is one of
// the programs that we understand, or its unit.
func (t *text) ident(tag []byte) (ours bool) {
	name := tag
	if n := len(name); n > 2 && name[n-1] == ']' && name[0] != '[' {
		if at := bytes.LastIndexByte(name, '['); at > 0 {
			name, t.pid = tag[:at], tag[at+1:n-1]
		}
	}
	if n := len(name); n > 2 && (name[0] == '(' && name[n-1] == ')' || name[0] == '[' && name[n-1] == ']') {
		name = name[1 : n-1]
	}
	t.tag = name
	switch string(name) {
	case "sshd", "sshd-session", "sshd-auth", "ssh.service", "sshd.service":
		t.program = sshd
		return true
	case "dropbear", "dropbear.service":
		t.program = dropbear
		return true
	case "ssh":
		t.program = client
		return true
	}
	switch before, _, instance := bytes.Cut(name, []byte("@")); {
	case !instance:
	case string(before) == "ssh", string(before) == "sshd":
		t.program = sshd
		return true
	case string(before) == "dropbear":
		t.program = dropbear
		return true
	}
	return false
}

var noIdentity = []byte("no such identity: ")

// clean takes the level before the message and the mark after it off.
func (t *text) clean() {
	if len(t.msg) > messageMax {
		t.msg, t.cut = t.msg[:messageMax], true
	}
	m := t.msg
	if len(m) > 8 {
		switch {
		case string(m[:7]) == "error: ", string(m[:7]) == "fatal: ":
			m = m[7:]
		case string(m[:7]) == "debug3:" && bytes.HasPrefix(m[8:], noIdentity): // a default name; a file that was named is missed at info
		case string(m[:5]) == "debug" && m[6] == ':' && m[7] == ' ':
			m = m[8:]
		}
	}
	if n := len(m); n > 10 && m[n-1] == ']' {
		if string(m[n-10:]) == " [preauth]" {
			m = m[:n-10]
		} else if n > 11 && string(m[n-11:]) == " [postauth]" {
			m = m[:n-11]
		}
	}
	t.msg = m
}

// stamp returns the length of the time at the start of a line, with the blanks
// after it, or 0.
func stamp(b []byte) int {
	if len(b) < 16 {
		return 0
	}
	switch c := b[0]; {
	case c >= 'A' && c <= 'Z':
		if n := traditional(b); n > 0 {
			return n
		}
		if b[3] != ' ' {
			return 0
		}
		if n := traditional(b[4:]); n > 0 { // Sun Nov 22 07:23:29 2026
			if _, rest := cutWord(b[4+n:]); len(b)-len(rest) == 4+n+5 && isDigits(b[4+n:8+n]) {
				return 4 + n + 5
			}
			return 0
		}
		if b[8] == '-' && b[11] == '-' && b[14] == ' ' && isDigits(b[4:8]) { // Sun 2026-11-22 07:23:29 UTC
			_, rest := cutWord(b[15:])
			_, rest = cutWord(rest)
			return len(b) - len(rest)
		}
	case isDigit(c):
		if b[4] == '-' && b[7] == '-' && b[10] == 'T' && isDigits(b[:4]) {
			_, rest := cutWord(b)
			return len(b) - len(rest)
		}
		word, rest := cutWord(b)
		if at := bytes.IndexByte(word, '.'); at > 0 && isDigits(word[:at]) && isDigits(word[at+1:]) {
			return len(b) - len(rest)
		}
	case c == '[':
		if at := bytes.Index(b[:min(len(b), 48)], []byte("] ")); at > 0 {
			number, since := cutWord(bytes.TrimLeft(b[1:at], " "))
			since = bytes.TrimLeft(since, " ")
			if dot := bytes.IndexByte(number, '.'); dot > 0 && isDigits(number[:dot]) && isDigits(number[dot+1:]) && (len(since) == 0 || since[0] == '<') {
				return at + 2
			}
		}
	}
	return 0
}

// traditional returns the length of "Nov 22 07:23:29 ", with a fraction or not.
func traditional(b []byte) int {
	if len(b) < 16 || b[3] != ' ' || b[6] != ' ' || b[9] != ':' || b[12] != ':' || !isDigit(b[5]) || !isDigit(b[7]) || !isDigit(b[14]) {
		return 0
	}
	i := 15
	if b[i] == '.' {
		for i++; i < len(b) && isDigit(b[i]); i++ {
		}
	}
	if i >= len(b) || b[i] != ' ' {
		return 0
	}
	return i + 1
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// cutWord cuts at the first blank, which belongs to neither part.
func cutWord(b []byte) (word, rest []byte) {
	if at := bytes.IndexByte(b, ' '); at >= 0 {
		return b[:at], b[at+1:]
	}
	return b, b[len(b):]
}

// atoi reads a number of at most nine digits.
func atoi(b []byte) (n int, ok bool) {
	if !isDigits(b) || len(b) > 9 {
		return 0, false
	}
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n, true
}
