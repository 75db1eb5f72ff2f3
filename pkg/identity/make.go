package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshkey"
)

// A Spec is the key pair to make.
type Spec struct {
	Type       string // "ed25519", "rsa", "ecdsa"
	Bits       int    // 0: ssh-keygen's default (3072 for rsa, 256 for ecdsa); of ed25519 ignored, as there
	Comment    string
	Passphrase []byte // nil: none; the caller wipes it
}

// maxRSABits is the most that ssh-keygen makes (OpenSSL's
// OPENSSL_RSA_MAX_MODULUS_BITS).
const maxRSABits = 16384

// Check says what is wrong with the spec, by ssh-keygen's own limits; but RSA
// must have the 2048 bits without which Load would call the pair weak, and a
// passphrase that is given must not be empty.
func (s Spec) Check() error {
	switch s.Type {
	case "ed25519":
	case "rsa":
		if s.Bits != 0 && (s.Bits < minRSABits || s.Bits > maxRSABits) {
			return fmt.Errorf("an rsa key has %d to %d bits, not %d", minRSABits, maxRSABits, s.Bits)
		}
	case "ecdsa":
		if s.Bits != 0 && s.Bits != 256 && s.Bits != 384 && s.Bits != 521 {
			return fmt.Errorf("an ecdsa key has 256, 384 or 521 bits, not %d", s.Bits)
		}
	default:
		return fmt.Errorf("unknown key type %q: ed25519, rsa or ecdsa", s.Type)
	}
	if strings.ContainsFunc(s.Comment, unicode.IsControl) {
		return fmt.Errorf("the comment %q holds a control character", s.Comment)
	}
	if s.Passphrase != nil && len(s.Passphrase) == 0 {
		return errors.New("the passphrase is empty")
	}
	return nil
}

// generate makes the private key. One of RSA takes seconds on a small machine
// and cannot be stopped: when ctx ends first, it is left to itself.
func (s Spec) generate(ctx context.Context) (crypto.Signer, error) {
	switch s.Type {
	case "rsa":
		type result struct {
			key *rsa.PrivateKey
			err error
		}
		done := make(chan result, 1)
		go func() {
			bits := s.Bits
			if bits == 0 {
				bits = 3072
			}
			key, err := rsa.GenerateKey(rand.Reader, bits)
			done <- result{key, err}
		}()
		select {
		case r := <-done:
			return r.key, r.err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	case "ecdsa":
		curve := map[int]elliptic.Curve{0: elliptic.P256(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}[s.Bits]
		return ecdsa.GenerateKey(curve, rand.Reader)
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}

// Make makes a pair and writes it to path and path.pub: complete or absent at
// every moment, nothing overwritten (fs.ErrExist), 0600 and 0644, on the disk
// when it returns nil. The folder is made, 0700, if it is missing.
//
// The private half is written first. Should the machine die before the .pub
// is there, what remains is a usable pair, whose .pub can be rebuilt; the
// other order would leave a .pub that no private key belongs to. When the .pub
// cannot be written, the private half is removed again.
func Make(ctx context.Context, path string, spec Spec) (*Pair, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	for _, half := range []string{path, path + ".pub"} {
		// Not Stat: a link that leads nowhere is in the way too.
		if _, err := os.Lstat(half); err == nil {
			return nil, &fs.PathError{Op: "create", Path: half, Err: fs.ErrExist}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if err := hostfs.MakeDir(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}

	key, err := spec.generate(ctx)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	var block *pem.Block
	if spec.Passphrase == nil {
		block, err = ssh.MarshalPrivateKey(key, spec.Comment)
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, spec.Comment, spec.Passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	private := pem.EncodeToMemory(block)
	defer clear(private)
	defer clear(block.Bytes)
	if ed, ok := key.(ed25519.PrivateKey); ok {
		defer clear(ed)
	}
	sshPublic, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	public := PublicOf(sshPublic)
	public.Comment = spec.Comment

	if err := context.Cause(ctx); err != nil { // a signal: nothing is written yet
		return nil, err
	}
	if err := hostfs.CreateNew(path, private, 0o600); err != nil {
		return nil, err
	}
	if err := WritePublic(path+".pub", public); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return Load(path)
}

// WritePublic writes a .pub file as Make does: complete, 0644, on the disk,
// and never over anything (fs.ErrExist), but content with what is there if it
// is the same key, since somebody else may rebuild it at the same time.
func WritePublic(path string, key sshkey.Public) error {
	err := hostfs.CreateNew(path, []byte(key.Line()+"\n"), 0o644)
	if errors.Is(err, fs.ErrExist) {
		if data, _, rerr := readKey(path); rerr == nil {
			if keys, perr := sshkey.ReadPublic(data); perr == nil && keys[0].Equal(key) {
				return nil
			}
		}
	}
	return err
}
