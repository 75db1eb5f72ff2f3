package install

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// A testCard is a root file system in a directory, with the user pi.
type testCard struct {
	dir, home string // here
	uid, gid  int    // of pi
}

// newCard makes a card whose pi is nobody of this machine if we are root, and
// who we are if not.
func newCard(t *testing.T, dir string) testCard {
	t.Helper()
	c := testCard{dir, filepath.Join(dir, "home/pi"), 31234, 31235}
	if os.Geteuid() != 0 {
		c.uid, c.gid = os.Geteuid(), os.Getegid()
	}
	c.file(t, "etc/passwd", fmt.Sprintf("root:x:0:0:root:/root:/bin/bash\n+::::::\npi:x:%d:%d:,,,:/home/pi:/bin/bash\nbad:x:4294967295:1:::\n", c.uid, c.gid))
	c.file(t, "etc/group", fmt.Sprintf("root:x:0:\npi:x:%d:\nadm:x:4:pi\n", c.gid))
	if err := os.MkdirAll(c.home, 0o755); err != nil {
		t.Fatal(err)
	}
	c.own(t, c.home)
	return c
}

func (c testCard) file(t *testing.T, name, content string) {
	t.Helper()
	name = filepath.Join(c.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (c testCard) own(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.Lchown(name, c.uid, c.gid); err != nil {
			t.Fatal(err)
		}
	}
}

// keys writes pi's authorized_keys.
func (c testCard) keys(t *testing.T, content string) {
	t.Helper()
	write(t, c.home, content)
	c.own(t, c.home+"/.ssh", keysFile(c.home))
}

func (c testCard) engine(t *testing.T) *Mounted {
	t.Helper()
	m, err := Root(c.dir, "pi", "")
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestRootAddsToNothing(t *testing.T) {
	c := newCard(t, t.TempDir())
	m := c.engine(t)
	a, b := newKey(t), newKey(t)
	if path, data, err := m.Read(t.Context()); err != nil || data != nil || path != "/home/pi/.ssh/authorized_keys" {
		t.Fatalf("before: %q %q %v", path, data, err)
	}
	if answer, err := m.Edit(t.Context(), Change{Add: lines(a, b), DryRun: true}); err != nil || len(answer.Added) != 2 {
		t.Fatalf("dry run: %+v %v", answer, err)
	}
	if _, err := os.Lstat(c.home + "/.ssh"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a dry run made .ssh: %v", err)
	}
	answer, err := m.Edit(t.Context(), add(a, b))
	if err != nil || len(answer.Added) != 2 || answer.Path != "/home/pi/.ssh/authorized_keys" || answer.Unsynced != "" {
		t.Fatalf("%+v %v", answer, err)
	}
	if got := content(t, c.home); got != a.Line()+"\n"+b.Line()+"\n" {
		t.Errorf("file %q", got)
	}
	for name, mode := range map[string]os.FileMode{".ssh": 0o700, ".ssh/authorized_keys": 0o600} {
		st, err := os.Lstat(filepath.Join(c.home, name))
		if err != nil {
			t.Fatal(err)
		}
		if sys := st.Sys().(*syscall.Stat_t); st.Mode().Perm() != mode || int(sys.Uid) != c.uid || int(sys.Gid) != c.gid {
			t.Errorf("%s: %v of %d:%d", name, st.Mode(), sys.Uid, sys.Gid)
		}
	}
	if _, data, err := m.Read(t.Context()); err != nil || string(data) != content(t, c.home) {
		t.Errorf("read %q %v", data, err)
	}
	if found, err := m.findings(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("findings %+v %v", found, err)
	}
	answer, err = m.Edit(t.Context(), Change{Drop: []Numbered{{1, a.Line()}, {2, b.Line()}}})
	if err != nil || content(t, c.home) != "" {
		t.Errorf("after dropping all: %+v %v %q", answer, err, content(t, c.home))
	}
	noLeftovers(t, c.home)
}

func TestRootTellsWhoIsThere(t *testing.T) {
	c := newCard(t, t.TempDir())
	for user, want := range map[string]string{"nobody-here": "pi", "bad": "4294967295", "": "no such user"} {
		if _, err := Root(c.dir, user, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("user %q: %v", user, err)
		}
	}
	if _, err := Root(c.dir+"/home", "pi", ""); err == nil || !strings.Contains(err.Error(), "no root file system") {
		t.Errorf("no card: %v", err)
	}
	if os.Geteuid() != 0 {
		if _, err := Root(c.dir, "root", ""); err == nil || !strings.Contains(err.Error(), "only root") {
			t.Errorf("another's files: %v", err)
		}
	}
}

// Links of the card mean places of the card, however they are written.
func TestRootFollowsLinksOfTheCard(t *testing.T) {
	for name, set := range map[string]func(t *testing.T, c testCard) (file string){
		"absolute": func(t *testing.T, c testCard) string {
			link(t, "/home/pi/dotfiles/keys", keysFile(c.home))
			return c.home + "/dotfiles/keys"
		},
		"relative": func(t *testing.T, c testCard) string {
			link(t, "../dotfiles/keys", keysFile(c.home))
			return c.home + "/dotfiles/keys"
		},
		"the folder": func(t *testing.T, c testCard) string {
			os.Remove(c.home + "/.ssh")
			link(t, "dotfiles", c.home+"/.ssh")
			return c.home + "/dotfiles/authorized_keys"
		},
		"the home": func(t *testing.T, c testCard) string {
			os.Mkdir(c.dir+"/data", 0o755)
			os.Rename(c.dir+"/home", c.dir+"/data/home")
			link(t, "/data/home", c.dir+"/home")
			link(t, "/data/../home/pi/dotfiles/keys", c.dir+"/data/home/pi/.ssh/authorized_keys")
			return c.dir + "/data/home/pi/dotfiles/keys"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCard(t, t.TempDir())
			for _, dir := range []string{"/.ssh", "/dotfiles"} {
				if err := os.Mkdir(c.home+dir, 0o700); err != nil {
					t.Fatal(err)
				}
				c.own(t, c.home+dir)
			}
			file := set(t, c)
			key := newKey(t)
			if _, err := c.engine(t).Edit(t.Context(), add(key)); err != nil {
				t.Fatal(err)
			}
			if data, err := os.ReadFile(file); err != nil || string(data) != key.Line()+"\n" {
				t.Errorf("%s: %q %v", file, data, err)
			}
		})
	}
}

// A link before ".." in AuthorizedKeysFile leads where sshd goes.
func TestRootFollowsLinksOfTheConfiguration(t *testing.T) {
	for config, want := range map[string]string{"l/../keys": "/home/pi/d/keys", "/srv/l/../keys": "/srv/d/keys"} {
		c := newCard(t, t.TempDir())
		c.file(t, "etc/ssh/sshd_config", "AuthorizedKeysFile "+config+"\n")
		for _, dir := range []string{c.home, c.dir + "/srv"} {
			if err := os.MkdirAll(dir+"/d/e", 0o755); err != nil {
				t.Fatal(err)
			}
			link(t, "d/e", dir+"/l")
			c.own(t, dir+"/d", dir+"/d/e")
		}
		m, err := Root(c.dir, "pi", "")
		if err != nil {
			t.Fatal(err)
		}
		key := newKey(t)
		a, err := m.Edit(t.Context(), add(key))
		data, rerr := os.ReadFile(c.dir + want)
		if err != nil || rerr != nil || a.Path != want || string(data) != key.Line()+"\n" {
			t.Errorf("%s: %+v, %v; %q, %v", config, a, err, data, rerr)
		}
	}
}

// What leads out of the card, or is made to harm, is refused and left alone.
func TestRootRefuses(t *testing.T) {
	const old, ours = "# mine\n", "# of this machine\n"
	for name, c := range map[string]struct {
		cause string // "" if Root refuses it
		set   func(t *testing.T, c testCard, victim string)
	}{
		"a file of this machine": {"keys-symlink", func(t *testing.T, c testCard, victim string) {
			os.Remove(keysFile(c.home))
			link(t, victim, keysFile(c.home))
		}},
		"a folder of this machine": {"keys-symlink", func(t *testing.T, c testCard, victim string) {
			os.RemoveAll(c.home + "/.ssh")
			link(t, filepath.Dir(victim), c.home+"/.ssh")
		}},
		"up and out": {"keys-symlink", func(t *testing.T, c testCard, victim string) {
			os.RemoveAll(c.home + "/.ssh")
			link(t, strings.Repeat("../", 30)+filepath.Dir(victim), c.home+"/.ssh")
		}},
		"the home is of this machine": {"home-missing", func(t *testing.T, c testCard, victim string) {
			os.RemoveAll(c.home)
			link(t, filepath.Dir(victim), c.home)
		}},
		"another's keys on the card": {"keys-symlink", func(t *testing.T, c testCard, _ string) {
			c.file(t, "root/.ssh/authorized_keys", old)
			os.Remove(keysFile(c.home))
			link(t, "/root/.ssh/authorized_keys", keysFile(c.home))
		}},
		"root's file behind a link of the home": {"wrong-owner", func(t *testing.T, c testCard, _ string) {
			sshtest.NeedRoot(t)
			os.Rename(keysFile(c.home), c.home+"/of-root")
			os.Chown(c.home+"/of-root", 0, 0)
			link(t, "../of-root", keysFile(c.home))
		}},
		"a file of a third": {"wrong-owner", func(t *testing.T, c testCard, _ string) {
			sshtest.NeedRoot(t)
			os.Chown(keysFile(c.home), 31299, 0)
		}},
		"a folder of a third": {"wrong-owner", func(t *testing.T, c testCard, _ string) {
			sshtest.NeedRoot(t)
			os.Chown(c.home+"/.ssh", 31299, 0)
		}},
		"another name": {"keys-linked", func(t *testing.T, c testCard, _ string) {
			if err := os.Link(keysFile(c.home), c.home+"/other"); err != nil {
				t.Fatal(err)
			}
		}},
		"a pipe": {"keys-not-a-file", func(t *testing.T, c testCard, _ string) {
			os.Remove(keysFile(c.home))
			syscall.Mkfifo(keysFile(c.home), 0o600)
			c.own(t, keysFile(c.home))
		}},
		"a pipe for .ssh": {"keys-not-a-file", func(t *testing.T, c testCard, _ string) {
			os.RemoveAll(c.home + "/.ssh")
			syscall.Mkfifo(c.home+"/.ssh", 0o600)
		}},
		"a device": {"keys-not-a-file", func(t *testing.T, c testCard, _ string) {
			sshtest.NeedRoot(t)
			os.Remove(keysFile(c.home))
			if err := syscall.Mknod(keysFile(c.home), syscall.S_IFCHR|0o600, 1<<8|5); err != nil { // zero(4)
				t.Skip(err)
			}
			c.own(t, keysFile(c.home))
		}},
		"a folder": {"keys-not-a-file", func(t *testing.T, c testCard, _ string) {
			os.Remove(keysFile(c.home))
			os.Mkdir(keysFile(c.home), 0o700)
		}},
		"a circle": {"keys-symlink", func(t *testing.T, c testCard, _ string) {
			os.Remove(keysFile(c.home))
			link(t, "authorized_keys", keysFile(c.home))
		}},
		"8 GiB": {"write-failed", func(t *testing.T, c testCard, _ string) {
			os.Truncate(keysFile(c.home), 8<<30)
		}},
		"no home": {"home-missing", func(t *testing.T, c testCard, _ string) {
			os.RemoveAll(c.home)
		}},
		"passwd is a pipe": {"", func(t *testing.T, c testCard, _ string) {
			os.Remove(c.dir + "/etc/passwd")
			syscall.Mkfifo(c.dir+"/etc/passwd", 0o644)
		}},
		"passwd is 8 GiB": {"", func(t *testing.T, c testCard, _ string) {
			os.Truncate(c.dir+"/etc/passwd", 8<<30)
		}},
		"group is a folder": {"", func(t *testing.T, c testCard, _ string) {
			os.Remove(c.dir + "/etc/group")
			os.Mkdir(c.dir+"/etc/group", 0o755)
		}},
		"etc is this machine's": {"", func(t *testing.T, c testCard, _ string) {
			os.RemoveAll(c.dir + "/etc")
			link(t, "/etc", c.dir+"/etc")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			victim := filepath.Join(t.TempDir(), "authorized_keys")
			if err := os.WriteFile(victim, []byte(ours), 0o600); err != nil {
				t.Fatal(err)
			}
			tc := newCard(t, t.TempDir())
			tc.keys(t, old)
			c.set(t, tc, victim)
			start := time.Now()
			m, err := Root(tc.dir, "pi", "")
			if c.cause == "" {
				if err == nil {
					t.Error("it was taken")
				}
			} else {
				if err != nil {
					t.Fatal(err)
				}
				_, err = m.Edit(t.Context(), add(newKey(t)))
				var put *PutError
				if !errors.As(err, &put) || put.Cause != c.cause || put.Unsure {
					t.Errorf("error %v, want cause %s", err, c.cause)
				}
				// What is the account's own may be looked at by any name.
				if _, _, err := m.Read(t.Context()); (err == nil) != (name == "another name") {
					t.Error("it was read")
				}
			}
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if data, err := os.ReadFile(victim); err != nil || string(data) != ours {
				t.Errorf("the file of this machine: %q %v", data, err)
			}
			if entries, _ := os.ReadDir(filepath.Dir(victim)); len(entries) != 1 {
				t.Errorf("made on this machine: %v", entries)
			}
			if st, err := os.Lstat(keysFile(tc.home)); err == nil && st.Mode().IsRegular() && st.Size() < 1<<20 && content(t, tc.home) != old && content(t, tc.home) != ours {
				t.Errorf("the file changed: %q", content(t, tc.home))
			}
			if found, _ := filepath.Glob(tc.home + "/.ssh/.new-*"); len(found) > 0 {
				t.Errorf("left behind: %v", found)
			}
		})
	}
}

func TestRootOnAFullCard(t *testing.T) {
	sshtest.NeedRoot(t)
	dir := t.TempDir()
	mountTmpfs(t, dir, "size=64k")
	c := newCard(t, dir)
	c.keys(t, "# mine\n")
	m := c.engine(t)
	fill(t, dir+"/filler")
	var put *PutError
	if _, err := m.Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "disk-full" {
		t.Errorf("full: %v", err)
	}
	os.Remove(dir + "/filler")
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Edit(t.Context(), add(newKey(t))); !errors.As(err, &put) || put.Cause != "read-only-fs" {
		t.Errorf("read-only: %v", err)
	}
	if content(t, c.home) != "# mine\n" {
		t.Errorf("file %q", content(t, c.home))
	}
	noLeftovers(t, c.home)
}

func TestRootKeepsWhatTheFileHas(t *testing.T) {
	c := newCard(t, t.TempDir())
	c.keys(t, "# mine")
	file := keysFile(c.home)
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // sshd takes a file of root's
		if err := os.Chown(file, 0, c.gid); err != nil {
			t.Fatal(err)
		}
	}
	acl := func(args ...string) string {
		t.Helper()
		sshtest.Need(t, args[0])
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("%v: %s", args, out)
		}
		return string(out)
	}
	if err := unix.Setxattr(file, "user.note", []byte("kept"), 0); err != nil {
		t.Skip(err)
	}
	acl("setfacl", "-m", "u:4242:r", file)
	acl("setfacl", "-d", "-m", "u:4343:rw", c.home+"/.ssh")
	before := acl("getfacl", "-cn", file)
	stat := func() string {
		st, err := os.Lstat(file)
		if err != nil {
			t.Fatal(err)
		}
		sys := st.Sys().(*syscall.Stat_t)
		return fmt.Sprint(st.Mode(), sys.Uid, sys.Gid)
	}
	was := stat()
	key := newKey(t)
	if _, err := c.engine(t).Edit(t.Context(), add(key)); err != nil {
		t.Fatal(err)
	}
	note := make([]byte, 10)
	if n, err := unix.Getxattr(file, "user.note", note); err != nil || string(note[:n]) != "kept" {
		t.Errorf("attribute %q %v", note, err)
	}
	if now := acl("getfacl", "-cn", file); now != before || !strings.Contains(now, "4242") {
		t.Errorf("ACL %s, want %s", now, before)
	}
	if stat() != was || content(t, c.home) != "# mine\n"+key.Line()+"\n" {
		t.Errorf("%s, want %s; %q", stat(), was, content(t, c.home))
	}

	acl("setfacl", "-b", file)
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := c.engine(t).Edit(t.Context(), add(newKey(t))); err != nil {
		t.Fatal(err)
	}
	if now := acl("getfacl", "-cn", file); strings.Contains(now, "4343") || stat() != was {
		t.Errorf("the folder's ACL for new files was taken: %s, %s", now, stat())
	}
}

