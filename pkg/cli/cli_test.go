package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"testing"

	"pi-key-tools/pkg/record"
)

// newEnv returns an Env whose streams are buffers.
func newEnv(args ...string) (env *Env, out, errOut *bytes.Buffer) {
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	return &Env{Name: "pikeycheck", Args: args, Stdin: strings.NewReader(""), Stdout: out, Stderr: errOut,
		Getenv: func(string) string { return "" }}, out, errOut
}

// A stdout is a standard output that fails as it is told.
type stdout struct {
	data     bytes.Buffer
	writes   int
	err      error // of every Write
	short    bool  // writes all but a byte, and says so, without an error
	closeErr error
	closed   int
}

func (s *stdout) Write(b []byte) (int, error) {
	s.writes++
	switch {
	case s.err != nil:
		return 0, s.err
	case s.short:
		b = b[:len(b)-1]
	}
	return s.data.Write(b)
}

func (s *stdout) String() string { return s.data.String() }

func (s *stdout) Close() error { s.closed++; return s.closeErr }

var (
	ok   = record.Record{Target: "pi", Verdict: record.OK, Cause: "login"}
	done = record.Record{Target: "pi", Verdict: record.Done, Cause: "key-added"}
	todo = record.Record{Target: "pi", Verdict: record.Todo, Cause: "key-added"}
	fail = record.Record{Target: "pi", Verdict: record.Fail, Cause: "timeout"}
)

func emits(records ...record.Record) func(context.Context, *Env) error {
	return func(_ context.Context, env *Env) error {
		for _, r := range records {
			env.Emit(r)
		}
		return nil
	}
}

func TestStatus(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "/dev/stdout", Err: errors.New("no space left on device")}
	broken := errors.New("broken")
	trouble := func(records ...record.Record) func(context.Context, *Env) error {
		return func(ctx context.Context, env *Env) error {
			emits(records...)(ctx, env)
			return broken
		}
	}
	for _, tt := range []struct {
		name   string
		out    stdout
		run    func(context.Context, *Env) error
		want   int
		stderr string // of the last thing said
	}{
		{"nothing", stdout{}, emits(), 0, ""},
		{"ok and done", stdout{}, emits(ok, done), 0, ""},
		{"a todo", stdout{}, emits(ok, todo), 1, ""},
		{"a fail", stdout{}, emits(fail, ok), 1, "pikeycheck: pi: timeout\n"},
		{"an error", stdout{}, trouble(), 2, "pikeycheck: broken\n"},
		{"an error after a fail", stdout{}, trouble(fail), 2, "pikeycheck: broken\n"},
		{"an error with a hint", stdout{}, func(context.Context, *Env) error { return WithHint(broken, "mend %s", "it") }, 2,
			"pikeycheck: broken\npikeycheck: hint: mend it\n"},
		{"a usage error", stdout{}, func(context.Context, *Env) error { return Usagef("-x: no") }, 2,
			"pikeycheck: -x: no\npikeycheck: hint: -h lists the options\n"},
		{"a hint inside an error", stdout{}, func(context.Context, *Env) error { return fmt.Errorf("-i %w", WithHint(broken, "mend it")) }, 2,
			"pikeycheck: -i broken\npikeycheck: hint: mend it\n"},
		{"standard output is full", stdout{err: full}, emits(ok), 2, "pikeycheck: standard output: no space left on device\n" + lost},
		{"a short write", stdout{short: true}, emits(ok), 2, "pikeycheck: standard output: short write\n" + lost},
		{"it cannot be closed", stdout{closeErr: full}, emits(ok), 2, "pikeycheck: standard output: no space left on device\n" + lost},
		{"it cannot be closed, with a fail", stdout{closeErr: full}, emits(fail), 2, "pikeycheck: standard output: no space left on device\n" + lost},
		{"the first failure is told", stdout{err: full, closeErr: broken}, emits(ok), 2, "pikeycheck: standard output: no space left on device\n" + lost},
		{"nothing was to be written", stdout{err: full}, emits(), 0, ""},
		// The run ends because its data can go nowhere, and with the error of
		// its context; what matters is why.
		{"full, and the run ends early", stdout{err: full}, func(ctx context.Context, env *Env) error {
			env.Emit(ok)
			<-ctx.Done()
			return ctx.Err()
		}, 2, "pikeycheck: standard output: no space left on device\n" + lost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, _, errOut := newEnv()
			env.Stdout = &tt.out
			if got := Run(env, tt.run); got != tt.want {
				t.Errorf("status %d, want %d", got, tt.want)
			}
			if !strings.HasSuffix(errOut.String(), tt.stderr) || tt.stderr == "" && errOut.Len() > 0 {
				t.Errorf("said %q, want %q at its end", errOut, tt.stderr)
			}
			if tt.out.closed != 1 {
				t.Errorf("standard output was closed %d times", tt.out.closed)
			}
		})
	}
}

