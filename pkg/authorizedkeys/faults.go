package authorizedkeys

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/sshkey"
)

// A Fault is a piece of a file that was plainly meant to let a key in, but that
// sshd and dropbear read otherwise.
type Fault struct {
	First, Last int    // its lines, from 1
	Cause       string // a word of pi-key-causes(7)
	Why         string // words for a person
	// Keys are the keys that it keeps out, as far as they are known.
	Keys []sshkey.Public
	// Cure holds the lines that replace First to Last, without newlines, if the
	// file itself shows what was meant: empty to remove them, nil where one
	// would have to guess or would take a restriction from a key.
	Cure []string
	// Spare means that each of the Keys has another, live line, so that nobody
	// is kept out.
	Spare bool
}

// Faults returns the faults of a whole file, in the order of its lines. Lines
// that sshd accepts, comments, blank lines and words without a key are no
// faults; neither is a CR before a newline, nor a key that occurs twice. Keys
// that are commented out are reported only if no entry is live.
func Faults(data []byte) []Fault {
	r := reader{data: data}
	start := 0
	for line := range bytes.Lines(data) {
		r.starts = append(r.starts, start)
		start += len(line)
		r.lines = append(r.lines, strings.TrimSuffix(string(line), "\n"))
	}
	var faults []Fault
	for n := 0; n < len(r.lines); {
		f, lines := r.at(n)
		if lines > 0 {
			f.First, f.Last = n+1, n+lines
			faults = append(faults, f)
		}
		n += max(lines, 1)
	}
	live := map[string][]Entry{} // by blob
	for _, e := range Entries(data) {
		if e.Dead == "" {
			live[string(e.Key.Blob)] = append(live[string(e.Key.Blob)], e)
		}
	}
	cures := map[string][]Entry{} // their entries that restrict
	for _, f := range faults {
		for _, e := range f.entries() {
			if e.Restricts() {
				cures[string(e.Key.Blob)] = append(cures[string(e.Key.Blob)], e)
			}
		}
	}
	for i := range faults {
		faults[i].weigh(live, cures)
	}
	if len(live) == 0 {
		faults = append(faults, r.commented(faults)...)
		slices.SortFunc(faults, func(a, b Fault) int { return a.First - b.First })
	}
	return faults
}

// entries are those of its cure, in its first line.
func (f *Fault) entries() []Entry {
	entries := Entries([]byte(strings.Join(f.Cure, "\n")))
	for i := range entries {
		entries[i].Line = f.First
	}
	return entries
}

// weigh compares what a fault keeps out with the lines that are live, or will
// be: a cure must not give a key more than one of these grants to it, since the
// first line of a key holds.
func (f *Fault) weigh(live, cures map[string][]Entry) {
	elsewhere := func(e Entry) bool { return e.Line < f.First || f.Last < e.Line }
	f.Spare = len(f.Keys) > 0
	for _, key := range f.Keys {
		f.Spare = f.Spare && slices.ContainsFunc(live[string(key.Blob)], func(e Entry) bool { return elsewhere(e) && !e.IsAuthority() })
	}
	for _, own := range f.entries() {
		stricter := func(e Entry) bool { return elsewhere(e) && e.Restricts() && !slices.Equal(e.Options, own.Options) }
		if slices.ContainsFunc(live[string(own.Key.Blob)], stricter) || slices.ContainsFunc(cures[string(own.Key.Blob)], stricter) {
			f.Cure = nil
			f.Why += "; another line restricts the key"
			return
		}
	}
}

// What a key takes at most: RSA with 16384 bits needs 2.8 KiB.
const mostLines, mostBytes = 100, 8 << 10

// A reader goes through the lines of a file.
type reader struct {
	data   []byte
	lines  []string // without newlines
	starts []int    // where each begins in data
}

// at returns the fault that begins in line n, counted from 0, and how many
// lines it has; 0 if there is none.
func (r *reader) at(n int) (f Fault, lines int) {
	f, lines = r.fault(n)
	if f.Cure != nil && r.belowOptions(n) {
		f.Cure = nil
		f.Why += "; the line above may be its options"
	}
	return f, lines
}

// fault is at by the lines of the fault alone.
func (r *reader) fault(n int) (f Fault, lines int) {
	line := r.lines[n]
	if f, lines = r.utf16(n); lines > 0 {
		return f, lines
	}
	e, isEntry := ParseLine([]byte(line))
	if isEntry {
		if _, err := sshkey.ParsePublic(line); errors.Is(err, sshkey.ErrPrivateKey) {
			return r.privateKey(n)
		}
	}
	if isEntry && e.Dead != "" {
		if f, lines = r.otherFormat(n); lines > 0 {
			return f, lines
		}
		if f, lines = r.wrapped(n); lines > 0 {
			return f, lines
		}
	}
	if f, ok := faultOf(line, e, isEntry); ok {
		return f, 1
	}
	return Fault{}, 0
}

