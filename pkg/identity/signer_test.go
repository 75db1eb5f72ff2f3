package identity_test

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// signs reports an error unless the signer signs for the pair.
func signs(s ssh.Signer, public sshkey.Public) error {
	key, err := ssh.ParsePublicKey(public.Blob)
	if err != nil {
		return err
	}
	data := []byte("a challenge")
	sig, err := s.Sign(rand.Reader, data)
	if err != nil {
		return err
	}
	if sig.Format == ssh.KeyAlgoRSA {
		return errors.New("it signs with SHA-1")
	}
	return key.Verify(data, sig)
}

func TestSigner(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		args []string
		want error // errors.Is
	}{
		{"ed25519", []string{"-t", "ed25519"}, nil},
		{"ecdsa", []string{"-t", "ecdsa", "-b", "384"}, nil},
		{"rsa", []string{"-t", "rsa", "-b", "2048"}, nil},
		{"pkcs1", []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, nil},
		{"sec1", []string{"-t", "ecdsa", "-m", "PEM"}, nil},
		{"pkcs8", []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, nil},
		{"ctr", []string{"-t", "ed25519", "-N", "secret", "-a", "1"}, nil},
		{"cbc", []string{"-t", "ecdsa", "-N", "secret", "-a", "1", "-Z", "aes256-cbc"}, nil},
		{"gcm", []string{"-t", "ecdsa", "-N", "secret", "-a", "1", "-Z", "aes256-gcm@openssh.com"}, nil},
		{"pkcs1 encrypted", []string{"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret"}, nil},
		{"sec1 encrypted", []string{"-t", "ecdsa", "-m", "PEM", "-N", "secret"}, nil},
		{"wrong", []string{"-t", "ed25519", "-N", "another", "-a", "1"}, identity.ErrPassphraseWrong},
		{"wrong pkcs1", []string{"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "another"}, identity.ErrPassphraseWrong},
		{"wrong sec1", []string{"-t", "ecdsa", "-m", "PEM", "-N", "another"}, identity.ErrPassphraseWrong},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k")
			sshtest.KeygenPair(t, path, c.args...)
			p := load(t, path)
			secret := []byte("secret")
			asked := 0
			signer, err := p.Signer(t.Context(), func(context.Context) ([]byte, error) { asked++; return secret, nil })
			if (asked > 0) != p.Private.Encrypted || asked > 1 {
				t.Errorf("asked %d times", asked)
			}
			if asked > 0 && string(secret) != "\x00\x00\x00\x00\x00\x00" {
				t.Errorf("the passphrase was not wiped: %q", secret)
			}
			if c.want != nil {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
					t.Fatalf("error %v, want %v", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := signs(signer, p.Public); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSignerNobodyToAsk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519", "-N", "secret", "-a", "1")
	p := load(t, path)
	if _, err := p.Signer(t.Context(), nil); !errors.Is(err, identity.ErrPassphraseNeeded) {
		t.Errorf("nil: %v", err)
	}
	nobody := errors.New("nobody is here")
	if _, err := p.Signer(t.Context(), func(context.Context) ([]byte, error) { return nil, nobody }); !errors.Is(err, nobody) {
		t.Errorf("error of the asker: %v", err)
	}
	if _, err := p.Signer(t.Context(), func(context.Context) ([]byte, error) { return nil, nil }); !errors.Is(err, identity.ErrPassphraseNeeded) {
		t.Errorf("empty passphrase: %v", err)
	}
}

// What x/crypto cannot open is said before anybody types a passphrase, with
// the way on.
func TestSignerUnsupported(t *testing.T) {
	for _, c := range []struct {
		name, reason string
		args         []string
	}{
		{"chacha20", "chacha20-poly1305@openssh.com", []string{"-t", "ed25519", "-N", "secret", "-a", "1", "-Z", "chacha20-poly1305@openssh.com"}},
		{"pkcs8", "PKCS#8", []string{"-t", "ecdsa", "-m", "PKCS8", "-N", "secret"}},
		{"dsa", "ssh-dss", []string{"-t", "dsa"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a b")
			sshtest.KeygenPair(t, path, c.args...)
			_, err := load(t, path).Signer(t.Context(), func(context.Context) ([]byte, error) {
				t.Error("asked in vain")
				return nil, nil
			})
			u, ok := errors.AsType[*identity.UnsupportedError](err)
			if !ok || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.reason) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(u.Hint(), "ssh-add '"+path+"'") || strings.Contains(u.Hint(), "ssh-keygen -p") != u.Rewrap {
				t.Errorf("hint %q", u.Hint())
			}
		})
	}
}
