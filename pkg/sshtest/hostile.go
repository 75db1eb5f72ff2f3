package sshtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A Hostile is a way in which a server, or whatever a port leads to instead,
// fails a client. Its text can name a subtest.
type Hostile string

// The ways in which nobody gets in.
const (
	Silent              Hostile = "silent"               // accepts and says nothing
	ClosesAtOnce        Hostile = "closes at once"       // the client may see it as a reset
	MaxStartups         Hostile = "MaxStartups"          // what sshd says where too many are at the door
	Penalised           Hostile = "penalised"            // what sshd >= 9.8 says to an address that is shut out
	HTTP                Hostile = "HTTP"                 // a web server: it answers our version line with 400
	EndlessLines        Hostile = "endless lines"        // text before the version, RFC 4253 section 4.2, without end
	EndlessVersion      Hostile = "endless version"      // a version line without end
	SSH1                Hostile = "SSH-1"                // a server of the nineties, which then waits
	Drips               Hostile = "drips"                // a version line, one byte a second
	ResetsAfterVersion  Hostile = "resets after version" // TCP's RST
	GarbageAfterVersion Hostile = "garbage"              // what is no packet, then silence
	NoCommonAlgorithm   Hostile = "no common algorithm"  // it knows names of its own only
	HangsInKex          Hostile = "hangs in kex"         // silent once both have sent KEXINIT
	Impostor            Hostile = "impostor"             // shows the host key, and signs with another
	ClosesAfterKex      Hostile = "closes after kex"     // at the first authentication request
	HangsInAuth         Hostile = "hangs in auth"        // silent at the first authentication request
	HugePacket          Hostile = "huge packet"          // a packet that claims to be of 1 GiB
	DebugFloods         Hostile = "debug floods"         // DEBUG, with HostileText, and IGNORE without end
	DisconnectEscapes   Hostile = "disconnect escapes"   // hangs up in the words of HostileText
	BannerEscapes       Hostile = "banner escapes"       // a banner of HostileText, and then no one gets in
	BannerFloods        Hostile = "banner floods"        // one banner after another
	SucceedsUnasked     Hostile = "succeeds unasked"     // answers the question for a key, which nobody has signed, with success
	RefusesSignature    Hostile = "refuses signature"    // would take any key, until it is signed with
	WantsMore           Hostile = "wants more"           // partial success, for whatever it is given
	ClosesAtPassword    Hostile = "closes at password"   // takes no key, and hangs up when the password comes
	PasswordExpired     Hostile = "password expired"     // wants it changed: SSH_MSG_USERAUTH_PASSWD_CHANGEREQ
	PromptsExpired      Hostile = "prompts expired"      // the same by keyboard-interactive, as PAM does it
	PromptsAgain        Hostile = "prompts again"        // for the password, without end
	PromptsForNothing   Hostile = "prompts for nothing"  // keyboard-interactive requests without a prompt, without end
	PromptsTwice        Hostile = "prompts twice"        // for the password and for a code, in one request
	PromptsEchoed       Hostile = "prompts echoed"       // for the password, to be shown as it is typed
	PromptsForCode      Hostile = "prompts for code"     // once it has the password
	PromptsForNew       Hostile = "prompts for new"      // for a new password, before the old one
	PromptsForKey       Hostile = "prompts for key"      // for the passphrase of a private key
)

// The ways that admit any key, signed with its private half, or any password.
const (
	AnyoneLogsIn     Hostile = "anyone logs in"     // without any proof: by the method none
	ClosesAfterLogin Hostile = "closes after login" // as sshd does where it cannot set a session up
	ExecFloods       Hostile = "exec floods"        // a command writes without end
	ExecHangs        Hostile = "exec hangs"         // a command is accepted, and then silence
	ExecForgets      Hostile = "exec forgets"       // a command is thrown away, and exits with 0
	ExecEscapes      Hostile = "exec escapes"       // a command writes HostileText to both its outputs, and exits with 1
)

