package diagnose

import (
	"context"
	"errors"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
)

// MaxRefused leaves room below sshd's MaxAuthTries (6) for the password.
const MaxRefused = 4

// Enter logs in by whatever works, a key or else the password, to do work on
// the host. offers are the keys in the order to try; keys are all that this
// side has. The record is nil if it worked. Where the server allows so few tries
// that the keys have used them up, the password has a connection of its own.
func Enter(ctx context.Context, host *connect.Host, keys connect.Keys, offers []session.Key) (*session.Client, *session.Report, *record.Record) {
	client, rep, err := host.Login(ctx, connect.Plan{Keys: offers, MaxRefused: MaxRefused, Password: true})
	if err != nil && rep.TooManyTries() && !asked(rep) && !noPassword(rep) {
		c, r, e := host.Login(ctx, connect.Plan{Password: true})
		if e == nil || asked(r) && !errors.Is(r.PasswordErr, secret.ErrNobody) {
			client, rep, err = c, r, e
		}
	}
	if err == nil {
		return client, rep, nil
	}
	r := Login(ctx, host, keys, rep, err)
	switch r.Cause {
	case "key-refused", "key-missing", "agent-absent", "agent-empty", "key-not-offered":
		// A key was only one way in. Here the other one matters more.
		if noPassword(rep) {
			r.Cause = "password-disabled"
			r.Hint = "the server accepts no password, so the first key must be added on its console, or by Raspberry Pi Imager"
			r.Detail = "no key on this side lets us in, and the server accepts no password: " + r.Detail
		}
	}
	return nil, rep, &r
}
