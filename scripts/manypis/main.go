//go:build unix

// Manypis is any number of pretend Raspberry Pis for the benchmark: one server
// in memory, which every address of 127.0.0.0/8 reaches at the same port. Each
// address is a machine of its own, with authorized keys of its own.
//
//	manypis [-latency TIME] [-user NAME] -password-file FILE [-authorized FILE]
//	    [-release NAME] [-bad WAY]… [-hole]
//
// It prints "PORT HOST-KEY" and serves until a signal or the end of a pipe on
// standard input. It costs little: a command is not run. One that adds keys (of
// pikeycopy, or whatever reads them from its standard input and names
// authorized_keys) has them taken, every other has status 0. With SIGUSR1 it
// prints how many connections it has had, and forgets the keys.
//
// The machines at 127.0.201.* fail their clients by the first WAY, those at
// 127.0.202.* by the second, and so on: one of those of pkg/sshtest, such as
// "silent" or "hangs in kex", or "flaps", which is to lose each third connection
// in the middle. With -hole a second line is the number of a port that is silent
// to whoever connects, as behind a firewall.
package main

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshtest"
)

func main() {
	latency := flag.Duration("latency", 0, "how much longer a round trip takes, such as 20ms")
	user := flag.String("user", "pi", "the `name` of the user")
	passwordFile := flag.String("password-file", "", "the `file` whose first line is the password")
	authorized := flag.String("authorized", "", "a `file` with a key that every machine takes")
	hole := flag.Bool("hole", false, "have a port that is silent")
	s := &server{keys: map[string]map[string]bool{}, met: map[string]int{}, end: make(chan struct{})}
	flag.Func("bad", "the `way` in which the next machines fail; repeatable", func(way string) error {
		s.bad = append(s.bad, sshtest.Hostile(way))
		if way != flaps && !slices.Contains(sshtest.Hostiles(), sshtest.Hostile(way)) {
			return errors.New("no such way")
		}
		return nil
	})
	name := flag.String("release", "bookworm", "the Debian `release` whose sshd they seem to run: bookworm or trixie")
	flag.Parse()
	known := false
	s.release, known = releases[*name]
	if !known || flag.NArg() > 0 || *passwordFile == "" {
		flag.Usage()
		os.Exit(2)
	}
	s.user, s.latency = *user, *latency
	if err := s.run(*passwordFile, *authorized, *hole); err != nil {
		fmt.Fprintln(os.Stderr, "manypis:", err)
		os.Exit(1)
	}
}

// A release is what the sshd of one of Debian's says and offers, but for what
// x/crypto has not: sntrup761x25519, which both prefer to curve25519.
type release struct {
	version   string
	exchanges []string
}

var releases = map[string]release{
	"bookworm": {"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10", classical},
	"trixie":   {"SSH-2.0-OpenSSH_10.0p2 Debian-7", append([]string{ssh.KeyExchangeMLKEM768X25519}, classical...)},
}

var classical = []string{ssh.KeyExchangeCurve25519, ssh.KeyExchangeECDHP256, ssh.KeyExchangeECDHP384, ssh.KeyExchangeECDHP521,
	ssh.KeyExchangeDHGEXSHA256, ssh.KeyExchangeDH16SHA512, ssh.KeyExchangeDH14SHA256}

type server struct {
	release        release
	user, password string
	latency        time.Duration
	everywhere     string // a key's blob
	config         ssh.ServerConfig
	connections    atomic.Int64
	bad            []sshtest.Hostile
	host           ssh.Signer
	homes          string // for what bad ones run
	end            chan struct{}

	mu   sync.Mutex
	keys map[string]map[string]bool // by address: blobs
	met  map[string]int             // by address of one that flaps: connections
}

