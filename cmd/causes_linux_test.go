package cmd_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/cause"
	"pi-key-tools/pkg/sshtest"
)

// A provocation is a way in which a login by key fails, or seems to. It starts
// from one that works: a key in ~/.ssh/id_ed25519 that the account on the
// server has in its authorized_keys.
type provocation struct {
	how string // the name of the subtest

	// A server of those that all share, or a configuration of one's own; with
	// neither there is no server and no account.
	at     string
	config []string

	provoke func(t *testing.T, s *scene)

	// What is run, in that order, and what it is to say, in the order of its
	// records: "PROGRAM VERDICT CAUSE [EVIDENCE]; …". EVIDENCE is seen, logged or
	// likely where the detail begins with it. The exit status follows from that.
	// Before "cure" is run, the hints of the last "look" or "log" are pasted, or
	// those of what is run just before.
	// After " | " is what it says so far, where that is wrong.
	want []string

	// ssh is not asked, since what it would do is not what is tried.
	unjudged bool
}

// askings are the first words of provocation.want.
var askings = map[string][]string{
	"check": {"pikeycheck"},
	"shell": {"pikeycheck", "--shell"},
	"sftp":  {"pikeycheck", "--sftp"},
	"cure":  {"pikeycheck"},
	"here":  {"pikeycheck"}, // without a target
	"look":  {"pikeycheck", "--password-file", "PASSWORD"},
	"copy":  {"pikeycopy", "-i", "PUBLIC", "--password-file", "PASSWORD"},
	"files": {"pikeycopy", "-s", "-i", "PUBLIC", "--password-file", "PASSWORD"},
	"fix":   {"pikeyfix", "-n", "--password-file", "PASSWORD"},
	"mend":  {"pikeyfix", "--password-file", "PASSWORD"},
	"log":   {"pikeyfix", "--log", "LOG"}, // the server's, without a target
	"list":  {"pikeycopy", "-L", "--password-file", "PASSWORD"},
	"take":  {"pikeycopy", "-r", "-i", "PUBLIC", "--password-file", "PASSWORD"},
	"limit": {"pikeycopy", "-i", "PUBLIC", "--options", "restrict", "--password-file", "PASSWORD"},
}

// A scene is where one provocation happens.
type scene struct {
	*traveller
	t      *testing.T
	key    sshtest.Key
	server sshtest.Endpoint
	daemon *sshtest.Daemon
	user   *sshtest.User
	target string
	args   []string // of every program, and of ssh
	hints  []string // to paste
	told   []string // the hints of what was run last
}

// Files of the far side.
func (s *scene) far(name string) string { return filepath.Join(s.user.Home, name) }

const (
	farSSH  = ".ssh"
	farKeys = ".ssh/authorized_keys"
)

func chmod(name string, mode fs.FileMode) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) { must(t, os.Chmod(s.far(name), mode)) }
}

func chown(name string, uid int) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) { must(t, os.Chown(s.far(name), uid, -1)) }
}

// lines are those of authorized_keys, with KEY for that of the key.
func lines(lines ...string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		kind, blob, _ := strings.Cut(s.key.Line, " ")
		key := strings.NewReplacer("KEY", s.key.Line, "TYPE", kind, "BLOB", blob)
		s.user.Authorize(t, strings.Split(key.Replace(strings.Join(lines, "\n")), "\n")...)
	}
}

// private changes the bytes of the private key file, and leaves it alone, as
// ssh-keygen does without -y.
func private(change func(key []byte) []byte) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		data, err := os.ReadFile(s.key.File)
		must(t, err)
		must(t, os.WriteFile(s.key.File, change(data), 0o600))
	}
}

func options(args ...string) func(*testing.T, *scene) {
	return func(_ *testing.T, s *scene) { s.args = append(s.args, args...) }
}

// both provokes several things.
func both(provoke ...func(*testing.T, *scene)) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		for _, p := range provoke {
			p(t, s)
		}
	}
}

// tool runs a program of this machine.
func (s *scene) tool(name string, args ...string) {
	s.t.Helper()
	if out, err := sshtest.Command(s.t, s.home, name, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// noKeys takes every key of this side away.
func noKeys(t *testing.T, s *scene) {
	must(t, os.Remove(s.key.File))
	must(t, os.Remove(s.key.File+".pub"))
}

// agent starts one that holds the key of the file.
func (s *scene) agent(more ...string) (socket string) {
	socket = sshtest.StartAgent(s.t)
	sshtest.AddToAgent(s.t, socket, s.key.File, more...)
	s.args = append(s.args, "-o", "IdentityAgent="+socket, "-o", "IdentitiesOnly=no")
	return socket
}

// untouched is a security key in an agent, which signs although nobody has
// touched it.
type untouched struct {
	agent.Agent
	public  ssh.PublicKey
	private ed25519.PrivateKey
}

func (u *untouched) List() ([]*agent.Key, error) {
	return []*agent.Key{{Format: u.public.Type(), Blob: u.public.Marshal()}}, nil
}

// Sign signs what PROTOCOL.u2f describes, with none of its flags set.
func (u *untouched) Sign(_ ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	flags := make([]byte, 5) // and the counter
	return &ssh.Signature{Format: u.public.Type(), Blob: ed25519.Sign(u.private, slices.Concat(application[:], flags, message[:])), Rest: flags}, nil
}

// securityKey has only such a key, which is authorized.
func securityKey(t *testing.T, s *scene) {
	noKeys(t, s)
	public, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Type        string
		Key         []byte
		Application string
	}{"sk-ssh-ed25519@openssh.com", public, "ssh:"}))
	must(t, err)
	s.user.Authorize(t, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "agent"))
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(&untouched{public: key, private: private}, conn)
		}
	}()
	s.args = append(s.args, "-o", "IdentityAgent="+l.Addr().String(), "-o", "IdentitiesOnly=no")
}

// passphrase gives the key one.
func passphrase(t *testing.T, s *scene) {
	s.tool("ssh-keygen", "-q", "-p", "-a", "1", "-P", "", "-N", "secret", "-f", s.key.File)
}

// another makes the key another one, which is authorized.
func another(args ...string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		noKeys(t, s)
		s.key.File = filepath.Join(s.home, ".ssh", "id_"+args[1])
		s.tool("ssh-keygen", append(args, "-q", "-N", "", "-f", s.key.File)...)
		line, err := os.ReadFile(s.key.File + ".pub")
		must(t, err)
		s.key.Line = strings.TrimSpace(string(line))
		if s.user != nil {
			s.user.Authorize(t, s.key.Line)
		}
	}
}

// hostile has a server that misbehaves answer in the place of none.
func hostile(way sshtest.Hostile) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		s.server = sshtest.StartHostile(t, way).Endpoint
		s.target = "pi@" + s.server.Addr
		s.file(".ssh/known_hosts", s.server.KnownHosts())
	}
}

func target(name string) func(*testing.T, *scene) {
	return func(_ *testing.T, s *scene) { s.target = name }
}

// account has a new account in the place of the shared one, and changes it.
func account(c sshtest.UserConfig, change ...string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		s.user = sshtest.AddUser(t, c)
		s.user.Authorize(t, s.key.Line)
		s.file("password", s.user.Password+"\n")
		s.target = s.user.Name + "@" + s.server.Addr
		if len(change) > 0 {
			accounts.Lock()
			defer accounts.Unlock()
			s.tool(change[0], append(change[1:], s.user.Name)...)
		}
	}
}

// accounts keeps our own changes of passwd(5) apart.
var accounts sync.Mutex

// mounted puts a file system with the same files in the place of the home.
func mounted(kind, options, then string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		if err := syscall.Mount("none", s.user.Home, kind, 0, options); err != nil {
			t.Skipf("mounting a %s: %v", kind, err)
		}
		t.Cleanup(func() { must(t, syscall.Unmount(s.user.Home, syscall.MNT_DETACH)) })
		s.user.Own(t, s.user.Home, 0o755)
		s.user.Authorize(t, "# none")
		if then != "" {
			s.tool("sh", "-c", "cd "+s.user.Home+"; "+then)
		}
	}
}

// overlay puts one in the place of the home, as raspi-config does with all.
func overlay(t *testing.T, s *scene) {
	dir := t.TempDir()
	for _, name := range []string{"upper", "work"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%[2]s/work", s.user.Home, dir)
	if err := syscall.Mount("overlay", s.user.Home, "overlay", 0, options); err != nil {
		t.Skipf("mounting an overlay: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(s.user.Home, syscall.MNT_DETACH)) })
	s.user.Authorize(t, "# none")
}

// setfacl gives an access list.
func setfacl(name, acl string) func(*testing.T, *scene) {
	return func(_ *testing.T, s *scene) { s.tool("setfacl", "-m", acl, s.far(name)) }
}

// immutable marks a file so until the test ends.
func immutable(name string) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		sshtest.Need(t, "chattr")
		if out, err := sshtest.Command(t, "/", "chattr", "+i", s.far(name)).CombinedOutput(); err != nil {
			t.Skipf("chattr: %s", out)
		}
		t.Cleanup(func() { s.tool("chattr", "-i", s.far(name)) })
	}
}

// farFile writes a file of the far side's, with KEY for the line of the key.
func farFile(name, text string, mode fs.FileMode) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		must(t, os.WriteFile(s.far(name), []byte(strings.ReplaceAll(text, "KEY", s.key.Line)), 0o600))
		s.user.Own(t, s.far(name), mode)
	}
}

// agentOf has an agent with so many keys that nobody wants.
func agentOf(n int) func(*testing.T, *scene) {
	return func(t *testing.T, s *scene) {
		socket := sshtest.StartAgent(t)
		for range n {
			sshtest.AddToAgent(t, socket, sshtest.NewKey(t, t.TempDir(), "ed25519").File)
		}
		s.args = append(s.args, "-o", "IdentityAgent="+socket)
	}
}

// dotfiles moves ~/.ssh to ~/dot/ssh, and leaves a link in its place.
func dotfiles(t *testing.T, s *scene) {
	must(t, os.Mkdir(s.far("dot"), 0o755))
	s.user.Own(t, s.far("dot"), 0o755)
	must(t, os.Rename(s.far(farSSH), s.far("dot/ssh")))
	must(t, os.Symlink("dot/ssh", s.far(farSSH)))
}

// sshConfig writes ~/.ssh/config.
func sshConfig(text string) func(*testing.T, *scene) {
	return func(_ *testing.T, s *scene) { s.file(".ssh/config", text) }
}

// certified has an authority sign the key.
func certified(args ...string) func(*testing.T, *scene) {
	return func(_ *testing.T, s *scene) {
		args := append([]string{"-q", "-s", authority.File, "-I", "me"}, args...)
		if i := slices.Index(args, "USER"); i >= 0 {
			args[i] = s.user.Name
		}
		s.tool("ssh-keygen", append(args, s.key.File+".pub")...)
	}
}

// authority signs certificates.
var authority sshtest.Key

// fullQueue is a port at which nobody answers, neither yes nor no.
func fullQueue(t *testing.T, s *scene) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { syscall.Close(fd) })
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	must(t, syscall.Listen(fd, 0))
	name, err := syscall.Getsockname(fd)
	must(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	conn, err := net.Dial("tcp", addr)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	s.target = "pi@" + addr
	s.args = []string{"-o", "ConnectTimeout=1"}
}

// commandLine is that of an sshd, and its process.
func commandLine(t *testing.T, d *sshtest.Daemon) (words []string, pid string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, name := range all {
		data, _ := os.ReadFile(name) // of a process that may be gone
		words := strings.Fields(strings.ReplaceAll(string(data), "\x00", " "))
		if slices.Contains(words, "-f") && slices.Contains(words, "ListenAddress="+d.Addr) {
			return words, filepath.Base(filepath.Dir(name))
		}
	}
	t.Fatal("the command line of sshd is not there")
	return nil, ""
}

// pastable are the commands that a hint may begin with.
var pastable = []string{"pikeygen", "pikeyfix", "pikeycopy", "pikeycheck", "echo", "printf", "sudo", "chmod", "mv", "cp", "umask"}

func hintsIn(stderr string) (hints []string) {
	for line := range strings.Lines(stderr) {
		if _, hint, ok := strings.Cut(line, ": hint: "); ok {
			hints = append(hints, strings.TrimSpace(hint))
		}
	}
	return hints
}

// command is that of a hint, without the words before it; "" if it has none.
func command(hint string) string {
	for more := true; more; _, hint, more = strings.Cut(hint, ": ") {
		if word, _, _ := strings.Cut(hint, " "); slices.Contains(pastable, word) {
			return hint
		}
	}
	return ""
}

