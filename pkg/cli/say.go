package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"pi-key-tools/pkg/record"
)

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

func (env *Env) outputFailed() bool {
	env.mu.Lock()
	defer env.mu.Unlock()
	return env.outErr != nil
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
	if r.Cause == "interrupted" && env.outputFailed() { // which is told at the end, and is why
		return
	}
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

// maxHinted bounds the hints that are known to be told. Those of many targets may
// each name its own.
const maxHinted = 4096

// hint tells a hint, once in a run: many records may have the same. When too many
// differ, those before are forgotten.
func (env *Env) hint(r record.Record) {
	env.mu.Lock()
	again := env.hinted[r.Hint]
	if env.hinted == nil || len(env.hinted) == maxHinted {
		env.hinted = make(map[string]bool)
	}
	env.hinted[r.Hint] = true
	env.mu.Unlock()
	if r.Hint != "" && !again {
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

func (h hintError) Hint() string { return h.hint }

func (h hintError) Unwrap() error { return h.error }

// WithHint returns err with a hint for people on how to proceed.
func WithHint(err error, format string, args ...any) error {
	return hintError{err, fmt.Sprintf(format, args...)}
}

// plainPathError drops "write /dev/stdout: " from an error that is reported as
// one of standard output anyway.
func plainPathError(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok {
		return p.Err
	}
	return err
}