func (s *server) run(passwordFile, authorized string, hole bool) error {
	data, err := os.ReadFile(passwordFile)
	if err != nil {
		return err
	}
	s.password, _, _ = strings.Cut(string(data), "\n")
	if authorized != "" {
		data, err := os.ReadFile(authorized)
		if err != nil {
			return err
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil {
			return fmt.Errorf("%s: %w", authorized, err)
		}
		s.everywhere = string(key.Marshal())
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if s.host, err = ssh.NewSignerFromKey(private); err != nil {
		return err
	}
	if s.homes, err = os.MkdirTemp("", "manypis"); err != nil {
		return err
	}
	defer os.RemoveAll(s.homes)
	defer close(s.end)
	s.config = ssh.ServerConfig{
		Config:        ssh.Config{KeyExchanges: s.release.exchanges},
		ServerVersion: s.release.version,
		PasswordCallback: func(c ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			if c.User() == s.user && string(password) == s.password {
				return nil, nil
			}
			return nil, errors.New("wrong")
		},
		PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if c.User() == s.user && s.takes(machine(c.LocalAddr()), string(key.Marshal())) {
				return nil, nil
			}
			return nil, errors.New("refused")
		},
	}
	s.config.AddHostKey(s.host)
	listener, err := net.Listen("tcp4", "0.0.0.0:0") // connections from elsewhere are closed
	if err != nil {
		return err
	}
	go s.accept(listener)
	fmt.Printf("%d %s", listener.Addr().(*net.TCPAddr).Port, ssh.MarshalAuthorizedKey(s.host.PublicKey()))
	if hole {
		port, err := openHole()
		if err != nil {
			return err
		}
		fmt.Println(port)
	}
	return s.wait()
}

// openHole returns a port that takes no connection and refuses none: one that
// listens, and never has room.
func openHole() (port int, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{}); err != nil {
		return 0, err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		return 0, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	port = name.(*syscall.SockaddrInet4).Port
	for range 4 {
		if _, err := net.DialTimeout("tcp4", fmt.Sprintf("127.0.0.1:%d", port), 200*time.Millisecond); err != nil {
			return port, nil // it is full
		}
	}
	return 0, errors.New("a port that listens for nobody takes connections all the same")
}

// flaps is the way of a machine that loses each third connection, the first one
// first.
const flaps = "flaps"

// wayOf is how the machine at an address fails; "" if it does not.
func (s *server) wayOf(at string) sshtest.Hostile {
	ip := net.ParseIP(at).To4()
	if n := int(ip[2]) - 201; ip[1] == 0 && n >= 0 && n < len(s.bad) {
		return s.bad[n]
	}
	return ""
}

// lost is a connection that ends after so many bytes.
type lost struct {
	net.Conn
	left int
}

func (l *lost) Write(b []byte) (int, error) {
	if l.left -= len(b); l.left < 0 {
		l.Close()
		return 0, net.ErrClosed
	}
	return l.Conn.Write(b)
}

// wait returns with a signal or the end of standard input, if that is a pipe.
func (s *server) wait() error {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
	ended := make(chan struct{})
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that counts
		}()
	}
	for {
		select {
		case <-ended:
			return nil
		case sig := <-signals:
			if sig != syscall.SIGUSR1 {
				return nil
			}
			s.mu.Lock()
			clear(s.keys)
			s.mu.Unlock()
			fmt.Println(s.connections.Load())
		}
	}
}

func machine(address net.Addr) string { return address.(*net.TCPAddr).IP.String() }

func (s *server) takes(machine, blob string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return blob == s.everywhere || s.keys[machine][blob]
}

func (s *server) add(machine, blob string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[machine] == nil {
		s.keys[machine] = map[string]bool{}
	}
	s.keys[machine][blob] = true
}

func (s *server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "manypis:", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if !conn.LocalAddr().(*net.TCPAddr).IP.IsLoopback() {
			conn.Close()
			continue
		}
		s.connections.Add(1)
		go s.serve(conn)
	}
}

