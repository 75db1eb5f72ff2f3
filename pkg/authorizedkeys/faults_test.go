package authorizedkeys

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"pi-key-tools/pkg/sshkey"
)

// A broken file, with K1 to K3 (whole lines without a comment), B1 to B3 (their
// base64) and RSA, RSAB (the same of an RSA key) in it.
type broken struct {
	name, file string
	cause      string // "" for no fault
	lines      string // of the first fault
	cure       string // what the file becomes; "" if it stays
}

const rsaHead, rsaRest = "RSAHEAD", "RSAREST" // RSAB in two pieces

var brokenFiles = []broken{
	{"nothing", "", "", "", ""},
	{"live lines, comments and blanks", "# K3\n\nK1 me\r\nrestrict K2 you\n\t\n#\n", "", "", ""},
	{"words without a key", "hello world\nK1\nssh-keygen -t rsa\n-----\ncat >> authorized_keys << EOF\n", "", "", ""},
	{"no newline at the end", "K1", "", "", ""},
	{"twice", "K1 a\nK1 b\n", "", "", ""},
	{"NULs in a comment", "K1 me\x00\x00\x00\n", "", "", ""},
	{"a mark before a comment", "\ufeff# K1\nK2\n", "", "", ""},

	{"a mark at the start", "\ufeffK1 me\nK2\n", "entry-encoding", "1-1", "K1 me\nK2\n"},
	{"a mark later", "# c\nK2\n\ufeffrestrict K1 me\n", "entry-encoding", "3-3", "# c\nK2\nrestrict K1 me\n"},
	{"no-break space before it", "\u00a0K1 me\n", "entry-encoding", "1-1", "K1 me\n"},
	{"no-break space in it", "ssh-ed25519\u00a0B1 \u00fc me\n", "entry-encoding", "1-1", "K1 \u00fc me\n"},
	{"no-break space behind it", "K1\u00a0me\u00a0too\n", "entry-encoding", "1-1", "K1 me\u00a0too\n"},
	{"zero width in it", "ssh-\u200bed25519 B1\n", "entry-encoding", "1-1", "K1\n"},
	{"UTF-16LE", "LE{\ufeff# c\r\nK1 \u00fc\r\n\r\nrestrict K2\r\n}", "entry-encoding", "1-5", "# c\nK1 \u00fc\n\nrestrict K2\n"},
	{"UTF-16BE", "BE{\ufeff# c\nK1 \u20ac\nK2}", "entry-encoding", "1-3", "# c\nK1 \u20ac\nK2\n"},
	{"UTF-16LE without a mark", "LE{K1\r\n}", "entry-encoding", "1-2", "K1\n"},
	{"UTF-16BE without a mark", "BE{K1\r\nhello\r\n}", "entry-encoding", "1-2", "K1\nhello\n"},
	{"UTF-16LE, and a line of ASCII", "LE{\ufeffK1\r\n}K2 you\nK3", "entry-encoding", "1-2", "K1\nK2 you\nK3"},
	{"UTF-16LE, and a line of ASCII behind a newline", "LE{\ufeffK1}\nK2 you\nK3", "entry-encoding", "1-1", "K1\nK2 you\nK3"},
	{"UTF-16BE, and a line of ASCII", "BE{\ufeffK1\n}K2 you\nK3", "entry-encoding", "1-1", "K1\nK2 you\nK3"},
	{"UTF-16LE behind ASCII", "K1\nLE{K2\r\nK3\r\n}", "entry-encoding", "2-4", "K1\nK2\nK3\n"},
	{"UTF-16LE with other faults", "LE{\ufeffK1 a K2 b\r\nssh-rsa B3\r\n}", "entry-encoding", "1-3", "K1 a\nK2 b\nK3\n"},
	{"UTF-16LE, half a character", "LE{\ufeffK1\r\n}s", "entry-encoding", "1-2", "K1\ns\n"},
	{"UTF-16LE, glued to ASCII", "LE{\ufeffK1 me}K2\n", "entry-encoding", "1-1", ""},
	{"UTF-16LE with what is no character", "LE{\ufeffK1 \ufffd\r\n}", "entry-encoding", "1-2", ""},
	{"a private key in UTF-16", "LE{\ufeff-----BEGIN OPENSSH PRIVATE KEY-----\r\n}", "entry-private-key", "1-2", ""},
	{"CR alone", "# c\rK1 a\rK2 b\r", "entry-encoding", "1-1", "# c\nK1 a\nK2 b\n"},
	{"CR alone, commented out", "#K1 a\rK2 b\n", "entry-encoding", "1-1", ""},
	{"CR alone, restricted", "restrict K1 a\rK2 b", "entry-encoding", "1-1", ""},

	{"glued", "# c\nK1 me@hostK2 you\nK3", "entry-glued", "2-2", "# c\nK1 me@host\nK2 you\nK3"},
	{"glued with a blank", "K1 me K2", "entry-glued", "1-1", "K1 me\nK2\n"},
	{"glued without a comment", "K1K2 b\n", "entry-glued", "1-1", "K1\nK2 b\n"},
	{"glued, RSA", "RSAK1 b\n", "entry-glued", "1-1", "RSA\nK1 b\n"},
	{"three glued", "K1 aK2 bK3 c\n", "entry-glued", "1-1", "K1 a\nK2 b\nK3 c\n"},
	{"glued, quoted", "> K1 a K2 b\n", "entry-glued", "1-1", "K1 a\nK2 b\n"},
	{"glued with options", "K1 me@hostfrom=\"10.0.0.1\" K2 you\n", "entry-glued", "1-1", ""},
	{"glued with a flag", "K1 me@hostrestrict K2 you\n", "entry-glued", "1-1", ""},
	{"glued to restrictions", "restrict K1 me K2 you\n", "entry-glued", "1-1", ""},
	{"a key in its command", "command=\"echo 'K2 you' >&2\" K1 me\n", "", "", ""},
	{"a key in its command, and glued", "  command=\"echo 'K2 you'\" K1 meK3\n", "entry-glued", "1-1", ""},
	{"glued in quotes", "\"K1 me\" \"K2 you\"\n", "entry-glued", "1-1", ""},
	{"a comment with half a key", "K1 me ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA you\n", "", "", ""},
	{"a comment with base64", "K1 B2\n", "", "", ""},

	{"wrapped by a terminal", "ssh-rsa RSAHEAD\nRSAREST me\nK1\n", "entry-wrapped", "1-2", "RSA me\nK1\n"},
	{"wrapped by an editor", "K1\nssh-rsa\r\nRSAB you\r\n", "entry-wrapped", "2-3", "K1\nRSA you\n"},
	{"wrapped with blanks", "no-pty ssh-rsa RSAHEAD \n   RSAREST", "entry-wrapped", "1-2", "no-pty RSA\n"},
	{"wrapped below options", "from=\"10.0.0.1\"\nssh-rsa RSAHEAD\nRSAREST\n", "entry-wrapped", "2-3", ""},
	{"wrapped, a piece lost", "ssh-rsa RSAHEAD\nK1\n", "entry-truncated", "1-1", ""},

	{"quoted", "\"K1 me\"\n", "entry-quoted", "1-1", "K1 me\n"},
	{"quoted, in a list", "\"K1 me\",\n", "entry-quoted", "1-1", "K1 me\n"},
	{"quoted at its start", "'K1 me\n", "entry-quoted", "1-1", "K1 me\n"},
	{"quoted at its end", "K1\"\n", "entry-quoted", "1-1", "K1\n"},
	{"newline in letters", "K1\\n\n", "entry-quoted", "1-1", "K1\n"},
	{"smart quotes", "\u201cK1 me\u201d\n", "entry-quoted", "1-1", "K1 me\n"},
	{"smart quotes of options", "from=\u201c*\u201d K1 me\n", "entry-quoted", "1-1", "from=\"*\" K1 me\n"},
	{"mail", "> > K1 me\n", "entry-quoted", "1-1", "K1 me\n"},
	{"echo", "echo \"K1 me\" >> ~/.ssh/authorized_keys\n", "entry-quoted", "1-1", "K1 me\n"},
	{"echo without quotes", "echo K1 me >>.ssh/authorized_keys\n", "entry-quoted", "1-1", "K1 me\n"},
	{"quoted below options without quotes", "from=10.0.0.1\n> K1\n", "entry-quoted", "2-2", ""},
	{"quoted below options and a backslash", "restrict \\\n> K1\n", "entry-quoted", "2-2", ""},
	{"quoted, and restricted in another line that is", "> K1\n> restrict K1\n", "entry-quoted", "1-1", "> K1\nrestrict K1\n"},
	{"quoted, restricted alike", "> restrict K1\n> restrict K1\n", "entry-quoted", "1-1", "restrict K1\nrestrict K1\n"},
	{"smart quotes in a command", "command=\"x \u201c,restrict,environment=\u201dA=1\" ssh-rsa B1\n", "entry-type-mismatch", "1-1",
		"command=\"x \u201c,restrict,environment=\u201dA=1\" K1\n"},
	{"a no-break space in a command", "\ufeffcommand=\"echo \\\"a\u00a0b\\\"\" K1\n", "entry-encoding", "1-1", "command=\"echo \\\"a\u00a0b\\\"\" K1\n"},
	{"a diff", "-K1 me\n", "entry-options-bad", "1-1", ""},

	{"another type", "ssh-rsa B1 me\n", "entry-type-mismatch", "1-1", "K1 me\n"},
	{"another type behind options", "restrict ssh-rsa B1 me\n", "entry-type-mismatch", "1-1", "restrict K1 me\n"},
	{"no type", "B1 me\n", "entry-type-mismatch", "1-1", "K1 me\n"},
	{"no type behind options", "restrict B1 me\n", "entry-type-mismatch", "1-1", "restrict K1 me\n"},
	{"half a type", "h-ed25519 B1 me\n", "entry-type-mismatch", "1-1", "K1 me\n"},
	{"capitals", "Ssh-Ed25519 B1 me\n", "entry-type-mismatch", "1-1", "K1 me\n"},
	{"a dash", "ssh\u2013ed25519 B1 me\n", "entry-type-mismatch", "1-1", "K1 me\n"},
	{"no type below options", "restrict,\nB1 me\n", "entry-type-mismatch", "2-2", ""},
	{"another type, and restricted elsewhere", "ssh-rsa B1\nrestrict K1\n", "entry-type-mismatch", "1-1", ""},

	{"cut off", "ssh-rsa RSAHEAD\n", "entry-truncated", "1-1", ""},
	{"a type alone", "ssh-ed25519\n", "entry-truncated", "1-1", ""},
	{"no = at its end", "ssh-rsa RSANOPAD me\n", "entry-truncated", "1-1", "RSA me\n"},
	{"an ellipsis", "ssh-ed25519 AAAAC3Nza...xyz me\n", "entry-truncated", "1-1", ""},

	{"private", "K1\n-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAAAA\n-----END OPENSSH PRIVATE KEY-----\nK2\n", "entry-private-key", "2-5", ""},
	{"private without its end", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nK2\n", "entry-private-key", "1-2", ""},
	{"PuTTY's", "PuTTY-User-Key-File-3: ssh-ed25519\nPublic-Lines: 1\nB1\nPrivate-MAC: 00\nK2\n", "entry-private-key", "1-4", ""},
	{"RFC 4716", "K2\n---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"me\"\nB1\n---- END SSH2 PUBLIC KEY ----\nK3", "entry-format", "2-5", "K2\nK1 me\nK3"},
	{"RFC 4716 below options", "from=\"10.0.0.1\"\n---- BEGIN SSH2 PUBLIC KEY ----\nB1\n---- END SSH2 PUBLIC KEY ----\n", "entry-format", "2-4", ""},
	{"UTF-16 below options", "restrict,\nLE{K1\n}", "entry-encoding", "2-3", ""},
	{"RFC 4716 without its end", "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"me\"\n", "entry-format", "1-1", ""},
	{"RFC 4716 without its end, and another", "---- BEGIN SSH2 PUBLIC KEY ----\nB1\n---- BEGIN SSH2 PUBLIC KEY ----\nB2\n---- END SSH2 PUBLIC KEY ----\n", "entry-format", "1-1", "---- BEGIN SSH2 PUBLIC KEY ----\nK1\nK2\n"},
	{"PEM", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n", "entry-format", "1-3", ""},

	{"NULs alone", "K1\n\x00\x00\x00\nK2\n", "entry-nul", "2-2", "K1\nK2\n"},
	{"nothing but NULs", "\x00\x00\x00", "entry-nul", "1-1", ""},
	{"NULs before it", "K2\n\x00\x00\x00K1 me\n", "entry-nul", "2-2", ""},
	{"NULs before it, at the start", "\x00\x00\x00K1 me\n", "entry-nul", "1-1", ""},
	{"NULs before half of it", "\x00\x00\x00\",no-pty K1 me\n", "entry-nul", "1-1", ""},
	{"NULs behind it", "\u201cK1 me\u201d\x00\x00\x00\n", "entry-nul", "1-1", "K1 me\n"},
	{"NULs between", "K1 me\x00\x00\x00K2 you\n", "entry-nul", "1-1", ""},
	{"NULs between, restricted", "restrict K1\x00\x00\x00K2 you\n", "entry-nul", "1-1", ""},
	{"NULs between, commented out", "#K1\x00\x00\x00K2 you\n", "entry-nul", "1-1", ""},
	{"NULs in it", "ssh-ed25519 AAAAC3Nza\x00\x00\x00", "entry-nul", "1-1", ""},

	{"an unknown option", "hello K1\n", "entry-options-bad", "1-1", ""},
	{"known_hosts", "pi.local,10.0.0.1 K1\n", "entry-options-bad", "1-1", ""},
	{"a quote missing", "command=\"a K1\n", "entry-options-bad", "1-1", ""},
	{"words before it", "hello world K1 me\n", "entry-options-bad", "1-1", ""},
	{"commented out", "#K1 me\n", "entry-commented", "1-1", ""},
}

// fill puts the n-th keys in, and returns them.
func (b broken) fill(n int) (file, cure string, keys []sshkey.Public) {
	var pairs []string
	pair := func(name, line string) {
		_, b64, _ := strings.Cut(line, " ")
		pairs = append(pairs, name, line, strings.Replace(name, "K", "B", 1), b64)
		p, err := sshkey.ParsePublic(line)
		if err != nil {
			panic(err)
		}
		keys = append(keys, p)
	}
	r := rsa(3072, 7000+n)
	_, b64, _ := strings.Cut(r, " ")
	pairs = append(pairs, rsaHead, b64[:200], rsaRest, b64[200:], "RSANOPAD", strings.TrimRight(b64, "="), "RSAB", b64)
	for i := range 3 {
		pair(fmt.Sprint("K", i+1), key(5000+n*3+i))
	}
	pair("RSA", r)
	fill := strings.NewReplacer(pairs...)
	file = fill.Replace(b.file)
	for name, order := range map[string]binary.AppendByteOrder{"LE{": binary.LittleEndian, "BE{": binary.BigEndian} {
		if before, rest, ok := strings.Cut(file, name); ok {
			text, after, _ := strings.Cut(rest, "}")
			var encoded []byte
			for _, unit := range utf16.Encode([]rune(text)) {
				encoded = order.AppendUint16(encoded, unit)
			}
			file = before + string(encoded) + after
		}
	}
	return file, fill.Replace(b.cure), keys
}

func TestFaults(t *testing.T) {
	for n, b := range brokenFiles {
		file, want, _ := b.fill(n)
		faults := Faults([]byte(file))
		if b.cause == "" {
			if len(faults) > 0 {
				t.Errorf("%s: %+v", b.name, faults)
			}
			continue
		}
		if len(faults) == 0 {
			t.Errorf("%s: no fault", b.name)
			continue
		}
		f := faults[0]
		if lines := fmt.Sprintf("%d-%d", f.First, f.Last); f.Cause != b.cause || lines != b.lines {
			t.Errorf("%s: %s in %s, want %s in %s", b.name, f.Cause, lines, b.cause, b.lines)
		}
		got := string(cured([]byte(file), faults))
		if want == "" && f.Cure == nil {
			want = file
		}
		if got != want {
			t.Errorf("%s: %s: cured to\n%q, want\n%q", b.name, f.Why, got, want)
		}
		if f.Why == "" {
			t.Errorf("%s: no word for a person", b.name)
		}
	}
}

// sshd itself says which keys of the broken files it takes, before the cure and
// after it: before it none that the faults name as kept out, after it all.
func TestCuresAgreeWithSSHD(t *testing.T) {
	t.Parallel()
	var before, after []string
	var all []sshkey.Public
	of := map[string]string{} // which file a key is for
	for n, b := range brokenFiles {
		file, _, keys := b.fill(n)
		before = append(before, file)
		after = append(after, string(cured([]byte(file), Faults([]byte(file)))))
		for i, name := range []string{"[KB]1", "[KB]2", "[KB]3", "RSA"} {
			if regexp.MustCompile(name).MatchString(b.file) {
				all = append(all, keys[i])
				of[keys[i].Fingerprint()] = b.name
			}
		}
	}
	was, is := acceptedBySSHD(t, all, before...), acceptedBySSHD(t, all, after...)
	for n, b := range brokenFiles {
		for i, file := range []string{before[n], after[n]} {
			taken := []map[string]bool{was, is}[i]
			live := map[string]bool{}
			for _, e := range Entries([]byte(file)) {
				if e.Dead == "" {
					live[e.Key.Fingerprint()] = true
				}
			}
			for _, key := range all {
				if p := key.Fingerprint(); of[p] == b.name && live[p] != taken[p] {
					t.Errorf("%s: sshd takes %s: %v; we say %v; file:\n%q", b.name, key.Line(), taken[p], live[p], file)
				}
			}
		}
		for _, f := range Faults([]byte(before[n])) {
			kept := 0
			for _, key := range f.Keys {
				if !was[key.Fingerprint()] {
					kept++
				}
				if f.Cure != nil && !is[key.Fingerprint()] {
					t.Errorf("%s: cured, and sshd does not take %s", b.name, key.Line())
				}
			}
			if len(f.Keys) > 0 && kept == 0 && !f.Spare {
				t.Errorf("%s: %s keeps nobody out", b.name, f.Cause)
			}
		}
	}
}

// A file of lines that are well has no fault; with faults among them, all that
// is in none stays byte for byte, no entry that lives is lost, and a second
// cure finds nothing to do.
func TestMendKeepsTheRest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		var file bytes.Buffer
		well := random.IntN(4) == 0
		for range random.IntN(8) {
			n := random.IntN(len(brokenFiles))
			k := key(random.IntN(50))
			good := []string{"", " \t", "# " + k, "#" + k + " me", k, k + " me\r", "restrict " + k + "  me \xff", "\t" + k, "from=\"*\"   " + k + "\ta b"}
			if line, _, _ := brokenFiles[n].fill(random.IntN(50)); !well && random.IntN(2) == 0 {
				file.WriteString(line)
			} else {
				file.WriteString(good[random.IntN(len(good))])
			}
			if well || random.IntN(8) > 0 {
				file.WriteByte('\n')
			}
		}
		data := file.Bytes()
		faults := Faults(data)
		if well && slices.ContainsFunc(faults, func(f Fault) bool { return f.Cause != "entry-commented" }) {
			t.Fatalf("round %d: %+v in\n%q", round, faults, data)
		}
		checkMend(t, data)
	}
}

