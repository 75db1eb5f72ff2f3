// Package cli holds what the four commands share: streams, options, diagnostics
// and hints, exit status, signals. It knows nothing of SSH.
package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/record"
)

// Version is printed by --version. A packager sets it with -ldflags -X.
var Version = "0.1.0-dev"

// The exit status of a command, as in diff(1).
const (
	StatusOK      = 0 // every record is ok or done
	StatusFail    = 1 // the command ran to its end and some record is fail or todo
	StatusTrouble = 2 // it could not do its work
)

// An Env is everything that a command touches of the world around it, so that a
// test can call the command with buffers. It is safe for concurrent use once
// the options are parsed.
type Env struct {
	Name   string   // "pikeycheck"
	Args   []string // without the name
	Stdin  io.Reader
	Stdout io.Writer // data: public keys or records
	Stderr io.Writer // words for people
	Getenv func(string) string

	Verbose int  // -v, repeatable
	Quiet   bool // -q
	JSON    bool // --json

	// Elsewhere has, by the letter, what does the work of options that a user of
	// the command which this one mirrors may expect, and that are not here.
	Elsewhere map[string]string

	mu     sync.Mutex
	line   statusLine
	bad    bool                    // a record was fail or todo
	outErr error                   // the first failure to write data
	cancel context.CancelCauseFunc // ends the run when its data can go nowhere
	listen func()                  // has a signal end it
}

// System returns the Env of this process. A closed standard output (>&-) is no
// error: before main, Go's runtime has put /dev/null in its place, opened just
// as Python's and Node's "discard the output" opens it, so that the two cannot
// be told apart. From then on, other files open since the process started, such
// as that of --password-file /dev/fd/3, are not inherited by programs that it
// starts.
func System(name string) *Env {
	keepFiles()
	return &Env{
		Name: name, Args: os.Args[1:],
		Stdin: os.Stdin, Stdout: withoutSignal(os.Stdout, 1), Stderr: withoutSignal(os.Stderr, 2),
		Getenv: os.Getenv,
	}
}

// SignalError is the cause of a context that a signal cancelled.
type SignalError struct{ Signal syscall.Signal }

func (e SignalError) Error() string { return "interrupted by signal: " + e.Signal.String() }

// Run calls run and returns the exit status that follows from run's error, the
// records it emitted, the data it could not write and any signal. An error of
// run is trouble: it is printed with its hint, and makes the status 2. Standard
// output is closed at the end if possible, since a file system may report only
// then that it did not store the data.
//
// On SIGINT, SIGTERM, SIGHUP and SIGQUIT the context is cancelled, run reports
// what is finished, and the status is 128+N. A second signal ends the process
// at once, as does one before Parse has returned. A signal that was ignored
// stays ignored, as nohup(1) intends.
func Run(env *Env, run func(context.Context, *Env) error) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	env.cancel = cancel
	env.listen = sync.OnceFunc(func() { listen(ctx, cancel) })

	err := run(ctx, env)
	if c, ok := env.Stdout.(io.Closer); ok {
		if cerr := c.Close(); cerr != nil {
			env.noteWriteError(cerr)
		}
	}
	return env.status(ctx, err)
}

// listen cancels a run on a signal. Setting that up, and taking it down, takes
// several switches between threads each: what only prints its version or help does
// without, and nobody waits for the taking down.
func listen(ctx context.Context, cancel context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		if !signal.Ignored(s) {
			signal.Notify(signals, s)
		}
	}
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if n, ok := s.(syscall.Signal); ok {
				cancel(SignalError{n})
			}
		case <-ctx.Done():
			signal.Stop(signals)
		}
	}()
}

func (env *Env) status(ctx context.Context, err error) int {
	env.mu.Lock()
	outErr, bad := env.outErr, env.bad
	env.mu.Unlock()
	if outErr != nil { // of a run that is interrupted too: whoever read it may be gone as well
		env.Errorf("", "standard output: %v", plainPathError(outErr))
		env.Hintf("what was not written is lost to the reader; run the command again")
	}
	if sig, ok := errors.AsType[SignalError](context.Cause(ctx)); ok {
		env.Errorf("", "%v", sig)
		return 128 + int(sig.Signal)
	}
	switch {
	case errors.Is(err, errAnswered) && outErr == nil:
		return StatusOK
	case outErr != nil:
		return StatusTrouble
	case err != nil:
		env.report(err)
		return StatusTrouble
	case bad:
		return StatusFail
	}
	return StatusOK
}

