//go:build unix

package repair

import (
	"context"
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

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// A machine is an FS in memory.
type machine struct {
	me         strictmodes.Account
	files      map[string]strictmodes.Stat
	links      map[string]string // their targets
	refuse     error             // what Chmod, Chown and the last Rename say instead
	attributes strictmodes.Attributes
	immutable  string            // what alone cannot be changed
	texts      map[string]string // what ReadFile finds; "denied" cannot be read
	revert     bool              // Chmod works, and somebody undoes it at once
	late       int               // so often Chmod comes too late: the last time for its very change, before for another
	writes     int
}

func (m *machine) Account(context.Context) (strictmodes.Account, error) { return m.me, nil }
func (m *machine) Readlink(_ context.Context, path string) (string, error) {
	if target, ok := m.links[path]; ok {
		return target, nil
	}
	return "", errors.New("no link")
}
func (m *machine) PrivateGroup(_ context.Context, gid, owner, uid int) (bool, error) {
	return gid == uid, nil
}

func (m *machine) Lstat(ctx context.Context, path string) (strictmodes.Stat, error) {
	if dir, ok := m.files[filepath.Dir(path)]; ok && path != "/" && m.me.UID != 0 && dir.UID == m.me.UID && dir.Mode&0100 == 0 {
		return strictmodes.Stat{}, fs.ErrPermission
	}
	if st, ok := m.files[path]; ok {
		return st, ctx.Err()
	}
	return strictmodes.Stat{}, fs.ErrNotExist
}

func (m *machine) Chmod(_ context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error {
	if m.writes++; m.refuse != nil {
		return fmt.Errorf("changing the mode of %s: %w", path, m.refuse)
	}
	if m.late > 0 {
		if m.late--; m.late == 0 {
			was.Mode = was.Mode.Type() | mode
		} else {
			was.Mode ^= 0o001
		}
		m.files[path] = was
		return hostfs.ErrChanged
	}
	if m.files[path] != was {
		return hostfs.ErrChanged
	}
	if !m.revert {
		was.Mode = was.Mode.Type() | mode
	}
	m.files[path] = was
	return nil
}

func (m *machine) Chown(_ context.Context, path string, was strictmodes.Stat, uid int) error {
	if m.writes++; m.refuse != nil {
		return m.refuse
	}
	was.UID = uid
	m.files[path] = was
	return nil
}

func (m *machine) Attributes(_ context.Context, path string) (strictmodes.Attributes, error) {
	if path == m.immutable {
		return strictmodes.Attributes{Immutable: true}, nil
	}
	return m.attributes, nil
}

func (m *machine) ReadFile(_ context.Context, path string) ([]byte, error) {
	switch text, ok := m.texts[path]; {
	case !ok:
		return nil, fs.ErrNotExist
	case text == "denied":
		return nil, fs.ErrPermission
	default:
		return []byte(text), nil
	}
}

func (m *machine) Glob(_ context.Context, pattern string) ([]string, error) {
	var found []string
	for p := range m.files {
		if ok, _ := filepath.Match(pattern, p); ok && (filepath.Base(p)[0] == '.') == (filepath.Base(pattern)[0] == '.') {
			found = append(found, p)
		}
	}
	slices.Sort(found)
	return found, nil
}

func (m *machine) Rename(_ context.Context, from string, was strictmodes.Stat, to string) error {
	if _, ok := m.files[to]; ok {
		return fs.ErrExist
	}
	if m.files[from] != was {
		return hostfs.ErrChanged
	}
	if m.writes++; m.refuse != nil && strings.HasSuffix(from, ".new") {
		return m.refuse
	}
	for p, st := range m.files {
		if rest, ok := strings.CutPrefix(p, from); ok && (rest == "" || rest[0] == '/') {
			delete(m.files, p)
			m.files[to+rest] = st
		}
	}
	return nil
}

func (m *machine) Mkdir(_ context.Context, path string, mode fs.FileMode) error {
	m.writes++
	m.files[path] = strictmodes.Stat{Mode: fs.ModeDir | mode, UID: m.me.UID, GID: m.me.UID, Nlink: 2}
	return nil
}

func (m *machine) Copy(_ context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	if m.files[from] != was {
		return hostfs.ErrChanged
	}
	m.writes++
	m.files[to] = strictmodes.Stat{Mode: mode, UID: m.me.UID, GID: m.me.UID, Nlink: 1}
	return nil
}

var pi = strictmodes.Account{Name: "pi", UID: 1000, Home: "/home/pi", Groups: []int{1000}}

func newMachine(home, ssh, keys fs.FileMode, sshOwner int) *machine {
	dir := func(mode fs.FileMode, uid int) strictmodes.Stat {
		return strictmodes.Stat{Mode: fs.ModeDir | mode, UID: uid, GID: uid, Nlink: 2}
	}
	return &machine{me: pi, files: map[string]strictmodes.Stat{
		"/": dir(0o755, 0), "/home": dir(0o755, 0), "/home/pi": dir(home, 1000), "/home/pi/.ssh": dir(ssh, sshOwner),
		"/home/pi/.ssh/authorized_keys": {Mode: keys, UID: 1000, GID: 1000, Nlink: 1},
	}}
}

func text(records []record.Record) string {
	var b []byte
	for _, r := range records {
		b = r.AppendText(b)
	}
	return string(b)
}

func TestHome(t *testing.T) {
	for _, c := range []struct {
		name   string
		m      *machine
		refuse error
		server strictmodes.Server
		want   string
		hint   string
	}{
		{"good", newMachine(0o755, 0o700, 0o600, 1000), nil, strictmodes.Dropbear,
			"-\tok\tmodes\t/home/pi\tnothing in its files that dropbear would refuse\n", ""},
		{"accepted by Debian", newMachine(0o775, 0o770, 0o664, 1000), nil, strictmodes.Debian,
			"-\tok\tmodes\t/home/pi\tnothing in its files that OpenSSH of Debian would refuse\n", ""},
		{"modes", newMachine(0o775, 0o770, 0o600, 1000), nil, strictmodes.All,
			"-\tdone\thome-writable\t/home/pi\tmode 0775 -> 0755\n-\tdone\tdir-writable\t/home/pi/.ssh\tmode 0770 -> 0750\n", ""},
		{"behind a closed folder", newMachine(0o755, 0o600, 0o666, 1000), nil, strictmodes.All,
			"-\tdone\tkeys-unreadable\t/home/pi/.ssh\tmode 0600 -> 0700\n-\tdone\tkeys-writable\t/home/pi/.ssh/authorized_keys\tmode 0666 -> 0644\n", ""},
		{"another's", newMachine(0o755, 0o755, 0o600, 7), nil, strictmodes.All,
			"-\tdone\twrong-owner\t/home/pi/.ssh\towner uid 7 -> 1000, by a copy; the old one is .ssh.aside\n", ""},
		{"root's", newMachine(0o755, 0o775, 0o600, 0), nil, strictmodes.All,
			"-\tdone\tdir-writable\t/home/pi/.ssh\towner uid 0 -> 1000, by a copy; the old one is .ssh.aside\n", ""},
		{"read-only", newMachine(0o777, 0o700, 0o600, 1000), syscall.EROFS, strictmodes.All,
			"-\tfail\tread-only-fs\t/home/pi\tchanging the mode of /home/pi: read-only file system\n", "remount,rw"},
		{"immutable", newMachine(0o777, 0o700, 0o600, 1000), syscall.EPERM, strictmodes.All,
			"-\tfail\timmutable\t/home/pi\tchanging the mode of /home/pi: operation not permitted\n", "chattr -i -a /home/pi"},
		{"FAT", newMachine(0o777, 0o700, 0o600, 1000), hostfs.ErrModesIgnored, strictmodes.All,
			"-\tfail\tmodes-unsupported\t/home/pi\tchanging the mode of /home/pi: the file system does not keep modes\n", "ext4"},
		{"swapped", newMachine(0o777, 0o700, 0o600, 1000), hostfs.ErrChanged, strictmodes.All,
			"-\tfail\thome-writable\t/home/pi\tchanging the mode of /home/pi: it has changed underneath\n", "again"},
	} {
		c.m.refuse = c.refuse
		records, err := new(Job).home(t.Context(), c.m, pi, c.server, nil)
		if got := text(records); got != c.want || err != nil {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
		if hint := records[len(records)-1].Hint; (hint == "") != (c.hint == "") || !strings.Contains(hint, c.hint) {
			t.Errorf("%s: hint %q, want %q", c.name, hint, c.hint)
		}
	}
}

func TestHomeUndone(t *testing.T) {
	m := newMachine(0o777, 0o700, 0o600, 1000)
	m.revert = true
	records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
	if err != nil || brief(records) != "done home-writable, fail home-writable" || m.writes != 1 {
		t.Errorf("%v, %d writes: %s", err, m.writes, text(records))
	}
}

// Where root gives a thing to its user who cannot read it even then, that is one
// cause twice, and two repairs of one run.
func TestHomeOwnerThenMode(t *testing.T) {
	m := newMachine(0o755, 0o000, 0o600, 0)
	m.me = strictmodes.Account{Name: "root", UID: 0, Home: "/root"}
	records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
	if err != nil || brief(records) != "done keys-unreadable, done keys-unreadable" || m.files["/home/pi/.ssh"].Mode.Perm() != 0o100 {
		t.Errorf("%v: %s", err, text(records))
	}
}

// What belongs to whom the home does stays his: of two accounts with one home,
// a run for the other one would lock him out, and a run for all would do it by
// turns.
func TestHomeShared(t *testing.T) {
	for _, me := range []int{0, 1000} {
		m := newMachine(0o755, 0o700, 0o600, 7)
		m.me = strictmodes.Account{Name: "x", UID: me, Home: "/home/pi"}
		for _, path := range []string{"/home/pi", "/home/pi/.ssh/authorized_keys"} {
			st := m.files[path]
			st.UID = 7
			m.files[path] = st
		}
		records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
		if err != nil || m.writes != 0 || strings.Contains(text(records), "done") || !strings.Contains(text(records), "/home/pi/.ssh\t") {
			t.Errorf("uid %d: %v, %d writes: %s", me, err, m.writes, text(records))
		}
	}
}

// Whoever is not in the group of a directory loses its setgid with any chmod(2),
// which is no word of a file system that keeps no modes.
func TestHomeSetgid(t *testing.T) {
	for _, c := range []struct {
		gid  int
		want string
	}{{7, "mode 2775 -> 0755"}, {1000, "mode 2775 -> 2755"}} {
		m := newMachine(0o755, fs.ModeSetgid|0o775, 0o600, 1000)
		st := m.files["/home/pi/.ssh"]
		st.GID = c.gid
		m.files["/home/pi/.ssh"] = st
		records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
		if err != nil || len(records) != 1 || records[0].Detail != c.want {
			t.Errorf("gid %d: %v: %s", c.gid, err, text(records))
		}
	}
}

// Another run that is quicker by a moment leaves nothing to do, and one that is
// so every time is told of.
func TestHomeLate(t *testing.T) {
	for _, c := range []struct {
		times int
		want  string
	}{{1, ""}, {9, "fail home-writable"}} {
		m := newMachine(0o777, 0o700, 0o600, 1000)
		m.late = c.times
		records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
		if err != nil || brief(records) != c.want || len(records) != 1 {
			t.Errorf("late %d times: %v: %s", c.times, err, text(records))
		}
	}
}

func TestHomeDryRun(t *testing.T) {
	m := newMachine(0o777, 0o755, 0o666, 7)
	m.me = strictmodes.Account{Name: "root", UID: 0, Home: "/root"}
	records, err := (&Job{DryRun: true}).home(t.Context(), m, pi, strictmodes.All, nil)
	if err != nil || brief(records) != "todo home-writable, todo wrong-owner, todo keys-writable" || m.writes != 0 {
		t.Errorf("%v, %d writes: %s", err, m.writes, text(records))
	}
	records, err = new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
	if err != nil || brief(records) != "done home-writable, done wrong-owner, done keys-writable" || m.files["/home/pi/.ssh"].UID != 1000 {
		t.Errorf("%v: %s", err, text(records))
	}
}

// Every finding that is not repaired has a way on.
func TestHints(t *testing.T) {
	with := func(path string, st strictmodes.Stat) *machine {
		m := newMachine(0o755, 0o700, 0o600, 1000)
		if m.files[path] = st; st == (strictmodes.Stat{}) {
			delete(m.files, path)
		}
		return m
	}
	const keys = "/home/pi/.ssh/authorized_keys"
	locked := with(keys, strictmodes.Stat{Mode: 0o644, UID: 7, Nlink: 1})
	locked.immutable = "/home/pi/.ssh"
	for _, c := range []struct {
		m    *machine
		want string
	}{
		{locked, "sudo chown -h pi " + keys}, // nothing there can be put aside
		{with("/home/pi", strictmodes.Stat{}), "sudo mkhomedir_helper pi"},
		{with(keys, strictmodes.Stat{Mode: 0o666, UID: 1000, Nlink: 2}),
			"make it a file of its own: cp -p " + keys + " " + keys + ".own && mv " + keys + ".own " + keys},
		{with("/home", strictmodes.Stat{Mode: fs.ModeDir | 0o700, Nlink: 2}), "sudo chmod o+x /home"},
		{with("/home/pi", strictmodes.Stat{Mode: fs.ModeDir | 0o700, Nlink: 2}), "sudo chown -h pi /home/pi"},
		{with("/home/pi", strictmodes.Stat{Mode: fs.ModeDir | 0o755, UID: 7, Nlink: 2}), "sudo chown -h pi /home/pi"},
		{with("/home/pi", strictmodes.Stat{Mode: fs.ModeDir | fs.ModeSticky | 0o777, UID: 1000, Nlink: 2}),
			"sudo chmod go-w /home/pi"},
	} {
		records, err := new(Job).home(t.Context(), c.m, pi, strictmodes.All, nil)
		if err != nil || len(records) != 1 || records[0].Verdict != record.Fail || records[0].Hint != c.want {
			t.Errorf("%v: %shint %q, want %q", err, text(records), records[0].Hint, c.want)
		}
		if c.m.writes > 0 {
			t.Errorf("something was changed: %s", text(records))
		}
	}
}

// A place that an access list or the configuration shuts has a hint of its own.
func TestHintsElsewhere(t *testing.T) {
	shut := newMachine(0o755, 0o700, 0o600, 1000)
	shut.attributes.Granted = []strictmodes.Grant{{ID: 1000}}
	for _, c := range []struct {
		m     *machine
		files []string
		want  string
	}{
		{shut, nil, "sudo setfacl -m u:pi:x /home"},
		{newMachine(0o755, 0o700, 0o600, 1000), []string{"/home/pi/.ssh"}, "have AuthorizedKeysFile in sshd_config name a file in it"},
	} {
		records, err := new(Job).home(t.Context(), c.m, pi, strictmodes.OpenSSH, c.files)
		if err != nil || c.m.writes > 0 || !slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict == record.Fail && r.Hint == c.want }) {
			t.Errorf("%v, %d writes: %s, without the hint %s", err, c.m.writes, text(records), c.want)
		}
	}
}

// What the owner of a home can lay out for root to paste a hint harms nobody:
// nothing outside the home is given away or put aside, and nothing is copied.
func TestHintsHostile(t *testing.T) {
	const keys = "/home/pi/.ssh/authorized_keys"
	for _, c := range []struct {
		target string // of a link in the place of the keys file
		st     strictmodes.Stat
		want   string
	}{
		{"/etc/secret", strictmodes.Stat{Mode: 0o600, Nlink: 1}, "see whose it is: namei -l /etc/secret"},
		{"/etc/secret", strictmodes.Stat{Mode: 0o644, UID: 7, Nlink: 1}, "see whose it is: namei -l /etc/secret"},
		{"/etc/other", strictmodes.Stat{Mode: 0o666, UID: 7, Nlink: 1}, "see whose it is: namei -l /etc/other"},
		{"/etc/null", strictmodes.Stat{Mode: fs.ModeDevice | 0o666, Nlink: 1}, "see whose it is: namei -l /etc/null"},
		{"", strictmodes.Stat{Mode: 0o600, Nlink: 2}, "find / -xdev -samefile " + keys},
		{"", strictmodes.Stat{Mode: fs.ModeSetuid | 0o600, UID: 7, Nlink: 1}, "chown -h pi " + keys},
	} {
		m := newMachine(0o755, 0o700, 0o600, 1000)
		m.me = strictmodes.Account{Name: "root", UID: 0, Home: "/root"}
		at := keys
		if c.target != "" {
			m.files[keys] = strictmodes.Stat{Mode: fs.ModeSymlink | 0o777, UID: 1000, Nlink: 1}
			m.links = map[string]string{keys: c.target}
			m.files["/etc"] = strictmodes.Stat{Mode: fs.ModeDir | 0o755, Nlink: 2}
			at = c.target
		}
		m.files[at] = c.st
		records, err := new(Job).home(t.Context(), m, pi, strictmodes.OpenSSH, nil)
		if err != nil || len(records) == 0 {
			t.Errorf("%+v: %v: %s", c, err, text(records))
		}
		for _, r := range records {
			if !strings.HasSuffix(r.Hint, c.want) { // where the command is, with nothing after it
				t.Errorf("%+v: %+v", c, r)
			}
		}
	}
}

func TestAccount(t *testing.T) {
	noShell := hostfs.Far(func(context.Context, string) ([]byte, []byte, int, error) {
		return []byte("This account is currently not available.\n"), nil, 1, nil
	})
	lost := hostfs.Far(func(ctx context.Context, _ string) ([]byte, []byte, int, error) {
		return nil, nil, 0, errors.New("EOF")
	})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context
		fsys hostfs.FS
		want string
	}{
		{t.Context(), newMachine(0o777, 0o700, 0o600, 1000), "done home-writable"},
		{t.Context(), noShell, "fail no-shell"},
		{t.Context(), lost, "fail connection-dropped"},
		{cancelled, newMachine(0o777, 0o700, 0o600, 1000), "fail interrupted"},
	} {
		if records := new(Job).Login(c.ctx, c.fsys, strictmodes.All, nil); brief(records) != c.want {
			t.Errorf("got %q, want %q", text(records), c.want)
		}
	}
}

