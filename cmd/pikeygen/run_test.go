package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/sshtest"
)

// A result is what a run of the command came to.
type result struct {
	status         int
	stdout, stderr string
}

// pikeygen runs the command in the home directory.
func pikeygen(home, stdin string, args ...string) result {
	// No terminal and no askpass: nobody can be asked.
	return pikeygenWith(map[string]string{"HOME": home, "SSH_ASKPASS_REQUIRE": "force"}, stdin, args...)
}

func pikeygenWith(environment map[string]string, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	env := &cli.Env{
		Name: "pikeygen", Args: args, Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		Getenv: func(name string) string { return environment[name] },
	}
	status := cli.Run(env, run)
	return result{status, stdout.String(), stderr.String()}
}

// check fails the test unless the run ended with the status, and standard
// error holds the words.
func (r result) check(t *testing.T, status int, words ...string) {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d\nstdout: %s\nstderr: %s", r.status, status, r.stdout, r.stderr)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("standard error does not hold %q:\n%s", w, r.stderr)
		}
	}
	if status == cli.StatusTrouble && r.stdout != "" {
		t.Errorf("trouble, but standard output holds %q", r.stdout)
	}
}

// home makes a home directory with ~/.ssh.
func home(t *testing.T) (dir, ssh string) {
	t.Helper()
	dir = t.TempDir()
	ssh = filepath.Join(dir, ".ssh")
	if err := os.Mkdir(ssh, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir, ssh
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tree returns every file under dir with its mode and content, to see that
// nothing was touched.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.Mode().String() + "\n")
		if info.Mode().IsRegular() {
			b.WriteString(read(t, path))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestMakeThenFind(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".ssh", "id_ed25519")
	first := pikeygen(dir, "", "-C", "pi@home")
	first.check(t, 0, "pikeygen: made "+path)
	if want := read(t, path+".pub"); first.stdout != want || !strings.HasSuffix(want, " pi@home\n") || strings.Count(want, "\n") != 1 {
		t.Errorf("standard output is %q, .pub holds %q", first.stdout, want)
	}
	if got := sshtest.Keygen(t, "-y", "-P", "", "-f", path); got != first.stdout {
		t.Errorf("ssh-keygen -y says %q, we %q", got, first.stdout)
	}
	before := tree(t, dir)
	again := pikeygen(dir, "")
	again.check(t, 0, "pikeygen: using "+path)
	if again.stdout != first.stdout || tree(t, dir) != before {
		t.Errorf("the second run says %q, the first %q", again.stdout, first.stdout)
	}
	if quiet := pikeygen(dir, "", "-q"); quiet.stdout != first.stdout || quiet.stderr != "" {
		t.Errorf("-q: %+v", quiet)
	}
}

func TestMakeTypes(t *testing.T) {
	for _, c := range []struct{ args, name, bits string }{
		{"-t ed25519 --new-passphrase=", "id_ed25519", "256 "},
		{"-t ecdsa", "id_ecdsa", "256 "},
		{"-t ecdsa -b 521", "id_ecdsa", "521 "},
		{"-t rsa -b 2048", "id_rsa", "2048 "},
		{"--type=ecdsa --bits=384 --comment=x", "id_ecdsa", "384 "},
	} {
		dir, ssh := home(t)
		r := pikeygen(dir, "", strings.Fields(c.args)...)
		r.check(t, 0)
		if got := sshtest.Keygen(t, "-l", "-f", filepath.Join(ssh, c.name)); !strings.HasPrefix(got, c.bits) {
			t.Errorf("%s: ssh-keygen -l says %q", c.args, got)
		}
		if !strings.Contains(c.args, "comment") && !strings.HasSuffix(r.stdout, " "+defaultComment()+"\n") {
			t.Errorf("%s: %q", c.args, r.stdout)
		}
	}
}

// -t passes by pairs of another type.
func TestTypeAskedFor(t *testing.T) {
	dir, ssh := home(t)
	sshtest.KeygenPair(t, filepath.Join(ssh, "id_rsa"), "-t", "rsa", "-b", "2048")
	if r := pikeygen(dir, ""); r.stdout != read(t, filepath.Join(ssh, "id_rsa.pub")) {
		t.Errorf("%+v", r)
	}
	if r := pikeygen(dir, "", "-t", "rsa", "-b", "4096"); r.stdout != read(t, filepath.Join(ssh, "id_rsa.pub")) || !strings.Contains(r.stderr, "2048 bits") {
		t.Errorf("%+v", r)
	}
	r := pikeygen(dir, "", "-t", "ed25519")
	if r.check(t, 0); r.stdout != read(t, filepath.Join(ssh, "id_ed25519.pub")) {
		t.Errorf("%+v", r)
	}
	before := tree(t, dir)
	pikeygen(dir, "", "-t", "ecdsa", "-f", filepath.Join(ssh, "id_rsa")).check(t, 2, "it is RSA and not ecdsa", "pikeygen -f FILE")
	if tree(t, dir) != before {
		t.Error("something was written")
	}
}

// Whatever ssh-keygen makes is found, and printed as in its .pub; -y prints
// the same and rebuilds the .pub.
func TestFindWhatSSHKeygenMakes(t *testing.T) {
	for _, c := range []struct {
		args    string
		comment bool // the private half tells it
	}{
		{"-t ed25519", true},
		{"-t ecdsa -b 384", true},
		{"-t rsa -b 2048", true},
		{"-t ed25519 -N secret", false},
		{"-t rsa -b 2048 -m PEM", false},
		{"-t ecdsa -m PKCS8", false},
		{"-t ecdsa -m PEM -N secret", false},
	} {
		t.Run(c.args, func(t *testing.T) {
			dir, ssh := home(t)
			path := filepath.Join(ssh, "id_"+strings.Fields(c.args)[1])
			sshtest.KeygenPair(t, path, strings.Fields(c.args)...)
			want := read(t, path+".pub")
			for _, args := range [][]string{{}, {"-f", path}, {"-f", path + ".pub"}, {"-y"}, {"-y", "-f", path}} {
				r := pikeygen(dir, "", args...)
				if r.check(t, 0); r.stdout != want {
					t.Errorf("%q prints %q, want %q", args, r.stdout, want)
				}
			}

			if err := os.Remove(path + ".pub"); err != nil {
				t.Fatal(err)
			}
			if !c.comment {
				want = strings.TrimSuffix(want, " the comment\n") + "\n"
			}
			secret := filepath.Join(t.TempDir(), "secret")
			write(t, secret, "secret\n")
			// Found without it, if the private half tells its public one; only
			// -y writes it.
			if r := pikeygen(dir, "", "-f", path); !strings.Contains(c.args, "PEM -N") {
				if r.check(t, 0, path+".pub is missing", "pikeygen -y -f "+path); r.stdout != want {
					t.Errorf("without .pub prints %q, want %q", r.stdout, want)
				}
			} else {
				r.check(t, 2, "key-encrypted", "pikeygen -y --passphrase-file FILE -f "+path)
			}
			args := []string{"-y", "-f", path, "--passphrase-file", secret}
			if r := pikeygen(dir, "", append(args, "-n")...); r.status != 1 || r.stdout != "-\ttodo\tkey-made\t"+path+".pub\tthe public half, from the private key file\n" {
				t.Errorf("-n: %+v", r)
			}
			r := pikeygen(dir, "", args...)
			if r.check(t, 0, "made "+path+".pub"); r.stdout != want || read(t, path+".pub") != want {
				t.Errorf("-y prints %q and writes %q, want %q", r.stdout, read(t, path+".pub"), want)
			}
			if info, err := os.Stat(path + ".pub"); err != nil || info.Mode().Perm() != 0o644 && runtime.GOOS != "windows" {
				t.Errorf("%v, %v", info.Mode(), err)
			}
		})
	}
}

func TestMakeWithPassphrase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "my key")
	secret := filepath.Join(dir, "secret")
	write(t, secret, "correct horse\nsecond line\n")
	r := pikeygen(dir, "", "-f", path, "--passphrase-file", secret)
	r.check(t, 0)
	if got := sshtest.Keygen(t, "-y", "-P", "correct horse", "-f", path); !strings.HasPrefix(r.stdout, strings.TrimSpace(got)) {
		t.Errorf("ssh-keygen -y says %q, we %q", got, r.stdout)
	}
	if strings.Contains(r.stdout+r.stderr, "horse") {
		t.Errorf("the passphrase is in %+v", r)
	}

	// Refused: readable by others, empty, not there. Nothing is made.
	other := filepath.Join(dir, "other")
	empty := filepath.Join(dir, "empty")
	write(t, empty, "\n")
	pikeygen(dir, "", "-f", other, "--passphrase-file", empty).check(t, 2)
	pikeygen(dir, "", "-f", other, "--passphrase-file", filepath.Join(dir, "nowhere")).check(t, 2, "nowhere")
	if runtime.GOOS != "windows" {
		if err := os.Chmod(secret, 0o644); err != nil {
			t.Fatal(err)
		}
		pikeygen(dir, "", "-f", other, "--passphrase-file", secret).check(t, 2, secret)
	}
	if _, err := os.Lstat(other); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a key was made")
	}
	// A pair that is there needs none, so the file is not even looked at.
	if again := pikeygen(dir, "", "-v", "-f", path, "--passphrase-file", filepath.Join(dir, "nowhere")); again.stdout != r.stdout {
		t.Errorf("%+v", again)
	}
}