// Flags returns a flag set with the options that all four commands share.
// synopsis has the lines that follow "usage: " in the help.
func (env *Env) Flags(synopsis string) *pflag.FlagSet {
	fs := pflag.NewFlagSet(env.Name, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.BoolP("help", "h", false, "print this help and exit")
	fs.Bool("version", false, "print the version and exit")
	fs.CountVarP(&env.Verbose, "verbose", "v", "say why each step is taken; repeat for more``")
	fs.BoolVarP(&env.Quiet, "quiet", "q", false, "no notes on standard error, only errors")
	fs.BoolVar(&env.JSON, "json", false, "records as JSON, one object per line")
	fs.SetAnnotation("help", "synopsis", strings.Split(synopsis, "\n"))
	return fs
}

// errAnswered ends a command whose -h or --version has been answered.
var errAnswered = errors.New("answered")

// Parse parses env.Args and returns the operands; from then on a signal ends
// the run in an orderly way. It handles -h and --version itself; its error must
// be returned to Run unchanged.
func (env *Env) Parse(fs *pflag.FlagSet) ([]string, error) {
	if err := fs.Parse(env.Args); err != nil {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && env.Elsewhere[unknown.GetSpecifiedName()] != "" {
			return nil, WithHint(wording(err), "%s", env.Elsewhere[unknown.GetSpecifiedName()])
		}
		return nil, Usagef("%v", wording(err))
	}
	if help, _ := fs.GetBool("help"); help {
		var b strings.Builder
		for i, line := range fs.Lookup("help").Annotations["synopsis"] {
			b.WriteString([]string{"usage: ", "       "}[min(i, 1)] + line + "\n")
		}
		// pflag writes "file[="default"]" for a value that may be left out.
		usages := fs.FlagUsages()
		fs.VisitAll(func(f *pflag.Flag) {
			name, _ := pflag.UnquoteUsage(f)
			long := fmt.Sprintf("%s[=%q]", name, f.NoOptDefVal)
			usages = strings.Replace(usages, long, fmt.Sprintf("%-*s", len(long), "["+name+"]"), 1)
		})
		fmt.Fprintf(&b, "\n%s\nSee %s(1), pi-key-tools(7) and pi-key-causes(7).\n", usages, env.Name)
		env.Print([]byte(b.String()))
		return nil, errAnswered
	}
	if version, _ := fs.GetBool("version"); version {
		env.Print([]byte(env.Name + " (pi-key-tools) " + Version + "\n"))
		return nil, errAnswered
	}
	if env.listen != nil {
		env.listen()
	}
	return fs.Args(), nil
}

// wording says an error of pflag as getopt(3) and the manual pages would: with
// options and arguments, and without the names of Go's functions.
func wording(err error) error {
	var unknown *pflag.NotExistError
	var bare *pflag.ValueRequiredError
	var value *pflag.InvalidValueError
	option := func(name, group string) string {
		if group != "" {
			return "-" + name
		}
		return "--" + name
	}
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("unknown option %s", option(unknown.GetSpecifiedName(), unknown.GetSpecifiedShortnames()))
	case errors.As(err, &bare):
		return fmt.Errorf("%s needs an argument", option(bare.GetSpecifiedName(), bare.GetSpecifiedShortnames()))
	case errors.As(err, &value):
		f, why := value.GetFlag(), value.Unwrap().Error()
		switch f.Value.Type() {
		case "int":
			why = "not a number"
			if errors.Is(value, strconv.ErrRange) {
				why = "too large a number"
			}
		case "bool":
			why = "the option takes no argument"
		case "duration":
			why = "not digits with a unit, such as 30s, 2m or 1m30s"
		}
		name := option(cmp.Or(f.Shorthand, f.Name), f.Shorthand)
		return fmt.Errorf("%s %s: %s", name, record.Escape(value.GetValue()), why)
	}
	return err
}

// Print writes data to standard output in one write. A failed write ends the
// run with status 2.
func (env *Env) Print(data []byte) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.outErr != nil {
		return
	}
	n, err := env.write(env.Stdout, data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil {
		env.outErr = err
		env.stop(err)
	}
}

func (env *Env) noteWriteError(err error) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if env.outErr == nil {
		env.outErr = err
	}
}

func (env *Env) stop(err error) {
	if env.cancel != nil {
		env.cancel(err)
	}
}

// Emit writes a record to standard output and calls Tell. On a terminal that
// shows both, only the hint of a failure is told.
func (env *Env) Emit(r record.Record) {
	env.List(r)
	if r.Verdict == record.Fail && !env.JSON && env.DataOnTerminal() && isTerminal(env.Stderr) {
		env.hint(r)
		return
	}
	env.Tell(r)
}

