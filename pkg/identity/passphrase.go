package identity

import (
	"bytes"
	"context"
	"fmt"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshkey"
)

// Protect sets, changes or removes the passphrase of the private half. old is
// as for Signer; fresh, called once the old one is known to be right, returns
// the new one, or nil for none; rounds are as in Spec. The key itself is
// unchanged, so that keys of every type can be protected; a file in PEM becomes
// one in OpenSSH's format, as with ssh-keygen -p.
//
// The file is the old one or the new one at every moment, keeps its mode and
// owner, and is on disk when nil is returned. It is written unencrypted only if
// fresh says so. Errors are those of Signer.
func (p *Pair) Protect(ctx context.Context, old, fresh func(context.Context) ([]byte, error), rounds int) error {
	if err := p.there(); err != nil {
		return err
	}
	if n := p.names; n > 1 {
		return fmt.Errorf("%s has %d names (hard links), and under the others it would keep the old passphrase", p.Path, n)
	}
	file, err := p.plain(ctx, old)
	if err != nil {
		return err
	}
	defer func() { clear(file) }()
	secret, err := fresh(ctx)
	defer clear(secret)
	if err != nil {
		return err
	}
	if secret != nil {
		locked, err := encrypt(ctx, file, secret, rounds)
		if err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
		clear(file)
		file = locked
	}
	return hostfs.Replace(p.Path, 0o600, func(old []byte) ([]byte, error) {
		if !bytes.Equal(old, p.contents) {
			return nil, fmt.Errorf("%s has changed in the meantime, and is left as it is", p.Path)
		}
		return file, nil
	})
}

// plain returns a copy of the private half without its passphrase, in OpenSSH's
// format.
func (p *Pair) plain(ctx context.Context, passphrase func(context.Context) ([]byte, error)) ([]byte, error) {
	if p.Private.Format != "openssh" {
		key, _, err := p.open(ctx, passphrase)
		if err != nil {
			return nil, err
		}
		return encode(key, p.Public.Comment)
	}
	if !sshkey.CanDecrypt(p.Private) {
		return nil, p.unsupportedCipher()
	}
	secret, err := p.passphrase(ctx, passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(secret)
	return p.decrypt(ctx, secret)
}

// decrypt opens OpenSSH's own format.
func (p *Pair) decrypt(ctx context.Context, secret []byte) ([]byte, error) {
	secret = bytes.Clone(secret)
	plain, err := bounded.Await(ctx, func() ([]byte, error) {
		defer clear(secret)
		return sshkey.Decrypt(p.contents, secret)
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Path, err)
	}
	return plain, nil
}

func encrypt(ctx context.Context, plain, secret []byte, rounds int) ([]byte, error) {
	if rounds == 0 {
		rounds = sshkey.DefaultRounds
	}
	plain, secret = bytes.Clone(plain), bytes.Clone(secret)
	return bounded.Await(ctx, func() ([]byte, error) {
		defer clear(plain)
		defer clear(secret)
		return sshkey.Encrypt(plain, secret, rounds)
	})
}
