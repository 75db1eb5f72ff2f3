//go:build unix

package connect

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// TestMain is nc(1) where a test has started it as a ProxyCommand. More tests
// run at once than there are processors: mostly they wait for ssh and sshd.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-nc" {
		netcat(os.Args[2])
		return
	}
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// netcat is what `nc ADDRESS` does.
func netcat(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nc:", err)
		os.Exit(1)
	}
	go func() {
		io.Copy(os.Stdout, conn)
		os.Exit(0)
	}()
	io.Copy(conn, os.Stdin)
}

// nc is the ProxyCommand that leads to an address.
func nc(t *testing.T, address string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "env GORACE=atexit_sleep_ms=0 " + exe + " -nc " + address
}

func TestProxyCommand(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	me := newSide(t)
	pi.Authorize(t, me.key.Line)
	me.knows(pi.Endpoint)
	host := func(command string) string {
		return fmt.Sprintf("Host %s\nHostName 127.0.0.1\nPort %d\nUser pi\nProxyCommand %s", "pi", pi.Port, command)
	}
	me.config(host(nc(t, "%h:%p")))
	rep, err := me.login(Options{}, "pi")
	wantLogin(t, rep, err)

	for _, tt := range []struct {
		command string
		want    CommandError // its Err by its text
		status  string
	}{
		{`sh -c 'echo "no way there" >&2; exit 3'`, CommandError{Said: "no way there"}, "exit status 3"},
		{`sh -c 'printf "\033[2J\r\n" >&2'`, CommandError{Said: "\x1b[2J"}, ""},
		{`false`, CommandError{}, "exit status 1"},
		{`true`, CommandError{}, ""},
		{`/no/such/program %h`, CommandError{}, "exit status 127"},
		{`sh -c 'kill -9 $$'`, CommandError{}, "signal: killed"},
		// More than anybody reads: neither side waits for the other.
		{`sh -c 'yes no | head -c 300000 >&2; exit 5'`, CommandError{Said: strings.TrimSpace(strings.Repeat("no\n", 1365) + "n")}, "exit status 5"},
		{nc(t, "127.0.0.1:1"), CommandError{Said: "nc: dial tcp 127.0.0.1:1: connect: connection refused"}, "exit status 1"},
	} {
		me.config(host(tt.command))
		rep, err := me.login(Options{}, "pi")
		var got *CommandError
		if !errors.As(err, &got) || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", tt.command, err)
			continue
		}
		status := ""
		if got.Err != nil {
			status = got.Err.Error()
		}
		if strings.HasPrefix(tt.command, "/no/such/program") {
			if !strings.Contains(got.Said, "/no/such/program") {
				t.Errorf("%s: said %q", tt.command, got.Said)
			}
			got.Said = ""
		}
		if got.Said != tt.want.Said || status != tt.status {
			t.Errorf("%s: said %.40q, %s; want %.40q, %s", tt.command, got.Said, status, tt.want.Said, tt.status)
		}
		if rep.Stage != session.Versions {
			t.Errorf("%s: at %s", tt.command, rep.Stage)
		}
	}
}

// What a command says after it has let go of its output is waited for. How long
// that takes is for the machine to decide.
func TestProxyCommandLastWords(t *testing.T) {
	t.Parallel()
	conn, err := dialCommand(`sh -c 'exec >&-; sleep 0.1; echo late >&2; exit 4'`)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*commandConn).grace = time.Minute
	_, err = conn.Read(make([]byte, 1))
	if got := (*CommandError)(nil); !errors.As(err, &got) || got.Said != "late" || got.Err == nil || got.Err.Error() != "exit status 4" {
		t.Errorf("%v", err)
	}
}

