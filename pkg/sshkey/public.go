package sshkey

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"
)

// ErrPrivateKey is what a PublicError wraps when a private key was given.
var ErrPrivateKey = errors.New("a private key, where only a public one belongs")

// A PublicError says what was found where a public key was expected. It
// contains nothing of that but the type words of public keys.
type PublicError struct {
	Line int   // from 1; 0 if it is about a single line or the whole input
	Err  error // ErrPrivateKey or what is wrong, in words
	hint string
}

func (e *PublicError) Error() string {
	if e.Line == 0 {
		return e.Err.Error()
	}
	return fmt.Sprintf("line %d: %v", e.Line, e.Err)
}

func (e *PublicError) Unwrap() error { return e.Err }

// Hint returns what the user can do about it.
func (e *PublicError) Hint() string { return e.hint }

// refuse makes a PublicError whose line is not known yet.
func refuse(hint, format string, args ...any) error {
	return &PublicError{Err: fmt.Errorf(format, args...), hint: hint}
}

// atLine returns err with its line.
func atLine(err error, line int) error {
	if e, ok := errors.AsType[*PublicError](err); ok {
		return &PublicError{line, e.Err, e.hint}
	}
	return err
}

// maxLine bounds a line, and the body of an RFC 4716 block. RSA with 16384
// bits, the longest that OpenSSH takes, needs 2.8 KiB.
const maxLine = 64 << 10

const (
	hintPuTTY   = "puttygen FILE -O public-openssh prints the public half"
	hintPublic  = "give the public half, FILE.pub; where it is lost, pikeygen -y -f FILE prints it"
	hintTorn    = "copy the line again in one piece, best straight from the .pub file"
	hintOneLine = "put each key on a line of its own"
	hintSource  = "give a .pub file of ssh-keygen or pikeygen"
)

