package sshtest

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func TestPiPassword(t *testing.T) {
	t.Parallel()
	for _, method := range []string{Password, KeyboardInteractive} {
		t.Run(method, func(t *testing.T) {
			p := StartPi(t, PiConfig{Methods: []string{method}, Banner: "hello\n"})
			stdout, stderr, status := byPassword(t, p.Endpoint, "pi", p.Password, `pwd; echo "$HOME $USER $LOGNAME"; echo oops >&2; exit 7`)
			if want := p.Home + "\n" + p.Home + " pi pi\n"; stdout != want || status != 7 {
				t.Errorf("status %d, %q, want %q", status, stdout, want)
			}
			if stderr != "hello\noops\n" && stderr != "hello\r\noops\n" {
				t.Errorf("standard error is %q", stderr)
			}
			for _, wrong := range []struct{ user, password string }{{"pi", p.Password + "x"}, {"eve", p.Password}} {
				if _, stderr, status := byPassword(t, p.Endpoint, wrong.user, wrong.password, "true"); status != 255 ||
					!strings.Contains(stderr, "Permission denied ("+method+")") {
					t.Errorf("%v: status %d: %s", wrong, status, stderr)
				}
			}
			c := p.Counts()
			if c.Connections != 3 || c.Logins != 1 || c.Passwords != 3 || c.Keys != 0 || len(c.Commands) != 1 {
				t.Errorf("counts are %+v", c)
			}
		})
	}
}