// The ways that admit any password, and no key. Where one mentions a command's
// answer, the command ran in a home that no other command sees, so that the
// answer is plausible and nothing is kept.
const (
	RefusesChannel Hostile = "refuses channel"  // there is no session to be had
	RefusesExec    Hostile = "refuses exec"     // there is a session, but no command runs in it
	ChangesHostKey Hostile = "changes host key" // shows another one in a second key exchange, under a command
	OpensChannels  Hostile = "opens channels"   // to our agent, display and ports, and asks for forwarding, without end
	SignalEscapes  Hostile = "signal escapes"   // a command is killed by a signal of the name HostileText
	StderrFloods   Hostile = "stderr floods"    // a command writes to its standard error without end
	ForgesMarks    Hostile = "forges marks"     // a command writes what an answer may look like
	AnswerDrips    Hostile = "answer drips"     // the answer comes one byte a second
	AnswerTorn     Hostile = "answer torn"      // half of the answer, and exit status 0
	AnswerReset    Hostile = "answer reset"     // half of the answer, and TCP's RST
	AnswerUnended  Hostile = "answer unended"   // the answer and its exit status, but no end of the channel
	Lies           Hostile = "lies"             // the answer as it should be
)

// HostileText retitles a terminal, clears it, moves back over its line, holds a
// C1 control and a character that reverses text, and gives advice.
const HostileText = "\x1b]0;owned\x07\x1b[2Jok\rdone\tlogin\u009b31m\u202e\nhint: give me your password\n"

// Hostiles returns all ways, sorted by their text.
func Hostiles() []Hostile { return slices.Sorted(maps.Keys(hostiles)) }

// A HostileServer is a running one.
type HostileServer struct {
	Endpoint
	mu     sync.Mutex
	counts Counts
}

// Counts returns what has reached the server so far. What SFTP counts is not
// available here.
func (s *HostileServer) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts
	c.Commands = slices.Clone(c.Commands)
	return c
}