// paste runs what the hints say, as somebody does who is root there.
func (s *scene) paste() {
	s.t.Helper()
	bin := s.t.TempDir()
	script := func(name, text string) {
		must(s.t, sshtest.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	}
	script("sudo", `exec "$@"`)
	if slices.ContainsFunc(s.hints, func(h string) bool { return strings.Contains(h, "systemctl") }) {
		words, pid := commandLine(s.t, s.daemon)
		program := words[slices.IndexFunc(words, func(w string) bool { return strings.HasSuffix(w, "/sshd") })]
		script("sshd", "exec "+program+` "$@" -f `+words[slices.Index(words, "-f")+1])
		script("systemctl", "kill -HUP "+pid)
	}
	const listens = "Server listening"
	pasted := 0
	hints := slices.Clone(s.hints)
	for i := 0; i < len(hints) && i < 10; i++ { // a hint may lead to the next
		hint := command(hints[i])
		if hint == "" {
			continue
		}
		pasted++
		started := 0
		if s.daemon != nil {
			started = strings.Count(s.daemon.Log(), listens)
		}
		cmd := sshtest.Command(s.t, s.home, "sh", "-c", hint)
		cmd.Dir = s.home // where a FILE that is to be named may go
		cmd.Env = append(sshtest.Env(s.home), "PATH="+bin+":"+binaries(s.t)+":/usr/sbin:/usr/bin:/sbin:/bin")
		if out, err := cmd.CombinedOutput(); err != nil {
			s.t.Logf("%s: %v: %s", hint, err, out) // there may be another hint
			hints = append(hints, hintsIn(string(out))...)
		} else if strings.Contains(hint, "systemctl") {
			for range 500 {
				if strings.Count(s.daemon.Log(), listens) > started {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	if pasted == 0 {
		s.t.Errorf("no hint that can be pasted: %q", s.hints)
	}
}

// configOf is the file that an sshd was started with, which everybody may read
// from now on, as /etc/ssh/sshd_config can be.
func configOf(t *testing.T, d *sshtest.Daemon) string {
	t.Helper()
	words, _ := commandLine(t, d)
	path := words[slices.Index(words, "-f")+1]
	must(t, os.Chmod(path, 0o644))
	return path
}

func utf16LE(data []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(data))) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func crlf(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")) }

// half is of OpenSSH's format, torn in the middle.
func half(data []byte) []byte { return data[:len(data)/2] }

func spoilt(data []byte) []byte {
	data[bytes.IndexByte(data, '\n')+20] = '*'
	return data
}

// altered has one byte of the secret half changed, in good base64.
func altered(data []byte) []byte {
	block := bytes.Split(data, []byte("\n"))
	raw, err := base64.StdEncoding.DecodeString(string(bytes.Join(block[1:len(block)-2], nil)))
	if err != nil {
		return nil
	}
	raw[len(raw)-80] ^= 1
	return []byte("-----BEGIN OPENSSH PRIVATE KEY-----\n" + base64.StdEncoding.EncodeToString(raw) + "\n-----END OPENSSH PRIVATE KEY-----\n")
}

const damagedHere = "here fail key-damaged"

// provocations are in the order of pi-key-causes(7).
var provocations = []provocation{
	// This side.
	{how: "nothing is wrong", at: "sshd", want: []string{"here ok key", "check ok login", "shell ok login; ok shell", "copy ok key-present; ok login", "fix ok modes"}},
	{how: "no key pair", at: "sshd", provoke: noKeys, want: []string{"here fail key-missing", "check fail key-missing", "look fail key-missing", "cure ok login"}},
	{how: "the pair has a name of its own", at: "sshd", provoke: func(t *testing.T, s *scene) {
		for _, end := range []string{"", ".pub"} {
			must(t, os.Rename(s.key.File+end, filepath.Join(s.home, ".ssh", "pi"+end)))
		}
	}, want: []string{"here fail key-not-offered", "check fail key-not-offered", "cure ok login"}},
	{how: "IdentityFile names another file", at: "sshd", provoke: sshConfig("IdentityFile ~/.ssh/nothing\n"), want: []string{"check fail key-not-offered"}, unjudged: true},
	{how: "IdentitiesOnly, and the key is in the agent", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent()
		noKeys(t, s)
		s.args = append(s.args[:2], "-o", "IdentitiesOnly=yes")
	}, want: []string{"check fail key-not-offered"}},
	{how: "the .pub of another key", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.WriteFile(s.key.File+".pub", []byte(sshtest.NewKey(t, t.TempDir(), "ed25519").Line+"\n"), 0o644))
	}, want: []string{"here fail key-pair-mismatch", "check fail key-pair-mismatch", "here fail key-pair-mismatch", "cure ok login"}, unjudged: true},
	{how: "the .pub of another key, which is the one that is installed", at: "sshd", provoke: func(t *testing.T, s *scene) {
		other := sshtest.NewKey(t, t.TempDir(), "ed25519")
		s.file(".ssh/id_ed25519.pub", other.Line+"\n")
		s.user.Authorize(t, other.Line)
	}, want: []string{"here fail key-pair-mismatch", "check fail key-pair-mismatch"}},
	{how: "the .pub of another key, which the agent has", at: "sshd", provoke: func(t *testing.T, s *scene) {
		other := sshtest.NewKey(t, t.TempDir(), "ed25519")
		sshtest.AddToAgent(t, s.agent(), other.File)
		s.file(".ssh/id_ed25519.pub", other.Line+"\n")
		s.user.Authorize(t, other.Line)
	}, want: []string{"here fail key-pair-mismatch; ok agent; ok agent", "check ok login"}},
	{how: "a .pub that is none", at: "sshd", provoke: func(_ *testing.T, s *scene) { s.file(".ssh/id_ed25519.pub", "nothing\n") },
		want: []string{"here ok key", "check ok login"}},
	{how: "the .pub alone", at: "sshd", provoke: func(t *testing.T, s *scene) { must(t, os.Remove(s.key.File)) },
		want: []string{"here fail key-missing", "check fail key-missing"}},
	{how: "the .pub alone, and the agent has the other half", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent()
		must(t, os.Remove(s.key.File))
	}, want: []string{"here ok agent", "check ok login"}},
	{how: "a public key under the private one's name, and the agent has that", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent()
		noKeys(t, s)
		s.file(".ssh/id_ed25519", s.key.Line+"\n")
		s.args = append(s.args[:2], "-o", "IdentitiesOnly=yes")
	}, want: []string{"here fail key-format; ok agent", "check ok login"}},
	{how: "others may read the key", at: "sshd", provoke: func(t *testing.T, s *scene) { must(t, os.Chmod(s.key.File, 0o644)) },
		want: []string{"here fail key-mode", "check fail key-mode", "cure ok login"}},
	{how: "the group may read the key", at: "sshd", provoke: func(t *testing.T, s *scene) { must(t, os.Chmod(s.key.File, 0o640)) },
		want: []string{"here fail key-mode", "check fail key-mode"}},
	{how: "CR LF in the key", at: "sshd", provoke: private(crlf), want: []string{damagedHere, "check fail key-damaged", "cure ok login"}},
	{how: "no newline at the end of the key", at: "sshd", provoke: private(bytes.TrimSpace), want: []string{damagedHere, "check fail key-damaged", "cure ok login"}},
	{how: "text before the key", at: "sshd", provoke: private(func(k []byte) []byte { return append([]byte("my key:\n"), k...) }), want: []string{damagedHere, "check fail key-damaged", "cure ok login"}},
	{how: "half of the key", at: "sshd", provoke: private(half), want: []string{damagedHere, "check fail key-damaged"}},
	{how: "an empty key file", at: "sshd", provoke: private(func([]byte) []byte { return nil }), want: []string{damagedHere, "check fail key-damaged"}},
	{how: "a key file of NULs", at: "sshd", provoke: private(func(k []byte) []byte { return make([]byte, len(k)) }), want: []string{damagedHere, "check fail key-damaged"}},
	{how: "NULs at the end of the key", at: "sshd", provoke: private(func(k []byte) []byte { return append(half(k), make([]byte, 90)...) }), want: []string{damagedHere, "check fail key-damaged"}},
	{how: "a byte order mark before the key", at: "sshd", provoke: private(func(k []byte) []byte { return append([]byte("\xef\xbb\xbf"), k...) }), want: []string{damagedHere, "check fail key-damaged", "cure ok login"}},
	{how: "the key in UTF-16", at: "sshd", provoke: private(utf16LE), want: []string{damagedHere, "check fail key-damaged", "cure ok login"}},
	{how: "broken base64 in the key", at: "sshd", provoke: private(spoilt), want: []string{damagedHere, "check fail key-damaged"}},
	{how: "one bit of the secret turned", at: "sshd", provoke: private(altered), want: []string{damagedHere, "check fail key-damaged"}},
	{how: "the key is a folder", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(s.key.File))
		must(t, os.Mkdir(s.key.File, 0o700))
	}, want: []string{damagedHere, "check fail key-damaged"}, unjudged: true},
	{how: "a key of PuTTY's", at: "sshd", provoke: private(func([]byte) []byte { return []byte("PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n") }),
		want: []string{"here fail key-format", "check fail key-format"}},
	{how: "a public key under the name of the private one", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.WriteFile(s.key.File, []byte(s.key.Line+"\n"), 0o600))
	}, want: []string{"here fail key-format", "check fail key-format"}},
	{how: "RFC 4716 in the .pub", at: "sshd", provoke: func(t *testing.T, s *scene) {
		out, err := sshtest.Command(t, s.home, "ssh-keygen", "-e", "-f", s.key.File).Output()
		must(t, err)
		must(t, os.WriteFile(s.key.File+".pub", out, 0o644))
	}, want: []string{"check ok login"}},
	{how: "a passphrase, and nobody to ask", at: "sshd", provoke: both(passphrase, options("-o", "BatchMode=yes")), want: []string{"here ok key; fail agent-absent", "check fail key-encrypted"}},
	{how: "a passphrase, and another is given", at: "sshd", provoke: both(passphrase, func(_ *testing.T, s *scene) {
		s.args = append(s.args, "--passphrase-file", s.file("passphrase", "wrong\n"))
	}), want: []string{"check fail key-encrypted"}, unjudged: true},
	{how: "a passphrase, and an empty agent", at: "sshd", provoke: both(passphrase, func(t *testing.T, s *scene) {
		s.args = append(s.args, "-o", "IdentityAgent="+sshtest.StartAgent(t), "-o", "BatchMode=yes")
	}), want: []string{"here ok key; fail agent-empty", "check fail key-encrypted"}},
	{how: "RSA of 1024 bits", provoke: another("-t", "rsa", "-b", "1024"), want: []string{"here fail key-weak"}},
	{how: "DSA", provoke: another("-t", "dsa"), want: []string{"here fail key-weak"}},
	{how: "the socket of an agent that is gone, and no pair", at: "sshd", provoke: both(noKeys, func(_ *testing.T, s *scene) {
		s.args = []string{"-o", "IdentityAgent=" + filepath.Join(s.home, "gone")}
	}), want: []string{"here fail key-missing; fail agent-absent", "check fail agent-absent"}},
	{how: "an empty agent, and no pair", at: "sshd", provoke: both(noKeys, func(t *testing.T, s *scene) {
		s.args = []string{"-o", "IdentityAgent=" + sshtest.StartAgent(t)}
	}), want: []string{"here fail key-missing", "check fail agent-empty"}},
	{how: "the agent asks, and nobody answers", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent("-c")
		noKeys(t, s)
	}, want: []string{"here fail agent-refused", "check fail agent-refused"}},
	{how: "the key in the agent is for another host", at: "sshd", provoke: func(t *testing.T, s *scene) {
		known := filepath.Join(s.home, ".ssh", "known_hosts")
		line, err := os.ReadFile(known)
		must(t, err)
		other := sshtest.NewKey(t, t.TempDir(), "ed25519")
		must(t, os.WriteFile(known, append(line, "other "+other.Line+"\n"...), 0o600))
		s.agent("-H", known, "-h", "other")
		noKeys(t, s)
	}, want: []string{"here ok agent-restricted", "check fail agent-restricted"}},
	{how: "a certificate that is over", at: "CA", provoke: certified("-n", "USER", "-V", "-2d:-1d"), want: []string{"check fail cert-expired seen"}},
	{how: "a certificate of tomorrow", at: "CA", provoke: certified("-n", "USER", "-V", "+1d:+2d"), want: []string{"check fail cert-not-yet seen"}},
	{how: "a certificate for somebody else", at: "CA", provoke: certified("-n", "somebody"), want: []string{"check fail cert-principal likely"}},
	{how: "PubkeyAuthentication no in ~/.ssh/config", at: "sshd", provoke: sshConfig("PubkeyAuthentication no\n"), want: []string{"check fail config-elsewhere", "copy ok key-present; fail config-elsewhere"}, unjudged: true},
	{how: "PreferredAuthentications password", at: "sshd", provoke: options("-o", "PreferredAuthentications=password"), want: []string{"check fail config-elsewhere"}},
	{how: "PubkeyAcceptedAlgorithms of this side", at: "sshd", provoke: options("-o", "PubkeyAcceptedAlgorithms=-ssh-ed25519"), want: []string{"check fail config-elsewhere"}},
	{how: "~/.ssh/config that others may write", at: "sshd", provoke: both(sshConfig(""), func(t *testing.T, s *scene) {
		must(t, os.Chmod(filepath.Join(s.home, ".ssh/config"), 0o666))
	}), want: []string{"here fail config-writable", "check fail config-writable", "copy fail config-writable", "cure ok login"}, unjudged: true},
	{how: "a line in ~/.ssh/config that ssh does not know", at: "sshd", provoke: sshConfig("IdentityFiel x\n"), want: []string{"here fail config-bad", "check fail config-bad"}, unjudged: true},

	{how: "an Include of itself", at: "sshd", provoke: sshConfig("Include ~/.ssh/config\n"), want: []string{"here fail config-bad", "check fail config-bad"}, unjudged: true},
	{how: "a Match that ssh does not know", at: "sshd", provoke: sshConfig("Match hoste pi\n"), want: []string{"here fail config-bad", "check fail config-bad"}, unjudged: true},
	{how: "a cipher that ssh does not know", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.args = append(s.args, "-F", s.file("config", "Host elsewhere\n\tCiphers aes128-ctr,nonsense\n"))
	}, want: []string{"check fail config-bad", "copy fail config-bad"}, unjudged: true},
	{how: "a KnownHostsCommand that fails", at: "sshd", provoke: sshConfig("KnownHostsCommand /bin/false\n"), want: []string{"check fail config-bad"}, unjudged: true},

	// The network, and who answers.
	{how: "a ProxyCommand that dies", at: "sshd", provoke: options("-o", "ProxyCommand=false"), want: []string{"check fail host-unreachable"}},
	{how: "a ProxyCommand that talks", at: "sshd", provoke: options("-o", "ProxyCommand=echo hello"), want: []string{"check fail not-ssh"}},
	{how: "a ProxyCommand that is not there", at: "sshd", provoke: options("-o", "ProxyCommand=no-such-command %h"), want: []string{"check fail host-unreachable"}},
	{how: "a jump host that refuses", at: "sshd", provoke: options("-J", "127.0.0.1:1"), want: []string{"check fail connection-refused"}},
	{how: "a jump host that is not known", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.args = append(s.args, "-J", fmt.Sprintf("localhost:%d", s.server.Port))
	}, want: []string{"check fail host-key-unknown"}, unjudged: true},
	{how: "a jump host that refuses the key", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.args = append(s.args, "-J", "nobody-here@"+s.server.Addr)
	}, want: []string{"check fail key-refused"}, unjudged: true},
	{how: "nothing is listening on ::1", provoke: target("pi@[::1]:1"), want: []string{"check fail connection-refused"}},
	{how: "a zone that is no interface", provoke: target("pi@[fe80::1%nowhere]:22"), want: []string{"check fail host-unreachable"}},
	{how: "no such name", provoke: target("pi@no-such-host.invalid"), want: []string{"check fail name-unknown", "copy fail name-unknown", "fix fail name-unknown"}},
	{how: "no way to the address", provoke: target("pi@255.255.255.255"), want: []string{"check fail host-unreachable"}},
	{how: "a firewall that drops", provoke: fullQueue, want: []string{"check fail timeout"}},
	{how: "nothing listens", provoke: target("pi@127.0.0.1:1"), want: []string{"check fail connection-refused", "copy fail connection-refused"}},
	{how: "MaxStartups", config: []string{"MaxStartups 1", "LoginGraceTime 60"}, provoke: both(options("--timeout", "2s"), func(t *testing.T, s *scene) {
		conn, err := net.Dial("tcp", s.server.Addr)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = conn.Read(make([]byte, 1)) // it is being served
		must(t, err)
	}), want: []string{"check fail connection-dropped", "copy fail connection-dropped"}},
	{how: "no host keys any more", config: []string{}, provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(filepath.Join(filepath.Dir(configOf(t, s.daemon)), "host_ed25519")))
	}, want: []string{"check fail connection-dropped"}},
	{how: "a passphrase that comes late", config: []string{"LoginGraceTime 1"}, provoke: both(passphrase, func(t *testing.T, s *scene) {
		slow := filepath.Join(s.home, "slow")
		must(t, syscall.Mkfifo(slow, 0o600))
		writer := sshtest.Command(t, s.home, "sh", "-c", `exec >"$0"; sleep 3; echo secret`, slow)
		must(t, writer.Start())
		t.Cleanup(func() { _ = writer.Wait() })
		s.args = append(s.args, "--passphrase-file", slow)
	}), want: []string{"check fail connection-dropped"}, unjudged: true},
	{how: "it hangs up before it says anything", provoke: hostile(sshtest.ClosesAtOnce), want: []string{"check fail connection-dropped"}},
	{how: "it hangs up after its version", provoke: hostile(sshtest.ResetsAfterVersion), want: []string{"check fail connection-dropped"}},
	{how: "it hangs up in the login", provoke: hostile(sshtest.ClosesAfterKex), want: []string{"check fail connection-dropped"}},
	{how: "an address that is shut out", provoke: both(hostile(sshtest.Penalised), options("--timeout", "2s")), want: []string{"check fail penalised", "copy fail penalised"}},
	{how: "a web server", provoke: hostile(sshtest.HTTP), want: []string{"check fail not-ssh"}},
	{how: "a server of the nineties", provoke: both(hostile(sshtest.SSH1), options("--timeout", "1s")), want: []string{"check fail not-ssh"}},
	{how: "a server that has been stopped", config: []string{}, provoke: both(options("--timeout", "1s"), func(t *testing.T, s *scene) {
		_, pid := commandLine(t, s.daemon)
		s.tool("kill", "-STOP", pid)
		t.Cleanup(func() { s.tool("kill", "-CONT", pid) })
	}), want: []string{"check fail too-slow"}, unjudged: true},
	{how: "a server that says nothing", provoke: both(hostile(sshtest.Silent), options("--timeout", "1s")), want: []string{"check fail too-slow"}},
	{how: "a key exchange that nobody has any more", config: []string{"KexAlgorithms diffie-hellman-group1-sha1"}, want: []string{"check fail no-common-algorithm"}},
	{how: "ciphers that nobody has any more", config: []string{"Ciphers 3des-cbc"}, want: []string{"check fail no-common-algorithm"}, unjudged: true},
	{how: "host keys that this side does not take", at: "sshd", provoke: options("-o", "HostKeyAlgorithms=ecdsa-sha2-nistp256"), want: []string{"check fail no-common-algorithm"}},
	{how: "a host that is not known", at: "sshd", provoke: func(_ *testing.T, s *scene) { s.file(".ssh/known_hosts", "") }, want: []string{"check fail host-key-unknown", "copy fail host-key-unknown"}, unjudged: true},
	{how: "another host key than before", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.file(".ssh/known_hosts", fmt.Sprintf("[127.0.0.1]:%d %s\n", s.server.Port, sshtest.NewKey(t, t.TempDir(), "ed25519").Line))
	}, want: []string{"check fail host-key-changed", "copy fail host-key-changed"}, unjudged: true},
	{how: "a host key that is revoked for all", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		_, key, _ := strings.Cut(s.server.KnownHosts(), " ")
		s.file(".ssh/known_hosts", "@revoked * "+key+s.server.KnownHosts())
	}, want: []string{"check fail host-key-revoked", "copy fail host-key-revoked"}, unjudged: true},
	{how: "known_hosts is a folder", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(filepath.Join(s.home, ".ssh/known_hosts")))
		must(t, os.Mkdir(filepath.Join(s.home, ".ssh/known_hosts"), 0o700))
	}, want: []string{"check fail host-key-unknown"}, unjudged: true},
	{how: "known_hosts in UTF-16", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.file(".ssh/known_hosts", string(utf16LE([]byte(s.server.KnownHosts()))))
	}, want: []string{"check fail host-key-unknown"}, unjudged: true},
	{how: "a host key that is revoked", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.file(".ssh/known_hosts", s.server.KnownHosts()+"@revoked "+s.server.KnownHosts())
	}, want: []string{"check fail host-key-revoked"}, unjudged: true},
	{how: "a host key that it cannot sign with", provoke: hostile(sshtest.Impostor), want: []string{"check fail host-key-unproven"}},
	{how: "no user is set up yet", config: []string{"Banner BANNER Please note that SSH may not work until a valid user has been set up."}, provoke: lines("# none"),
		want: []string{"check fail no-user-yet"}},
	{how: "it is booting", config: []string{`Banner BANNER "System is booting up. Unprivileged users are not permitted to log in yet."`}, provoke: lines("# none"),
		want: []string{"check fail booting"}},

	// The server's configuration, and the account.
	{how: "PubkeyAuthentication no", config: []string{"PubkeyAuthentication no"}, want: []string{"check fail pubkey-disabled", "look fail pubkey-disabled seen", "copy ok key-present; fail pubkey-disabled seen", "cure ok login"}},
	{how: "AuthenticationMethods password", config: []string{"AuthenticationMethods password"}, want: []string{"check fail pubkey-disabled", "look fail pubkey-disabled seen"}},
	{how: "PasswordAuthentication no", config: []string{"PasswordAuthentication no"}, provoke: lines("# none"), want: []string{"check fail key-refused", "look fail key-refused", "copy fail password-disabled"}},
	{how: "a wrong password", at: "sshd", provoke: both(lines("# none"), func(_ *testing.T, s *scene) { s.file("password", "wrong\n") }), want: []string{"copy fail password-wrong"}},
	{how: "no password, and nobody to ask", at: "sshd", provoke: both(lines("# none"), func(_ *testing.T, s *scene) { s.file("password", "\n") }), want: []string{"copy fail password-needed"}},
	{how: "a password and a code", provoke: hostile(sshtest.PromptsTwice), want: []string{"copy fail prompt-unknown"}},
	{how: "an expired password", at: "PAM", provoke: account(sshtest.UserConfig{}, "chage", "-d", "0"), want: []string{"check ok login", "shell ok login; fail password-expired", "copy fail password-expired"}},
	{how: "an expired password, and home is open", at: "PAM", provoke: both(account(sshtest.UserConfig{}, "chage", "-d", "0"), chmod("", 0o777)), want: []string{"check fail key-refused", "look fail password-expired seen"}},
	{how: "an expired account", at: "PAM", provoke: account(sshtest.UserConfig{}, "chage", "-E", "1"), want: []string{"check fail account-expired", "look fail account-expired", "copy fail account-expired", "cure ok login"}},
	{how: "an expired account, where PAM asks", config: []string{"UsePAM yes", "KbdInteractiveAuthentication yes", "PasswordAuthentication no"},
		provoke: both(lines("# none"), account(sshtest.UserConfig{}, "chage", "-E", "1")), want: []string{"copy fail account-expired"}},
	{how: "an expired account, without PAM", at: "sshd", provoke: account(sshtest.UserConfig{}, "chage", "-E", "1"), want: []string{"check fail key-refused", "look fail key-refused; fail password-wrong"}},
	{how: "a locked account, without PAM", at: "sshd", provoke: account(sshtest.UserConfig{Locked: true}), want: []string{"check fail key-refused", "look fail key-refused; fail password-needed"}},
	{how: "nologin for a shell", at: "sshd", provoke: account(sshtest.UserConfig{Shell: "/usr/sbin/nologin"}), want: []string{"check ok login", "shell ok login; fail no-shell", "cure ok login", "shell ok login; ok shell"}},
	{how: "a shell that is not there", at: "sshd", provoke: account(sshtest.UserConfig{}, "usermod", "-s", "/bin/no-such-shell"), want: []string{"check fail key-refused", "look fail key-refused; fail password-wrong"}},
	{how: "no such user", at: "sshd", provoke: func(_ *testing.T, s *scene) { s.target = "nobody-" + s.target }, want: []string{"check fail key-refused", "look fail key-refused; fail password-wrong"}, unjudged: true},
	{how: "AllowUsers without the user", config: []string{"AllowUsers alice"}, want: []string{"check fail key-refused", "look fail key-refused; fail password-wrong"}},
	{how: "PermitRootLogin no", config: []string{"PermitRootLogin no"}, provoke: func(_ *testing.T, s *scene) { s.target = "root@" + s.server.Addr }, want: []string{"check fail key-refused", "look fail key-refused; fail password-wrong"}, unjudged: true},
	{how: "AuthorizedKeysFile elsewhere", config: []string{"AuthorizedKeysFile /etc/ssh/keys.d/%u"}, want: []string{"check fail key-refused", "look fail keys-file-elsewhere seen", "copy ok key-present; fail keys-file-elsewhere seen"}},
	{how: "AuthorizedKeysFile elsewhere, in a folder that others may only enter", config: []string{"AuthorizedKeysFile /etc/ssh/keys.d/%u"}, provoke: func(t *testing.T, s *scene) {
		must(t, os.Chmod(filepath.Dir(configOf(t, s.daemon)), 0o711))
	}, want: []string{"look fail keys-file-elsewhere seen", "fix fail keys-file-elsewhere"}},
	{how: "AuthorizedKeysFile with ~", config: []string{"AuthorizedKeysFile ~/.ssh/authorized_keys"}, want: []string{"look fail keys-file-elsewhere seen", "cure ok login"}},
	{how: "AuthorizedKeysFile with a blank", config: []string{`AuthorizedKeysFile ".ssh/my keys"`}, want: []string{"look fail keys-file-elsewhere seen", "cure ok login"}},
	{how: "AuthorizedKeysFile none", config: []string{"AuthorizedKeysFile none"}, want: []string{"check fail key-refused", "look fail keys-file-elsewhere seen", "cure ok login"}},
	{how: "AuthorizedKeysFile in a Match", config: []string{"Match Address 127.0.0.0/8", "AuthorizedKeysFile .ssh/keys"}, want: []string{"look fail keys-file-elsewhere seen", "cure ok login"}},
	{how: "AuthorizedKeysCommand alone", config: []string{"AuthorizedKeysFile none", "AuthorizedKeysCommand /bin/true", "AuthorizedKeysCommandUser nobody"}, want: []string{"check fail key-refused", "look fail keys-command seen", "copy ok key-present; fail keys-command seen", "cure ok login"}},
	{how: "PubkeyAcceptedAlgorithms without the type", config: []string{"PubkeyAcceptedAlgorithms rsa-sha2-512"}, want: []string{"check fail key-refused", "look fail key-type-refused seen", "copy ok key-present; fail key-type-refused seen", "cure ok login"}},
	{how: "RSA by SHA-1 alone", config: []string{"PubkeyAcceptedAlgorithms ssh-rsa"}, provoke: another("-t", "rsa", "-b", "2048"), want: []string{"check fail key-refused", "look fail key-type-refused seen"}},
	{how: "RequiredRSASize above the key's", config: []string{"RequiredRSASize 3072"}, provoke: another("-t", "rsa", "-b", "2048"), want: []string{"check fail key-refused", "look fail key-type-refused seen"}},
	{how: "RevokedKeys that is not there", config: []string{"RevokedKeys /no/such/list"}, want: []string{"check fail key-refused", "look fail key-revoked seen", "copy ok key-present; fail key-revoked seen"}},
	{how: "AuthenticationMethods publickey,password", config: []string{"AuthenticationMethods publickey,password"}, want: []string{"check fail more-needed", "look fail more-needed seen", "copy ok key-present; fail more-needed"}},
	{how: "dropbear that wants both", at: "dropbear -t", want: []string{"check fail more-needed", "look fail more-needed seen", "copy ok key-present; fail more-needed"}},
	{how: "AuthenticationMethods with two keys", config: []string{"AuthenticationMethods publickey,publickey"}, want: []string{"check fail more-needed", "look fail more-needed"}},
	{how: "AuthenticationMethods with several lists", config: []string{"AuthenticationMethods password,publickey publickey,password"}, want: []string{"check fail more-needed", "look fail more-needed seen"}},
	{how: "AuthenticationMethods password,publickey", config: []string{"AuthenticationMethods password,publickey"}, want: []string{"check fail pubkey-disabled", "look fail more-needed seen"}},
	// The key would do, and the password alone does not let anybody in to look.
	{how: "a key, or a password and a key, and home is open", config: []string{"AuthenticationMethods publickey password,publickey"}, provoke: chmod("", 0o777),
		want: []string{"check fail key-refused", "look fail key-refused", "copy fail more-needed"}},
	{how: "ten keys in the agent, MaxAuthTries 3", config: []string{"MaxAuthTries 3"}, provoke: agentOf(10), want: []string{"check fail too-many-tries", "look fail too-many-tries", "copy ok key-present; ok login"}, unjudged: true},
	{how: "ten keys in the agent, MaxAuthTries 3, and home is open", config: []string{"MaxAuthTries 3"}, provoke: both(agentOf(10), chmod("", 0o777)),
		want: []string{"check fail too-many-tries", "look fail too-many-tries; fail home-writable seen", "cure fail too-many-tries"}, unjudged: true},
	{how: "ten keys in the agent, MaxAuthTries 3, and not installed", config: []string{"MaxAuthTries 3"}, provoke: both(agentOf(10), lines("# none")),
		want: []string{"look fail too-many-tries; fail key-not-installed seen"}, unjudged: true},
	{how: "ten keys in the agent, MaxAuthTries 6", at: "sshd", provoke: agentOf(10), want: []string{"check fail too-many-tries"}, unjudged: true},
	{how: "MaxAuthTries 1 and the second key", config: []string{"MaxAuthTries 1"}, provoke: func(t *testing.T, s *scene) {
		sshtest.NewKey(t, filepath.Join(s.home, ".ssh"), "ecdsa")
	}, want: []string{"check fail too-many-tries", "look fail too-many-tries"}, unjudged: true},
	{how: "ForceCommand", config: []string{"ForceCommand uptime"}, want: []string{"check ok login", "shell ok login; fail command-forced"}},
	{how: "command= of the key", at: "sshd", provoke: lines(`command="uptime" KEY`), want: []string{"check ok login", "shell ok login; fail command-forced", "copy ok key-present; ok login", "limit fail command-forced"}},
	{how: "sftp alone", config: []string{"ForceCommand internal-sftp"}, want: []string{"check ok login", "shell ok login; fail command-forced"}},
	{how: "a ChrootDirectory without a shell", config: []string{"ChrootDirectory /etc"}, want: []string{"shell ok login; fail shell-missing"}},
	{how: "sftp", at: "sshd", want: []string{"sftp ok login; ok sftp"}},
	{how: "no sftp", config: []string{"Subsystem none /bin/false"}, want: []string{"sftp ok login; fail no-sftp", "files fail no-sftp"}},
	{how: "a .bashrc that exits", at: "sshd", provoke: farFile(".bashrc", "exit 3\n", 0o644), want: []string{"shell ok login; fail no-shell"}},
	{how: "no sessions", config: []string{"MaxSessions 0"}, want: []string{"check ok login", "shell ok login; fail no-shell"}},
	{how: "no sessions, and home is open", config: []string{"MaxSessions 0"}, provoke: chmod("", 0o777), want: []string{"look fail key-refused"}},
	{how: "a forced command that fails, and home is open", config: []string{"ForceCommand /bin/false"}, provoke: chmod("", 0o777), want: []string{"look fail key-refused"}},
	{how: "sftp alone, and home is open", config: []string{"ForceCommand internal-sftp"}, provoke: chmod("", 0o777), want: []string{"look fail home-writable seen"}},
	{how: "a Match of the user", config: []string{"Match User pk*", "PubkeyAuthentication no"}, want: []string{"check fail pubkey-disabled", "look fail pubkey-disabled seen", "cure ok login"}},
	{how: "a Match of the group", config: []string{"Match Group pk*", "AuthorizedKeysFile /etc/ssh/keys.d/%u"}, want: []string{"look fail keys-file-elsewhere seen"}},
	{how: "AllowGroups without the user's", config: []string{"AllowGroups ssh-users wheel"}, want: []string{"check fail key-refused", "look fail key-refused; fail password-wrong"}},
	{how: "AllowUsers at another address", config: []string{"AllowUsers *@10.0.0.0/8"}, want: []string{"check fail key-refused"}},
	{how: "DenyUsers with a pattern", config: []string{"DenyUsers pk*"}, want: []string{"check fail key-refused"}},
	{how: "AuthorizedKeysFile with two words, and the key in neither", config: []string{"AuthorizedKeysFile .ssh/a .ssh/b"}, want: []string{"look fail keys-file-elsewhere seen", "copy ok key-present; fail keys-file-elsewhere seen", "cure ok login"}},
	{how: "AuthorizedKeysFile with two words, and the second is open", config: []string{"AuthorizedKeysFile .ssh/a .ssh/b"}, provoke: farFile(".ssh/b", "KEY\n", 0o666), want: []string{"look fail keys-writable seen", "cure ok login"}},
	{how: "ChrootDirectory that others may write", config: []string{"ChrootDirectory /tmp"}, want: []string{"shell fail session-failed", "copy fail session-failed", "fix fail session-failed"}, unjudged: true},

	{how: "PermitRootLogin no, and the key is good", config: []string{"PermitRootLogin no", "TrustedUserCAKeys AUTHORITY"}, provoke: both(certified("-n", "root"), func(_ *testing.T, s *scene) { s.target = "root@" + s.server.Addr }),
		want: []string{"check fail root-refused likely", "look fail root-refused likely", "log fail root-refused"}},
	{how: "PermitRootLogin forced-commands-only, and no command=", config: []string{"PermitRootLogin forced-commands-only", "TrustedUserCAKeys AUTHORITY"}, provoke: both(certified("-n", "root"), func(_ *testing.T, s *scene) { s.target = "root@" + s.server.Addr }),
		want: []string{"check fail root-refused likely", "look fail root-refused likely", "shell fail root-refused likely", "log fail root-refused"}, unjudged: true},
	{how: "a security key that nobody has touched", config: []string{}, provoke: securityKey, want: []string{"here ok agent", "check fail touch-missing likely", "log fail touch-missing"}, unjudged: true},
	{how: "PAM refuses the account", config: []string{"PAM account required pam_deny.so"}, want: []string{"check fail pam-refused likely", "look fail pam-refused likely", "copy fail pam-refused likely", "log fail pam-refused"}},
	{how: "PAM opens no session", config: []string{"PAM session required pam_deny.so"}, want: []string{"shell ok login; fail session-failed likely", "copy fail session-failed", "fix fail session-failed", "log fail session-failed"}},
	{how: "a ChrootDirectory that others may write, in the log", config: []string{"ChrootDirectory /tmp"}, want: []string{"shell fail session-failed", "log fail chroot-modes"}, unjudged: true},
	{how: "a ChrootDirectory that is not there", config: []string{"ChrootDirectory /no/such/folder"}, want: []string{"shell fail session-failed", "log fail chroot-modes"}, unjudged: true},
	{how: "a locked account, in the log", config: []string{}, provoke: both(account(sshtest.UserConfig{}), func(_ *testing.T, s *scene) { s.tool("usermod", "-L", s.user.Name) }),
		want: []string{"check fail key-refused", "log fail account-locked", "cure ok login"}},
	{how: "an expired account, in the log", config: []string{}, provoke: account(sshtest.UserConfig{}, "chage", "-E", "1"), want: []string{"check fail key-refused", "log fail account-expired", "cure ok login"}},
	{how: "a shell that is not there, in the log", config: []string{}, provoke: account(sshtest.UserConfig{}, "usermod", "-s", "/bin/no-such-shell"), want: []string{"check fail key-refused", "log fail shell-missing", "cure ok login"}},
	{how: "AllowUsers, in the log", config: []string{"AllowUsers alice"}, want: []string{"check fail key-refused", "log fail user-not-allowed"}},
	{how: "no such user, in the log", config: []string{}, provoke: func(_ *testing.T, s *scene) { s.target = "nobody-" + s.target }, want: []string{"check fail key-refused", "log fail user-unknown"}, unjudged: true},
	{how: "expiry-time= of the past, in the log", config: []string{}, provoke: lines(`expiry-time="20200101" KEY`), want: []string{"check fail key-refused", "log fail entry-refused"}},

	// What only the log tells: the configuration is root's.
	{how: "PubkeyAcceptedAlgorithms, in the log", config: []string{"CLOSED", "SetEnv PATH=JOURNAL:/usr/bin:/bin", "PubkeyAcceptedAlgorithms rsa-sha2-512"}, want: []string{"look fail key-type-refused logged"}},
	{how: "a list of revoked keys that is not there, in the log", config: []string{"CLOSED", "SetEnv PATH=JOURNAL:/usr/bin:/bin", "RevokedKeys /no/such/list"}, want: []string{"look fail key-revoked logged"}},

	{how: "RequiredRSASize, in the log", config: []string{"CLOSED", "SetEnv PATH=JOURNAL:/usr/bin:/bin", "RequiredRSASize 3072"}, provoke: another("-t", "rsa", "-b", "2048"), want: []string{"look fail key-weak logged"}},
	{how: "AuthorizedKeysCommand that fails, in the log", config: []string{"CLOSED", "SetEnv PATH=JOURNAL:/usr/bin:/bin", "AuthorizedKeysFile none", "AuthorizedKeysCommand /bin/false", "AuthorizedKeysCommandUser nobody"}, want: []string{"look fail keys-command-failed logged"}},
	{how: "AuthorizedKeysCommand that fails, in the configuration and in the log", config: []string{"SetEnv PATH=JOURNAL:/usr/bin:/bin", "AuthorizedKeysFile none", "AuthorizedKeysCommand /bin/false", "AuthorizedKeysCommandUser nobody"}, want: []string{"look fail keys-command-failed logged"}},
	{how: "keys in /tmp, in the log", config: []string{"CLOSED", "SetEnv PATH=JOURNAL:/usr/bin:/bin", "AuthorizedKeysFile /tmp/%u.keys"}, provoke: func(t *testing.T, s *scene) {
		file := "/tmp/" + s.user.Name + ".keys"
		must(t, os.WriteFile(file, []byte(s.key.Line+"\n"), 0o644))
		t.Cleanup(func() { os.Remove(file) })
	}, want: []string{"look fail parent-writable logged"}},

	// The far files.
	{how: "not installed", at: "sshd", provoke: lines("# none"), want: []string{"check fail key-refused", "look fail key-not-installed seen", "copy done key-added; ok login"}},
	{how: "home 0777", at: "sshd", provoke: chmod("", 0o777), want: []string{"check fail key-refused", "look fail home-writable seen", "copy ok key-present; fail home-writable seen", "fix todo home-writable", "cure ok login"}},
	{how: ".ssh 0777", at: "sshd", provoke: chmod(farSSH, 0o777), want: []string{"check fail key-refused", "look fail dir-writable seen", "copy ok key-present; fail dir-writable seen", "fix todo dir-writable", "cure ok login"}},
	{how: "authorized_keys 0666", at: "sshd", provoke: chmod(farKeys, 0o666), want: []string{"check fail key-refused", "look fail keys-writable seen", "copy ok key-present; fail keys-writable seen", "fix todo keys-writable", "cure ok login"}},
	{how: ".ssh in a folder 0777", at: "sshd", provoke: both(dotfiles, chmod("dot", 0o777)), want: []string{"check fail key-refused", "look fail parent-writable seen", "copy ok key-present; fail parent-writable seen", "fix todo parent-writable", "cure ok login"}},
	{how: "home of a third user", at: "sshd", provoke: chown("", 4242), want: []string{"check fail key-refused", "look fail wrong-owner seen", "copy ok key-present; fail wrong-owner seen", "cure ok login"}},
	{how: ".ssh of a third user", at: "sshd", provoke: both(chown(farSSH, 4242), chmod(farSSH, 0o755)), want: []string{"check fail key-refused", "look fail wrong-owner seen", "copy fail wrong-owner", "look fail wrong-owner seen", "cure ok login"}},
	{how: "authorized_keys of a third user", at: "sshd", provoke: both(chown(farKeys, 4242), chmod(farKeys, 0o644)), want: []string{"check fail key-refused", "look fail wrong-owner seen"}},
	{how: "authorized_keys of root's, closed", at: "sshd", provoke: chown(farKeys, 0), want: []string{"check fail key-refused", "look fail keys-unreadable seen", "copy fail keys-unreadable", "fix fail keys-unreadable", "cure ok login"}},
	{how: ".ssh of root's, closed", at: "sshd", provoke: chown(farSSH, 0), want: []string{"check fail key-refused", "look fail keys-unreadable seen", "copy fail keys-unreadable", "fix todo keys-unreadable"}},
	{how: "authorized_keys 0000", at: "sshd", provoke: chmod(farKeys, 0), want: []string{"check fail key-refused", "look fail keys-unreadable seen", "copy fail keys-unreadable", "fix todo keys-unreadable", "look fail keys-unreadable seen", "cure ok login"}},
	{how: ".ssh 0500, and not installed", at: "sshd", provoke: both(lines("# none"), chmod(farSSH, 0o500)), want: []string{"fix ok modes", "copy fail write-failed", "cure fail key-refused", "copy done key-added; ok login"}},
	{how: "authorized_keys is a folder", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, os.Mkdir(s.far(farKeys), 0o700))
		s.user.Own(t, s.far(farKeys), 0o700)
	}, want: []string{"check fail key-refused", "look fail keys-not-a-file seen", "copy fail keys-not-a-file", "fix todo keys-not-a-file", "look fail keys-not-a-file seen", "cure fail key-refused", "look fail key-not-installed seen", "cure ok login"}},
	{how: "authorized_keys is a FIFO", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, syscall.Mkfifo(s.far(farKeys), 0o600))
		s.user.Own(t, s.far(farKeys), 0o600)
	}, want: []string{"check fail key-refused", "look fail keys-not-a-file seen", "copy fail keys-not-a-file", "fix todo keys-not-a-file"}},
	{how: ".ssh is a file", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.RemoveAll(s.far(farSSH)))
		farFile(farSSH, "KEY\n", 0o600)(t, s)
	}, want: []string{"look fail keys-not-a-file seen", "copy fail keys-not-a-file", "fix todo keys-not-a-file"}},
	{how: "home 0000", at: "sshd", provoke: chmod("", 0), want: []string{"look fail keys-unreadable seen", "copy fail keys-unreadable", "fix todo keys-unreadable", "cure ok login"}},
	{how: "home 0600", at: "sshd", provoke: chmod("", 0o600), want: []string{"look fail keys-unreadable seen", "fix todo keys-unreadable"}},
	{how: ".ssh 0600", at: "sshd", provoke: chmod(farSSH, 0o600), want: []string{"look fail keys-unreadable seen", "fix todo keys-unreadable", "cure ok login"}},
	{how: "authorised_keys", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Rename(s.far(farKeys), s.far(".ssh/authorised_keys")))
	}, want: []string{"check fail key-refused", "look fail keys-misnamed seen", "fix todo keys-misnamed", "cure ok login"}},
	{how: "authorized_keys in home", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Rename(s.far(farKeys), s.far("authorized_keys")))
	}, want: []string{"check fail key-refused", "look fail keys-misnamed seen", "fix fail keys-misnamed"}},
	{how: "authorized_keys leads in a circle", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, os.Symlink("authorized_keys", s.far(farKeys)))
	}, want: []string{"check fail key-refused", "look fail keys-symlink seen", "copy fail keys-symlink"}},
	{how: "authorized_keys has a second name", at: "sshd", provoke: both(lines("# none"), func(t *testing.T, s *scene) {
		must(t, os.Link(s.far(farKeys), s.far("backup")))
	}), want: []string{"copy fail keys-linked", "cure fail key-refused", "copy done key-added; ok login"}},
	{how: "UTF-16 in authorized_keys", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.WriteFile(s.far(farKeys), utf16LE([]byte(s.key.Line+"\n")), 0o600))
	}, want: []string{"check fail key-refused", "look fail entry-encoding seen", "fix fail entry-encoding", "cure ok login"}},
	{how: "a byte order mark after the first line", at: "sshd", provoke: lines("# mine", "\ufeffKEY"), want: []string{"check fail key-refused", "look fail entry-encoding seen", "fix fail entry-encoding"}},
	{how: "a byte order mark at the start", at: "sshd", provoke: lines("\ufeffKEY"), want: []string{"check fail key-refused", "look fail entry-encoding seen", "fix fail entry-encoding"}},
	{how: "RFC 4716 in authorized_keys", at: "sshd", provoke: func(t *testing.T, s *scene) {
		out, err := sshtest.Command(t, s.home, "ssh-keygen", "-e", "-f", s.key.File).Output()
		must(t, err)
		s.user.Authorize(t, strings.TrimSpace(string(out)))
	}, want: []string{"look fail entry-format seen", "cure ok login"}},
	{how: "authorized_keys2 has the key, and others may write it", at: "sshd", provoke: both(lines("# none"), farFile(farKeys+"2", "KEY\n", 0o666)), want: []string{"look fail keys-writable seen", "fix todo keys-writable"}},
	{how: "a .bashrc that moves HOME, and .ssh is open", at: "sshd", provoke: both(farFile(".bashrc", "HOME=/tmp\n", 0o644), chmod(farSSH, 0o777)), want: []string{"look fail dir-writable seen"}},
	{how: "a .bashrc that floods, and .ssh is open", at: "sshd", provoke: both(farFile(".bashrc", "yes | head -c 3000000\n", 0o644), chmod(farSSH, 0o777)), want: []string{"look fail dir-writable seen"}},
	{how: "another key to look with", at: "sshd", provoke: func(t *testing.T, s *scene) {
		other := sshtest.NewKey(t, t.TempDir(), "ecdsa")
		s.user.Authorize(t, `from="10.0.0.1" `+s.key.Line, other.Line)
		s.args = append(s.args, "--inside-key", other.File)
	}, want: []string{"check fail entry-from seen"}, unjudged: true},
	{how: "two keys on one line", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.user.Authorize(t, sshtest.NewKey(t, t.TempDir(), "ed25519").Line+s.key.Line)
	}, want: []string{"check fail key-refused", "look fail entry-glued seen", "fix fail entry-glued", "cure ok login"}},
	{how: "a key on several lines", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.user.Authorize(t, s.key.Line[:40], s.key.Line[40:])
	}, want: []string{"check fail key-refused", "look fail entry-wrapped seen", "fix fail entry-wrapped", "cure ok login"}},
	{how: "the key in a comment", at: "sshd", provoke: lines("# KEY"), want: []string{"check fail key-refused", "look fail entry-commented seen", "fix ok entry-commented", "cure ok login"}},
	{how: "quotes around the key", at: "sshd", provoke: lines(`"KEY"`), want: []string{"check fail key-refused", "look fail entry-quoted seen", "fix fail entry-quoted", "cure ok login"}},
	{how: "another type before the key", at: "sshd", provoke: lines("ssh-rsa BLOB"), want: []string{"check fail key-refused", "look fail entry-type-mismatch seen", "fix fail entry-type-mismatch", "cure ok login"}},
	{how: "half of the line", at: "sshd", provoke: func(t *testing.T, s *scene) { s.user.Authorize(t, s.key.Line[:60]) }, want: []string{"check fail key-refused", "look fail entry-truncated seen", "fix fail entry-truncated", "cure ok login"}},
	{how: "the private key in authorized_keys", at: "sshd", provoke: func(t *testing.T, s *scene) {
		data, err := os.ReadFile(s.key.File)
		must(t, err)
		s.user.Authorize(t, strings.TrimSpace(string(data)))
	}, want: []string{"check fail key-refused", "look fail entry-private-key likely", "fix fail entry-private-key", "look fail entry-private-key likely"}},
	{how: "NULs in authorized_keys", at: "sshd", provoke: lines("\x00\x00\x00KEY"), want: []string{"check fail key-refused", "look fail entry-nul seen", "fix fail entry-nul", "look fail entry-nul seen", "cure ok login"}},
	{how: "NULs before the key, and it is copied", at: "sshd", provoke: lines("\x00\x00\x00KEY"), want: []string{"copy done key-added; ok login"}},
	{how: "an option that sshd does not know", at: "sshd", provoke: lines("no-such-option KEY"), want: []string{"check fail key-refused", "look fail entry-options-bad seen", "fix fail entry-options-bad", "cure ok login"}},
	{how: "a quote that is not closed", at: "sshd", provoke: lines(`command="ls KEY`), want: []string{"check fail key-refused", "look fail entry-options-bad seen", "fix fail entry-options-bad"}},
	{how: "from= another network", at: "sshd", provoke: lines(`from="10.0.0.0/8" KEY`), want: []string{"check fail key-refused", "look fail entry-from seen", "copy ok key-present; fail entry-from seen", "cure ok login"}},
	{how: "from= without the address", at: "sshd", provoke: lines(`from="!127.0.0.1,*" KEY`), want: []string{"check fail key-refused", "look fail entry-from seen"}},
	{how: "from= a name that is not looked up", at: "sshd", provoke: lines(`from="localhost" KEY`), want: []string{"check fail key-refused", "look fail entry-from seen"}},
	{how: "from= a network with bits behind its mask", at: "sshd", provoke: lines(`from="127.0.0.1/8" KEY`), want: []string{"check fail key-refused", "look fail entry-options-bad seen"}},
	{how: "cert-authority before the key itself", at: "sshd", provoke: lines("cert-authority KEY"), want: []string{"check fail key-refused", "look fail key-not-installed seen", "cure ok login"}},
	{how: "principals= before a key", at: "sshd", provoke: lines(`principals="pi" KEY`), want: []string{"check fail key-refused", "look fail entry-options-bad seen"}},
	{how: "CR alone in authorized_keys", at: "sshd", provoke: farFile(farKeys, "# mine\rKEY\r", 0o600), want: []string{"look fail entry-encoding seen", "cure ok login"}},
	{how: "a no-break space in authorized_keys", at: "sshd", provoke: lines("TYPE\u00a0BLOB"), want: []string{"look fail entry-encoding seen"}},
	{how: "expiry-time= of the past", at: "sshd", provoke: lines(`expiry-time="20200101" KEY`), want: []string{"check fail key-refused", "look fail entry-expired seen", "copy ok key-present; fail entry-expired seen", "cure ok login"}},
	{how: "from=, for dropbear", at: "dropbear", provoke: lines(`from="127.0.0.1" KEY`), want: []string{"check fail key-refused", "look fail dropbear-limits seen", "copy ok key-present; fail dropbear-limits seen", "cure ok login"}},
	{how: "two blanks, for dropbear", at: "dropbear", provoke: lines("TYPE  BLOB"), want: []string{"check fail key-refused", "look fail dropbear-limits seen", "cure ok login"}},
	{how: "a long line, for dropbear", at: "dropbear", provoke: func(t *testing.T, s *scene) { s.user.Authorize(t, s.key.Line+strings.Repeat("x", 5000)) }, want: []string{"look fail dropbear-limits seen"}},
	{how: "two keys on one line, for dropbear", at: "dropbear", provoke: func(t *testing.T, s *scene) {
		s.user.Authorize(t, sshtest.NewKey(t, t.TempDir(), "ed25519").Line+s.key.Line)
	}, want: []string{"look fail entry-glued seen"}},
	{how: "a byte order mark, for dropbear", at: "dropbear", provoke: lines("\ufeffKEY"), want: []string{"look fail entry-encoding seen"}},
	{how: "authorized_keys2, for dropbear", at: "dropbear", provoke: func(t *testing.T, s *scene) {
		must(t, os.Rename(s.far(farKeys), s.far(farKeys+"2")))
	}, want: []string{"look fail keys-misnamed seen"}},
	{how: "command=, for dropbear", at: "dropbear", provoke: lines(`command="uptime" KEY`), want: []string{"shell ok login; fail command-forced"}},
	{how: "home of another group, for dropbear", at: "dropbear", provoke: chmod("", 0o775), want: []string{"check fail key-refused", "look fail home-writable seen"}},
	{how: "an access list on home, for dropbear", at: "dropbear", provoke: setfacl("", "u:4242:rwx"), want: []string{"check fail key-refused", "look fail acl-writable seen", "copy ok key-present; fail acl-writable seen", "fix todo acl-writable", "cure ok login"}},
	{how: "an access list on authorized_keys, for dropbear", at: "dropbear", provoke: setfacl(farKeys, "u:4242:rw"), want: []string{"check fail key-refused", "look fail acl-writable seen", "fix todo acl-writable"}},
	{how: "an access list on .ssh of another group", at: "sshd", provoke: both(func(t *testing.T, s *scene) { must(t, os.Chown(s.far(farSSH), -1, 0)) }, setfacl(farSSH, "u:4242:rwx")),
		want: []string{"check fail key-refused", "look fail acl-writable seen", "fix todo acl-writable", "cure ok login"}},
	{how: "an immutable .ssh", at: "sshd", provoke: both(lines("# none"), immutable(farSSH)), want: []string{"copy fail immutable", "cure fail key-refused", "copy done key-added; ok login"}},
	{how: "an immutable authorized_keys", at: "sshd", provoke: both(lines("# none"), immutable(farKeys)), want: []string{"copy fail immutable", "cure fail key-refused", "copy done key-added; ok login"}},
	{how: "authorized_keys leads to nothing", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, os.Symlink("/nowhere/keys", s.far(farKeys)))
	}, want: []string{"look fail keys-symlink seen", "copy fail keys-symlink", "look fail keys-symlink seen", "cure ok login"}},
	{how: "authorized_keys leads to another file", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, os.Symlink("/etc/passwd", s.far(farKeys)))
	}, want: []string{"look fail key-not-installed seen", "copy fail keys-symlink"}},
	{how: ".ssh 1777", at: "sshd", provoke: chmod(farSSH, 0o777|os.ModeSticky), want: []string{"look fail dir-writable seen", "fix todo dir-writable", "cure ok login"}},
	{how: "no .ssh", at: "sshd", provoke: func(t *testing.T, s *scene) { must(t, os.RemoveAll(s.far(farSSH))) }, want: []string{"look fail key-not-installed seen", "fix ok modes", "cure ok login"}},
	{how: "an empty authorized_keys", at: "sshd", provoke: farFile(farKeys, "", 0o600), want: []string{"look fail key-not-installed seen", "cure ok login"}},
	{how: "the key of another in a comment", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.user.Authorize(t, "# "+sshtest.NewKey(t, t.TempDir(), "ed25519").Line)
	}, want: []string{"look fail key-not-installed seen"}},
	{how: "a file system that is read-only", at: "sshd", provoke: mounted("tmpfs", "", "mount -o remount,ro ."), want: []string{"check fail key-refused", "look fail key-not-installed seen", "copy fail read-only-fs", "cure fail key-refused", "copy done key-added; ok login"}},
	{how: "home on an overlay", at: "sshd", provoke: overlay, want: []string{"look fail key-not-installed seen", "cure ok login"}},
	{how: "a disk that is full", at: "sshd", provoke: mounted("tmpfs", "size=64k", "cat /dev/zero >fill 2>/dev/null; :"), want: []string{"check fail key-refused", "look fail key-not-installed seen", "copy fail disk-full"}},
	{how: "no inodes", at: "sshd", provoke: mounted("tmpfs", "nr_inodes=4", "touch fill; :"), want: []string{"check fail key-refused", "look fail key-not-installed seen", "copy fail disk-full"}},
	{how: "a file system that keeps no modes", config: []string{"SetEnv PATH=JOURNAL:/usr/bin:/bin", "BIN chmod :"}, provoke: chmod("", 0o777), want: []string{"check fail key-refused", "mend fail modes-unsupported"}},
	{how: "a label of SELinux", config: []string{"SetEnv PATH=JOURNAL:/usr/bin:/bin", "BIN getenforce echo Enforcing", `BIN ls case $1 in -Zd) echo "unconfined_u:object_r:user_home_t:s0 $2" ;; *) exec /bin/ls "$@" ;; esac`, "AuthorizedKeysFile none"},
		provoke: func(t *testing.T, s *scene) { // what sshd cannot read is as if it were not there
			config := configOf(t, s.daemon)
			text, err := os.ReadFile(config)
			must(t, err)
			must(t, os.WriteFile(config, bytes.Replace(text, []byte("AuthorizedKeysFile none\n"), nil, 1), 0o644))
		}, want: []string{"check fail key-refused", "look fail selinux-label likely"}},
	{how: "no home", at: "sshd", provoke: func(t *testing.T, s *scene) { must(t, os.RemoveAll(s.user.Home)) }, want: []string{"check fail key-refused", "look fail home-missing seen", "copy fail home-missing", "cure fail key-refused"}},

	{how: "a home that is encrypted, and closed", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.RemoveAll(s.far(farSSH)))
		must(t, os.WriteFile(s.far("Access-Your-Private-Data.desktop"), nil, 0o644))
	}, want: []string{"check fail key-refused", "look fail home-encrypted seen"}},

	// What the files have, and what is put there and taken away.
	{how: "three lines", at: "sshd", provoke: lines("KEY", "no-pty KEY", "nonsense"), want: []string{"list ok entry; ok entry-restricted; fail entry-dead", "limit fail options-differ; ok login"}},
	{how: "the key that logs in is to go", at: "sshd", provoke: lines("KEY"), want: []string{"take fail key-in-use"}},
	{how: "the last key is to go", at: "sshd", provoke: both(lines("KEY"), options("-o", "PubkeyAuthentication=no")), want: []string{"take fail key-last"}},
	{how: "one key of two is to go", at: "sshd", provoke: both(options("-o", "PubkeyAuthentication=no"), func(t *testing.T, s *scene) {
		s.user.Authorize(t, s.key.Line, sshtest.NewKey(t, t.TempDir(), "ecdsa").Line)
	}), want: []string{"take done key-removed", "take ok key-absent"}},
	{how: "the private half is elsewhere", at: "sshd", provoke: both(lines("# none"), func(t *testing.T, s *scene) { must(t, os.Remove(s.key.File)) }), want: []string{"copy done key-added; ok accepted"}},
	{how: "a program there that fails", config: []string{"SetEnv PATH=JOURNAL:/usr/bin:/bin", "BIN mv echo mv: Input/output error >&2; exit 1"}, provoke: lines("# none"), want: []string{"copy fail write-failed"}},
	{how: "a password that three have refused", at: "sshd", provoke: both(lines("# none"), func(_ *testing.T, s *scene) {
		s.file("password", "wrong\n")
		for _, name := range []string{"nobody-a@", "nobody-b@", "nobody-c@"} {
			s.args = append(s.args, name+s.server.Addr)
		}
		s.args = append(s.args, "-j", "1")
	}), want: []string{"copy fail password-wrong; fail password-wrong; fail password-wrong; fail password-unsent"}},

	// Several at once: all are named, and first what must be cured first.
	{how: "home, .ssh and authorized_keys are open", at: "sshd", provoke: both(chmod(farKeys, 0o666), chmod(farSSH, 0o777), chmod("", 0o777)),
		want: []string{"look fail home-writable seen; fail dir-writable seen; fail keys-writable seen", "copy ok key-present; fail home-writable seen; fail dir-writable seen; fail keys-writable seen", "cure ok login"}},
	{how: "an open home and from=", at: "sshd", provoke: both(lines(`from="10.0.0.0/8" KEY`), chmod("", 0o777)),
		want: []string{"look fail home-writable seen; fail entry-from seen", "copy ok key-present; fail home-writable seen; fail entry-from seen", "cure ok login"}},
	{how: "the type is refused, and home is open", config: []string{"PubkeyAcceptedAlgorithms rsa-sha2-512"}, provoke: chmod("", 0o777),
		want: []string{"look fail key-type-refused seen; fail home-writable seen", "copy ok key-present; fail key-type-refused seen; fail home-writable seen"}},
	{how: "others may read the key, and home is open", at: "sshd", provoke: both(chmod("", 0o777), func(t *testing.T, s *scene) { must(t, os.Chmod(s.key.File, 0o644)) }),
		want: []string{"here fail key-mode", "check fail key-mode", "look fail key-mode; fail home-writable seen", "cure ok login"}},
	{how: "half of the key, which is not installed", at: "sshd", provoke: both(lines("# none"), private(half)), want: []string{"check fail key-damaged", "look fail key-damaged; fail key-not-installed seen"}},
	{how: "others may read one key of two, and both are refused", at: "sshd", provoke: both(lines("# none"), func(t *testing.T, s *scene) {
		must(t, os.Chmod(sshtest.NewKey(t, filepath.Join(s.home, ".ssh"), "ecdsa").File, 0o644))
	}), want: []string{"check fail key-refused", "look fail key-not-installed seen"}},
	{how: "two keys that are refused, each for a reason of its own", at: "sshd", provoke: func(t *testing.T, s *scene) {
		other := sshtest.NewKey(t, filepath.Join(s.home, ".ssh"), "ecdsa")
		s.user.Authorize(t, `from="10.0.0.1" `+s.key.Line, `expiry-time="20200101" `+other.Line)
	}, want: []string{"look fail entry-expired seen; fail entry-from seen", "cure ok login"}},
	{how: "a passphrase that nobody knows, and home is open", at: "sshd", provoke: both(passphrase, chmod("", 0o777)), want: []string{"check fail key-refused", "look fail home-writable seen"}},
	{how: "from= in authorized_keys, expiry-time= in authorized_keys2", at: "sshd", provoke: both(lines(`from="10.0.0.0/8" KEY`), farFile(farKeys+"2", `expiry-time="20200101" KEY`, 0o600)), want: []string{"look fail entry-from seen; fail entry-expired seen", "cure ok login"}},
	{how: "authorized_keys2 that is not read", config: []string{"AuthorizedKeysFile .ssh/authorized_keys"}, provoke: func(t *testing.T, s *scene) {
		must(t, os.Rename(s.far(farKeys), s.far(farKeys+"2")))
	}, want: []string{"look fail keys-misnamed seen"}},
	{how: "AuthorizedKeysFile elsewhere, and no key", config: []string{"AuthorizedKeysFile .ssh/keys"}, provoke: lines("# none"), want: []string{"look fail key-not-installed seen", "cure ok login"}},
	{how: "MaxAuthTries 1, and .ssh is open", config: []string{"MaxAuthTries 1"}, provoke: chmod(farSSH, 0o777), want: []string{"look fail dir-writable seen", "copy ok key-present; fail dir-writable seen", "cure ok login"}},
	{how: "home and .ssh are open, and from=", at: "sshd", provoke: both(lines(`from="10.0.0.1" KEY`), chmod("", 0o777), chmod(farSSH, 0o777)),
		want: []string{"look fail home-writable seen; fail dir-writable seen; fail entry-from seen"}},
	{how: "CR LF in authorized_keys, and home is open", at: "sshd", provoke: both(lines("KEY\r"), chmod("", 0o777)), want: []string{"look fail home-writable seen"}},
	{how: "Debian's home of the user's own group, and from=", at: "sshd", provoke: both(lines(`from="10.0.0.1" KEY`), chmod("", 0o775)), want: []string{"look fail entry-from seen"}},
	{how: "not installed, for dropbear", at: "dropbear", provoke: lines("# none"), want: []string{"look fail key-not-installed seen", "cure ok login"}},
	{how: "StrictModes no, home is open, and authorized_keys is root's, closed", config: []string{"StrictModes no"}, provoke: both(chown(farKeys, 0), chmod("", 0o777)),
		want: []string{"look fail keys-unreadable seen"}},
	{how: "from= and expiry-time= on one line", at: "sshd", provoke: lines(`expiry-time="20200101",from="10.0.0.0/8" KEY`), want: []string{"look fail entry-expired seen; fail entry-from seen", "cure ok login"}},
	{how: "from= on one line, expiry-time= on another", at: "sshd", provoke: lines(`from="10.0.0.0/8" KEY`, `expiry-time="20200101" KEY`), want: []string{"look fail entry-from seen; fail entry-expired seen"}},
	{how: "the type is refused, home is open, and from=", config: []string{"PubkeyAcceptedAlgorithms rsa-sha2-512"}, provoke: both(lines(`from="10.0.0.0/8" KEY`), chmod("", 0o777)),
		want: []string{"look fail key-type-refused seen; fail home-writable seen; fail entry-from seen"}},
	{how: "ten thousand other keys, and from=", at: "sshd", provoke: farFile(farKeys, strings.Repeat("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPMA4AYqOMWF1M2mVe99afEdKDlATgsP+ScZ2dyRFUsx x\n", 10_000)+"from=\"10.0.0.1\" KEY\n", 0o600),
		want: []string{"look fail entry-from seen"}},
	{how: "PubkeyAuthentication no, and home is open", config: []string{"PubkeyAuthentication no"}, provoke: chmod("", 0o777),
		want: []string{"look fail pubkey-disabled seen; fail home-writable seen", "copy ok key-present; fail pubkey-disabled seen; fail home-writable seen"}},
	{how: "the key is read by others, and the .pub is another's", provoke: func(t *testing.T, s *scene) {
		must(t, os.Chmod(s.key.File, 0o644))
		must(t, os.WriteFile(s.key.File+".pub", []byte(sshtest.NewKey(t, t.TempDir(), "ed25519").Line+"\n"), 0o644))
	}, want: []string{"here fail key-mode; fail key-pair-mismatch"}},
	{how: "two keys, both damaged", provoke: both(private(half), func(t *testing.T, s *scene) {
		must(t, os.WriteFile(filepath.Join(s.home, ".ssh", "id_rsa"), nil, 0o600))
	}), want: []string{"here fail key-damaged; fail key-damaged"}},

	{how: "an open home, and the key is not there", at: "sshd", provoke: both(lines("# none"), chmod("", 0o777)), want: []string{"look fail home-writable seen; fail key-not-installed seen", "cure ok login"}},
	{how: "an open home, no key, by copying", at: "sshd", provoke: both(lines("# none"), chmod("", 0o777)), want: []string{"copy done key-added; fail home-writable seen", "look fail home-writable seen", "cure ok login"}},
	{how: "AllowUsers, and an open home, in the log", config: []string{"AllowUsers alice"}, provoke: chmod("", 0o777), want: []string{"check fail key-refused", "log fail user-not-allowed"}},
	{how: "a locked account, and no key, in the log", config: []string{}, provoke: both(account(sshtest.UserConfig{}), lines("# none"), func(_ *testing.T, s *scene) { s.tool("usermod", "-L", s.user.Name) }),
		want: []string{"check fail key-refused", "log fail account-locked", "cure fail key-refused", "copy fail password-wrong"}},
	{how: "PubkeyAuthentication no, and no key", config: []string{"PubkeyAuthentication no"}, provoke: lines("# none"), want: []string{"look fail pubkey-disabled seen; fail key-not-installed seen", "cure ok login"}},
	{how: "AuthorizedKeysFile elsewhere, and an open home", config: []string{"AuthorizedKeysFile .ssh/keys"}, provoke: chmod("", 0o777), want: []string{"look fail keys-file-elsewhere seen; fail home-writable seen", "cure ok login"}},
	{how: "PAM refuses the account, and home is open", config: []string{"PAM account required pam_deny.so"}, provoke: chmod("", 0o777), want: []string{"check fail key-refused", "look fail key-refused; fail pam-refused likely", "log fail parent-writable; fail pam-refused"}},
	{how: "PAM opens no session, and home is open", config: []string{"PAM session required pam_deny.so"}, provoke: chmod("", 0o777), want: []string{"check fail key-refused", "look fail key-refused", "log fail parent-writable; fail session-failed"}},
	{how: "nologin for a shell, and home is open", at: "sshd", provoke: both(account(sshtest.UserConfig{Shell: "/usr/sbin/nologin"}), chmod("", 0o777)), want: []string{"look fail home-writable seen", "cure ok login"}},
	{how: "no list of revoked keys, and home is open", config: []string{"RevokedKeys JOURNAL/revoked"}, provoke: chmod("", 0o777), want: []string{"look fail key-revoked seen; fail home-writable seen", "cure ok login"}},
	{how: "others may read the key, and it is not there", at: "sshd", provoke: both(lines("# none"), func(t *testing.T, s *scene) { must(t, os.Chmod(s.key.File, 0o644)) }), want: []string{"look fail key-mode; fail key-not-installed seen", "cure ok login"}},
	{how: "no .ssh, and home is open", at: "sshd", provoke: both(func(t *testing.T, s *scene) { must(t, os.RemoveAll(s.far(farSSH))) }, chmod("", 0o777)), want: []string{"look fail home-writable seen; fail key-not-installed seen", "cure ok login"}},
	{how: "authorised_keys, and home is open", at: "sshd", provoke: both(func(t *testing.T, s *scene) { must(t, os.Rename(s.far(farKeys), s.far(".ssh/authorised_keys"))) }, chmod("", 0o777)), want: []string{"look fail home-writable seen; fail keys-misnamed seen", "cure ok login"}},
	{how: ".ssh of root's, closed, and no key", at: "sshd", provoke: both(lines("# none"), chown(farSSH, 0)), want: []string{"look fail keys-unreadable seen", "cure fail key-refused", "look fail key-not-installed seen", "cure ok login"}},
	{how: "two keys on one line, and home is open", at: "sshd", provoke: both(func(t *testing.T, s *scene) {
		s.user.Authorize(t, sshtest.NewKey(t, t.TempDir(), "ed25519").Line+s.key.Line)
	}, chmod("", 0o777)), want: []string{"look fail home-writable seen; fail entry-glued seen", "cure ok login"}},
	{how: "authorized_keys is a folder, and home is open", at: "sshd", provoke: both(func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, os.Mkdir(s.far(farKeys), 0o700))
		s.user.Own(t, s.far(farKeys), 0o700)
	}, chmod("", 0o777)), want: []string{"look fail home-writable seen; fail keys-not-a-file seen", "cure fail key-refused", "look fail key-not-installed seen", "cure ok login"}},
	{how: "from=, and home is open, for dropbear", at: "dropbear", provoke: both(lines(`from="127.0.0.1" KEY`), chmod("", 0o777)), want: []string{"look fail home-writable seen; fail dropbear-limits seen", "cure ok login"}},
	{how: "the type is refused, and no key", config: []string{"PubkeyAcceptedAlgorithms rsa-sha2-512"}, provoke: lines("# none"), want: []string{"look fail key-type-refused seen; fail key-not-installed seen", "cure ok login"}},
	{how: "AuthenticationMethods publickey,password, and home is open", config: []string{"AuthenticationMethods publickey,password"}, provoke: chmod("", 0o777), want: []string{"check fail key-refused", "look fail key-refused"}},
	{how: "a certificate that is over, and home is open", at: "CA", provoke: both(certified("-n", "USER", "-V", "-2d:-1d"), chmod("", 0o777)), want: []string{"look fail cert-expired seen; fail home-writable seen", "cure fail cert-expired seen", "look fail cert-expired seen"}},
	{how: "home of a third user, and the key is not there", at: "sshd", provoke: both(lines("# none"), chown("", 4242)), want: []string{"look fail wrong-owner seen; fail key-not-installed seen", "cure ok login"}},
	{how: "authorized_keys of a third user, and home is open", at: "sshd", provoke: both(chown(farKeys, 4242), chmod(farKeys, 0o644), chmod("", 0o777)), want: []string{"look fail home-writable seen; fail wrong-owner seen", "cure ok login"}},
	{how: "authorized_keys of root's, closed, and home is open", at: "sshd", provoke: both(chown(farKeys, 0), chmod("", 0o777)), want: []string{"look fail home-writable seen; fail keys-unreadable seen", "cure ok login"}},
	{how: "authorized_keys leads to nothing, and home is open", at: "sshd", provoke: both(func(t *testing.T, s *scene) {
		must(t, os.Remove(s.far(farKeys)))
		must(t, os.Symlink("/nowhere/keys", s.far(farKeys)))
	}, chmod("", 0o777)), want: []string{"look fail home-writable seen; fail keys-symlink seen", "cure ok login"}},

	// What looks like a fault, and is none here.
	{how: "a locked password, with PAM", at: "PAM", provoke: account(sshtest.UserConfig{}, "usermod", "-L"), want: []string{"check ok login"}},
	{how: "CR LF in authorized_keys", at: "sshd", provoke: lines("# mine\r", "KEY\r"), want: []string{"check ok login", "copy ok key-present; ok login", "fix ok modes"}},
	{how: "Debian's home of the user's own group", at: "sshd", provoke: both(chmod("", 0o775), chmod(farSSH, 0o775), chmod(farKeys, 0o664)), want: []string{"check ok login", "copy ok key-present; ok login", "fix ok modes"}},
	{how: "everybody may read everything", at: "sshd", provoke: both(chmod(farSSH, 0o755), chmod(farKeys, 0o644)), want: []string{"check ok login", "fix ok modes"}},
	{how: "authorized_keys of root's, open", at: "sshd", provoke: both(chown(farKeys, 0), chmod(farKeys, 0o644)), want: []string{"check ok login", "copy ok key-present; ok login"}},
	{how: "StrictModes no, and home is open", config: []string{"StrictModes no"}, provoke: chmod("", 0o777), want: []string{"check ok login", "copy ok key-present; ok login"}},
	{how: "authorized_keys is a link", at: "sshd", provoke: dotfiles, want: []string{"check ok login", "copy ok key-present; ok login", "fix ok modes"}},
	// It shows as the permission of the user's own group, which Debian lets pass.
	{how: "an access list on home, on Debian", at: "sshd", provoke: setfacl("", "u:4242:rwx"), want: []string{"check ok login", "copy ok key-present; ok login", "fix ok modes"}},
	{how: "an access list that lets others read", at: "sshd", provoke: setfacl(farKeys, "u:4242:r"), want: []string{"check ok login", "fix ok modes"}},
	{how: "from= another network on one line of two", at: "sshd", provoke: lines(`from="10.0.0.0/8" KEY`, "KEY"), want: []string{"check ok login"}},
	{how: "AuthorizedKeysFile with two words, and the first is open", config: []string{"AuthorizedKeysFile .ssh/a .ssh/b"}, provoke: both(farFile(".ssh/a", "KEY\n", 0o666), farFile(".ssh/b", "KEY\n", 0o600)), want: []string{"check ok login"}},
	{how: "a Match of everybody else", config: []string{"Match User *,!pk*", "PubkeyAuthentication no"}, want: []string{"check ok login"}},
	{how: "AuthenticationMethods any", config: []string{"AuthenticationMethods any"}, want: []string{"check ok login"}},
	{how: "AuthenticationMethods with two keys, and both are there", config: []string{"AuthenticationMethods publickey,publickey"}, provoke: func(t *testing.T, s *scene) {
		s.user.Authorize(t, s.key.Line, sshtest.NewKey(t, filepath.Join(s.home, ".ssh"), "ecdsa").Line)
	}, want: []string{"check ok login"}, unjudged: true},
	{how: "ten keys in the agent, and IdentitiesOnly", config: []string{"MaxAuthTries 3"}, provoke: both(agentOf(10), options("-o", "IdentitiesOnly=yes")), want: []string{"check ok login"}},
	{how: "a certificate for somebody else, and the key alone is taken", at: "CA", provoke: both(certified("-n", "somebody"), lines("KEY")), want: []string{"check ok login"}},
	{how: "a forced command in the certificate", at: "CA", provoke: certified("-n", "USER", "-O", "force-command=uptime"), want: []string{"shell ok login; fail command-forced"}},
	{how: "blanks before the line", at: "sshd", provoke: lines(" \t KEY"), want: []string{"check ok login"}},
	{how: "environment= that the server does not take", at: "sshd", provoke: lines(`environment="A=b" KEY`), want: []string{"check ok login"}},
	{how: "CR LF, for dropbear", at: "dropbear", provoke: lines("KEY\r"), want: []string{"check ok login"}},
	{how: "restrict, for dropbear", at: "dropbear", provoke: lines("restrict KEY"), want: []string{"shell ok login; ok shell"}},
	{how: "known_hosts that is hashed", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.tool("ssh-keygen", "-H", "-f", filepath.Join(s.home, ".ssh/known_hosts"))
	}, want: []string{"check ok login"}},
	{how: "known_hosts that others may write", at: "sshd", provoke: func(t *testing.T, s *scene) {
		must(t, os.Chmod(filepath.Join(s.home, ".ssh/known_hosts"), 0o666))
	}, want: []string{"here ok key", "check ok login"}},
	{how: "the host is known without its port", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		_, key, _ := strings.Cut(s.server.KnownHosts(), " ")
		s.file(".ssh/known_hosts", "127.0.0.1 "+key)
	}, want: []string{"check ok login"}},
	{how: "another key is revoked for all", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.file(".ssh/known_hosts", s.server.KnownHosts()+"@revoked * "+sshtest.NewKey(t, t.TempDir(), "ed25519").Line+"\n")
	}, want: []string{"check ok login"}},
	{how: "ControlMaster", at: "sshd", provoke: sshConfig("ControlMaster auto\nControlPath ~/%C\n"), want: []string{"here ok config; ok key", "check ok login"}, unjudged: true},
	{how: "an Include of nothing", at: "sshd", provoke: sshConfig("Include ~/.ssh/nothing conf.d/*\n"), want: []string{"check ok login"}, unjudged: true},
	{how: "authorized_keys2 that others may write, and authorized_keys is good", at: "sshd", provoke: farFile(farKeys+"2", "KEY\n", 0o666), want: []string{"check ok login", "fix todo keys-writable"}},
	{how: "a line that sshd does not take, and a good one", at: "sshd", provoke: lines("nonsense KEY", "KEY"), want: []string{"check ok login"}},
	{how: "one key is refused, another works", at: "sshd", provoke: func(t *testing.T, s *scene) { sshtest.NewKey(t, filepath.Join(s.home, ".ssh"), "ecdsa") }, want: []string{"check ok login"}},
	{how: "one key is damaged, another works", at: "sshd", provoke: func(_ *testing.T, s *scene) { s.file(".ssh/id_rsa", "") }, want: []string{"here fail key-damaged; ok key", "check ok login"}},
	{how: "the agent does not sign with one key, another works", at: "sshd", provoke: func(t *testing.T, s *scene) {
		other := sshtest.NewKey(t, t.TempDir(), "ecdsa")
		s.user.Authorize(t, other.Line, s.key.Line)
		socket := sshtest.StartAgent(t)
		sshtest.AddToAgent(t, socket, other.File, "-c")
		s.args = append(s.args, "-o", "IdentityAgent="+socket, "-o", "IdentitiesOnly=no")
	}, want: []string{"check ok login"}},
	{how: "others may read the key, and the agent has it", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent()
		must(t, os.Chmod(s.key.File, 0o644))
	}, want: []string{"here fail key-mode; ok agent", "check ok login"}},
	{how: "a passphrase, and the agent has the key", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent()
		passphrase(t, s)
	}, want: []string{"here ok key; ok agent", "check ok login"}},
	{how: "the key in the agent is for this host", at: "sshd", provoke: func(t *testing.T, s *scene) {
		s.agent("-H", filepath.Join(s.home, ".ssh", "known_hosts"), "-h", fmt.Sprintf("[127.0.0.1]:%d", s.server.Port))
		noKeys(t, s)
	}, want: []string{"here ok agent-restricted", "check ok login"}},
	{how: "no .pub", at: "sshd", provoke: func(t *testing.T, s *scene) { must(t, os.Remove(s.key.File+".pub")) }, want: []string{"here ok key", "check ok login"}},
	{how: "PEM with CR LF", at: "sshd", provoke: both(another("-t", "rsa", "-b", "2048", "-m", "PEM"), private(crlf)), want: []string{"here ok key", "check ok login"}},
	{how: "RSA of 1024 bits that the server takes", at: "sshd", provoke: another("-t", "rsa", "-b", "1024"), want: []string{"check ok login"}},
	{how: "a stale socket of an agent", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.args = []string{"-o", "IdentityAgent=" + filepath.Join(s.home, "gone")}
	}, want: []string{"here ok key; fail agent-absent", "check ok login"}},
	{how: "a certificate that is over, and the key alone is taken", at: "CA", provoke: both(certified("-n", "USER", "-V", "-2d:-1d"), lines("KEY")), want: []string{"check ok login"}},
	{how: "a line of known_hosts that nobody can read", at: "sshd", provoke: func(_ *testing.T, s *scene) {
		s.file(".ssh/known_hosts", "\x00\x00 torn\n* ssh-new-type AAAA\n"+s.server.KnownHosts())
	}, want: []string{"check ok login"}},
	{how: "the banner of a boot, and it lets us in", config: []string{`Banner BANNER "System is booting up."`}, want: []string{"check ok login"}},
	{how: "MaxAuthTries 1 and the first key", config: []string{"MaxAuthTries 2"}, provoke: options("-o", "IdentitiesOnly=yes"), want: []string{"check ok login"}},
	{how: "a server that logs nothing", config: []string{"Match all", "LogLevel QUIET"}, provoke: chmod("", 0o777), want: []string{"check fail key-refused", "look fail home-writable seen"}},
	{how: "a home that is open, and a configuration that is root's", config: []string{"CLOSED"}, provoke: chmod("", 0o777), want: []string{"look fail home-writable seen"}},
	{how: "AuthorizedKeysFile none in a configuration that is root's", config: []string{"CLOSED", "AuthorizedKeysFile none"}, want: []string{"look fail key-refused likely", "copy ok key-present; fail key-refused likely"}},
}

