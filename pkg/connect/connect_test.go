package connect

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/mdns"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// A side is somebody's own machine, as far as ssh looks at it: a home with an
// ssh_config and a key, an environment, and what was told to its user.
type side struct {
	t    *testing.T
	home string
	env  map[string]string
	key  sshtest.Key // in no default place; the config names it

	mu     sync.Mutex
	notes  []string
	traces []string

	neighbours []mdns.Machine // who answers for names of the local network
}

func newSide(t *testing.T) *side {
	t.Helper()
	s := &side{t: t, home: t.TempDir(), env: map[string]string{}}
	if err := os.Mkdir(filepath.Join(s.home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.home, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.key = sshtest.NewKey(t, filepath.Join(s.home, "keys"), "ed25519")
	return s
}

// file writes a file of the home, and returns its path.
func (s *side) file(name, content string) string {
	s.t.Helper()
	path := filepath.Join(s.home, name)
	if err := sshtest.WriteFile(path, []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *side) read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(filepath.Join(s.home, name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

// config writes ~/.ssh/config. Ours comes last, so that the lines given win.
func (s *side) config(lines ...string) {
	lines = append(lines, "Host *", "IdentityFile "+s.key.File, "IdentitiesOnly yes",
		"GlobalKnownHostsFile none", "UserKnownHostsFile "+filepath.Join(s.home, ".ssh", "known_hosts"), "")
	s.file(".ssh/config", strings.Join(lines, "\n"))
}

// connector is one run of a program. What opt leaves open is filled in.
func (s *side) connector(opt Options) *Connector {
	s.t.Helper()
	opt.Home = s.home
	opt.ConfigFile = filepath.Join(s.home, ".ssh", "config") // and so none of the system's
	if opt.Timeout == 0 {
		opt.Timeout = 20 * time.Second
	}
	opt.Getenv = func(name string) string { return s.env[name] }
	opt.Note = func(target, format string, args ...any) { s.tell(&s.notes, target, format, args) }
	opt.Trace = func(level int, target, format string, args ...any) { s.tell(&s.traces, target, format, args) }
	c := New(opt)
	c.neighbours = func(context.Context, string) ([]mdns.Machine, error) {
		if s.neighbours == nil {
			return nil, mdns.ErrNobody
		}
		return s.neighbours, nil
	}
	s.t.Cleanup(c.Close)
	return c
}

func (s *side) tell(to *[]string, target, format string, args []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*to = append(*to, target+": "+fmt.Sprintf(format, args...))
}

func (s *side) noted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.notes, "\n")
}

// resolve wants a target to be resolved.
func (s *side) resolve(c *Connector, target string) *Host {
	s.t.Helper()
	d, err := destination.Parse(target)
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := c.Host(s.t.Context(), target, d)
	if err != nil {
		s.t.Fatalf("%s: %v", target, err)
	}
	return h
}

// login logs in with what the side has, as pikeycheck does, and closes the
// connection again.
func (s *side) login(opt Options, target string) (*session.Report, error) {
	s.t.Helper()
	c := s.connector(opt)
	ctx, cancel := c.Deadline(s.t.Context())
	defer cancel()
	h := s.resolve(c, target)
	client, rep, err := h.Login(ctx, Plan{Keys: h.Keys(ctx).Offers()})
	if err == nil {
		client.Close()
	}
	return rep, err
}

// me is who the tests run as, and who real servers let in.
func me(t testing.TB) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// startSSHD starts a real sshd that lets us in, as the user that we are, with
// the side's key.
func (s *side) startSSHD(config sshtest.SSHDConfig) *sshtest.Daemon {
	s.t.Helper()
	authorized := s.file("authorized", s.key.Line+"\n")
	config.Config = append([]string{"AuthorizedKeysFile " + authorized, "StrictModes no", "AllowUsers " + me(s.t)}, config.Config...)
	return sshtest.StartSSHD(s.t, config)
}

// host is a Host block for a server.
func (s *side) host(alias string, server sshtest.Endpoint, more ...string) string {
	lines := []string{"Host " + alias, "HostName 127.0.0.1", "Port " + strconv.Itoa(server.Port), "User " + me(s.t)}
	return strings.Join(append(lines, more...), "\n")
}

func (s *side) knows(servers ...sshtest.Endpoint) {
	var b strings.Builder
	for _, e := range servers {
		b.WriteString(e.KnownHosts())
	}
	s.file(".ssh/known_hosts", b.String())
}

func wantLogin(t *testing.T, rep *session.Report, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if _, byKey := rep.LoginKey(); !byKey {
		t.Fatalf("logged in by %q", rep.By)
	}
}
