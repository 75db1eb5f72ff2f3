package connect

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// restrict has an agent hold the side's key for some destinations only, as
// ssh-add -h names them. The servers are to be known.
func (s *side) restrict(destinations ...string) {
	s.t.Helper()
	s.env["SSH_AUTH_SOCK"] = sshtest.StartAgent(s.t)
	options := []string{"-H", s.home + "/.ssh/known_hosts"}
	for _, d := range destinations {
		options = append(options, "-h", d)
	}
	sshtest.AddToAgent(s.t, s.env["SSH_AUTH_SOCK"], s.key.File, options...)
}

// agentOnly takes the private half away from the side.
func (s *side) agentOnly() {
	s.t.Helper()
	if err := os.Remove(s.key.File); err != nil {
		s.t.Fatal(err)
	}
}

// at is how known_hosts calls a server.
func at(e sshtest.Endpoint) string { return fmt.Sprintf("[127.0.0.1]:%d", e.Port) }

// A key that the agent holds for one destination logs in there, whatever the
// key exchange, and ssh agrees.
func TestRestrictedKey(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kex, hostKey string }{
		{"curve25519-sha256", "ed25519"},
		{"ecdh-sha2-nistp256", "ecdsa"},
		{"ecdh-sha2-nistp521", "rsa"},
		{"diffie-hellman-group14-sha256", "ed25519"},
		{"diffie-hellman-group16-sha512", "ecdsa"},
		{"diffie-hellman-group-exchange-sha256", "ed25519"},
	} {
		t.Run(tt.kex, func(t *testing.T) {
			t.Parallel()
			s := newSide(t)
			server := s.startSSHD(sshtest.SSHDConfig{HostKeys: []string{tt.hostKey}, Config: []string{"KexAlgorithms " + tt.kex}})
			s.knows(server.Endpoint)
			s.config(s.host("pi", server.Endpoint))
			s.restrict(at(server.Endpoint))
			s.agentOnly()
			rep, err := s.login(Options{}, "pi")
			wantLogin(t, rep, err)
		})
	}
}

// Where a key is for another destination, the agent's refusal is told from any
// other, and the file of the key does what the agent does not: to ssh, such an
// agent does not hold the key.
func TestKeyRestrictedToOthers(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh")
	s := newSide(t)
	here, there := s.startSSHD(sshtest.SSHDConfig{}), s.startSSHD(sshtest.SSHDConfig{})
	s.knows(here.Endpoint, there.Endpoint)
	s.config(s.host("here", here.Endpoint), s.host("there", there.Endpoint))
	s.restrict(at(here.Endpoint))
	rep, err := s.login(Options{}, "there")
	wantLogin(t, rep, err)
	if out, err := s.ssh("-o", "BatchMode=yes", "there", "true"); err != nil {
		t.Errorf("ssh: %v: %s", err, out)
	}
	s.agentOnly()
	rep, err = s.login(Options{}, "here")
	wantLogin(t, rep, err)
	if out, err := s.ssh("-o", "BatchMode=yes", "here", "true"); err != nil {
		t.Errorf("ssh: %v: %s", err, out)
	}
	wantRestricted(t, s, "there")
	if out, err := s.ssh("-o", "BatchMode=yes", "there", "true"); err == nil {
		t.Errorf("ssh logs in: %s", out)
	}
}

// A key for another user of the server is listed there, and not used.
func TestKeyRestrictedToOtherUser(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	server := s.startSSHD(sshtest.SSHDConfig{})
	s.knows(server.Endpoint)
	s.config(s.host("pi", server.Endpoint))
	s.restrict("somebody-else@" + at(server.Endpoint))
	s.agentOnly()
	rep, err := s.login(Options{}, "pi")
	if !errors.Is(err, session.ErrDenied) || len(rep.Offers) != 1 || !errors.Is(rep.Offers[0].Err, identity.ErrPerhapsOthers) ||
		!errors.Is(rep.Offers[0].Err, identity.ErrAgentRefused) || errors.Is(rep.Offers[0].Err, identity.ErrRestricted) {
		t.Errorf("%v, %+v", err, rep.Offers)
	}
}

// wantRestricted wants the login to fail because the agent keeps the key for
// others.
func wantRestricted(t *testing.T, s *side, target string) {
	t.Helper()
	rep, err := s.login(Options{}, target)
	if !errors.Is(err, session.ErrDenied) || len(rep.Offers) != 1 || rep.Offers[0].Answer != session.SignFailed {
		t.Fatalf("%v, %+v", err, rep.Offers)
	}
	if err := rep.Offers[0].Err; !errors.Is(err, identity.ErrRestricted) || !errors.Is(err, identity.ErrAgentRefused) {
		t.Errorf("refused by %v", err)
	}
}

// Each hop binds a connection of its own: the way through a jump host is not
// that of a forwarded agent.
func TestRestrictedKeyThroughJumpHost(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	gate, target := s.startSSHD(sshtest.SSHDConfig{}), s.startSSHD(sshtest.SSHDConfig{})
	s.knows(gate.Endpoint, target.Endpoint)
	s.config(s.host("gate", gate.Endpoint), s.host("pi", target.Endpoint, "ProxyJump gate"))
	s.restrict(at(gate.Endpoint), at(target.Endpoint))
	key, err := os.ReadFile(s.key.File)
	if err != nil {
		t.Fatal(err)
	}
	s.agentOnly()
	rep, err := s.login(Options{}, "pi")
	wantLogin(t, rep, err)

	if err := os.WriteFile(s.key.File, key, 0o600); err != nil {
		t.Fatal(err)
	}
	s.restrict(at(gate.Endpoint))
	s.agentOnly()
	wantRestricted(t, s, "pi")
}
