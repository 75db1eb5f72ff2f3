//go:build unix

package repair

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// A home is a state of an account's home. Each word is "MODE [OWNER [GROUP]]":
// the owner is user, root or third, the group private, root or shared. The
// empty word leaves what every server takes.
type home struct {
	home, ssh, keys string
	links           map[string]string  // name in the home: what it is to link to; what was there moves to the target
	special         func(string) error // done to the keys file, before its mode
	want            string             // what home says: "done home-writable, fail wrong-owner"; "" for ok
}

// directory makes a directory of the keys file, as an old guide told to.
func folder(keys string) error {
	if err := os.Remove(keys); err != nil {
		return err
	}
	return os.Mkdir(keys, 0o755)
}

// twoNames gives the keys file a second name.
func twoNames(keys string) error { return os.Link(keys, keys+".other") }

const (
	third  = 54321 // nobody's
	shared = 100   // "users" of Debian: of which our user is no member
)

// set makes the state, with the key in it.
func (h home) set(t *testing.T, u *sshtest.User, line string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(u.Home)
	must(err)
	for _, e := range entries {
		must(os.RemoveAll(filepath.Join(u.Home, e.Name())))
	}
	u.Own(t, u.Home, 0o755)
	keys := u.Authorize(t, line)
	real := map[string]string{u.Home: u.Home, filepath.Dir(keys): filepath.Dir(keys), keys: keys}
	for name, target := range h.links {
		path := filepath.Join(u.Home, name)
		to := filepath.Join(filepath.Dir(path), target)
		must(os.MkdirAll(filepath.Dir(to), 0o755))
		must(os.Lchown(filepath.Dir(to), u.UID, u.GID))
		must(os.Rename(path, to))
		must(os.Symlink(target, path))
		for k, v := range real {
			real[k] = strings.Replace(v, path, to, 1)
		}
	}
	if h.special != nil {
		must(h.special(keys))
	}
	// From the inside out, while the way is still open.
	for _, x := range [][2]string{{real[keys], h.keys}, {real[filepath.Dir(keys)], h.ssh}, {u.Home, h.home}} {
		if x[1] == "" {
			continue
		}
		w := append(strings.Fields(x[1]), "", "")
		mode, err := strconv.ParseUint(w[0], 8, 32)
		must(err)
		uid := map[string]int{"": u.UID, "user": u.UID, "root": 0, "third": third}[w[1]]
		gid := map[string]int{"": u.GID, "private": u.GID, "root": 0, "shared": shared}[w[2]]
		must(os.Chown(x[0], uid, gid))
		must(syscall.Chmod(x[0], uint32(mode)))
	}
}

// brief is "done home-writable, fail wrong-owner"; "" for ok modes alone.
func brief(records []record.Record) string {
	var words []string
	for _, r := range records {
		if r.Verdict != record.OK {
			words = append(words, string(r.Verdict)+" "+r.Cause)
		}
	}
	return strings.Join(words, ", ")
}

func account(u *sshtest.User) strictmodes.Account {
	return strictmodes.Account{Name: u.Name, UID: u.UID, Home: u.Home, Groups: []int{u.GID}}
}

