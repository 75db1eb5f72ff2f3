package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// A signing is what is particular to -s.
type signing struct {
	authority string // -s: the file of the key that signs
	agent     bool   // -U: the agent has it
	says      identity.Certification
	serial    string // -z
	cert      sshkey.Certificate
	next      bool // each certificate has the serial number after the one before
}

// check judges the words of the command line, and fills in the certificate.
func (s *signing) check(operands []string) (err error) {
	switch {
	case s.authority == "" || s.authority == "-":
		return errors.New("-s needs the key file of a certification authority")
	case len(operands) == 0:
		return errors.New("-s needs the files of the keys to sign, or - for standard input")
	}
	if s.cert, err = s.says.Certificate(time.Now()); err != nil {
		return err
	}
	number, next := strings.CutPrefix(s.serial, "+")
	s.next = next
	if s.cert.Serial, err = strconv.ParseUint(number, 10, 64); err != nil {
		return fmt.Errorf("-z %q is not a serial number", s.serial)
	}
	return nil
}

// A subject is a key to be certified.
type subject struct {
	key  sshkey.Public
	file string // where the certificate goes; "" for standard output alone
}

// sign writes the certificate of each key beside it, and prints it. What
// cannot be read or written is told, and the rest is done.
func (c *command) sign(ctx context.Context) error {
	var subjects []subject
	var errs []error
	for _, name := range c.operands {
		found, err := c.subjects(ctx, name)
		subjects, errs = append(subjects, found...), append(errs, err)
	}
	if s := &c.signing; s.next && s.cert.Serial > math.MaxUint64-uint64(len(subjects)) {
		return fmt.Errorf("-z %s: there are not that many serial numbers", s.serial)
	}
	if len(subjects) == 0 {
		return errors.Join(errs...)
	}
	if c.says.Validity == "" {
		c.Notef("", "without -V a certificate is valid forever; -V +52w ends it")
	}
	authority, done, err := c.certifier(ctx)
	if err != nil {
		return err
	}
	defer done()
	for _, s := range subjects {
		if err := context.Cause(ctx); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, c.certify(authority, s))
	}
	return errors.Join(errs...)
}

// certify makes one certificate; without an authority, in a dry run, it says
// so.
func (c *command) certify(authority ssh.Signer, s subject) error {
	cert := &c.cert
	words := fmt.Sprintf("id %q serial %d for %s, valid %s", cert.ID, cert.Serial, strings.Join(cert.Principals, ","), identity.Validity(*cert, time.Local))
	if c.next {
		defer func() { cert.Serial++ }()
	}
	if authority == nil {
		if s.file != "" {
			if err := identity.Renews(s.file, s.key); err != nil {
				return err
			}
		}
		c.Emit(record.Record{Verdict: record.Todo, Cause: "cert-made", Subject: s.key.Fingerprint(), Detail: strings.TrimSpace(s.file + " " + words)})
		return nil
	}
	name := "standard input"
	if s.file != "" {
		name = s.file
	}
	public, err := identity.Certify(authority, s.key, *cert)
	if err == nil && s.file != "" {
		err = identity.WriteCertificate(s.file, public)
	} else if err != nil {
		err = fmt.Errorf("%s: not signed: %w", name, err)
	}
	if err != nil {
		return err
	}
	c.Notef("", "signed %s (%s): %s", name, s.key.Fingerprint(), words)
	c.Print([]byte(public.Line() + "\n"))
	return nil
}

// readPublic reads the keys in what was read.
func readPublic(data []byte, err error) ([]sshkey.Public, error) {
	if err != nil {
		return nil, err
	}
	return sshkey.ReadPublic(data)
}

// subjects reads the keys of one operand: those of standard input, or the one of
// a file that either half names.
func (c *command) subjects(ctx context.Context, name string) ([]subject, error) {
	if name == "-" {
		keys, err := readPublic(readAll(ctx, c.Stdin))
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		var all []subject
		for _, key := range keys {
			all = append(all, subject{key: key})
		}
		return all, nil
	}
	s := subject{file: identity.CertificateFile(name)}
	keys, err := readPublic(bounded.Await(ctx, func() ([]byte, error) { return bounded.ReadFile(name) }))
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil && len(keys) > 1:
		return nil, cli.WithHint(fmt.Errorf("%s holds %d keys, and a certificate is for one", name, len(keys)), "sign keys from standard input: pikeygen -s CA ... - <%s", sh.Quote(name))
	case err == nil:
		s.key = keys[0]
	default:
		pair, perr := identity.Load(name)
		switch {
		case perr != nil:
			return nil, perr
		case pair.Public.Blob == nil || slices.ContainsFunc(pair.Faults, func(f identity.Fault) bool { return f.Cause == "key-pair-mismatch" }):
			return nil, cli.WithHint(fmt.Errorf("%s: %s", name, c.objection(pair)), "%s", pair.Faults[0].Hint)
		}
		s.key = pair.Public
	}
	if sshkey.IsCertificate(s.key.Type) {
		return nil, fmt.Errorf("%s: it is a certificate already: give the key that it is for", name)
	}
	return []subject{s}, nil
}

// agentPatience is how long the agent has for each answer: for a signature it may
// ask somebody.
const agentPatience = 30 * time.Second

// certifier opens the key of the authority, or finds it in the agent. In a dry
// run it is only looked at. done gives back what it needs.
func (c *command) certifier(ctx context.Context) (authority ssh.Signer, done func(), err error) {
	done = func() {}
	pair, err := identity.Load(c.authority)
	if err != nil {
		return nil, done, fmt.Errorf("-s %w", err)
	}
	if c.signing.agent {
		if pair.Public.Blob == nil {
			return nil, done, fmt.Errorf("-s %s: its public half, by which the agent knows it, cannot be read", pair.Path)
		}
		agent, err := identity.DialAgent(ctx, c.Getenv("SSH_AUTH_SOCK"))
		if err != nil {
			return nil, done, cli.WithHint(fmt.Errorf("-U: %w", err), `eval "$(ssh-agent -s)" && pikeycheck -a %s`, sh.Quote(pair.Path))
		}
		agent.Patience = agentPatience
		if authority, err = agent.KeyNamed(ctx, pair.Public); err != nil {
			agent.Close()
			err = fmt.Errorf("-U: %w", err)
			if errors.Is(err, identity.ErrNotHeld) {
				err = cli.WithHint(err, "add it there: pikeycheck -a %s", sh.Quote(pair.Path))
			}
			return nil, done, err
		}
		if c.dryRun {
			authority = nil
		}
		return authority, func() { agent.Close() }, nil
	}
	for _, f := range pair.Faults {
		if f.Cause != "key-encrypted" {
			return nil, done, cli.WithHint(fmt.Errorf("-s %w", f), "%s", f.Hint)
		}
	}
	if pair.NoPrivate {
		return nil, done, cli.WithHint(fmt.Errorf("-s %s: only the public half is there", pair.Path), "if the agent has the other: -U")
	}
	if c.dryRun {
		return nil, done, nil
	}
	authority, err = pair.Signer(ctx, c.passphrase(c.passphraseFile, "Enter passphrase for key '%s': ", pair.Path))
	if errors.Is(err, secret.ErrNobody) {
		err = cli.WithHint(err, "--passphrase-file FILE, or have the agent sign: -U")
	} else if unsupported, ok := errors.AsType[*identity.UnsupportedError](err); ok {
		err = cli.WithHint(err, "%s; and have that sign: -U", unsupported.Hint())
	}
	return authority, done, err
}
