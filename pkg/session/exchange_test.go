package session

import (
	"bytes"
	"crypto/rand"
	"net"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshtest"
)

// sent is what a server sends from the version on, also what it sends
// encrypted, with the session that it began.
func sent(t testing.TB, kex string, hostKey ssh.Signer) (stream, sessionID []byte) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		server, err := l.Accept()
		if err != nil {
			return
		}
		defer server.Close()
		cfg := &ssh.ServerConfig{NoClientAuth: true, Config: ssh.Config{KeyExchanges: []string{kex}}}
		cfg.AddHostKey(hostKey)
		_, channels, requests, err := ssh.NewServerConn(server, cfg)
		if err != nil {
			return // the client tells
		}
		go ssh.DiscardRequests(requests)
		for range channels {
		}
	}()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s := newSniffer(client, func() {})
	conn, _, _, err := ssh.NewClientConn(s, "", &ssh.ClientConfig{
		Config:          ssh.Config{KeyExchanges: []string{kex}},
		HostKeyCallback: ssh.FixedHostKey(hostKey.PublicKey()),
	})
	if err != nil {
		t.Fatalf("%s: %v", kex, err)
	}
	defer conn.Close()
	return s.clear(), conn.SessionID()
}

// certified is a host key with its certificate.
func certified(t testing.TB, key ssh.Signer) ssh.Signer {
	t.Helper()
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{"host"}, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, sshtest.NewKey(t, t.TempDir(), "ed25519").Signer); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// The signature is found whatever the key exchange and the host key, and is that
// of the session.
func TestHostSignature(t *testing.T) {
	t.Parallel()
	hostKeys := map[string]ssh.Signer{}
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		hostKeys[keyType] = sshtest.NewKey(t, t.TempDir(), keyType).Signer
	}
	hostKeys["certificate"] = certified(t, hostKeys["ed25519"])
	type pair struct{ kex, hostKey string }
	var pairs []pair
	for _, kex := range slices.Concat(ssh.SupportedAlgorithms().KeyExchanges, ssh.InsecureAlgorithms().KeyExchanges) {
		pairs = append(pairs, pair{kex, "ed25519"})
	}
	for name := range hostKeys {
		pairs = append(pairs, pair{ssh.KeyExchangeCurve25519, name})
	}
	for _, p := range pairs {
		t.Run(p.kex+" "+p.hostKey, func(t *testing.T) {
			t.Parallel()
			stream, session := sent(t, p.kex, hostKeys[p.hostKey])
			public := hostKeys[p.hostKey].PublicKey()
			var signature ssh.Signature
			if err := ssh.Unmarshal(hostSignature(stream, public.Marshal()), &signature); err != nil {
				t.Fatal(err)
			}
			if err := public.Verify(session, &signature); err != nil {
				t.Error(err)
			}

			// Lines before the version are none of its business.
			stream = append([]byte("Welcome\r\nNot SSH-\r\n"), stream...)
			want := ssh.Marshal(signature)
			if got := hostSignature(stream, public.Marshal()); !bytes.Equal(got, want) {
				t.Error("not found after a line")
			}
			if hostSignature(stream, public.Marshal()[:8]) != nil {
				t.Error("found for another host key")
			}
			// What is cut off anywhere is no signature, or all of it.
			for n := range stream {
				if got := hostSignature(stream[:n], public.Marshal()); got != nil && !bytes.Equal(got, want) {
					t.Fatalf("of %d bytes: %x", n, got)
				}
			}
		})
	}
}

func TestHostSignatureOfNonsense(t *testing.T) {
	t.Parallel()
	reply := func(message byte, fields ...string) string {
		payload := string(message)
		for _, f := range fields {
			payload += string(ssh.Marshal(struct{ S string }{f}))
		}
		return string(ssh.Marshal(struct{ Packet string }{"\x04" + payload + "pads"}))
	}
	for _, tt := range []struct{ name, packets, want string }{
		{"a reply", reply(31, "key", "q", "signature"), "signature"},
		{"a group, then the reply", reply(31, "key", "g") + reply(33, "key", "f", "signature"), "signature"},
		{"another's, then the reply", reply(31, "yek", "q", "bad") + reply(31, "key", "q", "signature"), "signature"},
		{"after other messages", reply(2, "ignore me") + reply(4, "debug") + reply(31, "key", "q", "signature"), "signature"},
		{"two fields", reply(31, "key", "q"), ""},
		{"four fields", reply(31, "key", "q", "signature", ""), ""},
		{"in another message", reply(30, "key", "q", "signature"), ""},
		{"once the keys are new", reply(21) + reply(31, "key", "q", "signature"), ""},
		{"after an empty packet", "\x00\x00\x00\x00" + reply(31, "key", "q", "signature"), ""},
		{"after a packet of nothing but padding", "\x00\x00\x00\x02\x01x" + reply(31, "key", "q", "signature"), ""},
		{"after more padding than there is", "\x00\x00\x00\x02\xffx" + reply(31, "key", "q", "signature"), ""},
		{"after a length without end", "\xff\xff\xff\xff" + reply(31, "key", "q", "signature"), ""},
	} {
		if got := hostSignature([]byte("SSH-2.0-x\r\n"+tt.packets), []byte("key")); string(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := hostSignature([]byte(strings.Repeat("x\n", 100)+reply(31, "key", "q", "signature")), []byte("key")); got != nil {
		t.Errorf("without a version: %q", got)
	}
}

func FuzzHostSignature(f *testing.F) {
	hostKey := sshtest.NewKey(f, f.TempDir(), "ed25519").Signer
	public := hostKey.PublicKey().Marshal()
	for _, kex := range []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeDHGEXSHA256} {
		stream, _ := sent(f, kex, hostKey)
		if hostSignature(stream, public) == nil {
			f.Fatal("the seed is empty")
		}
		f.Add(stream, public)
	}
	f.Fuzz(func(t *testing.T, stream, hostKey []byte) {
		if got := hostSignature(stream, hostKey); !bytes.Contains(stream, got) {
			t.Errorf("%x is not of what was sent", got)
		}
	})
}