// ParsePublic parses one "type base64 [comment]" line: no options, no control
// bytes except the line's end and TAB as a blank. The type word must be the one
// inside the blob. Its error is a *PublicError.
func ParsePublic(line string) (Public, error) {
	return parseLine(strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"))
}

// ParseLenient parses "type base64 [comment]" as ssh and sshd do in lines of
// known_hosts and authorized_keys (sshkey.c sshkey_read()), and so accepts more
// than ParsePublic: b64_pton() skips what isspace() is true for, so that a CR
// at the end does no harm; the type word may be a signature algorithm, see
// KeyType; and the comment may hold anything.
func ParseLenient(text string) (Public, error) {
	word, rest := cutBlank(text)
	b64, comment := cutBlank(rest)
	blob, err := strict64.DecodeString(string(withoutSpace([]byte(b64))))
	if err != nil {
		return Public{}, err
	}
	key, err := ParseBlob(blob, strings.TrimRight(comment, " \t\r"))
	if err != nil {
		return Public{}, err
	}
	if key.Type != KeyType(word) {
		return Public{}, fmt.Errorf("the first word is not the key's type, which is %s", key.Type)
	}
	return key, nil
}

// ReadPublic reads the public keys of a file or stream, as ssh-copy-id accepts
// them: lines of "type base64 [comment]", skipping blank lines and '#'
// comments. BOM, CRLF, UTF-16 and RFC 4716 are converted. An error is a
// *PublicError; it names the line and says what it holds instead: a private
// key, several keys run together, options before the key, a control byte, a
// torn line. No keys at all is an error too.
func ReadPublic(data []byte) ([]Public, error) {
	parts, err := ReadParts(bytes.NewReader(data), slices.Collect[Public])
	return slices.Concat(parts...), err
}

// ReadParts is ReadPublic for long lists, which it does not hold as a whole: it
// calls part for the keys of some lines at a time, on all processors while the
// next are read, and returns its results in the order of the lines. An error
// voids them all; it may be one of r.
func ReadParts[T any](r io.Reader, part func(keys iter.Seq[Public]) T) ([]T, error) {
	var reading sync.Mutex
	text := cutter{r: r}
	var pieces []*reader
	var parts []T
	var working sync.WaitGroup
	workers := 0
	var work func()
	work = func() {
		var lines []byte
		for {
			reading.Lock()
			if text.ended {
				reading.Unlock()
				return
			}
			lines = text.next(lines)
			i, piece := len(pieces), new(reader)
			pieces = append(pieces, piece)
			if workers < runtime.GOMAXPROCS(0) && !text.ended {
				workers++
				working.Go(work)
			}
			reading.Unlock()
			piece.text = string(lines)
			result := part(piece.keys)
			piece.lines, piece.text = strings.Count(piece.text, "\n"), ""
			reading.Lock()
			parts = append(parts, make([]T, len(pieces)-len(parts))...)
			parts[i] = result
			reading.Unlock()
		}
	}
	workers++
	work()
	working.Wait()
	if text.err != nil {
		return nil, text.err
	}
	// A private key first, wherever it stands: no other fault of the input
	// matters as much.
	for _, private := range []bool{true, false} {
		line := 0
		for _, p := range pieces {
			if e, ok := errors.AsType[*PublicError](p.err); ok && (!private || errors.Is(p.err, ErrPrivateKey)) {
				return nil, &PublicError{line + e.Line, e.Err, e.hint}
			}
			line += p.lines
		}
	}
	if !slices.ContainsFunc(pieces, func(p *reader) bool { return p.found }) {
		return nil, refuse(hintSource, "no public key in it")
	}
	return parts, nil
}

// A cutter reads a text and cuts it between its lines.
type cutter struct {
	r     io.Reader
	rest  []byte // what was read of the next piece
	begun bool
	ended bool
	err   error // why it ended early
}

// next returns the next lines, in b if they fit. A text in UTF-16 is one piece,
// and so is what comes with and after a key of several lines.
func (c *cutter) next(b []byte) []byte {
	size := 128 << 10
	if !c.begun {
		size = 4 << 10 // which most have fewer of
	}
	b = append(b[:0], c.rest...)
	for whole := false; !c.ended; size = max(size, len(b)) {
		had := len(b)
		b = slices.Grow(b, size)[:had+size]
		n, err := io.ReadFull(c.r, b[had:])
		b = b[:had+n]
		if c.ended = err != nil; c.ended && err != io.EOF && err != io.ErrUnexpectedEOF {
			c.err = err
		}
		begin := max(0, had-len(begin4716))
		whole = whole || bytes.Contains(b[begin:], []byte(begin4716)) || !c.begun && isUTF16(b)
		if i := bytes.LastIndexByte(b[begin:], '\n'); i >= 0 && !whole && !c.ended {
			c.rest = append(c.rest[:0], b[begin+i+1:]...)
			b = b[:begin+i+1]
			break
		}
		if len(b) > maxLine && !whole && !c.ended { // it is one line, which is refused, whatever else it has
			b = b[:maxLine+1]
		}
	}
	if !c.begun && c.err == nil {
		b, c.err = decodeText(b)
	}
	c.begun = true
	return b
}

// A reader reads the keys of a text, as far as it goes.
type reader struct {
	text  string
	lines int // how many it has, at its end
	found bool
	err   error // why it does not go on, with the line
}

func (r *reader) keys(yield func(Public) bool) {
	if mayHoldPrivateKey(r.text) {
		n := 0
		for line := range strings.SplitSeq(r.text, "\n") {
			if n++; holdsPrivateKey(line) {
				r.err = &PublicError{n, ErrPrivateKey, hintHalf(line)}
				return
			}
		}
	}
	rest := r.text
	for n := 1; rest != ""; n++ {
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		line = strings.Trim(strings.TrimSuffix(line, "\r"), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		var key Public
		var err error
		at := n
		if line == begin4716 {
			var used int
			key, used, rest, err = read4716(rest)
			n += used
		} else {
			key, err = parsePublic(line)
		}
		if err != nil {
			r.err = atLine(err, at)
			return
		}
		if r.found = true; !yield(key) {
			return
		}
	}
}

// isUTF16 reports whether a text begins with the mark of that.
func isUTF16(b []byte) bool {
	return bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff"))
}

// decodeText takes a byte order mark away, and UTF-16, which PowerShell's ">"
// writes, apart.
func decodeText(data []byte) ([]byte, error) {
	if !isUTF16(data) {
		return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), nil
	}
	var order binary.ByteOrder = binary.LittleEndian
	if data[0] == 0xfe {
		order = binary.BigEndian
	}
	if len(data)%2 != 0 {
		return nil, refuse(hintTorn, "UTF-16 with half a character at its end")
	}
	units := make([]uint16, 0, len(data)/2)
	for i := 2; i < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units))), nil
}

