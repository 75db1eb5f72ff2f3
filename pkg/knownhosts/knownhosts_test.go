package knownhosts

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pi-key-tools/pkg/pattern"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// public makes a key of a type from the fields of its blob.
func public(keyType string, fields ...string) sshkey.Public {
	var blob []byte
	for _, f := range append([]string{keyType}, fields...) {
		blob = append(binary.BigEndian.AppendUint32(blob, uint32(len(f))), f...)
	}
	return sshkey.Public{Type: keyType, Blob: blob}
}

func ed(seed string) sshkey.Public { return public("ssh-ed25519", fill(seed, 32)) }

func fill(seed string, n int) string { return strings.Repeat(seed, n)[:n] }

// text is a key as a line has it.
func text(k sshkey.Public) string {
	return k.Type + " " + base64.StdEncoding.EncodeToString(k.Blob)
}

// certificate makes one with a signature that nobody checks here.
func certificate(keyType string, fields ...string) sshkey.Public {
	k := public(keyType, append([]string{"nonce"}, fields...)...)
	k.Blob = append(k.Blob, make([]byte, 8+4)...) // serial, type
	k.Blob = append(k.Blob, make([]byte, 4+4)...) // key id, principals
	k.Blob = append(k.Blob, make([]byte, 8+8)...) // validity
	return sshkey.Public{Type: keyType, Blob: append(k.Blob, make([]byte, 5*4)...)}
}

var (
	edA, edB, edC = ed("a"), ed("b"), ed("c")
	rsaA          = public("ssh-rsa", "\x01\x00\x01", "\x00\xc1"+fill("r", 255))
	ecdsaA        = func() sshkey.Public {
		k, err := ecdh.P256().GenerateKey(rand.Reader)
		if err != nil {
			panic(err)
		}
		return public("ecdsa-sha2-nistp256", "nistp256", string(k.PublicKey().Bytes()))
	}()
	future = public("ssh-tomorrow@example.com", "x")
	salt   = []byte(fill("salt", 20))
)

func TestName(t *testing.T) {
	for _, c := range []struct {
		host string
		port int
		want string
	}{
		{"pi4", 22, "pi4"},
		{"pi4", 0, "pi4"},
		{"Pi4.Local", 2222, "[pi4.local]:2222"},
		{"web.", 22, "web."}, // ssh -G keeps the dot, and ssh looks for it so
		{"fe80::1%eth0", 22, "fe80::1%eth0"},
		{"fe80::1%eth0", 2222, "[fe80::1%eth0]:2222"},
		{"MÜLLER\xff", 22, "mÜller\xff"}, // ASCII only
	} {
		if got := Name(c.host, c.port); got != c.want {
			t.Errorf("Name(%q, %d) = %q, want %q", c.host, c.port, got, c.want)
		}
	}
}

