package connect

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

func wantJumpError(t *testing.T, err error, target string) *JumpError {
	t.Helper()
	var jump *JumpError
	if !errors.As(err, &jump) {
		t.Fatalf("%v is not of a jump host", err)
	}
	if jump.Target != target || !strings.HasPrefix(err.Error(), "jump host "+target+": ") {
		t.Fatalf("at %q: %v", jump.Target, err)
	}
	return jump
}

// The ways through one and two jump hosts, all real, with ssh as the judge
// that the configuration means what we take it to mean.
func TestProxyJump(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	first, second := s.startSSHD(sshtest.SSHDConfig{}), s.startSSHD(sshtest.SSHDConfig{})
	target := s.startSSHD(sshtest.SSHDConfig{})
	s.knows(first.Endpoint, second.Endpoint, target.Endpoint)
	name := func(d *sshtest.Daemon) string { return me(t) + "@" + d.Addr }
	s.config(
		s.host("first", first.Endpoint), s.host("second", second.Endpoint), s.host("far", target.Endpoint),
		s.host("one", target.Endpoint, "ProxyJump first"),
		s.host("two", target.Endpoint, "ProxyJump first,second"),
		s.host("chain", target.Endpoint, "ProxyJump second-behind-first"),
		s.host("second-behind-first", second.Endpoint, "ProxyJump first"),
		s.host("uri", target.Endpoint, "ProxyJump ssh://"+name(first)),
		s.host("override", target.Endpoint, "ProxyJump nowhere.invalid"),
		s.host("none", target.Endpoint, "ProxyJump none", "ProxyCommand false"),
	)
	passes := func(d *sshtest.Daemon) int { return strings.Count(d.Log(), "Accepted publickey") }
	for _, tt := range []struct {
		target, jump  string
		first, second int
	}{
		{"far", "", 0, 0},
		{"two", "", 1, 1},
		{"chain", "", 1, 1},
		{"uri", "", 1, 0},
		{"far", "first", 1, 0},
		{"far", name(first) + ",second-behind-first", 1, 1},
		{"override", "first", 1, 0},
		{"one", "none", 0, 0},
	} {
		before1, before2 := passes(first), passes(second)
		rep, err := s.login(Options{Jump: tt.jump}, tt.target)
		if err != nil {
			t.Errorf("-J %q %s: %v", tt.jump, tt.target, err)
			continue
		}
		if fp := identity.PublicOf(rep.HostKey).Fingerprint(); fp != identity.PublicOf(target.HostKeys[0]).Fingerprint() {
			t.Errorf("-J %q %s: ended at another host", tt.jump, tt.target)
		}
		got1, got2 := passes(first)-before1, passes(second)-before2
		if got1 != tt.first || got2 != tt.second {
			t.Errorf("-J %q %s: through first %d times, second %d; want %d, %d", tt.jump, tt.target, got1, got2, tt.first, tt.second)
		}
	}

	// Each has a host key of its own to check.
	for _, missing := range []*sshtest.Daemon{first, second} {
		var others []sshtest.Endpoint
		for _, d := range []*sshtest.Daemon{first, second, target} {
			if d != missing {
				others = append(others, d.Endpoint)
			}
		}
		s.knows(others...)
		seen := passes(second)
		_, err := s.login(Options{Jump: "first,second", Options: []string{"StrictHostKeyChecking=accept-new"},
			HostKey: identity.PublicOf(missing.HostKeys[0]).Fingerprint()}, "far")
		var e *HostKeyError
		if !errors.As(err, &e) || e.Status != knownhosts.Unknown || e.Shown.Fingerprint() != identity.PublicOf(missing.HostKeys[0]).Fingerprint() {
			t.Fatalf("the options of the target were taken for a jump host: %v", err)
		}
		if passes(second) != seen {
			t.Error("logged in to a host that is not known")
		}
		// The way on that is hinted at is one.
		var jump *JumpError // of the host that has shown the key, under those behind it
		for inner := err; errors.As(inner, &jump); inner = jump.Err {
		}
		if jump == nil {
			t.Fatal(err)
		}
		hint := e.Hint(jump.Host)
		i := strings.Index(hint, "pikeycheck --host-key ")
		if i < 0 || strings.Contains(hint, " -o StrictHostKeyChecking=accept-new -o ") {
			t.Fatalf("hint %q", hint)
		}
		words := strings.Fields(strings.Split(hint[i:], "\n")[0])
		opt := Options{HostKey: words[2]}
		if j := slices.Index(words, "-J"); j > 0 {
			opt.Jump = words[j+1]
		}
		if _, err := s.login(opt, words[len(words)-1]); err != nil {
			t.Errorf("%q: %v", words, err)
		}
	}
}

// ssh, given the same files, goes the same ways.
func TestProxyJumpAgreesWithSSH(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh")
	s := newSide(t)
	gate, target := s.startSSHD(sshtest.SSHDConfig{}), s.startSSHD(sshtest.SSHDConfig{})
	s.config(s.host("gate", gate.Endpoint), s.host("pi", target.Endpoint, "ProxyJump gate"))
	for name, known := range map[string][]sshtest.Endpoint{
		"both": {gate.Endpoint, target.Endpoint}, "the target": {target.Endpoint}, "the jump host": {gate.Endpoint},
	} {
		s.knows(known...)
		_, err := s.login(Options{}, "pi")
		out, sshErr := s.ssh("-o", "BatchMode=yes", "pi", "true")
		if (err == nil) != (sshErr == nil) || (err == nil) != (len(known) == 2) {
			t.Errorf("known is %s: we say %v, ssh says %v: %s", name, err, sshErr, out)
		}
	}
}

