package install

import (
	"testing"
	"time"
)

func TestOptions(t *testing.T) {
	now := time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		options, expires string
		ca               bool
		principals       string
		want             string // "" for an error
	}{
		{`from="10.0.0.0/8",restrict`, "", false, "", `from="10.0.0.0/8",restrict`},
		{"", "90d", false, "", `expiry-time="20270221"`},
		{"restrict", "1w2d", true, "", `cert-authority,restrict,expiry-time="20261202"`},
		{`command="echo \"hi\""`, "", false, "", `command="echo \"hi\""`},
		{"nonsense", "", false, "", ""},
		{`from="x`, "", false, "", ""},
		{" restrict ", "", false, "", "restrict"},
		{"restrict ssh-ed25519 AAAA", "", false, "", ""},
		{"restrict\nssh-rsa", "", false, "", ""},
		{`principals="a"`, "", false, "", ""},
		{`principals="a"`, "", true, "", `cert-authority,principals="a"`},
		{"", "", true, "pi,admin", `cert-authority,principals="pi,admin"`},
		{"no-pty", "90d", true, `a "b" \c`, `cert-authority,principals="a \"b\" \c",no-pty,expiry-time="20270221"`},
		{`principals="a"`, "", true, "b", ""}, // which sshd would not take
		{"", "", false, "pi", ""},
		{"", "", true, "pi,", ""},
		{"", "", true, "pi,,admin", ""},
		{"", "", true, `pi\`, ""},
		{"", "", true, "pi\nroot", ""},
		{"", "soon", false, "", ""},
		{"", "0d", false, "", ""},
		{"", "20300101", false, "", ""}, // is no number of seconds
		{"", "9999999w", false, "", ""},
	} {
		got, err := Options(c.options, c.expires, c.ca, c.principals, now)
		if (err == nil) != (c.want != "") || got != c.want {
			t.Errorf("Options(%q, %q, %v) = %q, %v; want %q", c.options, c.expires, c.ca, got, err, c.want)
		}
	}
	if got, err := Options("", "", false, "", now); got != "" || err != nil {
		t.Errorf("nothing: %q, %v", got, err)
	}
}
