package sshtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// A guest is one connection to a hostile server.
type guest struct {
	net.Conn
	*HostileServer
	key    ssh.Signer
	config *ssh.ServerConfig
	homes  string          // where the commands' homes are
	end    <-chan struct{} // closed with the test

	// What is said to every key, its signature, and every password; nil lets in.
	keys, signatures, passwords error
}

var errDenied = errors.New("permission denied")

// newGuest is one whom nothing lets in.
func newGuest(conn net.Conn, s *HostileServer, key ssh.Signer, homes string, end <-chan struct{}) *guest {
	g := &guest{Conn: conn, HostileServer: s, key: key, homes: homes, end: end, keys: errDenied, passwords: errDenied}
	g.config = &ssh.ServerConfig{
		ServerVersion: Bookworm,
		MaxAuthTries:  -1,
		PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
			g.count(func(c *Counts) { c.Keys++ })
			return nil, g.keys
		},
		VerifiedPublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey, *ssh.Permissions, string) (*ssh.Permissions, error) {
			return nil, g.signatures
		},
		PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			g.count(func(c *Counts) { c.Passwords++ })
			return nil, g.passwords
		},
	}
	g.config.AddHostKey(key)
	return g
}

// ignore reads until the other side closes.
func (g *guest) ignore() { io.Copy(io.Discard, g) }

// say sends a last word, and waits until the other side has closed too: closed
// with something unread, the connection would be reset, and the word lost.
func (g *guest) say(text string) {
	io.WriteString(g, text)
	g.Conn.(*net.TCPConn).CloseWrite()
	g.ignore()
}

// withNone has f called at the authentication request none, with which every
// client begins; it is then refused.
func withNone(c *ssh.ServerConfig, f func()) *ssh.ServerConfig {
	c.NoClientAuth = true
	c.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
		if f != nil {
			f()
		}
		return nil, errDenied
	}
	return c
}

// flood does the same again and again until it fails. It leaves the processor
// to others for as long as it takes it: what is tested is not how fast they are.
func (g *guest) flood(send func() error) error {
	for {
		start := time.Now()
		if err := send(); err != nil {
			return err
		}
		time.Sleep(max(time.Millisecond, time.Since(start)))
	}
}

// pour writes lines without end.
func (g *guest) pour(w io.Writer) error {
	lines := bytes.Repeat([]byte("all work and no play\n"), 1000)
	return g.flood(func() error {
		_, err := w.Write(lines)
		return err
	})
}

// drip writes one byte a second.
func (g *guest) drip(w io.Writer, data []byte) {
	for _, b := range data {
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		select {
		case <-time.After(time.Second):
		case <-g.end:
			return
		}
	}
}

// reset closes the connection as a crash or a middlebox does.
func (g *guest) reset() {
	g.Conn.(*net.TCPConn).SetLinger(0)
	g.Close()
}

// An ask is what one keyboard-interactive request asks. A prompt that starts
// with + is to be echoed.
type ask []string

// prompts asks all of this, takes no key and no password, and lets nobody in.
func (g *guest) prompts(asks ...ask) {
	g.config.PasswordCallback = nil
	g.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, challenge ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		for _, a := range asks {
			var questions []string
			var echos []bool
			for _, prompt := range a {
				question, echo := strings.CutPrefix(prompt, "+")
				questions, echos = append(questions, question), append(echos, echo)
			}
			answers, err := challenge("", HostileText, questions, echos)
			if err != nil {
				return nil, err
			}
			g.count(func(c *Counts) { c.Passwords += len(answers) })
		}
		return nil, errDenied
	}
	ssh.NewServerConn(g, g.config)
}

// welcome lets in by any key or password and answers each command by run.
func (g *guest) welcome(run func(ssh.Channel)) {
	g.keys, g.passwords = nil, nil
	g.sessions(func(ch ssh.Channel, _ string) { run(ch) })
}

// admit lets in by any password and answers each command by run.
func (g *guest) admit(run func(ch ssh.Channel, command string)) {
	g.passwords = nil
	g.sessions(run)
}

// serve logs in, and calls open for each channel that the client asks for.
func (g *guest) serve(open func(ssh.NewChannel)) {
	server, channels, err := g.loggedIn()
	if err != nil {
		return
	}
	defer server.Close()
	for c := range channels {
		open(c)
	}
}

// loggedIn logs in, and returns the channels that the client asks for.
func (g *guest) loggedIn() (*ssh.ServerConn, <-chan ssh.NewChannel, error) {
	server, channels, requests, err := ssh.NewServerConn(g, g.config)
	if err != nil {
		return nil, nil, err
	}
	g.count(func(c *Counts) { c.Logins++ })
	go ssh.DiscardRequests(requests)
	return server, channels, nil
}

