package connect

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
)

// A host key at two addresses is worth a note, and so is an account under two
// names; one machine asked twice is not.
func TestMachines(t *testing.T) {
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
	const shared, too = "host-key-shared: SHA256:", "it is a too,"
	for _, tt := range []struct {
		name string
		seen []seen
		want string // the target that the note is of, and how it begins; "" for none
	}{
		{"two machines", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 2, ""}}, ""},
		{"a copied card", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 1, ""}}, "b: " + shared},
		{"two names of one account", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.1:22", 1, ""}}, "b: " + too},
		{"three of them", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.1:22", 1, ""}, {"c", "10.0.0.1:22", 1, ""}}, "b: " + too},
		{"two accounts of one machine", []seen{{"a", "10.0.0.1:22", 1, ""}, {"root@a", "10.0.0.1:22", 1, ""}}, ""},
		{"two ports of one machine", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.1:2222", 1, ""}}, ""},
		{"the same target again", []seen{{"a", "10.0.0.1:22", 1, ""}, {"a", "10.0.0.2:22", 1, ""}}, ""},
		{"forwarded to this machine", []seen{{"a", "127.0.0.1:2201", 1, ""}, {"b", "127.0.0.1:2202", 1, ""}}, "b: " + shared},
		{"behind one jump host", []seen{{"a", "10.0.0.1:22", 1, "j"}, {"b", "10.0.0.2:22", 1, "j"}}, "b: " + shared},
		{"two names behind one jump host", []seen{{"a", "10.0.0.1:22", 1, "j"}, {"b", "10.0.0.1:22", 1, "j"}}, "b: " + too},
		{"an address behind either of two jump hosts", []seen{{"a", "10.0.0.1:22", 1, "j"}, {"b", "10.0.0.1:22", 1, "k"}}, ""},
		{"three of one card", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 1, ""}, {"c", "10.0.0.3:22", 1, ""}}, "b: " + shared},
		{"once by a name behind a jump host", []seen{{"a", "10.0.0.1:22", 1, ""}, {"b", "10.0.0.2:22", 1, "j"}}, ""},
		{"never connected", []seen{{"a", "", 1, ""}, {"b", "10.0.0.2:22", 1, ""}}, ""},
	} {
		var notes []string
		c := New(Options{Note: func(target, format string, args ...any) {
			notes = append(notes, fmt.Sprintf("%s: "+format, append([]any{target}, args...)...))
		}})
		for _, s := range tt.seen {
			rep := &session.Report{HostKey: key(s.key)}
			if s.address != "" {
				address, err := net.ResolveTCPAddr("tcp", s.address)
				if err != nil {
					t.Fatal(err)
				}
				rep.Remote = address
			}
			name, _, _ := strings.Cut(s.address, ":")
			user, _, _ := strings.Cut(s.target, "@")
			if user == s.target {
				user = "pi"
			}
			c.machines.meet(&Host{c: c, Target: s.target, Config: &sshconfig.Host{User: user, HostName: name, Port: 22, ProxyJump: s.jump}}, rep)
		}
		if tt.want == "" && len(notes) > 0 || tt.want != "" && (len(notes) != 1 || !strings.HasPrefix(notes[0], tt.want)) {
			t.Errorf("%s: %q, want %q", tt.name, notes, tt.want)
		}
	}
}
