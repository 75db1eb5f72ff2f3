package secret

import (
	"context"
	"fmt"
	"os"

	"golang.org/x/term"
)

// A terminal is the console, however the standard streams are redirected.
type terminal struct{ in, out *os.File }

func openTerminal() (*terminal, error) {
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		in.Close()
		return nil, err
	}
	return &terminal{in, out}, nil
}

// close closes what is written to. A read of a console cannot be called off:
// one may still wait on the other half, which goes with the process.
func (t *terminal) close() { t.out.Close() }

// ask writes the prompt and reads a line with echo off. However it ends, echo
// is as it was.
func (t *terminal) ask(ctx context.Context, prompt string) ([]byte, error) {
	fd := int(t.in.Fd())
	was, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("reading the console's mode: %w", err)
	}
	defer func() {
		_ = term.Restore(fd, was)
		fmt.Fprintln(t.out)
	}()
	fmt.Fprint(t.out, "\r"+prompt)
	type answer struct {
		line []byte
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(fd)
		answers <- answer{line, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDeclined, a.err)
		}
		return a.line, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
