//go:build unix

package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is /dev/tty, opened so that neither reading nor writing waits:
// that alone can be called off on every Unix. (macOS has no poll for it.)
type terminal struct{ fd int }

func openTerminal() (*terminal, error) {
	fd, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &terminal{fd}, nil
}

func (t *terminal) close() { _ = unix.Close(t.fd) }

// pause is how long a terminal that has nothing for us is left alone.
const pause = 25 * time.Millisecond

// ask writes the prompt and reads a line with echo off. However it ends, echo
// is as it was, and what was typed so far is thrown away rather than left to
// the shell. ^C is for the caller, who calls the context off; ^\ (SIGQUIT) is
// held back until echo is on again.
// Source: readpassphrase(3).
func (t *terminal) ask(ctx context.Context, prompt string) ([]byte, error) {
	quit, quitting := make(chan os.Signal, 1), false
	if !signal.Ignored(unix.SIGQUIT) {
		signal.Notify(quit, unix.SIGQUIT)
	}
	defer func() {
		signal.Stop(quit)
		if quitting || len(quit) > 0 {
			_ = unix.Kill(unix.Getpid(), unix.SIGQUIT)
			time.Sleep(time.Second) // in which it ends us, unless others catch it
		}
	}()
	show, err := t.hide()
	if err != nil {
		return nil, fmt.Errorf("turning the terminal's echo off: %w", err)
	}
	defer show()
	// The prompt hides what was typed before there was one.
	t.write(ctx, "\r"+prompt)

	buf := make([]byte, maxSecret)
	defer clear(buf)
	for n := 0; n < len(buf); {
		m, err := unix.Read(t.fd, buf[n:])
		switch {
		case err == nil && m == 0 && n == 0: // ^D
			return nil, ErrDeclined
		case err == nil:
			// A terminal gives a line at a time; ^D ends one as well.
			line := buf[:n+m]
			if before, ended := bytes.CutSuffix(line, []byte("\n")); ended || m == 0 {
				return bytes.Clone(before), nil
			}
			n += m
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return nil, fmt.Errorf("reading from the terminal: %w", err)
		default:
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-quit:
				quitting = true
				return nil, ErrDeclined
			case <-time.After(pause):
			}
		}
	}
	return nil, errTooLong
}

// hide turns echo off, and returns what makes all as it was. ^Z would leave the
// shell with echo off, so it is but a character meanwhile: Go cannot catch
// SIGTSTP for a while and then go back to its default.
func (t *terminal) hide() (show func(), err error) {
	was, err := unix.IoctlGetTermios(t.fd, getTermios)
	if err != nil {
		return nil, err
	}
	now := *was
	now.Lflag &^= unix.ECHO | unix.ECHONL
	now.Lflag |= unix.ICANON | unix.ISIG
	now.Iflag |= unix.ICRNL
	for _, c := range stopChars {
		now.Cc[c] = disabled
	}
	if err := unix.IoctlSetTermios(t.fd, flushTermios, &now); err != nil {
		return nil, err
	}
	return func() {
		// The end of the line was not echoed. A terminal that is gone needs
		// neither.
		t.write(context.Background(), "\n")
		_ = unix.IoctlSetTermios(t.fd, flushTermios, was)
	}, nil
}

// write writes to the terminal. A prompt that cannot be written is nobody's
// error: the answer may still come.
func (t *terminal) write(ctx context.Context, text string) {
	deadline := time.Now().Add(time.Second) // ^S may have stopped it
	for len(text) > 0 && ctx.Err() == nil && time.Now().Before(deadline) {
		n, err := unix.Write(t.fd, []byte(text))
		switch {
		case err == nil:
			text = text[n:]
		case errors.Is(err, unix.EAGAIN):
			time.Sleep(pause)
		case !errors.Is(err, unix.EINTR):
			return
		}
	}
}
