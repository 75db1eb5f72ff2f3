package sshtest

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// A PiConfig says what a pretend Pi is like. Its zero value is a Raspberry Pi
// OS of 2025 with the user pi and a random password.
type PiConfig struct {
	User     string // "" for pi
	Password string // "" for a random one
	Methods  []string
	Home     string // absolute; made if missing, in a directory that is there; "" for a temporary one
	Shell    string // the login shell; "" for /bin/sh
	Version  string // "" for Bookworm's; StrictModes follows the server it names
	Banner   string // sent before authentication
	HostKeys []ssh.Signer

	MaxAuthTries  int           // 0 for 6
	NoStrictModes bool          // sshd_config's StrictModes no
	Latency       time.Duration // a round trip takes so much longer
	Listener      net.Listener  // nil for a free port of 127.0.0.1; see Pipes
}

// The methods of PiConfig.Methods, whose nil means publickey and password.
const (
	PublicKey           = "publickey"
	Password            = "password"
	KeyboardInteractive = "keyboard-interactive" // as PAM does it: one hidden prompt
)

// Bookworm is the version line of Raspberry Pi OS of 2023 to 2025.
const Bookworm = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"

// A Pi is a server in this process that keeps one user's home in a directory,
// and admits logins as Debian's sshd would: by password, or by a key of
// ~/.ssh/authorized_keys if the modes up to home satisfy StrictModes. Commands
// run in a real shell, and sftp sees real files, with the rights of whoever
// runs this process: home is where they start, not a jail. Of authorized_keys
// options it knows command= and those that restrict what it does not offer
// anyway; an entry with any other, such as from=, admits nobody.
//
// It is built on golang.org/x/crypto/ssh, and so differs from sshd: of the keys
// that it is asked about and refuses, MaxAuthTries more do not count; it writes
// "too many authentication failures" in lower case, it hangs up when an
// authentication request follows a successful one, and it loses a request that
// arrives before the channel is confirmed.
type Pi struct {
	Endpoint
	User     string
	Password string
	Home     string // its links resolved

	config   PiConfig
	server   ssh.ServerConfig
	listener net.Listener
	remove   string // what Close removes; "" for nothing
	programs string // the directory of those that it has in place of this machine's
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  map[net.Conn]bool
	counts Counts
}

// Counts is what has reached a pretend Pi, or a hostile server.
type Counts struct {
	Connections int
	Keys        int      // offered by publickey, whether then signed or not
	Passwords   int      // by password, or as answer to keyboard-interactive
	Logins      int      // connections that were let in
	Exchanges   []string // the key exchange of each, in order; of a Pi only
	Commands    []string // of exec, in order; "" for a shell
	SFTP        int      // sessions of the subsystem
	Intrusions  int      // channels and requests of a hostile server's that the client granted
}

// NewPi starts a pretend Pi. The caller closes it.
func NewPi(c PiConfig) (*Pi, error) {
	setDefault(&c.User, "pi")
	setDefault(&c.Password, rand.Text())
	setDefault(&c.Shell, "/bin/sh")
	setDefault(&c.Version, Bookworm)
	if c.Methods == nil {
		c.Methods = []string{PublicKey, Password}
	}
	if c.HostKeys == nil {
		private, err := generate("ed25519")
		if err != nil {
			return nil, err
		}
		key, err := ssh.NewSignerFromKey(private)
		if err != nil {
			return nil, err
		}
		c.HostKeys = []ssh.Signer{key}
	}
	p := &Pi{User: c.User, Password: c.Password, config: c, conns: make(map[net.Conn]bool)}
	p.server = ssh.ServerConfig{MaxAuthTries: c.MaxAuthTries, ServerVersion: c.Version}
	if c.Banner != "" {
		p.server.BannerCallback = func(ssh.ConnMetadata) string { return c.Banner }
	}
	var public []ssh.PublicKey
	for _, k := range c.HostKeys {
		p.server.AddHostKey(k)
		public = append(public, k.PublicKey())
	}
	for _, m := range c.Methods {
		switch m {
		case PublicKey:
			p.server.PublicKeyCallback = p.byKey
		case Password:
			p.server.PasswordCallback = p.byPassword
		case KeyboardInteractive:
			p.server.KeyboardInteractiveCallback = p.byPrompt
		default:
			return nil, fmt.Errorf("starting a pretend Pi: no method %q", m)
		}
	}
	if err := p.makeHome(c.Home); err != nil {
		return nil, err
	}
	l := c.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, errors.Join(err, p.removeHome())
		}
	}
	p.listener = l
	p.Endpoint = newEndpoint(l.Addr(), public...)
	p.wg.Go(p.accept)
	return p, nil
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