// What the card's configuration says against every key is no success.
func TestRootConfiguredRefusals(t *testing.T) {
	for _, c := range []struct{ config, file, want string }{
		{"", "", ""},
		{"Port 22", "", ""},
		{"AuthorizedKeysFile .ssh/keys", "", ""},
		{"AuthorizedKeysFile .ssh/*_keys", ".ssh/my_keys", ""},
		{"AuthorizedKeysFile none", "", "keys-file-elsewhere"},
		{"AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/true", "", ""},
		{"AuthorizedKeysFile .ssh/keys", ".ssh/authorized_keys", "keys-file-elsewhere"},
		{"AuthorizedKeysFile .ssh/keys\nMatch Address 10.0.0.0/8\nAuthorizedKeysCommand /bin/true", ".ssh/authorized_keys", ""},
		{"PubkeyAuthentication no", "", "pubkey-disabled"},
		{"PubkeyAuthentication no\nMatch Address 10.0.0.0/8\nPubkeyAuthentication yes", "", ""},
		{"Match Address 10.0.0.0/8\nPubkeyAuthentication no", "", ""},
		{"PermitRootLogin no", "", ""},
		{"AllowUsers ann bob", "", "user-not-allowed"},
		{"DenyUsers pi", "", "user-not-allowed"},
	} {
		tc := newCard(t, t.TempDir())
		if c.config != "" {
			tc.file(t, "etc/ssh/sshd_config", c.config+"\n")
		}
		m, err := Root(tc.dir, "pi", c.file)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range m.configured() {
			got = append(got, r.Cause)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q, -t %q: %q, want %q", c.config, c.file, got, c.want)
		}
	}
}

