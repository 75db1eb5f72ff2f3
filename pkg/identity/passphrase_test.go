package identity_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshtest"
)

// say answers with a passphrase; "" is none.
func say(secret string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		if secret == "" {
			return nil, nil
		}
		return []byte(secret), nil
	}
}

// A passphrase comes, changes and goes, of whatever ssh-keygen has made, and
// ssh-keygen finds the same key each time.
func TestProtect(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"-t ed25519", "-t rsa -b 2048", "-t ecdsa -b 521", "-t ecdsa -m PEM", "-t rsa -b 2048 -m PKCS8",
		"-t ed25519 -a 1 -N older", "-t ecdsa -m PEM -N older", "-t ed25519 -a 1 -N older -Z 3des-cbc",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "k")
			sshtest.KeygenPair(t, path, strings.Fields(args)...)
			if err := os.Chmod(path, 0o400); err != nil {
				t.Fatal(err)
			}
			blob := strings.Join(strings.Fields(read(t, path+".pub"))[:2], " ")
			old := ""
			if strings.Contains(args, "-N") {
				old = "older"
			}
			for _, fresh := range []string{"first", "second one", ""} {
				before := read(t, path)
				if old != "" {
					for wrong, want := range map[string]error{"wrong": identity.ErrPassphraseWrong, "": identity.ErrPassphraseNeeded} {
						asked := func(context.Context) ([]byte, error) { t.Error("asked in vain"); return nil, nil }
						if err := load(t, path).Protect(t.Context(), say(wrong), asked, 1); !errors.Is(err, want) {
							t.Errorf("%q instead of %q: %v", wrong, old, err)
						}
					}
				}
				if read(t, path) != before {
					t.Fatal("a wrong passphrase changed the file")
				}
				if err := load(t, path).Protect(t.Context(), say(old), say(fresh), 1); err != nil {
					t.Fatal(err)
				}
				p := load(t, path)
				if got := sshtest.Keygen(t, "-y", "-P", fresh, "-f", path); !strings.HasPrefix(got, blob) {
					t.Errorf("with %q ssh-keygen -y says %q, want %q", fresh, got, blob)
				}
				if !p.Usable() || p.Private.Encrypted != (fresh != "") || fresh != "" && p.Private.Rounds != 1 {
					t.Errorf("with %q: %+v, %v", fresh, p.Private, p.Faults)
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o400 {
					t.Errorf("mode %v, %v", info.Mode(), err)
				}
				if entries, _ := os.ReadDir(dir); len(entries) != 2 {
					t.Errorf("left behind: %v", entries)
				}
				old = fresh
			}
		})
	}
}

// Where it cannot be done, the file stays.
func TestProtectRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	before := read(t, path)
	p := load(t, path)
	refused := errors.New("no")
	for name, protect := range map[string]func() error{
		"nobody gives a new one": func() error {
			return p.Protect(t.Context(), nil, func(context.Context) ([]byte, error) { return nil, refused }, 1)
		},
		"it ended meanwhile": func() error {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			return p.Protect(ctx, nil, func(context.Context) ([]byte, error) { cancel(); return []byte("x"), nil }, 1<<30)
		},
		"it has two names": func() error {
			if err := os.Link(path, path+"2"); err != nil {
				t.Skip(err)
			}
			defer os.Remove(path + "2")
			return load(t, path).Protect(t.Context(), nil, say("x"), 1)
		},
	} {
		if err := protect(); err == nil || read(t, path) != before {
			t.Errorf("%s: %v", name, err)
		}
	}
	sshtest.KeygenPair(t, path+"3", "-t", "ed25519")
	changed := read(t, path+"3")
	if err := p.Protect(t.Context(), nil, func(context.Context) ([]byte, error) {
		return []byte("x"), os.WriteFile(path, []byte(changed), 0o600)
	}, 1); err == nil || read(t, path) != changed {
		t.Errorf("another key came meanwhile: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := load(t, path).Protect(t.Context(), nil, say("x"), 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("only the public half: %v", err)
	}
}
