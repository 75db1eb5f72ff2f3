package targets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// A command is one run of a program that does work for each target.
type command struct {
	cli.Env
	out, errOut bytes.Buffer
}

func newCommand(t *testing.T, stdin io.Reader, args ...string) *command {
	t.Helper()
	home := t.TempDir()
	c := &command{}
	c.Env = cli.Env{Name: "pikeycheck", Args: append([]string{"-F", "none"}, args...), Stdin: stdin, Stdout: &c.out, Stderr: &c.errOut,
		Getenv: func(name string) string { return map[string]string{"HOME": home}[name] }}
	return c
}

// begin reads the command line.
func (c *command) begin() (*Options, []Target, error) {
	opt := &Options{}
	fs := c.Flags("")
	opt.Flags(fs)
	operands, err := c.Parse(fs)
	if err != nil {
		return nil, nil, err
	}
	list, err := opt.Check(operands)
	return opt, list, err
}

// run runs all of it and returns the exit status.
func (c *command) run(work func(context.Context, *connect.Host) []record.Record) int {
	return cli.Run(&c.Env, func(ctx context.Context, env *cli.Env) error { return c.within(ctx, work) })
}

func (c *command) within(ctx context.Context, work func(context.Context, *connect.Host) []record.Record) error {
	opt, list, err := c.begin()
	if err != nil {
		return err
	}
	return opt.Run(ctx, &c.Env, list, work)
}

// outcomes are target, verdict and cause of each record.
func (c *command) outcomes() []string {
	var got []string
	for l := range strings.Lines(c.out.String()) {
		f := strings.Split(l, "\t")
		got = append(got, strings.Join(f[:min(3, len(f))], " "))
	}
	return got
}

var lineOfTarget = regexp.MustCompile(`(?m)^pikeycheck: \S+: \w+ \S+ \(\d+( of \d+)?\)\n`)

// words is what was said beyond a line for each target.
func (c *command) words() string { return lineOfTarget.ReplaceAllString(c.errOut.String(), "") }

