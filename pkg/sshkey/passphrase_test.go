package sshkey

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// What ssh-keygen has encrypted is what it has in clear after -p of its own without one, whatever the type and the cipher; and it opens what is encrypted here.
func TestPassphrase(t *testing.T) {
	need(t, "ssh-keygen")
	for _, c := range []struct{ key, lock string }{
		{"-t ed25519", "-a 1 -Z aes256-ctr"},
		{"-t ed25519 -C a-comment-of-its-own", "-a 3 -Z aes128-ctr"},
		{"-t rsa -b 1024", "-a 5 -Z aes192-cbc"},
		{"-t ecdsa -b 521", "-a 2 -Z aes256-gcm@openssh.com"},
		{"-t ecdsa -b 256", "-a 2 -Z aes128-gcm@openssh.com"},
		{"-t dsa", "-a 1 -Z 3des-cbc"},
	} {
		t.Run(c.key+" "+c.lock, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := append(strings.Fields(c.key+" "+c.lock), "-q", "-N", passphrase, "-f", "k")
			if out, err := keygen(t, dir, args...); err != nil && strings.HasPrefix(c.key, "-t dsa") {
				t.Skipf("without DSA: %s", out)
			} else if err != nil {
				t.Fatal(out)
			}
			path := filepath.Join(dir, "k")
			locked := []byte(read(t, path))
			for _, wrong := range []string{"", "Secret", passphrase + "\x00"} {
				if _, err := Decrypt(locked, []byte(wrong)); !errors.Is(err, ErrPassphraseWrong) {
					t.Errorf("%q: %v", wrong, err)
				}
			}
			plain, err := Decrypt(locked, []byte(passphrase))
			if err != nil {
				t.Fatal(err)
			}
			mustKeygen(t, dir, "-q", "-p", "-P", passphrase, "-N", "", "-f", "k")
			if e, err := OpenEnvelope(plain); err != nil || e.Encrypted || e.Public.Line() != strings.TrimSpace(read(t, path+".pub")) {
				t.Errorf("decrypted: %+v, %v", e, err)
			}
			// The check numbers are new each time: all but them is the same.
			want, got := parts(t, read(t, path)), parts(t, string(plain))
			if !bytes.Equal(got.private[8:], want.private[8:]) || !bytes.Equal(got.public, want.public) {
				t.Error("another key came out")
			}

			again, err := Encrypt(plain, []byte("новый пароль"), 2)
			if err != nil {
				t.Fatal(err)
			}
			if e, err := OpenEnvelope(again); err != nil || !e.Encrypted || e.Cipher != "aes256-ctr" || e.KDF != "bcrypt" || e.Rounds != 2 {
				t.Errorf("encrypted: %+v, %v", e, err)
			}
			write(t, path, string(again))
			if out := mustKeygen(t, dir, "-y", "-P", "новый пароль", "-f", "k"); strings.TrimSpace(out) != strings.TrimSpace(read(t, path+".pub")) {
				t.Errorf("ssh-keygen -y: %s", out)
			}
			if out, err := keygen(t, dir, "-y", "-P", passphrase, "-f", "k"); err == nil {
				t.Errorf("the old passphrase opens it: %s", out)
			}
			if back, err := Decrypt(again, []byte("новый пароль")); err != nil || !bytes.Equal(back, plain) {
				t.Errorf("back: %v", err)
			}
			if _, err := Encrypt(again, []byte("x"), 1); err == nil {
				t.Error("it was encrypted twice")
			}
		})
	}
}

func parts(t *testing.T, file string) sealed {
	t.Helper()
	_, s, err := unpack([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A file that x/crypto has encrypted, and one that it opens.
func TestPassphraseOfXCrypto(t *testing.T) {
	keys := privateKeys(t)
	key, err := ssh.ParseRawPrivateKey([]byte(keys[0].text))
	if err != nil {
		t.Fatal(err)
	}
	again, err := Encrypt([]byte(keys[0].text), []byte(passphrase), 17)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ssh.ParseRawPrivateKeyWithPassphrase(again, []byte(passphrase))
	if err != nil || fmt.Sprint(got) != fmt.Sprint(key) {
		t.Errorf("another key came out: %v", err)
	}
}

// What is decrypted is wiped by whoever asked for it, and is never the file that
// was read.
func TestDecryptCopies(t *testing.T) {
	for _, k := range privateKeys(t) {
		if k.want.Format != "openssh" || k.want.Encrypted {
			continue
		}
		data := []byte(k.text)
		plain, err := Decrypt(data, nil)
		if err != nil || string(plain) != k.text {
			t.Fatalf("%s: %v", k.args, err)
		}
		clear(plain)
		if string(data) != k.text {
			t.Errorf("%s: the file is wiped too", k.args)
		}
		if plain, err := Decrypt(data[:len(data)/2], nil); err == nil || plain != nil {
			t.Errorf("%s: %d bytes of a torn file, %v", k.args, len(plain), err)
		}
	}
}

func TestPassphraseRefuses(t *testing.T) {
	for _, k := range privateKeys(t) {
		var fault *FileError
		if k.want.Format != "openssh" {
			if _, err := Decrypt([]byte(k.text), []byte(passphrase)); !errors.As(err, &fault) {
				t.Errorf("%s: decrypted: %v", k.args, err)
			}
			if _, err := Encrypt([]byte(k.text), []byte(passphrase), 1); !errors.As(err, &fault) {
				t.Errorf("%s: encrypted: %v", k.args, err)
			}
		}
		if strings.Contains(k.args, "chacha20") {
			if _, err := Decrypt([]byte(k.text), []byte(passphrase)); !errors.As(err, &fault) || CanDecrypt(k.want) {
				t.Errorf("%s: decrypted: %v", k.args, err)
			}
		}
	}
}
