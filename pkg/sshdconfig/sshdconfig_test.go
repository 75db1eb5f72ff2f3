package sshdconfig

import (
	"slices"
	"strings"
	"testing"
)

func one(text string) Files { return Files{"main": {{Path: "main", Text: text}}} }

var pi = Connection{User: "pi", Groups: []string{"pi", "sudo"}, Address: "192.168.1.7", LocalAddress: "192.168.1.2", LocalPort: 22}

// What cannot be decided is not decided.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		text string
		conn Connection
		set  string // AuthorizedKeysFile for certain
		may  string // what it may be, by lines
	}{
		{"Match Address 10.0.0.0/8\nAuthorizedKeysFile a", Connection{User: "pi"}, "", "2"},
		{"Match Group sudo\nAuthorizedKeysFile a", Connection{User: "pi"}, "", "2"},
		{"Match Group sudo User eve\nAuthorizedKeysFile a", Connection{User: "pi"}, "", ""},
		{"Match Group !sudo,*\nAuthorizedKeysFile a", pi, "", ""},
		{"Match Group !wheel,s*\nAuthorizedKeysFile a", pi, "a", ""},
		{"Match User=pi Group=sudo\nAuthorizedKeysFile a", pi, "a", ""},
		{"Match User=eve Group= sudo\nAuthorizedKeysFile a", pi, "", ""},
		{"Match User= eve\nAuthorizedKeysFile a", pi, "", ""},
		{"Match User\nAuthorizedKeysFile a", pi, "", ""},
		{"Match all\nAuthorizedKeysFile a", Connection{User: "pi"}, "a", ""},
		{"Match Invalid-User\nAuthorizedKeysFile a", pi, "", ""},
		{"Match LocalPort 22\nAuthorizedKeysFile a", Connection{User: "pi"}, "", "2"},
		{"Match RDomain blue\nAuthorizedKeysFile a", pi, "", "2"},
		{"UseDNS yes\nMatch Host *.lan\nAuthorizedKeysFile a", pi, "", "3"},
		{"Match Host *.lan\nAuthorizedKeysFile a", pi, "", ""},
		{"UseDNS yes\nMatch Host *\nAuthorizedKeysFile a", pi, "a", ""},
		{"AuthorizedKeysFile g\nMatch RDomain x\nAuthorizedKeysFile a\nMatch User pi\nAuthorizedKeysFile b", pi, "b", "3"},
		{"Match User pi\nAuthorizedKeysFile b\nMatch RDomain x\nAuthorizedKeysFile a", pi, "b", ""},
	} {
		got := Evaluate(nil, "main", one(c.text), c.conn)
		s, _ := got.Get("AuthorizedKeysFile")
		var lines []string
		for _, p := range got.Possible("authorizedkeysfile") {
			lines = append(lines, strings.TrimPrefix(p.At(), "main:"))
		}
		if set, may := strings.Join(s.Args, " "), strings.Join(lines, " "); set != c.set || may != c.may {
			t.Errorf("%q: is %q and may be at %q, want %q and %q", c.text, set, may, c.set, c.may)
		}
	}
}

func TestUnread(t *testing.T) {
	files := one("Include /a /b\nMatch User eve\nInclude /c\nMatch User pi\nInclude /d")
	if got := files.Missing("other"); !slices.Equal(got, []string{"other"}) {
		t.Errorf("missing: %q", got)
	}
	if got := files.Missing("main"); !slices.Equal(got, []string{"/a", "/b", "/c", "/d"}) {
		t.Errorf("missing: %q", got)
	}
	for _, name := range []string{"/a", "/c", "/d"} {
		files[name] = []File{{Path: name, Unread: true}}
	}
	files["/b"] = []File{{Path: "/b", Text: "Include /b\nInclude x.conf"}} // in a circle, too
	if got := files.Missing("main"); !slices.Equal(got, []string{"/etc/ssh/x.conf"}) {
		t.Errorf("missing: %q", got)
	}
	// What is included for somebody else cannot matter.
	if got := Evaluate(nil, "main", files, pi); !slices.Equal(got.Unread, []string{"/a", "/d"}) {
		t.Errorf("unread: %q", got.Unread)
	}
}

func TestOptionsOfTheCommandLine(t *testing.T) {
	c := Evaluate([]string{"AuthorizedKeysFile=a", "bad"}, "main", one("AuthorizedKeysFile b"), pi)
	if s, _ := c.Get("AuthorizedKeysFile"); s.Args[0] != "a" || s.At() != "the command line of sshd" {
		t.Errorf("%+v", s)
	}
}

