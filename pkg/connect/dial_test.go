package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/mdns"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// forward listens at an address of its own and leads to another.
func forward(t *testing.T, listen, to string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", listen)
	if err != nil {
		t.Skipf("cannot listen at %s: %v", listen, err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			conn, err := net.Dial("tcp", to)
			if err != nil {
				from.Close()
				continue
			}
			go func() { io.Copy(conn, from); conn.Close() }()
			go func() { io.Copy(from, conn); from.Close() }()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestIPv6(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	port := forward(t, "[::1]:0", pi.Addr)
	s := newSide(t)
	s.config()
	pi.Authorize(t, s.key.Line)
	s.file(".ssh/known_hosts", line(fmt.Sprintf("[::1]:%d", port), pi.HostKeys[0]))
	for _, target := range []string{fmt.Sprintf("pi@[::1]:%d", port), fmt.Sprintf("ssh://pi@[::1]:%d", port), fmt.Sprintf("pi@[0:0:0:0:0:0:0:1]:%d", port)} {
		rep, err := s.login(Options{}, target)
		wantLogin(t, rep, err)
	}
	rep, err := s.login(Options{Port: port}, "pi@::1")
	wantLogin(t, rep, err)
	if _, err := s.login(Options{Options: []string{"AddressFamily=inet"}}, fmt.Sprintf("pi@[::1]:%d", port)); err == nil {
		t.Error("AddressFamily inet dials ::1")
	}
}

// The server sees us where BindAddress or BindInterface says, and ssh as the
// judge of what is none of this machine's.
func TestBind(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh")
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	name := ""
	if all, err := net.Interfaces(); err == nil {
		for _, i := range all {
			if i.Flags&net.FlagLoopback != 0 {
				name = i.Name
			}
		}
	}
	for option, works := range map[string]bool{
		"BindAddress 127.0.0.1": true, "BindAddress localhost": true, "BindAddress 192.0.2.1": false, "BindAddress no-such.invalid": false,
		"BindInterface " + name: true, "BindInterface nowhere9": false, "BindAddress 127.0.0.1\nBindInterface nowhere9": true,
	} {
		s := newSide(t)
		s.config("User pi", s.host("pi", pi.Endpoint), option)
		s.knows(pi.Endpoint)
		pi.Authorize(t, s.key.Line)
		_, err := s.login(Options{}, "pi")
		var bind *BindError
		if (err == nil) != works || errors.As(err, &bind) == works {
			t.Errorf("%s: %v", option, err)
		}
		out, err := sshtest.Command(t, s.home, "ssh", "-F", filepath.Join(s.home, ".ssh/config"), "-o", "BatchMode=yes", "pi", "true").CombinedOutput()
		if (err == nil) != works {
			t.Errorf("%s: ssh says %v: %s", option, err, out)
		}
	}
	from := func(option string) string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		s := newSide(t)
		s.config(option)
		h := s.resolve(s.connector(Options{}), "pi@"+l.Addr().String())
		conn, err := h.dial(t.Context(), nil)
		if err != nil {
			t.Skip(err) // the network 127 has one address on some systems
		}
		defer conn.Close()
		return conn.LocalAddr().(*net.TCPAddr).IP.String()
	}
	if got := from("BindAddress 127.0.0.2"); got != "127.0.0.2" {
		t.Errorf("from %s", got)
	}
}

// A name that ends in .local is asked of getent(1), and known_hosts is asked
// for the name.
func TestLocalNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no getent")
	}
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	pi.Authorize(t, s.key.Line)
	bin := t.TempDir()
	getent := func(script string) {
		t.Helper()
		if err := sshtest.WriteFile(filepath.Join(bin, "getent"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	s.config("Host *.*ocal* alias", fmt.Sprintf("Port %d", pi.Port), "User pi", "Host alias", "HostName pi4.local")
	known := line(fmt.Sprintf("[pi4.local]:%d", pi.Port), pi.HostKeys[0])
	s.file(".ssh/known_hosts", known+line(fmt.Sprintf("[pi4.local.]:%d", pi.Port), pi.HostKeys[0]))

	getent(`[ "$1 $2 $3" = "ahosts -- pi4.local" ] || [ "$3" = pi4.local. ] || exit 2
printf '127.0.0.1 STREAM pi4.local\n127.0.0.1 DGRAM\n127.0.0.1 RAW\n'`)
	for _, target := range []string{"pi4.local", "PI4.Local", "pi4.local.", "alias"} {
		rep, err := s.login(Options{}, target)
		wantLogin(t, rep, err)
	}
	// The first that answers is taken.
	getent(`printf '127.0.0.2 STREAM pi4.local\n127.0.0.1 STREAM\n'`)
	rep, err := s.login(Options{}, "pi4.local")
	wantLogin(t, rep, err)
	// Where none answers, the first is the one to tell of.
	getent(`printf '127.0.0.3 STREAM pi4.local\n127.0.0.4 STREAM\n'`)
	if _, err := s.login(Options{}, "pi4.local"); err == nil || !strings.Contains(err.Error(), "127.0.0.3:") {
		t.Errorf("%v", err)
	}
	// An address of the family that is not wanted is none.
	getent(`[ $1 = ahostsv4 ] && echo 127.0.0.5 STREAM pi4.local || echo ::1 STREAM pi4.local`)
	if _, err := s.login(Options{Options: []string{"AddressFamily=inet"}}, "pi4.local"); err == nil || !strings.Contains(err.Error(), "127.0.0.5:") {
		t.Errorf("%v", err)
	}
	for _, script := range []string{"exit 2", "", "echo nonsense"} {
		getent(script)
		var dns *net.DNSError
		if _, err := s.login(Options{}, "pi4.local"); !errors.As(err, &dns) {
			t.Errorf("%q: %v", script, err)
		}
	}
	// Then the local network is asked.
	getent("exit 2")
	machine := func(from string, addresses ...string) mdns.Machine {
		m := mdns.Machine{From: netip.MustParseAddr(from)}
		for _, a := range addresses {
			m.Addresses = append(m.Addresses, netip.MustParseAddr(a))
		}
		return m
	}
	if runtime.GOOS != "darwin" { // whose resolver knows them
		s.neighbours = []mdns.Machine{machine("127.0.0.1", "127.0.0.2", "127.0.0.1")}
		rep, err = s.login(Options{}, "pi4.local")
		wantLogin(t, rep, err)
		if strings.Contains(s.noted(), "name-ambiguous") {
			t.Errorf("one machine: %s", s.noted())
		}
		s.neighbours = append(s.neighbours, machine("10.0.0.9", "10.0.0.9"))
		rep, err = s.login(Options{}, "pi4.local")
		wantLogin(t, rep, err)
		if !strings.Contains(s.noted(), "name-ambiguous: 2 machines answer for pi4.local: 127.0.0.1, 10.0.0.9") {
			t.Errorf("two machines: %s", s.noted())
		}
		if _, err := s.login(Options{Options: []string{"AddressFamily=inet6"}}, "pi4.local"); err == nil {
			t.Error("an address of the wrong family is dialled")
		}
		s.neighbours = nil
	}
	getent("sleep 60")
	began := time.Now()
	if _, err := s.login(Options{Timeout: 200 * time.Millisecond}, "pi4.local"); !errors.Is(err, session.ErrTooSlow) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

func TestDialFailures(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.config()
	for target, want := range map[string]string{
		"pi@127.0.0.1:1":     "connection refused",
		"pi@pi.invalid":      "pi.invalid",
		"pi@255.255.255.255": "255.255.255.255:22",
	} {
		rep, err := s.login(Options{}, target)
		if err == nil || !strings.Contains(err.Error(), want) || rep.Stage != session.Dialling {
			t.Errorf("%s: %v at %s", target, err, rep.Stage)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := s.resolve(s.connector(Options{}), "pi@127.0.0.1:1").Login(ctx, Plan{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// What ssh_config says of methods.
func TestMethodsOff(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	s.config("User pi")
	s.knows(pi.Endpoint)
	pi.Authorize(t, s.key.Line)
	for _, tt := range []struct {
		option string
		off    string // start of where
		by     string
	}{
		{"PubkeyAuthentication=no", "PubkeyAuthentication no, command line", "password"},
		{"PreferredAuthentications=password", "PreferredAuthentications without publickey, command line", "password"},
		{"PreferredAuthentications=publickey", "", "publickey"},
		{"PasswordAuthentication=no", "", "publickey"},
	} {
		h := s.resolve(s.connector(Options{Options: []string{tt.option}, PasswordFile: s.file("password", pi.Password+"\n")}), pi.Addr)
		where, off := h.KeysOff()
		if off != (tt.off != "") || !strings.HasPrefix(where, tt.off) {
			t.Errorf("%s: %q, %v", tt.option, where, off)
		}
		client, rep, err := h.Login(t.Context(), Plan{Keys: h.Keys(t.Context()).Offers(), Password: true})
		if err != nil {
			t.Errorf("%s: %v", tt.option, err)
			continue
		}
		client.Close()
		if rep.By != tt.by {
			t.Errorf("%s: logged in by %s", tt.option, rep.By)
		}
	}
	for _, option := range []string{"PasswordAuthentication=no", "PreferredAuthentications=publickey,keyboard-interactive"} {
		h := s.resolve(s.connector(Options{Options: []string{option}, PasswordFile: s.file("password", pi.Password+"\n")}), pi.Addr)
		before := pi.Counts().Passwords
		_, _, err := h.Login(t.Context(), Plan{Password: true})
		if !errors.Is(err, session.ErrDenied) || pi.Counts().Passwords != before {
			t.Errorf("%s: %v, %d passwords", option, err, pi.Counts().Passwords-before)
		}
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.config()
	c := s.connector(Options{Jump: "a,b", User: "me", Port: 2222, Options: []string{"BatchMode=yes", "UserKnownHostsFile=/a /b"}, PasswordFile: "/p w", PassphraseFile: "/pp", Passwords: s.passwords()})
	h := s.resolve(c, "pi.local")
	want := "pikeycopy -F " + filepath.Join(s.home, ".ssh", "config") + " -J a,b -l me -p 2222 -o 'BatchMode=yes' -o 'UserKnownHostsFile=/a /b' --passwords " + filepath.Join(s.home, "passwords") + " --password-file '/p w' --passphrase-file /pp pi.local"
	if got := h.Again("pikeycopy"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = "ssh -F " + filepath.Join(s.home, ".ssh", "config") + " -J a,b -l me -p 2222 -o 'UserKnownHostsFile=/a /b' pi.local"
	if got := h.SSH(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = "ssh -F " + filepath.Join(s.home, ".ssh", "config") + " -J a,b -o 'UserKnownHostsFile=/a /b' -p 22 'you@fe80::1%eth0'"
	if got := s.resolve(c, "you@[fe80::1%eth0]:22").SSH(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, tt := range []struct{ option, method, want string }{
		{"PreferredAuthentications=publickey", "password", ""},
		{"PreferredAuthentications=publickey,password", "password", " -o 'PreferredAuthentications=publickey,password'"},
		{"PreferredAuthentications=publickey,password", "keyboard-interactive", ""}, // which ours would not try either
		{"PasswordAuthentication=no", "password", ""},
		{"PasswordAuthentication=no", "keyboard-interactive", " -o 'PasswordAuthentication=no'"},
	} {
		h := s.resolve(s.connector(Options{Options: []string{tt.option}}), "pi.local")
		want := "pikeycopy -F " + filepath.Join(s.home, ".ssh", "config") + tt.want + " pi.local"
		if got := h.AgainByPassword("pikeycopy", []string{"publickey", tt.method}); got != want {
			t.Errorf("%s, of a server that takes %s:\ngot  %s\nwant %s", tt.option, tt.method, got, want)
		}
	}
	s.config("Host other\n", "BatchMode yes\n", "Host *\n", "PasswordAuthentication no\n") // of which one holds
	h = s.resolve(s.connector(Options{Options: []string{"BatchMode=yes", "PasswordAuthentication=no"}}), "pi.local")
	want = "pikeycopy -F " + filepath.Join(s.home, ".ssh", "config") + " -o 'PasswordAuthentication=yes' pi.local"
	if got := h.AgainByPassword("pikeycopy", []string{"password"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	jump, err := c.jumpHost(t.Context(), "you@b:22", "a")
	if err != nil {
		t.Fatal(err)
	}
	want = "pikeyfix -F " + filepath.Join(s.home, ".ssh", "config") + " -J a --passphrase-file /pp you@b:22"
	if got := jump.Again("pikeyfix"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	s.config("User pi")
	s.knows(pi.Endpoint)
	path := s.file("password", pi.Password+"\n")
	c := s.connector(Options{PasswordFile: path})
	h := s.resolve(c, pi.Addr)
	for range 2 { // to act, and to prove it
		client, _, err := h.Login(t.Context(), Plan{Password: true})
		if err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	kept := h.password
	h.Forget()
	if strings.Trim(string(kept), "\x00") != "" {
		t.Error("the password is still there")
	}
	// Nobody to ask, and no wait for somebody.
	h = s.resolve(s.connector(Options{Options: []string{"BatchMode=yes"}}), pi.Addr)
	_, rep, err := h.Login(t.Context(), Plan{Password: true})
	if err == nil || rep.PasswordErr == nil || rep.PasswordSent {
		t.Errorf("%v, %+v", err, rep)
	}
	// A program is asked with the target's clock stopped.
	if runtime.GOOS == "windows" {
		return
	}
	askpass := s.file("askpass", "#!/bin/sh\nsleep 3.2; echo "+pi.Password+"\n")
	if err := os.Chmod(askpass, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = askpass, "force"
	c = s.connector(Options{Timeout: 3 * time.Second}) // which the login alone does not take
	ctx, cancel := c.Deadline(t.Context())
	defer cancel()
	client, _, err := s.resolve(c, pi.Addr).Login(ctx, Plan{Password: true})
	if err != nil {
		t.Fatalf("whoever types has more time: %v", err)
	}
	client.Close()
	// A passphrase is asked once for all targets.
	locked := sshtest.NewKey(t, t.TempDir(), "ecdsa")
	sshtest.Keygen(t, "-q", "-p", "-a", "1", "-P", "", "-N", "secret", "-f", locked.File)
	s.file("askpass", "#!/bin/sh\necho x >>"+filepath.Join(s.home, "asked")+"; echo secret\n")
	s.config("Host *\nUser pi\nIdentityFile " + locked.File)
	c = s.connector(Options{})
	done := make(chan error)
	for range 3 {
		h := s.resolve(c, pi.Addr)
		go func() {
			_, err := h.Keys(context.Background()).Candidates[0].Signer(context.Background(), session.Exchange{})
			done <- err
		}()
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if got := s.read("asked"); got != "x\n" {
		t.Errorf("asked %d times", len(got)/2)
	}
}

// A server that changes its mind about who it is gets nothing.
func TestNothingIsSentBeforeTheHostKey(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	s.config("User pi")
	s.file(".ssh/known_hosts", line(fmt.Sprintf("[127.0.0.1]:%d", pi.Port), s.key.Signer.PublicKey()))
	h := s.resolve(s.connector(Options{PasswordFile: s.file("password", pi.Password+"\n")}), pi.Addr)
	_, rep, err := h.Login(t.Context(), Plan{Keys: h.Keys(t.Context()).Offers(), Password: true})
	if verdict(err) != "changed" || rep.Stage != session.HostKey {
		t.Errorf("%v at %s", err, rep.Stage)
	}
	if got := pi.Counts(); got.Keys != 0 || got.Passwords != 0 {
		t.Errorf("%+v", got)
	}
}
