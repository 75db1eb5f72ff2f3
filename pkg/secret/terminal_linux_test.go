package secret

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/sshtest"
)

// A process with a terminal of its own is this test binary run again, since
// the developer's terminal is not ours to play with. SECRET_TEST says what it
// does; its answers are lines on its standard output.
func TestMain(m *testing.M) {
	switch os.Getenv("SECRET_TEST") {
	case "":
		os.Exit(m.Run())
	case "one":
		ctx, cancel := limited()
		defer cancel()
		answer(ctx, "prompt: ")
	case "interrupted": // as cli.Run does it
		ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
		defer cancel()
		answer(ctx, "prompt: ")
	case "settles": // whatever ends it
		ctx, cancel := context.WithCancel(context.Background())
		now := make(chan os.Signal, 1)
		signal.Notify(now, syscall.SIGUSR1)
		go answer(ctx, "prompt: ")
		<-now
		cancel()
		Settle()
		go answer(context.Background(), "again: ")
		time.Sleep(2 * pause)
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "escapes":
		answer(context.Background(), "pi\x1b[2J\n\u009b: ")
	case "together":
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { answer(context.Background(), "prompt: ") })
		}
		wg.Wait()
	case "after": // a prompt that was called off takes nothing from the next
		ctx, cancel := limited()
		answer(ctx, "first: ")
		cancel()
		answer(context.Background(), "second: ")
	}
}

func limited() (context.Context, context.CancelFunc) {
	d, err := time.ParseDuration(os.Getenv("SECRET_TEST_LIMIT"))
	if err != nil {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), d)
}

func answer(ctx context.Context, prompt string) {
	s := &Source{Getenv: os.Getenv, Batch: os.Getenv("SECRET_TEST_BATCH") != ""}
	secret, err := s.Get(ctx, prompt)
	what := "fails"
	switch {
	case err == nil:
		what = fmt.Sprintf("%q", secret)
	case errors.Is(err, ErrNobody):
		what = "nobody"
	case errors.Is(err, ErrDeclined):
		what = "declined"
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		what = "called off"
	}
	fmt.Println(what)
}

// A session is such a process, and what a person at its terminal sees and does.
type session struct {
	*sshtest.Terminal // nil if it has none
	t                 *testing.T
	cmd               *exec.Cmd
	out               *bufio.Reader
}

