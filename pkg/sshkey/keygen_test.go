package sshkey

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// need skips the test where a peer program is missing, or fails it when
// everything must be there.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("PIKEY_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", program)
		}
		t.Skipf("%s is not installed", program)
	}
}

// keygen runs ssh-keygen in dir, with nothing of the developer's around it.
func keygen(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func mustKeygen(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := keygen(t, dir, args...)
	if err != nil {
		t.Fatalf("ssh-keygen %q: %v\n%s", args, err, out)
	}
	return out
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// made returns a line of the given type around fields; ssh-keygen -l takes any
// numbers and points for a key.
func made(typ string, fields ...string) string {
	blob := appendString(nil, typ)
	for _, f := range fields {
		blob = appendString(blob, f)
	}
	return typ + " " + base64.StdEncoding.EncodeToString(blob) + " made"
}

func madeRSA(bits int) string {
	n := bytes.Repeat([]byte{0xa5}, (bits+7)/8)
	n[0] = 1 << ((bits - 1) % 8)
	if n[0] == 0x80 {
		n = append([]byte{0}, n...)
	}
	return made("ssh-rsa", "\x01\x00\x01", string(n))
}

// Names, bits, fingerprints and pictures are ssh-keygen's own, for plain keys
// and for certificates.
func TestShowsWhatSSHKeygenShows(t *testing.T) {
	need(t, "ssh-keygen")
	dir := t.TempDir()
	mustKeygen(t, dir, "-q", "-t", "ed25519", "-N", "", "-f", "ca")
	var files []string
	for i, args := range [][]string{{"ed25519"}, {"rsa", "-b", "2048"}, {"ecdsa", "-b", "256"}, {"ecdsa", "-b", "384"}, {"ecdsa", "-b", "521"}} {
		name := fmt.Sprint("real", i)
		mustKeygen(t, dir, append([]string{"-q", "-N", "", "-C", "a b  c", "-f", name, "-t"}, args...)...)
		files = append(files, name+".pub")
	}
	point := read(t, filepath.Join(dir, "real2.pub"))
	p256, err := ParsePublic(point)
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{rest: p256.Blob}
	w.string()
	w.string()
	for i, line := range []string{
		madeRSA(1024), madeRSA(1031), madeRSA(3072), madeRSA(4096), madeRSA(16384),
		made("ssh-dss", strings.Repeat("\x7f", 128), strings.Repeat("\x7f", 20), "\x05", "\x06"),
		made("sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:"),
		made("sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", string(w.string()), "ssh:pi"),
	} {
		name := fmt.Sprintf("made%d.pub", i)
		write(t, filepath.Join(dir, name), line+"\n")
		files = append(files, name)
	}
	for _, name := range files {
		mustKeygen(t, dir, "-q", "-s", "ca", "-I", "id of it", "-n", "pi,root", "-V", "+1w", name)
	}
	for _, file := range files {
		plain, err := ParsePublic(read(t, filepath.Join(dir, file)))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		for _, name := range []string{file, strings.TrimSuffix(file, ".pub") + "-cert.pub"} {
			want := mustKeygen(t, dir, "-lvf", name)
			p, err := ParsePublic(read(t, filepath.Join(dir, name)))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if IsCertificate(p.Type) != (name != file) {
				t.Errorf("%s: IsCertificate is wrong about %s", name, p.Type)
			}
			if inside := p.Plain(); !inside.Equal(plain) || inside.Type != plain.Type || PlainType(p.Type) != plain.Type {
				t.Errorf("%s: Plain returns %s, PlainType %s", name, inside.Line(), PlainType(p.Type))
			}
			got := fmt.Sprintf("%d %s %s (%s)\n%s", p.Bits(), p.Fingerprint(), p.Comment, p.Name(), p.Randomart())
			if got != want {
				t.Errorf("%s:\n%swant\n%s", name, got, want)
			}
			if p.Line()+"\n" != read(t, filepath.Join(dir, name)) {
				t.Errorf("%s: Line returns %q", name, p.Line())
			}
		}
	}
}
