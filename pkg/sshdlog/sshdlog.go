// Package sshdlog interprets what sshd, PAM, dropbear and ssh log about a
// login: it takes a line and returns its cause and parameters. It knows the
// wording of OpenSSH 6.6 to 10.5, of Linux-PAM 1.1 to 1.7 and of dropbear
// 2013.56 to 2026.94, and the formats of syslog and of journalctl(1).
//
// Strangers write part of a log: a user name is free text, and every local user
// can write a line. What is found here says where to look, and is never by
// itself a reason to change a file.
package sshdlog

import (
	"path"
	"strconv"
	"strings"

	"pi-key-tools/pkg/cause"
)

// A Severity says what a line means for the login.
type Severity int

// The severities, in the order of Scanner.Want.
const (
	Context  Severity = iota // what happens on the way; decides nothing
	Accepted                 // a login, or a key that was taken
	Hint                     // not a refusal, but something to know beside one
	Symptom                  // there was no login, and the line does not say why
	Refusal                  // why there was no login
)

// An Event is a line that was recognized. What the line does not tell is empty.
// The parameters may hold any byte: they are what the line says, decoded.
type Event struct {
	Name     string // of the pattern, such as "bad-modes-dir"; for tests and for -v
	Severity Severity
	Cause    string // of pi-key-causes(7); every Refusal has one, nothing else
	Cure     string // what to do; for a Refusal

	Time string // as it stands in the log, in whatever form
	Host string
	Tag  string // the program: "sshd", "sshd-session", "dropbear"; "" for a bare line
	PID  string

	User    string
	Addr    string // of the client, an address or a name; without a port
	Port    string // the client's
	Path    string // of the file that it is about
	Line    int    // in that file, from 1; 0 if the line names none
	KeyType string // as that program calls it: "ED25519", "ssh-ed25519"
	Key     string // its fingerprint
	Reason  string // the rest of what the line says: an error, a method, an option

	Message string // the line without its head, its level and [preauth]
	Times   int    // 1, or N of "message repeated N times"
	Client  bool   // it is of ssh, and not of a server
	Cut     bool   // the text was cut off somewhere: its last parameters may be too
}

// Place is the file that the event is about, with the line if that is known:
// "FILE:LINE".
func (e Event) Place() string {
	if e.Path == "" || e.Line == 0 {
		return e.Path
	}
	return e.Path + ":" + strconv.Itoa(e.Line)
}

// A text is a line whose head is parsed.
type text struct {
	time, host, tag, pid []byte
	msg                  []byte
	times                int
	tagAt                int     // where the tag stands in the line; 0 if it is none of text
	program              program // who wrote it; 0 if the line does not say
	cut                  bool
}

// The bounds of a text: sshd gives "%.500s" to syslog(3), and formats in 1024
// bytes; it writes "%.100s" for a user. Nobody writes longer ones.
const (
	syslogMax  = 500
	messageMax = 1023
	userMax    = 100
)

// event returns what a pattern has found in the text; settle completes it.
func (t *text) event(p *pattern, found *spans) Event {
	e := Event{Name: p.name, Severity: p.severity, Cause: p.cause, Cure: p.cure, Times: t.times, Client: p.program == client, Cut: t.cut}
	// One piece of memory for all.
	rest := string(append(append(append(append(append(make([]byte, 0, 256), t.time...), t.host...), t.tag...), t.pid...), t.msg...))
	e.Time, rest = rest[:len(t.time)], rest[len(t.time):]
	e.Host, rest = rest[:len(t.host)], rest[len(t.host):]
	e.Tag, rest = rest[:len(t.tag)], rest[len(t.tag):]
	e.PID, e.Message = rest[:len(t.pid)], rest[len(t.pid):]
	value := func(f field) string { return e.Message[found[f].from:found[f].to] }
	e.User, e.Path, e.Reason = value(user), value(file), value(reason)
	e.Addr, e.Port, e.KeyType, e.Key = value(addr), value(port), value(keyType), value(key)
	if v := value(line); v != "" {
		e.Line, _ = strconv.Atoi(v) // 0 if it is no number for us
	}
	if p.cause == byConfig {
		if e.Client = t.program == client || t.program == 0 && !strings.Contains(e.Path, "sshd"); e.Client {
			e.know("config-bad")
		} else {
			e.know("server-config-bad")
		}
	}
	if p.program != dropbear { // which writes all bytes as they are
		e.User, e.Path, e.Reason = unvis(e.User), unvis(e.Path), unvis(e.Reason)
		e.Cut = e.Cut || len(e.User) >= userMax
	}
	return e
}

// settle names the cause where the path decides, now that the user is known if
// he ever will be.
func (e *Event) settle() {
	if e.Cause == byPath {
		e.know(writable(e.Path, e.User))
	}
}

// know notes a cause, with its own cure.
func (e *Event) know(word string) {
	entry, _ := cause.Lookup(word)
	e.Cause, e.Cure = word, entry.Cure
}

// writable guesses which of the directories or files on the way to the keys a path
// is, for lines that blame its owner and its modes alike.
func writable(name, user string) (cause string) {
	switch base, dir := path.Base(name), path.Dir(name); {
	case base == "authorized_keys", base == "authorized_keys2":
		return "keys-writable"
	case base == ".ssh":
		return "dir-writable"
	case base == user, dir == "/home", name == "/root":
		return "home-writable"
	}
	return "parent-writable"
}

// unvis decodes what sshd has encoded with strnvis(3) in its C style and in
// octal. What is no encoding is left as it is.
func unvis(s string) string {
	const letters, bytes = `0abfnrstv\`, "\x00\a\b\f\n\r \t\v\\"
	at := strings.IndexByte(s, '\\')
	if at < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:at]...)
	for i := at; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out = append(out, s[i])
		} else if v, ok := octal(s[i+1:]); ok {
			out = append(out, v)
			i += 3
		} else if j := strings.IndexByte(letters, s[i+1]); j >= 0 {
			out = append(out, bytes[j])
			i++
		} else {
			out = append(out, '\\')
		}
	}
	return string(out)
}

// octal reads the byte that three octal digits stand for.
func octal[T string | []byte](s T) (byte, bool) {
	if len(s) < 3 || s[0] < '0' || s[0] > '3' || s[1] < '0' || s[1] > '7' || s[2] < '0' || s[2] > '7' {
		return 0, false
	}
	return (s[0]-'0')<<6 | (s[1]-'0')<<3 | (s[2] - '0'), true
}