// ssh itself, as in the configurations of those who have no nc.
func TestProxyCommandOfSSH(t *testing.T) {
	t.Parallel()
	me := newSide(t)
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	pi.Authorize(t, me.key.Line)
	gate := me.startSSHD(sshtest.SSHDConfig{})
	me.knows(pi.Endpoint, gate.Endpoint)
	config := filepath.Join(me.home, ".ssh", "config")
	me.config(me.host("gate", gate.Endpoint),
		fmt.Sprintf("Host pi\nHostName 127.0.0.1\nPort %d\nUser pi\nProxyCommand ssh -F %s -o BatchMode=yes -W %%h:%%p gate", pi.Port, config),
		fmt.Sprintf("Host lost\nHostName 127.0.0.1\nPort 1\nUser pi\nProxyCommand ssh -F %s -o BatchMode=yes -W %%h:%%p gate", config))
	rep, err := me.login(Options{}, "pi")
	wantLogin(t, rep, err)

	_, err = me.login(Options{}, "lost")
	var command *CommandError
	if !errors.As(err, &command) || !strings.Contains(command.Said, "onnection refused") {
		t.Errorf("%v", err)
	}
}

// However a connection ends, its command ends, and whatever that has started,
// even if they would rather not.
func TestProxyCommandLeavesNothing(t *testing.T) {
	t.Parallel()
	const starts = `echo $$ >"$0.part"; %s sleep 1000 & echo $! >>"$0.part"; mv "$0.part" "$0"; %s`
	for name, script := range map[string]string{
		"polite":        fmt.Sprintf(starts, "", "cat >/dev/null"),
		"stubborn":      "trap '' TERM HUP; " + fmt.Sprintf(starts, "", "while :; do sleep 0.01; done"),
		"all let go":    "trap '' TERM; " + fmt.Sprintf(starts, "exec <&- >&- 2>&-;", "exec >&- 2>&-; while :; do sleep 0.01; done"),
		"a silent heir": fmt.Sprintf(starts, "exec >&- 2>&-;", "exit 1"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, end := range []string{"Close", "context"} {
				path := filepath.Join(t.TempDir(), "pids")
				conn, err := dialCommand("sh -c '" + strings.ReplaceAll(script, "'", `'\''`) + "' " + path)
				if err != nil {
					t.Fatal(err)
				}
				pids := waitForPIDs(t, path)
				began := time.Now()
				switch end {
				case "Close":
					for range 2 { // as session does it
						if err := conn.Close(); err != nil {
							t.Errorf("Close: %v", err)
						}
					}
				case "context":
					ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, session.ErrTooSlow)
					_, rep, err := session.Login(ctx, session.Config{Dial: func(context.Context) (net.Conn, error) { return conn, nil }})
					cancel()
					var command *CommandError
					if !errors.Is(err, session.ErrTooSlow) && !errors.As(err, &command) || rep.Stage != session.Versions {
						t.Errorf("%v at %s", err, rep.Stage)
					}
				}
				if took := time.Since(began); took > 4*grace {
					t.Errorf("%s: it took %v", end, took)
				}
				for _, pid := range pids {
					if !sshtest.Gone(pid) {
						t.Errorf("%s: process %d is left", end, pid)
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			}
		})
	}
}

func waitForPIDs(t *testing.T, path string) (pids []int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(data)) {
			var pid int
			if _, err := fmt.Sscan(word, &pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		if len(pids) != 2 {
			t.Fatalf("pids %q", data)
		}
		return pids
	}
	t.Fatal("the command does not start")
	return nil
}

// A command has no terminal to hang at: it is the first of a session.
func TestProxyCommandHasItsOwnSession(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ps")
	conn, err := dialCommand(`sh -c 'test "$(ps -o sid= -p $$)" -eq $$ && echo yes; cat'`)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer := make([]byte, 4)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "yes\n" {
		t.Errorf("%q, %v", answer, err)
	}
}

