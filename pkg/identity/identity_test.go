package identity_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshtest"
)

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, data string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever was there, whatever the umask
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func load(t *testing.T, path string) *identity.Pair {
	t.Helper()
	p, err := identity.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Whatever ssh-keygen makes is usable, and known by the line that it wrote.
func TestLoadWhatSSHKeygenMakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		args    []string
		private bool // the private half alone tells the public one
		comment bool // and its comment
	}{
		{"ed25519", []string{"-t", "ed25519"}, true, true},
		{"ecdsa256", []string{"-t", "ecdsa"}, true, true},
		{"ecdsa521", []string{"-t", "ecdsa", "-b", "521"}, true, true},
		{"rsa", []string{"-t", "rsa", "-b", "2048"}, true, true},
		{"encrypted", []string{"-t", "ed25519", "-N", "secret"}, true, false},
		{"gcm", []string{"-t", "ed25519", "-N", "secret", "-Z", "aes256-gcm@openssh.com", "-a", "1"}, true, false},
		{"pkcs1", []string{"-t", "rsa", "-b", "2048", "-m", "PEM"}, true, false},
		{"pkcs1 encrypted", []string{"-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "secret"}, false, false},
		{"sec1", []string{"-t", "ecdsa", "-m", "PEM"}, true, false},
		{"sec1 encrypted", []string{"-t", "ecdsa", "-m", "PEM", "-N", "secret"}, false, false},
		{"pkcs8 rsa", []string{"-t", "rsa", "-b", "2048", "-m", "PKCS8"}, true, false},
		{"pkcs8 ecdsa", []string{"-t", "ecdsa", "-m", "PKCS8"}, true, false},
		{"pkcs8 encrypted", []string{"-t", "ecdsa", "-m", "PKCS8", "-N", "secret"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k")
			sshtest.KeygenPair(t, path, c.args...)
			want := strings.TrimSuffix(read(t, path+".pub"), "\n")
			for _, name := range []string{path, path + ".pub"} {
				p := load(t, name)
				if !p.Usable() || p.Public.Line() != want || p.Path != path || p.NoPrivate || p.NoPublic {
					t.Fatalf("Load(%s): usable %v, faults %v, no private %v, no public %v, at %s\n got %s\nwant %s",
						name, p.Usable(), p.Faults, p.NoPrivate, p.NoPublic, p.Path, p.Public.Line(), want)
				}
			}

			remove(t, path+".pub")
			p := load(t, path)
			if p.Usable() != c.private || p.NoPrivate || !p.NoPublic {
				t.Fatalf("without .pub: usable %v, no private %v, no public %v, faults %v", p.Usable(), p.NoPrivate, p.NoPublic, p.Faults)
			}
			if !c.private {
				if len(p.Faults) != 1 || p.Faults[0].Cause != "key-encrypted" {
					t.Errorf("without .pub: faults %v", p.Faults)
				}
				return
			}
			if !c.comment {
				want = strings.TrimSuffix(want, " the comment")
			}
			if got := p.Public.Line(); got != want {
				t.Errorf("without .pub:\n got %s\nwant %s", got, want)
			}
		})
	}
}

// The faults that a pair can have, each planted in a good one.
func TestLoadFaults(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh-keygen")
	for _, c := range []struct {
		name  string
		args  []string // of ssh-keygen, for another pair than ed25519
		plant func(t *testing.T, path string)
		want  []string // causes
	}{
		{"none", nil, func(*testing.T, string) {}, nil},
		{"other comment", nil, func(t *testing.T, path string) {
			line := strings.Fields(read(t, path+".pub"))
			write(t, path+".pub", line[0]+" "+line[1]+" another\n", 0o644)
		}, nil},
		{"mode", nil, func(t *testing.T, path string) { os.Chmod(path, 0o640) }, []string{"key-mode"}},
		{"mode and weak", []string{"-t", "rsa", "-b", "1024"}, func(t *testing.T, path string) { os.Chmod(path, 0o604) },
			[]string{"key-mode", "key-weak"}},
		{"weak", []string{"-t", "rsa", "-b", "1024"}, func(*testing.T, string) {}, []string{"key-weak"}},
		{"weak, PEM", []string{"-t", "rsa", "-b", "1024", "-m", "PEM"}, func(t *testing.T, path string) { remove(t, path+".pub") }, []string{"key-weak"}},
		{"weak, 2047", []string{"-t", "rsa", "-b", "2047"}, func(*testing.T, string) {}, []string{"key-weak"}},
		{"dsa", []string{"-t", "dsa"}, func(*testing.T, string) {}, []string{"key-weak"}},
		{"dsa, PEM, no .pub", []string{"-t", "dsa", "-m", "PEM"}, func(t *testing.T, path string) { remove(t, path+".pub") }, []string{"key-weak"}},
		{"another's .pub", nil, func(t *testing.T, path string) {
			sshtest.KeygenPair(t, path+"2", "-t", "ed25519")
			write(t, path+".pub", read(t, path+"2.pub"), 0o644)
		}, []string{"key-pair-mismatch"}},
		{"another's .pub, PEM", []string{"-t", "ecdsa", "-m", "PEM"}, func(t *testing.T, path string) {
			sshtest.KeygenPair(t, path+"2", "-t", "ed25519")
			write(t, path+".pub", read(t, path+"2.pub"), 0o644)
		}, []string{"key-pair-mismatch"}},
		{"empty", nil, func(t *testing.T, path string) { write(t, path, "", 0o600) }, []string{"key-damaged"}},
		{"torn", nil, func(t *testing.T, path string) { write(t, path, read(t, path)[:100], 0o600) }, []string{"key-damaged"}},
		{"NULs", nil, func(t *testing.T, path string) { write(t, path, strings.Repeat("\x00", 399), 0o600) }, []string{"key-damaged"}},
		{"CR LF", nil, func(t *testing.T, path string) {
			write(t, path, strings.ReplaceAll(read(t, path), "\n", "\r\n"), 0o600)
		}, []string{"key-damaged"}},
		{"torn PEM", []string{"-t", "ecdsa", "-m", "PEM"}, func(t *testing.T, path string) {
			remove(t, path+".pub")
			lines := strings.SplitAfter(read(t, path), "\n")
			write(t, path, lines[0]+lines[1]+lines[4], 0o600)
		}, []string{"key-damaged"}},
		{"public twice", nil, func(t *testing.T, path string) { write(t, path, read(t, path+".pub"), 0o600) }, []string{"key-format"}},
		{"PuTTY", nil, func(t *testing.T, path string) {
			write(t, path, "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", 0o600)
		}, []string{"key-format"}},
		{"never a key", nil, func(t *testing.T, path string) {
			remove(t, path)
			write(t, path, "root:x:0:0:root:/root:/bin/sh\n", 0o644)
		}, []string{"key-format"}},
		{"PuTTY, open", nil, func(t *testing.T, path string) {
			remove(t, path)
			write(t, path, "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", 0o644)
		}, []string{"key-format", "key-mode"}},
		{"too large", nil, func(t *testing.T, path string) {
			write(t, path, read(t, path)+strings.Repeat("x", 1<<20), 0o600)
		}, []string{"key-damaged"}},
		{"folder", nil, func(t *testing.T, path string) { remove(t, path); os.Mkdir(path, 0o700) }, []string{"key-damaged"}},
		{"empty .pub", nil, func(t *testing.T, path string) { write(t, path+".pub", "", 0o644) }, []string{"key-damaged"}},
		{".pub that is private", nil, func(t *testing.T, path string) { write(t, path+".pub", read(t, path), 0o600) }, []string{"key-damaged"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "k")
			args := c.args
			if args == nil {
				args = []string{"-t", "ed25519"}
			}
			sshtest.KeygenPair(t, path, args...)
			c.plant(t, path)
			p := load(t, path)
			var got []string
			for _, f := range p.Faults {
				got = append(got, f.Cause)
				if !strings.HasPrefix(f.Path, path) || f.Detail == "" || f.Hint == "" || strings.Contains(f.Detail, f.Path) {
					t.Errorf("fault %+v", f)
				}
			}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("faults %+v, want %v", p.Faults, c.want)
			}
			if p.Usable() != (c.want == nil) {
				t.Errorf("usable: %v", p.Usable())
			}
		})
	}
}