// StartPi is NewPi for a test, which ends it.
func StartPi(t testing.TB, c PiConfig) *Pi {
	t.Helper()
	p, err := NewPi(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Close ends the connections and what runs on them, and removes home if NewPi
// made it.
func (p *Pi) Close() error {
	p.mu.Lock()
	p.closed = true
	conns := slices.Collect(maps.Keys(p.conns))
	p.mu.Unlock()
	p.listener.Close()
	for _, c := range conns {
		c.Close()
	}
	p.wg.Wait()
	return p.removeHome()
}

// Counts returns what has reached the Pi so far.
func (p *Pi) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Commands, c.Exchanges = slices.Clone(c.Commands), slices.Clone(c.Exchanges)
	return c
}

func (p *Pi) count(add func(*Counts)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	add(&p.counts)
}

// Authorize rewrites ~/.ssh/authorized_keys with these lines and with modes
// that every server accepts. It returns the file's path.
func (p *Pi) Authorize(t testing.TB, lines ...string) string {
	t.Helper()
	path, err := authorize(p.Home, lines)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// authorize writes home's authorized_keys and returns its path.
func authorize(home string, lines []string) (string, error) {
	path := filepath.Join(home, ".ssh", "authorized_keys")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	data := strings.Join(append(slices.Clone(lines), ""), "\n")
	return path, os.WriteFile(path, []byte(data), 0o600)
}

func (p *Pi) makeHome(home string) (err error) {
	if home == "" {
		if p.remove, err = os.MkdirTemp("", "pk"); err != nil {
			return err
		}
		home = filepath.Join(p.remove, p.User)
	} else if _, err := os.Lstat(home); errors.Is(err, os.ErrNotExist) {
		p.remove = home
	}
	if p.remove != "" {
		if err := os.Mkdir(home, 0o700); err != nil {
			return errors.Join(err, p.removeHome())
		}
	}
	if p.Home, err = filepath.EvalSymlinks(home); err == nil {
		err = p.makePrograms()
	}
	if err != nil {
		return errors.Join(err, p.removeHome())
	}
	return nil
}

// makePrograms keeps three programs of this machine from telling of it what is
// not so of the Pi: where the user's home is, what sshd reads, and what it has
// logged, which is nothing.
func (p *Pi) makePrograms() (err error) {
	if p.programs, err = os.MkdirTemp("", "pk"); err != nil {
		return err
	}
	getent := "#!/bin/sh\n" +
		`[ "$1" = passwd ] && echo "$2:x:$(id -u):$(id -g)::$HOME:$SHELL"` + "\n"
	return errors.Join(
		os.WriteFile(filepath.Join(p.programs, "getent"), []byte(getent), 0o755),
		os.WriteFile(filepath.Join(p.programs, "journalctl"), []byte("#!/bin/sh\nexit 0\n"), 0o755),
		os.WriteFile(filepath.Join(p.programs, "sshd"), []byte("#!/bin/sh\nexit 1\n"), 0o755))
}

func (p *Pi) removeHome() (err error) {
	for _, dir := range []string{p.remove, p.programs} {
		if dir != "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

func (p *Pi) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		if p.config.Latency > 0 {
			conn = Slow(conn, p.config.Latency)
		}
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			conn.Close()
			return
		}
		p.conns[conn] = true
		p.counts.Connections++
		p.wg.Go(func() { p.serve(conn) })
		p.mu.Unlock()
	}
}

func (p *Pi) serve(conn net.Conn) {
	defer func() {
		conn.Close()
		p.mu.Lock()
		delete(p.conns, conn)
		p.mu.Unlock()
	}()
	server, channels, requests, err := ssh.NewServerConn(conn, &p.server)
	if err != nil {
		return
	}
	p.count(func(c *Counts) {
		c.Logins++
		c.Exchanges = append(c.Exchanges, server.Conn.(ssh.AlgorithmsConnMetadata).Algorithms().KeyExchange)
	})
	if strings.Contains(string(server.ServerVersion()), "OpenSSH") { // which says so once it is ready for a session
		_, _, _ = server.SendRequest("hostkeys-00@openssh.com", false, nil)
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			c.Reject(ssh.Prohibited, "a pretend Pi forwards nothing")
			continue
		}
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		s := &session{pi: p, conn: server, ch: ch, env: p.env(server)}
		p.wg.Go(func() { s.serve(reqs) })
	}
}