// The files that ssh tries by itself, as a user who has them would see it: ssh
// asks passwd where home is.
func TestDefaultKeysAgreeWithSSH(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "ssh")
	u := sshtest.AddUser(t, sshtest.UserConfig{})
	dir := filepath.Join(u.Home, ".ssh")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	for _, keyType := range []string{"ed25519", "rsa", "ecdsa"} {
		key := sshtest.NewKey(t, dir, keyType)
		u.Own(t, key.File, 0o600)
		u.Own(t, key.File+".pub", 0o644)
	}
	u.Own(t, dir, 0o700)
	c := New(Options{ConfigFile: "none", Home: u.Home, Getenv: func(string) string { return "" }, Trace: func(int, string, string, ...any) {}})
	defer c.Close()
	h, err := c.Host(t.Context(), pi.Addr, destination.Destination{Host: "127.0.0.1", Port: pi.Port})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, candidate := range h.Keys(t.Context()).Candidates {
		got = append(got, candidate.Public.Name()+" "+candidate.Public.Fingerprint())
	}
	cmd := sshtest.Command(t, u.Home, "ssh", "-v", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new",
		"-p", fmt.Sprint(pi.Port), "127.0.0.1", "true")
	cmd.Dir = u.Home
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(u.UID), Gid: uint32(u.GID)}
	out, _ := cmd.CombinedOutput() // no key logs in
	var order []string
	for _, m := range attempt.FindAllStringSubmatch(string(out), -1) {
		order = append(order, m[1])
	}
	if len(got) != 3 || !slices.Equal(got, order) {
		t.Errorf("we offer\n%q, ssh\n%q: %s", got, order, out)
	}
}

// A pipe as the file of the password that nobody writes to ends with the time
// for the target: no person is being asked.
func TestPasswordFileWithoutAWriter(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	s.config("User pi")
	s.knows(pi.Endpoint)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	c := s.connector(Options{PasswordFile: pipe, Timeout: time.Second})
	h := s.resolve(c, pi.Addr)
	ctx, cancel := c.Deadline(t.Context())
	defer cancel()
	began := time.Now()
	_, _, err := h.Login(ctx, Plan{Password: true})
	if !errors.Is(err, session.ErrTooSlow) || time.Since(began) > 8*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// What a command says before it ends is heard, though it takes nothing of what
// we say first.
func TestProxyCommandIsHeard(t *testing.T) {
	t.Parallel()
	for range 20 {
		_, rep, err := session.Login(t.Context(), session.Config{Dial: func(context.Context) (net.Conn, error) {
			conn, err := dialCommand("sh -c 'exec <&-; echo hello'")
			time.Sleep(10 * time.Millisecond) // so that it has ended, mostly
			return conn, err
		}})
		if err == nil || string(rep.Start) != "hello\n" {
			t.Fatalf("%q, %v", rep.Start, err)
		}
	}
}

// A KnownHostsCommand that does not end, or that has no end of what it says, is
// ended, and what it has started with it.
func TestKnownHostsCommandIsEnded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		program string
		timeout time.Duration
		want    string
	}{
		{"sleep 100", time.Second, session.ErrTooSlow.Error()},
		{"yes", time.Minute, "it says more than 16 MiB"},
	} {
		s := newSide(t)
		pids := filepath.Join(s.home, "pids")
		command := s.file("command", fmt.Sprintf("#!/bin/sh\n%[1]s & echo $$ $! >%[2]s\n%[1]s\n", tt.program, pids))
		if err := os.Chmod(command, 0o700); err != nil {
			t.Fatal(err)
		}
		s.config("Host pi\nHostName 192.0.2.1\nKnownHostsCommand " + command)
		if _, err := s.login(Options{Timeout: tt.timeout}, "pi"); err == nil || err.Error() != "KnownHostsCommand failed: "+tt.want {
			t.Errorf("%s: %v", tt.program, err)
		}
		for _, pid := range waitForPIDs(t, pids) {
			if !sshtest.Gone(pid) {
				t.Errorf("%s: process %d is left", tt.program, pid)
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}
