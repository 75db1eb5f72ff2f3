package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/sshtest"
)

// shown is what ssh-keygen says of a certificate.
func shown(t *testing.T, file string) string {
	t.Helper()
	return sshtest.Keygen(t, "-L", "-f", file)
}

// signed has ssh-keygen and then us sign a key, and returns what ssh-keygen says
// of both certificates. A minute may begin between the two.
func signed(t *testing.T, key string, args ...string) (theirs, ours string) {
	t.Helper()
	for range 5 {
		sshtest.Keygen(t, append(append([]string{"-q"}, args...), key+".pub")...)
		theirs = shown(t, key+"-cert.pub")
		os.Remove(key + "-cert.pub")
		r := pikeygen(filepath.Dir(key), "", append(slices.Clone(args), key+".pub")...)
		r.check(t, 0, "signed "+key+"-cert.pub")
		if r.stdout != read(t, key+"-cert.pub") {
			t.Errorf("it prints %q, and writes %q", r.stdout, read(t, key+"-cert.pub"))
		}
		if ours = shown(t, key+"-cert.pub"); ours == theirs {
			break
		}
	}
	return theirs, ours
}

func TestSignLikeSSHKeygen(t *testing.T) {
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca")
	sshtest.KeygenPair(t, ca, "-t", "ed25519")
	key := filepath.Join(dir, "key")
	sshtest.KeygenPair(t, key, "-t", "ed25519")
	for _, c := range []string{
		"-V always:forever",
		"-V +52w", "-V +1h30m", "-V -1w:+52w", "-V -1d:forever", "-V always:+90", "-V +1d:+2d",
		// In UTC: without it ssh-keygen takes summer time for winter time.
		"-V 20260101z:20270701Z", "-V 20260101Z:20270101120000Z", "-V 202601011200utc:20270101Z", "-V 20260101120000Z:20270101UTC",
		"-V 0x10:0xffffffffffff", "-V 20260101Z:0xFFFFFFFFFFFFFFFF",
		"-z 17", "-z 18446744073709551615", "-z +3",
		"-O clear", "-O no-pty", "-O NO-PTY -O no-x11-forwarding", "-O clear -O permit-pty -O permit-X11-forwarding", "-O permit-pty -O clear",
		"-O no-agent-forwarding -O no-port-forwarding -O no-user-rc", "-O no-touch-required", "-O no-touch-required -O touch-required",
		"-O verify-required", "-O verify-required -O no-verify-required",
		"-O force-command=/bin/true", "-O Force-Command=a=b", "-O source-address=10.0.0.0/8,192.168.1.7,fe80::/16,::1",
		"-O critical:x@example.com", "-O critical:x@example.com=y=z", "-O critical:x=", "-O extension:b -O extension:a=1 -O extension:a",
		"-O extension:permit-pty", "-O critical:force-command=x -O force-command=y",
		"-n pi,admin,a b",
	} {
		args := []string{"-s", ca, "-I", "my key", "-n", "pi"}
		if names, ok := strings.CutPrefix(c, "-n "); ok { // with a blank in one
			args = append(args, "-n", names)
		} else {
			args = append(args, strings.Fields(c)...)
		}
		if theirs, ours := signed(t, key, args...); theirs != ours {
			t.Errorf("%s: ssh-keygen makes\n%sand we\n%s", c, theirs, ours)
		}
	}

	// What it refuses.
	for _, c := range []string{
		"-V +", "-V soon", "-V +1x", "-V 20260101", "-V :20260101", "-V 20260101:", "-V 2026:2027", "-V 20270101:20260101", "-V +2d:+1d", "-V forever:always",
		"-V -9999w:+1w", "-V 0xx:forever", "-z x", "-z -1", "-z 18446744073709551616", "-O nonsense", "-O force-command=", "-O force-command=a -O force-command=b",
		"-O source-address=pi", "-O source-address=10.0.0.1/8", "-O source-address=10.0.0.0/8,", "-n ,", "-n pi,", "-O critical", "-O permit-pty=x",
	} {
		args := append([]string{"-s", ca, "-I", "id", "-n", "pi"}, strings.Fields(c)...)
		if sshtest.Command(t, dir, "ssh-keygen", append(append(args, "-q"), key+".pub")...).Run() == nil {
			t.Errorf("%s: ssh-keygen takes it", c)
		}
		pikeygen(dir, "", append(args, key+".pub")...).check(t, 2)
	}
}