// corpus is lines that ssh-keygen and we must read alike, and names to ask for.
func corpus() (lines, names []string) {
	a, b := text(edA), text(edB)
	hashed := func(name string) string { return hashName(name, salt) }
	long := strings.Repeat("x", 1022)
	lines = []string{
		"# comment " + a,
		"# " + a,
		"",
		"  \t ",
		"plain " + a,
		"plain " + b + " a comment",
		"  \tindented " + a,
		"tabs\t" + strings.ReplaceAll(a, " ", "\t") + "\tcomment",
		"two  \t " + strings.ReplaceAll(a, " ", " \t ") + "   spaces ",
		"UPPER,MiXeD " + a,
		"one,two,three " + text(rsaA),
		"one,,three, " + text(ecdsaA),
		"*.ex " + a,
		"[*.ex]:2222 " + a,
		"[*]:* " + b,
		"*.ex:2222 " + a,
		"10.0.?.1? " + a,
		"*.neg.net,!bad.neg.net " + a,
		"!bad.neg.net,*.neg.net " + b,
		"!first.neg.net " + a,
		"!!x.net,*.net " + a,
		"!,star* " + a,
		"**a**b?c** " + a,
		"a*a*a*a*a*a*a*a*b " + a,
		long + ",edge " + a,
		long + "x,edge " + b,
		"edge," + long + "x " + b,
		"!edge," + long + "x " + b,
		"[h]:22 " + a,
		"[h]:2222,h " + a,
		"::1,fe80::1%eth0,2001:DB8::1 " + a,
		hashed("plain") + " " + a,
		hashed("[h]:2222") + " " + a,
		hashed("upper") + " " + a,
		hashed("one") + ",one " + a,
		strings.Replace(hashed("one"), "|1|", "|2|", 1) + " " + a,
		"|1|" + base64.StdEncoding.EncodeToString([]byte("short")) + "|x " + a,
		"|1|!!!|x " + a,
		spareBits(hashed("plain")) + " " + a,
		hashName("plain", salt[:19]) + " " + a,
		"|1| " + a, "|1|| " + a, "| " + a, "|1 " + a,
		"@cert-authority *.ex,plain " + a,
		"@revoked plain " + b,
		"@revoked\tplain " + b,
		"@revoked " + "\tplain\t" + b,
		"@revoked\tplain\t" + strings.ReplaceAll(b, " ", "\t"),
		"@revoked @revoked plain " + b,
		"@revoked @revoked " + b,
		"@cert-authority @revoked plain " + b,
		"@unknown plain " + a,
		"@ plain " + a,
		"@REVOKED plain " + a,
		"@revoked", "@revoked ", "@revoked plain", "@revoked plain ",
		"plain",
		"plain ",
		"plain ssh-ed25519",
		"plain ssh-ed25519 ",
		"plain # " + a,
		"plain #",
		"plain 1024 35 135791357913579",
		"plain ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
		"plain ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA==",
		"plain ssh-rsa " + strings.Fields(a)[1],
		"plain ED25519 " + strings.Fields(a)[1],
		"plain rsa-sha2-512 " + strings.Fields(text(rsaA))[1],
		"plain rsa-sha2-256 " + strings.Fields(text(rsaA))[1],
		"plain webauthn-sk-ecdsa-sha2-nistp256@openssh.com " + strings.Fields(text(ecdsaA))[1],
		"plain from=\"x\" " + a,
		a,
		"plain " + a + " comment with \x1b[2J and \xff",
		"plain " + a + "\r",
		"plain " + a + " comment\r",
		"plain\r",
		"\r",
		"plain " + a + "\x00rubbish",
		strings.Repeat("\x00", 93),
		strings.Repeat("\x00", 93) + "plain " + a,
		"plain " + a[:20] + "\x00" + a[20:],
		"plain " + a + " " + strings.Repeat("long ", 40000),
		"\ufeffplain " + a,
		"caf\xc3\x89,\xff\xfe " + a,
		"last,plain " + b, // without a newline
	}
	names = []string{
		"plain", "indented", "tabs", "two", "upper", "mixed", "one", "three", "", "x.ex", "ex", ".ex",
		"[x.ex]:2222", "[x.ex]:2223", "[plain]:2222", "x.ex:2222", "10.0.1.12", "10.0.1.1", "good.neg.net",
		"bad.neg.net", "first.neg.net", "x.net", "!x.net", "starfish", "aXbc", "axxbxc", "ab0c", "aaaaaaaaaaaaab",
		"aaaaaaaaaaaaaa", "edge", long, long + "x", "[h]:22", "h", "[h]:2222", "::1", "fe80::1%eth0", "2001:db8::1",
		"last", "@revoked", "caf\xc3\x89", "\xff\xfe", "ssh-ed25519", "PLAIN", "Plain.", "*", "?", "#", "plain,two",
	}
	return lines, names
}

// ssh-keygen -l -F is asked of each name. Different on purpose, and so not in
// this corpus:
//   - a well-formed key of a type that ssh-keygen does not know (TestLookup);
//   - a key of a known type with fields that are wrong, such as an ed25519 key
//     of 31 bytes: keys are opaque here, and no host can show that one;
//   - a name in upper case matches hashed lines too, as in ssh, which lowers
//     it first; ssh-keygen -F does not;
//   - base64 broken up by CR, VT or FF, which ssh reads.
func TestLookupAgainstSSHKeygen(t *testing.T) {
	lines, names := corpus()
	path := filepath.Join(t.TempDir(), "known_hosts")
	data := []byte(strings.Join(lines, "\n"))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	hits := 0
	for _, name := range names {
		got, want := found(path, data, name), foundBy(t, path, name)
		hits += len(got)
		if name == "PLAIN" { // the hashed line
			got = slices.DeleteFunc(got, func(s string) bool { n, _ := strconv.Atoi(s); return n > 0 && lines[n-1][0] == '|' })
		}
		if !slices.Equal(got, want) {
			t.Errorf("%.60q: lines %q, ssh-keygen has %q", name, got, want)
		}
	}
	if hits < 60 {
		t.Errorf("only %d lines were found: the corpus says little", hits)
	}
}

