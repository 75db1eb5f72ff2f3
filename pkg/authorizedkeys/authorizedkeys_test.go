package authorizedkeys

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshkey"
)

// key returns an ed25519 public key without a comment; any 32 bytes will do.
func key(n int) string {
	blob := []byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20")
	blob = binary.BigEndian.AppendUint64(blob, uint64(n))
	blob = append(blob, "authorizedkeys_test.go, pi"[:24]...)
	return "ssh-ed25519 " + base64.StdEncoding.EncodeToString(blob)
}

func rsa(bits, n int) string {
	number := bytes.Repeat([]byte{1}, bits/8)
	number[0] = 0x7f
	binary.BigEndian.PutUint64(number[8:], uint64(n))
	blob := []byte("\x00\x00\x00\x07ssh-rsa\x00\x00\x00\x03\x01\x00\x01")
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(number)))
	return "ssh-rsa " + base64.StdEncoding.EncodeToString(append(blob, number...))
}

// A line with KEY (TYPE BLOB) or RSA (RSABLOB) in it, and why sshd passes it
// by; TestAgreesWithSSHD asks sshd about every one.
type oddLine struct {
	line string
	dead string // part of Entry.Dead; "" if live
}

var oddLines = []oddLine{
	{"KEY", ""},
	{"KEY me@here", ""},
	{"  \t KEY \t me  @here \t", ""},
	{"TYPE\tBLOB\tme", ""},
	{"KEY me@here\r", ""},
	{"KEY\r", ""},
	{"KEY zo\xeb \x1b[2J \x01", ""},
	{"KEY me\x00 more", ""},
	{"KEY\x00", ""},
	{"\x00KEY", "NUL"},
	{" \x00\x00\x00", "NUL"},
	{"TYPE\x00 BLOB", "no base64"},
	{"\xef\xbb\xbfKEY", "byte order mark"},
	{"RSA 3072 bits", ""},
	{"SHORTRSA", "767 bits"},
	{"rsa-sha2-512 RSABLOB", ""},
	{"ssh-rsa BLOB", "not the key's type"},
	{"Ssh-Ed25519 BLOB", "options or other words"},
	{"BLOB", "without its type word"},
	{`no-ptyy,command="a,\"b",,from="10.0.0.1/8",nonsense KEY`, `"no-ptyy"; and from=: "10.0.0.1/8" has bits set beyond its mask, because of which sshd refuses every address; and an option that sshd does not know: "nonsense"`},
	{"TYPE", "no base64"},
	{"TYPE CUT", "is truncated"},
	{"TYPE BLOB=", "base64"},
	{"TYPE BLOBAAAA", "glued"},
	{"TYPE KEY", "does not know"},
	{"KEYssh-rsa AAAA", "base64"},
	{"KEY me KEY", ""},
	{"hello KEY", "does not know"},
	{"hello", "not a public key"},
	{"-----BEGIN OPENSSH PRIVATE KEY-----", "private key"},

	{"restrict KEY", ""},
	{"restrict,pty KEY me", ""},
	{"RESTRICT,No-Pty,NO-user-rc KEY", ""},
	{"restrict\tKEY", ""},
	{"restrict   KEY", ""},
	{"restrict, KEY", ""},
	{",,restrict,, KEY", ""},
	{", KEY", ""},
	{"restrict ,pty KEY", "options or other words"},
	{"restrict , KEY", "options or other words"},
	{"no-restrict KEY", "does not know"},
	{"restricted KEY", "does not know"},
	{"no-no-pty KEY", "does not know"},
	{"port-forwarding,no-agent-forwarding,x11-forwarding KEY", ""},
	{"no-touch-required,verify-required,no-verify-required KEY", ""},
	{"hello,restrict KEY", "does not know"},
	{`restrict="yes" KEY`, "does not know"},
	{"cert-authority KEY", "CA"},
	{`cert-authority,principals="pi" KEY`, "CA"},
	{`principals="pi" KEY`, "without cert-authority"},

	{`command="echo a b" KEY`, ""},
	{`command="" KEY`, ""},
	{`COMMAND="a \" b" KEY`, ""},
	{`command="a\b" KEY`, ""},
	{`command="a,b KEY" KEY`, ""},
	{`command="a\\" KEY`, "never closed"},
	{`command="a KEY`, "never closed"},
	{`command=a KEY`, `no '"' before`},
	{`command = "a" KEY`, "options or other words"},
	{`command="a"b KEY`, "does not know"},
	{`command="a",command="a" KEY`, "twice"},
	{`command="a"restrict KEY`, "does not know"},
	{`from="",restrict KEY`, "every address"},
	{`from="*" KEY`, ""},
	{`from="*,!192.0.2.1" KEY`, ""},
	{`from="*,," KEY`, "every address"},
	{`from="*,10.0.0.0/8" KEY`, ""},
	{`from="*,10.0.0.1/8" KEY`, "every address"},
	{`from="*,10.0.0.0/33" KEY`, "every address"},
	{`from="*,2001:db8::/32,::1/128" KEY`, ""},
	{`from="*,2001:db8::1/32" KEY`, "every address"},
	{`from="*,2001:db8::/129" KEY`, ""},
	{`from="*",from="*" KEY`, "twice"},

	{`expiry-time="20990101" KEY`, ""},
	{`expiry-time="209901010000Z" KEY`, ""},
	{`expiry-time="20990101000000utc" KEY`, ""},
	{`expiry-time="20990231",expiry-time="20980101" KEY`, ""},
	{`expiry-time="2099-01-01" KEY`, "expiry-time"},
	{`expiry-time="20991301" KEY`, "expiry-time"},
	{`expiry-time="209901012460" KEY`, "expiry-time"},
	{`expiry-time="90d" KEY`, "expiry-time"},
	{`expiry-time="" KEY`, "expiry-time"},
	{`environment="A_1=x y",environment="A_1=z" KEY`, ""},
	{`environment="A-1=x" KEY`, "environment"},
	{`environment="=x" KEY`, "environment"},
	{`environment="A" KEY`, "environment"},
	{`permitopen="host:22",permitopen="[::1]:*",permitopen=":80",permitopen="h/22" KEY`, ""},
	{`permitopen="host:ssh" KEY`, ""},
	{`permitopen="22" KEY`, "permitopen"},
	{`permitopen="host:0" KEY`, "permitopen"},
	{`permitopen="host:65536" KEY`, "permitopen"},
	{`permitopen="[::1]22" KEY`, "permitopen"},
	{`permitopen="[::1" KEY`, "permitopen"},
	{`permitlisten="8080",permitlisten="localhost:8080",permitlisten="*:*" KEY`, ""},
	{`permitlisten="" KEY`, "permitlisten"},
	{`tunnel="any",tunnel="0" KEY`, ""},
	{`tunnel="-1" KEY`, "tunnel"},
	{`tunnel="2147483646" KEY`, "tunnel"},
}

