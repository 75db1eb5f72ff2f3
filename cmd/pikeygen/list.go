package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/bounded"
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

// listOperand lists a file of public keys line by line, "-" for standard
// input, or the pair of a private key file.
func (c *command) listOperand(ctx context.Context, name string) error {
	var seen bytes.Buffer // of what cannot be read again
	if name == "-" {
		from := "standard input"
		err := c.listPublic(ctx, io.TeeReader(bounded.Reader(c.Stdin, bounded.MaxFile), &seen), from)
		if err == nil || ctx.Err() == nil && c.listLines(err, seen.Bytes(), from) {
			return nil
		}
		return fmt.Errorf("%s: %w", from, err)
	}
	regular := false
	f, err := bounded.Open(ctx, name)
	if err == nil {
		info, serr := f.Stat()
		regular = serr == nil && info.Mode().IsRegular()
		in := bounded.File(f)
		if !regular {
			in = io.TeeReader(in, &seen)
		}
		err = c.listPublic(ctx, in, name)
		f.Close()
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, bounded.ErrTooLarge) {
		return err
	}
	data := seen.Bytes()
	if regular {
		data, _ = bounded.ReadFile(name)
	}
	if c.listLines(err, data, name) {
		return nil
	}
	if info, serr := os.Stat(name); serr == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return fmt.Errorf("%s: %w", name, err) // such as <(…), which cannot be read again
	}
	if e, ok := errors.AsType[*sshkey.PublicError](err); ok && e.Line > 1 && !errors.Is(err, sshkey.ErrPrivateKey) {
		c.Emit(damaged(e, e.Line, name))
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

// listLines lists what is no plain list of keys as ssh-keygen does: a key may
// follow the options of a line of authorized_keys, or the names of one of
// known_hosts. Each line that has none is told, unless all are such; why is what
// keeps the text from being plain.
func (c *command) listLines(why error, data []byte, from string) bool {
	if e, ok := errors.AsType[*sshkey.PublicError](why); !ok || e.Line == 0 || errors.Is(why, sshkey.ErrPrivateKey) {
		return false
	}
	var lines []byte
	var tell []record.Record
	found := false
	for n, line := range bytes.Split(data, []byte("\n")) {
		var r record.Record
		keys, err := sshkey.ReadPublic(line)
		e, refused := errors.AsType[*sshkey.PublicError](err)
		entry, after := authorizedkeys.ParseLine(line)
		after = after && len(entry.Key.Blob) > 0
		switch {
		case err == nil:
			lines, r = c.append(lines, keys[0], from)
		case after:
			entry.Key.Comment = cmp.Or(entry.Key.Comment, string(bytes.Fields(line)[0]))
			lines, r = c.append(lines, entry.Key, from)
		case !refused || e.Line == 0: // a comment
			continue
		default:
			r = damaged(e, n+1, from)
			lines = c.Append(lines, r)
		}
		found = found || err == nil || after
		if r.Verdict.Bad() {
			tell = append(tell, r)
		}
	}
	if !found {
		return false
	}
	c.Print(lines)
	for _, r := range tell {
		c.Tell(r)
	}
	return true
}

// damaged is the record of a line of a list that has no key.
func damaged(e *sshkey.PublicError, line int, from string) record.Record {
	return record.Record{Verdict: record.Fail, Cause: "key-damaged", Subject: from, Detail: fmt.Sprintf("line %d: %v", line, e.Err), Hint: e.Hint()}
}

// readAll reads what may be a list of public keys.
func readAll(ctx context.Context, r io.Reader) ([]byte, error) {
	return bounded.Await(ctx, func() ([]byte, error) { return bounded.ReadAll(r, bounded.MaxFile) })
}

// listPublic writes the record of each key in a list, or says why it is none. Of
// a long one many are written at once.
func (c *command) listPublic(ctx context.Context, list io.Reader, from string) error {
	type part struct {
		lines []byte
		tell  []record.Record
	}
	parts, err := bounded.Await(ctx, func() ([]part, error) {
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