// foundBy are the lines that ssh-keygen finds in a file for a name, and what they
// are marked as.
func foundBy(t *testing.T, path, name string) (found []string) {
	t.Helper()
	// It fails with "not found" in its status, which is empty output too.
	out, _ := sshtest.Command(t, t.TempDir(), "ssh-keygen", "-l", "-F", name, "-f", path).Output()
	for l := range strings.Lines(string(out)) {
		if after, ok := strings.CutPrefix(l, "# Host "+name+" found: line "); ok {
			found = append(found, strings.TrimSpace(after))
		}
	}
	return found
}

// found are those that we find.
func found(path string, data []byte, name string) (found []string) {
	for _, l := range LookupOnce(File{path, data}, name) {
		found = append(found, strconv.Itoa(l.Number)+map[string]string{MarkerCA: " CA", MarkerRevoked: " REVOKED"}[l.Marker])
	}
	return found
}

// Lines put together from pieces that meet each other.
func TestGeneratedAgainstSSHKeygen(t *testing.T) {
	t.Parallel()
	random := mathrand.New(mathrand.NewPCG(9, 2))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	hosts := func() string {
		var list []string
		for range 1 + random.IntN(4) {
			list = append(list, pick("", "", "", "!")+pick("pi", "PI", "web", "*", "?i", "p*", "*.local", "pi.local", "10.0.0.1", "10.0.*", "[pi]:22", "[pi]:2222",
				"[*]:2222", "[10.0.0.?]:*", "::1", "[::1]:2222", "fe80::1%eth0", "", "!", "[pi]", "pi:2222", "a b", "[pi]:", `p\i`, `\*`, "pi.", "**", "h\u00e9", "%", "[p?]:22*"))
		}
		return strings.Join(list, pick(",", ",", ",", ", ", ",,", " ,"))
	}
	key := func() string {
		whole := pick(text(edA), text(edB), text(rsaA), text(ecdsaA))
		kind, blob, _ := strings.Cut(whole, " ")
		return pick(whole, whole, whole, whole, kind, blob, kind+"  "+blob, kind+"\t"+blob+" c o m # ment", kind+" "+blob[:len(blob)-3], "ssh-dss "+blob, whole+"=",
			whole+"\r", whole+"#x", "2048 35 123456789", strings.ToUpper(kind)+" "+blob, whole+" "+text(edB), kind+" "+blob[:20]+" "+blob[20:], `"`+kind+`" `+blob)
	}
	hits := 0
	for range 3 {
		var lines []string
		for range 150 {
			lines = append(lines, pick("", "", "", "", " ", "\t", "  \t")+
				pick("", "", "", "", "@revoked ", "@cert-authority ", "@revoked\t", "@REVOKED ", "@cert-authority", "@ ", "@x ", "# ", "#")+hosts()+pick(" ", "\t", "  ", "")+key())
		}
		path := filepath.Join(t.TempDir(), "known_hosts")
		data := []byte(strings.Join(lines, pick("\n", "\n", "\r\n")))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"pi", "PI", "Pi", "web", "pi.local", "10.0.0.1", "10.0.0.2", "[pi]:22", "[pi]:2222", "[10.0.0.1]:2222", "::1", "[::1]:2222",
			"fe80::1%eth0", "a", "b", "pi.", "*", "?i", "!pi", "[pi]", "pi:2222", "h\u00e9", "%", "other.local", ".local", "p", `\*`, `p\i`, "[pi]:", "[web]:2222", "zi"} {
			got, want := found(path, data, name), foundBy(t, path, name)
			hits += len(got)
			if !slices.Equal(got, want) {
				t.Errorf("%q: lines %q, ssh-keygen has %q", name, got, want)
			}
		}
		if t.Failed() {
			t.Logf("%q", data)
		}
	}
	if hits < 200 {
		t.Errorf("only %d lines were found: the lines say little", hits)
	}
}