// fill puts the n-th key in.
func (o oddLine) fill(n int) (line string, used sshkey.Public) {
	k, r := key(n), rsa(3072, n)
	inUse := k
	if strings.Contains(o.line, "SHORTRSA") {
		r = rsa(768, n)
	}
	if strings.Contains(o.line, "RSA") {
		inUse = r
	}
	typ, blob, _ := strings.Cut(k, " ")
	_, rsaBlob, _ := strings.Cut(r, " ")
	cut := blob[:len(blob)-8]
	line = strings.NewReplacer("PRIVATE KEY", "PRIVATE KEY", // stays
		"KEY", k, "TYPE", typ, "CUT", cut, "RSABLOB", rsaBlob, "SHORTRSA", r, "RSA", r, "BLOB", blob).Replace(o.line)
	p, err := sshkey.ParsePublic(inUse)
	if err != nil && !strings.Contains(o.line, "SHORTRSA") {
		panic(err)
	}
	return line, p
}

func TestParseLine(t *testing.T) {
	for n, o := range oddLines {
		line, want := o.fill(n)
		e, ok := ParseLine([]byte(line))
		dead := e.Dead
		if dead == "" && (Entry{Options: e.Options}).has("cert-authority") {
			dead = "CA"
		}
		switch {
		case !ok:
			t.Errorf("%q is taken for a comment", o.line)
		case o.dead == "" && dead != "":
			t.Errorf("%q: dead: %s", o.line, dead)
		case o.dead == "" && !e.Key.Equal(want):
			t.Errorf("%q: another key: %s", o.line, e.Key.Line())
		case o.dead != "" && !strings.Contains(dead, o.dead):
			t.Errorf("%q: dead: %q, want %q", o.line, dead, o.dead)
		}
	}
	for _, line := range []string{"", " \t", "\r", " \r", "#", " # " + key(1), "#\x00"} {
		if e, ok := ParseLine([]byte(line)); ok {
			t.Errorf("%q: %+v", line, e)
		}
	}
}

func TestParseLineKeepsWhatItReads(t *testing.T) {
	line := ` Command="say \"a, b\"",NO-PTY,from="10.0.0.0/8,*.lan" ` + key(1) + "  me  and you \r"
	e, _ := ParseLine([]byte(line))
	want := []Option{{"command", `say "a, b"`}, {"no-pty", ""}, {"from", "10.0.0.0/8,*.lan"}}
	if !slices.Equal(e.Options, want) {
		t.Errorf("options %q, want %q", e.Options, want)
	}
	if e.Key.Line() != key(1)+" me  and you" || e.Dead != "" {
		t.Errorf("%q, %q", e.Key.Line(), e.Dead)
	}
	e, _ = ParseLine([]byte(`restrict,hello ` + key(1)))
	if !slices.Equal(e.Options, []Option{{"restrict", ""}}) || e.Dead == "" || e.Key.Blob == nil {
		t.Errorf("%+v: the key and the options before the fault belong to a dead entry too", e)
	}
	e, _ = ParseLine([]byte(strings.Repeat("a,", 10_000) + "restrict " + key(1)))
	if n := len(e.Dead); n > 1000 || !strings.HasSuffix(e.Dead, "more") || len(e.Options) != 1 {
		t.Errorf("%d bytes say what is wrong with ten thousand options, and %v is read", n, e.Options)
	}
}

