package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// findOrMake prints the public key of the pair that is there, or of a new one.
func (c *command) findOrMake(ctx context.Context) error {
	for again := true; ; again = false {
		pair, passed, err := c.find()
		if err != nil {
			return err
		}
		var obstacle *identity.Pair
		for _, p := range passed {
			if pair == nil && p.Path == c.target() {
				obstacle = p // told as the error
			} else {
				c.notePassed(p)
			}
		}
		if pair != nil {
			return c.use(pair)
		}
		if obstacle != nil {
			return c.inTheWay(obstacle)
		}
		if c.dryRun {
			c.Notef("", "would make an %s key pair at %s", c.spec.Type, c.target())
			c.Emit(record.Record{Verdict: record.Todo, Cause: "key-made", Subject: c.target(), Detail: "a new pair: " + c.spec.Type})
			return nil
		}
		pair, err = c.make(ctx)
		if errors.Is(err, fs.ErrExist) && again {
			continue // somebody else was faster: use theirs
		}
		if errors.Is(err, fs.ErrExist) {
			return cli.WithHint(err, "choose another name: pikeygen -f FILE")
		}
		if err != nil {
			return err
		}
		c.Notef("", "made %s (%s)", pair.Path, describe(pair.Public))
		return c.print(pair.Public)
	}
}

// find returns the first pair that can be used, or nil, and what stands there
// but is skipped.
func (c *command) find() (usable *identity.Pair, passed []*identity.Pair, err error) {
	for _, path := range c.files() {
		pair, err := identity.Load(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			c.Tracef(1, "", "%s: not there", path)
		case err != nil:
			return nil, nil, err
		case pair.Usable() && c.rightType(pair.Public):
			return pair, passed, nil
		default:
			passed = append(passed, pair)
		}
	}
	return nil, passed, nil
}

// notePassed says why a pair is skipped, and what can be done about it. Of
// pairs that were not asked for only -v tells.
func (c *command) notePassed(pair *identity.Pair) {
	if !c.rightType(pair.Public) && len(pair.Public.Blob) > 0 {
		c.Tracef(1, "", "%s: skipped: %s", pair.Path, c.objection(pair))
		return
	}
	c.Notef("", "%s: skipped: %s", pair.Path, c.objection(pair))
	for _, f := range pair.Faults {
		if !c.Quiet {
			c.Hintf("%s", f.Hint)
		}
	}
}

// rightType reports whether -t asks for such a key.
func (c *command) rightType(key sshkey.Public) bool {
	switch key.Type {
	case "ssh-ed25519":
		return c.anyType || c.spec.Type == "ed25519"
	case "ssh-rsa":
		return c.anyType || c.spec.Type == "rsa"
	case "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521":
		return c.anyType || c.spec.Type == "ecdsa"
	}
	return c.anyType
}

// objection says why a pair is not taken.
func (c *command) objection(pair *identity.Pair) string {
	switch {
	case len(pair.Faults) > 0:
		var all []string
		for _, f := range pair.Faults {
			name := ""
			if f.Path != pair.Path {
				name = filepath.Base(f.Path) + ": "
			}
			all = append(all, fmt.Sprintf("%s: %s%s", f.Cause, name, f.Detail))
		}
		return strings.Join(all, "; ")
	case pair.NoPrivate:
		return "only the public half is there"
	}
	return fmt.Sprintf("it is %s and not %s", pair.Public.Name(), c.spec.Type)
}

// inTheWay is the error of a file that cannot be used and is not overwritten.
func (c *command) inTheWay(pair *identity.Pair) error {
	err := fmt.Errorf("%s exists but cannot be used: %s", pair.Path, c.objection(pair))
	hint := "make a pair under another name: pikeygen -f FILE"
	if len(pair.Faults) > 0 {
		hint = pair.Faults[0].Hint + "; or " + hint
	}
	return cli.WithHint(err, "%s", hint)
}

// use prints the public key of a pair that was found.
func (c *command) use(pair *identity.Pair) error {
	c.Notef("", "using %s (%s)", pair.Path, describe(pair.Public))
	if bits := pair.Public.Bits(); c.spec.Bits != 0 && bits != c.spec.Bits && c.spec.Type != "ed25519" {
		c.Notef("", "it has %d bits: -b %d is for a new key", bits, c.spec.Bits)
	}
	if c.passphraseFile != "" {
		c.Tracef(1, "", "%s is not read, since no key is made", c.passphraseFile)
	}
	if pair.NoPublic {
		c.Notef("", "%s.pub is missing; to rebuild it: pikeygen -y -f %s", pair.Path, sh.Quote(pair.Path))
	}
	return c.print(pair.Public)
}

// describe returns "256 ED25519 SHA256:…".
func describe(key sshkey.Public) string {
	return fmt.Sprintf("%d %s %s", key.Bits(), key.Name(), key.Fingerprint())
}

func (c *command) make(ctx context.Context) (*identity.Pair, error) {
	spec := c.spec
	if c.passphraseFile != "" {
		passphrase, err := c.passphrase(c.passphraseFile, "")(ctx)
		if err != nil {
			return nil, err
		}
		defer secret.Wipe(passphrase)
		spec.Passphrase = passphrase
	}
	if c.spec.Rounds > 0 && spec.Passphrase == nil {
		c.Notef("", "-a has no effect without a passphrase: --passphrase-file FILE")
	}
	c.Tracef(1, "", "making an %s key", spec.Type)
	return identity.Make(ctx, c.target(), spec)
}