func TestSignKeysOfAllTypes(t *testing.T) {
	dir := t.TempDir()
	var keys, authorities []string
	for _, args := range []string{"-t ed25519", "-t ecdsa", "-t ecdsa -b 384", "-t ecdsa -b 521", "-t rsa -b 2048"} {
		key := filepath.Join(dir, "key"+strings.ReplaceAll(args, " ", ""))
		sshtest.KeygenPair(t, key, strings.Fields(args)...)
		keys, authorities = append(keys, key), append(authorities, key)
	}
	// Of a token there is the public half alone.
	public, err := ssh.ParsePublicKey(mustBlob(t, read(t, keys[1]+".pub")))
	if err != nil {
		t.Fatal(err)
	}
	var ec struct{ Type, Curve, Point string }
	if err := ssh.Unmarshal(public.Marshal(), &ec); err != nil {
		t.Fatal(err)
	}
	for name, blob := range map[string][]byte{
		"sk-ssh-ed25519@openssh.com":         ssh.Marshal(struct{ Type, Key, App string }{"sk-ssh-ed25519@openssh.com", strings.Repeat("k", 32), "ssh:"}),
		"sk-ecdsa-sha2-nistp256@openssh.com": ssh.Marshal(struct{ Type, Curve, Point, App string }{"sk-ecdsa-sha2-nistp256@openssh.com", ec.Curve, ec.Point, "ssh:pi"}),
	} {
		key := filepath.Join(dir, name)
		write(t, key+".pub", name+" "+base64.StdEncoding.EncodeToString(blob)+" token\n")
		keys = append(keys, key)
	}
	for i, key := range keys {
		ca := authorities[i%len(authorities)]
		if theirs, ours := signed(t, key, "-s", ca, "-I", "id", "-n", "pi", "-V", "always:forever"); theirs != ours {
			t.Errorf("%s signed by %s: ssh-keygen makes\n%sand we\n%s", key, ca, theirs, ours)
		}
	}
	if out := shown(t, filepath.Join(dir, "key-trsa-b2048-cert.pub")); !strings.Contains(out, "(using rsa-sha2-512)") {
		t.Errorf("an authority of RSA signs with SHA-1: %s", out)
	}
}

func mustBlob(t *testing.T, line string) []byte {
	t.Helper()
	blob, err := base64.StdEncoding.DecodeString(strings.Fields(line)[1])
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// Several keys, in files named by either half and on standard input: each has a
// serial number of its own, and what is wrong with one does not keep the rest.
func TestSignSeveral(t *testing.T) {
	dir, folder := home(t)
	ca := filepath.Join(dir, "ca")
	sshtest.KeygenPair(t, ca, "-t", "ed25519", "-a", "1", "-N", "secret")
	write(t, filepath.Join(dir, "secret"), "secret\n")
	a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	sshtest.KeygenPair(t, a, "-t", "ed25519")
	sshtest.KeygenPair(t, b, "-t", "ecdsa", "-a", "1", "-N", "another")
	sign := []string{"-s", ca, "--passphrase-file", filepath.Join(dir, "secret"), "-I", "id", "-n", "pi", "-z", "+41", "-V", "+1w"}
	r := pikeygen(dir, read(t, a+".pub")+read(t, b+".pub"), append(sign, a, "nosuch", b+".pub", "-")...)
	r.check2(t, 2, "nosuch")
	var serials []string
	for line := range strings.Lines(r.stdout) {
		write(t, filepath.Join(dir, "one"), line)
		serials = append(serials, regexp.MustCompile(`Serial: (\d+)`).FindStringSubmatch(shown(t, filepath.Join(dir, "one")))[1])
	}
	if want := strings.Fields("41 42 43 44"); !slices.Equal(serials, want) {
		t.Errorf("serial numbers %q, want %q\n%s", serials, want, r.stderr)
	}
	if got := read(t, b+"-cert.pub"); !strings.HasSuffix(got, " the comment\n") {
		t.Errorf("the comment is lost: %s", got)
	}
	if info, err := os.Stat(a + "-cert.pub"); err != nil || info.Mode().Perm() != 0o644 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", info, err)
	}
	pikeygen(dir, "", "-s", ca, "-I", "id", "-n", "pi", "-V", "+1w", a).check(t, 2, "--passphrase-file FILE")

	// A dry run needs no passphrase, and writes nothing.
	before := tree(t, dir)
	r = pikeygen(dir, "", "-s", ca, "-I", "id", "-n", "pi", "-V", "always:forever", "--dry-run", a)
	if want := fmt.Sprintf("-\ttodo\tcert-made\t%s\t%s-cert.pub id \"id\" serial 0 for pi, valid forever\n", strings.Fields(sshtest.Keygen(t, "-l", "-f", a))[1], a); r.status != 1 || r.stdout != want {
		t.Errorf("%+v, want %q", r, want)
	}
	if tree(t, dir) != before {
		t.Error("something was written")
	}
}