// TestCauses is the table of what the programs say of each cause.
func TestCauses(t *testing.T) {
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "dropbear", "ssh", "ssh-keygen", "ssh-agent", "ssh-add", "setfacl")
	binaries(t)
	authority = sshtest.NewKey(t, t.TempDir(), "ed25519")
	servers := map[string]*sshtest.Daemon{
		"sshd":        sshtest.StartSSHD(t, sshtest.SSHDConfig{}),
		"PAM":         sshtest.StartSSHD(t, sshtest.SSHDConfig{UsePAM: true}),
		"CA":          sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"TrustedUserCAKeys " + publicFile(t, authority)}}),
		"dropbear":    sshtest.StartDropbear(t),
		"dropbear -t": sshtest.StartDropbear(t, "-t"),
	}
	for name, d := range servers {
		if !strings.HasPrefix(name, "dropbear") {
			configOf(t, d)
		}
	}
	users := make(chan *sshtest.User, 6)
	for range cap(users) {
		u := sshtest.AddUser(t, sshtest.UserConfig{})
		// The usual hash costs more than all else in a login.
		cmd := sshtest.Command(t, "/", "chpasswd", "-c", "MD5")
		cmd.Stdin = strings.NewReader(u.Name + ":" + u.Password + "\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("chpasswd: %v: %s", err, out)
		}
		users <- u
	}
	var table truths
	var all sync.WaitGroup
	// They wait for one another most of the time: more at once than t.Parallel
	// would, and fewer than sshd's MaxStartups minds.
	room := make(chan struct{}, cap(users))
	// dropbear has room for five of an address that have not logged in, and copying
	// makes two connections at once.
	atDropbear := make(chan struct{}, 2)
	for _, p := range provocations {
		all.Go(func() {
			if p.at == "dropbear" {
				atDropbear <- struct{}{}
				defer func() { <-atDropbear }()
			}
			room <- struct{}{}
			defer func() { <-room }()
			t.Run(p.how, func(t *testing.T) {
				s := newScene(t, p, servers, users)
				if p.provoke != nil {
					p.provoke(t, s)
				}
				s.judge(p, &table)
			})
		})
	}
	all.Wait()
	table.log(t)
}