func TestConfirm(t *testing.T) {
	c := Evaluate(nil, "main", one("AuthorizedKeysFile a b\nPubkeyAcceptedAlgorithms +ssh-rsa\nMatch RDomain x\nStrictModes no\nRevokedKeys /r"), pi)
	c.Unread = []string{"x"}
	c.Confirm("authorizedkeysfile a b\npubkeyacceptedalgorithms ssh-ed25519,ssh-rsa\nrevokedkeys /r\nallowusers x\nallowusers y\n")
	for keyword, want := range map[string]string{
		"AuthorizedKeysFile": "main:1 a b", "PubkeyAcceptedAlgorithms": "main:2 ssh-ed25519,ssh-rsa",
		"RevokedKeys": "sshd -T /r", "AllowUsers": "sshd -T x y",
	} {
		s, _ := c.Get(keyword)
		if got := s.At() + " " + strings.Join(s.Args, " "); got != want {
			t.Errorf("%s: %q, want %q", keyword, got, want)
		}
	}
	if len(c.Possible("RevokedKeys")) > 0 || c.Unread != nil {
		t.Error("still in doubt")
	}
}

func TestKeysFiles(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "/home/pi/.ssh/authorized_keys /home/pi/.ssh/authorized_keys2",
		"AuthorizedKeysFile none":           "",
		"AuthorizedKeysFile NONE .a":        "/home/pi/.a",
		"AuthorizedKeysFile /k/%u/%U/%%u":   "/k/pi/1000/%u",
		"AuthorizedKeysFile ~/.ssh/k %h//k": "/root/.ssh/k /home/pi/k",
		"AuthorizedKeysFile l/../k /l/..":   "/home/pi/l/../k /l/..",
	} {
		names, _ := Evaluate(nil, "main", one(text), pi).KeysFiles("/home/pi", 1000)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "",
		"AllowUsers alice\nAllowUsers p?":      "",
		"AllowUsers alice":                     "AllowUsers",
		"AllowUsers pi@192.168.1.0/24":         "",
		"AllowUsers pi@10.0.0.0/8":             "AllowUsers",
		"AllowUsers pi@!192.168.1.7,192.168.*": "AllowUsers",
		"DenyUsers pi@192.168.1.7":             "DenyUsers",
		"DenyUsers pi@10.*":                    "",
		"DenyUsers pi\nAllowUsers pi":          "DenyUsers",
		"AllowGroups wheel s*":                 "",
		"AllowGroups wheel":                    "AllowGroups",
		"DenyGroups sudo":                      "DenyGroups",
		"UseDNS yes\nDenyUsers pi@*.lan":       "", // who knows
		"UseDNS yes\nAllowUsers pi@*.lan":      "",
	} {
		s, refused := Evaluate(nil, "main", one(text), pi).Refuses()
		if s.Keyword != want || refused != (want != "") {
			t.Errorf("%q: %q", text, s.Keyword)
		}
	}
	if s, refused := Evaluate(nil, "main", one("AllowGroups x"), Connection{User: "pi"}).Refuses(); refused {
		t.Errorf("without groups: %v", s)
	}
}

// Without an address, some rules may refuse and do not for sure.
func TestMayRefuse(t *testing.T) {
	for text, want := range map[string]string{
		"AllowUsers pi@10.0.0.0/8":        "AllowUsers",
		"AllowUsers pi@10.0.0.0/8 pi":     "",
		"AllowUsers pi@*":                 "",
		"DenyUsers pi@10.*":               "DenyUsers",
		"DenyUsers eve@10.*":              "",
		"DenyUsers pi@10.*\nAllowUsers x": "DenyUsers",
		"AllowGroups x":                   "AllowGroups",
	} {
		c := Evaluate(nil, "main", one(text), Connection{User: "pi"})
		if s, may := c.MayRefuse(); s.Keyword != want || may != (want != "") {
			t.Errorf("%q: %q", text, s.Keyword)
		}
	}
}

