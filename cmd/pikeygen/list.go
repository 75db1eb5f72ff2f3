package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// list writes a record for each key and each fault, or with -v the picture of
// each key.
func (c *command) list() error {
	operands := c.operands
	if c.file != "" {
		operands = []string{c.file}
	}
	if len(operands) == 0 {
		return c.listDefault()
	}
	var errs []error // each is told, and the rest is done
	for _, name := range operands {
		errs = append(errs, c.listOperand(name))
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

// maxInput is more than any list of public keys has, and less than what hurts.
const maxInput = 16 << 20

// listOperand lists a file of public keys line by line, "-" for standard
// input, or the pair of a private key file.
func (c *command) listOperand(name string) error {
	if name == "-" {
		keys, err := readPublic(c.Stdin)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		c.listPublic(keys, "standard input")
		return nil
	}
	keys, err := readPublicFile(name)
	if err == nil {
		c.listPublic(keys, name)
		return nil
	}
	if info, serr := os.Stat(name); serr == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice) != 0 {
		return fmt.Errorf("%s: %w", name, err) // such as <(…), which cannot be read again
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

func readPublic(r io.Reader) ([]sshkey.Public, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxInput {
		return nil, fmt.Errorf("more than %d MiB", maxInput>>20)
	}
	return sshkey.ReadPublic(data)
}

func readPublicFile(name string) ([]sshkey.Public, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readPublic(f)
}

func (c *command) listPublic(keys []sshkey.Public, from string) {
	for _, key := range keys {
		if why := identity.Weak(key); why != "" {
			c.Emit(record.Record{Verdict: record.Fail, Cause: "key-weak", Subject: key.Fingerprint(), Detail: why, Hint: "pikeygen -t ed25519"})
			continue
		}
		c.listKey(key, from)
	}
}

func (c *command) listPair(pair *identity.Pair) {
	from := pair.Path
	if pair.Private.Encrypted {
		from += ", with a passphrase"
	}
	switch {
	case pair.Usable():
		c.listKey(pair.Public, from)
	case len(pair.Faults) == 0 && slices.Contains(pair.Missing, "private"):
		c.Emit(record.Record{Verdict: record.Fail, Cause: "key-missing", Subject: pair.Path, Detail: "only the public half is there"})
	}
	for _, f := range pair.Faults {
		c.Emit(f.Record())
	}
}

// listKey writes the record of a key that can be used, or with -v what
// ssh-keygen -lv draws.
func (c *command) listKey(key sshkey.Public, from string) {
	comment := key.Comment
	if comment == "" {
		comment = "no comment" // as ssh-keygen says
	}
	if c.Verbose > 0 && !c.JSON {
		c.Print(fmt.Appendf(nil, "%d %s %s (%s)\n%s", key.Bits(), key.Fingerprint(), record.Escape(comment), key.Name(), key.Randomart()))
		return
	}
	c.Emit(record.Record{Verdict: record.OK, Cause: "key", Subject: key.Fingerprint(),
		Detail: fmt.Sprintf("%d %s %s %s", key.Bits(), key.Name(), comment, from)})
}