const lost = "pikeycheck: hint: what was not written is lost to the reader; run the command again\n"

func TestNothingIsPrintedAfterAFailedWrite(t *testing.T) {
	env, _, errOut := newEnv()
	out := &stdout{short: true}
	env.Stdout = out
	env.Print([]byte("one\n"))
	out.short = false
	env.Print([]byte("two\n"))
	env.Emit(fail)
	if out.writes != 1 || out.String() != "one" {
		t.Errorf("%d writes, %q", out.writes, out.String())
	}
	if got := errOut.String(); got != "pikeycheck: pi: timeout\n" {
		t.Errorf("said %q: what a person has to know does not depend on standard output", got)
	}
	env.Tell(record.Record{Verdict: record.Fail, Cause: "interrupted"})
	if got := errOut.String(); strings.Contains(got, "interrupted") {
		t.Errorf("said %q: the failed write is why", got)
	}
}

func TestStreams(t *testing.T) {
	full := ok
	full.Subject, full.Detail, full.Seconds = "SHA256:x", "in", 1.5
	run := func(ctx context.Context, env *Env) error {
		flags := env.Flags("pikeycheck [options] target ...\npikeycheck --list")
		flags.StringP("file", "f", "", "read `FILE`")
		flags.IntP("jobs", "j", 1, "on `n`")
		operands, err := env.Parse(flags)
		if err != nil {
			return err
		}
		env.Emit(full)
		env.Emit(fail)
		env.Notef("pi", "a note")
		env.Tracef(1, "pi", "a step")
		env.Tracef(2, "", "a detail of %q", operands)
		return nil
	}
	const failed = "pikeycheck: pi: timeout\n"
	for _, tt := range []struct {
		args        string
		status      int
		out, errOut string
	}{
		{"", 1, "pi\tok\tlogin\tSHA256:x\tin\npi\tfail\ttimeout\t-\t\n", failed + "pikeycheck: pi: a note\n"},
		{"-q", 1, "pi\tok\tlogin\tSHA256:x\tin\npi\tfail\ttimeout\t-\t\n", failed},
		{"-v", 1, "pi\tok\tlogin\tSHA256:x\tin\npi\tfail\ttimeout\t-\t\n", failed + "pikeycheck: pi: a note\npikeycheck: pi: a step\n"},
		{"-vv x", 1, "pi\tok\tlogin\tSHA256:x\tin\npi\tfail\ttimeout\t-\t\n", failed + "pikeycheck: pi: a note\npikeycheck: pi: a step\npikeycheck: a detail of [\"x\"]\n"},
		{"-qv", 1, "pi\tok\tlogin\tSHA256:x\tin\npi\tfail\ttimeout\t-\t\n", failed + "pikeycheck: pi: a step\n"},
		{"--json -q", 1, `{"v":1,"target":"pi","verdict":"ok","cause":"login","subject":"SHA256:x","detail":"in","hint":"","seconds":1.5}` + "\n" +
			`{"v":1,"target":"pi","verdict":"fail","cause":"timeout","subject":"-","detail":"","hint":"","seconds":0}` + "\n", failed},
		{"--version", 0, "pikeycheck (pi-key-tools) " + Version + "\n", ""},
		{"-x", 2, "", "pikeycheck: unknown option -x\npikeycheck: hint: -h lists the options\n"},
		{"--nothing", 2, "", "pikeycheck: unknown option --nothing\npikeycheck: hint: -h lists the options\n"},
		{"-f", 2, "", "pikeycheck: -f needs an argument\npikeycheck: hint: -h lists the options\n"},
		{"--file", 2, "", "pikeycheck: --file needs an argument\npikeycheck: hint: -h lists the options\n"},
		{"-qvx", 2, "", "pikeycheck: unknown option -x\npikeycheck: hint: -h lists the options\n"},
		{"-j x", 2, "", "pikeycheck: -j x: not a number\npikeycheck: hint: -h lists the options\n"},
		{"-j 99999999999999999999", 2, "", "pikeycheck: -j 99999999999999999999: too large a number\npikeycheck: hint: -h lists the options\n"},
		{"--quiet=maybe", 2, "", "pikeycheck: -q maybe: the option takes no argument\npikeycheck: hint: -h lists the options\n"},
		{"-- -x -q", 1, "pi\tok\tlogin\tSHA256:x\tin\npi\tfail\ttimeout\t-\t\n", failed + "pikeycheck: pi: a note\n"},
	} {
		env, out, errOut := newEnv(strings.Fields(tt.args)...)
		if got := Run(env, run); got != tt.status || out.String() != tt.out || errOut.String() != tt.errOut {
			t.Errorf("%s: status %d, want %d\nout %q\nwant %q\nerr %q\nwant %q", tt.args, got, tt.status, out, tt.out, errOut, tt.errOut)
		}
	}

	for _, option := range []string{"-h", "--help", "-vh", "-h operand"} {
		env, out, errOut := newEnv(strings.Fields(option)...)
		if got := Run(env, run); got != 0 || errOut.Len() > 0 {
			t.Errorf("%s: status %d, %q", option, got, errOut)
		}
		const start = "usage: pikeycheck [options] target ...\n       pikeycheck --list\n\n"
		for _, want := range []string{start, "-f, --file FILE", "read FILE\n", "-v, --verbose  ", "\nSee pikeycheck(1), "} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", option, want, out)
			}
		}
		if !strings.HasPrefix(out.String(), start) || !strings.HasSuffix(out.String(), ".\n") {
			t.Errorf("%s: %q", option, out)
		}
	}
	for _, option := range []string{"-h", "--version"} {
		env, _, errOut := newEnv(option)
		env.Stdout = &stdout{err: errors.New("no space left on device")}
		if got := Run(env, run); got != 2 || !strings.Contains(errOut.String(), "no space left on device") {
			t.Errorf("%s >/dev/full: status %d, %q", option, got, errOut)
		}
	}
}

