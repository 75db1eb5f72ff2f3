package sshtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

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
