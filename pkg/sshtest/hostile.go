package sshtest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Hostile is a way in which a server, or what a port leads to instead of
// one, fails a client. Its text is fit for the name of a subtest.
type Hostile string

// The ways. Those from AnyoneLogsIn on let in whoever offers a key, signed
// with its private half, or a password.
const (
	Silent              Hostile = "silent"           // accepts and says nothing
	ClosesAtOnce        Hostile = "closes at once"   // the client may see it as a reset
	MaxStartups         Hostile = "MaxStartups"      // what sshd says where too many are at the door
	Penalised           Hostile = "penalised"        // what sshd >= 9.8 says to an address that is shut out
	HTTP                Hostile = "HTTP"             // a web server: it answers our version line with 400
	EndlessLines        Hostile = "endless lines"    // text before the version, RFC 4253 section 4.2, without end
	Drips               Hostile = "drips"            // a version line, one byte a second
	GarbageAfterVersion Hostile = "garbage"          // what is no packet, then silence
	HangsInKex          Hostile = "hangs in kex"     // silent once both have sent KEXINIT
	ClosesAfterKex      Hostile = "closes after kex" // at the first authentication request
	HangsInAuth         Hostile = "hangs in auth"    // silent at the first authentication request
	BannerEscapes       Hostile = "banner escapes"   // a banner of HostileText, and then no one gets in
	AnyoneLogsIn        Hostile = "anyone logs in"   // without any proof: by the method none
	ExecFloods          Hostile = "exec floods"      // a command writes without end
	ExecHangs           Hostile = "exec hangs"       // a command is accepted, and then silence
	ExecForgets         Hostile = "exec forgets"     // a command is thrown away, and exits with 0
	ExecEscapes         Hostile = "exec escapes"     // a command writes HostileText to both its outputs, and exits with 1
)

// HostileText retitles a terminal, clears it, goes back over its line and
// holds a C1 control and a character that turns text round.
const HostileText = "\x1b]0;owned\x07\x1b[2Jok\rdone\tlogin\u009b31m\u202e\n"

// Hostiles returns all ways, sorted by their text.
func Hostiles() []Hostile { return slices.Sorted(maps.Keys(hostiles)) }

// StartHostile starts a server that behaves so towards every connection. The
// test ends it.
func StartHostile(t testing.TB, way Hostile) Endpoint {
	t.Helper()
	behave, ok := hostiles[way]
	if !ok {
		t.Fatalf("no server is hostile by %q", way)
	}
	private, err := generate("ed25519")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			config := &ssh.ServerConfig{ServerVersion: Bookworm}
			config.AddHostKey(key)
			wg.Go(func() {
				defer conn.Close()
				behave(&guest{conn, config, end})
			})
			wg.Go(func() {
				<-end
				conn.Close()
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(end)
		wg.Wait()
	})
	return newEndpoint(l.Addr(), key.PublicKey())
}

// A guest is one connection to a hostile server. end is closed with the test.
type guest struct {
	net.Conn
	config *ssh.ServerConfig
	end    <-chan struct{}
}

// hostiles are the behaviours. The connection is closed when one returns.
var hostiles = map[Hostile]func(*guest){
	Silent:       (*guest).ignore,
	ClosesAtOnce: func(*guest) {},
	MaxStartups:  func(g *guest) { g.say("Exceeded MaxStartups\r\n") },
	Penalised:    func(g *guest) { g.say("Not allowed at this time\r\n") },
	HTTP: func(g *guest) {
		bufio.NewReader(g).ReadString('\n')
		g.say("HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<html>\r\n")
	},
	EndlessLines: func(g *guest) {
		lines := []byte(strings.Repeat("this is no version line\r\n", 100))
		for {
			if _, err := g.Write(lines); err != nil {
				return
			}
		}
	},
	Drips: func(g *guest) {
		for _, b := range []byte(Bookworm + "\r\n") {
			if _, err := g.Write([]byte{b}); err != nil {
				return
			}
			select {
			case <-time.After(time.Second):
			case <-g.end:
			}
		}
		g.ignore()
	},
	GarbageAfterVersion: func(g *guest) {
		io.WriteString(g, Bookworm+"\r\n")
		g.Write(bytes.Repeat([]byte{0xff}, 4096))
		g.ignore()
	},
	HangsInKex: func(g *guest) {
		// x/crypto writes the version line, KEXINIT, and then its reply.
		ssh.NewServerConn(&mute{Conn: g, after: 2, end: g.end}, withNone(g.config, nil))
	},
	ClosesAfterKex: func(g *guest) {
		ssh.NewServerConn(g, withNone(g.config, func() { g.Close() }))
	},
	HangsInAuth: func(g *guest) {
		ssh.NewServerConn(g, withNone(g.config, func() { <-g.end }))
	},
	BannerEscapes: func(g *guest) {
		g.config.BannerCallback = func(ssh.ConnMetadata) string { return HostileText }
		g.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errDenied }
		g.config.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, errDenied }
		ssh.NewServerConn(g, g.config)
	},
	AnyoneLogsIn: func(g *guest) {
		g.config.NoClientAuth = true
		g.sessions(func(ch ssh.Channel) { exit(ch, 0) })
	},
	ExecFloods: func(g *guest) {
		g.welcome(func(ch ssh.Channel) {
			flood := bytes.Repeat([]byte("all work and no play\n"), 1000)
			for {
				if _, err := ch.Write(flood); err != nil {
					return
				}
			}
		})
	},
	ExecHangs:   func(g *guest) { g.welcome(func(ssh.Channel) {}) },
	ExecForgets: func(g *guest) { g.welcome(func(ch ssh.Channel) { exit(ch, 0) }) },
	ExecEscapes: func(g *guest) {
		g.welcome(func(ch ssh.Channel) {
			io.WriteString(ch, HostileText)
			io.WriteString(ch.Stderr(), HostileText)
			exit(ch, 1)
		})
	},
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

// welcome lets in by any key or password and answers each command by run.
func (g *guest) welcome(run func(ssh.Channel)) {
	g.config.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }
	g.config.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }
	g.sessions(run)
}

// sessions serves channels, in which run answers a command, a shell or a
// subsystem.
func (g *guest) sessions(run func(ssh.Channel)) {
	server, channels, requests, err := ssh.NewServerConn(g, g.config)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests)
	for c := range channels {
		ch, reqs, err := c.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range reqs {
				starts := slices.Contains([]string{"exec", "shell", "subsystem"}, r.Type)
				if r.WantReply {
					r.Reply(starts, nil)
				}
				if starts {
					go run(ch)
				}
			}
		}()
	}
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
