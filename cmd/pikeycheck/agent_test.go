package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/identity"
)

// Of a key with a passphrase, what is wrong with the file is told from what is
// wrong with the passphrase.
func TestNotAdded(t *testing.T) {
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("right"))
	if err != nil {
		t.Fatal(err)
	}
	public := private.Public().(ed25519.PublicKey)
	turned := bytes.Clone(public)
	turned[0] ^= 1
	file := func(name string, b *pem.Block) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sound := file("sound", block)
	headed := file("headed", &pem.Block{Type: block.Type, Bytes: bytes.Replace(block.Bytes, public, turned, 1)})
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
		if r := notAdded(p, err); r.Cause != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.name, r.Cause, err, tt.want)
		}
	}
}