func TestLookup(t *testing.T) {
	data := "pi " + text(future) + "\npi,PI " + text(edA) + " its comment\r\n@revoked p? " + text(edB)
	a := edA
	a.Comment = "its comment"
	want := []Line{{"one", 1, "", future}, {"one", 2, "", a}, {"one", 3, MarkerRevoked, edB}}
	if got := LookupOnce(File{"one", []byte(data)}, "PI"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestJudge(t *testing.T) {
	edCert := certificate("ssh-ed25519-cert-v01@openssh.com", fill("a", 32)) // of edA
	skCert := certificate("sk-ecdsa-sha2-nistp256-cert-v01@openssh.com", "nistp256", "\x04"+fill("p", 64), "ssh:")
	skPlain := public("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", "\x04"+fill("p", 64), "ssh:")
	torn := public("ssh-ed25519-cert-v01@openssh.com", "nonce")
	none := sshkey.Public{}
	for _, c := range []struct {
		what    string
		lines   string
		key, ca sshkey.Public
		want    Status
		numbers []int
	}{
		{"nothing", "", edA, none, Unknown, nil},
		{"another host", "other " + text(edB), edA, none, Unknown, nil},
		{"the key", "h " + text(edB) + "\nh " + text(edA), edA, none, Known, []int{2}},
		{"another key", "h " + text(edB) + "\nh " + text(rsaA), edA, none, Changed, []int{1, 2}},
		{"another type only", "h " + text(rsaA), edA, none, Changed, []int{1}},
		{"an unknown type only", "h " + text(future), edA, none, Changed, []int{1}},
		{"revoked", "h " + text(edA) + "\n@revoked * " + text(edA), edA, none, Revoked, []int{2}},
		{"revoked elsewhere", "h " + text(edA) + "\n@revoked other " + text(edA), edA, none, Known, []int{1}},
		{"another key revoked", "@revoked h " + text(edB), edA, none, Unknown, nil},
		{"a CA's own key as host key", "@cert-authority h " + text(edA), edA, none, Unknown, nil},
		{"signed", "@cert-authority h " + text(edC), edCert, edC, Known, []int{1}},
		{"signed by another", "@cert-authority h " + text(edB), edCert, edC, Unknown, nil},
		{"signed by another, key changed", "@cert-authority h " + text(edB) + "\nh " + text(rsaA), edCert, edC, Changed, []int{2}},
		{"signed by a plain host key", "h " + text(edC), edCert, edC, Changed, []int{1}},
		{"signed by another, the key inside on file", "@cert-authority h " + text(edB) + "\nh " + text(edA), edCert, edC, Known, []int{2}},
		{"signed, known twice", "h " + text(edA) + "\n@cert-authority h " + text(edC), edCert, edC, Known, []int{2}},
		{"signed, shown as the key inside", "@cert-authority h " + text(edC), edA, edC, Known, []int{1}},
		{"signed, CA revoked", "@cert-authority h " + text(edC) + "\n@revoked h " + text(edC), edCert, edC, Revoked, []int{2}},
		{"signed, key revoked", "@cert-authority h " + text(edC) + "\n@revoked h " + text(edA), edCert, edC, Revoked, []int{2}},
		{"signed, certificate revoked", "@cert-authority h " + text(edC) + "\n@revoked h " + text(edCert), edCert, edC, Revoked, []int{2}},
		{"plain, certificate of it revoked", "h " + text(edA) + "\n@revoked h " + text(edCert), edA, none, Revoked, []int{2}},
		{"sk, key revoked", "@cert-authority h " + text(edC) + "\n@revoked h " + text(skPlain), skCert, edC, Revoked, []int{2}},
		{"the key inside, revoked", "@cert-authority h " + text(edC) + "\n@revoked h " + text(edA), edA, edC, Revoked, []int{2}},
		{"not valid", "@cert-authority h " + text(edC), edCert, none, Unknown, nil},
		{"not valid, the key inside on file", "@cert-authority h " + text(edC) + "\nh " + text(edA), edCert, none, Known, []int{2}},
		{"a torn certificate", "@revoked h " + text(edA) + "\n@cert-authority h " + text(edC), torn, edC, Known, []int{2}},
		{"a CA as plain key, revoked as CA", "@revoked h " + text(edC), edC, none, Revoked, []int{1}},
	} {
		status, by := Judge(LookupOnce(File{Data: []byte(c.lines)}, "h"), c.key, c.ca)
		var numbers []int
		for _, l := range by {
			numbers = append(numbers, l.Number)
		}
		if status != c.want || !slices.Equal(numbers, c.numbers) {
			t.Errorf("%s: got %d by lines %v, want %d by %v", c.what, status, numbers, c.want, c.numbers)
		}
	}
}

// The lists that ssh itself makes: it tells the order with -vvv once a server
// has sent its version, and a word is all that this one says.
func TestAlgorithmsAgainstSSH(t *testing.T) {
	out, err := sshtest.Command(t, t.TempDir(), "ssh", "-G", "-F", "none", "h").Output()
	if err != nil {
		t.Fatal(err)
	}
	var defaults []string
	for l := range strings.Lines(string(out)) {
		if list, ok := strings.CutPrefix(l, "hostkeyalgorithms "); ok {
			defaults = strings.Split(strings.TrimSpace(list), ",")
		}
	}
	if len(defaults) < 5 {
		t.Fatalf("ssh -G says hostkeyalgorithms %q", defaults)
	}
	path := filepath.Join(t.TempDir(), "known_hosts")
	for what, file := range map[string]string{
		"nothing":          "",
		"ed25519":          "h " + text(edA),
		"rsa":              "h " + text(rsaA),
		"ecdsa":            "h " + text(ecdsaA),
		"rsa and ecdsa":    "h " + text(rsaA) + "\nh " + text(ecdsaA),
		"CA":               "@cert-authority * " + text(edC),
		"CA and rsa":       "@cert-authority * " + text(edC) + "\nh " + text(rsaA),
		"revoked":          "@revoked h " + text(rsaA),
		"rsa, revoked":     "h " + text(rsaA) + "\n@revoked h " + text(rsaA),
		"ed25519, revoked": "h " + text(edA) + "\n@revoked h " + text(edA) + "\nh " + text(rsaA),
		"elsewhere":        "other " + text(rsaA),
	} {
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		// It fails once its offer is read: there is no server.
		said, _ := sshtest.Command(t, t.TempDir(), "ssh", "-vvv", "-F", "none", "-o", "GlobalKnownHostsFile=none",
			"-o", "UserKnownHostsFile="+path, "-o", "IdentityFile=none",
			"-o", "ProxyCommand=sh -c 'echo SSH-2.0-word; head -c 500 >/dev/null'", "h").CombinedOutput()
		want := ""
		for l := range strings.Lines(string(said)) {
			_, list, ok := strings.Cut(l, "prefer hostkeyalgs: ")
			switch {
			case ok:
				want = strings.TrimSpace(list)
			case strings.Contains(l, "using HostkeyAlgorithms verbatim"), strings.Contains(l, "no algorithms matched"):
				want = "as they are"
			}
		}
		got := Algorithms(LookupOnce(File{Data: []byte(file)}, "h"), defaults)
		sorted := func(s []string) []string { s = slices.Clone(s); slices.Sort(s); return s }
		switch {
		case want == "":
			t.Fatalf("%s: ssh does not tell its order:\n%s", what, said)
		case want == "as they are" && !slices.Equal(got, defaults),
			want != "as they are" && !strings.HasPrefix(strings.Join(got, ",")+",", want+","):
			t.Errorf("%s:\n got %q\nwant %s", what, got, want)
		case !slices.Equal(sorted(got), sorted(defaults)):
			t.Errorf("%s: got %q, not the algorithms of %q", what, got, defaults)
		}
	}
	if got := Algorithms(nil, nil); len(got) != 0 {
		t.Errorf("of no algorithms there are %q", got)
	}
}

func TestAdd(t *testing.T) {
	a, b := text(edA), text(edB)
	for _, c := range []struct {
		what, data, name string
		hash             bool
		want             string
	}{
		{"empty file", "", "H", false, "h " + b + "\n"},
		{"no final newline", "x " + a, "h", false, "x " + a + "\nh " + b + "\n"},
		{"CRLF and NULs stay", "x " + a + "\r\n\x00\x00", "h", false, "x " + a + "\r\n\x00\x00\nh " + b + "\n"},
		{"hashed", "", "[h]:2222", true, hashName("[h]:2222", salt) + " " + b + "\n"},
		{"IPv6", "", "fe80::1%eth0", false, "fe80::1%eth0 " + b + "\n"},
		{"IPv6 and a port", "", "[::1]:2222", false, "[::1]:2222 " + b + "\n"},
	} {
		if got := Add([]byte(c.data), c.name, edB, c.hash, func() []byte { return salt }); string(got) != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.what, got, c.want)
		}
	}
	for _, name := range []string{"*", "a,b", "!a", "a b", "a\nb", "|1|x|y", "#a", "", "[]:22", "[a]:x", "@revoked", "a\x00", "a\x7f", "[a]:", "a]:22", strings.Repeat("a", 1000)} {
		if got := Add(nil, name, edB, false, nil); len(got) > 0 {
			t.Errorf("%q is syntax and no name: %q", name, got)
		}
	}
}

