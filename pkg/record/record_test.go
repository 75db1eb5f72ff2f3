package record

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
)

func TestAppendText(t *testing.T) {
	for _, c := range []struct {
		r    Record
		want string
	}{
		{Record{Target: "pi@pi4", Verdict: OK, Cause: "login", Subject: "SHA256:x", Detail: "by publickey"},
			"pi@pi4\tok\tlogin\tSHA256:x\tby publickey\n"},
		{Record{Verdict: Fail, Cause: "key-mode"}, "-\tfail\tkey-mode\t-\t\n"},
		{Record{Target: "a", Verdict: Fail, Cause: "not-ssh", Detail: "got \x1b[2J\tx\r\n\\ \xff \u202e \u009b é"},
			"a\tfail\tnot-ssh\t-\t" + `got \x1b[2J\tx\r\n\\ \xff \xe2\x80\xae \xc2\x9b é` + "\n"},
	} {
		if got := string(c.r.AppendText(nil)); got != c.want {
			t.Errorf("AppendText(%+v)\n got %q\nwant %q", c.r, got, c.want)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	r := Record{Target: "p\x1b", Verdict: Fail, Cause: "timeout", Hint: "try <this> & that", Seconds: 1.25}
	got := string(r.AppendJSON(nil))
	want := `{"v":1,"target":"p\\x1b","verdict":"fail","cause":"timeout","subject":"-","detail":"","hint":"try <this> & that","seconds":1.25}` + "\n"
	if got != want {
		t.Errorf("got %s want %s", got, want)
	}
	if !json.Valid([]byte(got)) {
		t.Error("not valid JSON")
	}
}

func TestLoginInJSON(t *testing.T) {
	l := &Login{Address: "[::1]:22", Before: "\x1b]0;x\n", Version: "SSH-2.0-x\u202e", Methods: []string{"publickey\t"}, Banner: `\`,
		Keys: []Offer{{"SHA256:x", "ssh-ed25519", "/home/\x7f", "refused"}}, By: "password", Connect: 0.0012345678, Auth: 2}
	line := string(Record{Verdict: Fail, Cause: "key-refused", Login: l}.AppendJSON(nil))
	want := `,"login":{"address":"[::1]:22","before":"\\x1b]0;x\\n","version":"SSH-2.0-x\\xe2\\x80\\xae","host_key":"","banner":"\\\\","methods":["publickey\\t"],` +
		`"keys":[{"fingerprint":"SHA256:x","type":"ssh-ed25519","name":"/home/\\x7f","answer":"refused"}],"password":"","by":"password","connect":0.001234,"handshake":0,"auth":2}}` + "\n"
	if !strings.HasSuffix(line, want) {
		t.Errorf("got %s want …%s", line, want)
	}
	r, ok := Parse(line)
	if !ok {
		t.Fatal("not taken: ", line)
	}
	l.Connect = 0.001234
	if !reflect.DeepEqual(r.Login, l) {
		t.Errorf("%+v came back as %+v", l, r.Login)
	}
	if empty := string(Record{Login: &Login{}}.AppendJSON(nil)); !strings.Contains(empty, `"methods":[],"keys":[],`) {
		t.Errorf("an empty list is not []: %s", empty)
	}
}

func TestTargetOf(t *testing.T) {
	for line, want := range map[string]string{
		"":                             "",
		"   ":                          "",
		"# comment":                    "",
		"  # comment":                  "",
		"pi@pi4":                       "pi@pi4",
		"  pi@pi4 the kitchen":         "pi@pi4",
		"pi4\tfail\ttimeout\t-\tx":     "pi4",
		"pi4\r":                        "pi4",
		`a\x1bb	ok`:                    "a\x1bb",
		`{"v":1,"target":"ssh://h:2"}`: "ssh://h:2",
	} {
		if got, err := TargetOf(line); err != nil || got != want {
			t.Errorf("TargetOf(%q) = %q, %v; want %q", line, got, err, want)
		}
	}
	if _, err := TargetOf("{broken"); err == nil {
		t.Error("a broken JSON record was taken")
	}
}

func TestParse(t *testing.T) {
	r := Record{Target: "a b\t", Verdict: Fail, Cause: "timeout", Subject: "/x\n", Detail: "\x1b ü", Hint: "one\ntwo", Seconds: 1.5}
	if got, ok := Parse(string(r.AppendJSON(nil))); !ok || got != r {
		t.Errorf("JSON: %+v, %v", got, ok)
	}
	r.Hint, r.Seconds = "", 0
	if got, ok := Parse(string(r.AppendText(nil))); !ok || got != r {
		t.Errorf("text: %+v, %v", got, ok)
	}
	for _, line := range []string{"", "pi", "pi\tok", "pi\tok\tlogin\t-", "pi\tgood\tlogin\t-\t", "pi\tok\tlogin\t-\t\t", "{}", "{", `{"v":1,"target":"pi"}`} {
		if got, ok := Parse(line); ok {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

// A record must survive its own line: whatever the target is, the next command
// reads the same target back, and no byte of it can move the cursor.
func FuzzRoundTrip(f *testing.F) {
	for _, s := range []string{"pi@pi4", "a\tb", `\`, `\x4`, `\x4g`, "\x00\x7f\x80\xff", "ü\u202e", "{", "#x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e := Escape(s)
		if Unescape(e) != s {
			t.Errorf("Unescape(%q) = %q, want %q", e, Unescape(e), s)
		}
		for _, r := range e {
			if !unicode.IsPrint(r) {
				t.Errorf("Escape(%q) = %q holds %U", s, e, r)
			}
		}
		line := string(Record{Target: "t", Verdict: OK, Detail: s, Subject: s, Cause: s}.AppendText(nil))
		if strings.Count(line, "\n") != 1 || strings.Count(line, "\t") != 4 {
			t.Errorf("a field of %q broke the line %q", s, line)
		}
	})
}