// Through a login as the user himself, who can change what is his and no more.
func TestFar(t *testing.T) {
	t.Parallel()
	u := sshtest.AddUser(t, sshtest.UserConfig{})
	run := hostfs.Runner(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + u.Home}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
		out, err := cmd.Output()
		return out, nil, 0, err
	})
	for _, h := range []home{
		{},
		{home: "0775", ssh: "0770", keys: "0664"},
		{home: "0777", ssh: "0777", keys: "0666", want: "done home-writable, done dir-writable, done keys-writable"},
		{home: "0600", keys: "0666", want: "done keys-unreadable, done keys-writable"},
		{ssh: "0700 root root", want: "done keys-unreadable"},
		{ssh: "0755 third", keys: "0666", want: "done wrong-owner"},
		{keys: "0664 root shared", want: "done keys-writable"},
		{keys: "0660 root shared", want: "fail keys-writable"},
		{special: folder, want: "done keys-not-a-file"},
	} {
		h.set(t, u, "ssh-ed25519 AAAA")
		if records := new(Job).Login(t.Context(), hostfs.Far(run), strictmodes.Debian, nil); brief(records) != h.want {
			t.Errorf("%+v: %s", h, text(records))
		}
	}
}

// A directory of another user's that the way leads on through, by a link, is not
// moved aside: no copy of its files would have what the way leads to. Nor is a home.
func TestFarAbove(t *testing.T) {
	t.Parallel()
	u := sshtest.AddUser(t, sshtest.UserConfig{})
	run := hostfs.Runner(func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=" + u.Home + "/disk/home"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}}
		out, err := cmd.Output()
		return out, nil, 0, err
	})
	real := u.Home + "/disk/real"
	for _, d := range []string{u.Home + "/disk", real, real + "/dot", real + "/dot/ssh"} {
		if err := errors.Join(os.Mkdir(d, 0o755), os.Chown(d, u.UID, u.GID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink("real", u.Home+"/disk/home"), os.Symlink("dot/ssh", real+"/.ssh"), os.WriteFile(real+"/dot/ssh/authorized_keys", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{real, real + "/dot"} {
		if err := errors.Join(os.Chown(d, 0, 0), os.Chmod(d, 0o777)); err != nil {
			t.Fatal(err)
		}
	}
	records := new(Job).Login(t.Context(), hostfs.Far(run), strictmodes.OpenSSH, nil)
	if want := "fail home-writable, fail parent-writable"; brief(records) != want {
		t.Errorf("got %q, want %q", text(records), want)
	}
}

// Root who is refused what root can do is in a container, say: nothing is marked.
func TestRootRefused(t *testing.T) {
	m := newMachine(0o777, 0o700, 0o600, 1000)
	m.me.UID, m.refuse = 0, syscall.EPERM
	records, err := new(Job).home(t.Context(), m, pi, strictmodes.All, nil)
	if err != nil || len(records) != 1 || records[0].Cause != "home-writable" || !strings.Contains(records[0].Hint, "container") {
		t.Errorf("%+v, %v", records, err)
	}
}

// What a dry run plans second for a file opens nothing that it plans to close first,
// as for a private key that a config includes.
func TestPlannedTwice(t *testing.T) {
	const file = "/home/pi/.ssh/authorized_keys"
	for _, c := range []struct{ is, first, second, want fs.FileMode }{
		{0o666, 0o600, 0o644, 0o600},
		{0o666, 0o644, 0o600, 0o600},
		{0o066, 0o000, 0o444, 0o400},
	} {
		m := newMachine(0o755, 0o700, c.is, 1000)
		r, err := (&Job{DryRun: true}).repairer(t.Context(), m, pi)
		if err != nil {
			t.Fatal(err)
		}
		is := m.files[file]
		r.round([]strictmodes.Finding{
			{Cause: "key-mode", Path: file, Stat: is, Repair: strictmodes.Chmod, Mode: c.first},
			{Cause: "config-writable", Path: file, Stat: is, Repair: strictmodes.Chmod, Mode: c.second},
		})
		if got := r.now[file].Mode; got != c.want {
			t.Errorf("%04o: it would be %04o, want %04o: %s", c.is, got, c.want, text(r.records))
		}
	}
}
