// Package record is the line that travels through the pipes: what one command
// found or did for one target, as five TAB-separated fields or one JSON object.
// See pi-key-tools(7) RECORDS.
package record

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Verdict says whether something holds.
type Verdict string

// The four verdicts. Only Fail and Todo make a command exit with 1.
const (
	OK   Verdict = "ok"   // it holds
	Done Verdict = "done" // this run made it hold
	Todo Verdict = "todo" // a dry run would make it hold
	Fail Verdict = "fail" // it does not hold
)

// Bad reports whether the verdict keeps a run from exiting with status 0.
func (v Verdict) Bad() bool { return v != OK && v != Done }

// Local is the Target of a record about this machine.
const Local = "-"

// A Record is one outcome. Empty Target, Cause and Subject are written as "-".
type Record struct {
	Target  string  // as the user gave it
	Verdict Verdict //
	Cause   string  // a word of pi-key-causes(7)
	Subject string  // the fingerprint, path or line that it is about
	Detail  string  // words for a person; may change between versions
	Hint    string  // what to do, preferably a command; on standard error, and in JSON
	Seconds float64 // how long the target has taken so far
	Login   *Login  // in JSON alone; nil for a record that is not about a login
}

// A Login is what was seen of a connection. Its strings are arbitrary bytes,
// most of them a peer's.
type Login struct {
	Address   string   `json:"address"`   // host:port of the server; "" if there was no connection, as in what follows
	Before    string   `json:"before"`    // what it sent before its version
	Version   string   `json:"version"`   // "SSH-2.0-..."
	HostKey   string   `json:"host_key"`  // its fingerprint
	Banner    string   `json:"banner"`    //
	Methods   []string `json:"methods"`   // of authentication, that it last said can continue
	Keys      []Offer  `json:"keys"`      // that were offered, in order
	Password  string   `json:"password"`  // what it answered to the password; "" if none was sent
	By        string   `json:"by"`        // the method that let us in; "" if none did
	Connect   float64  `json:"connect"`   // seconds until there was a connection
	Handshake float64  `json:"handshake"` // from there until its host key was verified
	Auth      float64  `json:"auth"`      // from there until we were in, or refused
}

// An Offer is a key that was offered, and the outcome.
type Offer struct {
	Fingerprint string `json:"fingerprint"`
	Type        string `json:"type"`
	Name        string `json:"name"`   // where it is from: a path, or "agent"
	Answer      string `json:"answer"` // logs-in, refused, partial ...
}

// mapped returns a copy with each of its strings changed.
func (l *Login) mapped(change func(string) string) *Login {
	if l == nil {
		return nil
	}
	m := *l
	for _, s := range []*string{&m.Address, &m.Before, &m.Version, &m.HostKey, &m.Banner, &m.Password, &m.By} {
		*s = change(*s)
	}
	m.Methods = make([]string, len(l.Methods)) // an empty list is [], not null
	for i, s := range l.Methods {
		m.Methods[i] = change(s)
	}
	m.Keys = make([]Offer, len(l.Keys))
	for i, o := range l.Keys {
		m.Keys[i] = Offer{change(o.Fingerprint), change(o.Type), change(o.Name), change(o.Answer)}
	}
	m.Connect, m.Handshake, m.Auth = micro(l.Connect), micro(l.Handshake), micro(l.Auth)
	return &m
}

// micro cuts seconds off after the millionths.
func micro(seconds float64) float64 { return float64(int64(seconds*1e6)) / 1e6 }

// AppendText appends the five fields and a newline to b.
func (r Record) AppendText(b []byte) []byte {
	b = append(b, field(r.Target)...)
	b = append(b, '\t')
	b = append(b, r.Verdict...)
	b = append(b, '\t')
	b = append(b, field(r.Cause)...)
	b = append(b, '\t')
	b = append(b, field(r.Subject)...)
	b = append(b, '\t')
	b = append(b, Escape(r.Detail)...)
	return append(b, '\n')
}

func field(s string) string {
	if s == "" {
		return "-"
	}
	return Escape(s)
}