// Where the card's sshd looks is where the key goes.
func TestRootReadsTheServersConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		files      map[string]string
		link       string // of /etc/ssh/sshd_config.d/10.conf
		file, note string
	}{
		"none":          {file: defaultFile},
		"silent":        {files: map[string]string{"etc/ssh/sshd_config": "Port 22\n"}, file: "/home/pi/.ssh/authorized_keys"},
		"elsewhere":     {files: map[string]string{"etc/ssh/sshd_config": "AuthorizedKeysFile /etc/ssh/keys/%u\n"}, file: "/etc/ssh/keys/pi"},
		"both":          {files: map[string]string{"etc/ssh/sshd_config": "AuthorizedKeysFile /etc/ssh/keys/%u .ssh/authorized_keys\n"}, file: "/home/pi/.ssh/authorized_keys"},
		"no file":       {files: map[string]string{"etc/ssh/sshd_config": "AuthorizedKeysFile none\n"}, file: "/home/pi/.ssh/authorized_keys", note: "none"},
		"a drop-in":     {files: map[string]string{"etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n", "etc/ssh/sshd_config.d/1.conf": "AuthorizedKeysFile keys\n"}, file: "/home/pi/keys"},
		"a Match":       {files: map[string]string{"etc/ssh/sshd_config": "Match Address 10.0.0.0/8\nAuthorizedKeysFile /keys\n"}, file: "/home/pi/.ssh/authorized_keys", note: "/keys"},
		"a link":        {files: map[string]string{"etc/ssh/sshd_config": "Include sshd_config.d/*\n", "etc/ssh/sshd_config.d/5": "", "srv/c": "AuthorizedKeysFile keys\n"}, link: "/srv/c", file: "/home/pi/keys"},
		"a pipe":        {files: map[string]string{"etc/ssh/sshd_config": "Include sshd_config.d/*\n", "etc/ssh/sshd_config.d/5": ""}, link: "/pipe", file: "/home/pi/.ssh/authorized_keys", note: "could not be read"},
		"of OpenWrt":    {files: map[string]string{"etc/openwrt_release": ""}, file: defaultFile},
		"in a circle":   {files: map[string]string{"etc/ssh/sshd_config": "Include /etc/ssh/sshd_config\n"}, file: "/home/pi/.ssh/authorized_keys"},
		"without bound": {files: map[string]string{"etc/ssh/sshd_config": includes(5000)}, file: "/home/pi/.ssh/authorized_keys", note: "could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			tc := newCard(t, t.TempDir())
			for name, text := range c.files {
				tc.file(t, name, text)
			}
			if err := syscall.Mkfifo(tc.dir+"/pipe", 0o600); err != nil {
				t.Fatal(err)
			}
			if c.link != "" {
				link(t, c.link, tc.dir+"/etc/ssh/sshd_config.d/10.conf")
			}
			m := tc.engine(t)
			if m.file != c.file || !strings.Contains(m.Note, c.note) || (c.note == "") != (m.Note == "") {
				t.Errorf("file %q, note %q; want %q, %q", m.file, m.Note, c.file, c.note)
			}
		})
	}
	if os.Geteuid() == 0 {
		c := newCard(t, t.TempDir())
		c.file(t, "etc/openwrt_release", "")
		c.file(t, "etc/dropbear/authorized_keys", "")
		m, err := Root(c.dir, "root", "")
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := m.Edit(t.Context(), add(newKey(t))); err != nil || answer.Path != "/etc/dropbear/authorized_keys" {
			t.Errorf("OpenWrt's root: %+v %v", answer, err)
		}
	}
}