// check2 is check where something was done for all the trouble.
func (r result) check2(t *testing.T, status int, words ...string) {
	t.Helper()
	if r.status != status || r.stdout == "" {
		t.Errorf("status %d, want %d: %+v", r.status, status, r)
	}
	for _, w := range words {
		if !strings.Contains(r.stderr, w) {
			t.Errorf("standard error does not hold %q:\n%s", w, r.stderr)
		}
	}
}

// A certificate takes the place of the one before it, and of nothing else.
func TestSignAgain(t *testing.T) {
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca"), filepath.Join(dir, "key")
	sshtest.KeygenPair(t, ca, "-t", "ed25519")
	sshtest.KeygenPair(t, key, "-t", "ed25519")
	place := key + "-cert.pub"
	sign := []string{"-s", ca, "-I", "id", "-n", "pi", "-V", "+1w", key}
	first := pikeygen(dir, "", sign...)
	second := pikeygen(dir, "", sign...)
	if second.check(t, 0); second.stdout == first.stdout || read(t, place) != second.stdout {
		t.Errorf("not renewed: %+v", second)
	}

	sshtest.Keygen(t, "-q", "-s", ca, "-I", "host", "-h", "-n", "pi.local", key+".pub")
	host := read(t, place)
	sshtest.KeygenPair(t, key+"2", "-t", "ed25519")
	sshtest.Keygen(t, "-q", "-s", ca, "-I", "id", "-n", "pi", key+"2.pub")
	for what, content := range map[string]string{
		"a host certificate":                 host,
		"is not a certificate of this key":   read(t, key+"2-cert.pub"),
		"something other than one":           "a letter\n",
		"something other than one ":          "",
		"is not a certificate of this key, ": read(t, key+".pub"),
		"something other than one certif":    read(t, key),
	} {
		write(t, place, content)
		pikeygen(dir, "", sign...).check(t, 2, what)
		pikeygen(dir, "", append([]string{"--dry-run"}, sign...)...).check(t, 2, what)
		if read(t, place) != content {
			t.Errorf("%s: it was written over", what)
		}
	}
	os.Remove(place)
	if err := os.Mkdir(place, 0o755); err != nil {
		t.Fatal(err)
	}
	pikeygen(dir, "", sign...).check(t, 2, place)
}