// sessions serves channels, in which run answers a command, a shell or a
// subsystem; nil refuses them.
func (g *guest) sessions(run func(ch ssh.Channel, command string)) {
	g.serve(func(c ssh.NewChannel) { g.session(c, run) })
}

func (g *guest) session(c ssh.NewChannel, run func(ch ssh.Channel, command string)) {
	ch, reqs, err := c.Accept()
	if err != nil {
		return
	}
	go func() {
		for r := range reqs {
			starts := run != nil && slices.Contains([]string{"exec", "shell", "subsystem"}, r.Type)
			if r.WantReply {
				r.Reply(starts, nil)
			}
			if starts {
				command, _, _ := cut(r.Payload) // "" for a shell
				g.count(func(c *Counts) { c.Commands = append(c.Commands, command) })
				go run(ch, command)
			}
		}
	}()
}

// obey runs a command in a home of its own, with nothing on its standard
// input, and returns what it wrote.
func (g *guest) obey(command string) (answer []byte, status uint32) {
	home, err := os.MkdirTemp(g.homes, "")
	if err != nil {
		return nil, 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env, cmd.Dir = Env(home), home
	ownGroup(cmd)
	cmd.Cancel = func() error { return signalGroup(cmd.Process.Pid, os.Kill) }
	cmd.WaitDelay = time.Second
	answer, _ = cmd.Output() // its status tells
	if cmd.ProcessState == nil {
		return nil, 1
	}
	return answer, uint32(cmd.ProcessState.ExitCode())
}

// intrude lets in by any password, answers no command, and knocks at every door that
// a client might have left open.
func (g *guest) intrude() {
	g.passwords = nil
	server, channels, err := g.loggedIn()
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		for c := range channels {
			g.session(c, func(ssh.Channel, string) {})
		}
	}()
	origin := slices.Concat(text("127.0.0.1"), []byte{0, 0, 0, 22})
	doors := map[string][]byte{
		"auth-agent@openssh.com":            nil,
		"auth-agent":                        nil,
		"x11":                               origin,
		"forwarded-tcpip":                   slices.Concat(origin, origin),
		"direct-tcpip":                      slices.Concat(origin, origin),
		"forwarded-streamlocal@openssh.com": slices.Concat(text("/run/user/1000/agent"), text("")),
		"session":                           nil,
		"tun@openssh.com":                   {0, 0, 0, 1, 0, 0, 0, 0},
	}
	// x/crypto waits for ever for a channel that is opened just when the
	// connection ends.
	try := func(door string, data []byte) error {
		opened := make(chan error, 1)
		go func() {
			ch, reqs, err := server.OpenChannel(door, data)
			if err == nil {
				g.count(func(c *Counts) { c.Intrusions++ })
				go ssh.DiscardRequests(reqs)
				ch.Close()
			}
			opened <- err
		}()
		select {
		case err := <-opened:
			return err
		case <-g.end:
			return net.ErrClosed
		}
	}
	g.flood(func() error {
		for door, data := range doors {
			err := try(door, data)
			if refused := (*ssh.OpenChannelError)(nil); err != nil && !errors.As(err, &refused) {
				return err
			}
		}
		for _, request := range []string{"tcpip-forward", "hostkeys-00@openssh.com", "keepalive@openssh.com", HostileText} {
			ok, _, err := server.SendRequest(request, true, []byte(HostileText))
			if err != nil {
				return err
			}
			if ok {
				g.count(func(c *Counts) { c.Intrusions++ })
			}
		}
		return nil
	})
}

// A turncoat is a host key that signs with another, or from some moment on is
// another.
type turncoat struct {
	ssh.Signer // that it shows
	signs      ssh.Signer
	mu         sync.Mutex
}

func otherKey() ssh.Signer {
	private, err := generate("ed25519")
	if err != nil {
		panic(err) // only an unknown type is one
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		panic(err)
	}
	return key
}

// turn makes it another key.
func (k *turncoat) turn() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signs = otherKey()
	k.Signer = k.signs
}

func (k *turncoat) PublicKey() ssh.PublicKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.Signer.PublicKey()
}

func (k *turncoat) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.signs.Sign(rand, data)
}

// A mute is a connection that lets a number of writes through. The next waits
// for the end.
type mute struct {
	net.Conn
	after int
	end   <-chan struct{}
}

func (m *mute) Write(b []byte) (int, error) {
	if m.after == 0 {
		<-m.end
		return 0, errors.New("muted")
	}
	m.after--
	return m.Conn.Write(b)
}
