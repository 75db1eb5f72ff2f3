package destination

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode"
)

var taken = []struct {
	s    string
	want Destination
}{
	{"pi", Destination{"", "pi", 0}},
	{"pi@raspberrypi.local", Destination{"pi", "raspberrypi.local", 0}},
	{"pi@raspberrypi.local:2222", Destination{"pi", "raspberrypi.local", 2222}},
	{"192.0.2.7:22", Destination{"", "192.0.2.7", 22}},
	{"Pi_4-b.lan.", Destination{"", "Pi_4-b.lan.", 0}},
	{"_pi", Destination{"", "_pi", 0}},
	{"küche.local", Destination{"", "küche.local", 0}},
	{"pi-1+2", Destination{"", "pi-1+2", 0}},
	{"::1", Destination{"", "::1", 0}},
	{"fe80::1%eth0", Destination{"", "fe80::1%eth0", 0}},
	{"pi@fe80::1%wlan0.2", Destination{"pi", "fe80::1%wlan0.2", 0}},
	{"[fe80::1%eth0]:22", Destination{"", "fe80::1%eth0", 22}},
	{"pi@[2001:db8::1]", Destination{"pi", "2001:db8::1", 0}},
	{"[pi.local]:2222", Destination{"", "pi.local", 2222}}, // as known_hosts writes it
	{"::ffff:192.0.2.1", Destination{"", "::ffff:192.0.2.1", 0}},
	{"ssh://pi.local", Destination{"", "pi.local", 0}},
	{"ssh://pi@pi.local:22/", Destination{"pi", "pi.local", 22}},
	{"ssh://pi@[fe80::1%eth0]:22", Destination{"pi", "fe80::1%eth0", 22}},
	{`LAB\pi@host`, Destination{`LAB\pi`, "host", 0}},
	{"a@b@host", Destination{"a@b", "host", 0}},
	{"first last@host", Destination{"first last", "host", 0}},
	{"pi%2@host", Destination{"pi%2", "host", 0}},
	{"zoë@host", Destination{"zoë", "host", 0}},
	{"host:00022", Destination{"", "host", 22}},
}