func TestReplace(t *testing.T) {
	a, b := text(edA), text(edB)
	news := "h " + b + "\n[h]:2222 " + b + "\n"
	replace := func(data []byte) []byte {
		for _, name := range []string{"h", "[h]:2222"} {
			data = Replace(data, name, edB, false, func() []byte { return salt })
		}
		return data
	}
	for _, c := range []struct{ what, data, want string }{
		{"empty file", "", news},
		{"gone", "h " + a + "\n[h]:2222 " + text(rsaA) + " c\n", news},
		{"other names of the line stay", " \tx,H,y \t" + a + " c \r\n", " \tx,y \t" + a + " c \r\n" + news},
		{"both names of one line", "x,h,[H]:2222 " + a + "\n", "x " + a + "\n" + news},
		{"the only names of one line", "h,[h]:2222,h " + a + "\n", news},
		{"only negation would be left", "h,!x " + a + "\n", news},
		{"hashed", hashName("h", salt) + " " + a + "\n" + hashName("x", salt) + " " + a + "\n", hashName("x", salt) + " " + a + "\n" + news},
		{"markers stay", "@cert-authority h " + a + "\n@revoked h " + a + "\n", "@cert-authority h " + a + "\n@revoked h " + a + "\n" + news},
		{"a wildcard stays for others", "* " + a + "\n", "*,!h,!" + "[h]:2222 " + a + "\n" + news},
		{"a name and a wildcard", "h,h* " + a + "\n", "h*,!h " + a + "\n" + news},
		{"negated already", "!h,![h]:2222,* " + a + "\n", "!h,![h]:2222,* " + a + "\n" + news},
		{"what cannot be read stays", "h 1024 35 1\nh\n#h " + a + "\n\x00\nh ssh-ed25519 AAAA\n", "h 1024 35 1\nh\n#h " + a + "\n\x00\nh ssh-ed25519 AAAA\n" + news},
		{"an unknown type goes", "h " + text(future) + "\n", news},
		{"no final newline", "x " + a, "x " + a + "\n" + news},
		{"nothing to do", "h " + b + " c\r\n[h]:2222,x " + b, "h " + b + " c\r\n[h]:2222,x " + b},
		{"there, hashed", hashName("h", salt) + " " + b + "\n[h]:2222 " + b, hashName("h", salt) + " " + b + "\n[h]:2222 " + b},
		{"there, but as what is not for the host's key", "@cert-authority h " + b + "\n@revoked * " + b + "\n", "@cert-authority h " + b + "\n@revoked * " + b + "\n" + news},
		{"an empty name", "h,,[h]:2222 " + a + "\n", news},
		{"a hash that ssh takes for another stays", spareBits(hashName("h", salt)) + " " + a + "\n", spareBits(hashName("h", salt)) + " " + a + "\n" + news},
		{"half there", "h " + b + "\n[h]:2222 " + a, "h " + b + "\n[h]:2222 " + b + "\n"},
	} {
		got := replace([]byte(c.data))
		if string(got) != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.what, got, c.want)
		}
		if again := replace(got); !bytes.Equal(again, got) {
			t.Errorf("%s: once more gives %q", c.what, again)
		}
	}
}

