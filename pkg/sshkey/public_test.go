package sshkey

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf16"
)

const (
	ed25519Type = "ssh-ed25519"
	ed25519Blob = "AAAAC3NzaC1lZDI1NTE5AAAAIKX+mshLa1XlYVPmPvG8Vh5KlFbEXGlz0qBvTPtVqXpG"
	ed25519Line = ed25519Type + " " + ed25519Blob + " me@here"
)

var (
	rsaLine  = madeRSA(2048)
	rsaWords = strings.Fields(rsaLine)
	newLine  = made("ssh-mldsa44-ed25519", "what a newer ssh knows")
)

func TestParsePublicTakes(t *testing.T) {
	for _, tt := range []struct{ line, comment string }{
		{ed25519Line, "me@here"},
		{ed25519Line + "\n", "me@here"},
		{ed25519Line + "\r\n", "me@here"},
		{" \t" + ed25519Type + "\t " + ed25519Blob + " \t ", ""},
		{ed25519Type + " " + ed25519Blob, ""},
		{ed25519Type + " " + ed25519Blob + " a  b\tc ", "a  b\tc"},
		{ed25519Line + " zoë \x9b", "me@here zoë \x9b"},
		{ed25519Line + " AAAA AAAAC3Nz ssh-rsa", "me@here AAAA AAAAC3Nz ssh-rsa"},
		{ed25519Line + " PRIVATE KEY of mine", "me@here PRIVATE KEY of mine"},
		{rsaLine, "made"},
		{madeRSA(16384), "made"},
		{newLine, "made"},
		{made("sk-something-new@example.com", "", "x"), "made"},
	} {
		p, err := ParsePublic(tt.line)
		if err != nil {
			t.Errorf("%.60q: %v", tt.line, err)
		} else if p.Comment != tt.comment {
			t.Errorf("%.60q: comment %q, want %q", tt.line, p.Comment, tt.comment)
		}
	}
}

func TestParsePublicRefuses(t *testing.T) {
	torn := base64.StdEncoding.EncodeToString(mustDecode(ed25519Blob)[:48])
	for _, tt := range []struct{ line, want string }{
		{"", "blank line"},
		{"hello", "not a public key"},
		{ed25519Type, "no base64 follows"},
		{ed25519Type + " me@here", "no base64 follows"},
		{ed25519Blob + " me@here", "without its type word"},
		{"ssh-rsa " + ed25519Blob, "which is ssh-ed25519"},
		{"ssh-mldsa44-ed25519 " + ed25519Blob, "which is ssh-ed25519"},
		{"SSH-ED25519 " + ed25519Blob, "options or other words"},
		{ed25519Type + " " + torn, "is truncated"},
		{ed25519Type + " " + ed25519Blob[:50], "base64 is broken"},
		{ed25519Type + " " + ed25519Blob[:50] + "!" + ed25519Blob[51:], "base64 is broken"},
		{ed25519Type + " " + ed25519Blob[:40] + " " + ed25519Blob[40:], "is truncated"},
		{rsaWords[0] + " " + rsaWords[1][:len(rsaWords[1])-1], "base64 is broken"},
		{ed25519Type + " " + ed25519Blob + ed25519Blob, "two glued"},
		{ed25519Line + rsaLine, "several keys on one line"},
		{ed25519Line + " " + rsaLine, "several keys on one line"},
		{ed25519Type + " " + ed25519Blob + rsaLine, "several keys on one line"},
		{ed25519Type + " torn " + rsaLine, "another one on the same line"},
		{`from="10.0.0.0/8" ` + ed25519Line, "options"},
		{`command="echo a b" ` + ed25519Line, "options"},
		{"restrict " + ed25519Line, "options"},
		{"restrict," + ed25519Line, "options"},
		{"pi.local,192.0.2.1 " + ed25519Line, "options"},
		{ed25519Line + "\x00", "control byte 0x00"},
		{ed25519Line + "\x1b[2J", "control byte 0x1b"},
		{ed25519Line + "\x7f", "control byte 0x7f"},
		{ed25519Line + "\r" + rsaLine, "control byte 0x0d"},
		{ed25519Line + "\n" + rsaLine, "control byte 0x0a"},
		{ed25519Line[:40] + "\r" + ed25519Line[40:], "control byte 0x0d"},
		{ed25519Line[:40] + "\n" + ed25519Line[40:], "control byte 0x0a"},
		{ed25519Line + strings.Repeat("x", maxLine), "more than 64 KiB"},
		{madeRSA(768), "768 bits"},
		{madeRSA(16392), "16384 bits"},
		{made("ssh-ed25519", "short"), "5 bytes instead of 32"},
		{made("ssh-ed25519", strings.Repeat("k", 32), "more"), "follows the end of the key"},
		{made("ssh-mldsa44-ed25519@openssh.com", "short"), "5 bytes instead of 1344"},
		{made("ecdsa-sha2-nistp256", "nistp384", "x"), "another curve"},
		{made("ecdsa-sha2-nistp256", "nistp256", "\x02"+strings.Repeat("x", 32)), "uncompressed"},
		{made("ssh-new"), "is truncated"},
		{"-----BEGIN PUBLIC KEY-----", "a PEM block"},
	} {
		_, err := ParsePublic(tt.line)
		var perr *PublicError
		if !errors.As(err, &perr) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: error %v, want one with %q", tt.line, err, tt.want)
			continue
		}
		if errors.Is(err, ErrPrivateKey) {
			t.Errorf("%.60q is taken for a private key", tt.line)
		}
		if perr.Hint() == "" {
			t.Errorf("%.60q: no hint", tt.line)
		}
	}
}

