//go:build unix

package repair

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// From 10.0 on, a DSA key in the list of revoked ones is a line that sshd cannot read.
func TestPlainKeys(t *testing.T) {
	one := big.NewInt(1)
	blob := ssh.Marshal(struct {
		Type       string
		P, Q, G, Y *big.Int
	}{"ssh-dss", one, one, one, one})
	list := []byte("# old\nssh-dss " + base64.StdEncoding.EncodeToString(blob) + "\n")
	if keys, bad := plainKeys(list, false); len(keys) != 1 || bad != 0 {
		t.Errorf("before 10.0: %v, line %d", keys, bad)
	}
	if _, bad := plainKeys(list, true); bad != 2 {
		t.Errorf("10.0: line %d", bad)
	}
}

// A lock counts for an sshd without PAM, which a machine without a configuration has not
// started; and a card has a clock of its own.
func TestLocked(t *testing.T) {
	today := time.Now().UTC()
	last := fmt.Sprintf("pi:*:1:0:9:7::%d:", today.Unix()/(24*60*60))
	for _, c := range []struct {
		shadow, config, root string
		want                 string
	}{
		{shadow: "pi:!x:1:0:9:7:::", config: "UsePAM no", want: "account-locked UsePAM is not on, and shadow(5) says that the password is locked"},
		{shadow: "pi:!x:1:0:9:7:::", config: "UsePAM yes"},
		{shadow: "pi:!x:1:0:9:7:::"},
		{shadow: "pi:*:1:0:9:7:::", config: "UsePAM no"},
		{shadow: "eve:!:1:0:9:7:::\npi:*:1:0:9:7::1:", want: "account-expired shadow(5) says that it expired on 1970-01-02"},
		{shadow: "pi:*:1:0:9:7::1:", root: "/mnt", want: "account-expired shadow(5) says that it expired on 1970-01-02, by the clock here"},
		{shadow: last, config: "UsePAM yes", want: "account-expired shadow(5) says that it expired on " + today.Format(time.DateOnly)},
	} {
		m := &machine{texts: map[string]string{"/etc/shadow": c.shadow + "\n"}}
		if c.config != "" {
			m.texts["/etc/ssh/sshd_config"] = c.config
			m.files = map[string]strictmodes.Stat{"/etc/ssh/sshd_config": {}}
		}
		job := &Job{Root: c.root}
		rules, err := job.readRules(t.Context(), m, strictmodes.OpenSSH)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range job.locked(t.Context(), m, rules, pi) {
			if r.Verdict == record.Fail {
				got += r.Cause + " " + r.Detail
			}
		}
		if got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