func TestWords(t *testing.T) {
	for _, tt := range []struct {
		say  func(*Env)
		want string
	}{
		{func(e *Env) { e.Errorf("", "no %s", "key") }, "n: no key\n"},
		{func(e *Env) { e.Errorf("pi@a", "100%% of %d", 3) }, "n: pi@a: 100% of 3\n"},
		{func(e *Env) { e.Errorf("a%sb", "x") }, "n: a%sb: x\n"},
		{func(e *Env) { e.Errorf(record.Local, "here") }, "n: here\n"},
		// What a terminal would obey, in each part.
		{func(e *Env) { e.Errorf("p\x1b[2Ji", "it says %s", "\x1b]0;owned\x07\r\t\u009b\u202e\xff") },
			`n: p\x1b[2Ji: it says \x1b]0;owned\x07\r\t\xc2\x9b\xe2\x80\xae\xff` + "\n"},
		{func(e *Env) { e.Hintf("echo %s", "\x1b[2J") }, `n: hint: echo \x1b[2J` + "\n"},
		{func(e *Env) { e.Notef("pi", "%s", "\x1b") }, `n: pi: \x1b` + "\n"},
		{func(e *Env) { e.Tracef(0, "pi", "%s", "\x1b") }, `n: pi: \x1b` + "\n"},
		{func(e *Env) { e.report(errors.New("\x1b")) }, `n: \x1b` + "\n"},
		// A command can be pasted as it is.
		{func(e *Env) { e.Hintf("%s", `printf 'a\tb\\' | tr "\n" x`) }, `n: hint: printf 'a\tb\\' | tr "\n" x` + "\n"},
		{func(e *Env) { e.Hintf("é 日本 ✓") }, "n: hint: é 日本 ✓\n"},
		// Every line says who speaks.
		{func(e *Env) { e.Hintf("%s", "one way\nhint: or another\n") }, "n: hint: one way\nn: hint: or another\n"},
		{func(e *Env) { e.Errorf("pi", "a\n\nb\r\nc") }, "n: pi: a\nn: \nn: b\\r\nn: c\n"},
	} {
		env, out, errOut := newEnv()
		env.Name = "n"
		tt.say(env)
		if errOut.String() != tt.want || out.Len() > 0 {
			t.Errorf("said %q, want %q; on standard output %q", errOut, tt.want, out)
		}
	}
}

// What a done record leaves to do is a note.
func TestEmitNotes(t *testing.T) {
	env, _, errOut := newEnv()
	env.Emit(record.Record{Target: "pi", Verdict: record.Done, Cause: "keys-not-a-file", Subject: "/k", Hint: "pikeycopy puts the keys there"})
	env.Emit(record.Record{Target: "pi", Verdict: record.OK, Cause: "entry-commented", Subject: "/k:1", Hint: "take the # away"})
	if want := "pikeycheck: pi: pikeycopy puts the keys there\n"; errOut.String() != want {
		t.Errorf("said %q, want %q", errOut, want)
	}
}

