package main

import (
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

// public prints the public key of a private one, and writes it beside that if
// it is missing.
//
// Where the .pub belongs to another private key, or says nothing, nothing is
// printed: whoever wants the one or the other would get it without knowing.
func (c *command) public(ctx context.Context) error {
	pair, err := c.private()
	if err != nil {
		return err
	}
	key := pair.Public
	for _, f := range pair.Faults {
		switch f.Cause {
		case "key-mode", "key-weak": // the public half is as true as ever
			c.noteFault(f)
		case "key-encrypted":
			if key, err = c.open(ctx, pair); err != nil {
				return err
			}
		default:
			return cli.WithHint(f, "%s", f.Hint)
		}
	}
	if len(key.Blob) == 0 { // DSA in PEM, the weak key without a .pub
		return cli.WithHint(fmt.Errorf("%s: its public half cannot be read here", pair.Path),
			"ssh-keygen -y -f %s", sh.Quote(pair.Path))
	}
	if pair.NoPublic {
		file := pair.Path + ".pub"
		if c.dryRun {
			c.Notef("", "would write %s", file)
			c.Emit(record.Record{Verdict: record.Todo, Cause: "key-made", Subject: file, Detail: "the public half, from the private key file"})
			return nil
		}
		if err = identity.WritePublic(file, key); err == nil {
			c.Notef("", "made %s (%s)", file, describe(key))
		}
	}
	return cmp.Or(err, c.print(key))
}

// noteFault tells of a fault that is no obstacle.
func (c *command) noteFault(f identity.Fault) {
	c.Notef("", "%s: %s", f.Path, f.Detail)
	if !c.Quiet {
		c.Hintf("%s", f.Hint)
	}
}

// private returns the pair that -f names, or the one that would be found.
func (c *command) private() (*identity.Pair, error) {
	if c.file == "" {
		pair, passed, err := c.find()
		for _, p := range passed {
			c.notePassed(p)
		}
		if err == nil && pair == nil {
			err = cli.WithHint(fmt.Errorf("no usable key pair in %s", c.folder()), "name the file with -f, or make a pair: pikeygen")
		}
		return pair, err
	}
	pair, err := identity.Load(c.file)
	if err == nil && pair.NoPrivate {
		err = cli.WithHint(fmt.Errorf("%s: only the public half is there", pair.Path), "it is in %s.pub", pair.Path)
	}
	return pair, err
}

// open asks for the passphrase of a private half whose public one is not in
// clear.
func (c *command) open(ctx context.Context, pair *identity.Pair) (sshkey.Public, error) {
	signer, err := pair.Signer(ctx, c.passphrase(c.passphraseFile, "Enter passphrase for key '%s': ", pair.Path))
	if errors.Is(err, secret.ErrNobody) {
		err = cli.WithHint(err, "pikeygen -y --passphrase-file FILE -f %s", sh.Quote(pair.Path))
	}
	if err != nil {
		return sshkey.Public{}, err
	}
	return identity.PublicOf(signer.PublicKey()), nil
}

// passphrase returns what gets a passphrase from a file, or asks for it.
func (c *command) passphrase(file, prompt string, args ...any) func(context.Context) ([]byte, error) {
	source := secret.Source{File: file, Getenv: c.Getenv}
	return func(ctx context.Context) ([]byte, error) { return source.Get(ctx, fmt.Sprintf(prompt, args...)) }
}