// belowOptions reports whether the line above n may be options that were torn
// off.
func (r *reader) belowOptions(n int) bool {
	if n == 0 {
		return false
	}
	above := strings.Trim(r.lines[n-1], " \t\r")
	e, ok := ParseLine([]byte(above))
	if !ok || e.Dead == "" || e.Key.Blob != nil || len(keysIn(above)) > 0 {
		return false
	}
	first, _, _ := cutOptions(above)
	options, err := parseOptions(first)
	if err == nil && len(options) > 0 || strings.Contains(above, `="`) || strings.HasSuffix(above, ",") {
		return true
	}
	above = strings.ToLower(above)
	for name := range valued {
		if strings.Contains(above, name+"=") {
			return true
		}
	}
	return false
}

// cured returns the data with those of its Faults cured that have a cure, and
// every other byte as it is.
func cured(data []byte, faults []Fault) []byte {
	var mended []byte
	n := 0
	for line := range bytes.Lines(data) {
		n++
		for len(faults) > 0 && faults[0].Last < n {
			faults = faults[1:]
		}
		switch {
		case len(faults) == 0 || n < faults[0].First || faults[0].Cure == nil:
			mended = append(mended, line...)
		case n == faults[0].First:
			for _, text := range faults[0].Cure {
				mended = append(append(mended, text...), '\n')
			}
		}
	}
	return mended
}

// privateKey takes a private key's file from its first line to its end.
func (r *reader) privateKey(n int) (Fault, int) {
	end := n + 1
	for ; end < len(r.lines); end++ {
		text := strings.TrimSpace(r.lines[end])
		if strings.HasPrefix(text, "-----END ") || strings.HasPrefix(text, "---- END ") || strings.HasPrefix(text, "Private-MAC:") {
			end++
			break
		}
		if e, ok := ParseLine([]byte(text)); ok && e.Dead == "" || strings.HasPrefix(text, "#") {
			break // it has no end
		}
	}
	return Fault{Cause: "entry-private-key", Why: "a private key: anybody who has read the file can log in wherever it is trusted"}, end - n
}

// otherFormat takes a public key as another program writes it.
func (r *reader) otherFormat(n int) (f Fault, lines int) {
	first := strings.TrimSpace(r.lines[n])
	rfc4716 := first == "---- BEGIN SSH2 PUBLIC KEY ----"
	if !rfc4716 && (!strings.HasPrefix(first, "-----BEGIN ") || !strings.HasSuffix(first, "PUBLIC KEY-----")) {
		return Fault{}, 0
	}
	f = Fault{Cause: "entry-format", Why: "a PEM file: ssh-keygen -i -m PKCS8 (or PEM) prints it in OpenSSH's format"}
	if rfc4716 {
		f.Why = "a key in the format of RFC 4716"
	}
	var block []string
	for i, line := range r.lines[n:min(len(r.lines), n+mostLines)] {
		line = strings.TrimSpace(line)
		if e, ok := ParseLine([]byte(line)); ok && e.Dead == "" || i > 0 && strings.Contains(line, "BEGIN ") {
			break
		}
		block = append(block, line)
		if !strings.HasPrefix(line, "---- END ") && !strings.HasPrefix(line, "-----END ") {
			continue
		}
		if keys, err := sshkey.ReadPublic([]byte(strings.Join(block, "\n"))); rfc4716 && err == nil {
			f.take(canonical("", keys[0]))
		}
		return f, len(block)
	}
	f.Why += ", without its end"
	return f, 1
}

// wrapped joins a line that was cut into several, if that makes exactly one
// whole key.
func (r *reader) wrapped(n int) (f Fault, lines int) {
	first := strings.Trim(r.lines[n], " \t\r")
	options := ""
	if word, _ := cutWord(first); !isType(word) {
		var closed bool
		if options, first, closed = cutOptions(first); !closed {
			return Fault{}, 0
		}
	}
	word, b64 := cutWord(first)
	if !isType(word) || strings.Trim(b64, base64Alphabet) != "" {
		return Fault{}, 0
	}
	for i, line := range r.lines[n+1 : min(len(r.lines), n+mostLines)] {
		piece, comment := cutWord(strings.Trim(line, " \t\r"))
		b64 += piece
		if piece == "" || strings.Trim(piece, base64Alphabet+"=") != "" || len(b64) > mostBytes {
			break
		}
		if e, ok := ParseLine([]byte(word + " " + b64 + " " + comment)); ok && e.Dead == "" && e.Key.Bits() > 0 {
			f := Fault{Cause: "entry-wrapped", Why: fmt.Sprintf("one key on %d lines", i+2)}
			f.take(canonical(options, e.Key))
			return f, i + 2
		}
		if comment != "" {
			break
		}
	}
	return Fault{}, 0
}

// commented returns the keys that are commented out, but for those in other
// faults, which are in order.
func (r *reader) commented(others []Fault) []Fault {
	var faults []Fault
	for i, line := range r.lines {
		n := i + 1
		for len(others) > 0 && others[0].Last < n {
			others = others[1:]
		}
		text, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), "#")
		if !ok || len(others) > 0 && others[0].First <= n {
			continue
		}
		if e, ok := ParseLine([]byte(strings.TrimLeft(text, "# \t"))); ok && e.Dead == "" && e.Key.Bits() > 0 {
			faults = append(faults, Fault{First: n, Last: n, Cause: "entry-commented", Keys: []sshkey.Public{e.Key},
				Why: "the key is commented out, and no other line lets a key in"})
		}
	}
	return faults
}