// object is the JSON form. Fields are only ever added.
type object struct {
	V       int     `json:"v"`
	Target  string  `json:"target"`
	Verdict Verdict `json:"verdict"`
	Cause   string  `json:"cause"`
	Subject string  `json:"subject"`
	Detail  string  `json:"detail"`
	Hint    string  `json:"hint"`
	Seconds float64 `json:"seconds"`
	Login   *Login  `json:"login,omitempty"`
}

// AppendJSON appends the record as one JSON object and a newline to b. The
// values are escaped as in the text form, so that printing one is safe too.
func (r Record) AppendJSON(b []byte) []byte {
	var buf strings.Builder
	e := json.NewEncoder(&buf) // ends with a newline
	e.SetEscapeHTML(false)
	// Encoding strings and a finite number into memory cannot fail.
	_ = e.Encode(object{1, field(r.Target), r.Verdict, field(r.Cause), field(r.Subject),
		Escape(r.Detail), hint(r.Hint), micro(r.Seconds), r.Login.mapped(Escape)})
	return append(b, buf.String()...)
}

// hint keeps the lines of several hints apart.
func hint(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Escape(strings.TrimPrefix(lines[i], "hint: "))
	}
	return strings.Join(lines, "\n")
}

// TargetOf returns the target that a line of a host list or of another
// command's records names: the first field of a text record, the target of a
// JSON record, or the first word of any other line. It is empty for a blank
// line and for a comment.
func TargetOf(line string) (string, error) {
	line = strings.TrimLeft(line, " \t")
	if strings.HasPrefix(line, "{") {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			return "", errors.New("record: not a JSON record")
		}
		return Unescape(o.Target), nil
	}
	if strings.HasPrefix(line, "#") {
		return "", nil
	}
	word, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "\t")
	word, _, _ = strings.Cut(word, " ")
	return Unescape(word), nil
}

// Parse reads a line written by AppendText or AppendJSON. It reports whether
// the line is one: a host list also has others.
func Parse(line string) (Record, bool) {
	line = strings.TrimRight(line, "\r\n")
	var o object
	if strings.HasPrefix(line, "{") {
		if err := json.Unmarshal([]byte(line), &o); err != nil || o.V == 0 {
			return Record{}, false
		}
	} else {
		f := strings.Split(line, "\t")
		if len(f) != 5 {
			return Record{}, false
		}
		o = object{Target: f[0], Verdict: Verdict(f[1]), Cause: f[2], Subject: f[3], Detail: f[4]}
	}
	switch o.Verdict {
	case OK, Done, Todo, Fail:
		hints := strings.Split(o.Hint, "\n")
		for i := range hints {
			hints[i] = Unescape(hints[i])
		}
		return Record{Target: Unescape(o.Target), Verdict: o.Verdict, Cause: Unescape(o.Cause), Subject: Unescape(o.Subject),
			Detail: Unescape(o.Detail), Hint: strings.Join(hints, "\n"), Seconds: o.Seconds, Login: o.Login.mapped(Unescape)}, true
	}
	return Record{}, false
}

// Escape makes any bytes safe to print and to keep in one field: TAB, newline,
// CR and backslash become \t \n \r \\, and every other byte that is not part
// of a printable UTF-8 character becomes \xNN. That covers C1 controls and the
// characters that reorder text, which a terminal would obey.
func Escape(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f && s[i] != '\\'
	}
	if clean {
		return s
	}
	const hex = "0123456789abcdef"
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\\':
			b.WriteString(`\\`)
		case r == utf8.RuneError && n <= 1, !unicode.IsPrint(r):
			for _, c := range []byte(s[:n]) {
				b.WriteString(`\x`)
				b.WriteByte(hex[c>>4])
				b.WriteByte(hex[c&15])
			}
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}

// Unescape undoes Escape. What Escape never writes is left unchanged.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case '\\':
			b.WriteByte('\\')
		case 'x':
			if i+2 < len(s) {
				hi, lo := unhex(s[i+1]), unhex(s[i+2])
				if hi >= 0 && lo >= 0 {
					b.WriteByte(byte(hi<<4 | lo))
					i += 2
					continue
				}
			}
			b.WriteString(`\x`)
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func unhex(c byte) int { return strings.IndexByte("0123456789abcdef", c) }