// holdsPrivateKey knows OpenSSH's, OpenSSL's, ssh.com's, PuTTY's and SSH-1's
// files by their marks, and the body of OpenSSH's also without them.
func holdsPrivateKey(line string) bool {
	if _, after, ok := strings.Cut(line, "BEGIN "); ok && strings.Contains(after, "PRIVATE KEY") {
		return true
	}
	return strings.Contains(line, "PuTTY-User-Key-File-") ||
		strings.Contains(line, "SSH PRIVATE KEY FILE FORMAT") ||
		strings.HasPrefix(strings.TrimLeft(line, " \t"), magic64)
}

const magic64 = "b3BlbnNzaC1rZXktdjE" // base64 of openssh-key-v1

// mayHoldPrivateKey is true where holdsPrivateKey is for some line, and rarely
// for a list of public keys: it looks at all of a text at once.
func mayHoldPrivateKey(text string) bool {
	for _, mark := range []string{"PRIVATE KEY", "PuTTY-User-Key-File-", magic64} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return false
}

// hintHalf is the way to the public half of the private key that a line shows.
func hintHalf(line string) string {
	if strings.Contains(line, "PuTTY-User-Key-File-") { // which pikeygen -y does not read
		return hintPuTTY
	}
	return hintPublic
}

var strict64 = base64.StdEncoding.Strict()

// parseLine reads a line without its end.
func parseLine(line string) (Public, error) {
	if holdsPrivateKey(line) {
		return Public{}, &PublicError{0, ErrPrivateKey, hintHalf(line)}
	}
	return parsePublic(strings.Trim(line, " \t"))
}

// parsePublic reads a line that holds no private key, and no blanks at its ends.
func parsePublic(line string) (Public, error) {
	if len(line) > maxLine {
		return Public{}, refuse(hintSource, "a line of more than %d KiB", maxLine>>10)
	}
	typ, rest := cutBlank(line)
	b64, comment := cutBlank(rest)
	blob, errBase64 := strict64.DecodeString(b64)
	key, err := ParseBlob(blob, comment)
	if errBase64 == nil && err == nil && key.Type == typ && !strings.Contains(comment, "AAAA") && // it has no key either
		controlIn(comment) < 0 && len(b64) == strict64.EncodedLen(len(blob)) { // the decoder skips CR and newline
		return key, nil
	}
	if i := controlIn(line); i >= 0 {
		return Public{}, refuse("remove it, or take the key from its .pub file again", "the control byte 0x%02x", line[i])
	}
	if err := misplaced(line); err != nil {
		return Public{}, err
	}
	switch {
	case errBase64 != nil:
		return Public{}, refuse(hintTorn, "a damaged key: its base64 is broken")
	case errors.Is(err, errTrailing):
		return Public{}, refuse(hintOneLine, "%w: are there two glued together?", err)
	case errors.Is(err, errTorn):
		return Public{}, refuse(hintTorn, "%w: is the line wrapped or cut off?", err)
	case err != nil:
		return Public{}, refuse(hintSource, "%w", err)
	case key.Type != typ:
		return Public{}, refuse("write "+key.Type+" at the start of the line, if the key is the right one",
			"the first word is not the key's type, which is %s", key.Type)
	}
	return key, nil
}

// controlIn returns where the first control byte is that is no TAB, or -1.
func controlIn(s string) int {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return i
		}
	}
	return -1
}

// misplaced tells when the line is not "type base64 [comment]": it looks for
// words that hold a key, and at the word before each of them.
func misplaced(line string) error {
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	found := false
	for i, word := range words {
		typ := typeInside(word)
		switch {
		case typ == "":
		case i == 0:
			return refuse("put "+typ+" and a blank before it", "a key without its type word")
		case found && strings.HasSuffix(words[i-1], typ):
			return refuse(hintOneLine, "several keys on one line")
		case found: // a comment may hold anything else
		case i == 1 && namesType(words[0]):
			found = true // whether it is the right type, parseLine looks
		case namesType(words[0]):
			return refuse(hintOneLine, "a damaged key, and another one on the same line")
		default:
			return refuse("give the key alone; options to put before it go to --options",
				"options or other words before the key")
		}
	}
	if found {
		return nil
	}
	switch {
	case len(words) == 0:
		return refuse(hintSource, "a blank line")
	case namesType(words[0]):
		return refuse(hintTorn, "a damaged key: no base64 follows its type word")
	case strings.HasPrefix(line, "-----BEGIN "):
		return refuse("ssh-keygen -i -m PKCS8 -f FILE (or -m PEM) prints it in OpenSSH's format",
			"a PEM block, which is not OpenSSH's form of a public key")
	}
	return refuse(hintSource, "not a public key")
}