// judge runs the programs and compares.
func (s *scene) judge(p provocation, table *truths) {
	logsIn, judged := s.ssh(p)
	for _, want := range p.want {
		program, want, _ := strings.Cut(want, " ")
		want, yet, known := strings.Cut(want, " | ")
		if !known {
			yet = want
		}
		if program == "cure" {
			if slices.ContainsFunc(s.told, func(h string) bool { return command(h) != "" }) {
				s.hints = s.told
			}
			s.paste()
		}
		got := s.says(program, yet)
		table.add(p.how, program, want, got)
		switch {
		case known && got == want:
			s.t.Errorf("%s is right at last: %q", program, got)
		case got != yet:
			s.t.Errorf("%s says %q, want %q", program, got, want)
		}
		if judged && program == "check" && logsIn != strings.HasPrefix(got, "ok login") {
			s.t.Errorf("pikeycheck says %q, and of ssh's login is true: %v", got, logsIn)
		}
	}
}

// newScene sets the stage, on which the login works.
func newScene(t *testing.T, p provocation, servers map[string]*sshtest.Daemon, users chan *sshtest.User) *scene {
	s := &scene{t: t, daemon: servers[p.at]}
	if p.config != nil {
		s.daemon = ownServer(t, p.config)
	}
	if s.daemon != nil {
		s.server = s.daemon.Endpoint
	}
	s.traveller = newTraveller(t, s.server)
	s.key = sshtest.NewKey(t, filepath.Join(s.home, ".ssh"), "ed25519")
	s.file("password", "correct-horse\n")
	if s.daemon == nil {
		return s
	}
	s.user = <-users
	shared := s.user
	t.Cleanup(func() { users <- shared })
	must(t, os.RemoveAll(s.user.Home))
	must(t, os.Mkdir(s.user.Home, 0o755))
	s.user.Own(t, s.user.Home, 0o755)
	if p.at != "CA" {
		s.user.Authorize(t, s.key.Line)
	}
	s.file("password", s.user.Password+"\n")
	s.target = s.user.Name + "@" + s.server.Addr
	return s
}