// ssh runs OpenSSH's ssh with the side's configuration.
func (s *side) ssh(args ...string) (output string, err error) {
	s.t.Helper()
	cmd := sshtest.Command(s.t, s.home, "ssh", append([]string{"-F", s.home + "/.ssh/config"}, args...)...)
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return string(out), err
}

// A password that was given is the target's, and never a jump host's, which could
// keep it.
func TestNoPasswordForJumpHosts(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	gate := sshtest.StartPi(t, sshtest.PiConfig{Methods: []string{sshtest.Password, sshtest.KeyboardInteractive, sshtest.PublicKey}})
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s.knows(gate.Endpoint, pi.Endpoint)
	s.config(fmt.Sprintf("Host gate\nHostName 127.0.0.1\nPort %d\nUser pi", gate.Port),
		fmt.Sprintf("Host pi\nHostName 127.0.0.1\nPort %d\nUser pi\nProxyJump gate", pi.Port))
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = "/bin/false", "force" // nobody gives one for it
	opt := Options{PasswordFile: s.file("password", gate.Password+"\n")}
	h := s.resolve(s.connector(opt), "pi")
	_, _, err := h.Login(t.Context(), Plan{Keys: h.Keys(t.Context()).Offers(), Password: true})
	jump := wantJumpError(t, err, "gate")
	if !errors.Is(err, secret.ErrDeclined) || jump.Report.Stage != session.Auth || len(jump.Report.Offers) != 1 {
		t.Errorf("%v at %s", err, jump.Report.Stage)
	}
	if got := gate.Counts(); got.Passwords != 0 || got.Keys == 0 || pi.Counts().Connections != 0 {
		t.Errorf("the jump host saw %+v", got)
	}

	// Behind one that takes the key, the target does get it.
	real := s.startSSHD(sshtest.SSHDConfig{})
	s.knows(real.Endpoint, pi.Endpoint)
	s.config(s.host("gate", real.Endpoint), fmt.Sprintf("Host pi\nHostName 127.0.0.1\nPort %d\nUser pi\nProxyJump gate", pi.Port))
	h = s.resolve(s.connector(Options{PasswordFile: s.file("password", pi.Password+"\n")}), "pi")
	client, rep, err := h.Login(t.Context(), Plan{Keys: h.Keys(t.Context()).Offers(), Password: true})
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
	if rep.By != "password" || pi.Counts().Passwords != 1 || strings.Contains(real.Log(), "password") {
		t.Errorf("by %s; %+v", rep.By, pi.Counts())
	}
}

func TestJumpFailures(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	gate := s.startSSHD(sshtest.SSHDConfig{})
	closed := s.startSSHD(sshtest.SSHDConfig{Config: []string{"AllowTcpForwarding no"}})
	silent := sshtest.StartHostile(t, sshtest.Silent)
	s.knows(gate.Endpoint, closed.Endpoint)
	s.config(s.host("gate", gate.Endpoint), s.host("closed", closed.Endpoint), s.host("silent", silent.Endpoint),
		"Host circle-a\nProxyJump circle-b", "Host circle-b\nProxyJump circle-a",
		"Host self\nHostName self.invalid\nProxyJump self.invalid",
		"Host behind-self\nProxyJump self",
		"Host nowhere\nHostName 127.0.0.1\nPort 1",
	)
	login := func(jump string, timeout time.Duration) error {
		t.Helper()
		_, err := s.login(Options{Jump: jump, Timeout: timeout}, "nowhere")
		if err == nil {
			t.Fatal("logged in to nowhere")
		}
		return err
	}
	t.Run("it hangs", func(t *testing.T) {
		began := time.Now()
		err := login("silent", time.Second)
		jump := wantJumpError(t, err, "silent")
		if !errors.Is(err, session.ErrTooSlow) || jump.Report.Stage != session.Versions || time.Since(began) > 10*time.Second {
			t.Errorf("%v at %s after %v", err, jump.Report.Stage, time.Since(began))
		}
	})
	t.Run("the first of two hangs", func(t *testing.T) {
		jump := wantJumpError(t, login("silent,gate", 300*time.Millisecond), "gate")
		if jump = wantJumpError(t, jump.Err, "silent"); !errors.Is(jump.Err, session.ErrTooSlow) {
			t.Errorf("%v", jump.Err)
		}
	})
	t.Run("it cannot reach the target", func(t *testing.T) {
		err := login("gate", 0)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != ssh.ConnectionFailed || refused.Message != "Connection refused" {
			t.Errorf("%v", err)
		}
	})
	t.Run("it may not", func(t *testing.T) {
		err := login("closed", 0)
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != ssh.Prohibited {
			t.Errorf("%v", err)
		}
	})
	t.Run("a circle", func(t *testing.T) {
		err := login("circle-a", 0)
		wantJumpError(t, err, "circle-a")
		if !strings.Contains(err.Error(), "in a circle") || strings.Count(err.Error(), "jump host") > 4 {
			t.Errorf("%v", err)
		}
	})
	t.Run("through itself, as ssh finds", func(t *testing.T) {
		jump := wantJumpError(t, login("self", 0), "self")
		if jump.Host != nil || !strings.Contains(jump.Err.Error(), "jumphost loop") {
			t.Errorf("%v", jump)
		}
	})
	t.Run("the end of the run ends what goes through", func(t *testing.T) {
		c := s.connector(Options{Jump: "gate"})
		h := s.resolve(c, "silent")
		ctx, cancel := c.Deadline(t.Context())
		defer cancel()
		gate, err := h.approach(ctx, false)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := h.dial(ctx, gate)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		wantEnd(t, conn)
	})
}

// wantEnd wants a connection to end soon.
func wantEnd(t *testing.T, conn net.Conn) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				return
			}
		}
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the connection does not end")
	}
}
