// Package cli holds what the four commands share: streams, options, diagnostics
// and hints, exit status, signals. It knows nothing of SSH.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
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
	hinted map[string]bool         // the hints of records that were told
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