func TestSignUsage(t *testing.T) {
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca"), filepath.Join(dir, "key")
	sshtest.KeygenPair(t, ca, "-t", "ed25519")
	sshtest.KeygenPair(t, key, "-t", "ed25519")
	sshtest.KeygenPair(t, key+"weak", "-t", "rsa", "-b", "1024")
	sshtest.Keygen(t, "-q", "-s", ca, "-I", "id", "-n", "pi", key+".pub")
	write(t, filepath.Join(dir, "two"), read(t, key+".pub")+read(t, ca+".pub"))
	before := tree(t, dir)
	for _, c := range []struct{ args, says string }{
		{"-s CA -n pi KEY", "-I"},
		{"-s CA -I id KEY", "name the users"},
		{"-s CA -I id -n pi", "files of the keys"},
		{"-I id -n pi KEY", "-s"},
		{"-s CA -I id -h -n pi KEY", "ssh-keygen -s CA -I ID -h"},
		{"-s CA -I id -n pi -t rsa KEY", "--type"},
		{"-s CA -I id -n pi -l KEY", "exclude"},
		{"-V +1w", "-s CA"},
		{"-s - -I id -n pi KEY", "-s"},
		{"-s nosuch -I id -n pi -V +1w KEY", "nosuch"},
		{"-s CA -I id -n pi -V +1w KEY-cert.pub", "already"},
		{"-s CA -I id -n pi -V +1w KEYweak", "weak"},
		{"-s KEYweak -I id -n pi -V +1w KEY", "key-weak"},
		{"-s CA -I id -n pi -V +1w two", "2 keys"},
		{"-s CA -U -I id -n pi -V +1w KEY", "SSH_AUTH_SOCK"},
	} {
		r := strings.NewReplacer("CA", ca, "KEY", key, "two", filepath.Join(dir, "two"))
		pikeygen(dir, "", strings.Fields(r.Replace(c.args))...).check(t, 2, c.says)
	}
	if err := os.Rename(ca, ca+".aside"); err != nil {
		t.Fatal(err)
	}
	pikeygen(dir, "", "-s", ca, "-I", "id", "-n", "pi", "-V", "+1w", key).check(t, 2, "only the public half", "hint: if the agent has the other: -U")
	if err := os.Rename(ca+".aside", ca); err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" {
		if err := os.Chmod(ca, 0o644); err != nil {
			t.Fatal(err)
		}
		pikeygen(dir, "", "-s", ca, "-I", "id", "-n", "pi", "-V", "+1w", key).check(t, 2, "key-mode", "hint: chmod go= "+ca)
		os.Chmod(ca, 0o600)
	}
	if tree(t, dir) != before {
		t.Error("something was written")
	}
	pikeygen(dir, "", "-s", ca, "-I", "id", "-n", "pi", "-V", "", key).check(t, 2, "-V names no interval")
	if r := pikeygen(dir, "", "-s", ca, "-I", "id", "-n", "pi", key); r.status != 0 || !strings.Contains(r.stderr, "forever; -V +52w ends it") {
		t.Errorf("no note that it never ends: %+v", r)
	}
	if r := pikeygen(dir, "", "-q", "-s", ca, "-I", "id", "-n", "pi", key); r.status != 0 || r.stderr != "" {
		t.Errorf("-q: %+v", r)
	}
}

// The key of the authority may be in the agent alone.
func TestSignByAgent(t *testing.T) {
	dir := t.TempDir()
	for _, keytype := range []string{"ed25519", "rsa"} {
		ca, key := filepath.Join(dir, "ca-"+keytype), filepath.Join(dir, "key-"+keytype)
		sshtest.KeygenPair(t, ca, "-t", keytype)
		sshtest.KeygenPair(t, key, "-t", "ed25519")
		socket := sshtest.StartAgent(t)
		run := func() result {
			var out, errOut strings.Builder
			env := &cli.Env{Name: "pikeygen", Args: []string{"-U", "-s", ca + ".pub", "-I", "id", "-n", "pi", "-V", "+1w", key}, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut,
				Getenv: func(name string) string { return map[string]string{"HOME": dir, "SSH_AUTH_SOCK": socket}[name] }}
			return result{cli.Run(env, run), out.String(), errOut.String()}
		}
		run().check(t, 2, "does not hold SHA256:", "hint: add it there: pikeycheck -a "+ca)
		sshtest.AddToAgent(t, socket, ca)
		if err := os.Remove(ca); err != nil {
			t.Fatal(err)
		}
		run().check(t, 0)
		if out := shown(t, key+"-cert.pub"); !strings.Contains(out, "Signing CA: "+strings.ToUpper(keytype)+" ") || strings.Contains(out, "(using ssh-rsa)") {
			t.Errorf("%s", out)
		}
	}
}