// List writes a record to standard output and counts it for the exit status,
// but tells people nothing: for one of many similar records.
func (env *Env) List(r record.Record) {
	env.Print(env.Append(nil, r))
	env.count(r)
}

func (env *Env) count(r record.Record) {
	if r.Verdict.Bad() {
		env.mu.Lock()
		env.bad = true
		env.mu.Unlock()
	}
}

// Append appends to b the line of a record, as Emit writes it.
func (env *Env) Append(b []byte, r record.Record) []byte {
	if env.JSON {
		return r.AppendJSON(b)
	}
	return r.AppendText(b)
}

// Tell counts a record for the exit status and writes a failure to standard
// error with its hint; where something was done, what is left to do is a note.
// Commands whose standard output is not records call it directly.
func (env *Env) Tell(r record.Record) {
	env.count(r)
	if r.Verdict == record.Fail {
		msg := r.Cause
		if r.Subject != "" && r.Subject != "-" && !strings.Contains(r.Detail, r.Subject) {
			msg += ": " + r.Subject
		}
		if r.Detail != "" {
			msg += ": " + r.Detail
		}
		// On one line, so that a peer's words cannot pass for a hint of ours.
		env.Errorf(r.Target, "%s", strings.ReplaceAll(msg, "\n", `\n`))
		env.hint(r)
	} else if r.Hint != "" && r.Verdict != record.OK { // it leaves something to do
		env.Notef(r.Target, "%s", r.Hint)
	}
}

func (env *Env) hint(r record.Record) {
	if r.Hint != "" {
		env.Hintf("%s", r.Hint)
	}
}

// Errorf writes "NAME: [TARGET: ]message" to standard error. Like the functions
// below, it escapes bytes that a terminal would obey.
func (env *Env) Errorf(target, format string, args ...any) {
	if target != "" && target != record.Local {
		format = "%s: " + format
		args = append([]any{target}, args...)
	}
	env.say(format, args...)
}

// Hintf writes "NAME: hint: message" to standard error.
func (env *Env) Hintf(format string, args ...any) { env.say("hint: "+format, args...) }

// Notef is Errorf for what is not an error: -q silences it.
func (env *Env) Notef(target, format string, args ...any) {
	if !env.Quiet {
		env.Errorf(target, format, args...)
	}
}

// Tracef is Notef for explanations: it writes only if -v was given at least
// level times.
func (env *Env) Tracef(level int, target, format string, args ...any) {
	if env.Verbose >= level {
		env.Errorf(target, format, args...)
	}
}

func (env *Env) say(format string, args ...any) {
	text := record.Sprintf(format, args...)
	env.mu.Lock()
	defer env.mu.Unlock()
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString(env.Name + ": " + escapeKeepingBackslash(line) + "\n")
	}
	// There is nobody left to tell when standard error fails.
	_, _ = env.write(env.Stderr, []byte(b.String()))
}

// escapeKeepingBackslash keeps a pasted command pasteable: in words for people
// a backslash is harmless, and a doubled one would be wrong.
func escapeKeepingBackslash(s string) string {
	parts := strings.Split(s, `\`)
	for i := range parts {
		parts[i] = record.Escape(parts[i])
	}
	return strings.Join(parts, `\`)
}

// report writes an error, and its hint if it has one.
func (env *Env) report(err error) {
	env.Errorf("", "%v", err)
	if hint := hintOf(err); hint != "" {
		env.Hintf("%s", hint)
	}
}

// hintOf returns the hint that an error carries, or "".
func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

type hintError struct {
	error
	hint string
}

func (h hintError) Hint() string  { return h.hint }
func (h hintError) Unwrap() error { return h.error }

// WithHint returns err with a hint for people on how to proceed.
func WithHint(err error, format string, args ...any) error {
	return hintError{err, fmt.Sprintf(format, args...)}
}

// Usagef returns the error of a command line that is not acceptable.
func Usagef(format string, args ...any) error {
	return hintError{fmt.Errorf(format, args...), "-h lists the options"}
}

// NotEmpty returns an error for options that were given an empty value, as from
// a script's unset variable: what they should restrict or name is not silently
// omitted.
func NotEmpty(fs *pflag.FlagSet, names ...string) error {
	for _, name := range names {
		if fs.Changed(name) && strings.TrimSpace(fs.Lookup(name).Value.String()) == "" {
			return Usagef("--%s is empty", name)
		}
	}
	return nil
}

// plainPathError drops "write /dev/stdout: " from an error that is reported as
// one of standard output anyway.
func plainPathError(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}

// Stopwatch returns a function that returns the seconds since this call.
func Stopwatch() func() float64 {
	start := time.Now()
	return func() float64 { return time.Since(start).Seconds() }
}