// What it takes beyond ParsePublic; known_hosts and authorized_keys compare
// that with ssh-keygen and sshd.
func TestParseLenient(t *testing.T) {
	for _, tt := range []struct {
		line, comment string
		ok            bool
	}{
		{ed25519Line, "me@here", true},
		{ed25519Type + " " + ed25519Blob + "\r", "", true},
		{ed25519Type + "\t" + ed25519Blob[:40] + "\v" + ed25519Blob[40:] + "  a\x1bb \r", "a\x1bb", true},
		{"rsa-sha2-512 " + rsaWords[1], "", true},
		{"ssh-rsa " + ed25519Blob, "", false},
		{ed25519Type + " " + ed25519Blob[:40] + " " + ed25519Blob[40:], "", false},
		{ed25519Type, "", false},
		{"", "", false},
	} {
		p, err := ParseLenient(tt.line)
		if (err == nil) != tt.ok || p.Comment != tt.comment {
			t.Errorf("%.60q: comment %q, %v", tt.line, p.Comment, err)
		}
	}
}

func mustDecode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func utf16Text(order binary.AppendByteOrder, s string) []byte {
	b := order.AppendUint16(nil, 0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func TestReadPublicTakes(t *testing.T) {
	two := "# mine\n\n  " + ed25519Line + "\n\t# more\n" + rsaLine + "\n"
	rfc4716 := "---- BEGIN SSH2 PUBLIC KEY ----\nSubject: me\nComment: \"me\\\n@here\"\nx-long: a\\\nb\\\nc\n" +
		ed25519Blob[:40] + "\n" + ed25519Blob[40:] + "\n---- END SSH2 PUBLIC KEY ----\n"
	crlf := strings.NewReplacer("\n", "\r\n").Replace
	for name, data := range map[string]string{
		"lines":            two,
		"no last newline":  strings.TrimSuffix(two, "\n"),
		"CR LF":            crlf(two),
		"byte order mark":  "\xef\xbb\xbf" + two,
		"UTF-16, little":   string(utf16Text(binary.LittleEndian, crlf(two))),
		"UTF-16, big":      string(utf16Text(binary.BigEndian, two)),
		"RFC 4716":         rfc4716 + rsaLine,
		"RFC 4716, CR LF":  crlf(rfc4716) + rsaLine,
		"RFC 4716, UTF-16": string(utf16Text(binary.LittleEndian, crlf(rfc4716+rsaLine))),
	} {
		keys, err := ReadPublic([]byte(data))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var lines []string
		for _, k := range keys {
			lines = append(lines, k.Line())
		}
		if got, want := strings.Join(lines, "\n"), ed25519Line+"\n"+rsaLine; got != want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestReadPublicRefuses(t *testing.T) {
	for _, tt := range []struct{ data, want string }{
		{"", "no public key"},
		{"\n# nothing\n\n", "no public key"},
		{"\xef\xbb\xbf", "no public key"},
		{"\xff\xfea", "half a character"},
		{ed25519Line + "\n\n" + ed25519Type + " AAAAtorn\n", "line 3: a damaged key"},
		{ed25519Line + "\x00\n", "line 1: the control byte 0x00"},
		{"# a\r\nrestrict " + ed25519Line, "line 2: options"},
		{ed25519Type + " " + ed25519Blob[:40] + "\n" + ed25519Blob[40:] + "\n", "line 1: the key is truncated"},
		{"\n" + begin4716 + "\n" + ed25519Blob + "\n", "line 2: an RFC 4716 key without its end"},
		{begin4716 + "\n" + ed25519Blob[:40] + "\n" + end4716, "line 1: an RFC 4716 key that is damaged: the key is truncated"},
		{begin4716 + "\n" + ed25519Blob[:41] + "\n" + end4716, "whose base64 is broken"},
		{begin4716 + "\nComment: a\x1b[2J\n" + ed25519Blob + "\n" + end4716, "control byte 0x1b"},
		{begin4716 + "\nComment: \\\n", "header that does not end"},
		{begin4716 + "\n" + ed25519Blob + "\n" + end4716 + "\n\nx", "line 5: not a public key"},
	} {
		_, err := ReadPublic([]byte(tt.data))
		var perr *PublicError
		if !errors.As(err, &perr) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: error %v, want one with %q", tt.data, err, tt.want)
		}
	}
}

// A private key is told as such in whatever wrapping, and nothing of it is in
// the error.
func TestReadPublicNeverTakesAPrivateKey(t *testing.T) {
	need(t, "ssh-keygen")
	dir := t.TempDir()
	var keys []string
	for i, args := range [][]string{
		{"-t", "ed25519"}, {"-t", "rsa", "-b", "1024"}, {"-t", "rsa", "-b", "1024", "-m", "PEM"},
		{"-t", "ecdsa", "-m", "PKCS8"}, {"-t", "ed25519", "-N", "secret", "-a", "1"},
	} {
		name := filepath.Join(dir, string(rune('a'+i)))
		if i < 4 {
			args = append(args, "-N", "")
		}
		mustKeygen(t, dir, append(args, "-q", "-f", name)...)
		keys = append(keys, read(t, name))
	}
	keys = append(keys,
		"PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\nPublic-Lines: 2\n"+ed25519Blob+"\nPrivate-Lines: 1\nc2VjcmV0\n",
		"SSH PRIVATE KEY FILE FORMAT 1.1\n\x00\x00\x00secret",
		"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nc2VjcmV0\n",
		strings.Join(strings.Split(keys[0], "\n")[1:], "\n"), // without its BEGIN line
	)
	for _, key := range keys {
		for _, data := range []string{
			key, "\xef\xbb\xbf" + key, "\n\n" + strings.ReplaceAll(key, "\n", "\r\n"),
			string(utf16Text(binary.LittleEndian, key)), string(utf16Text(binary.BigEndian, key)),
			ed25519Line + "\nbroken line\n" + key,
			strings.ReplaceAll(key, "\n", " "),
		} {
			_, err := ReadPublic([]byte(data))
			if !errors.Is(err, ErrPrivateKey) {
				t.Errorf("%.40q: error %v, want ErrPrivateKey", data, err)
				continue
			}
			for word := range strings.FieldsSeq(key) {
				if len(word) > 12 && strings.Contains(err.Error(), word) {
					t.Errorf("%.40q: the error holds a part of the key: %v", data, err)
				}
			}
		}
	}
}

// Megabytes of anything are read in linear time.
func TestReadPublicIsLinear(t *testing.T) {
	const size = 1 << 20
	for name, unit := range map[string]string{
		"newlines": "\n", "letters": "A", "blanks": " ", "words": "AAAA ", "marks": "BEGIN PRIVATE ",
		"keys": ed25519Line + "\n", "continued": "x:\\\n", "blobs": ed25519Blob + " ",
	} {
		start := time.Now()
		for _, head := range []string{"", begin4716 + "\n", begin4716 + "\nComment: "} {
			_, _ = ReadPublic([]byte(head + strings.Repeat(unit, size/len(unit))))
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: %v", name, took)
		}
	}
}

// A long list is read in pieces, and nobody sees that.
func TestReadPublicLong(t *testing.T) {
	const n = 9000
	lines := strings.Split(strings.TrimSuffix(strings.Repeat(ed25519Line+"\n", n), "\n"), "\n")
	for i := range lines {
		lines[i] += strconv.Itoa(i)
	}
	keys, err := ReadPublic([]byte(strings.Join(lines, "\n")))
	if err != nil || len(keys) != n {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for i, key := range keys {
		if key.Line() != lines[i] {
			t.Fatalf("key %d is %s", i, key.Line())
		}
	}
	for _, at := range []int{0, n / 2, n - 1} {
		saved := lines[at]
		for _, bad := range []string{"torn", strings.Repeat("x", 600<<10)} {
			lines[at], lines[n-1] = bad, lines[n-1]+"\x01" // the first one is told
			if _, err := ReadPublic([]byte(strings.Join(lines, "\n"))); err == nil || !strings.HasPrefix(err.Error(), "line "+strconv.Itoa(at+1)+": ") {
				t.Errorf("with line %d bad: %v", at+1, err)
			}
		}
		lines[at] = saved
	}
	lines[0], lines[n-1] = "torn", "-----BEGIN PRIVATE KEY-----"
	if _, err := ReadPublic([]byte(strings.Join(lines, "\n"))); !errors.Is(err, ErrPrivateKey) || !strings.HasPrefix(err.Error(), "line "+strconv.Itoa(n)+": ") {
		t.Errorf("with a private key at the end: %v", err)
	}
	block := begin4716 + "\n" + ed25519Blob + "\n" + end4716 + "\n"
	blocks, plain := strings.Repeat(block, n), strings.Repeat(ed25519Line+"\r\n", n)
	for name, data := range map[string]string{"RFC 4716": blocks, "RFC 4716 behind lines": plain[:len(plain)/2] + blocks[:len(blocks)/2],
		"BOM": "\xef\xbb\xbf" + plain, "UTF-16": string(utf16Text(binary.LittleEndian, plain))} {
		for how, through := range map[string]func(io.Reader) io.Reader{"at once": iotest.DataErrReader, "by halves": iotest.HalfReader} {
			parts, err := ReadParts(through(strings.NewReader(data)), slices.Collect[Public])
			if keys := slices.Concat(parts...); err != nil || len(keys) != n {
				t.Errorf("%s, read %s: %d keys, %v", name, how, len(keys), err)
			}
		}
	}
	broken := errors.New("the disk is broken")
	_, err = ReadParts(io.MultiReader(strings.NewReader(plain), iotest.ErrReader(broken)), slices.Collect[Public])
	if !errors.Is(err, broken) {
		t.Errorf("from a broken disk: %v", err)
	}
}

// A line that is too long for a key is not held as a whole.
func TestReadPublicLongLine(t *testing.T) {
	for head, want := range map[string]string{"": "line 1: a line of more than 64 KiB", ed25519Line + "\n": "line 2: a line of more than 64 KiB", "#": ""} {
		const size = 64 << 20
		text := io.MultiReader(strings.NewReader(head), io.LimitReader(endless("A"), size), strings.NewReader("\n"+ed25519Line+"\n"))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		keys, err := ReadParts(text, slices.Collect[Public])
		runtime.ReadMemStats(&after)
		if got := fmt.Sprint(err); got != cmp.Or(want, "<nil>") || want == "" && len(slices.Concat(keys...)) != 1 {
			t.Errorf("behind %q: %v, %d keys", head, err, len(keys))
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > size/16 {
			t.Errorf("behind %q: %d bytes were allocated", head, used)
		}
	}
}

type endless string

func (e endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e[0]
	}
	return len(b), nil
}

func TestEqual(t *testing.T) {
	a, _ := ParsePublic(ed25519Line)
	b, _ := ParsePublic(ed25519Line + " other")
	c, _ := ParsePublic(rsaLine)
	if !a.Equal(b) || a.Equal(c) {
		t.Error("Equal must look at the blob and at nothing else")
	}
}

// What ssh-keygen -l of OpenSSH 10.5 shows, and no older one.
func TestMLDSA44(t *testing.T) {
	p, err := ParsePublic(made("ssh-mldsa44-ed25519@openssh.com", strings.Repeat("k", 1344)))
	if err != nil || p.Name() != "MLDSA44-ED25519" || p.Bits() != 256 {
		t.Errorf("%d %s, %v", p.Bits(), p.Name(), err)
	}
}

func TestTypes(t *testing.T) {
	for _, tt := range []struct{ algorithm, key, plain string }{
		{"rsa-sha2-512", "ssh-rsa", "ssh-rsa"},
		{"rsa-sha2-256-cert-v01@openssh.com", "ssh-rsa-cert-v01@openssh.com", "ssh-rsa"},
		{"ssh-ed25519", "ssh-ed25519", "ssh-ed25519"},
		{"sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519-cert-v01@openssh.com", "sk-ssh-ed25519@openssh.com"},
		{"ssh-mldsa44-ed25519-cert-v01@openssh.com", "ssh-mldsa44-ed25519-cert-v01@openssh.com", "ssh-mldsa44-ed25519@openssh.com"},
		{"webauthn-sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"},
		{"new-cert-v01@openssh.com", "new-cert-v01@openssh.com", "new-cert-v01@openssh.com"},
		{"rsa-sha2-5120", "rsa-sha2-5120", "rsa-sha2-5120"},
	} {
		if key := KeyType(tt.algorithm); key != tt.key || PlainType(key) != tt.plain {
			t.Errorf("%s: keys of type %s, plain ones of %s; want %s, %s", tt.algorithm, key, PlainType(key), tt.key, tt.plain)
		}
	}
}

// What has been read is printed again byte for byte.
func FuzzParsePublic(f *testing.F) {
	for _, line := range []string{ed25519Line, rsaLine, newLine, ed25519Line + rsaLine, `command="a b" ` + ed25519Line,
		ed25519Type + "\t" + ed25519Blob + "\t a  b ", madeRSA(1024) + "\r\n", "ssh-rsa AAAA"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		p, err := ParsePublic(line)
		if err != nil {
			var perr *PublicError
			if !errors.As(err, &perr) {
				t.Fatalf("%T", err)
			}
			return
		}
		for _, field := range append(strings.Fields(p.Type), strings.Fields(p.Comment)...) {
			if !strings.Contains(line, field) {
				t.Fatalf("%q is not in %q", field, line)
			}
		}
		q, err := ParsePublic(p.Line())
		if err != nil || !p.Equal(q) || p.Type != q.Type || p.Comment != q.Comment || p.Line() != q.Line() {
			t.Fatalf("%q became %q, %v", line, p.Line(), err)
		}
		if strings.Count(p.Randomart(), "\n") != 11 || p.Name() == "" {
			t.Fatalf("%q: %q\n%s", line, p.Name(), p.Randomart())
		}
	})
}
