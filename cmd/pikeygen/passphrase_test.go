package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// -p gives a passphrase, changes and takes it, and ssh-keygen opens the file
// with it and with no other.
func TestChangePassphrase(t *testing.T) {
	dir, ssh := home(t)
	path := filepath.Join(ssh, "id_ed25519")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	public := read(t, path+".pub")
	secrets := filepath.Join(dir, "secrets")
	write(t, secrets+"1", "first one\n")
	write(t, secrets+"2", "second one\n")
	state := func(passphrase string) { // ssh-keygen's
		t.Helper()
		if got := sshtest.Keygen(t, "-y", "-P", passphrase, "-f", path); got != public {
			t.Errorf("with %q it is %q", passphrase, got)
		}
		if entries, _ := os.ReadDir(ssh); len(entries) != 2 {
			t.Errorf("there is %v", entries)
		}
	}
	for _, c := range []struct {
		args, cause, detail, after string
	}{
		{"--new-passphrase-file " + secrets + "1 -a 2", "passphrase-set", "2 rounds of bcrypt, where none was", "first one"},
		{"--passphrase-file " + secrets + "1 --new-passphrase-file " + secrets + "2 -a 1", "passphrase-set", "1 rounds of bcrypt, instead of another passphrase", "second one"},
		{"--passphrase-file " + secrets + "2 -N ", "passphrase-removed", "anybody who can read the file can log in with it", ""},
	} {
		args := append([]string{"-p", "-f", path}, strings.Split(c.args, " ")...)
		before := read(t, path)
		want := "-\tVERDICT\t" + c.cause + "\t" + path + "\t" + c.detail + "\n"
		if r := pikeygen(dir, "", append(args, "-n")...); r.status != 1 || r.stdout != strings.Replace(want, "VERDICT", "todo", 1) || read(t, path) != before {
			t.Errorf("-n: %+v", r)
		}
		if r := pikeygen(dir, "", args...); r.status != 0 || r.stdout != strings.Replace(want, "VERDICT", "done", 1) || r.stderr != "" {
			t.Errorf("%q: %+v", args, r)
		}
		state(c.after)
	}
	if r := pikeygen(dir, "", "-p", "-N", "", "-f", path+".pub"); r.status != 0 || r.stdout != "-\tok\tpassphrase-removed\t"+path+"\tit has none\n" {
		t.Errorf("none to remove: %+v", r)
	}
	state("")
}

