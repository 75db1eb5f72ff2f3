package identity

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// ErrPassphraseNeeded means that the private half is encrypted and nobody gave
// the passphrase; it comes with the reason.
var ErrPassphraseNeeded = errors.New("the private key is encrypted and no passphrase was given")

// ErrPassphraseWrong means that the passphrase does not open the private half.
var ErrPassphraseWrong = sshkey.ErrPassphraseWrong

// An UnsupportedError means that ssh can open a private half but this package
// cannot. Its agent can sign with it.
type UnsupportedError struct {
	Path   string
	Reason string // "its cipher aes256-gcm@openssh.com is not supported", …
	Rewrap bool   // changing how it is encrypted would help
}

func (e *UnsupportedError) Error() string { return e.Path + ": " + e.Reason }

// Hint returns what the user can do about it.
func (e *UnsupportedError) Hint() string {
	path := sh.QuoteLine(e.Path)
	hint := "load it into the agent: ssh-add " + path
	if e.Rewrap {
		hint += "; or encrypt it again: ssh-keygen -p -Z aes256-ctr -f " + path
	}
	return hint
}

// Signer opens the private half. passphrase is called only if it is encrypted
// and can be opened here; nil means that nobody can be asked. The secret is
// wiped after use. The error is ErrPassphraseNeeded, with that of passphrase,
// ErrPassphraseWrong, an *UnsupportedError, fs.ErrNotExist for a missing half,
// or says what is damaged in the file.
//
// The mode of the file and the strength of the key are not judged again: see
// Faults.
func (p *Pair) Signer(ctx context.Context, passphrase func(context.Context) ([]byte, error)) (ssh.Signer, error) {
	_, signer, err := p.open(ctx, passphrase)
	return signer, err
}

// open returns the private key, and what signs with it.
func (p *Pair) open(ctx context.Context, passphrase func(context.Context) ([]byte, error)) (any, ssh.Signer, error) {
	if err := p.there(); err != nil {
		return nil, nil, err
	}
	if err := p.supported(); err != nil {
		return nil, nil, err
	}
	secret, err := p.passphrase(ctx, passphrase)
	if err != nil {
		return nil, nil, err
	}
	defer clear(secret)
	data := p.contents
	if p.Private.Format == "openssh" && p.Private.Encrypted {
		if data, err = p.decrypt(ctx, secret); err != nil {
			return nil, nil, err
		}
		defer clear(data)
		secret = nil
	}
	key, signer, err := parse(data, secret)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	// As sshkey.c does. A file put together from two would log in with one key
	// and be known by the other.
	if got := signer.PublicKey().Marshal(); len(p.Private.Public.Blob) > 0 && !bytes.Equal(got, p.Private.Public.Blob) {
		return nil, nil, fmt.Errorf("%s: the public key in its header does not belong to the private key in it", p.Path)
	}
	return key, signer, nil
}

// there says why there is no private half to open.
func (p *Pair) there() error {
	if p.contents != nil {
		return nil
	}
	for _, f := range p.Faults {
		if f.Path == p.Path {
			return f
		}
	}
	return fmt.Errorf("%s: the private half is missing: %w", p.Path, fs.ErrNotExist)
}

// passphrase asks for that of the private half, and returns nil if it has none.
func (p *Pair) passphrase(ctx context.Context, ask func(context.Context) ([]byte, error)) ([]byte, error) {
	if !p.Private.Encrypted {
		return nil, nil
	}
	if ask == nil {
		return nil, fmt.Errorf("%s: %w", p.Path, ErrPassphraseNeeded)
	}
	secret, err := ask(ctx)
	if err != nil {
		clear(secret)
		return nil, fmt.Errorf("%s: %w: %w", p.Path, ErrPassphraseNeeded, err)
	}
	if len(secret) == 0 { // x/crypto would take it for none
		return nil, fmt.Errorf("%s: %w", p.Path, ErrPassphraseNeeded)
	}
	return secret, nil
}

// supported says whether parse can open the private half at all, so that
// nobody is asked for a passphrase in vain.
func (p *Pair) supported() error {
	e := p.Private
	switch {
	case strings.HasPrefix(e.Public.Type, "sk-"):
		return &UnsupportedError{Path: p.Path, Reason: "it is kept on a security token, which only ssh and its agent can use"}
	case e.Format == "pkcs8" && e.Encrypted:
		return &UnsupportedError{Path: p.Path, Reason: "encrypted PKCS#8 is not supported", Rewrap: true}
	case !sshkey.CanDecrypt(e):
		return p.unsupportedCipher()
	case e.Format == "openssh" && !slices.Contains(signingTypes, e.Public.Type):
		return &UnsupportedError{Path: p.Path, Reason: "keys of type " + e.Public.Type + " are not supported"}
	}
	return nil
}

func (p *Pair) unsupportedCipher() error {
	return &UnsupportedError{Path: p.Path, Reason: "its cipher " + p.Private.Cipher + " is not supported", Rewrap: true}
}

// signingTypes are the types that x/crypto reads from OpenSSH's format.
var signingTypes = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSA, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521}

// parse opens a private key file, with the passphrase if it is encrypted, and
// returns the key and what signs with it.
func parse(data, passphrase []byte) (any, ssh.Signer, error) {
	var key any
	var err error
	if passphrase == nil {
		key, err = ssh.ParseRawPrivateKey(data)
	} else {
		key, err = ssh.ParseRawPrivateKeyWithPassphrase(data, passphrase)
		block, _ := pem.Decode(data)
		// PEM's own encryption has no check value: the wrong passphrase mostly
		// shows as an error of whatever reads the noise.
		if errors.Is(err, x509.IncorrectPasswordError) || err != nil && block != nil && block.Type != "OPENSSH PRIVATE KEY" {
			err = ErrPassphraseWrong
		}
	}
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return nil, nil, err
	}
	if signer.PublicKey().Type() != ssh.KeyAlgoRSA {
		return key, signer, nil
	}
	sha2, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), rsaAlgorithms)
	if err != nil {
		return nil, nil, err
	}
	return key, rsaSigner{sha2}, nil
}

// rsaAlgorithms are how an RSA key signs, best first: as ssh since OpenSSH
// 8.8, with SHA-1 only for who asks for that by its name.
var rsaAlgorithms = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}

// An rsaSigner signs with SHA-2 also where no algorithm is named, for which
// the signer inside would take SHA-1.
type rsaSigner struct{ ssh.MultiAlgorithmSigner }

func (s rsaSigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return s.SignWithAlgorithm(rand, data, rsaAlgorithms[0])
}
