package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pi-key-tools/pkg/secret"
)

// passwordMethods are those that ssh_config leaves for a password.
func (h *Host) passwordMethods() []string {
	methods := []string{}
	for method, on := range map[string]bool{"password": h.Config.PasswordAuthentication, "keyboard-interactive": h.Config.KbdInteractive} {
		if p := h.Config.PreferredAuthentications; on && (p == nil || slices.Contains(p, method)) {
			methods = append(methods, method)
		}
	}
	return methods
}

func (h *Host) askPassword(ctx context.Context) ([]byte, error) {
	if h.refused {
		return nil, ErrRefused
	}
	if h.alone != nil {
		// What was given is the target's. A jump host could keep it.
		from := &secret.Source{Batch: h.Config.BatchMode, Getenv: h.c.opt.Getenv, Hold: h.c.opt.Hold}
		return h.askFor(ctx, from)
	}
	began := time.Now()
	defer func() { h.kept = time.Since(began) }()
	if h.password == nil {
		secret, err := h.findPassword(ctx)
		if err != nil {
			return nil, err
		}
		h.password = secret
	}
	tries := h.c.tries.password(h.password)
	if err := tries.begin(ctx); err != nil {
		return nil, err
	}
	h.trying = tries
	return h.password, nil
}

// findPassword gets the host's own, or else the one for all that have none, or
// asks for it.
func (h *Host) findPassword(ctx context.Context) ([]byte, error) {
	if password, found := h.listedPassword(); found {
		return password, nil
	}
	password, err := h.askFor(ctx, h.c.source(&h.c.passwords, h.Config.BatchMode))
	if errors.Is(err, secret.ErrNobody) && h.c.opt.Passwords != nil {
		return nil, fmt.Errorf("%s has no line for this target, and %w", h.c.opt.Passwords.Path, err)
	}
	return password, err
}

func (h *Host) askFor(ctx context.Context, from *secret.Source) ([]byte, error) {
	at := h.named
	at.User, at.Host = h.Config.User, h.Config.Alias
	return ask(ctx, from, at.String()+"'s password: ")
}

// listedPassword is that of the line of --passwords which names the target as
// it was given or, else, with the user or the port that the target leaves to the
// configuration. A line that names less than the target is for another one.
func (h *Host) listedPassword() (password []byte, found bool) {
	if h.c.opt.Passwords == nil {
		return nil, false
	}
	at := h.named
	for _, at.Port = range []int{h.named.Port, h.Config.Port} {
		for _, at.User = range []string{h.named.User, h.Config.User} {
			if password, found := h.c.opt.Passwords.Find(at); found {
				return password, true
			}
		}
	}
	return nil, false
}

// PasswordGiven reports whether a file provides a password for the host, so
// that nobody needs to be asked.
func (h *Host) PasswordGiven() bool {
	password, listed := h.listedPassword()
	secret.Wipe(password)
	return listed || h.c.opt.PasswordFile != ""
}

// source honours BatchMode, which ssh_config may set for one host.
func (c *Connector) source(s *secret.Source, batch bool) *secret.Source {
	if batch && s.File == "" {
		return &secret.Source{Batch: true, Getenv: c.opt.Getenv}
	}
	return s
}

// ask gets a secret, with the target's clock stopped where a person is asked. A
// file may be a pipe that nobody writes to.
func ask(ctx context.Context, from *secret.Source, prompt string) ([]byte, error) {
	if from.File == "" {
		defer stopClock(ctx)()
	}
	return from.Get(ctx, prompt)
}