// spareBits returns the hash of a name in another spelling of its base64.
func spareBits(hash string) string {
	const base64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := len(hash) - len("=") - 1
	return hash[:last] + string(base64[strings.IndexByte(base64, hash[last])^1]) + "="
}

// A pattern is no name: what it matches is not taken out.
func TestReplacePattern(t *testing.T) {
	data := "*.local " + text(edA) + "\nx " + text(edA)
	if got := Replace([]byte(data), "*.local", edB, false, nil); string(got) != data {
		t.Errorf("got %q", got)
	}
}

// What Add hashes, ssh-keygen finds.
func TestHashedLineIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	var data []byte
	names := []string{"pi4.local", "[pi4.local]:2222"}
	for _, name := range names {
		data = Add(data, name, edA, true, func() []byte {
			b := make([]byte, 20)
			rand.Read(b)
			return b
		})
	}
	if bytes.Contains(data, []byte("pi4")) {
		t.Errorf("%q names the host", data)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		out := sshtest.Keygen(t, "-F", name, "-f", path)
		if want := fmt.Sprintf("found: line %d", i+1); !strings.Contains(out, want) {
			t.Errorf("%s: %q, want %q", name, out, want)
		}
	}
}

// Nothing panics; an edit changes what the file says of the names and nothing
// of what it says of others; lines that do not match stay as they are.
func FuzzEdit(f *testing.F) {
	lines, names := corpus()
	for i, l := range lines {
		if len(l) < 5000 {
			f.Add(l+"\n"+lines[(i+7)%len(lines)], names[i%len(names)], i%2 == 0)
		}
	}
	f.Add("*,!other "+text(edA)+"\r\nhost "+text(edA), "host", false)
	f.Fuzz(func(t *testing.T, data, name string, hash bool) {
		name = pattern.Lower(name)
		say := func(data []byte, name string) (plain, marked []string) {
			for _, l := range LookupOnce(File{Data: data}, name) {
				if l.Marker == "" {
					plain = append(plain, text(l.Key))
				} else {
					marked = append(marked, l.Marker+" "+text(l.Key))
				}
			}
			return plain, marked
		}
		add := Add([]byte(data), name, edC, hash, func() []byte { return salt })
		if !bytes.HasPrefix(add, []byte(data)) {
			t.Errorf("Add changed %q to %q", data, add)
		}
		rep := Replace([]byte(data), name, edC, hash, func() []byte { return salt })

		was, wasMarked := say([]byte(data), name)
		for what, got := range map[string][]byte{"Add": add, "Replace": rep} {
			now, marked := say(got, name)
			switch {
			case !slices.Equal(marked, wasMarked):
				t.Errorf("%s of %q: marked lines %q, were %q", what, name, marked, wasMarked)
			case !writable(name):
				if string(got) != data {
					t.Errorf("%s of %q wrote %q", what, name, got)
				}
			case !slices.Contains(now, text(edC)):
				t.Errorf("%s of %q: the key is not there: %q", what, name, got)
			case what == "Add" && !slices.Equal(slices.DeleteFunc(now, func(k string) bool { return k == text(edC) }),
				slices.DeleteFunc(was, func(k string) bool { return k == text(edC) })):
				t.Errorf("Add of %q: keys %q, were %q", name, now, was)
			case what == "Replace" && slices.ContainsFunc(now, func(k string) bool { return k != text(edC) }):
				t.Errorf("Replace of %q: old keys are there: %q", name, got)
			}
			for _, other := range []string{"other", "plain", "x.ex", "[x.ex]:2222", "good.neg.net", "one"} {
				if other == name {
					continue
				}
				was, wasMarked := say([]byte(data), other)
				if now, marked := say(got, other); !slices.Equal(now, was) || !slices.Equal(marked, wasMarked) {
					t.Errorf("%s of %q: %s has %q %q, had %q %q\n%q\n%q", what, name, other, now, marked, was, wasMarked, data, got)
				}
			}
		}
		// Every line that does not speak of the name is there, in order.
		rest := string(rep)
		for l := range strings.Lines(data) {
			if len(LookupOnce(File{Data: []byte(l)}, name)) > 0 {
				continue
			}
			_, after, ok := strings.Cut(rest, strings.TrimSuffix(l, "\n")+"\n")
			if !ok && !strings.HasSuffix(rest, l) {
				t.Fatalf("Replace of %q lost the line %q: %q", name, l, rep)
			}
			rest = after
		}
	})
}