func includes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "Include /etc/ssh/%d/*\n", i)
	}
	return b.String()
}

func TestRootFindings(t *testing.T) {
	c := newCard(t, t.TempDir())
	c.keys(t, "")
	c.file(t, "etc/os-release", "ID=raspbian\nID_LIKE=\"debian\"\n")
	if err := os.Chmod(c.home, 0o777); err != nil {
		t.Fatal(err)
	}
	found, err := c.engine(t).findings(t.Context())
	if err != nil || len(found) != 1 || found[0].Cause != "home-writable" || found[0].Path != "/home/pi" {
		t.Errorf("%+v %v", found, err)
	}
	// Debian's rule of the private group, by the groups of the card.
	if err := os.Chmod(c.home, 0o775); err != nil {
		t.Fatal(err)
	}
	if found, err := c.engine(t).findings(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("with a private group: %+v %v", found, err)
	}
	c.file(t, "etc/os-release", "ID=alpine\n")
	if found, err := c.engine(t).findings(t.Context()); err != nil || len(found) != 1 {
		t.Errorf("by every server's rule: %+v %v", found, err)
	}
}

func TestRootManyWritersAtOnce(t *testing.T) {
	c := newCard(t, t.TempDir())
	m := c.engine(t)
	same := newKey(t)
	keys := slices.Clone(lines(same))
	var all sync.WaitGroup
	for range 16 {
		k := newKey(t)
		keys = append(keys, Line{Key: k})
		all.Go(func() {
			if _, err := m.Edit(t.Context(), add(same, k)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := content(t, c.home)
	for _, l := range keys {
		if n := strings.Count(got, l.Text()+"\n"); n != 1 {
			t.Errorf("%d lines of one key, want 1", n)
		}
	}
	if n := strings.Count(got, "\n"); n != len(keys) {
		t.Errorf("%d lines, want %d", n, len(keys))
	}
	noLeftovers(t, c.home)
}

// The card may be the root of a machine that runs: shells and writers by sftp
// take turns with us.
func TestRootAmongOtherWriters(t *testing.T) {
	c := newCard(t, t.TempDir())
	c.uid, c.gid = os.Geteuid(), os.Getegid() // whom the others run as
	c.file(t, "etc/passwd", fmt.Sprintf("pi:x:%d:%d::/home/pi:/bin/sh\n", c.uid, c.gid))
	c.own(t, c.home)
	c.keys(t, "# mine\n")

	turn := c.home + "/.ssh/.authorized_keys.turn"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(turn+"/1.2.shell", 0o700))
	waiting, first := make(chan error), newKey(t)
	go func() {
		_, err := c.engine(t).Edit(t.Context(), add(first))
		waiting <- err
	}()
	select {
	case err := <-waiting:
		t.Fatalf("it did not wait for its turn: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	must(os.RemoveAll(turn + "/1.2.shell")) // and not the turn, which may be the next one's by then
	must(<-waiting)

	engines := []func() Engine{
		func() Engine { return c.engine(t) },
		func() Engine { return Shell(account(t, "sh", c.home), "") },
		func() Engine { return SFTP(overPipe(t, c.home), "", "") },
	}
	var all sync.WaitGroup
	keys := []sshkey.Public{first}
	for i := range 18 {
		key, engine := newKey(t), engines[i%len(engines)]()
		keys = append(keys, key)
		all.Go(func() {
			if _, _, err := putLines(t.Context(), engine, lines(key), false, false); err != nil {
				t.Errorf("%T: %v", engine, err)
			}
		})
	}
	all.Wait()
	allThere(t, c.home, keys, 1)
	noLeftovers(t, c.home)
}

// Somebody who owns the home swaps .ssh for links that lead out, as fast as he
// can, while root writes there.
func TestRootAgainstSwaps(t *testing.T) {
	dir := "/dev/shm" // quick to sync
	if unix.Access(dir, unix.W_OK) != nil {
		dir = ""
	}
	dir, err := os.MkdirTemp(dir, "pk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	outside := filepath.Join(dir, "outside")
	if err := os.Mkdir(outside, 0o777); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(outside, "authorized_keys")
	const ours = "# of this machine\n"
	if err := os.WriteFile(victim, []byte(ours), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/card", 0o755); err != nil {
		t.Fatal(err)
	}
	c := newCard(t, dir+"/card")
	c.own(t, outside, victim) // so that no rule of ownership saves us
	c.keys(t, "# mine\n")
	link(t, outside, c.home+"/absolute")
	link(t, "../../../outside", c.home+"/relative")
	link(t, "../../../../outside/authorized_keys", c.home+"/.ssh/file")
	c.own(t, c.home+"/absolute", c.home+"/relative", c.home+"/.ssh/file")

	m := c.engine(t)
	key := newKey(t)
	stop, swapped := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				swapped <- n
				return
			default:
			}
			for _, pair := range [][2]string{{"/.ssh", "/absolute"}, {"/.ssh", "/relative"}, {"/.ssh/authorized_keys", "/.ssh/file"}} {
				a, b := c.home+pair[0], c.home+pair[1]
				if unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE) == nil {
					time.Sleep(time.Duration(n%7) * 10 * time.Microsecond)
					unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
				}
				time.Sleep(time.Duration(n%5) * 100 * time.Microsecond) // and lets some through
			}
		}
	}()
	written, refused := 0, map[string]int{}
	for range 2000 {
		if _, err := m.Edit(t.Context(), Change{Add: lines(key), Force: written%50 != 0}); err == nil {
			written++
		} else {
			refused[err.Error()]++
		}
		if _, data, _ := m.Read(t.Context()); strings.Contains(string(data), ours) {
			t.Error("the file outside was read")
		}
	}
	close(stop)
	n := <-swapped
	t.Logf("%d rounds of swaps, %d written, refused: %v", n, written, refused)
	if n == 0 || written == 0 || len(refused) == 0 {
		t.Error("this showed nothing")
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != ours {
		t.Errorf("the file outside: %q %v", data, err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("made outside: %v", entries)
	}
}