// What a newer sshd may know is not dead.
func TestUnknownTypesAreLive(t *testing.T) {
	blob := "\x00\x00\x00\x07ssh-newwhatever"
	line := "ssh-new " + base64.StdEncoding.EncodeToString([]byte(blob)) + " me"
	if e, ok := ParseLine([]byte(line)); !ok || e.Dead != "" || e.Key.Type != "ssh-new" {
		t.Errorf("%+v", e)
	}
}

func TestRestricts(t *testing.T) {
	for options, want := range map[string]bool{
		"": false, "pty ": false, `environment="A=b",no-touch-required `: false,
		"restrict ": true, "no-pty ": true, `from="*" `: true, `command="x" `: true, `expiry-time="20990101" `: true,
		"cert-authority ": true, `permitopen="h:1" `: true, "verify-required ": true, `pty,tunnel="1" `: true,
	} {
		e, _ := ParseLine([]byte(options + key(1)))
		if e.Dead != "" || e.Restricts() != want {
			t.Errorf("%q: %v (%s)", options, e.Restricts(), e.Dead)
		}
	}
}

func TestEntriesAndFind(t *testing.T) {
	data := []byte("# keys\n\n" + key(1) + " a\r\n" + `from="*" ` + key(1) + " b\n" + key(2) + "\nhello\n\n" + "hello " + key(1) + "\n\x00\x00\n" + key(1) + " last")
	var got []string
	for _, e := range Entries(data) {
		got = append(got, fmt.Sprintf("%d %s %t", e.Line, e.Key.Comment, e.Dead == ""))
	}
	want := []string{"3 a true", "4 b true", "5  true", "6  false", "8  false", "9  false", "10 last true"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant\n%q", got, want)
	}
}

func TestAppend(t *testing.T) {
	for _, tt := range []struct {
		data  string
		lines []string
		want  string
	}{
		{"", []string{"a"}, "a\n"},
		{"x\n", []string{"a", "b"}, "x\na\nb\n"},
		{"x", []string{"a"}, "x\na\n"},
		{"x\r", []string{"a"}, "x\r\na\n"},
		{"x\n\x00\x00", []string{"a"}, "x\n\x00\x00\na\n"},
		{"x", nil, "x"},
	} {
		room := append(make([]byte, 0, 100), tt.data...)
		if got := Append(room, tt.lines...); string(got) != tt.want {
			t.Errorf("Append(%q, %q) = %q, want %q", tt.data, tt.lines, got, tt.want)
		}
		if len(bytes.Trim(room[len(room):cap(room)], "\x00")) > 0 {
			t.Errorf("Append(%q, %q) wrote behind its argument", tt.data, tt.lines)
		}
	}
}

// Whatever is in a file stays, byte for byte and entry for entry, and what is
// added is found.
func FuzzAppend(f *testing.F) {
	all := ""
	for n, o := range oddLines {
		line, _ := o.fill(n)
		f.Add([]byte(line))
		all += line + "\n"
	}
	f.Add([]byte(all))
	f.Add([]byte("\xff\xfes\x00s\x00h\x00\n\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := sshkey.ParsePublic(string(data)); err == nil && !strings.Contains(p.Type, "-cert-") {
			if e, ok := ParseLine(bytes.TrimSuffix(data, []byte("\n"))); !ok || e.Dead != "" || !e.Key.Equal(p) {
				t.Fatalf("%q is a public key, but as an entry %+v", data, e)
			}
		}
		before := bytes.Clone(data)
		was := Entries(data)
		added := key(1<<30) + " added"
		after := Append(data, added)
		if !bytes.Equal(data, before) || !bytes.HasPrefix(after, before) {
			t.Fatal("the file has changed")
		}
		if rest := string(after[len(before):]); rest != added+"\n" && rest != "\n"+added+"\n" {
			t.Fatalf("%q was added", rest)
		}
		is := Entries(after)
		if len(is) != len(was)+1 {
			t.Fatalf("%d entries became %d", len(was), len(is))
		}
		for i := range was {
			if fmt.Sprint(was[i]) != fmt.Sprint(is[i]) {
				t.Fatalf("%+v became %+v", was[i], is[i])
			}
			if was[i].Dead == "" && was[i].Key.Blob == nil {
				t.Fatalf("%+v is live without a key", was[i])
			}
		}
		last := is[len(is)-1]
		if last.Dead != "" || last.Key.Line() != added {
			t.Fatalf("%+v", last)
		}
	})
}
