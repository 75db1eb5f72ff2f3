package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sh"
)

// ErrNoCommand means that the server runs no commands for this account.
var ErrNoCommand = errors.New("the server refuses to run a command")

// maxOutput is how much of a command's output is kept, counted from its end:
// what a shell's start-up files print comes first and may be endless.
const maxOutput = 1 << 20

// Run runs an ASCII command line in the far login shell and returns the last 1
// MiB of its output and its exit status. err means that the command did not
// exit in time with a status: the connection ended, a signal killed the
// command, or the server refused it (ErrNoCommand).
func (c *Client) Run(ctx context.Context, command string) (stdout, stderr []byte, status int, err error) {
	fail := func(err error) ([]byte, []byte, int, error) {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, nil, 0, fmt.Errorf("running a command there: %w", named(err, c.turned))
	}
	s, err := c.ssh.NewSession()
	if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		return fail(fmt.Errorf("%w: %w", ErrNoCommand, refused))
	} else if err != nil {
		return fail(c.cutOff(err))
	}
	c.opened.Store(true)
	defer s.Close()
	var out, errOut tail
	s.Stdout, s.Stderr = &out, &errOut
	if len(command) > dropbearCommand && strings.Contains(c.server, "dropbear") {
		s.Stdin = strings.NewReader(command)
		command = fromInput(len(command))
	}
	if err := s.Start(command); err != nil {
		// x/crypto's text for a request that was answered with no.
		if strings.HasPrefix(err.Error(), "ssh: command ") {
			err = ErrNoCommand
		}
		return fail(err)
	}
	if err := s.Wait(); err != nil {
		exit, ok := errors.AsType[*ssh.ExitError](err)
		if !ok || exit.Signal() != "" {
			return fail(err)
		}
		status = exit.ExitStatus()
	}
	// An exit status may have come although the rest of the output has not.
	if err := context.Cause(ctx); err != nil {
		return fail(err)
	}
	return out.bytes(), errOut.bytes(), status, nil
}

// dropbearCommand is the longest command line, in bytes, that dropbear takes
// (svr-chansession.c MAX_CMD_LEN); it hangs up at a longer one.
const dropbearCommand = 9000

// fromInput is the command line that runs another one, which comes on its
// standard input. A start-up file of the shell may have eaten from that: what
// is not there as a whole is not run.
func fromInput(length int) string {
	return fmt.Sprintf(`exec /bin/sh -c '`+sh.Programs+`s=$(dd bs=1 count=%[1]d 2>/dev/null); if [ ${#s} -eq %[1]d ]; then eval "$s"; else echo "the command was lost on the way" >&2; exit 1; fi'`, length)
}

// A tail keeps the last maxOutput bytes written.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	t.cut()
	return len(p), nil
}

// ReadFrom saves io.Copy's 32 KiB buffer: most commands print next to nothing.
func (t *tail) ReadFrom(r io.Reader) (total int64, err error) {
	for {
		t.b = slices.Grow(t.b, max(512-len(t.b), 1))
		n, err := r.Read(t.b[len(t.b):cap(t.b)])
		t.b = t.b[:len(t.b)+n]
		t.cut()
		total += int64(n)
		if errors.Is(err, io.EOF) {
			return total, nil
		} else if err != nil {
			return total, err
		}
	}
}

func (t *tail) cut() {
	if len(t.b) > 2*maxOutput {
		t.b = append(t.b[:0], t.b[len(t.b)-maxOutput:]...)
	}
}

func (t *tail) bytes() []byte { return t.b[max(0, len(t.b)-maxOutput):] }