// journal shows the log of an sshd as systemd keeps it: the lines of each
// connection under a process of its own.
const journal = `#!/bin/sh
case $* in *json*) ;; *) exit ;; esac
tr -d '\r' <LOG | awk -v now="$(date +%s)" '/^Connection from/ { pid++ } pid {
	gsub(/["\\]/, "\\\\&")
	printf "{\"__REALTIME_TIMESTAMP\":\"%s000000\",\"_COMM\":\"sshd\",\"_PID\":\"%d\",\"_HOSTNAME\":\"pi\",\"SYSLOG_IDENTIFIER\":\"sshd\",\"MESSAGE\":\"%s\"}\n", now, pid, $0
}'
`

// ownServer starts an sshd whose configuration everybody may read, unless a
// line is CLOSED. BANNER in a line is a file that holds the rest of it, JOURNAL
// a directory with a journalctl that shows the server's log, and AUTHORITY a file
// that trusts authority. A line "BIN NAME SCRIPT" puts a program beside
// journalctl, and lines that begin with PAM are those of a PAM service of its own.
func ownServer(t *testing.T, config []string) *sshtest.Daemon {
	t.Helper()
	config = slices.Clone(config)
	for i, line := range config {
		if before, text, ok := strings.Cut(line, "BANNER "); ok {
			path := filepath.Join(t.TempDir(), "banner")
			must(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
			config[i] = before + path
		}
	}
	dir := t.TempDir()
	for d := dir; d != os.TempDir(); d = filepath.Dir(d) {
		must(t, os.Chmod(d, 0o755))
	}
	for i, line := range config {
		config[i] = strings.Replace(line, "JOURNAL", dir, 1)
	}
	closed := slices.Contains(config, "CLOSED")
	var c sshtest.SSHDConfig
	var service []string
	for _, line := range config {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "CLOSED":
		case "BIN":
			name, script, _ := strings.Cut(rest, " ")
			must(t, sshtest.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
		case "PAM":
			service = append(service, rest)
		default:
			c.Config = append(c.Config, strings.Replace(line, "AUTHORITY", publicFile(t, authority), 1))
		}
	}
	if service != nil {
		c.UsePAM, c.Program = true, pamService(t, service)
	}
	d := sshtest.StartSSHD(t, c)
	if !closed {
		configOf(t, d)
	}
	words, _ := commandLine(t, d)
	log := words[slices.Index(words, "-E")+1]
	must(t, sshtest.WriteFile(filepath.Join(dir, "journalctl"), []byte(strings.Replace(journal, "LOG", log, 1)), 0o755))
	return d
}

// pamService adds a service to /etc/pam.d until the test ends, and returns an
// sshd that uses it: its name is that of the program. What the lines leave out
// lets everybody in.
func pamService(t *testing.T, lines []string) (program string) {
	t.Helper()
	for _, kind := range []string{"auth", "account", "session"} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, kind) }) {
			lines = append(lines, kind+" required pam_permit.so")
		}
	}
	sshd := sshtest.Command(t, "/", "sshd", "-t", "-f", "/dev/null", "-o", "PAMServiceName=x")
	if out, _ := sshd.CombinedOutput(); !strings.Contains(string(out), "Bad configuration option") {
		t.Skip("this sshd has another way to name its PAM service")
	}
	program = filepath.Join(t.TempDir(), "pk"+strings.ToLower(rand.Text()[:10]))
	must(t, os.Symlink(sshd.Path, program))
	file := "/etc/pam.d/" + filepath.Base(program)
	t.Cleanup(func() { os.Remove(file) })
	must(t, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	return program
}

