package connect

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
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

// passwordTries is how many passwords a login may try: as many as a person may be
// asked for, and one of a file.
func (h *Host) passwordTries() int {
	if h.alone == nil && h.PasswordGiven() {
		return 1
	}
	return h.Config.PasswordPrompts
}

// askPassword is called for each try of a login, of which the server has refused
// those before.
func (h *Host) askPassword(ctx context.Context) ([]byte, error) {
	if h.refused {
		return nil, ErrRefused
	}
	if h.asked {
		h.c.opt.Note(h.Target, "permission denied, please try again")
	}
	h.asked = true
	if h.alone != nil {
		// What was given is the target's. A jump host could keep it.
		return h.askFor(ctx, h.source(&secret.Source{Getenv: h.c.opt.Getenv, Hold: h.c.opt.Hold}))
	}
	began := time.Now()
	defer func() { h.kept = time.Since(began) }()
	if h.trying != nil {
		h.trying.end(session.Refused)
		h.trying, h.refused = nil, true // unless there is another
		secret.Wipe(h.password)
		h.password = nil
	}
	if h.password == nil {
		secret, err := h.findPassword(ctx)
		if err != nil {
			return nil, err
		}
		h.password = secret
		h.trailing = h.PasswordGiven() && len(secret) > len(bytes.TrimRight(secret, " \t"))
	}
	tries := h.c.tries.password(h.password)
	if err := tries.begin(ctx); err != nil {
		return nil, err
	}
	h.trying, h.refused = tries, false
	return h.password, nil
}

// findPassword gets the host's own, or else the one for all that have none, or
// asks for it.
func (h *Host) findPassword(ctx context.Context) ([]byte, error) {
	if password, found := h.listedPassword(); found {
		return password, nil
	}
	password, err := h.askFor(ctx, h.source(&h.c.passwords))
	if errors.Is(err, secret.ErrNobody) && h.c.opt.Passwords != nil {
		return nil, fmt.Errorf("%s has no line for this target, and %w", h.c.opt.Passwords.Path, err)
	}
	return password, err
}

// askFor asks for a password, and takes none a second time: the host has refused
// it.
func (h *Host) askFor(ctx context.Context, from *secret.Source) ([]byte, error) {
	at := h.named
	at.User, at.Host = h.Config.User, h.Config.Alias
	word, err := ask(ctx, from, at.String()+"'s password: ")
	if err != nil {
		return nil, err
	}
	tries := h.c.tries.password(word)
	if slices.Contains(h.given, tries) {
		secret.Wipe(word)
		return nil, ErrRefused
	}
	h.given = append(h.given, tries)
	return word, nil
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

// PasswordEndsInBlank reports whether the password that was tried last came from
// a file and ends in a blank, which nobody sees there.
func (h *Host) PasswordEndsInBlank() bool { return h.trailing }

// source honours what ssh_config may set for one host, so that nobody is asked.
func (h *Host) source(s *secret.Source) *secret.Source {
	if s.File == "" && (h.Config.BatchMode || h.Config.PasswordPrompts == 0) {
		return &secret.Source{Batch: true, Getenv: h.c.opt.Getenv}
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
