package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sshkey"
)

// An Input is the public keys to install, and where their private halves may
// be.
type Input struct {
	Keys  []sshkey.Public
	Files []string
}

// maxInput is more than anybody's list of keys, and less than what a mistaken
// name may cost.
const maxInput = 16 << 20

// Read reads the keys of one -i: a file, to whose name .pub is added if that
// exists, or "-" for in. The public half of a lone private key file is read
// from its clear part; nothing of the private half is kept.
func (n *Input) Read(name string, in io.Reader) error {
	if name == "-" {
		data, err := read(in)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		keys, err := sshkey.ReadPublic(data)
		if err != nil {
			return fmt.Errorf("standard input: %w", err)
		}
		n.add(keys...)
		return nil
	}
	private := strings.TrimSuffix(name, ".pub")
	data, err := readFile(private + ".pub")
	if err != nil && errors.Is(err, fs.ErrNotExist) && name == private {
		return n.readOther(name)
	}
	if err != nil {
		return err
	}
	keys, err := sshkey.ReadPublic(data)
	if err != nil {
		return fmt.Errorf("%s.pub: %w", private, err)
	}
	n.add(keys...)
	n.Files = append(n.Files, private)
	return nil
}

// readOther takes a file without a .pub beside it: public keys under another
// name, or a private key that tells its public half.
func (n *Input) readOther(name string) error {
	data, err := readFile(name)
	if err != nil {
		return err
	}
	keys, err := sshkey.ReadPublic(data)
	if err == nil {
		n.add(keys...)
		return nil
	}
	if !errors.Is(err, sshkey.ErrPrivateKey) {
		return fmt.Errorf("%s: %w", name, err)
	}
	pair, pairErr := identity.Load(name)
	if pairErr != nil || pair.Public.Blob == nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n.add(pair.Public)
	n.Files = append(n.Files, name)
	return nil
}

func (n *Input) add(keys ...sshkey.Public) {
	for _, k := range keys {
		if !slices.ContainsFunc(n.Keys, k.Equal) {
			n.Keys = append(n.Keys, k)
		}
	}
}

// WithoutCertificates removes the certificates whose keys are there too, as an
// agent lists them. A certificate alone is an error: sshd skips a line that
// holds one.
func (n *Input) WithoutCertificates() error {
	for _, k := range n.Keys {
		if sshkey.IsCertificate(k.Type) && !slices.ContainsFunc(n.Keys, k.Plain().Equal) {
			return fmt.Errorf("%s %s is a certificate, which does not belong in authorized_keys", k.Name(), k.Fingerprint())
		}
	}
	n.Keys = slices.DeleteFunc(n.Keys, func(k sshkey.Public) bool { return sshkey.IsCertificate(k.Type) })
	return nil
}

// ErrNoKey means that no key was named and this side has none to install.
var ErrNoKey = errors.New("no key to install: ssh's key files are not there, and no agent holds one")

// Default chooses what pikeycopy installs when no -i is given: the first pair
// that ssh would use by itself, or else the keys of the agent. If there is only a
// pair that cannot be used, the error is an identity.Fault.
func (n *Input) Default(keys connect.Keys) error {
	for _, c := range keys.Candidates {
		if c.Pair != nil && c.HasPrivate() && len(c.Faults) == 0 && !c.IsCertificate() {
			n.add(c.Public)
			return nil
		}
	}
	for _, c := range keys.Candidates {
		if c.Agent && !c.IsCertificate() {
			n.add(c.Public)
		}
	}
	if len(n.Keys) == 0 {
		return useless(keys)
	}
	return nil
}

// useless returns the first fault of the pairs that are there, or ErrNoKey.
func useless(keys connect.Keys) error {
	for _, c := range keys.Candidates {
		if len(c.Faults) > 0 && !c.IsCertificate() {
			return c.Faults[0]
		}
	}
	for _, p := range keys.Broken {
		if len(p.Faults) > 0 {
			return p.Faults[0]
		}
	}
	return ErrNoKey
}

func readFile(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s: a directory, not a public key file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return data, nil
}

func read(r io.Reader) ([]byte, error) {
	data, err := bounded.ReadAll(r, maxInput)
	if errors.Is(err, bounded.ErrTooLarge) {
		err = fmt.Errorf("more than %d MiB are too many for a list of public keys", maxInput>>20)
	}
	return data, err
}
