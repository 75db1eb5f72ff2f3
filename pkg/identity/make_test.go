package identity_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// Whatever we make, ssh-keygen reads, with the same public half.
func TestMake(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh-keygen")
	for _, spec := range []identity.Spec{
		{Type: "ed25519", Comment: "pi@raspberrypi"},
		{Type: "ed25519", Bits: 4096, Comment: "ssh-keygen ignores -b too"},
		{Type: "ed25519"},
		{Type: "ed25519", Comment: "with blanks and ü", Passphrase: []byte("a secret")},
		{Type: "ecdsa", Comment: "few rounds", Passphrase: []byte("a secret"), Rounds: 3},
		{Type: "rsa", Bits: 2048, Comment: "c"},
		{Type: "ecdsa", Comment: "c"},
		{Type: "ecdsa", Bits: 384, Comment: "c"},
		{Type: "ecdsa", Bits: 521, Comment: "c"},
	} {
		t.Run(fmt.Sprint(spec.Type, spec.Bits, spec.Passphrase != nil), func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), ".ssh")
			path := filepath.Join(dir, "k")
			p, err := identity.Make(t.Context(), path, spec)
			if err != nil {
				t.Fatal(err)
			}
			if !p.Usable() || p.Public.Comment != spec.Comment || p.Private.Encrypted != (spec.Passphrase != nil) {
				t.Errorf("%+v", p)
			}
			if want := cmp.Or(spec.Rounds, sshkey.DefaultRounds); p.Private.Encrypted && p.Private.Rounds != want {
				t.Errorf("%d rounds, want %d", p.Private.Rounds, want)
			}
			line := read(t, path+".pub")
			if line != p.Public.Line()+"\n" {
				t.Errorf(".pub holds %q, the pair %q", line, p.Public.Line())
			}
			blob := strings.Join(strings.Fields(line)[:2], " ")
			if got := sshtest.Keygen(t, "-y", "-P", string(spec.Passphrase), "-f", path); !strings.HasPrefix(got, blob) {
				t.Errorf("ssh-keygen -y says %q, want %q", got, blob)
			}
			if got := sshtest.Keygen(t, "-l", "-f", path); !strings.Contains(got, p.Public.Fingerprint()) {
				t.Errorf("ssh-keygen -l says %q, want %q", got, p.Public.Fingerprint())
			}
			for name, want := range map[string]fs.FileMode{dir: 0o700, path: 0o600, path + ".pub": 0o644} {
				if info, err := os.Stat(name); err != nil || info.Mode().Perm() != want {
					t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
				}
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 2 {
				t.Errorf("left behind: %v", entries)
			}
		})
	}
}

func TestSpecCheck(t *testing.T) {
	for _, spec := range []identity.Spec{
		{}, {Type: "dsa"}, {Type: "ED25519"},
		{Type: "rsa", Bits: 2047}, {Type: "rsa", Bits: 16385}, {Type: "rsa", Bits: -1},
		{Type: "ecdsa", Bits: 255}, {Type: "ecdsa", Bits: 512},
		{Type: "ed25519", Comment: "a\nssh-rsa AAAA"}, {Type: "ed25519", Comment: "\x1b[2J"},
		{Type: "ed25519", Passphrase: []byte{}}, {Type: "ed25519", Rounds: -1},
	} {
		if spec.Check() == nil {
			t.Errorf("%+v passes", spec)
		}
		path := filepath.Join(t.TempDir(), "k")
		if _, err := identity.Make(t.Context(), path, spec); err == nil {
			t.Errorf("%+v is made", spec)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%+v is written", spec)
		}
	}
	for _, spec := range []identity.Spec{
		{Type: "rsa", Bits: 2048}, {Type: "rsa", Bits: 16384}, {Type: "ed25519", Comment: "ü \\ \""},
	} {
		if err := spec.Check(); err != nil {
			t.Errorf("%+v: %v", spec, err)
		}
	}
}

// Nothing that is there is ever written over, and no half is left beside it.
func TestMakeOverNothing(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"private": func(path string) error { return os.WriteFile(path, []byte("old"), 0o600) },
		"public":  func(path string) error { return os.WriteFile(path+".pub", []byte("old"), 0o600) },
		"folder":  func(path string) error { return os.Mkdir(path+".pub", 0o700) },
		"link":    func(path string) error { return os.Symlink("nowhere", path) },
		"link 2":  func(path string) error { return os.Symlink("nowhere", path+".pub") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := plant(filepath.Join(dir, "k")); err != nil {
				t.Skip(err)
			}
			_, err := identity.Make(t.Context(), filepath.Join(dir, "k"), identity.Spec{Type: "ed25519"})
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), filepath.Join(dir, "k")) {
				t.Errorf("error %v", err)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("there is now %v", entries)
			}
		})
	}
}

// Of many that make the same pair one wins, and the others learn it.
func TestMakeTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".ssh", "k")
	var wg sync.WaitGroup
	made := make(chan string, 8)
	for range cap(made) {
		wg.Go(func() {
			p, err := identity.Make(t.Context(), path, identity.Spec{Type: "ed25519"})
			if err == nil {
				made <- p.Public.Line()
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if close(made); len(made) != 1 {
		t.Fatalf("%d pairs were made", len(made))
	}
	if p := load(t, path); !p.Usable() || p.Public.Line() != <-made {
		t.Errorf("%+v", p)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 2 {
		t.Errorf("left behind: %v", entries)
	}
}

// RSA with 16384 bits takes minutes; whoever presses ^C does not wait for it.
// Here 4096 bits must do, since nobody can stop them.
func TestMakeCancelled(t *testing.T) {
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(5*time.Millisecond, func() { cancel(interrupted) })
	dir := t.TempDir()
	_, err := identity.Make(ctx, filepath.Join(dir, "k"), identity.Spec{Type: "rsa", Bits: 4096})
	if !errors.Is(err, interrupted) {
		t.Errorf("error %v", err)
	}
	if _, err := identity.Make(ctx, filepath.Join(dir, "k"), identity.Spec{Type: "ed25519"}); !errors.Is(err, interrupted) {
		t.Errorf("ed25519: error %v", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestWritePublic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	sshtest.KeygenPair(t, filepath.Join(dir, "other"), "-t", "ed25519")
	want := read(t, path+".pub")
	key := load(t, path).Public
	if err := identity.WritePublic(path+".pub", key); err != nil {
		t.Errorf("the same key: %v", err)
	}
	if err := identity.WritePublic(filepath.Join(dir, "other.pub"), key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another key: %v", err)
	}
	remove(t, path+".pub")
	if err := identity.WritePublic(path+".pub", key); err != nil || read(t, path+".pub") != want {
		t.Errorf("%v: %q, want %q", err, read(t, path+".pub"), want)
	}
}
