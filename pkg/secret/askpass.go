package secret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// defaultAskpass is asked when SSH_ASKPASS names no program, as by Debian's
// ssh (pathnames.h _PATH_SSH_ASKPASS_DEFAULT).
const defaultAskpass = "/usr/bin/ssh-askpass"

// grace is how long an askpass program has to end once it is asked to.
const grace = 500 * time.Millisecond

// askpass runs the program, found as a shell would, with the prompt as its
// argument, and returns the first line that it prints. shareTerminal means
// that there is a terminal which it may want to use.
// Source: readpass.c ssh_askpass(). Its standard input is empty, since ours
// may be data.
func askpass(ctx context.Context, program, prompt string, shareTerminal bool) ([]byte, error) {
	if program == "" {
		if _, err := os.Stat(defaultAskpass); err != nil {
			return nil, ErrNobody
		}
		program = defaultAskpass
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("askpass program %s: %w", program, err)
	}
	defer out.Close()
	cmd := exec.Command(program, prompt)
	cmd.Stdout, cmd.Stderr = in, os.Stderr
	end := killer(cmd, !shareTerminal)
	err = cmd.Start()
	in.Close()
	if err != nil {
		return nil, fmt.Errorf("askpass program: %w", err)
	}

	asked := make(chan struct{}) // closed once it was asked to end
	stop := context.AfterFunc(ctx, func() {
		end(false)
		_ = out.SetReadDeadline(time.Now().Add(grace)) // fails where end is final
		close(asked)
	})
	buf := make([]byte, maxSecret)
	defer clear(buf)
	line, err := firstLine(out, buf)
	_, _ = io.Copy(io.Discard, out) // it may not be killed by what it prints after the secret
	if !stop() {
		<-asked
		end(true) // before Wait, while nothing else can have its number
	}
	failed := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case failed != nil:
		return nil, fmt.Errorf("askpass program %s: %w: %w", program, ErrDeclined, failed)
	case errors.Is(err, errTooLong):
		return nil, fmt.Errorf("askpass program %s printed too much: %w", program, err)
	case err != nil:
		return nil, fmt.Errorf("askpass program %s: %w", program, err)
	}
	return bytes.Clone(line), nil
}
