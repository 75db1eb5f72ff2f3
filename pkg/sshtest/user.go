package sshtest

import (
	"bytes"
	"crypto/rand"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A UserConfig says what AddUser makes.
type UserConfig struct {
	Password string      // "" for a random one
	Locked   bool        // no password at all: what sshd without PAM takes for a locked account
	Shell    string      // "" for /bin/bash
	HomeMode fs.FileMode // 0 for 0755
}

// A User is a throw-away account of this machine.
type User struct {
	Name     string
	Password string // "" if locked
	Home     string // an absolute path; the directory is empty at first
	UID, GID int    // the group is the user's own
}

// AddUser adds a local user and removes it, its group, its home and its
// processes when the test ends. It needs root. Servers started before are
// stopped after that; a test may do it in either order.
func AddUser(t testing.TB, c UserConfig) *User {
	t.Helper()
	NeedRoot(t)
	Need(t, "useradd", "userdel", "chpasswd")
	if c.Shell == "" {
		c.Shell = "/bin/bash"
	}
	if c.HomeMode == 0 {
		c.HomeMode = 0o755
	}
	if c.Password == "" && !c.Locked {
		c.Password = rand.Text()
	}
	u := &User{
		Name:     "pk" + strings.ToLower(rand.Text()[:10]),
		Password: c.Password,
		Home:     filepath.Join(tempDir(t), "home"),
	}

	unlock, err := lockAccounts()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	account(t, "", "useradd", "-M", "-U", "-d", u.Home, "-s", c.Shell, u.Name)
	t.Cleanup(func() { u.remove(t) })
	if !c.Locked {
		account(t, u.Name+":"+c.Password+"\n", "chpasswd")
	}

	found, err := user.Lookup(u.Name)
	if err != nil {
		t.Fatal(err)
	}
	u.UID, _ = strconv.Atoi(found.Uid) // numbers on every system with useradd
	u.GID, _ = strconv.Atoi(found.Gid)
	if err := os.Mkdir(u.Home, 0o700); err != nil {
		t.Fatal(err)
	}
	u.Own(t, u.Home, c.HomeMode)
	return u
}

// Own gives a path to the user and then sets its mode.
func (u *User) Own(t testing.TB, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chown(path, u.UID, u.GID); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// Authorize rewrites ~/.ssh/authorized_keys with these lines and with modes
// that every server accepts. It returns the file's path.
func (u *User) Authorize(t testing.TB, lines ...string) string {
	t.Helper()
	path, err := authorize(u.Home, lines)
	if err != nil {
		t.Fatal(err)
	}
	u.Own(t, filepath.Dir(path), 0o700)
	u.Own(t, path, 0o600)
	return path
}

// remove ends the user's processes and deletes the account. userdel refuses
// while a process of the user runs, and one may have been starting.
func (u *User) remove(t testing.TB) {
	unlock, err := lockAccounts()
	if err != nil {
		t.Error(err)
		return
	}
	defer unlock()
	for try := 1; ; try++ {
		if u.UID != 0 {
			end(processesOf(u.UID))
		}
		out, err := run("", "userdel", u.Name)
		if err == nil {
			break
		}
		if try == 5 {
			t.Errorf("userdel %s: %v: %s", u.Name, err, out)
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := user.LookupGroup(u.Name); err == nil { // where userdel leaves it
		if out, err := run("", "groupdel", u.Name); err != nil {
			t.Errorf("groupdel %s: %v: %s", u.Name, err, out)
		}
	}
}

// account runs one of the programs that change the accounts.
func account(t testing.TB, stdin, name string, args ...string) {
	t.Helper()
	if out, err := run(stdin, name, args...); err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
}

func run(stdin, name string, args ...string) (output []byte, err error) {
	path, err := lookPath(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Env = Env("/")
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return bytes.TrimSpace(out), err
}