func TestPiKey(t *testing.T) {
	t.Parallel()
	k := NewKey(t, t.TempDir(), "ed25519")
	other := NewKey(t, t.TempDir(), "rsa")
	chmod := func(path string, mode fs.FileMode) func(t *testing.T, p *Pi) {
		return func(t *testing.T, p *Pi) {
			if err := os.Chmod(filepath.Join(p.Home, path), mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		config PiConfig
		lines  []string
		change func(t *testing.T, p *Pi)
		want   bool
	}{
		{name: "installed", lines: []string{k.Line}, want: true},
		{name: "second", lines: []string{"# mine", other.Line, k.Line}, want: true},
		{name: "other", lines: []string{other.Line}},
		{name: "none"},
		{name: "no method", lines: []string{k.Line}, config: PiConfig{Methods: []string{Password}}},
		{name: "restrict", lines: []string{"restrict,no-pty " + k.Line}, want: true},
		{name: "from", lines: []string{`from="192.0.2.1" ` + k.Line}},
		{name: "command true", lines: []string{`command="exit 0" ` + k.Line}, want: true},
		{name: "command false", lines: []string{`command="exit 3" ` + k.Line}},
		{name: "home 0777", lines: []string{k.Line}, change: chmod(".", 0o777)},
		{name: "dir 0777", lines: []string{k.Line}, change: chmod(".ssh", 0o777)},
		{name: "file 0666", lines: []string{k.Line}, change: chmod(".ssh/authorized_keys", 0o666)},
		{name: "home 0755", lines: []string{k.Line}, change: chmod(".", 0o755), want: true},
		{name: "home 0777, not strict", lines: []string{k.Line}, change: chmod(".", 0o777), config: PiConfig{NoStrictModes: true}, want: true},
		{name: "home 0775, upstream", lines: []string{k.Line}, change: chmod(".", 0o775), config: PiConfig{Version: "SSH-2.0-OpenSSH_9.2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := StartPi(t, tt.config)
			if tt.lines != nil {
				p.Authorize(t, tt.lines...)
			}
			if tt.change != nil {
				tt.change(t, p)
			}
			if ok, stderr := SSH(t, p.Endpoint, "pi", k.File); ok != tt.want {
				t.Errorf("ssh logs in: %v, want %v: %s", ok, tt.want, stderr)
			}
			if c := p.Counts(); c.Passwords != 0 {
				t.Errorf("ssh sent a password: %+v", c)
			}
		})
	}
}

// client logs in by password with our own client's library.
func client(t *testing.T, p *Pi) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", p.Addr, &ssh.ClientConfig{
		User:            p.User,
		Auth:            []ssh.AuthMethod{ssh.Password(p.Password)},
		HostKeyCallback: ssh.FixedHostKey(p.HostKeys[0]),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestPiExec(t *testing.T) {
	t.Parallel()
	p := StartPi(t, PiConfig{})
	c := client(t, p)
	open := func() *ssh.Session {
		s, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // more than a window
	s := open()
	s.Stdin = bytes.NewReader(payload)
	out, err := s.Output("cat")
	if err != nil || !bytes.Equal(out, payload) {
		t.Errorf("cat gave %d of %d bytes: %v", len(out), len(payload), err)
	}

	s = open() // one that does not read what it is sent
	s.Stdin = bytes.NewReader(payload)
	if err := s.Run("exit 5"); exitStatus(err) != 5 {
		t.Errorf("exit 5: %v", err)
	}

	var exit *ssh.ExitError
	if err := open().Run("kill -TERM $$"); !errors.As(err, &exit) || exit.Signal() != "TERM" {
		t.Errorf("a command that ends by SIGTERM: %v", err)
	}

	s = open()
	started, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start("echo; exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	started.Read(make([]byte, 1))
	if err := s.Signal(ssh.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); !errors.As(err, &exit) || exit.Signal() != "INT" {
		t.Errorf("a command that is sent SIGINT: %v", err)
	}

	s = open()
	s.Stdin = strings.NewReader("pwd\nexit 4\n")
	var stdout bytes.Buffer
	s.Stdout = &stdout
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); exitStatus(err) != 4 || stdout.String() != p.Home+"\n" {
		t.Errorf("the login shell: %v, %q", err, stdout.String())
	}
	if got, want := p.Counts().Commands, []string{"cat", "exit 5", "kill -TERM $$", "echo; exec sleep 1000", ""}; !slices.Equal(got, want) {
		t.Errorf("commands are %q, want %q", got, want)
	}
}

func exitStatus(err error) int {
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		return exit.ExitStatus()
	}
	return -1
}

// Closing the channel, and closing the Pi, ends what runs there and nothing
// else, and home is gone.
func TestPiEnds(t *testing.T) {
	t.Parallel()
	p, err := NewPi(PiConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	running := func() (s *ssh.Session, pids []int) {
		s, err := client(t, p).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start("sleep 1000 & echo $$ $!; trap '' HUP TERM; wait"); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, _ := out.Read(buf)
		for f := range strings.FieldsSeq(string(buf[:n])) {
			pid, _ := strconv.Atoi(f)
			pids = append(pids, pid)
		}
		if len(pids) != 2 || !alive(pids[0]) || !alive(pids[1]) {
			t.Fatalf("processes %v do not run", pids)
		}
		return s, pids
	}
	s, first := running()
	_, second := running()
	s.Close()
	for deadline := time.Now().Add(5 * time.Second); slices.ContainsFunc(first, alive); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("processes %v outlive their channel", first)
		}
	}
	if !alive(second[0]) {
		t.Error("another channel's command ended too")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if slices.ContainsFunc(second, alive) {
		t.Errorf("processes %v outlive the Pi", second)
	}
	if _, err := os.Lstat(filepath.Dir(p.Home)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", filepath.Dir(p.Home), err)
	}
	if conn, err := net.Dial("tcp", p.Addr); err == nil {
		conn.Close()
		t.Error("somebody still listens")
	}
}

// A home that is there is not ours to remove.
func TestPiHome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for home, left := range map[string]bool{dir: true, filepath.Join(dir, "new"): false} {
		p, err := NewPi(PiConfig{Home: home})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(home); (err == nil) != left {
			t.Errorf("%s: %v", home, err)
		}
	}
}

func TestPiCopies(t *testing.T) {
	t.Parallel()
	p := StartPi(t, PiConfig{})
	from := filepath.Join(t.TempDir(), "from")
	write(t, from, "some bytes\n", 0o640)
	for _, more := range [][]string{nil, {"-O"}} { // sftp, and the scp of old
		if more != nil {
			Need(t, "scp")
		}
		args := append(p.SSHArgs(t), "-o", "PubkeyAuthentication=no", "-p")
		args = append(args, more...)
		cmd := Command(t, t.TempDir(), "scp", append(args, from, "pi@127.0.0.1:copy"+strings.Join(more, ""))...)
		cmd.Env = append(cmd.Env, askpass(t, p.Password)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("scp %q: %v: %s", more, err, out)
		}
		copied := filepath.Join(p.Home, "copy"+strings.Join(more, ""))
		data, err := os.ReadFile(copied)
		if info, _ := os.Stat(copied); err != nil || string(data) != "some bytes\n" || info.Mode() != 0o640 {
			t.Errorf("scp %q wrote %q, %v: %v", more, data, info.Mode(), err)
		}
	}
	if c := p.Counts(); c.SFTP != 1 || len(c.Commands) != 1 {
		t.Errorf("counts are %+v", c)
	}
}

func TestPiTooManyTries(t *testing.T) {
	t.Parallel()
	p := StartPi(t, PiConfig{MaxAuthTries: 2})
	args := p.SSHArgs(t)
	for range 5 {
		args = append(args, "-i", NewKey(t, t.TempDir(), "ed25519").File)
	}
	cmd := Command(t, t.TempDir(), "ssh", append(args, "-o", "BatchMode=yes", "pi@127.0.0.1", "true")...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(out), "port "+strconv.Itoa(p.Port)+":2: too many authentication failures") {
		t.Errorf("%v: %s", err, out)
	}
	if c := p.Counts(); c.Keys != 4 {
		t.Errorf("counts are %+v", c)
	}
}

func TestPiLatency(t *testing.T) {
	const latency = 50 * time.Millisecond
	p := StartPi(t, PiConfig{Latency: latency})
	c := client(t, p)
	start := time.Now()
	c.SendRequest("keepalive@openssh.com", true, nil)
	if took := time.Since(start); took < latency {
		t.Errorf("a round trip took %v, want %v", took, latency)
	}
}
