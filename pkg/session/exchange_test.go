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

// packet is a message of strings as it is before encryption.
func packet(message byte, fields ...string) string {
	payload := string(message)
	for _, f := range fields {
		payload += string(ssh.Marshal(struct{ S string }{f}))
	}
	return string(ssh.Marshal(struct{ Packet string }{"\x04" + payload + "pads"}))
}

func TestHostSignatureOfNonsense(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, packets, want string }{
		{"a reply", packet(31, "key", "q", "signature"), "signature"},
		{"a group, then the reply", packet(31, "key", "g") + packet(33, "key", "f", "signature"), "signature"},
		{"another's, then the reply", packet(31, "yek", "q", "bad") + packet(31, "key", "q", "signature"), "signature"},
		{"after other messages", packet(2, "ignore me") + packet(4, "debug") + packet(31, "key", "q", "signature"), "signature"},
		{"two fields", packet(31, "key", "q"), ""},
		{"four fields", packet(31, "key", "q", "signature", ""), ""},
		{"in another message", packet(30, "key", "q", "signature"), ""},
		{"once the keys are new", packet(21) + packet(31, "key", "q", "signature"), ""},
		{"after an empty packet", "\x00\x00\x00\x00" + packet(31, "key", "q", "signature"), ""},
		{"after a packet of nothing but padding", "\x00\x00\x00\x02\x01x" + packet(31, "key", "q", "signature"), ""},
		{"after more padding than there is", "\x00\x00\x00\x02\xffx" + packet(31, "key", "q", "signature"), ""},
		{"after a length without end", "\xff\xff\xff\xff" + packet(31, "key", "q", "signature"), ""},
	} {
		if got := hostSignature([]byte("SSH-2.0-x\r\n"+tt.packets), []byte("key")); string(got) != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if got := hostSignature([]byte(strings.Repeat("x\n", 100)+packet(31, "key", "q", "signature")), []byte("key")); got != nil {
		t.Errorf("without a version: %q", got)
	}
}

// written is a connection that keeps what is written, each time.
type written struct {
	net.Conn
	all []string
}

func (w *written) Write(b []byte) (int, error) {
	w.all = append(w.all, string(b))
	return len(b), nil
}

// Our NEWKEYS wait for what follows, unless the server's are still to come: it may
// be waiting for them.
func TestNewKeysGoAlong(t *testing.T) {
	t.Parallel()
	newKeys := packet(msgNewKeys)
	for theirs, want := range map[string][]string{
		packet(31, "key", "q", "signature"):                                 {newKeys, "request", newKeys},
		packet(31, "key", "q", "signature") + newKeys[:9]:                   {newKeys, "request", newKeys},
		packet(31, "key", "q", "signature") + newKeys:                       {newKeys + "request", newKeys},
		packet(31, "key", "q", "signature") + newKeys + "what is encrypted": {newKeys + "request", newKeys},
	} {
		var w written
		s := newSniffer(&w, func() {})
		s.head = []byte("SSH-2.0-x\r\n" + theirs)
		for _, text := range []string{newKeys, "request", newKeys} {
			if n, err := s.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		if !slices.Equal(w.all, want) {
			t.Errorf("%q after %q, want %q", w.all, theirs, want)
		}
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
