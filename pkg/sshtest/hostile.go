package sshtest

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"

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