func (p *Pi) byPassword(conn ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
	p.count(func(c *Counts) { c.Passwords++ })
	if conn.User() == p.User && subtle.ConstantTimeCompare(password, []byte(p.Password)) == 1 {
		return nil, nil
	}
	return nil, errDenied
}

// byPrompt asks as sshd does for PAM: one prompt, and after the right answer a
// request without any.
func (p *Pi) byPrompt(conn ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := ask("", "", []string{"Password: "}, []bool{false})
	if err != nil {
		return nil, err
	}
	if len(answers) != 1 {
		return nil, errDenied
	}
	if _, err := p.byPassword(conn, []byte(answers[0])); err != nil {
		return nil, err
	}
	_, err = ask("", "", nil, nil)
	return nil, err
}

// forceCommand is where Permissions keep the command= of an entry.
const forceCommand = "force-command"

func (p *Pi) byKey(conn ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
	p.count(func(c *Counts) { c.Keys++ })
	if conn.User() != p.User {
		return nil, errDenied
	}
	data, err := p.authorizedKeys()
	if err != nil {
		return nil, err
	}
	shown := sshkey.Public{Type: key.Type(), Blob: key.Marshal()}
	for _, e := range authorizedkeys.Entries(data) {
		if e.Dead != "" || !e.Key.Equal(shown) {
			continue
		}
		if perms, ok := permissions(e); ok {
			return perms, nil
		}
	}
	return nil, errDenied
}

// authorizedKeys reads ~/.ssh/authorized_keys if StrictModes lets it.
func (p *Pi) authorizedKeys() ([]byte, error) {
	path := filepath.Join(p.Home, ".ssh", "authorized_keys")
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if !p.config.NoStrictModes {
		who := strictmodes.Account{Name: p.User, UID: os.Getuid(), Home: p.Home}
		findings, err := strictmodes.Judge(context.Background(), hostfs.Local(), who, []string{path}, strictmodes.ServerOf(p.config.Version))
		if err != nil {
			return nil, err
		}
		if len(findings) > 0 {
			return nil, fmt.Errorf("bad ownership or modes for %s", findings[0].Path)
		}
	}
	return os.ReadFile(path)
}

// permissions says what an entry allows; ok is false for one with an option
// that we do not know how to keep.
func permissions(e authorizedkeys.Entry) (perms *ssh.Permissions, ok bool) {
	perms = &ssh.Permissions{CriticalOptions: make(map[string]string)}
	for _, o := range e.Options {
		switch strings.TrimPrefix(o.Name, "no-") {
		case "restrict", "pty", "port-forwarding", "agent-forwarding", "x11-forwarding", "user-rc":
		case "command":
			perms.CriticalOptions[forceCommand] = o.Value
		default:
			return nil, false
		}
	}
	return perms, true
}

// env is what sshd gives to a command, but for PATH, which is ours and begins
// with the Pi's own programs.
func (p *Pi) env(conn *ssh.ServerConn) []string {
	from, to := conn.RemoteAddr().(*net.TCPAddr), conn.LocalAddr().(*net.TCPAddr)
	return []string{
		"USER=" + p.User, "LOGNAME=" + p.User, "HOME=" + p.Home, "SHELL=" + p.config.Shell, "PATH=" + p.programs + ":" + searchPath(),
		fmt.Sprintf("SSH_CLIENT=%s %d %d", from.IP, from.Port, to.Port),
		fmt.Sprintf("SSH_CONNECTION=%s %d %s %d", from.IP, from.Port, to.IP, to.Port),
	}
}