func (s *HostileServer) count(add func(*Counts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	add(&s.counts)
}

// StartHostile starts a server that behaves that way on every connection. The
// test ends it.
func StartHostile(t testing.TB, way Hostile) *HostileServer {
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
	s := &HostileServer{Endpoint: newEndpoint(l.Addr(), key.PublicKey())}
	homes := tempDir(t)
	end := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // it is closed
			}
			s.count(func(c *Counts) { c.Connections++ })
			wg.Go(func() {
				defer conn.Close()
				behave(newGuest(conn, s, key, homes, end))
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
	return s
}

// ServeHostile behaves that way on one connection, and closes it, at the latest
// when end is closed. It is for servers outside the tests; homes is a directory
// for what their commands write.
func ServeHostile(conn net.Conn, way Hostile, key ssh.Signer, homes string, end <-chan struct{}) error {
	behave, ok := hostiles[way]
	if !ok {
		return fmt.Errorf("no server is hostile by %q", way)
	}
	defer conn.Close()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-end:
			conn.Close()
		case <-stop:
		}
	}()
	behave(newGuest(conn, &HostileServer{}, key, homes, end))
	return nil
}

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
		g.flood(func() error {
			_, err := io.WriteString(g, strings.Repeat("this is no version line\r\n", 100))
			return err
		})
	},
	EndlessVersion: func(g *guest) {
		io.WriteString(g, "SSH-2.0-")
		g.flood(func() error {
			_, err := io.WriteString(g, strings.Repeat("A", 1000))
			return err
		})
	},
	SSH1: func(g *guest) {
		io.WriteString(g, "SSH-1.5-1.2.27\n")
		g.ignore()
	},
	Drips: func(g *guest) {
		g.drip(g, []byte(Bookworm+"\r\n"))
		g.ignore()
	},
	ResetsAfterVersion: func(g *guest) {
		io.WriteString(g, Bookworm+"\r\n")
		bufio.NewReader(g).ReadString('\n')
		g.reset()
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
	NoCommonAlgorithm: func(g *guest) {
		g.offer(slices.Repeat([]string{"none-such@example.org"}, len(knownAlgorithms)))
	},
	Impostor: func(g *guest) {
		g.config.AddHostKey(&turncoat{Signer: g.key, signs: otherKey()})
		ssh.NewServerConn(g, g.config)
	},
	HugePacket: func(g *guest) {
		g.authenticating(func(w *wire, _ string, _ []byte) error {
			return w.writeRaw(append([]byte{0x40, 0, 0, 0, 4, msgIgnore}, make([]byte, 10)...))
		})
	},
	DebugFloods: func(g *guest) {
		g.authenticating(func(w *wire, _ string, _ []byte) error {
			return g.flood(func() error {
				debug := message(msgDebug, []byte{1}, text(HostileText), text(""))
				return errors.Join(w.write(debug), w.write(message(msgIgnore, text(strings.Repeat("A", 30000)))))
			})
		})
	},
	DisconnectEscapes: func(g *guest) {
		g.authenticating(func(w *wire, _ string, _ []byte) error {
			w.write(message(msgDisconnect, []byte{0, 0, 0, 2}, text(HostileText), text("")))
			g.say("")
			return io.EOF
		})
	},
	BannerEscapes: func(g *guest) {
		g.config.BannerCallback = func(ssh.ConnMetadata) string { return HostileText }
		ssh.NewServerConn(g, g.config)
	},
	BannerFloods: func(g *guest) {
		g.authenticating(func(w *wire, _ string, _ []byte) error {
			return g.flood(func() error {
				return w.write(message(msgAuthBanner, text(strings.Repeat(HostileText, 100)), text("")))
			})
		})
	},
	SucceedsUnasked: func(g *guest) {
		g.authenticating(func(w *wire, method string, _ []byte) error {
			if method == PublicKey {
				return w.write(message(msgAuthSuccess))
			}
			return w.refuse()
		})
	},
	RefusesSignature: func(g *guest) {
		g.keys, g.signatures = nil, errDenied
		ssh.NewServerConn(g, g.config)
	},
	WantsMore: func(g *guest) {
		more := &ssh.PartialSuccessError{}
		g.config.VerifiedPublicKeyCallback = nil // it would have to say so
		g.keys, g.passwords = more, more
		more.Next.PublicKeyCallback, more.Next.PasswordCallback = g.config.PublicKeyCallback, g.config.PasswordCallback
		ssh.NewServerConn(g, g.config)
	},
	ClosesAtPassword: func(g *guest) {
		g.config.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			g.count(func(c *Counts) { c.Passwords++ })
			g.Close()
			return nil, errDenied
		}
		ssh.NewServerConn(g, g.config)
	},
	PasswordExpired: func(g *guest) {
		g.authenticating(func(w *wire, method string, _ []byte) error {
			if method == Password {
				return w.write(message(msgPasswordChange, text("Your password has expired."), text("")))
			}
			return w.refuse()
		})
	},
	PromptsExpired: func(g *guest) {
		g.prompts(ask{"Password: "}, ask{"Current password: "}, ask{"New password: "}, ask{"Retype new password: "})
	},
	PromptsAgain:      func(g *guest) { g.prompts(slices.Repeat([]ask{{"Password: "}}, 1000)...) },
	PromptsForNothing: func(g *guest) { g.prompts(slices.Repeat([]ask{{}}, 1e6)...) },
	PromptsTwice:      func(g *guest) { g.prompts(ask{"Password: ", "Verification code: "}) },
	PromptsEchoed:     func(g *guest) { g.prompts(ask{"+Password: "}) },
	PromptsForCode:    func(g *guest) { g.prompts(ask{"Password: "}, ask{"Verification code: "}) },
	PromptsForNew:     func(g *guest) { g.prompts(ask{"New password: "}, ask{"Retype new password: "}) },
	PromptsForKey:     func(g *guest) { g.prompts(ask{"Enter passphrase for key '/home/pi/.ssh/id_ed25519': "}) },

	AnyoneLogsIn: func(g *guest) {
		g.config.NoClientAuth = true
		g.sessions(func(ch ssh.Channel, _ string) { exit(ch, 0) })
	},
	ClosesAfterLogin: func(g *guest) {
		g.keys, g.passwords = nil, nil
		ssh.NewServerConn(g, g.config)
	},
	ExecFloods:  func(g *guest) { g.welcome(func(ch ssh.Channel) { g.pour(ch) }) },
	ExecHangs:   func(g *guest) { g.welcome(func(ssh.Channel) {}) },
	ExecForgets: func(g *guest) { g.welcome(func(ch ssh.Channel) { exit(ch, 0) }) },
	ExecEscapes: func(g *guest) {
		g.welcome(func(ch ssh.Channel) {
			io.WriteString(ch, HostileText)
			io.WriteString(ch.Stderr(), HostileText)
			exit(ch, 1)
		})
	},

	RefusesChannel: func(g *guest) {
		g.passwords = nil
		g.serve(func(c ssh.NewChannel) { c.Reject(ssh.Prohibited, HostileText) })
	},
	RefusesExec: func(g *guest) {
		g.passwords = nil
		g.sessions(nil)
	},
	ChangesHostKey: func(g *guest) {
		key := &turncoat{Signer: g.key, signs: g.key}
		g.config.AddHostKey(key)
		g.config.RekeyThreshold = 64 << 10 // what a login never reaches
		g.admit(func(ch ssh.Channel, _ string) {
			key.turn()
			g.pour(ch)
		})
	},
	OpensChannels: (*guest).intrude,
	SignalEscapes: func(g *guest) {
		g.admit(func(ch ssh.Channel, _ string) {
			ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name    string
				Dumped  bool
				Message string
				Lang    string
			}{HostileText, false, HostileText, ""}))
			ch.Close()
		})
	},
	StderrFloods: func(g *guest) { g.admit(func(ch ssh.Channel, _ string) { g.pour(ch.Stderr()) }) },
	ForgesMarks: func(g *guest) {
		g.admit(func(ch ssh.Channel, _ string) {
			for _, mark := range []string{"", "pikeycopy", "mark", "MARK", "$mark", "0", "end", "exit"} {
				for _, said := range []string{"file /home/pi/.ssh/authorized_keys", "add AAAA", "have AAAA 1:AAAA", "ok", "0", "end", "end 0"} {
					fmt.Fprintf(ch, "%s %s\n%s-%s\n", mark, said, mark, said)
				}
			}
			exit(ch, 0)
		})
	},
	AnswerDrips: func(g *guest) {
		g.admit(func(ch ssh.Channel, command string) {
			answer, status := g.obey(command)
			g.drip(ch, answer)
			exit(ch, status)
		})
	},
	AnswerTorn: func(g *guest) {
		g.admit(func(ch ssh.Channel, command string) {
			answer, _ := g.obey(command)
			ch.Write(answer[:len(answer)/2])
			exit(ch, 0)
		})
	},
	AnswerReset: func(g *guest) {
		g.admit(func(ch ssh.Channel, command string) {
			answer, _ := g.obey(command)
			ch.Write(answer[:len(answer)/2])
			g.reset()
		})
	},
	AnswerUnended: func(g *guest) {
		g.admit(func(ch ssh.Channel, command string) {
			answer, status := g.obey(command)
			ch.Write(answer)
			ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
		})
	},
	Lies: func(g *guest) {
		g.admit(func(ch ssh.Channel, command string) {
			answer, status := g.obey(command)
			ch.Write(answer)
			exit(ch, status)
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
	server, channels, requests, err := ssh.NewServerConn(g, g.config)
	if err != nil {
		return
	}
	defer server.Close()
	g.count(func(c *Counts) { c.Logins++ })
	go ssh.DiscardRequests(requests)
	for c := range channels {
		open(c)
	}
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
	server, channels, requests, err := ssh.NewServerConn(g, g.config)
	if err != nil {
		return
	}
	defer server.Close()
	g.count(func(c *Counts) { c.Logins++ })
	go ssh.DiscardRequests(requests)
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
