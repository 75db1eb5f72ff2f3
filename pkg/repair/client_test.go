//go:build unix

package repair

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// client repairs our own files in a home.
func client(t *testing.T, home string, dryRun bool) ([]record.Record, error) {
	who := strictmodes.Account{Name: "me", UID: os.Getuid(), Home: home}
	return (&Job{DryRun: dryRun}).client(t.Context(), hostfs.Local(), who, strictmodes.ServerOf(VersionHere(t.Context())))
}

func TestClient(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "ssh")
	bin := t.TempDir()
	write := func(path, data string, mode fs.FileMode) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
	outside := filepath.Join(t.TempDir(), "key")
	for name, mode := range map[string]fs.FileMode{"good": 0o600, "open": 0o644, "mine": 0o440, "linked": 0o666, "../keys/inside": 0o640} {
		write(filepath.Join(dir, name), key, mode)
	}
	write(filepath.Join(dir, "old"), "-----BEGIN RSA PRIVATE KEY-----\r\n", 0o604)
	write(filepath.Join(dir, "short"), "-----BEGIN EC PRIVATE KEY-----", 0o604)
	write(filepath.Join(dir, "id.pub"), "ssh-ed25519 AAAA\n", 0o644)
	write(filepath.Join(dir, "notes"), "# "+key, 0o666)
	write(filepath.Join(dir, "config"), "Host *\n\tInclude=config.d/* \"~/more conf\" none\ninclude config\n", 0o666)
	write(filepath.Join(dir, "config.d/a"), "Include ~/keys/[b]\n", 0o644)
	write(filepath.Join(home, "keys/b"), "User pi\n", 0o664)
	write(filepath.Join(home, "more conf"), "", 0o622)
	write(filepath.Join(bin, "ssh"), "#!/bin/sh\necho OpenSSH_9.9p1, OpenSSL >&2\n", 0o755)
	write(outside, key, 0o644)
	for name, target := range map[string]string{"out": outside, "in": "../keys/inside", "dangling": "none", "loop": "loop"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(dir, "linked"), filepath.Join(home, "second")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":/usr/bin:/bin")

	if err := os.Symlink("ssh", filepath.Join(home, ".ssh")); err != nil {
		t.Fatal(err)
	}
	find := func(verdict string) []string {
		return []string{
			verdict + " config-writable " + dir + "/config mode 0666 -> 0644",
			verdict + " key-mode " + home + "/keys/inside mode 0640 -> 0600",
			"fail key-mode " + dir + "/linked mode 0666: users other than the owner have access; it has 2 hard links",
			verdict + " key-mode " + dir + "/mine mode 0440 -> 0400",
			verdict + " key-mode " + dir + "/old mode 0604 -> 0600",
			verdict + " key-mode " + dir + "/open mode 0644 -> 0600",
			"fail key-mode " + outside + " mode 0644: users other than the owner have access; it is outside the home",
			verdict + " key-mode " + dir + "/short mode 0604 -> 0600",
			verdict + " config-writable " + home + "/keys/b mode 0664 -> 0644",
			verdict + " config-writable " + home + "/more conf mode 0622 -> 0600",
		}
	}
	for _, c := range []struct {
		dryRun bool
		want   []string
	}{
		{true, find("todo")},
		{false, find("done")},
		{false, slices.DeleteFunc(find("done"), func(s string) bool { return strings.HasPrefix(s, "done") })},
	} {
		records, err := client(t, home, c.dryRun)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range records {
			got = append(got, fmt.Sprintf("%s %s %s %s", r.Verdict, r.Cause, r.Subject, r.Detail))
			if r.Verdict == record.Fail && r.Hint == "" {
				t.Errorf("no hint: %+v", r)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("dry run %v:\n got %s\nwant %s", c.dryRun, strings.Join(got, "\n     "), strings.Join(c.want, "\n     "))
		}
	}
	if records, err := client(t, filepath.Join(home, "keys"), false); err != nil || records != nil {
		t.Errorf("without ~/.ssh: %v, %v", records, err)
	}
	circle := filepath.Join(home, "circle")
	if err := os.Symlink("circle", circle); err != nil {
		t.Fatal(err)
	}
	if records, err := client(t, circle, false); err != nil || records != nil {
		t.Errorf("with a circle of links for a home: %v, %v", records, err)
	}
}