// Faults on the way: told, passed by, and never written over.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		plant  func(t *testing.T, path string)
		words  []string
		public bool // -y prints it all the same
	}{
		{"mode", func(t *testing.T, path string) { os.Chmod(path, 0o644) }, []string{"key-mode", "hint: chmod go= /"}, true},
		{"damaged", func(t *testing.T, path string) { write(t, path, read(t, path)[:99]) }, []string{"key-damaged"}, false},
		{"empty", func(t *testing.T, path string) { write(t, path, "") }, []string{"key-damaged"}, false},
		{"PuTTY", func(t *testing.T, path string) { write(t, path, "PuTTY-User-Key-File-3: ssh-ed25519\n") }, []string{"key-format", "hint: "}, false},
		{"mismatch", func(t *testing.T, path string) {
			sshtest.KeygenPair(t, path+"2", "-t", "ed25519")
			write(t, path+".pub", read(t, path+"2.pub"))
		}, []string{"key-pair-mismatch", "it holds SHA256:", "id_ecdsa.pub: "}, false},
		{"empty .pub", func(t *testing.T, path string) { write(t, path+".pub", "") }, []string{"key-damaged", ".pub: "}, false},
		{"only .pub", func(t *testing.T, path string) { os.Remove(path) }, []string{"only the public half is there"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, ssh := home(t)
			path := filepath.Join(ssh, "id_ecdsa")
			sshtest.KeygenPair(t, path, "-t", "ecdsa")
			c.plant(t, path)
			before := tree(t, ssh)
			r := pikeygen(dir, "")
			r.check(t, 0, append(c.words, path+": skipped")...)
			if r.stdout != read(t, filepath.Join(ssh, "id_ed25519.pub")) {
				t.Errorf("%+v", r)
			}
			if r := pikeygen(dir, "", "-q"); r.stderr != "" {
				t.Errorf("-q: %s", r.stderr)
			}
			os.Remove(filepath.Join(ssh, "id_ed25519"))
			os.Remove(filepath.Join(ssh, "id_ed25519.pub"))

			for _, args := range [][]string{{"-f", path}, {"-t", "ecdsa"}, {"-f", path, "-n"}} {
				pikeygen(dir, "", args...).check(t, 2, append(c.words, path+" exists but cannot be used", "pikeygen -f FILE")...)
			}
			r = pikeygen(dir, "", "-y", "-f", path)
			if c.public {
				if r.check(t, 0, c.words[1:]...); r.stdout != read(t, path+".pub") {
					t.Errorf("-y prints %q", r.stdout)
				}
			} else {
				r.check(t, 2, c.words...)
			}
			if after := tree(t, ssh); after != before {
				t.Errorf("before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// The hint for a .pub of another key is one that works.
func TestMismatchHint(t *testing.T) {
	dir, ssh := home(t)
	path := filepath.Join(ssh, "id_ed25519")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	want := read(t, path+".pub")
	sshtest.KeygenPair(t, path+"2", "-t", "ed25519")
	write(t, path+".pub", read(t, path+"2.pub"))
	r := pikeygen(dir, "", "-y")
	r.check(t, 2, "mv "+path+".pub "+path+".pub.old; pikeygen -y -f "+path)
	if err := os.Rename(path+".pub", path+".pub.old"); err != nil {
		t.Fatal(err)
	}
	if r := pikeygen(dir, "", "-y", "-f", path); r.stdout != want || read(t, path+".pub") != want {
		t.Errorf("%+v", r)
	}
}

// -y of an old PEM file without a .pub needs the passphrase, and says so.
func TestPublicNeedsPassphrase(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	sshtest.KeygenPair(t, path, "-t", "ecdsa", "-m", "PEM", "-N", "secret")
	if err := os.Remove(path + ".pub"); err != nil {
		t.Fatal(err)
	}
	wrong := filepath.Join(dir, "wrong")
	write(t, wrong, "wrong\n")
	pikeygen(dir, "", "-y", "-f", path).check(t, 2, path, "hint: ", "--passphrase-file")
	pikeygen(dir, "", "-y", "-f", path, "--passphrase-file", wrong).check(t, 2, path, "the passphrase is wrong")
	if _, err := os.Lstat(path + ".pub"); err == nil {
		t.Error(".pub was written")
	}
}

func TestPublicNone(t *testing.T) {
	dir, ssh := home(t)
	pikeygen(dir, "", "-y").check(t, 2, "no usable key pair in "+ssh, "hint: ")
	pikeygen(dir, "", "-y", "-f", filepath.Join(ssh, "k")).check(t, 2, filepath.Join(ssh, "k"))
}

func TestDryRun(t *testing.T) {
	dir, ssh := home(t)
	before := tree(t, dir)
	r := pikeygen(dir, "", "-n", "-t", "ecdsa")
	path := filepath.Join(ssh, "id_ecdsa")
	r.check(t, 1, "would make an ecdsa key pair at "+path)
	if want := "-\ttodo\tkey-made\t" + path + "\ta new pair: ecdsa\n"; r.stdout != want {
		t.Errorf("standard output is %q, want %q", r.stdout, want)
	}
	if tree(t, dir) != before {
		t.Error("something was written")
	}
	sshtest.KeygenPair(t, path, "-t", "ecdsa")
	if r := pikeygen(dir, "", "-n"); r.status != 0 || r.stdout != read(t, path+".pub") {
		t.Errorf("with a pair: %+v", r)
	}
}

func TestList(t *testing.T) {
	dir, ssh := home(t)
	r := pikeygen(dir, "", "-l")
	r.check(t, 1, "key-missing: "+ssh, "hint: ")
	if want := "-\tfail\tkey-missing\t" + ssh + "\tnone of ssh's default key files is there\n"; r.stdout != want {
		t.Errorf("none: %q, want %q", r.stdout, want)
	}

	ed, ec := filepath.Join(ssh, "id_ed25519"), filepath.Join(ssh, "id_ecdsa")
	sshtest.KeygenPair(t, ed, "-t", "ed25519", "-a", "1", "-N", "secret")
	sshtest.KeygenPair(t, ec, "-t", "ecdsa")
	fingerprint := func(path string) string { return strings.Fields(sshtest.Keygen(t, "-l", "-f", path))[1] }
	edLine := "-\tok\tkey\t" + fingerprint(ed) + "\t256 ED25519 the comment " + ed + ", with a passphrase\n"
	ecLine := "-\tok\tkey\t" + fingerprint(ec) + "\t256 ECDSA the comment " + ec + "\n"
	if r := pikeygen(dir, "", "-l"); r.status != 0 || r.stdout != ecLine+edLine || r.stderr != "" {
		t.Errorf("two: %+v", r)
	}
	for _, args := range [][]string{{"-l", "-f", ec}, {"-l", ec}} {
		if r := pikeygen(dir, "", args...); r.status != 0 || r.stdout != ecLine {
			t.Errorf("%q: %+v", args, r)
		}
	}

	// Public keys: a file of them, and standard input.
	public := strings.ReplaceAll(ecLine, ec, ec+".pub")
	if r := pikeygen(dir, "", "-l", ec+".pub"); r.status != 0 || r.stdout != public {
		t.Errorf(".pub: %+v", r)
	}
	both := strings.ReplaceAll(ecLine, ec, "standard input") + strings.Replace(edLine, ed+", with a passphrase", "standard input", 1)
	in := "# keys\n" + read(t, ec+".pub") + read(t, ed+".pub")
	for _, args := range [][]string{{"-l", "-"}, {"-l", "-f", "-"}} {
		if r := pikeygen(dir, in, args...); r.status != 0 || r.stdout != both {
			t.Errorf("%q: %+v", args, r)
		}
	}
	if r := pikeygen(dir, "", "-l", "--json", ec); r.status != 0 || !strings.HasPrefix(r.stdout, `{"v":1,"target":"-","verdict":"ok","cause":"key","subject":"SHA256:`) {
		t.Errorf("--json: %+v", r)
	}

	// Bad input is told, and the rest is done.
	r = pikeygen(dir, "nonsense\n", "-l", "-", ec)
	if r.status != 2 || r.stdout != ecLine || !strings.Contains(r.stderr, "standard input: line 1: ") {
		t.Errorf("nonsense: %+v", r)
	}
	r = pikeygen(dir, read(t, ec), "-l", "-")
	if r.status != 2 || r.stdout != "" || strings.Contains(r.stderr, "PRIVATE KEY-") {
		t.Errorf("private: %+v", r)
	}
	r = pikeygen(dir, "", "-l", filepath.Join(ssh, "nowhere"), ec)
	if r.status != 1 || !strings.HasPrefix(r.stdout, "-\tfail\tkey-missing\t"+filepath.Join(ssh, "nowhere")+"\t") || !strings.HasSuffix(r.stdout, ecLine) {
		t.Errorf("nowhere: %+v", r)
	}
}

func TestListFaults(t *testing.T) {
	dir, ssh := home(t)
	path := filepath.Join(ssh, "id_rsa")
	sshtest.KeygenPair(t, path, "-t", "rsa", "-b", "1024")
	sshtest.KeygenPair(t, filepath.Join(ssh, "id_ecdsa"), "-t", "ecdsa")
	os.Remove(filepath.Join(ssh, "id_ecdsa"))
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	r := pikeygen(dir, "", "-l")
	r.check(t, 1, "hint: chmod go= /", "hint: pikeygen -t ed25519")
	var causes []string
	for line := range strings.Lines(r.stdout) {
		f := strings.Split(line, "\t")
		causes = append(causes, f[1]+" "+f[2]+" "+filepath.Base(f[3]))
	}
	if want := []string{"fail key-mode id_rsa", "fail key-weak id_rsa", "fail key-missing id_ecdsa"}; !slices.Equal(causes, want) {
		t.Errorf("%q, want %q", causes, want)
	}
	if r := pikeygen(dir, "", "-l", path+".pub"); r.status != 1 || !strings.Contains(r.stdout, "\tkey-weak\tSHA256:") {
		t.Errorf("weak .pub: %+v", r)
	}
	list := filepath.Join(dir, "list") // of public keys: there is no private one that could be damaged
	public, err := os.ReadFile(path + ".pub")
	if err != nil || os.WriteFile(list, append(public, "ssh-ed25519 AAAA\n"...), 0o600) != nil {
		t.Fatal(err)
	}
	if r := pikeygen(dir, "", "-l", list); r.status != 1 || !strings.Contains(r.stdout, "-\tfail\tkey-damaged\t"+list+"\tline 2: ") {
		t.Errorf("a list with a torn line: %+v", r)
	}
}

// Of lines that hold more than a key, and of those between lines that hold none,
// the same keys are listed as by ssh-keygen.
func TestListLines(t *testing.T) {
	dir, ssh := home(t)
	path := filepath.Join(ssh, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519", "-C", "its comment")
	public, err := os.ReadFile(path + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	key := string(public)
	bare := strings.Join(strings.Fields(key)[:2], " ") + "\n"
	for _, tt := range []struct {
		text   string
		status int
		told   string // the lines without a key
	}{
		{key + key[:40] + "\n\n# no key\nneither\n" + key, 1, "line 2, line 5"},
		{key[:40] + "\n" + key, 1, "line 1"},
		{`from="192.0.2.1, 192.0.2.2",restrict ` + key + key, 0, ""},
		{"restrict " + bare + "192.0.2.1 " + bare + "|1|salt=|sum= " + bare + "@revoked\n", 1, "line 4"},
	} {
		list := filepath.Join(dir, "list")
		if err := os.WriteFile(list, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var want []string
		for line := range strings.Lines(sshtest.Keygen(t, "-l", "-f", list)) {
			want = append(want, strings.TrimSuffix(line, " (ED25519)\n"))
		}
		for from, r := range map[string]result{list: pikeygen(dir, "", "-l", list), "standard input": pikeygen(dir, tt.text, "-l", "-")} {
			var got, told []string
			for line := range strings.Lines(r.stdout) {
				f := strings.Split(strings.TrimSpace(line), "\t")
				if f[2] != "key" {
					told = append(told, f[4][:strings.Index(f[4], ":")])
					continue
				}
				got = append(got, "256 "+f[3]+" "+strings.TrimSuffix(strings.TrimPrefix(f[4], "256 ED25519 "), " "+from))
			}
			if r.status != tt.status || !slices.Equal(got, want) || strings.Join(told, ", ") != tt.told {
				t.Errorf("%q from %s: %+v, want %q", tt.text, from, r, want)
			}
		}
	}
	if r := pikeygen(dir, "no key\n", "-l", "-"); r.status != 2 || r.stdout != "" {
		t.Errorf("no key at all: %+v", r)
	}
}

// With -v the list is that of ssh-keygen -lv, byte for byte.
func TestListPictures(t *testing.T) {
	dir, ssh := home(t)
	for _, args := range [][]string{{"-t", "ed25519"}, {"-t", "ecdsa", "-b", "521"}, {"-t", "rsa", "-b", "2048"}} {
		path := filepath.Join(ssh, "id_"+args[1])
		sshtest.KeygenPair(t, path, args...)
		want := sshtest.Keygen(t, "-l", "-v", "-f", path)
		if r := pikeygen(dir, "", "-l", "-v", path); r.status != 0 || r.stdout != want {
			t.Errorf("%q:\n%s\nwant\n%s", args, r.stdout, want)
		}
	}
}

func TestUsage(t *testing.T) {
	dir, ssh := home(t)
	path := filepath.Join(ssh, "k")
	for _, args := range []string{
		"operand", "-l -y", "-y -t rsa", "-l -t rsa", "-l -n", "-l -b 2048", "-l -C x", "-y -C x", "-y --new-passphrase=",
		"-l --passphrase-file x", "-b 2048", "-t dsa", "-t rsa -b 1024", "-t rsa -b 99999", "-t ecdsa -b 255",
		"--file=", "-f -", "-y -f -", "--passphrase-file=", "--new-passphrase= --passphrase-file x", "--unknown", "-b x",
		"-l -f " + path + " " + path,
	} {
		r := pikeygen(dir, "", strings.Fields(args)...)
		r.check(t, 2, "hint: -h lists the options")
	}
	pikeygen(dir, "", "-C", "a\nb").check(t, 2, "control character")
	r := pikeygen(dir, "", "-N", "tell nobody")
	if r.check(t, 2, "--passphrase-file"); strings.Contains(r.stderr, "nobody") {
		t.Errorf("the passphrase is in %q", r.stderr)
	}
	pikeygen("", "").check(t, 2, "HOME", "-f FILE")
	if entries, _ := os.ReadDir(ssh); len(entries) > 0 {
		t.Errorf("there is now %v", entries)
	}
	if r := pikeygen("", "", "-f", path); r.status != 0 {
		t.Errorf("-f without HOME: %+v", r)
	}
	if r := pikeygen(dir, "", "-h"); r.status != 0 || !strings.HasPrefix(r.stdout, "usage: pikeygen ") || r.stderr != "" {
		t.Errorf("-h: %+v", r)
	}
}

// A link that leads nowhere is in the way too: ssh-keygen would write through
// it.
func TestLinkToNowhere(t *testing.T) {
	dir, ssh := home(t)
	if err := os.Symlink("elsewhere", filepath.Join(ssh, "id_ed25519")); err != nil {
		t.Skip(err)
	}
	pikeygen(dir, "").check(t, 2, filepath.Join(ssh, "id_ed25519"), "pikeygen -f FILE")
	if entries, _ := os.ReadDir(ssh); len(entries) != 1 {
		t.Errorf("there is now %v", entries)
	}
}

// Of several at once on an empty home one makes the pair, and all print it.
func TestTogether(t *testing.T) {
	for range 5 {
		dir := t.TempDir()
		results := make([]result, 8)
		var wg sync.WaitGroup
		for i := range results {
			wg.Go(func() { results[i] = pikeygen(dir, "") })
		}
		wg.Wait()
		ssh := filepath.Join(dir, ".ssh")
		made := 0
		for _, r := range results {
			if r.check(t, 0); r.stdout != read(t, filepath.Join(ssh, "id_ed25519.pub")) {
				t.Errorf("%+v", r)
			}
			made += strings.Count(r.stderr, "pikeygen: made ")
		}
		if entries, _ := os.ReadDir(ssh); len(entries) != 2 || made != 1 {
			t.Errorf("%d pairs were made, there is %v", made, entries)
		}
	}
}

// When the key cannot be told, the status says so, and the pair stays.
func TestOutputFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	dir, ssh := home(t)
	for _, args := range [][]string{nil, {"-y"}, {"-l"}, {"-l", "-v"}, {"-h"}} {
		var stderr bytes.Buffer
		env := &cli.Env{Name: "pikeygen", Args: args, Stdin: strings.NewReader(""), Stdout: struct{ io.Writer }{full}, Stderr: &stderr,
			Getenv: func(string) string { return dir }}
		if status := cli.Run(env, run); status != 2 || !strings.Contains(stderr.String(), syscall.ENOSPC.Error()) {
			t.Errorf("%q: status %d, %s", args, status, stderr.String())
		}
	}
	if r := pikeygen(dir, ""); r.status != 0 || r.stdout != read(t, filepath.Join(ssh, "id_ed25519.pub")) {
		t.Errorf("%+v", r)
	}
}