func in() []record.Record { return []record.Record{{Verdict: record.OK, Cause: "login"}} }

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hosts")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTargets(t *testing.T) {
	long := strings.Repeat("a", 70_000)
	for _, tt := range []struct {
		name   string
		args   []string
		stdin  io.Reader
		status int
		want   []string
		says   string
	}{
		{"operands", []string{"pi@a", "b:22", "[::1]:22"}, nil, 0, []string{"pi@a ok login", "b:22 ok login", "[::1]:22 ok login"}, ""},
		{"operands, then a list", []string{"a", "--hosts", file(t, "b\nc\n")}, nil, 0, []string{"a ok login", "b ok login", "c ok login"}, ""},
		{"a list on standard input", []string{"--hosts", "-"}, strings.NewReader("a\n# no\n\nb rest\nc\tok\tlogin\t-\t\n{\"target\":\"d\"}"), 0,
			[]string{"a ok login", "b ok login", "c ok login", "d ok login"}, ""},
		{"the same twice", []string{"a", "b", "a", "a"}, nil, 0, []string{"a ok login", "b ok login"}, "pikeycheck: a: listed more than once; worked on once\n"},
		{"an operand in the list too", []string{"a", "--hosts", "-"}, strings.NewReader("b\na # again\nb\npi@a\n"), 0,
			[]string{"a ok login", "b ok login", "pi@a ok login"}, "pikeycheck: b: listed more than once; worked on once\n"},
		{"several records of a target", []string{"--hosts", "-"}, strings.NewReader("a\tfail\tx\t-\t\nb\tok\ty\t-\t\na\tfail\tz\t-\t\n{\"v\":1,\"target\":\"a\",\"verdict\":\"ok\",\"cause\":\"y\"}\n"), 0,
			[]string{"a ok login", "b ok login"}, ""},
		{"the same that is none", []string{"--hosts", "-"}, strings.NewReader("x,y\nx,y\n"), 1,
			[]string{"x… fail target-invalid", "x… fail target-invalid"}, "line 2: "},
		{"none", nil, nil, 2, nil, "no target given"},
		{"a list without a name", []string{"--hosts", ""}, nil, 2, nil, "it names no file"},
		{"two lists", []string{"--hosts", "-", "--hosts", "other"}, strings.NewReader("a\n"), 2, nil, "cat both into --hosts -"},
		{"an empty list", []string{"--hosts", "-"}, strings.NewReader(""), 2, nil, "no target in the list"},
		{"a list of nobody", []string{"--hosts", "-"}, strings.NewReader("# none\n\n"), 2, nil, "no target in the list"},
		{"no such list", []string{"a", "--hosts", "/no/such/file"}, nil, 2, nil, "--hosts /no/such/file: no such file"},
		{"a list that is a folder", []string{"a", "--hosts", t.TempDir()}, nil, 2, nil, ": a directory, not a list"},
		{"a list that breaks off", []string{"--hosts", "-"}, io.MultiReader(strings.NewReader("a\nb\nhalf"), iotest.ErrReader(errors.New("unplugged"))), 2,
			[]string{"a ok login", "b ok login"}, "--hosts -: line 3: unplugged"},
		{"a line that is none", []string{"--hosts", "-"}, strings.NewReader("a\n-oProxyCommand=x\nx,y\nb\n"), 1,
			[]string{"a ok login", "-oProxyCommand… fail target-invalid", "x… fail target-invalid", "b ok login"}, "pikeycheck: x…: target-invalid: line 3: "},
		{"a table", []string{"--hosts", "-"}, strings.NewReader("name,user\npi1,ann\n"), 1,
			[]string{"name… fail target-invalid", "pi1… fail target-invalid"}, "this looks like a table: to use its first column: tr -d '\"' <FILE | cut -d, -f1 | pikeycheck --hosts -\n"},
		{"an inventory", []string{"--hosts", "-"}, strings.NewReader("[kitchen]\npi1 ansible_user=ann\n"), 1,
			[]string{"[kitchen] fail target-invalid", "pi1 ok login"}, "this looks like an inventory of Ansible: scripts/hosts-from makes a list of it: ansible-inventory -i FILE --list | hosts-from ansible | "},
		{"an inventory that was listed", []string{"--hosts", "-"}, strings.NewReader("{\n  \"all\": {\n"), 1,
			[]string{"{ fail target-invalid", "\"all\"… fail target-invalid"}, "hosts-from ansible <FILE | pikeycheck --hosts -\n"},
		{"a record of this machine", []string{"--hosts", "-"}, strings.NewReader("-\tok\tkey\tx\n"), 1, []string{"- fail target-invalid"}, "names no other\n"},
		{"a line without end", []string{"--hosts", "-"}, strings.NewReader("a\n" + long + "\nb\n"), 1,
			[]string{"a ok login", long[:80] + "… fail target-invalid", "b ok login"}, "a line of more than 64 KiB"},
		{"an operand that is none", []string{"a", "--", "-oProxyCommand=x"}, nil, 2, nil, "as an option does"},
		{"an operand with an escape", []string{"a\x1b[2J"}, nil, 2, nil, "control"},
		{"-o of no meaning", []string{"-o", "Nonsense=1", "a"}, nil, 2, nil, "-o Nonsense=1: "},
		{"-o not honoured", []string{"-o", "LocalCommand=x", "a"}, nil, 2, nil, "not honoured"},
		{"-j 0", []string{"-j", "0", "a"}, nil, 2, nil, "-j 0: at least 1"},
		{"--timeout 0", []string{"--timeout", "0s", "a"}, nil, 2, nil, "--timeout 0s: "},
		{"--timeout of no unit", []string{"--timeout", "5", "a"}, nil, 2, nil, "--timeout"},
		{"-p 0", []string{"-p0", "a"}, nil, 2, nil, "-p 0: "},
		{"-p 65536", []string{"-p", "65536", "a"}, nil, 2, nil, "-p 65536: "},
		{"--host-key for two", []string{"--host-key", "SHA256:" + strings.Repeat("A", 43), "a", "b"}, nil, 2, nil, "exactly one"},
		{"--host-key for a list", []string{"--host-key", "SHA256:" + strings.Repeat("A", 43), "a", "--hosts", "-"}, nil, 2, nil, "exactly one"},
		{"--host-key for none", []string{"--host-key", "SHA256:" + strings.Repeat("A", 43)}, nil, 2, nil, "exactly one"},
		{"--host-key of another kind", []string{"--host-key", "MD5:aa", "a"}, nil, 2, nil, "not a fingerprint"},
		{"no password file", []string{"--password-file", "/no/such/file", "a"}, nil, 2, nil, "/no/such/file"},
		{"no passphrase file", []string{"--passphrase-file", "/no/such/file", "a"}, nil, 2, nil, "/no/such/file"},
		{"a configuration that cannot be", []string{"-J", "b", "-o", "ProxyJump=c", "a"}, nil, 1, []string{"a fail config-bad"}, "-J cannot be combined"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			worked := 0
			c := newCommand(t, tt.stdin, append([]string{"--keep-order", "-j1"}, tt.args...)...)
			status := c.run(func(context.Context, *connect.Host) []record.Record { worked++; return in() })
			if got := c.outcomes(); status != tt.status || !slices.Equal(got, tt.want) {
				t.Errorf("status %d, want %d; outcomes %.200q, want %.200q", status, tt.status, got, tt.want)
			}
			if said := c.words(); !strings.Contains(said, tt.says) || tt.says == "" && said != "" {
				t.Errorf("said %.300q, want %q in it", said, tt.says)
			}
			if n := strings.Count(c.out.String(), "\tok\t"); worked != n {
				t.Errorf("%d targets were worked on, want %d", worked, n)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	const targets, jobs = 12, 3
	c := newCommand(t, io.LimitReader(&endless{}, targets*6), "--hosts", "-", "-j", fmt.Sprint(jobs))
	var mu sync.Mutex
	now, most := 0, 0
	full := make(chan struct{})
	status := c.run(func(context.Context, *connect.Host) []record.Record {
		mu.Lock()
		now++
		if most = max(most, now); most == jobs && now == jobs {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		select {
		case <-full: // as many as may are under way
		case <-time.After(5 * time.Second):
		}
		time.Sleep(2 * time.Millisecond) // time for one too many
		mu.Lock()
		now--
		mu.Unlock()
		return in()
	})
	if most != jobs || status != 0 || len(c.outcomes()) != targets {
		t.Errorf("%d at once, want %d; status %d, %d records", most, jobs, status, len(c.outcomes()))
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		args := []string{"slow", "quick"}
		want := []string{"quick ok login", "slow ok login"}
		if keep {
			args = append(args, "--keep-order")
			slices.Reverse(want)
		}
		c := newCommand(t, nil, args...)
		quick := make(chan struct{})
		status := c.run(func(_ context.Context, h *connect.Host) []record.Record {
			switch h.Target {
			case "quick":
				defer close(quick)
			case "slow":
				<-quick
				time.Sleep(50 * time.Millisecond)
			}
			return in()
		})
		if got := c.outcomes(); status != 0 || !slices.Equal(got, want) {
			t.Errorf("--keep-order=%v: status %d, %q, want %q", keep, status, got, want)
		}
	}
}

// Of the records of one target, those that are passed by all pass, in their
// order, and the others are one piece of work.
func TestPass(t *testing.T) {
	t.Parallel()
	const list = "a\tok\tlogin\t-\t\n" + "a\tfail\tx\t-\t\n" + "b\tok\tlogin\t-\t\n" + "a\tok\tmore\t-\t\n" +
		"a\tfail\ty\t-\t\n" + "b\tok\tmore\t-\t\n" + "c\tfail\tx\t-\t\n" + "c\n" + "c\n"
	c := newCommand(t, strings.NewReader(list), "--hosts", "-", "--keep-order")
	opt, operands, err := c.begin()
	if err != nil {
		t.Fatal(err)
	}
	opt.Pass = func(r record.Record) bool { return r.Verdict == record.OK }
	status := cli.Run(&c.Env, func(ctx context.Context, env *cli.Env) error {
		return opt.Run(ctx, env, operands, func(context.Context, *connect.Host) []record.Record {
			return []record.Record{{Verdict: record.Done, Cause: "modes"}}
		})
	})
	want := []string{"a ok login", "a done modes", "b ok login", "a ok more", "b ok more", "c done modes"}
	if got := c.outcomes(); status != 0 || !slices.Equal(got, want) {
		t.Errorf("status %d, %q, want %q", status, got, want)
	}
	if got := c.words(); got != "pikeycheck: c: listed more than once; worked on once\n" {
		t.Errorf("said %q", got)
	}
}

// A target is worked on as soon as its line is there.
func TestListIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	c := newCommand(t, r, "--hosts", "-")
	worked := make(chan string)
	status := make(chan int)
	go func() {
		status <- c.run(func(_ context.Context, h *connect.Host) []record.Record { worked <- h.Target; return in() })
	}()
	for _, name := range []string{"a", "b"} {
		io.WriteString(w, name+"\n")
		select {
		case got := <-worked:
			if got != name {
				t.Errorf("%q, want %q", got, name)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s is kept waiting", name)
		}
	}
	w.Close()
	if got := <-status; got != 0 {
		t.Errorf("status %d", got)
	}
}

func login(ctx context.Context, host *connect.Host) []record.Record {
	keys := host.Keys(ctx)
	client, rep, err := host.Login(ctx, connect.Plan{Keys: keys.Offers()})
	if err == nil {
		client.Close()
	}
	return []record.Record{diagnose.Login(ctx, host, keys, rep, err)}
}

// The time of one target is no concern of the others.
func TestTimeout(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no getent")
	}
	bin := t.TempDir()
	if err := sshtest.WriteFile(filepath.Join(bin, "getent"), []byte("#!/bin/sh\nexec sleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	silent := sshtest.StartHostile(t, sshtest.Silent)
	c := newCommand(t, nil, "--keep-order", "--timeout", "300ms", "-j1", silent.Addr, "pi.local", "pi@127.0.0.1:1")
	began := time.Now()
	status := c.run(login)
	want := []string{silent.Addr + " fail too-slow", "pi.local fail timeout", "pi@127.0.0.1:1 fail connection-refused"}
	if got := c.outcomes(); status != 1 || !slices.Equal(got, want) {
		t.Errorf("status %d, %q, want %q", status, got, want)
	}
	if took := time.Since(began); took < 600*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	if !strings.Contains(c.out.String(), "last step: version exchange") {
		t.Errorf("%s", c.out.String())
	}
	seconds := newCommand(t, nil, "--json", "--timeout", "300ms", silent.Addr)
	seconds.run(login)
	if !strings.Contains(seconds.out.String(), `"seconds":0.`) || strings.Contains(seconds.out.String(), `"seconds":0.0`) {
		t.Errorf("%s", seconds.out.String())
	}
}

// endless is a list without end: pi000, pi001, and so on. Each line is of six
// bytes at first.
type endless struct {
	n    int
	rest string
}

func (e *endless) Read(b []byte) (int, error) {
	if e.rest == "" {
		e.rest = fmt.Sprintf("pi%03d\n", e.n)
		e.n++
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// interrupted runs until the first target is under way, then ends it by cause,
// and wants it all to end soon.
func interrupted(t *testing.T, c *command, cause error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	var began time.Time
	var once sync.Once
	done := make(chan error, 1)
	go func() {
		done <- c.within(ctx, func(ctx context.Context, h *connect.Host) []record.Record {
			once.Do(func() { began = time.Now(); cancel(cause) })
			<-ctx.Done()
			return []record.Record{{Verdict: record.Fail, Cause: "interrupted", Detail: "under way"}}
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v to end", took)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	sigint := cli.SignalError{Signal: syscall.SIGINT}
	t.Run("the rest is listed", func(t *testing.T) {
		t.Parallel()
		c := newCommand(t, nil, "-j1", "a", "b", "--hosts", file(t, "c\n-x\nd\n"))
		interrupted(t, c, sigint)
		want := []string{"a fail interrupted", "b fail interrupted", "c fail interrupted", "-x fail target-invalid", "d fail interrupted"}
		if got := c.outcomes(); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if strings.Count(c.out.String(), "not begun") != 3 {
			t.Errorf("%s", c.out.String())
		}
		if got := c.errOut.String(); strings.Contains(got, "c: ") || !strings.Contains(got, "pikeycheck: targets that were not begun: 3\n") {
			t.Errorf("said %q", got)
		}
	})
	t.Run("nobody reads on", func(t *testing.T) {
		t.Parallel()
		c := newCommand(t, nil, "-j1", "a", "b", "--hosts", file(t, "c\nd\ne\n"))
		interrupted(t, c, io.ErrClosedPipe)
		if got := c.errOut.String(); strings.Contains(got, "not begun") { // whose number would be a guess
			t.Errorf("said %q", got)
		}
	})
	t.Run("a long list", func(t *testing.T) {
		t.Parallel()
		const lines = 20_000
		content, err := io.ReadAll(io.LimitReader(&endless{}, 6*1000+7*9000+8*10_000))
		if err != nil {
			t.Fatal(err)
		}
		for _, order := range []string{"--keep-order", "-q"} {
			c := newCommand(t, nil, order, "--hosts", file(t, string(content)))
			interrupted(t, c, sigint)
			if got := strings.Count(c.out.String(), "\tfail\tinterrupted\t"); got != lines {
				t.Errorf("%s: %d of %d targets have their record", order, got, lines)
			}
		}
	})
	t.Run("a quiet pipe", func(t *testing.T) {
		t.Parallel()
		r, w := io.Pipe()
		defer w.Close()
		go io.WriteString(w, "a\nb\n")
		c := newCommand(t, r, "-j1", "--hosts", "-")
		interrupted(t, c, sigint)
		if got := c.outcomes(); !slices.Equal(got, []string{"a fail interrupted", "b fail interrupted"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("a list without end", func(t *testing.T) {
		t.Parallel()
		c := newCommand(t, &endless{}, "-q", "-j2", "--hosts", "-")
		c.Stderr = io.Discard
		interrupted(t, c, sigint)
		if first, _, _ := strings.Cut(c.out.String(), "\n"); !strings.HasPrefix(first, "pi") || !strings.Contains(first, "\tfail\tinterrupted\t") {
			t.Errorf("%.100q", c.out.String())
		}
	})
	t.Run("standard output is gone", func(t *testing.T) {
		t.Parallel()
		c := newCommand(t, &endless{}, "-j1", "--hosts", "-")
		interrupted(t, c, io.ErrClosedPipe)
		if n := strings.Count(c.out.String(), "\n"); n > 3 {
			t.Errorf("%d records for nobody", n)
		}
	})
}

// A reader that has had enough ends a list without end.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	c := newCommand(t, &endless{}, "-j4", "--hosts", "-")
	c.Stdout = w
	done := make(chan int)
	go func() { done <- c.run(func(context.Context, *connect.Host) []record.Record { return in() }) }()
	line := make([]byte, 4)
	io.ReadFull(r, line)
	r.Close()
	select {
	case status := <-done:
		if status != 2 {
			t.Errorf("status %d", status)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it does not end")
	}
}

// A mistake in the work on one target ends the process with status 2, and loses no
// record of those before it.
func TestMistake(t *testing.T) {
	t.Parallel()
	if os.Getenv("TARGETS_TEST") != "" {
		c := newCommand(t, strings.NewReader("a\nb\nc\nd\n"), "--hosts", "-", "-j", "1")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.run(func(_ context.Context, host *connect.Host) []record.Record {
			if host.Target == "c" {
				panic("our mistake")
			}
			return in()
		})
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMistake$")
	cmd.Env = append(os.Environ(), "TARGETS_TEST=panic")
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(errOut.String(), "panic: our mistake") {
		t.Errorf("%v: %s", err, &errOut)
	}
	if got := strings.Count(string(out), "\tok\tlogin\t"); got != 2 || !strings.HasSuffix(string(out), "\n") {
		t.Errorf("%q", out)
	}
}

// A host's secret is wiped, and its time ends, when its work is done.
func TestWorkIsCleanedUp(t *testing.T) {
	t.Parallel()
	c := newCommand(t, nil, "a")
	var kept context.Context
	c.run(func(ctx context.Context, _ *connect.Host) []record.Record { kept = ctx; return in() })
	if kept.Err() == nil || errors.Is(context.Cause(kept), session.ErrTooSlow) {
		t.Errorf("%v", context.Cause(kept))
	}
}

func TestHere(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{"": "- ok config", "Nonsense 1\n": "- fail config-bad"} {
		c := newCommand(t, nil)
		path := filepath.Join(c.Getenv("HOME"), "config")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		c.Args = []string{"-F", path}
		status := cli.Run(&c.Env, func(ctx context.Context, env *cli.Env) error {
			opt, _, err := c.begin()
			if err != nil {
				return err
			}
			return opt.Here(ctx, env, func(ctx context.Context, host *connect.Host, home string) []record.Record {
				if home != c.Getenv("HOME") || host.Target != record.Local {
					t.Errorf("%q, %q", home, host.Target)
				}
				return []record.Record{{Verdict: record.OK, Cause: "config"}}
			})
		})
		if got := c.outcomes(); !slices.Equal(got, []string{want}) || status != map[bool]int{true: 0, false: 1}[config == ""] {
			t.Errorf("%q: status %d, %q, want %q: %s", config, status, got, want, c.errOut.String())
		}
	}
}
