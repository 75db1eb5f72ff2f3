//go:build unix

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain is the command itself where a test has started it as one.
func TestMain(m *testing.M) {
	behave, ok := commands[os.Getenv("CLI_TEST_COMMAND")]
	if !ok {
		os.Exit(m.Run())
	}
	env := System("pikeycheck")
	env.Args = nil
	os.Exit(Run(env, func(ctx context.Context, env *Env) error {
		if _, err := env.Parse(env.Flags("")); err != nil {
			return err
		}
		return behave(ctx, env)
	}))
}

var commands = map[string]func(context.Context, *Env) error{
	// tells what is finished when it is interrupted
	"polite": func(ctx context.Context, env *Env) error {
		env.Print([]byte("ready\n"))
		<-ctx.Done()
		env.Print([]byte("finished\n"))
		return nil
	},
	// reads the file that it was given, after a child has had its turn
	"heir": func(_ context.Context, env *Env) error {
		child := exec.Command("sh", "-c", "cat <&3")
		stolen, _ := child.Output()
		data, err := os.ReadFile("/dev/fd/3")
		env.Print(fmt.Appendf(nil, "child %q, parent %q\n", stolen, data))
		return err
	},
	// does not listen
	"stubborn": func(ctx context.Context, env *Env) error {
		env.Print([]byte("ready\n"))
		<-ctx.Done()
		env.Print([]byte("noticed\n"))
		time.Sleep(time.Minute)
		return nil
	},
	// has more and more to say
	"endless": func(ctx context.Context, env *Env) error {
		for ctx.Err() == nil {
			env.Print([]byte("ready\n"))
		}
		return context.Cause(ctx)
	},
	"quick": func(_ context.Context, env *Env) error {
		env.Emit(ok)
		return nil
	},
}

// A child is this test as a command of its own.
type child struct {
	*exec.Cmd
	out    *bufio.Reader
	stderr strings.Builder
}

// start starts a command, by way of a shell's words if there are any, and
// waits until it has said that it is ready.
func start(t *testing.T, command string, shell ...string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.Command(exe)}
	if len(shell) > 0 {
		c.Cmd = exec.Command("/bin/sh", "-c", shell[0]+`; exec "$0"`, exe)
	}
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		if signal.Ignored(s) { // as under nohup(1), which it would inherit; what we catch it does not
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
	// The race detector would sleep for a second at the end.
	c.Env = []string{"CLI_TEST_COMMAND=" + command, "GORACE=atexit_sleep_ms=0"}
	c.Stderr = &c.stderr
	pipe, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(pipe)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
	t.Cleanup(func() {
		timer.Stop()
		c.Process.Kill()
		c.Wait()
	})
	if line, err := c.out.ReadString('\n'); line != "ready\n" {
		t.Fatalf("%q, %v: %s", line, err, c.stderr.String())
	}
	return c
}

func (c *child) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := c.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// end waits for the command's end and returns the rest that it printed.
func (c *child) end(t *testing.T) (rest string) {
	t.Helper()
	data, err := io.ReadAll(c.out)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return string(data)
}

func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			c := start(t, "polite")
			c.signal(t, s)
			rest := c.end(t)
			if got := c.ProcessState.ExitCode(); got != 128+int(s) {
				t.Errorf("status %d (%v), want %d", got, c.ProcessState, 128+int(s))
			}
			if rest != "finished\n" {
				t.Errorf("printed %q: what is finished is to be told", rest)
			}
			if want := fmt.Sprintf("pikeycheck: interrupted by signal: %v\n", s); c.stderr.String() != want {
				t.Errorf("said %q, want %q", c.stderr.String(), want)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	c := start(t, "stubborn")
	c.signal(t, syscall.SIGINT)
	if line, err := c.out.ReadString('\n'); line != "noticed\n" {
		t.Fatalf("%q, %v", line, err)
	}
	began := time.Now()
	c.signal(t, syscall.SIGINT)
	c.end(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if status := c.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("%v", c.ProcessState)
	}
}

// nohup(1), and a shell that starts a command in the background of a script,
// have signals ignored on purpose.
func TestIgnoredSignalsStayIgnored(t *testing.T) {
	t.Parallel()
	c := start(t, "polite", "trap '' HUP INT")
	c.signal(t, syscall.SIGHUP)
	c.signal(t, syscall.SIGINT)
	time.Sleep(50 * time.Millisecond) // for a signal that is not ignored
	c.signal(t, syscall.SIGTERM)
	c.end(t)
	if got := c.ProcessState.ExitCode(); got != 128+int(syscall.SIGTERM) {
		t.Errorf("%v: %s", c.ProcessState, c.stderr.String())
	}
}

// A reader such as head(1) that has had enough is a failed write, in the
// middle of the work or at its end, and no death by SIGPIPE.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"endless", "quick"} {
		for _, before := range []string{"", "trap '' PIPE; "} {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			var stderr strings.Builder
			cmd := exec.Command("/bin/sh", "-c", before+`exec "$0"`, exe)
			cmd.Env = []string{"CLI_TEST_COMMAND=" + command, "GORACE=atexit_sleep_ms=0"}
			cmd.Stdout, cmd.Stderr = w, &stderr
			timer := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			err = cmd.Run()
			timer.Stop()
			w.Close()
			if got := cmd.ProcessState.ExitCode(); got != 2 {
				t.Errorf("%s%s: %v: %v", before, command, cmd.ProcessState, err)
			}
			if want := "pikeycheck: standard output: broken pipe\n" + lost; stderr.String() != want {
				t.Errorf("%s%s: said %q, want %q", before, command, stderr.String(), want)
			}
		}
	}
}

func TestFullDevice(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd := exec.Command(exe)
	cmd.Env = []string{"CLI_TEST_COMMAND=quick", "GORACE=atexit_sleep_ms=0"}
	cmd.Stdout, cmd.Stderr = full, &stderr
	err = cmd.Run()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(stderr.String(), "no space left on device") {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// What --password-file /dev/fd/3 reads, no child can: a pipe, which it would be
// lost from, and a file.
func TestInheritedFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(secret)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	io.WriteString(w, "hunter2")
	w.Close()
	for _, f := range []*os.File{file, r} {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "CLI_TEST_COMMAND=heir")
		cmd.ExtraFiles = []*os.File{f}
		if out, err := cmd.Output(); err != nil || string(out) != "child \"\", parent \"hunter2\"\n" {
			t.Errorf("%s: %s, %v", f.Name(), out, err)
		}
	}
}
