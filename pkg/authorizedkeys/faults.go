package authorizedkeys

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"

	"pi-key-tools/pkg/sshkey"
)

// A Fault is a piece of a file that plainly was meant to let a key in, and of
// which sshd and dropbear make something else.
type Fault struct {
	First, Last int    // its lines, from 1
	Cause       string // a word of pi-key-causes(7)
	Why         string // words for a person
	// Keys are those that it keeps out, where they can be told.
	Keys []sshkey.Public
	// Cure is the lines for the place of First to Last, without newlines, if
	// the file itself says what was meant: empty if these are to go, and nil
	// where one would have to guess, or would take a restriction from a key.
	Cure []string
	// Spare means that each of the Keys has another line that is live, so that
	// nobody is kept out.
	Spare bool
}

// Faults returns what is wrong in a whole file, upwards. There is nothing wrong
// with lines that sshd takes, with comments, blank lines, and words without a
// key; CR before a newline, and a key that comes twice, are no faults either.
// Keys that are commented out are told of only where no entry is live.
func Faults(data []byte) []Fault {
	r := reader{data: data}
	for line := range bytes.Lines(data) {
		r.starts = append(r.starts, r.length)
		r.length += len(line)
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
	cured := map[string][]Entry{} // those that restrict
	for _, f := range faults {
		for _, e := range f.entries() {
			if e.Restricts() {
				cured[string(e.Key.Blob)] = append(cured[string(e.Key.Blob)], e)
			}
		}
	}
	for i := range faults {
		faults[i].weigh(live, cured)
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
func (f *Fault) weigh(live, cured map[string][]Entry) {
	elsewhere := func(e Entry) bool { return e.Line < f.First || f.Last < e.Line }
	f.Spare = len(f.Keys) > 0
	for _, key := range f.Keys {
		f.Spare = f.Spare && slices.ContainsFunc(live[string(key.Blob)], func(e Entry) bool { return elsewhere(e) && !e.has("cert-authority") })
	}
	for _, own := range f.entries() {
		stricter := func(e Entry) bool { return elsewhere(e) && e.Restricts() && !slices.Equal(e.Options, own.Options) }
		if slices.ContainsFunc(live[string(own.Key.Blob)], stricter) || slices.ContainsFunc(cured[string(own.Key.Blob)], stricter) {
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
	length int
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

// utf16 takes UTF-16 from line n on, to its end or to where another program
// has added lines of another encoding.
func (r *reader) utf16(n int) (f Fault, lines int) {
	start := r.starts[n]
	text, used := decode16(r.data[start:])
	if used == 0 {
		return Fault{}, 0
	}
	end := start + used
	last, _ := slices.BinarySearch(r.starts, end) // the first line that begins there or behind it
	f = Fault{Cause: "entry-encoding", Why: "UTF-16: sshd reads none of it"}
	rest := r.lines[last-1]
	rest = rest[min(len(rest), end-r.starts[last-1]):]
	if rest != "" && !strings.HasSuffix(text, "\n") || strings.ContainsAny(text, "\x00\ufffd") {
		return f, last - n
	}
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\r\n", "\n")
	text = strings.TrimSuffix(text, "\r")
	if rest != "" {
		text += "\n" + rest
	}
	inner := []byte(text + "\n")
	faults := Faults(inner)
	if slices.ContainsFunc(faults, func(f Fault) bool { return f.Cause == "entry-private-key" }) {
		f.Cause, f.Why = "entry-private-key", "in UTF-16, a private key: who has read the file can log in wherever it is trusted"
		return f, last - n
	}
	inner = Mend(inner, faults)
	for _, e := range Entries(inner) {
		if e.Dead == "" {
			f.Keys = append(f.Keys, e.Key)
		}
	}
	if len(f.Keys) > 0 && !bytes.Contains(inner, []byte("\x00")) {
		f.Cure = strings.Split(strings.TrimSuffix(string(inner), "\n"), "\n")
	}
	return f, last - n
}

// decode16 decodes the UTF-16 that data starts with, by a byte order mark or by
// two characters of ASCII. It ends before two bytes that are ASCII by
// themselves, and before half a character. used is 0 if data starts with
// something else.
func decode16(data []byte) (text string, used int) {
	ascii := func(c byte) bool { return ' ' <= c && c <= '~' || c == '\t' || c == '\r' || c == '\n' }
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order, used = binary.LittleEndian, 2
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order, used = binary.BigEndian, 2
	case len(data) < 4:
		return "", 0
	case ascii(data[0]) && data[1] == 0 && ascii(data[2]) && data[3] == 0:
		order = binary.LittleEndian
	case data[0] == 0 && ascii(data[1]) && data[2] == 0 && ascii(data[3]):
		order = binary.BigEndian
	default:
		return "", 0
	}
	var units []uint16
	for ; used+1 < len(data) && !(ascii(data[used]) && ascii(data[used+1])); used += 2 {
		units = append(units, order.Uint16(data[used:]))
	}
	return string(utf16.Decode(units)), used
}

// Mend returns the data with those of its Faults cured that have a cure, and
// every other byte as it is.
func Mend(data []byte, faults []Fault) []byte {
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
	return Fault{Cause: "entry-private-key", Why: "a private key: who has read the file can log in wherever it is trusted"}, end - n
}

// otherFormat takes a public key as another program writes it.
func (r *reader) otherFormat(n int) (f Fault, lines int) {
	first := strings.TrimSpace(r.lines[n])
	rfc4716 := first == "---- BEGIN SSH2 PUBLIC KEY ----"
	if !rfc4716 && (!strings.HasPrefix(first, "-----BEGIN ") || !strings.HasSuffix(first, "PUBLIC KEY-----")) {
		return Fault{}, 0
	}
	f = Fault{Cause: "entry-format", Why: "a PEM file: ssh-keygen -i -m PKCS8 (or PEM) prints it as OpenSSH has it"}
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
				Why: "the key is commented out, and no other line lets one in"})
		}
	}
	return faults
}

// take gives a fault its cure, if sshd would take each of the lines.
func (f *Fault) take(lines ...string) {
	f.Keys = nil
	cure := []string{}
	live := true
	for _, line := range lines {
		e, ok := ParseLine([]byte(line))
		if ok && e.Key.Blob != nil {
			f.Keys = append(f.Keys, e.Key)
		}
		live = live && (!ok || e.Dead == "")
		cure = append(cure, line)
	}
	if live {
		f.Cure = cure
	}
}

// canonical writes an entry as every server reads it.
func canonical(options string, key sshkey.Public) string {
	if options == "" {
		return key.Line()
	}
	return options + " " + key.Line()
}

// faultOf judges a line by itself. e and isEntry are what ParseLine says of it.
func faultOf(line string, e Entry, isEntry bool) (Fault, bool) {
	live := isEntry && e.Dead == ""
	if strings.IndexByte(line, 0) >= 0 {
		return nulFault(line, isEntry, live)
	}
	if text := strings.TrimRight(line, "\r"); strings.Contains(text, "\r") {
		if f, ok := splitAt(strings.Split(text, "\r"), live); ok {
			f.Cause, f.Why = "entry-encoding", "lines that end with CR alone: sshd takes them all for one"
			return f, true
		}
	}
	if !isEntry {
		return Fault{}, false
	}
	if pieces, sure := unglue(line); len(pieces) > 1 {
		f, _ := splitAt(pieces, live)
		f.Cause, f.Why = "entry-glued", fmt.Sprintf("%d keys on one line", len(pieces))
		if !sure {
			f.Cure = nil
		}
		return f, true
	}
	if live {
		return Fault{}, false
	}
	if text, f := mend(line); f.Cause != "" {
		if f.take(text); f.Cure != nil {
			return f, true
		}
	}
	return shown(line, e)
}

// shown names what is wrong with a dead line that only its owner can mend.
func shown(line string, e Entry) (Fault, bool) {
	f := Fault{Why: e.Dead}
	text := strings.Trim(line, " \t\r"+likeNothing+likeBlank)
	if strings.HasPrefix(text, "#") {
		return Fault{}, false // a comment with a mark before it
	}
	found := keysIn(text)
	word, _ := cutWord(text)
	options, rest, _ := cutOptions(text)
	_, optionsErr := parseOptions(options)
	switch {
	case e.Key.Blob != nil && sshkey.IsCertificate(e.Key.Type):
		f.Cause = "entry-dead"
	case e.Key.Blob != nil || len(found) > 0:
		f.Cause = "entry-options-bad"
	case isType(word), optionsErr == nil && isType(firstWord(rest)):
		f.Cause = "entry-truncated"
	default:
		return Fault{}, false // words without a key
	}
	if e.Key.Blob != nil {
		f.Keys = []sshkey.Public{e.Key}
	} else {
		for _, k := range found {
			f.Keys = append(f.Keys, k.key)
		}
	}
	return f, true
}

// nulFault judges a line with NULs in it, such as a power cut leaves. sshd reads
// to the first.
//
// Each NUL stands for a byte that is lost. A key behind them may have been
// written there later, by one that added no newline; or it is the rest of a line
// whose first block never came to the disk, options and all. Nothing in the file
// tells which, so that such a key is shown and never let in. Before them only a
// comment can be lost.
func nulFault(line string, isEntry, live bool) (Fault, bool) {
	f := Fault{Cause: "entry-nul", Why: fmt.Sprintf("%d NUL bytes, as a power cut leaves them", strings.Count(line, "\x00"))}
	pieces := slices.DeleteFunc(strings.Split(line, "\x00"), func(s string) bool { return strings.Trim(s, " \t\r") == "" })
	if isEntry && len(pieces) == 0 {
		f.take()
		return f, true
	}
	split, ok := splitAt(pieces, live)
	f.Keys = split.Keys
	if _, behind, _ := strings.Cut(line, "\x00"); strings.Trim(behind, "\x00 \t\r") == "" {
		f.Cure = split.Cure
	} else {
		f.Why += "; the options of what is behind them may be lost"
	}
	// What sshd does not take, and no key in it, is nobody's loss.
	torn := isEntry && !live && slices.ContainsFunc(pieces, func(s string) bool { return isType(firstWord(s)) || len(keysIn(s)) > 0 })
	return f, ok || torn
}

// splitAt makes lines of the pieces of one. ok tells whether each of them is a
// comment or an entry that sshd takes, or such as can be mended, with a key
// among them that sshd did not take before; live, that it took the first.
// There is no cure where restrictions of a piece, or the '#' before a key, might
// be meant for those behind it.
func splitAt(pieces []string, live bool) (f Fault, ok bool) {
	var lines []string
	guess := false
	ok = true
	for i, piece := range pieces {
		piece = strings.TrimRight(piece, " \t\r")
		e, isEntry := ParseLine([]byte(piece))
		if isEntry && e.Dead != "" {
			if text, fault := mend(piece); fault.Cause != "" {
				piece = text
				e, _ = ParseLine([]byte(piece))
			}
		}
		if isEntry {
			glued, _ := unglue(piece)
			ok = ok && e.Dead == "" && len(glued) == 1
			guess = guess || i < len(pieces)-1 && e.Restricts()
		} else {
			guess = guess || i < len(pieces)-1 && len(keysIn(piece)) > 0
		}
		if e.Key.Blob != nil {
			f.Keys = append(f.Keys, e.Key)
		}
		lines = append(lines, piece)
	}
	hidden := len(f.Keys)
	if live {
		hidden--
	}
	if ok = ok && hidden > 0; ok && !guess {
		f.Cure = lines
	}
	return f, ok
}

// A found is a whole key of a known type somewhere in a text.
type found struct {
	start int // of its type word, or of the base64 if there is none before it
	blob  int // where the base64 begins
	end   int // behind it
	typed bool
	key   sshkey.Public
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

var base64Run = pattern(`AAAA[A-Za-z0-9+/]*={0,2}`)

// keysIn looks for keys in a text, in linear time.
func keysIn(text string) []found {
	var all []found
	for _, at := range base64Run().FindAllStringIndex(text, -1) {
		run := text[at[0]:at[1]]
		// The type word of a key that is glued to this one begins in the
		// alphabet of base64, and goes on with a '-' that is not in it.
		for _, cut := range []string{"", "ssh", "ecdsa", "sk", "rsa"} {
			if !strings.HasSuffix(run, cut) {
				continue
			}
			b64 := strings.TrimSuffix(run, cut)
			key, ok := wholeKey(b64)
			if !ok {
				continue
			}
			k := found{start: at[0], blob: at[0], end: at[0] + len(b64), key: key}
			before := strings.TrimRight(text[:at[0]], " \t")
			if k.typed = strings.HasSuffix(before, key.Type); k.typed {
				k.start = len(before) - len(key.Type)
			}
			all = append(all, k)
			break
		}
	}
	return all
}

// wholeKey reads a base64 word, with or without the '=' at its end.
func wholeKey(b64 string) (sshkey.Public, bool) {
	blob, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(b64, "="))
	if err != nil {
		return sshkey.Public{}, false
	}
	key, err := sshkey.ParseBlob(blob, "")
	return key, err == nil && key.Bits() > 0
}

// unglue cuts a line before the type word of each key behind the first. It is
// not sure of that if what stands before one may be its options. A key in the
// value of an option, such as of command=, is none of the line's.
func unglue(line string) (pieces []string, sure bool) {
	first := 0 // where a key may begin
	options, rest, _ := cutOptions(strings.TrimLeft(line, " \t"))
	if _, err := parseOptions(options); err == nil {
		first = len(line) - len(rest)
	}
	keys := slices.DeleteFunc(keysIn(line), func(k found) bool { return !k.typed || k.start < first })
	from := 0
	sure = true
	for i, k := range keys {
		if i == 0 {
			continue
		}
		sure = sure && !mayBeOptions(line[keys[i-1].end:k.start])
		pieces = append(pieces, line[from:k.start])
		from = k.start
	}
	return append(pieces, line[from:]), sure
}

// mayBeOptions reports whether a comment ends like options.
func mayBeOptions(comment string) bool {
	comment = strings.ToLower(strings.TrimRight(comment, " \t,"))
	if strings.ContainsAny(comment, `"=`) {
		return true
	}
	return slices.ContainsFunc(slices.Concat(flags, negatable), func(name string) bool { return strings.HasSuffix(comment, name) })
}

// Characters that look like nothing, and like a blank.
const (
	likeNothing = "\ufeff\u200b\u200c\u200d\u2060\u00ad\u200e\u200f\u202a\u202c"
	likeBlank   = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\u2028\f\v"
)

// plainBlanks makes blanks of what looks so, but between quotes, where a
// command may want it.
func plainBlanks(s string) string {
	quoted := false
	before := ' '
	return strings.Map(func(r rune) rune {
		escaped := before == '\\'
		before = r
		switch {
		case r == '"':
			quoted = quoted != !escaped
		case quoted:
		case strings.ContainsRune(likeNothing, r):
			return -1
		case strings.ContainsRune(likeBlank, r):
			return ' '
		}
		return r
	}, s)
}

var dashes = strings.NewReplacer("\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\u2014", "-", "\u2212", "-")

// mend makes an entry of a dead line, if there is but one way to. The fault
// names what was in the way; its Cause is "" if there is no such way.
func mend(line string) (text string, f Fault) {
	text = strings.Trim(line, " \t\r")
	because := func(cause, why string) {
		if f.Cause == "" {
			f.Cause, f.Why = cause, why
		}
	}
	keys := keysIn(text)
	if len(keys) == 0 || !utf8.ValidString(text) {
		return "", Fault{}
	}
	head, tail := text[:keys[0].end], text[keys[0].end:] // the comment keeps what it has
	if odd := strings.TrimLeft(tail, " \t"+likeNothing+likeBlank); odd != strings.TrimLeft(tail, " \t") {
		because("entry-encoding", "a character between the key and its comment that looks like a blank or like nothing")
		tail = " " + odd
	}
	if plain := plainBlanks(head); plain != head {
		why := "a character that looks like a blank or like nothing"
		if strings.HasPrefix(head, "\ufeff") {
			why = "a byte order mark before the entry"
		}
		because("entry-encoding", why)
		head = plain
	}
	text = strings.Trim(head+tail, " \t")
	if plain := unquote(text); plain != text {
		because("entry-quoted", "quotes, or words of a shell or a mail, around the entry")
		text = plain
	}
	if e, ok := ParseLine([]byte(text)); !ok {
		return "", Fault{} // a comment
	} else if e.Dead == "" && f.Cause != "" {
		return rewritten(text, e), f
	}

	if keys = keysIn(text); len(keys) != 1 {
		return "", Fault{}
	}
	k := keys[0]
	end := strings.TrimLeft(text[k.end:], "\"'`,;\u201c\u201d\u2018\u2019")
	end, _ = strings.CutPrefix(end, `\r`)
	end, _ = strings.CutPrefix(end, `\n`)
	if len(end) < len(text)-k.end && (end == "" || end[0] == ' ' || end[0] == '\t') {
		because("entry-quoted", "something behind the key that is no part of it")
	} else {
		end = text[k.end:]
	}
	if end != "" && end[0] != ' ' && end[0] != '\t' {
		return "", Fault{}
	}
	options := strings.TrimRight(text[:k.blob], " \t")
	typ := options[strings.LastIndexAny(options, " \t")+1:]
	switch plain := strings.ToLower(dashes.Replace(typ)); {
	case sshkey.KeyType(typ) == k.key.Type:
		options = options[:len(options)-len(typ)]
	case isType(plain), len(typ) >= 2 && strings.HasSuffix(k.key.Type, plain):
		because("entry-type-mismatch", "the first word is not the key's type, which is "+k.key.Type)
		options = options[:len(options)-len(typ)]
	default:
		because("entry-type-mismatch", "a key without its type word, "+k.key.Type)
	}
	if base64.StdEncoding.EncodeToString(k.key.Blob) != text[k.blob:k.end] {
		because("entry-truncated", "the key lacks the = at its end")
	}
	options = strings.Trim(options, " \t")
	// With straight ones beside them, they may be part of a value.
	if plain := straight.Replace(options); plain != options && !strings.Contains(options, `"`) {
		because("entry-quoted", "quotes that are not \" around the values of options")
		options = plain
	}
	k.key.Comment = strings.Trim(end, " \t\r")
	return canonical(options, k.key), f
}

var straight = strings.NewReplacer("\u201c", `"`, "\u201d", `"`, "\u201e", `"`)

// rewritten writes a live entry as every server reads it.
func rewritten(text string, e Entry) string {
	options := ""
	if len(e.Options) > 0 {
		options, _, _ = cutOptions(strings.TrimLeft(text, " \t"))
	}
	return canonical(options, e.Key)
}

// quotes are what people put around a line, by the first character.
var quotes = map[string]string{`"`: `"`, "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}

var shellEcho = pattern(`^(?:\$ )?(?:sudo )?(?:echo|printf '%s\\n')[ \t]+`)

// unquote takes from a line what a mail or a shell has around it.
func unquote(text string) string {
	for strings.HasPrefix(text, ">") {
		text = strings.TrimLeft(text[1:], " \t")
	}
	echo := shellEcho().FindString(text)
	text = text[len(echo):]
	for open, shut := range quotes {
		inner, ok := strings.CutPrefix(text, open)
		if !ok {
			continue
		}
		if i := strings.LastIndex(inner, shut); i >= 0 {
			behind := strings.TrimLeft(inner[i+len(shut):], " \t,;")
			if behind == "" || echo != "" && strings.ContainsAny(behind[:1], ">|") {
				return strings.Trim(inner[:i], " \t")
			}
		}
		return strings.Trim(inner, " \t")
	}
	if i := strings.Index(text, " >"); echo != "" && i >= 0 {
		text = strings.TrimRight(text[:i], " \t")
	}
	return text
}

// isType reports whether a word is the name of a key's type that OpenSSH knows
// or knew, whatever key follows it.
func isType(word string) bool { return typeWord().MatchString(word) }

var typeWord = pattern(`^(?:ssh-(?:rsa|dss|dsa|ed25519)|ecdsa-sha2-nistp(?:256|384|521)|rsa-sha2-(?:256|512)|` +
	`sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com|ssh-mldsa44-ed25519@openssh\.com)$`)

// pattern is compiled when it is first asked for: most runs of the programs see
// no keys file, and start sooner.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// cutWord returns the first word, and what follows it without blanks at its
// start.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func firstWord(s string) string {
	word, _ := cutWord(s)
	return word
}
