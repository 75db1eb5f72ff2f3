package main

import (
	"bytes"
	"crypto/ed25519"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
)

// A host key at two addresses is worth a note, one machine asked twice is not.
func TestHostKeys(t *testing.T) {
	key := func(seed byte) ssh.PublicKey {
		signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)))
		if err != nil {
			t.Fatal(err)
		}
		return signer.PublicKey()
	}
	type seen struct {
		target, address string
		key             byte
		jump            string
	}
	for _, tt := range []struct {
		name string
		seen []seen
		want string // the target that the note is of; "" for none
	}{
		{"two machines", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 2, ""}}, ""},
		{"a copied card", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 1, ""}}, "b"},
		{"two names of one machine", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.1:22", 1, ""}}, ""},
		{"two ports of one machine", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.1:2222", 1, ""}}, ""},
		{"the same target again", []seen{{"a", "10.0.0.1:22", 1, ""}, {"a", "10.0.0.2:22", 1, ""}}, ""},
		{"forwarded to this machine", []seen{{"a", "127.0.0.1:2201", 1, ""}, {"b", "127.0.0.1:2202", 1, ""}}, "b"},
		{"behind one jump host", []seen{{"a", "0.0.0.0:0", 1, "j"}, {"b", "0.0.0.0:0", 1, "j"}}, "b"},
		{"three of one card", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 1, ""}, {"c", "10.0.0.3:22", 1, ""}}, "b"},
		{"once by a name behind a jump host", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "0.0.0.0:0", 1, "j"}}, ""},
		{"never connected", []seen{{"a", "", 1, ""}, {"b", "10.0.0.2:22", 1, ""}}, ""},
	} {
		var stderr bytes.Buffer
		env := &cli.Env{Name: "pikeycheck", Stderr: &stderr}
		var keys hostKeys
		for _, s := range tt.seen {
			rep := &session.Report{HostKey: key(s.key)}
			if s.address != "" {
				address, err := net.ResolveTCPAddr("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				rep.Remote = address
			}
			keys.note(env, &connect.Host{Target: s.target, Config: &sshconfig.Host{HostName: s.target + ".example", ProxyJump: s.jump}}, rep)
		}
		if got := stderr.String(); tt.want == "" && got != "" || !strings.HasPrefix(got, map[bool]string{true: "pikeycheck: " + tt.want + ": host-key-shared: SHA256:"}[tt.want != ""]) {
			t.Errorf("%s: %q", tt.name, got)
		}
		if n := strings.Count(stderr.String(), "host-key-shared"); n > 1 {
			t.Errorf("%s: %d notes", tt.name, n)
		}
	}
}
