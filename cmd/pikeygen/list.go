package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
	"time"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// list writes a record for each key and each fault, or with -v the picture of
// each key.
func (c *command) list(ctx context.Context) error {
	operands := c.operands
	if c.file != "" {
		operands = []string{c.file}
	}
	if len(operands) == 0 {
		return c.listDefault()
	}
	var errs []error // each is told, and the rest is done
	for _, name := range operands {
		errs = append(errs, c.listOperand(ctx, name))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// listDefault lists the pairs under ssh's default names.
func (c *command) listDefault() error {
	found := false
	for _, path := range c.files() {
		pair, err := identity.Load(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		found = true
		c.listPair(pair)
	}
	if !found {
		c.Emit(record.Record{Verdict: record.Fail, Cause: "key-missing", Subject: c.folder(),
			Detail: "none of ssh's default key files is there", Hint: "make a pair: pikeygen"})
	}
	return nil
}

// maxInput is more than any list of public keys has (a hundred thousand of RSA
// have 56 MB), and less than what hurts.
const maxInput = 128 << 20

// listOperand lists a file of public keys line by line, "-" for standard
// input, or the pair of a private key file.
func (c *command) listOperand(ctx context.Context, name string) error {
	if name == "-" {
		if err := c.listPublic(ctx, hostfs.AtMost(c.Stdin, maxInput), "standard input"); err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		return nil
	}
	f, err := hostfs.Open(ctx, name)
	if err == nil {
		err = c.listPublic(ctx, hostfs.Bounded(f), name)
		f.Close()
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if info, serr := os.Stat(name); serr == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return fmt.Errorf("%s: %w", name, err) // such as <(…), which cannot be read again
	}
	if e, ok := errors.AsType[*sshkey.PublicError](err); ok && e.Line > 1 && !errors.Is(err, sshkey.ErrPrivateKey) {
		c.Emit(record.Record{Verdict: record.Fail, Cause: "key-damaged", Subject: name, Detail: e.Error(), Hint: e.Hint()})
		return nil
	}
	pair, err := identity.Load(name)
	if errors.Is(err, fs.ErrNotExist) {
		c.Emit(record.Record{Verdict: record.Fail, Cause: "key-missing", Subject: name, Detail: "there is no such file"})
		return nil
	}
	if err != nil {
		return err
	}
	c.listPair(pair)
	return nil
}

// readAll reads what may be a list of public keys.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	return hostfs.Await(ctx, func() ([]byte, error) { return hostfs.ReadAtMost(r, maxInput) })
}

// listPublic writes the record of each key in a list, or says why it is none. Of
// a long one many are written at once.
func (c *command) listPublic(ctx context.Context, list io.Reader, from string) error {
	type part struct {
		lines []byte
		tell  []record.Record
	}
	parts, err := hostfs.Await(ctx, func() ([]part, error) {
		return sshkey.ReadParts(list, func(keys iter.Seq[sshkey.Public]) (p part) {
			p.lines = make([]byte, 0, 132<<10) // about as many as ReadParts has at a time
			for key := range keys {
				var r record.Record
				if p.lines, r = c.append(p.lines, key, from); r.Verdict.Bad() {
					p.tell = append(p.tell, r)
				}
			}
			return p
		})
	})
	for _, p := range parts {
		c.Print(p.lines)
		for _, r := range p.tell {
			c.Tell(r)
		}
	}
	return err
}

func (c *command) listPair(pair *identity.Pair) {
	from := pair.Path
	if pair.Private.Encrypted {
		from += ", with a passphrase"
	}
	switch {
	case pair.Usable():
		line, _ := c.append(nil, pair.Public, from) // not weak
		c.Print(line)
	case len(pair.Faults) == 0 && pair.NoPrivate:
		c.Emit(record.Record{Verdict: record.Fail, Cause: "key-missing", Subject: pair.Path, Detail: "only the public half is there"})
	}
	for _, f := range pair.Faults {
		c.Emit(f.Record())
	}
}

// append appends the record of a public key as it is printed, or with -v what
// ssh-keygen -lv draws of one that is fit for use.
func (c *command) append(b []byte, key sshkey.Public, from string) ([]byte, record.Record) {
	if why := identity.Weak(key); why != "" {
		r := record.Record{Verdict: record.Fail, Cause: "key-weak", Subject: key.Fingerprint(), Detail: why, Hint: "pikeygen -t ed25519"}
		return c.Append(b, r), r
	}
	if sshkey.IsCertificate(key.Type) && (c.Verbose == 0 || c.JSON) {
		if cert, is, err := key.Certificate(); is && err == nil {
			r, faulty := identity.CertificateFault(key, cert, from, time.Now())
			if !faulty {
				r = identity.CertificateRecord(key, cert, from)
			}
			return c.Append(b, r), r
		}
	}
	comment := key.Comment
	if comment == "" {
		comment = "no comment" // as ssh-keygen says
	}
	size, name := key.Shown()
	bits := strconv.Itoa(size)
	r := record.Record{Verdict: record.OK, Cause: "key", Subject: key.Fingerprint(), Detail: bits + " " + name + " " + comment + " " + from}
	if c.Verbose > 0 && !c.JSON {
		return fmt.Appendf(b, "%s %s %s (%s)\n%s", bits, r.Subject, record.Escape(comment), name, key.Randomart()), r
	}
	return c.Append(b, r), r
}
