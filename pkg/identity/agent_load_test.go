package identity_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// What Load puts into OpenSSH's agent, ssh-add lists.
func TestLoad(t *testing.T) {
	socket := sshtest.StartAgent(t)
	ctx := t.Context()
	a := dial(t, ctx, socket)
	held := func() string {
		cmd := sshtest.Command(t, t.TempDir(), "ssh-add", "-L")
		cmd.Env = append(cmd.Env, "SSH_AUTH_SOCK="+socket)
		out, err := cmd.Output()
		if err != nil { // of an empty agent, which says so
			return ""
		}
		return string(out)
	}
	load := func(file string, passphrase string, how identity.Loading) ([]sshkey.Public, error) {
		p, err := identity.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		return a.Load(ctx, p, func(context.Context) ([]byte, error) { return []byte(passphrase), nil }, how)
	}
	dir := t.TempDir()
	for _, keytype := range []string{"ed25519", "rsa", "ecdsa"} {
		k := sshtest.NewKey(t, dir, keytype)
		keys, err := load(k.File, "", identity.Loading{})
		if err != nil || len(keys) != 1 || keys[0].Line() != k.Line || !strings.Contains(held(), k.Line+"\n") {
			t.Errorf("%s: %v, %v; the agent has %s", keytype, keys, err, held())
		}
		if err := a.TestSign(ctx, keys[0]); err != nil {
			t.Errorf("%s does not sign: %v", keytype, err)
		}
		if err := a.Remove(ctx, keys[0]); err != nil || strings.Contains(held(), k.Line) {
			t.Errorf("%s is still there: %v", keytype, err)
		}
		if err := a.Remove(ctx, keys[0]); !errors.Is(err, identity.ErrAgentWillNot) {
			t.Errorf("removed twice: %v", err)
		}
	}

	k := sshtest.NewKey(t, t.TempDir(), "ed25519")
	sshtest.Keygen(t, "-q", "-p", "-a", "1", "-N", "open sesame", "-f", k.File)
	if _, err := load(k.File, "wrong", identity.Loading{}); !errors.Is(err, identity.ErrPassphraseWrong) || held() != "" {
		t.Errorf("with the wrong passphrase: %v; the agent has %s", err, held())
	}
	if _, err := load(k.File, "open sesame", identity.Loading{Life: time.Second}); err != nil || held() == "" {
		t.Errorf("with the passphrase: %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); held() != "" && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
	}
	if held() != "" {
		t.Error("the agent keeps a key longer than it was to")
	}

	// What the protocol cannot say would be for ever.
	for _, life := range []time.Duration{time.Second / 2, 1 << 32 * time.Second, -time.Second} {
		if keys, err := load(k.File, "open sesame", identity.Loading{Life: life}); err == nil || held() != "" {
			t.Errorf("for %v: %v, %v", life, keys, err)
		}
		_ = a.RemoveAll(ctx)
	}

	// Nobody can confirm here, so a key that needs it does not sign.
	keys, err := load(k.File, "open sesame", identity.Loading{Confirm: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.TestSign(ctx, keys[0]); !errors.Is(err, identity.ErrAgentRefused) {
		t.Errorf("signed without being confirmed: %v", err)
	}

	if err := a.Lock(ctx, []byte("x")); err != nil || held() != "" {
		t.Errorf("locked: %v, and it lists %s", err, held())
	}
	if err := a.Unlock(ctx, []byte("y")); !errors.Is(err, identity.ErrAgentWillNot) || held() != "" {
		t.Errorf("unlocked with another passphrase: %v", err)
	}
	if err := a.Unlock(ctx, []byte("x")); err != nil || held() == "" {
		t.Errorf("unlocked: %v", err)
	}
	if err := a.RemoveAll(ctx); err != nil || held() != "" {
		t.Errorf("all removed: %v, and it lists %s", err, held())
	}
}

// The certificate beside a key goes along, if it is this key's.
func TestLoadCertificate(t *testing.T) {
	socket := sshtest.StartAgent(t)
	ctx := t.Context()
	a := dial(t, ctx, socket)
	dir := t.TempDir()
	k, ca, other := sshtest.NewKey(t, dir, "ed25519"), sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ed25519")
	sign := func(public string) string {
		cmd := sshtest.Command(t, t.TempDir(), "ssh-keygen", "-q", "-s", ca.File, "-I", "someone", "-n", "pi", public)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSuffix(public, ".pub") + "-cert.pub"
	}
	cert := sign(k.File + ".pub")
	p, err := identity.Load(k.File)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := a.Load(ctx, p, nil, identity.Loading{})
	if err != nil || len(keys) != 2 || keys[1].Type != "ssh-ed25519-cert-v01@openssh.com" {
		t.Fatalf("%v, %v", keys, err)
	}
	listed, err := a.Keys(ctx)
	if err != nil || !slices.ContainsFunc(listed, keys[1].Equal) {
		t.Errorf("%v, %v", listed, err)
	}
	if err := a.TestSign(ctx, keys[1]); err != nil {
		t.Error(err)
	}

	text, err := os.ReadFile(sign(other.File + ".pub"))
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{string(text), k.Line, "nothing\n"} {
		if err := os.WriteFile(filepath.Clean(cert), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := a.Load(ctx, p, nil, identity.Loading{}); err == nil || len(keys) != 1 {
			t.Errorf("%q is taken for the certificate: %v, %v", wrong, keys, err)
		}
	}
}

// Of a key with a passphrase, what is wrong with the file is told from what is
// wrong with the passphrase.
func TestLoadFault(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "sound")
	sshtest.Keygen(t, "-q", "-t", "ed25519", "-a", "1", "-N", "right", "-f", sound)
	data, err := os.ReadFile(sound)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := identity.Load(sound)
	if err != nil {
		t.Fatal(err)
	}
	turned := bytes.Clone(pair.Public.Blob)
	turned[len(turned)-1] ^= 1
	block, _ := pem.Decode(data)
	block.Bytes = bytes.Replace(block.Bytes, pair.Public.Blob, turned, 1)
	headed := filepath.Join(t.TempDir(), "headed")
	if err := os.WriteFile(headed, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	says := func(word string, err error) func(context.Context) ([]byte, error) {
		return func(context.Context) ([]byte, error) { return []byte(word), err }
	}
	for _, tt := range []struct {
		name   string
		file   string
		phrase func(context.Context) ([]byte, error)
		want   string
	}{
		{"the wrong passphrase", sound, says("wrong", nil), "key-encrypted"},
		{"no passphrase", sound, says("", nil), "key-encrypted"},
		{"nobody to ask", sound, nil, "key-encrypted"},
		{"a passphrase that could not be had", sound, says("", errors.New("no such file")), "key-encrypted"},
		{"another public key in the header", headed, says("right", nil), "key-damaged"},
	} {
		p, err := identity.Load(tt.file)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Signer(t.Context(), tt.phrase)
		if err == nil {
			t.Fatalf("%s: it is opened", tt.name)
		}
		if f := identity.LoadFault(p, err); f.Cause != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.name, f.Cause, err, tt.want)
		}
	}
}