func FuzzMend(f *testing.F) {
	for n, b := range brokenFiles {
		file, _, _ := b.fill(n)
		f.Add([]byte(file))
	}
	for n, o := range oddLines {
		line, _ := o.fill(n)
		f.Add([]byte(line))
	}
	f.Fuzz(checkMend)
}

func checkMend(t *testing.T, data []byte) {
	faults := Faults(data)
	mended := cured(data, faults)
	lines := slices.Collect(bytes.Lines(data))
	next, restOf := 1, mended
	for _, f := range faults {
		if f.First < next || f.Last < f.First || f.Last > len(lines) {
			t.Fatalf("fault %+v of %d lines, behind line %d, in\n%q", f, len(lines), next-1, data)
		}
		kept := bytes.Join(lines[next-1:f.First-1], nil)
		if f.Cure == nil {
			kept = bytes.Join(lines[next-1:f.Last], nil)
		}
		rest, ok := bytes.CutPrefix(restOf, kept)
		for _, text := range f.Cure {
			if !ok || strings.ContainsAny(text, "\n\x00") {
				break
			}
			rest, ok = bytes.CutPrefix(rest, []byte(text+"\n"))
		}
		if !ok {
			t.Fatalf("other lines than those of %+v have changed:\n%q\n%q", f, data, mended)
		}
		next, restOf = f.Last+1, rest
	}
	if !bytes.Equal(restOf, bytes.Join(lines[next-1:], nil)) {
		t.Fatalf("the end has changed:\n%q\n%q", data, mended)
	}
	live := func(data []byte) map[string]int {
		keys := map[string]int{}
		for _, e := range Entries(data) {
			if e.Dead == "" {
				keys[e.Key.Fingerprint()]++
			}
		}
		return keys
	}
	is := live(mended)
	for key, n := range live(data) {
		if is[key] < n {
			t.Fatalf("%s had %d lines that live, and has %d:\n%q\n%q", key, n, is[key], data, mended)
		}
	}
	if again := cured(mended, Faults(mended)); !bytes.Equal(again, mended) {
		t.Fatalf("a second cure changes something:\n%q\n%q\n%q", data, mended, again)
	}
}

// Whatever is in a large file, reading it ends: the limit is some hundred times
// what it takes, for a busy machine.
func TestFaultsOfLargeFiles(t *testing.T) {
	rsaKey := rsa(3072, 1)
	for _, part := range []string{
		key(1) + " me\n", "#" + key(1) + "\n", key(1) + " me", "ssh-rsa " + rsaKey[8:300] + "\n" + rsaKey[300:] + "\n", "ssh-rsa AAAA\n", "AAAA\n", "AAAA",
		"ssh-rsa\n", "\x00", "\x00\n", "s\x00", "s\x00\n\x00", "\r", key(1) + "\r", "\"", "\ufeff", "restrict,", "---- BEGIN SSH2 PUBLIC KEY ----\n",
		"-----BEGIN PRIVATE KEY-----\n", "ssh-rsa " + key(1)[12:] + "\n", "ssh-ed25519 ",
	} {
		data := bytes.Repeat([]byte(part), 1<<16/len(part))
		start := time.Now()
		cured(data, Faults(data))
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("64 KiB of %.20q took %v", part, took)
		}
	}
}