func TestLoadHalves(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	if _, err := identity.Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no half: %v", err)
	}
	if _, err := identity.Load(filepath.Join(dir, "no", "k")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	if _, err := identity.Load(filepath.Join(path, "k")); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder but a file: %v", err)
	}

	remove(t, path)
	p := load(t, path)
	if p.Usable() || len(p.Faults) > 0 || !p.NoPrivate || p.NoPublic || p.Public.Comment != "the comment" {
		t.Errorf("only .pub: %+v", p)
	}
	if _, err := p.Signer(t.Context(), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("only .pub: Signer: %v", err)
	}
}

// A fifo in place of a key must not hold us: nobody ever writes to this one.
func TestLoadFifo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "k")
	if err := exec.Command("mkfifo", path).Run(); err != nil {
		t.Skip("no mkfifo here")
	}
	if p := load(t, path); p.Usable() || len(p.Faults) != 1 || p.Faults[0].Cause != "key-damaged" {
		t.Errorf("%+v", p)
	}
}

// ssh follows a link to a key, and so does Load.
func TestLoadLink(t *testing.T) {
	dir := t.TempDir()
	sshtest.KeygenPair(t, filepath.Join(dir, "real"), "-t", "ed25519")
	path := filepath.Join(dir, "k")
	if err := os.Symlink("real", path); err != nil {
		t.Skip(err)
	}
	if p := load(t, path); !p.Usable() || p.Public.Comment != "the comment" {
		t.Errorf("%+v", p)
	}
}

// What others may not read we call unreadable, and not damaged. Root reads
// everything, so a user does this: the test itself, if it is not root.
func TestLoadUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if p := load(t, path); len(p.Faults) != 1 || p.Faults[0].Cause != "key-unreadable" {
		t.Errorf("mode 0: %+v", p.Faults)
	}
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	if _, err := identity.Load(path); !errors.Is(err, syscall.EACCES) {
		t.Errorf("folder closed: %v", err)
	}
}