// namesType reports whether a word is a type or made like one, and not an
// option or a host's name.
func namesType(word string) bool {
	family, _, _ := strings.Cut(word, "-")
	return isTypeWord(word) && slices.Contains([]string{"ssh", "ecdsa", "sk", "rsa", "webauthn"}, family)
}

// typeInside returns the type word that a base64 word starts with, or "". It
// looks at the start only, so that a line is read in linear time.
func typeInside(word string) string {
	if !strings.HasPrefix(word, "AAAA") { // three bytes of the type's length
		return ""
	}
	head := word[:min(len(word), 4*24)&^3] // 72 bytes hold 4 + 64
	blob, _ := base64.StdEncoding.DecodeString(head)
	w := &wire{rest: blob}
	if typ := string(w.string()); isTypeWord(typ) {
		return typ
	}
	return ""
}

// cutBlank returns the first word and what follows it, without blanks between.
func cutBlank(s string) (word, rest string) {
	word = s
	if i := strings.IndexByte(word, ' '); i >= 0 {
		word = word[:i]
	}
	if i := strings.IndexByte(word, '\t'); i >= 0 {
		word = word[:i]
	}
	return word, strings.TrimLeft(s[len(word):], " \t")
}

// The marks of RFC 4716 section 3.2.
const (
	begin4716 = "---- BEGIN SSH2 PUBLIC KEY ----"
	end4716   = "---- END SSH2 PUBLIC KEY ----"
)

// read4716 reads a key from what follows the begin mark. It returns how many
// lines it has used, and what follows them.
func read4716(text string) (key Public, used int, rest string, err error) {
	torn := func(what string) (Public, int, string, error) {
		return Public{}, used, "", refuse(hintTorn, "an RFC 4716 key %s", what)
	}
	var body strings.Builder
	var comment string
	next := func() (line string, ok bool) {
		if text == "" {
			return "", false
		}
		used++
		line, text, _ = strings.Cut(text, "\n")
		return strings.TrimRight(line, " \t\r"), true
	}
	for {
		line, ok := next()
		if !ok {
			return torn("without its end")
		}
		if line == end4716 {
			break
		}
		name, value, header := strings.Cut(line, ":")
		if !header {
			body.WriteString(line)
			if body.Len() > maxLine {
				return torn("that is too long")
			}
			continue
		}
		for strings.HasSuffix(value, `\`) { // goes on in the next line
			line, ok := next()
			if !ok || len(value) > 1024 { // as section 3.3 has it
				return torn("with a header that does not end")
			}
			value = strings.TrimSuffix(value, `\`) + line
		}
		if strings.EqualFold(name, "Comment") {
			comment = strings.Trim(value, " \t")
			if n := len(comment); n >= 2 && comment[0] == '"' && comment[n-1] == '"' {
				comment = comment[1 : n-1]
			}
		}
	}
	blob, err := strict64.DecodeString(body.String())
	if err != nil {
		return torn("whose base64 is broken")
	}
	if key, err = ParseBlob(blob, ""); err != nil {
		return torn("that is damaged: " + err.Error())
	}
	// As a line, so that a comment is held to the same rules.
	key, err = parseLine(key.Line() + " " + comment)
	return key, used, text, err
}

// RFC4716 returns the key as ssh-keygen -e prints it, with its own comment.
func (p Public) RFC4716() string {
	var b strings.Builder
	b.WriteString(begin4716 + "\n")
	if p.Comment != "" && len(p.Comment) < 1000 { // a header has 1024 bytes at most
		header := `Comment: "` + p.Comment + `"`
		for ; len(header) > 72; header = header[71:] { // and a line 72
			b.WriteString(header[:71] + "\\\n")
		}
		b.WriteString(header + "\n")
	}
	b64 := p.Base64()
	for ; len(b64) > 70; b64 = b64[70:] {
		b.WriteString(b64[:70] + "\n")
	}
	b.WriteString(b64 + "\n" + end4716 + "\n")
	return b.String()
}