func (s *server) serve(conn net.Conn) {
	defer conn.Close()
	at := machine(conn.LocalAddr())
	switch way := s.wayOf(at); way {
	case "":
	case flaps:
		s.mu.Lock()
		s.met[at]++
		n := s.met[at]
		s.mu.Unlock()
		if n%3 == 1 {
			conn = &lost{conn, mathrand.IntN(3000)}
		}
	default:
		_ = sshtest.ServeHostile(conn, way, s.host, s.homes, s.end) // the way is known
		return
	}
	if s.latency > 0 {
		conn = sshtest.Slow(conn, s.latency)
	}
	c, channels, requests, err := ssh.NewServerConn(conn, &s.config)
	if err != nil {
		return
	}
	defer c.Close()
	go ssh.DiscardRequests(requests)
	// As sshd's do, which tells that the session is set up.
	if _, _, err := c.SendRequest("hostkeys-00@openssh.com", false, ssh.Marshal(struct{ Key []byte }{s.host.PublicKey().Marshal()})); err != nil {
		return
	}
	for offer := range channels {
		if offer.ChannelType() != "session" {
			_ = offer.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := offer.Accept()
		if err != nil {
			return
		}
		go s.session(at, channel, requests)
	}
}

func (s *server) session(at string, channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		ok := r.Type == "exec" || r.Type == "env" || r.Type == "pty-req"
		if r.WantReply {
			_ = r.Reply(ok, nil)
		}
		if r.Type != "exec" {
			continue
		}
		var exec struct{ Command string }
		if ssh.Unmarshal(r.Payload, &exec) != nil {
			return
		}
		s.command(at, channel, exec.Command)
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
		return
	}
}

var (
	escaped = regexp.MustCompile(`\\([0-7]{3}|[n"$])`)
	mark    = regexp.MustCompile(`(?m)^mark=(\S+)$`)
	blob    = regexp.MustCompile(`AAAA[A-Za-z0-9+/=]{40,}`)
)

// command does what a shell would have done.
func (s *server) command(at string, channel ssh.Channel, command string) {
	// Of a script only the variables that it begins with matter.
	if i := strings.Index(command, `\nmark=`); i >= 0 {
		command = command[:min(i+100, len(command))]
	}
	plain := strings.ReplaceAll(escaped.ReplaceAllStringFunc(command, func(e string) string {
		switch n, err := strconv.ParseUint(e[1:], 8, 8); {
		case err == nil:
			return string([]byte{byte(n)})
		case e == `\n`:
			return "\n"
		}
		return e[1:]
	}), "%%", "%")
	if m := mark.FindStringSubmatch(plain); m != nil { // pikeycopy's
		fmt.Fprintf(channel.Stderr(), "%s\n", m[1])
		head, _, _ := strings.Cut(plain, "\ndrop=")
		var out bytes.Buffer
		fmt.Fprintf(&out, "%s file /home/%s/.ssh/authorized_keys\n", m[1], s.user)
		for _, b := range first(blob.FindAllString(head, -1)) {
			if !strings.Contains(plain, "\ndry=yes\n") {
				s.install(at, b)
			}
			fmt.Fprintf(&out, "%s add %s\n", m[1], b)
		}
		fmt.Fprintf(&out, "%s done\n", m[1])
		_, _ = channel.Write(out.Bytes())
		return
	}
	if !strings.Contains(plain, "authorized_keys") {
		return
	}
	for lines := bufio.NewScanner(channel); lines.Scan(); {
		if b := blob.FindString(lines.Text()); b != "" {
			s.install(at, b)
		}
	}
}

// first leaves out what was there before: each line has its blob twice.
func first(blobs []string) []string {
	var list []string
	seen := map[string]bool{}
	for _, b := range blobs {
		if !seen[b] {
			seen[b] = true
			list = append(list, b)
		}
	}
	return list
}

func (s *server) install(at, b64 string) {
	if key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 " + b64)); err == nil {
		s.add(at, string(key.Marshal()))
	}
}