func TestParseTakes(t *testing.T) {
	for _, tt := range taken {
		got, err := Parse(tt.s)
		if err != nil || got != tt.want {
			t.Errorf("Parse(%q) = %+v, %v, want %+v", tt.s, got, err, tt.want)
		}
		if again, err := Parse(got.String()); err != nil || again != got {
			t.Errorf("%q: String gives %q, which is %+v, %v", tt.s, got, again, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ s, want string }{
		{"", `target "": empty`},
		{"-", "this machine"},
		{"-oProxyCommand=x", "as an option does"},
		{"pi@-oProxyCommand=x", "as an option does"},
		{"ssh://-x", "as an option does"},
		{"[-x]:22", "as an option does"},
		{"-l@host", "as an option does"},
		{"ssh://-l@host", "as an option does"},
		{"@host", "no user"},
		{"pi@", "no host"},
		{":22", "no host"},
		{"[]:22", "no host"},
		{"ssh://", "no host"},
		{"ssh:///", "no host"},
		{"host:", "a port is"},
		{"host:0", "a port is"},
		{"host:65536", "a port is"},
		{"host:ssh", "a port is"},
		{"host:+22", "a port is"},
		{"host: 22", "a port is"},
		{"[::1]22", "may follow"},
		{"[kitchen]", "like the group of an inventory"},
		{"[::1", "without its ']'"},
		{"[::1]:22:23", "a port is"},
		{"a:b:c", "neither an IPv6 address nor host:port"},
		{"host:22:33", "neither"},
		{"1:2:3:4:5:6:7:8:9", "neither"},
		{"1::2::3", "neither"},
		{"::12345", "neither"},
		{"::1%", "neither"},
		{"::1%a b", "in the host name"},
		{"a,b", `','`}, {"*", `'*'`}, {"a?", `'?'`}, {"!a", `'!'`}, {"a b", `' '`}, {"a/b", `'/'`}, {"$a", `'$'`},
		{"a%h", `'%'`}, {"a'b", "a ''' in"}, {`a"b`, `'"'`}, {"a`b", "'`'"}, {"a;b", `';'`}, {"a|b", `'|'`},
		{"a\\b", `a '\' in`}, {"#a", `'#'`}, {"~a", `'~'`}, {"a(b)", `'('`}, {"a<b", `'<'`}, {"a&b", `'&'`},
		{"a\x00b", "control"}, {"a\nb", "control"}, {"a\x1b[2Jb", "control"}, {"a\u009bb", "control"},
		{"a\xffb", "not UTF-8"}, {"a\u202eb", "a U+202E in"}, {"a\u00a0b", "a U+00A0 in"}, {"a☃b", "a '☃' in"},
		{"pi\n@host", "control byte in the user"}, {"p;i@host", "in the user name"}, {"p$(x)@host", "in the user name"},
		{"p`x`@host", "in the user name"}, {"p -l@host", "blank and '-'"}, {`pi\@host`, "at the end"},
		{"ssh://pi@host/path", "a path"}, {"ssh://pi@host:22/a@b", "a path"}, {"ssh://pi@host//", "a path"},
		{"ssh://p%69@host", "percent"}, {"ssh://p%69@[::1%eth0]", "percent"}, {"ssh://[fe80::1%25eth0]", "percent"},
		{"SSH://host", "a port is"}, {"sftp://host", "a port is"}, {"http://host", "a port is"},
		{strings.Repeat("a", 256), "more than 255"},
	} {
		d, err := Parse(tt.s)
		switch {
		case err == nil:
			t.Errorf("Parse(%q) = %+v, want an error with %q", tt.s, d, tt.want)
		case d != Destination{}:
			t.Errorf("Parse(%q) = %+v beside its error", tt.s, d)
		case !strings.HasPrefix(err.Error(), "target ") || !strings.Contains(err.Error(), tt.want):
			t.Errorf("Parse(%q): %v, want %q", tt.s, err, tt.want)
		}
	}
	for _, s := range []string{"pi:hunter2@host", "ssh://pi:hunter2@host", "ssh://pi:hunter2@host/"} {
		if _, err := Parse(s); err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "password") {
			t.Errorf("Parse(%q): %v", s, err)
		}
	}
	if _, err := Parse("," + strings.Repeat("a\x1b", 1<<20)); len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

// What Parse takes, ssh takes, and understands the same.
func TestParseAgreesWithSSH(t *testing.T) {
	if _, err := exec.LookPath("ssh"); err != nil {
		if os.Getenv("PIKEY_TEST_REQUIRE") == "1" {
			t.Fatal("ssh is not installed")
		}
		t.Skip("ssh is not installed")
	}
	for _, tt := range taken {
		d := tt.want
		args := []string{"-F", "none", "-G"}
		if d.User != "" {
			args = append(args, "-l", d.User)
		}
		if d.Port != 0 {
			args = append(args, "-p", fmt.Sprint(d.Port))
		}
		cmd := exec.Command("ssh", append(args, "--", d.Host)...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%q: ssh -G: %v", tt.s, err)
			continue
		}
		lines := strings.Split(string(out), "\n")
		want := []string{"hostname " + strings.ToLower(d.Host)}
		if d.User != "" {
			want = append(want, "user "+d.User)
		}
		if d.Port != 0 {
			want = append(want, fmt.Sprint("port ", d.Port))
		}
		for _, w := range want {
			if !slices.Contains(lines, w) {
				t.Errorf("%q: ssh -G says nothing of %q", tt.s, w)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range taken {
		f.Add(tt.s)
	}
	for _, s := range []string{"a,b", "1::2:3:4:5:6:7:8", "::1.2.3.4", "pi\x1b@h", "ssh://a;b@h", "0:0:0:0:0:0:1.2.3.4", "1:2:3:4:5:6:7::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			if strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%q: error %q", s, err)
			}
			return
		}
		if d.Host == "" || d.Host[0] == '-' || strings.ContainsAny(d.Host, "\x00 \t\n'\"`,*?!@/$\\#") {
			t.Errorf("%q: host %q", s, d.Host)
		}
		if strings.ContainsFunc(d.User, func(r rune) bool { return r < ' ' }) || strings.HasPrefix(d.User, "-") {
			t.Errorf("%q: user %q", s, d.User)
		}
		if again, err := Parse(d.String()); err != nil || again != d {
			t.Errorf("%q: %+v became %q, %+v, %v", s, d, d, again, err)
		}
		if strings.Contains(d.Host, ":") {
			if _, err := netip.ParseAddr(d.Host); err != nil {
				t.Errorf("%q: netip: %v", s, err)
			}
		}
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" && (d.Host != s || d.Port != 0) {
			t.Errorf("%q is an address, and became %+v", s, d)
		}
	})
}

func collect(r io.Reader) (got []string, err error) {
	for line, e := range Lines(r) {
		if e != nil {
			return got, e
		}
		s := fmt.Sprintf("%d %.20s %v", line.Number, line.Text, line.Destination)
		if line.Err != nil {
			s = fmt.Sprintf("%d %.20s !", line.Number, line.Text)
		}
		got = append(got, s)
	}
	return got, nil
}