// A tilde is root's, or that of whom it names; none is a file in a Match block.
func TestPlaces(t *testing.T) {
	who := Connection{User: "pi", Homes: map[string]string{"eve": "/srv/eve/"}}
	for name, want := range map[string]string{
		"~/k": "/root/k", "~//k": "/root/k", "~eve/k": "/srv/eve/k", "~eve": "/srv/eve", "~": "/root", "~none/k": "/home/pi/~none/k",
		"k~": "/home/pi/k~", "%h/~/k": "/home/pi/~/k",
	} {
		if got := Evaluate(nil, "main", one(""), who).Expand(name, "/home/pi", 1000); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	who.Homes["root"] = "/"
	for text, want := range map[string]string{
		"":                            "",
		"RevokedKeys none":            "",
		"RevokedKeys k":               "/k",
		"RevokedKeys ~/k":             "/k",
		"RevokedKeys /k/%u":           "/k/%u",
		"RevokedKeys /a b":            "/a /b",
		"Match all\nRevokedKeys NONE": "/NONE",
		"RevokedKeys /a\nMatch User pi\nRevokedKeys none":  "/none",
		"RevokedKeys none\nMatch User eve\nRevokedKeys /a": "",
	} {
		if got, _ := Evaluate(nil, "main", one(text), who).RevokedKeys(); strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// An option of sshd is before every Match.
func TestOptionIsGlobal(t *testing.T) {
	if got, s := Evaluate([]string{"RevokedKeys=none"}, "main", one(""), pi).RevokedKeys(); got != nil || s.Matched {
		t.Errorf("%q, %+v", got, s)
	}
}

func TestPermits(t *testing.T) {
	for _, c := range []struct {
		config, address, patterns string
		permits, sure             bool
	}{
		{"", "192.168.1.7", "192.168.1.7", true, true},
		{"", "192.168.1.7", "192.168.1.0/24", true, true},
		{"", "192.168.1.7", "192.168.1.7/24", false, true}, // bits behind the mask
		{"", "192.168.1.7", "!192.168.1.7,192.168.1.*", false, true},
		{"", "192.168.1.7", "!192.168.1.0/24,*", false, true},
		{"", "192.168.1.7", "!10.0.0.0/8,192.168.1.7", true, true},
		{"", "192.168.1.7", "*.lan", false, true},
		{"UseDNS yes", "192.168.1.7", "*.lan", false, false},
		{"UseDNS yes", "192.168.1.7", "*.lan,192.168.0.0/16", true, true},
		{"", "fe80::1", "fe80::/10", true, true},
		{"", "192.168.1.7", "::ffff:192.168.1.7", true, true},
		{"", "", "10.0.0.0/8", false, false},
		{"", "192.168.1.7", "10.0.0.0/8,", false, true},
		{"", "192.168.1.7", "0.0.0.0/0", true, true},
		{"", "fe80::1", "0.0.0.0/0", false, true},
	} {
		permits, sure := Evaluate(nil, "main", one(c.config), Connection{Address: c.address}).Permits(c.patterns)
		if permits != c.permits || sure != c.sure {
			t.Errorf("%q from %q (%s): %v, %v", c.patterns, c.address, c.config, permits, sure)
		}
	}
}

func TestAccepts(t *testing.T) {
	for _, c := range []struct {
		value, algorithm string
		want             bool
	}{
		{"", "ssh-ed25519", true}, {"", "ssh-dss", false},
		{"+ssh-dss", "ssh-dss", true}, {"+ssh-rsa", "ssh-ed25519", true}, {"+ssh-rsa", "ssh-dss", false}, {"-ssh-rsa", "ssh-dss", false},
		{"-ssh-ed25519", "ssh-ed25519", false}, {"-ecdsa-*", "ssh-ed25519", true}, {"-ssh-*", "ssh-ed25519", false},
		{"-*", "ssh-ed25519", true}, {"-*", "ssh-dss", false}, {"-ssh-*,ecdsa-*,rsa-*,sk-*", "ssh-ed25519", false},
		{"^ecdsa-sha2-nistp256", "ssh-ed25519", true},
		{"rsa-sha2-512,ecdsa-*", "ssh-ed25519", false}, {"rsa-sha2-512,ssh-*", "ssh-ed25519", true},
	} {
		text := ""
		if c.value != "" {
			text = "PubkeyAcceptedAlgorithms " + c.value
		}
		if got := Evaluate(nil, "main", one(text), pi).Accepts(c.algorithm); got != c.want {
			t.Errorf("%q, %s: %v", c.value, c.algorithm, got)
		}
	}
}

func TestStartsWithKey(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, "any": true, "publickey": true, "publickey,password": true, "password publickey": true,
		"password": false, "password,publickey": false, "keyboard-interactive:pam,publickey": false,
	} {
		text := ""
		if value != "" {
			text = "AuthenticationMethods " + value
		}
		if got := Evaluate(nil, "main", one(text), pi).StartsWithKey(); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// Whatever a far machine shows is taken apart without harm.
func FuzzEvaluate(f *testing.F) {
	f.Add("AuthorizedKeysFile a\nMatch User pi Address 10.0.0.0/8\nInclude main x*\nAllowUsers \"a b\" 'c' d\\ e # f\n")
	f.Add("Match\nMatch =\nPubkeyAcceptedAlgorithms ^\nRevokedKeys \"\nInclude ~\n\x00\xff=\t'")
	f.Fuzz(func(t *testing.T, text string) {
		files := one(text)
		for _, pattern := range files.Missing("main") {
			files[pattern] = []File{{Path: pattern, Text: text}, {Path: "y", Unread: true}}
		}
		c := Evaluate([]string{text}, "main", files, pi)
		c.KeysFiles("/home/pi", 1)
		c.MayRefuse()
		c.RevokedKeys()
		c.Permits(text)
		c.Accepts(text, "ssh-ed25519")
		c.StartsWithKey()
		c.Confirm(text)
		for _, s := range c.settings {
			if len(s.Args) == 0 || slices.Contains(s.Args, "") {
				t.Errorf("%q: %+v", text, s)
			}
		}
	})
}
