package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// changePassphrase gives the private key of -f another passphrase, its first,
// or, with remove, none.
func (c *command) changePassphrase(ctx context.Context, remove bool) error {
	pair, err := c.private()
	if err != nil {
		return err
	}
	for _, f := range pair.Faults {
		switch f.Cause {
		case "key-damaged", "key-format", "key-unreadable":
			if f.Path == pair.Path {
				return cli.WithHint(f, "%s", f.Hint)
			}
		case "key-encrypted": // as it shall be
			continue
		}
		c.noteFault(f)
	}
	r := record.Record{Verdict: record.Done, Cause: "passphrase-set", Subject: pair.Path}
	r.Detail = fmt.Sprintf("%d rounds of bcrypt", cmp.Or(c.spec.Rounds, sshkey.DefaultRounds))
	switch {
	case remove && !pair.Private.Encrypted:
		c.Emit(record.Record{Verdict: record.OK, Cause: "passphrase-removed", Subject: pair.Path, Detail: "it has none"})
		return nil
	case remove:
		r.Cause, r.Detail = "passphrase-removed", "anybody who can read the file can log in with it"
	case pair.Private.Encrypted:
		r.Detail += ", instead of another passphrase"
	default:
		r.Detail += ", where none was"
	}
	if c.dryRun {
		r.Verdict = record.Todo
		c.Emit(r)
		return nil
	}
	if !pair.Private.Encrypted && c.passphraseFile != "" {
		c.Tracef(1, "", "%s is not read: there is no old passphrase", c.passphraseFile)
	}
	fresh := c.freshPassphrase(pair)
	if remove {
		fresh = func(context.Context) ([]byte, error) { return nil, nil }
	}
	err = pair.Protect(ctx, c.passphrase(c.passphraseFile, "Enter old passphrase for key '%s': ", pair.Path), fresh, c.spec.Rounds)
	if errors.Is(err, secret.ErrNobody) {
		err = cli.WithHint(err, "pikeygen -p --passphrase-file OLD --new-passphrase-file NEW -f %s", sh.Quote(pair.Path))
	}
	if err != nil {
		return err
	}
	c.Emit(r)
	return nil
}

// freshPassphrase returns what gets the new passphrase, twice where a person
// types it.
func (c *command) freshPassphrase(pair *identity.Pair) func(context.Context) ([]byte, error) {
	first := c.passphrase(c.newFile, "Enter new passphrase for key '%s': ", pair.Path)
	if c.newFile != "" {
		return first
	}
	again := c.passphrase("", "Enter same passphrase again: ")
	return func(ctx context.Context) ([]byte, error) {
		one, err := first(ctx)
		switch {
		case err != nil:
			return nil, fmt.Errorf("the new passphrase: %w", err)
		case len(one) == 0:
			return nil, cli.WithHint(errors.New("the new passphrase is empty"), "to have none: pikeygen -p -N '' -f %s", sh.Quote(pair.Path))
		}
		two, err := again(ctx)
		defer secret.Wipe(two)
		if err == nil && !bytes.Equal(one, two) {
			err = errors.New("the two passphrases are not the same")
		}
		if err != nil {
			secret.Wipe(one)
			return nil, fmt.Errorf("the new passphrase: %w", err)
		}
		return one, nil
	}
}