// What is failed is told once more to people, and only that.
func TestEmitTells(t *testing.T) {
	for _, tt := range []struct {
		r    record.Record
		want string
	}{
		{done, ""},
		{todo, ""},
		{record.Record{Target: "pi", Verdict: record.Fail, Cause: "key-mode", Subject: "/k", Detail: "mode 0644", Hint: "chmod 600 /k\nhint: or pikeyfix"},
			"pikeycheck: pi: key-mode: /k: mode 0644\npikeycheck: hint: chmod 600 /k\npikeycheck: hint: or pikeyfix\n"},
		{record.Record{Target: "pi", Verdict: record.Fail, Cause: "key-mode", Subject: "/k", Detail: "/k has mode 0644"}, "pikeycheck: pi: key-mode: /k has mode 0644\n"},
		{record.Record{Target: "-", Verdict: record.Fail, Cause: "key-missing"}, "pikeycheck: key-missing\n"},
		{record.Record{Target: "pi", Verdict: record.Fail, Cause: "timeout", Subject: "-", Detail: "passed on"}, "pikeycheck: pi: timeout: passed on\n"},
		{record.Record{Target: "a\x1b", Verdict: record.Fail, Cause: "not-ssh", Detail: "it says: \x1b[2J"}, "pikeycheck: a\\x1b: not-ssh: it says: \\x1b[2J\n"},
	} {
		env, out, errOut := newEnv()
		env.Quiet = true
		env.Emit(tt.r)
		if errOut.String() != tt.want {
			t.Errorf("said %q, want %q", errOut, tt.want)
		}
		if lines := strings.Count(out.String(), "\n"); lines != 1 || strings.Count(out.String(), "\t") != 4 {
			t.Errorf("printed %q", out)
		}
	}
}

// A hint that many records have is told once, and printed with each.
func TestHintOnce(t *testing.T) {
	env, out, errOut := newEnv()
	env.JSON = true
	for _, hint := range []string{"do this", "do that", "do this"} {
		env.Emit(record.Record{Target: "-", Verdict: record.Fail, Cause: "entry-dead", Hint: hint})
	}
	if want := "pikeycheck: entry-dead\npikeycheck: hint: do this\npikeycheck: entry-dead\npikeycheck: hint: do that\npikeycheck: entry-dead\n"; errOut.String() != want {
		t.Errorf("said %q, want %q", errOut, want)
	}
	if strings.Count(out.String(), "do this") != 2 {
		t.Errorf("printed %q", out)
	}
	errOut.Reset()
	for i := range 3 * maxHinted {
		env.Emit(record.Record{Target: "-", Verdict: record.Fail, Cause: "entry-dead", Hint: fmt.Sprint("pikeyfix pi", i)})
	}
	if n := strings.Count(errOut.String(), "hint: pikeyfix pi"); n != 3*maxHinted || len(env.hinted) > maxHinted {
		t.Errorf("told %d, kept %d", n, len(env.hinted))
	}
}

// Each record, and all the words of one diagnostic, are one write, so that
// those of several targets do not run into each other.
func TestConcurrentWords(t *testing.T) {
	env, _, _ := newEnv()
	out, errOut := &stdout{}, &stdout{}
	env.Stdout, env.Stderr = out, errOut
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			env.Emit(fail)
			env.Hintf("one\ntwo")
		})
	}
	all.Wait()
	if out.writes != 20 || errOut.writes != 40 {
		t.Errorf("%d and %d writes", out.writes, errOut.writes)
	}
	if n := strings.Count(errOut.String(), "pikeycheck: hint: one\npikeycheck: two\n"); n != 20 {
		t.Errorf("%d whole hints in %q", n, errOut)
	}
	if env.status(context.Background(), nil) != StatusFail {
		t.Error("the fail is forgotten")
	}
}

func TestHintOf(t *testing.T) {
	if got := hintOf(io.EOF); got != "" {
		t.Errorf("%q", got)
	}
	if got := hintOf(nil); got != "" {
		t.Errorf("%q", got)
	}
	err := WithHint(os.ErrNotExist, "look %d", 1)
	if !errors.Is(err, os.ErrNotExist) || hintOf(err) != "look 1" || err.Error() != os.ErrNotExist.Error() {
		t.Errorf("%v, %q", err, hintOf(err))
	}
}
