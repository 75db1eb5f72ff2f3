package cli

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"
)

// A statusLine is the one that stands below all others on the terminal that
// standard error is, if it is one, and is drawn over. All of it is held by
// Env.mu.
type statusLine struct {
	shown bool
	held  int         // by whoever has the terminal for something else
	kept  []heldWrite // what is to be written when nobody has
	bytes int         // of it
}

// A heldWrite is a message, or data, that waits.
type heldWrite struct {
	to   io.Writer
	text []byte
}

// maxKept is how many bytes wait at most.
const maxKept = 1 << 20

// StatusWidth returns how many columns a status line may have, or 0 if there
// must be none: with -q, and where standard error is not a terminal, or is one
// that cannot overwrite a line (TERM is dumb).
func (env *Env) StatusWidth() int {
	f, ok := env.Stderr.(*os.File)
	if kind := env.Getenv("TERM"); env.Quiet || !ok || kind == "" || kind == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	if n, err := strconv.Atoi(env.Getenv("COLUMNS")); err == nil && n > 0 {
		width = min(width, n)
	}
	return max(1, width-3) // what wraps cannot be drawn over, and ^C is echoed after it
}

// Status draws the status line, which StatusWidth must allow, in place of the
// last one; "" removes it. It makes way for messages and for data that goes to
// a terminal too, until it is next drawn. A run in the background draws none
// over its shell's output.
func (env *Env) Status(line string) {
	env.mu.Lock()
	defer env.mu.Unlock()
	if f, ok := env.Stderr.(*os.File); line == "" || env.line.held > 0 || ok && !foreground(int(f.Fd())) {
		env.giveWay()
		return
	}
	_, _ = io.WriteString(env.Stderr, "\r"+line+eraseRest)
	env.line.shown = true
}

// eraseRest is EL of ECMA-48, which every terminal obeys that is not dumb.
const eraseRest = "\x1b[K"

// giveWay takes the status line away. The caller holds env.mu.
func (env *Env) giveWay() {
	if env.line.shown {
		_, _ = io.WriteString(env.Stderr, "\r"+eraseRest)
		env.line.shown = false
	}
}

// write writes to standard output or error, and on a terminal neither behind the
// status line nor between a prompt and its answer. The caller holds env.mu.
func (env *Env) write(to io.Writer, text []byte) (int, error) {
	if env.line.held > 0 && env.line.bytes < maxKept && isTerminal(to) {
		env.line.kept = append(env.line.kept, heldWrite{to, text})
		env.line.bytes += len(text)
		return len(text), nil
	}
	if env.line.shown && isTerminal(to) {
		env.giveWay()
	}
	return to.Write(text)
}

// Hold reserves the terminal for a prompt for a secret until release is called:
// the status line is removed, and output to the terminal is kept until then.
func (env *Env) Hold() (release func()) {
	env.mu.Lock()
	defer env.mu.Unlock()
	env.giveWay()
	env.line.held++
	return func() {
		env.mu.Lock()
		defer env.mu.Unlock()
		if env.line.held--; env.line.held > 0 {
			return
		}
		for _, k := range env.line.kept {
			if _, err := k.to.Write(k.text); err != nil && k.to == env.Stdout && env.outErr == nil {
				env.outErr = err
				env.stop(err)
			}
		}
		env.line.kept, env.line.bytes = nil, 0
	}
}

// DataOnTerminal reports whether standard output is a terminal, most likely the
// one of the status line.
func (env *Env) DataOnTerminal() bool { return isTerminal(env.Stdout) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