// logsIn says whether the server lets the user in by the key. It tries again
// when dropbear hangs up, as it does while it knows too many clients that are
// not logged in yet.
func logsIn(d *sshtest.Daemon, user string, key ssh.Signer) (bool, error) {
	config := &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: ssh.FixedHostKey(d.HostKeys[0]),
		HostKeyAlgorithms: []string{d.HostKeys[0].Type()}, // dropbear fails on one that it offers and has no key for
		Timeout:           20 * time.Second,
	}
	for try := 1; ; try++ {
		client, err := ssh.Dial("tcp", d.Addr, config)
		switch {
		case err == nil:
			return true, client.Close()
		case strings.Contains(err.Error(), "unable to authenticate"):
			return false, nil
		case try == 20:
			log := d.Log()
			return false, fmt.Errorf("%w; the log ends in %q", err, log[max(0, len(log)-500):])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// agree holds our verdict and the server's against each other, repairs, and has
// the server judge the result.
func agree(t *testing.T, h home, u *sshtest.User, server strictmodes.Server, login func() bool) {
	t.Helper()
	findings, err := strictmodes.Judge(t.Context(), hostfs.Local(), account(u), nil, server)
	if err != nil {
		t.Fatal(err)
	}
	before := login()
	if before != (len(findings) == 0) {
		t.Errorf("login works: %v, but we say: %+v", before, findings)
	}
	dry, err := (&Job{DryRun: true}).home(t.Context(), hostfs.Local(), account(u), server, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := strictmodes.Judge(t.Context(), hostfs.Local(), account(u), nil, server)
	if err != nil || !slices.Equal(findings, again) {
		t.Errorf("the dry run changed something: %+v, %v", again, err)
	}
	records, err := new(Job).home(t.Context(), hostfs.Local(), account(u), server, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := brief(records); got != h.want {
		t.Errorf("home says %q, want %q", got, h.want)
	}
	if got := brief(dry); got != strings.ReplaceAll(h.want, "done", "todo") {
		t.Errorf("the dry run says %q, then it is %q", got, h.want)
	}
	// What has a hint leaves something to a person, such as to add the key again.
	fixed := !slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict == record.Fail || r.Hint != "" })
	if after := fixed && before || login(); after != fixed {
		t.Errorf("login works after the repair: %v, but we say: %+v", after, records)
	}
}

// TestMain lets more tests run at once than there are processors: a login is
// mostly waiting.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// agreeOn tries all the homes, several at a time.
func agreeOn(t *testing.T, homes []home, server strictmodes.Server, shell string, d *sshtest.Daemon) {
	k := sshtest.NewKey(t, t.TempDir(), "ed25519")
	const users = 4
	for i := range users {
		t.Run(fmt.Sprint("user ", i), func(t *testing.T) {
			t.Parallel()
			u := sshtest.AddUser(t, sshtest.UserConfig{Shell: shell})
			for n := i; n < len(homes); n += users {
				h := homes[n]
				t.Run(fmt.Sprintf("%d %s,%s,%s", n, h.home, h.ssh, h.keys), func(t *testing.T) {
					h.set(t, u, k.Line)
					agree(t, h, u, server, func() bool {
						ok, err := logsIn(d, u.Name, k.Signer)
						if err != nil {
							t.Fatal(err)
						}
						return ok
					})
				})
			}
		})
	}
}

func TestHomeOfDebian(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "ssh")
	if version, _ := exec.Command("ssh", "-V").CombinedOutput(); strictmodes.ServerOf(string(version)) != strictmodes.Debian {
		t.Skipf("not Debian's OpenSSH: %s", version)
	}
	agreeOn(t, []home{
		{},
		// The private group may write, nobody else.
		{home: "0775"},
		{home: "0775", ssh: "2770", keys: "0664"},
		{home: "0777", want: "done home-writable"},
		{home: "0775 user shared", want: "done home-writable"},
		{home: "2775 user root", want: "done home-writable"},
		{home: "0711"},
		{home: "0700"},
		{ssh: "0777", want: "done dir-writable"},
		{ssh: "0711", keys: "0640"},
		{keys: "0666", want: "done keys-writable"},
		{keys: "0664"},
		{keys: "0755 user shared"},
		{home: "0777", ssh: "0777", keys: "0666", want: "done home-writable, done dir-writable, done keys-writable"},
		// Modes that shut out the owner.
		{keys: "0000", want: "done keys-unreadable"},
		{keys: "0266", want: "done keys-writable"},
		{ssh: "0600", want: "done keys-unreadable"},
		{home: "0677", want: "done home-writable"},
		// Root may own everything that the user can read.
		{home: "0755 root root", ssh: "0755 root root", keys: "0644 root root"},
		{ssh: "0775 root private"},
		{ssh: "0775 root shared", want: "done dir-writable"},
		{ssh: "0700 root root", want: "done keys-unreadable"},
		{keys: "0600 root root", want: "done keys-unreadable"},
		{keys: "0640 root private"},
		{keys: "0640 root shared", want: "done keys-unreadable"},
		{ssh: "0700 root root", keys: "0600 root root", want: "done keys-unreadable, done keys-unreadable"},
		{home: "0700 root root", want: "fail keys-unreadable"},
		// Nobody else may.
		{keys: "0644 third", want: "done wrong-owner"},
		{keys: "0666 third", want: "done wrong-owner, done keys-writable"},
		{ssh: "0755 third", want: "done wrong-owner"},
		{home: "0755 third", want: "fail wrong-owner"},
		// Links: the real file counts, and what it is in.
		{links: map[string]string{".ssh/authorized_keys": "../dot/keys"}, ssh: "0777"},
		{links: map[string]string{".ssh/authorized_keys": "../dot/keys"}, keys: "0666", want: "done keys-writable"},
		{links: map[string]string{".ssh": "dot/ssh"}, ssh: "0777", want: "done dir-writable"},
		{home: "1777", want: "fail home-writable"},
		{special: folder, want: "done keys-not-a-file"},
		{special: twoNames, keys: "0666", want: "fail keys-writable"},
	}, strictmodes.Debian, "/bin/bash", sshtest.StartSSHD(t, sshtest.SSHDConfig{}))
}

func TestHomeOfDropbear(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "dropbear")
	if version, _ := exec.Command("dropbear", "-V").CombinedOutput(); !strings.Contains(string(version), "v2022") {
		t.Skipf("not a dropbear whose rules we know: %s", version)
	}
	agreeOn(t, []home{
		{},
		{home: "0775", want: "done home-writable"},
		{ssh: "0770", keys: "0664", want: "done dir-writable, done keys-writable"},
		{keys: "0644 root root"},
		{keys: "0644 third", want: "done wrong-owner"},
		{keys: "0000", want: "done keys-unreadable"},
		{ssh: "0700 root root", want: "done keys-unreadable"},
		{links: map[string]string{".ssh/authorized_keys": "../dot/keys"}, ssh: "0777", want: "done dir-writable"},
		{links: map[string]string{".ssh/authorized_keys": "../dot/keys"}},
	}, strictmodes.Dropbear, "/bin/sh", sshtest.StartDropbear(t))
}
