package identity

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshkey"
)

// A Spec describes the key pair to make.
type Spec struct {
	Type       string // "ed25519", "rsa", "ecdsa"
	Bits       int    // 0: ssh-keygen's default (3072 for rsa, 256 for ecdsa); of ed25519 ignored, as there
	Comment    string
	Passphrase []byte // nil: none; the caller wipes it
	Rounds     int    // of bcrypt for a passphrase; 0: ssh-keygen's default
}

// maxRSABits is the most that ssh-keygen makes (OpenSSL's
// OPENSSL_RSA_MAX_MODULUS_BITS).
const maxRSABits = 16384

// Check returns what is wrong with the spec, by ssh-keygen's own limits, except
// that RSA must have at least 2048 bits, below which Load would call the pair
// weak, and that a given passphrase must not be empty.
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
	if s.Rounds < 0 || s.Rounds > math.MaxInt32 {
		return fmt.Errorf("%d is not a number of rounds from 1 to %d", s.Rounds, math.MaxInt32)
	}
	if strings.ContainsFunc(s.Comment, unicode.IsControl) {
		return fmt.Errorf("the comment %q holds a control character", s.Comment)
	}
	if s.Passphrase != nil && len(s.Passphrase) == 0 {
		return errors.New("the passphrase is empty")
	}
	return nil
}

// generate makes the private key. One of RSA takes seconds on a small machine.
func (s Spec) generate(ctx context.Context) (crypto.Signer, error) {
	switch s.Type {
	case "rsa":
		bits := s.Bits
		if bits == 0 {
			bits = 3072
		}
		return bounded.Await(ctx, func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) })
	case "ecdsa":
		curve := map[int]elliptic.Curve{0: elliptic.P256(), 256: elliptic.P256(), 384: elliptic.P384(), 521: elliptic.P521()}[s.Bits]
		return ecdsa.GenerateKey(curve, rand.Reader)
	default:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
}

// Make makes a pair and writes it to path and path.pub: complete or absent at
// every moment, without overwriting anything (fs.ErrExist), modes 0600 and
// 0644, and on disk when it returns nil. A missing directory is made, 0700.
//
// The private half is written first. If the machine dies before the .pub is
// there, what remains is a usable pair, whose .pub can be rebuilt; the other
// order would leave a .pub that no private key belongs to. If the .pub cannot
// be written, the private half is removed again.
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
	private, err := encode(key, spec.Comment)
	if err == nil && spec.Passphrase != nil {
		defer clear(private)
		private, err = encrypt(ctx, private, spec.Passphrase, spec.Rounds)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding the key: %w", err)
	}
	defer clear(private)
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

// encode returns a private key as a file in OpenSSH's format.
func encode(key crypto.PrivateKey, comment string) ([]byte, error) {
	block, err := ssh.MarshalPrivateKey(key, comment)
	if err != nil {
		return nil, err
	}
	defer clear(block.Bytes)
	return pem.EncodeToMemory(block), nil
}

// WritePublic writes a .pub file as Make does: complete, 0644, on disk, and
// never over anything (fs.ErrExist). If the same key is already there it
// succeeds, since somebody else may be rebuilding it at the same time.
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

// PublicPEM returns a public key in PEM as ssh-keygen -e -m PEM ("pem") or -m
// PKCS8 ("pkcs8") prints it: RSA as PKCS#1 in the former, all else as
// SubjectPublicKeyInfo, which OpenSSL reads. Not every key has such a form.
func PublicPEM(key sshkey.Public, form string) ([]byte, error) {
	public, err := ssh.ParsePublicKey(key.Blob)
	inner, ok := public.(ssh.CryptoPublicKey)
	if err != nil || !ok || sshkey.IsCertificate(key.Type) || strings.HasPrefix(key.Type, "sk-") {
		return nil, fmt.Errorf("a key of type %s has no PEM form", key.Type)
	}
	plain := inner.CryptoPublicKey()
	if of, ok := plain.(*rsa.PublicKey); ok && form == "pem" {
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(of)}), nil
	}
	der, err := x509.MarshalPKIXPublicKey(plain)
	if err != nil {
		return nil, fmt.Errorf("a key of type %s: %w", key.Type, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}
