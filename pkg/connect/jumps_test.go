package connect

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// loginAll logs in to t0, t1, … at the same time, and returns what came of each.
func (s *side) loginAll(c *Connector, n int, plan Plan) []error {
	s.t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		h := s.resolve(c, fmt.Sprint("t", i))
		all.Go(func() {
			ctx, cancel := c.Deadline(s.t.Context())
			defer cancel()
			plan := plan
			plan.Keys = h.Keys(ctx).Offers()
			client, _, err := h.Login(ctx, plan)
			if errs[i] = err; err == nil {
				client.Close()
				h.Forget()
			}
		})
	}
	all.Wait()
	return errs
}

// ended ends the connection to a jump host.
func (c *Connector) ended(way string) {
	c.jumps.mu.Lock()
	j := c.jumps.by[way]
	c.jumps.mu.Unlock()
	<-j.done
	j.client.Close()
}

func accepted(d *sshtest.Daemon) int { return strings.Count(d.Log(), "Accepted p") }

// Many targets go through one connection to a jump host, whatever its MaxSessions
// is: what is passed on is no session. When it has ended, there is one more.
func TestJumpIsShared(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	gate, inner := s.startSSHD(sshtest.SSHDConfig{Config: []string{"MaxSessions 0"}}), s.startSSHD(sshtest.SSHDConfig{})
	targets := []*sshtest.Daemon{s.startSSHD(sshtest.SSHDConfig{}), s.startSSHD(sshtest.SSHDConfig{})}
	s.knows(gate.Endpoint, inner.Endpoint, targets[0].Endpoint, targets[1].Endpoint)
	const n = 24
	hosts := []string{s.host("gate", gate.Endpoint), s.host("inner", inner.Endpoint)}
	for i := range n {
		jump := []string{"ProxyJump gate", "ProxyJump gate,inner"}[i%2]
		hosts = append(hosts, s.host(fmt.Sprint("t", i), targets[i%2].Endpoint, jump))
	}
	s.config(hosts...)
	c := s.connector(Options{})
	defer c.Close()
	for round := range 3 {
		if round == 2 { // as if it had been restarted
			c.ended("gate")
		}
		for i, err := range s.loginAll(c, n, Plan{}) {
			if err != nil {
				t.Errorf("t%d: %v", i, err)
			}
		}
		want := 1 + round/2 // inner's connection goes through that of gate
		if g, i := accepted(gate), accepted(inner); g != want || i != want {
			t.Fatalf("round %d: %d logins at the first jump host, %d at the second, want %d", round, g, i, want)
		}
	}
	if got := accepted(targets[0]) + accepted(targets[1]); got != 3*n {
		t.Errorf("%d logins at the targets", got)
	}
}

