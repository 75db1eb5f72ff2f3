package connect

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sshtest"
)

func (s *side) passwords(lines ...string) *secret.List {
	s.t.Helper()
	l, err := secret.ReadList(s.t.Context(), s.file("passwords", strings.Join(lines, "\n")))
	if err != nil {
		s.t.Fatal(err)
	}
	return l
}

// A line is for the account that it names, and never for another one of the
// same host.
func TestListedPassword(t *testing.T) {
	t.Parallel()
	const none = ""
	for _, tt := range []struct {
		target string
		user   string // -l
		line   string
		want   bool
	}{
		{"loft", none, "loft", true},
		{"pi@loft", none, "pi@loft", true},
		{"ssh://pi@loft", none, "pi@loft", true},
		{"pi@loft", none, "ssh://pi@loft", true},
		{"[::1]:22", none, "ssh://[::1]:22", true},
		{"loft", none, "pi@loft", true}, // as ssh_config says who
		{"loft", none, "pi@loft:2201", true},
		{"loft", none, "loft:2201", true},
		{"pi@loft", none, "pi@loft:2201", true},
		{"loft", "anna", "anna@loft", true},
		{"loft", "anna", "pi@loft", false},
		{"loft", none, "anna@loft", false},
		{"loft", none, "loft:22", false},
		{"root@loft", none, "loft", false},
		{"pi@loft", none, "loft", false},
		{"loft:2201", none, "loft", false},
		{"loft", none, "Loft", false},
		{"loft", none, "127.0.0.1", false}, // its HostName
	} {
		s := newSide(t)
		s.config("Host loft", "HostName 127.0.0.1", "User pi", "Port 2201")
		h := s.resolve(s.connector(Options{User: tt.user, Passwords: s.passwords(tt.line + "\tsecret")}), tt.target)
		password, found := h.listedPassword()
		if found != tt.want || found && string(password) != "secret" || h.PasswordGiven() != tt.want {
			t.Errorf("%s for %s: %q, %v, want %v", tt.line, tt.target, password, found, tt.want)
		}
	}
	// What is spelled alike comes first.
	s := newSide(t)
	s.config("Host loft", "User pi")
	h := s.resolve(s.connector(Options{Passwords: s.passwords("pi@loft\tother", "loft\tsecret")}), "loft")
	if password, _ := h.listedPassword(); string(password) != "secret" {
		t.Errorf("%q", password)
	}
}

// Where no line is for a target, the password of all others is, or else whoever
// can be asked, by the name of the target.
func TestUnlistedPassword(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	s := newSide(t)
	s.config("Host loft", "User pi", "Port 2201")
	askpass := s.file("askpass", "#!/bin/sh\nprintf '%s' \"$1\"\n")
	if err := os.Chmod(askpass, 0o700); err != nil {
		t.Fatal(err)
	}
	file := s.file("password", "of all\n")
	list := s.passwords("pi@elsewhere\tx")
	for _, tt := range []struct {
		name, target string
		opt          Options
		want         string
	}{
		{"a file", "loft", Options{Passwords: list, PasswordFile: file}, "of all"},
		{"askpass", "loft", Options{Passwords: list}, "pi@loft's password: "},
		{"askpass, with ssh's prompt", "anna@loft", Options{}, "anna@loft's password: "},
		{"a target with a port", "loft:22", Options{}, "pi@loft:22's password: "},
		{"a target with an address", "pi@[::1]:22", Options{}, "pi@[::1]:22's password: "},
	} {
		s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = askpass, "force"
		got, err := s.resolve(s.connector(tt.opt), tt.target).findPassword(t.Context())
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
	h := s.resolve(s.connector(Options{Passwords: s.passwords("pi@elsewhere\tx"), Options: []string{"BatchMode=yes"}}), "loft")
	if _, err := h.findPassword(t.Context()); !errors.Is(err, secret.ErrNobody) || !strings.Contains(err.Error(), "has no line for this target") {
		t.Error(err)
	}
}

// A host that has refused a password is not sent it again, however it said so.
func TestRefusedOnce(t *testing.T) {
	t.Parallel()
	for _, tries := range []int{6, 1} { // with 1 it hangs up
		pi := sshtest.StartPi(t, sshtest.PiConfig{MaxAuthTries: tries})
		s := newSide(t)
		s.config("User pi")
		s.knows(pi.Endpoint)
		c := s.connector(Options{PasswordFile: s.file("password", "wrong\n")})
		h := s.resolve(c, pi.Addr)
		if _, rep, err := h.Login(t.Context(), Plan{Password: true}); err == nil || !rep.PasswordSent {
			t.Fatalf("%v, %+v", err, rep)
		}
		_, rep, err := h.Login(t.Context(), Plan{Password: true})
		if err == nil || !errors.Is(rep.PasswordErr, ErrRefused) || pi.Counts().Passwords != 1 {
			t.Errorf("%d tries: %v, %v, %d passwords", tries, err, rep.PasswordErr, pi.Counts().Passwords)
		}
		if n := c.tries.password([]byte("wrong")).wrong; n != 1 {
			t.Errorf("%d tries: it counts %d times", tries, n)
		}
	}
}

// A server does not wait for a person as long as the person has to wait for a
// prompt; what was typed is not lost with the connection.
func TestServerLeavesWhileSomebodyIsAsked(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	defer func(d time.Duration) { serverPatience = d }(serverPatience)
	serverPatience = 200 * time.Millisecond
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	var met atomic.Int32
	left := make(chan struct{}) // closed when the first connection has ended
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	go func() {
		for {
			in, err := door.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", pi.Addr)
			if err != nil {
				t.Error(err)
				return
			}
			go io.Copy(out, in)
			go io.Copy(in, out)
			if met.Add(1) == 1 {
				go func() {
					<-left
					in.Close()
					out.Close()
				}()
			}
		}
	}()
	s := newSide(t)
	s.config("User pi", "HostKeyAlias loft")
	s.file(".ssh/known_hosts", "loft "+strings.SplitN(pi.KnownHosts(), " ", 2)[1])
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = s.file("askpass", "#!/bin/sh\necho x >>"+filepath.Join(s.home, "asked")+"; sleep 0.5; echo "+pi.Password+"\n"), "force"
	if err := os.Chmod(s.env["SSH_ASKPASS"], 0o700); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(300*time.Millisecond, func() { close(left) })
	h := s.resolve(s.connector(Options{}), door.Addr().String())
	client, _, err := h.Login(t.Context(), Plan{Password: true})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if n := met.Load(); n != 2 || s.read("asked") != "x\n" || pi.Counts().Passwords != 1 {
		t.Errorf("%d connections, %d passwords, asked %q", n, pi.Counts().Passwords, s.read("asked"))
	}

	// One that is only rude is not called again.
	rude := sshtest.StartHostile(t, sshtest.ClosesAtPassword)
	s.file(".ssh/known_hosts", rude.KnownHosts())
	s.config("User pi")
	h = s.resolve(s.connector(Options{PasswordFile: s.file("password", "x\n")}), rude.Addr)
	if _, _, err := h.Login(t.Context(), Plan{Password: true}); err == nil || rude.Counts().Passwords != 1 {
		t.Errorf("%v, %d passwords", err, rude.Counts().Passwords)
	}
}