func TestLines(t *testing.T) {
	long := strings.Repeat("a", maxLine)
	for name, tt := range map[string]struct {
		list string
		want []string
	}{
		"empty":                   {"", nil},
		"blanks":                  {"\n \n\t\n\r\n# a\n  # b\n", nil},
		"plain":                   {"pi@a\n\n# c\n  b:22 the one upstairs\nc\tok\n", []string{"1 pi@a pi@a", "4 b:22 b:22", "5 c c"}},
		"ends without a newline":  {"a\nb", []string{"1 a a", "2 b b"}},
		"CR LF and a BOM":         {"\ufeffa\r\nb\r\n", []string{"1 a a", "2 b b"}},
		"a BOM before a comment":  {"\ufeff# a\nb\n", []string{"2 b b"}},
		"records":                 {"pi@a\tok\tlogin\tSHA256:x\tin\nb\tfail\ttimeout\t-\t30 s\n", []string{"1 pi@a pi@a", "2 b b"}},
		"JSON":                    {`{"v":1,"target":"pi@a","verdict":"ok"}` + "\r\n  " + `{"target":"b"}`, []string{"1 pi@a pi@a", "2 b b"}},
		"broken JSON":             {"{\"target\":\nb\n{}\n", []string{"1 {\"target\": !", "2 b b", "3 {} !"}},
		"what is no target":       {"a\n-oX=y\na,b\n-\tok\tkey\n\x1b[2J\nb\n", []string{"1 a a", "2 -oX=y !", "3 a,b !", "4 - !", "5 \x1b[2J !", "6 b b"}},
		"escaped, as in a record": {`fe80::1\x25eth0` + "\n", []string{"1 fe80::1%eth0 fe80::1%eth0"}},
		"a line too long":         {"a\n" + long + long + "\nb\n", []string{"1 a a", "2 aaaaaaaaaaaaaaaaaaaa !", "3 b b"}},
		"the last line too long":  {"a\n" + long + long, []string{"1 a a", "2 aaaaaaaaaaaaaaaaaaaa !"}},
		"UTF-16":                  {"\xff\xfea\x00\n\x00", []string{"1 \xff\xfea\x00 !", "2 \x00 !"}},
	} {
		for way, r := range map[string]io.Reader{
			"":                      strings.NewReader(tt.list),
			", in bytes":            iotest.OneByteReader(strings.NewReader(tt.list)),
			", the error with data": iotest.DataErrReader(strings.NewReader(tt.list)),
		} {
			if got, err := collect(r); err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%s%s:\n%q, %v, want\n%q", name, way, got, err, tt.want)
			}
		}
	}
}

// A line that is no target is called by what no password can be part of.
func TestName(t *testing.T) {
	for text, want := range map[string]string{
		"pi@a": "pi@a", "a,b": "a…", "pi@a:hunter2": "pi@a…", "pi:hunter2@a": "pi…", "ssh://pi:hunter2@a": "ssh://pi…", "pi4;ann;hunter2": "pi4…",
		`"pi4","hunter2"`: `"pi4"…`, "pi:$6$hunter2": "pi…", `{"host":"pi","password":"hunter2"}`: `{"host"…`, "ansible_password=hunter2": "ansible_password…",
		"[web]": "[web]", "-x": "-x", "ssh://a/b": "ssh://a/b", "\x1b[2J": "…", strings.Repeat("ab", 200) + ",": strings.Repeat("ab", 40) + "…",
	} {
		for line, err := range Lines(strings.NewReader(text + " hunter2\n")) {
			if got := line.Name(); err != nil || got != want {
				t.Errorf("%q: %q, %v, want %q", text, got, err, want)
			}
			if d, err := Parse(line.Name()); err == nil && line.Err != nil {
				t.Errorf("%q became a target, %v", text, d)
			}
		}
	}
	got, err := collect(strings.NewReader("a\n-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"))
	if err == nil || !slices.Equal(got, []string{"1 a a"}) {
		t.Errorf("a private key: %q, %v", got, err)
	}
}

// The start of a line that could not be read on is no target: it may be the
// start of another machine's name.
func TestFormOf(t *testing.T) {
	for text, want := range map[string]Form{
		"name,user": Table, "pi1;ann": Table, "\"pi1\",\"ann\"": Table, "PK\x03\x04\x14\x00": Spreadsheet,
		"root:x:0:0:root:/root:/bin/sh": Accounts, "{": Inventory, "{\"all\":{}}": Inventory, "{encrypted}@pi1": "", "{{": "", "[\"pi1\",": Inventory, "[": Inventory, "[all]": Inventory, "[all:vars]": Inventory, "all:": Inventory, "---": Inventory, "-": Inventory,
		"<html>": "", "-oProxyCommand=x": "", "a:b:c": "", "[fe80::1": "", "": "",
	} {
		if got := FormOf(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLinesReportsTheReader(t *testing.T) {
	broken := errors.New("broken")
	got, err := collect(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || !slices.Equal(got, []string{"1 a a"}) {
		t.Errorf("%q, %v", got, err)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestLinesGivesUpOnALineWithoutEnd(t *testing.T) {
	got, err := collect(io.MultiReader(strings.NewReader("a\n"), endless{}))
	if err == nil || !strings.Contains(err.Error(), "line 2") || !slices.Equal(got, []string{"1 a a"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// A target is there as soon as its line is, though the list goes on.
func TestLinesDoesNotWait(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	got := make(chan string)
	go func() {
		for line := range Lines(r) {
			got <- line.Text
		}
		close(got)
	}()
	for _, host := range []string{"a", "b"} {
		if _, err := io.WriteString(w, host+"\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case text := <-got:
			if text != host {
				t.Fatalf("got %q", text)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is kept back", host)
		}
	}
	w.Close()
	if text, ok := <-got; ok {
		t.Errorf("%q after the end", text)
	}
}

func TestLinesStopsWhenTold(t *testing.T) {
	n := 0
	for range Lines(strings.NewReader("a\n-x\nb\n")) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d lines", n)
	}
}