// A jump host that lets us not in is asked once, and why is told of each target.
// What it has refused is not sent again, whoever gives it.
func TestJumpThatRefuses(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	gate := sshtest.StartPi(t, sshtest.PiConfig{})
	s.knows(gate.Endpoint)
	hosts := []string{fmt.Sprintf("Host gate\nHostName 127.0.0.1\nPort %d\nUser pi", gate.Port)}
	for i := range 12 {
		hosts = append(hosts, fmt.Sprintf("Host t%d\nHostName 192.0.2.%d\nProxyJump gate", i, i))
	}
	s.config(hosts...)
	askpass := s.file("askpass", "#!/bin/sh\necho \"$1\" >>"+filepath.Join(s.home, "asked")+"; echo wrong\n")
	if err := os.Chmod(askpass, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = askpass, "force"
	for _, password := range []bool{false, true} {
		before := gate.Counts()
		c := s.connector(Options{})
		for i, err := range append(s.loginAll(c, 12, Plan{Password: password}), s.loginAll(c, 1, Plan{Password: password})...) {
			if jump := wantJumpError(t, err, "gate"); !errors.Is(err, session.ErrDenied) || jump.Report.Stage != session.Auth {
				t.Errorf("t%d: %v", i, err)
			}
		}
		c.Close()
		if got := gate.Counts(); got.Connections != before.Connections+1 || password && got.Passwords != before.Passwords+1 || !password && got.Passwords != before.Passwords {
			t.Errorf("password %v: %+v, before %+v", password, got, before)
		}
	}
	if got := s.read("asked"); got != strings.Repeat("pi@gate's password: \n", 2) {
		t.Errorf("asked %q", got)
	}
}

// What ends with the connection to the jump host is told as its failure.
func TestJumpThatEnds(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	gate := s.startSSHD(sshtest.SSHDConfig{})
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s.knows(gate.Endpoint)
	s.config(s.host("gate", gate.Endpoint), fmt.Sprintf("Host t0\nHostName 127.0.0.1\nPort %d\nProxyJump gate", silent.Addr().(*net.TCPAddr).Port))
	c := s.connector(Options{})
	defer c.Close()
	go func() {
		// Our version tells that the way there is open. Before, another connection
		// to the gate is made.
		conn, err := silent.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
		if c.ended("gate"); err != nil {
			t.Error(err)
		}
	}()
	if jump := wantJumpError(t, s.loginAll(c, 1, Plan{})[0], "gate"); !errors.Is(jump.Err, ErrJumpEnded) || jump.Report.Stage != session.LoggedIn {
		t.Error(jump)
	}
}

// Targets that are each other's jump hosts do not wait for one another, whichever
// is begun first.
func TestJumpThroughEachOther(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.config("Host t0\nHostName 192.0.2.1\nProxyJump t1", "Host t1\nHostName 192.0.2.2\nProxyJump t2", "Host t2\nHostName 192.0.2.3\nProxyJump t0")
	for range 8 {
		c := s.connector(Options{})
		late := time.AfterFunc(20*time.Second, c.jumps.end)
		for i, err := range s.loginAll(c, 3, Plan{}) {
			if err == nil || !strings.Contains(err.Error(), "ProxyJump leads in a circle") {
				t.Errorf("t%d: %v", i, err)
			}
		}
		if c.Close(); !late.Stop() {
			t.Fatal("it did not end by itself")
		}
	}
}

// The password of a jump host is asked for once a connection, and never taken from what was
// given for the targets.
func TestJumpWithPassword(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	s := newSide(t)
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	gate, target := sshtest.StartSSHD(t, sshtest.SSHDConfig{}), s.startSSHD(sshtest.SSHDConfig{})
	s.knows(gate.Endpoint, target.Endpoint)
	hosts := []string{fmt.Sprintf("Host gate\nHostName 127.0.0.1\nPort %d\nUser %s", gate.Port, user.Name)}
	for i := range 8 {
		hosts = append(hosts, s.host(fmt.Sprint("t", i), target.Endpoint, "ProxyJump gate"))
	}
	s.config(hosts...)
	askpass := s.file("askpass", "#!/bin/sh\necho x >>"+filepath.Join(s.home, "asked")+"; echo "+user.Password+"\n")
	if err := os.Chmod(askpass, 0o700); err != nil {
		t.Fatal(err)
	}
	s.env["SSH_ASKPASS"], s.env["SSH_ASKPASS_REQUIRE"] = askpass, "force"
	c := s.connector(Options{PasswordFile: s.file("password", "of the targets\n")})
	defer c.Close()
	for round := range 3 {
		// The second connection to a target, which proves a key, may not ask for
		// the target's password, and be the first to find that there is none to the gate.
		for i, err := range s.loginAll(c, 8, Plan{Password: round != 1}) {
			if err != nil {
				t.Fatalf("round %d, t%d: %v", round, i, err)
			}
		}
		if got := s.read("asked"); got != strings.Repeat("x\n", 1+round) || strings.Contains(gate.Log(), "Failed password") || accepted(gate) != 1+round {
			t.Errorf("asked %q\n%s", got, gate.Log())
		}
		c.ended("gate") // and for the next connection it is asked for again
	}
}