// A person types the new one twice; what is not clear changes nothing.
func TestChangePassphraseAsks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the askpass program here is a shell script")
	}
	dir, ssh := home(t)
	path := filepath.Join(ssh, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	askpass := filepath.Join(dir, "askpass")
	getenv := map[string]string{"HOME": dir, "SSH_ASKPASS": askpass, "SSH_ASKPASS_REQUIRE": "force"}
	said := filepath.Join(dir, "said")
	answer := func(lines ...string) {
		os.Remove(said)
		write(t, filepath.Join(dir, "answers"), strings.Join(lines, "\n")+"\n")
		write(t, askpass, "#!/bin/sh\necho \"$1\" >>"+said+"\nsed -n \"$(wc -l <"+said+" | tr -d ' ')p\" "+dir+"/answers\n")
		if err := os.Chmod(askpass, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	before := read(t, path)
	answer("one", "another")
	pikeygenWith(getenv, "", "-p", "-f", path).check(t, 2, "the two passphrases are not the same")
	answer("", "")
	pikeygenWith(getenv, "", "-p", "-f", path).check(t, 2, "empty", "hint: to have none: pikeygen -p -N '' -f "+path)
	pikeygen(dir, "", "-p", "-f", path).check(t, 2, "there is nobody to ask", "hint: pikeygen -p --passphrase-file OLD --new-passphrase-file NEW -f "+path)
	if read(t, path) != before {
		t.Fatal("the file has changed")
	}
	answer("one two", "one two")
	r := pikeygenWith(getenv, "", "-p", "-a", "1", "-f", path)
	if r.check(t, 0); strings.Contains(r.stdout+r.stderr, "one") && !strings.Contains(r.stdout, "where none was") {
		t.Errorf("%+v", r)
	}
	if got, want := read(t, said), "Enter new passphrase for key '"+path+"': \nEnter same passphrase again: \n"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	if got := sshtest.Keygen(t, "-y", "-P", "one two", "-f", path); got != read(t, path+".pub") {
		t.Errorf("it is %q", got)
	}
	answer("wrong")
	pikeygenWith(getenv, "", "-p", "-f", path).check(t, 2, "the passphrase is wrong")
}

func TestChangePassphraseUsage(t *testing.T) {
	dir, ssh := home(t)
	path := filepath.Join(ssh, "k")
	sshtest.KeygenPair(t, path, "-t", "ed25519")
	for _, args := range []string{
		"-p", "-p -l -f " + path, "-p -f " + path + " -C x", "-p -f " + path + " -t rsa", "-p -f " + path + " --format pem",
		"-p -f " + path + " -a 0", "-p -f " + path + " --new-passphrase-file=", "--new-passphrase-file x", "-y -a 3", "-a 0",
		"-p -f " + path + " --new-passphrase= --new-passphrase-file x",
	} {
		pikeygen(dir, "", strings.Fields(args)...).check(t, 2, "hint: -h lists the options")
	}
	pikeygen(dir, "", "-p", "-f", path, "-N", "tell nobody").check(t, 2, "--new-passphrase-file FILE")
	pikeygen(dir, "", "-p", "-f", filepath.Join(ssh, "nowhere"), "-N", "").check(t, 2, "nowhere")
	write(t, path, read(t, path)[:99])
	pikeygen(dir, "", "-p", "-f", path, "-N", "").check(t, 2, "key-damaged")
}

// Each form is what ssh-keygen, or whoever reads it, makes of the same key.
func TestFormats(t *testing.T) {
	dir, ssh := home(t)
	for _, c := range []struct {
		name string
		args []string
		pem  bool // ssh-keygen 9.2 has such a form
	}{
		{"id_ed25519", []string{"-t", "ed25519"}, false}, {"id_rsa", []string{"-t", "rsa", "-b", "2048"}, true}, {"id_ecdsa", []string{"-t", "ecdsa", "-b", "384"}, true},
	} {
		path := filepath.Join(ssh, c.name)
		sshtest.KeygenPair(t, path, c.args...)
		line := strings.TrimSpace(read(t, path+".pub"))
		for format, want := range map[string]string{
			"openssh":         line + "\n",
			"authorized_keys": line + "\n",
			"cloud-init":      "#cloud-config\nssh_authorized_keys:\n  - '" + line + "'\n",
			"imager":          "config_version = 1\n\n[ssh]\nenabled = true\npassword_authentication = false\nauthorized_keys = [ \"" + line + "\" ]\n",
		} {
			if r := pikeygen(dir, "", "-f", path, "--format", format); r.status != 0 || r.stdout != want {
				t.Errorf("%s of %s: %+v", format, c.name, r)
			}
		}
		if r := pikeygen(dir, "", "-y", "-f", path, "--format", "authorized_keys", "--options", `from="10.0.0.0/8",restrict`); r.stdout != `from="10.0.0.0/8",restrict `+line+"\n" {
			t.Errorf("with options: %+v", r)
		}
		other := filepath.Join(dir, "other")
		rfc := pikeygen(dir, "", "-f", path, "--format", "rfc4716")
		write(t, other, rfc.stdout)
		if got := sshtest.Keygen(t, "-i", "-f", other); !strings.HasPrefix(line, strings.TrimSpace(got)) {
			t.Errorf("ssh-keygen -i reads %q", got)
		}
		if r := pikeygen(dir, rfc.stdout, "-l", "-"); !strings.Contains(r.stdout, "the comment") {
			t.Errorf("the comment is lost: %+v", r)
		}
		for _, form := range []string{"PEM", "PKCS8"} {
			r := pikeygen(dir, "", "-f", path, "--format", strings.ToLower(form))
			if want := ""; c.pem {
				if want = sshtest.Keygen(t, "-e", "-m", form, "-f", path+".pub"); r.stdout != want {
					t.Errorf("%s of %s: %s\nwant %s", form, c.name, r.stdout, want)
				}
			} else if r.status != 0 || !strings.HasPrefix(r.stdout, "-----BEGIN PUBLIC KEY-----\n") {
				t.Errorf("%s of %s: %+v", form, c.name, r)
			}
		}
	}
	for _, args := range []string{"--format x", "--options restrict", "--format pem --options restrict", "--format cloud-init --options frm=x", "-l --format pem"} {
		pikeygen(dir, "", strings.Fields(args)...).check(t, 2, "hint: -h lists the options")
	}
}
