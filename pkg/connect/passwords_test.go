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
	"pi-key-tools/pkg/session"
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

// answers has askpass give these, one after the other, and the last one from
// then on.
func (s *side) answers(words ...string) {
	s.t.Helper()
	left := s.file("answers", strings.Join(words, "\n")+"\n")
	s.file("asked", "")
	askpass := s.file("askpass", "#!/bin/sh\necho \"$1\" >>"+filepath.Join(s.home, "asked")+"; head -n 1 "+left+"; [ \"$(wc -l <"+left+")\" -eq 1 ] || sed -i 1d "+left+"\n")
	if err := os.Chmod(askpass, 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = askpass, "force"
}

// Whoever mistypes a password is asked again, as by ssh, on the same connection.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	for _, tt := range []struct {
		name        string
		answers     []string // "" is the right one
		options     []string
		config      sshtest.PiConfig
		asked, sent int
		in          bool
	}{
		{"at once", []string{""}, nil, sshtest.PiConfig{}, 1, 1, true},
		{"the third is right", []string{"a", "b", ""}, nil, sshtest.PiConfig{}, 3, 3, true},
		{"to a prompt of the server", []string{"a", "b", ""}, nil, sshtest.PiConfig{Methods: []string{sshtest.PublicKey, sshtest.KeyboardInteractive}}, 3, 3, true},
		{"the fourth would be", []string{"a", "b", "c", ""}, nil, sshtest.PiConfig{}, 3, 3, false},
		{"more often", []string{"a", "b", "c", ""}, []string{"NumberOfPasswordPrompts=4"}, sshtest.PiConfig{}, 4, 4, true},
		{"once", []string{"a", ""}, []string{"NumberOfPasswordPrompts=1"}, sshtest.PiConfig{}, 1, 1, false},
		{"never", []string{""}, []string{"NumberOfPasswordPrompts=0"}, sshtest.PiConfig{}, 0, 0, false},
		{"the same again", []string{"a", "b", "a", ""}, nil, sshtest.PiConfig{}, 3, 2, false},
		{"the server has enough", []string{"a", "b", ""}, nil, sshtest.PiConfig{MaxAuthTries: 2}, 2, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pi := sshtest.StartPi(t, tt.config)
			s := newSide(t)
			s.config("User pi")
			s.knows(pi.Endpoint)
			for i, word := range tt.answers {
				if word == "" {
					tt.answers[i] = pi.Password
				}
			}
			s.answers(tt.answers...)
			h := s.resolve(s.connector(Options{Options: tt.options}), pi.Addr)
			client, rep, err := h.Login(t.Context(), Plan{Password: true})
			if (err == nil) != tt.in {
				t.Error(err)
			}
			if client != nil {
				client.Close()
			}
			if c := pi.Counts(); c.Passwords != tt.sent || rep.Passwords != tt.sent || c.Connections != 1 || strings.Count(s.read("asked"), "\n") != tt.asked {
				t.Errorf("%+v, %d passwords sent, asked %q", c, rep.Passwords, s.read("asked"))
			}
			if tt.sent > 0 && rep.PasswordErr != nil { // what was refused stands
				t.Error(rep.PasswordErr)
			}
		})
	}
}

// A wrong password that somebody gives counts like any other: three targets that
// refuse it keep it from the rest.
func TestAskedAgainInFleet(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	s := newSide(t)
	s.config("User pi")
	s.answers("wrong")
	var pis []*sshtest.Pi
	var ends []sshtest.Endpoint
	for i := range 5 {
		pis = append(pis, sshtest.StartPi(t, sshtest.PiConfig{}))
		ends = append(ends, pis[i].Endpoint)
	}
	s.knows(ends...)
	c := s.connector(Options{})
	for i, pi := range pis {
		_, rep, err := s.resolve(c, pi.Addr).Login(t.Context(), Plan{Password: true})
		if want := i < maxWrong; err == nil || rep.PasswordSent != want || errors.Is(rep.PasswordErr, ErrSpent) == want || pi.Counts().Passwords > 1 {
			t.Errorf("target %d: %v, %v, %d passwords", i, err, rep.PasswordErr, pi.Counts().Passwords)
		}
	}
}

// So is whoever mistypes a passphrase; once it was asked for in vain, no other
// target asks.
func TestPassphraseAskedAgain(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	for _, tt := range []struct {
		answers []string
		asked   int
		opens   bool
	}{
		{[]string{"a", "b", "right"}, 3, true},
		{[]string{"a", "a", "a", "right"}, 3, false},
		{[]string{"", "right"}, 1, false},
	} {
		s := newSide(t)
		s.config("User pi")
		key := filepath.Join(s.home, "key")
		sshtest.Keygen(t, "-q", "-t", "ed25519", "-a", "1", "-N", "right", "-f", key)
		s.answers(tt.answers...)
		c := s.connector(Options{})
		for _, target := range []string{"a", "b"} {
			keys := s.resolve(c, target).Keys(t.Context(), key)
			_, err := keys.Candidates[0].Signer(t.Context(), session.Exchange{})
			if (err == nil) != tt.opens {
				t.Errorf("%q for %s: %v", tt.answers, target, err)
			}
			if tt.answers[0] == "" {
				break // it was not given, and may be for another
			}
		}
		if got := s.read("asked"); got != strings.Repeat("Enter passphrase for key '"+key+"': \n", tt.asked) {
			t.Errorf("%q: asked %q", tt.answers, got)
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
	dir := t.TempDir() // where askpass has "asked", and waits until the server has "gone"
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
					asked := func() bool { _, err := os.Stat(filepath.Join(dir, "asked")); return err == nil }
					for !asked() && t.Context().Err() == nil {
						time.Sleep(5 * time.Millisecond)
					}
					in.Close()
					out.Close()
					os.WriteFile(filepath.Join(dir, "gone"), nil, 0o600)
				}()
			}
		}
	}()
	s := newSide(t)
	s.config("User pi", "HostKeyAlias loft")
	s.file(".ssh/known_hosts", "loft "+strings.SplitN(pi.KnownHosts(), " ", 2)[1])
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = s.file("askpass", "#!/bin/sh\ncd "+dir+"; echo x >>asked; until [ -e gone ]; do sleep 0.05; done; sleep 0.3; echo "+pi.Password+"\n"), "force"
	if err := os.Chmod(s.env["SSH_ASKPASS"], 0o700); err != nil {
		t.Fatal(err)
	}
	h := s.resolve(s.connector(Options{}), door.Addr().String())
	client, _, err := h.Login(t.Context(), Plan{Password: true})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if n := met.Load(); err != nil || n != 2 || string(asked) != "x\n" || pi.Counts().Passwords != 1 {
		t.Errorf("%d connections, %d passwords, asked %q, %v", n, pi.Counts().Passwords, asked, err)
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