// A key that the account may not read, whose ssh says "Permission denied", is named.
func TestClientKeyUnreadable(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, ".ssh")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n"
	for name, data := range map[string]string{"id_ed25519": key, "work": key, "notes": "nothing\n", "id_rsa": "nothing\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "work"), 0o644); err != nil {
		t.Fatal(err)
	}
	who := strictmodes.Account{Name: "ann", UID: os.Getuid() + 1, Groups: []int{}, Home: home}
	records, err := (&Job{}).client(t.Context(), hostfs.Local(), who, strictmodes.ServerOf(VersionHere(t.Context())))
	if err != nil || len(records) != 1 || records[0].Verdict != record.Fail || records[0].Cause != "key-unreadable" ||
		records[0].Subject != filepath.Join(dir, "id_ed25519") || !strings.HasPrefix(records[0].Hint, "sudo chown -h ") && !strings.HasPrefix(records[0].Hint, "chown -h ") {
		t.Errorf("%+v, %v", records, err)
	}
	if os.Getuid() == 0 {
		return // who can read all
	}
	for _, name := range []string{"work.pub", "id_ecdsa", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, name := range []string{"work", "id_ecdsa", "other"} { // that are not looked into
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	records, err = client(t, home, false)
	for _, r := range records {
		got = append(got, string(r.Verdict)+" "+r.Cause+" "+filepath.Base(r.Subject)+" "+r.Detail)
	}
	if want := []string{"done key-unreadable id_ecdsa mode 0000 -> 0400", "done key-unreadable work mode 0000 -> 0400"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// What we call refused and repaired, ssh-keygen and ssh call so too.
func TestClientOfSSH(t *testing.T) {
	sshtest.Need(t, "ssh-keygen")
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	k := sshtest.NewKey(t, filepath.Join(home, ".ssh"), "ed25519")
	reads := func() bool {
		return sshtest.Command(t, t.TempDir(), "ssh-keygen", "-y", "-f", k.File).Run() == nil
	}
	for mode, refused := range map[fs.FileMode]bool{0o600: false, 0o700: false, 0o400: false, 0o640: true, 0o601: true, 0o666: true} {
		if err := os.Chmod(k.File, mode); err != nil {
			t.Fatal(err)
		}
		if reads() == refused {
			t.Errorf("mode %v: ssh-keygen reads it: %v", mode, !refused)
		}
		records, err := client(t, home, false)
		if err != nil || (len(records) == 1) != refused || !reads() {
			t.Errorf("mode %v: %v, %v", mode, records, err)
		}
	}
}

// What ssh cannot read of its configuration it does without, but not of what that
// includes: our verdict is that of ssh, and what we repair is read.
func TestConfigOfSSH(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "ssh")
	u := sshtest.AddUser(t, sshtest.UserConfig{})
	dir := filepath.Join(u.Home, ".ssh")
	config, part := filepath.Join(dir, "config"), filepath.Join(dir, "part")
	set := func(path, content string, mode fs.FileMode, uid int) {
		t.Helper()
		if err := errors.Join(os.WriteFile(path, []byte(content), 0o600), os.Chown(path, uid, u.GID), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chown(dir, u.UID, u.GID)); err != nil {
		t.Fatal(err)
	}
	starts := func() bool {
		cmd := exec.Command("ssh", "-G", "pi")
		cmd.Dir, cmd.Env = "/", []string{"HOME=" + u.Home} // by which it includes
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
		return cmd.Run() == nil
	}
	who := strictmodes.Account{Name: u.Name, UID: u.UID, Home: u.Home, Groups: []int{u.GID}}
	for _, c := range []struct {
		config, part fs.FileMode
		uid          int // whose the file is that is not as usual
		want         string
	}{
		{0o600, 0o600, u.UID, ""},
		{0o060, 0, u.UID, ""},
		{0o600, 0, third, ""},
		{0o666, 0, third, "done config-writable, done config-writable"},
		{0, 0o200, u.UID, "done config-bad"},
		{0, 0o600, 0, "done config-bad"},
		{0, 0o600, third, "done config-bad"},
		{0, 0o644, third, "done config-writable"},
		{0, 0o644, 0, ""},
	} {
		if c.config != 0 {
			set(config, "User pi\n", c.config, c.uid)
		} else {
			set(config, "Include part\n", 0o600, u.UID)
			set(part, "User pi\n", c.part, c.uid)
		}
		if starts() != (c.want == "") {
			t.Errorf("%+v: ssh starts: %v", c, starts())
		}
		records, err := new(Job).client(t.Context(), hostfs.Local(), who, strictmodes.OpenSSH)
		if err != nil || brief(records) != c.want || !starts() {
			t.Errorf("%+v: %s, %v; ssh starts: %v", c, text(records), err, starts())
		}
	}
}

// What sshd and ssh both read is named once, by a dry run as by the repair.
func TestReadByBoth(t *testing.T) {
	for owner, want := range map[int]string{os.Getuid(): "keys-writable", third: "wrong-owner, keys-writable"} {
		if owner == third && os.Getuid() != 0 {
			continue // only root gives away
		}
		home, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		keys := filepath.Join(home, ".ssh/authorized_keys")
		if err := errors.Join(os.Mkdir(filepath.Dir(keys), 0o700), os.WriteFile(filepath.Join(home, ".ssh/config"), []byte("Include authorized_keys\n"), 0o600),
			os.WriteFile(keys, nil, 0o600), os.Chown(keys, owner, -1), os.Chmod(keys, 0o622)); err != nil {
			t.Fatal(err)
		}
		who := strictmodes.Account{Name: "me", UID: os.Getuid(), Home: home}
		for _, dryRun := range []bool{true, false} {
			job := Job{DryRun: dryRun}
			var got []string
			for r := range job.Accounts(t.Context(), hostfs.Local(), one(who), false, strictmodes.OpenSSH, strictmodes.OpenSSH) {
				got = append(got, r.Cause)
			}
			if got := strings.Join(got, ", "); got != want {
				t.Errorf("uid %d's, dry run %v: %s, want %s", owner, dryRun, got, want)
			}
		}
	}
}