func start(t *testing.T, what string, terminal bool, env ...string) *session {
	t.Helper()
	s := &session{t: t, cmd: exec.Command("/proc/self/exe")}
	s.cmd.Env = append([]string{"SECRET_TEST=" + what, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"}, env...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if terminal {
		s.Terminal = sshtest.OpenTerminal(t, 80)
		s.cmd.SysProcAttr.Setctty, s.cmd.SysProcAttr.Ctty = true, 3
		s.cmd.ExtraFiles = []*os.File{s.Slave}
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(5*time.Second, func() {
		t.Errorf("%s %q: the process does not end", what, env)
		_ = s.cmd.Process.Kill()
	})
	t.Cleanup(func() {
		_, _ = io.Copy(io.Discard, s.out)
		_ = s.cmd.Wait()
		late.Stop()
	})
	return s
}

func (s *session) says(want string) {
	s.t.Helper()
	if got, err := s.out.ReadString('\n'); strings.TrimSuffix(got, "\n") != want {
		s.t.Errorf("it says %q (%v), want %s", got, err, want)
	}
}

func (s *session) echo() bool {
	s.t.Helper()
	state, err := unix.IoctlGetTermios(int(s.Slave.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestTerminal(t *testing.T) {
	for typed, want := range map[string]string{
		"hunter2\n":            `"hunter2"`,
		"hunter2\r":            `"hunter2"`,
		" p\xc3\xa4ss\xff  \n": `" päss\xff  "`,
		"\n":                   `""`,
		"\x04":                 "declined",
		"hunter2\x04\x04":      `"hunter2"`,
		"hunte\x04r2\n":        `"hunter2"`,
		"wrong\x15hunter2\n":   `"hunter2"`, // ^U
	} {
		s := start(t, "one", true)
		s.Sees("\rprompt: ", 1)
		if s.echo() {
			t.Error("echo is on")
		}
		s.Types(typed)
		s.says(want)
		if !s.echo() {
			t.Error("echo stays off")
		}
		s.Sees("\r\n", 1)
		if strings.Contains(s.Seen(), "hunter2") {
			t.Errorf("the screen shows %q", s.Seen())
		}
	}
}

func TestTerminalPromptIsEscaped(t *testing.T) {
	s := start(t, "escapes", true)
	s.Sees(`pi\x1b[2J\n\xc2\x9b: `, 1)
	s.Types("\n")
	s.says(`""`)
}

func TestTerminalCalledOff(t *testing.T) {
	for _, what := range []string{"one", "interrupted"} {
		var env []string
		if what == "one" {
			env = []string{"SECRET_TEST_LIMIT=300ms"}
		}
		s := start(t, what, true, env...)
		s.Sees("prompt: ", 1)
		s.Types("half a secret")
		if what == "interrupted" {
			s.Types("\x03")
		}
		s.says("called off")
		if !s.echo() {
			t.Errorf("%s: echo stays off", what)
		}
		// Nothing is left for a shell to run.
		s.Types("\n")
		buf := make([]byte, 100)
		if n, err := s.Slave.Read(buf); string(buf[:n]) != "\n" {
			t.Errorf("%s: the next reader gets %q, %v", what, buf[:n], err)
		}
	}
}

func TestTerminalTakesTurns(t *testing.T) {
	s := start(t, "together", true)
	for i, word := range []string{"one", "two", "three"} {
		s.Sees("prompt: ", i+1)
		time.Sleep(2 * pause)
		if n := strings.Count(s.Seen(), "prompt: "); n != i+1 {
			t.Fatalf("%d prompts at once", n-i)
		}
		s.Types(word + "\n")
		s.says(`"` + word + `"`)
	}
}

func TestTerminalAfterACalledOffPrompt(t *testing.T) {
	s := start(t, "after", true, "SECRET_TEST_LIMIT=100ms")
	s.says("called off")
	s.Sees("second: ", 1)
	s.Types("hunter2\n")
	s.says(`"hunter2"`)
}

// ^\ ends the process, and echo is on then.
func TestTerminalQuit(t *testing.T) {
	for _, typed := range []bool{true, false} {
		s := start(t, "one", true)
		s.Sees("prompt: ", 1)
		if typed {
			s.Types("half\x1c")
		} else if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, s.out) // until it has ended
		if err := s.cmd.Wait(); err == nil || !s.echo() {
			t.Errorf("typed %v: it ended with %v, echo %v", typed, err, s.echo())
		}
	}
}

// What ends the process in another way has echo on before.
func TestTerminalSettles(t *testing.T) {
	s := start(t, "settles", true)
	s.Sees("prompt: ", 1)
	s.Types("half")
	if err := s.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, s.out) // until it has ended
	if err := s.cmd.Wait(); err == nil || !s.echo() || strings.Contains(s.Seen(), "again") {
		t.Errorf("it ended with %v, echo %v: %q", err, s.echo(), s.Seen())
	}
}

// ^Z does not stop the process, which would leave echo off.
func TestTerminalIsNotLeft(t *testing.T) {
	s := start(t, "one", true)
	s.Sees("prompt: ", 1)
	s.Types("hunter2\x1a\n")
	s.says(`"hunter2\x1a"`)
	state, err := unix.IoctlGetTermios(int(s.Slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if state.Cc[unix.VSUSP] != 0x1a || state.Cc[unix.VQUIT] != 0x1c || !s.echo() {
		t.Errorf("the terminal is not as it was: %+v", state)
	}
}

// Who is asked: readpass.c read_passphrase(), with BatchMode before it.
func TestWhoIsAsked(t *testing.T) {
	askpass := "SSH_ASKPASS=" + script(t, `echo from askpass`)
	const tty, program, nobody = `"from tty"`, `"from askpass"`, "nobody"
	for _, c := range []struct {
		env            []string
		with, without  string // a terminal
		missingDefault bool
	}{
		{nil, tty, nobody, false},
		{[]string{askpass}, tty, nobody, false},
		{[]string{askpass, "DISPLAY=:0"}, tty, program, false},
		{[]string{askpass, "WAYLAND_DISPLAY=w"}, tty, program, false},
		{[]string{askpass, "DISPLAY="}, tty, nobody, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=prefer"}, tty, nobody, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=prefer", "DISPLAY=:0"}, program, program, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=force"}, program, program, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=FORCE"}, program, program, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=never", "DISPLAY=:0"}, tty, nobody, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=word", "DISPLAY=:0"}, tty, program, false},
		{[]string{askpass, "SSH_ASKPASS_REQUIRE=force", "SECRET_TEST_BATCH=1"}, nobody, nobody, false},
		{[]string{"SECRET_TEST_BATCH=1"}, nobody, nobody, false},
		{[]string{"DISPLAY=:0"}, tty, nobody, true},
		{[]string{"SSH_ASKPASS_REQUIRE=force"}, nobody, nobody, true},
	} {
		if _, err := os.Stat(defaultAskpass); err == nil && c.missingDefault {
			continue
		}
		s := start(t, "one", true, c.env...)
		if c.with == tty {
			s.Sees("prompt: ", 1)
			s.Types("from tty\n")
		}
		s.says(c.with)
		if !s.echo() {
			t.Errorf("%q: echo stays off", c.env)
		}
		if c.with != tty && strings.Contains(s.Seen(), "prompt") {
			t.Errorf("%q: the terminal shows %q", c.env, s.Seen())
		}
		s = start(t, "one", false, c.env...)
		s.says(c.without)
	}
}