// ssh asks OpenSSH's ssh whether the login works, if it can be asked.
func (s *scene) ssh(p provocation) (logsIn, judged bool) {
	if s.daemon == nil || p.unjudged || !slices.ContainsFunc(p.want, func(w string) bool { return strings.HasPrefix(w, "check ") }) {
		return false, false
	}
	user, _, _ := strings.Cut(s.target, "@")
	// A login that runs nothing is one too.
	_, said := sshtest.SSH(s.t, s.server, user, s.key.File, append(slices.Clone(s.args), "-v", "-o", "KexAlgorithms=curve25519-sha256")...)
	return strings.Contains(said, "Authenticated to "), true
}

// says runs a program, and puts its records into the words of
// provocation.want. Its status is to be that of want.
func (s *scene) says(program, want string) string {
	s.t.Helper()
	words := slices.Clone(askings[program])
	for i, w := range words {
		switch w {
		case "PUBLIC":
			words[i] = s.key.File + ".pub"
		case "PASSWORD":
			words[i] = filepath.Join(s.home, "password")
		case "LOG":
			words[i] = s.file("log", s.daemon.Log())
		}
	}
	if program != "log" {
		words = append(words, s.args...)
	}
	if program != "here" && program != "log" {
		words = append(words, s.target)
	}
	status := 0
	if strings.Contains(want, "fail ") || strings.Contains(want, "todo ") {
		status = 1
	}
	records, stderr := s.run(status, "", words[0], words[1:]...)
	if s.told = hintsIn(stderr); program == "look" || program == "log" {
		s.hints = s.told
	}
	var said []string
	for line := range strings.Lines(records) {
		f := strings.SplitN(line, "\t", 5)
		if len(f) != 5 {
			s.t.Fatalf("not a record: %q", line)
		}
		if _, ok := cause.Lookup(f[2]); !ok {
			s.t.Errorf("%s is in no catalogue", f[2])
		}
		word := f[1] + " " + f[2]
		if known, _, ok := strings.Cut(f[4], ": "); ok && slices.Contains([]string{"seen", "logged", "likely"}, known) {
			word += " " + known
		}
		said = append(said, word)
	}
	if got := strings.Join(said, "; "); got != want {
		s.t.Logf("%s%s", records, stderr)
		return got
	}
	return want
}

// truths is the table.
type truths struct {
	mu   sync.Mutex
	rows [][4]string
}

func (a *truths) add(how, program, want, got string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.rows = append(a.rows, [4]string{how, program, want, got})
}

func (a *truths) log(t *testing.T) {
	var b strings.Builder
	causes := map[string]bool{}
	right := 0
	slices.SortStableFunc(a.rows, func(x, y [4]string) int { return strings.Compare(x[0], y[0]) })
	for _, r := range a.rows {
		verdict := "right"
		if r[2] == r[3] {
			right++
		} else {
			verdict = "WRONG, want " + r[2]
		}
		for said := range strings.SplitSeq(r[3], "; ") {
			if f := strings.Fields(said); len(f) > 1 {
				causes[f[1]] = true
			}
		}
		fmt.Fprintf(&b, "%-55s | %-5s | %-60s | %s\n", r[0], r[1], r[3], verdict)
	}
	t.Logf("\n%s%d provocations, %d answers, %d of them right, %d words", b.String(), len(provocations), len(a.rows), right, len(causes))
}
