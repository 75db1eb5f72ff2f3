package session

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshkey"
)

// errProbe ends the attempt of a key that was only asked about.
var errProbe = errors.New("asked only")

// An offer is the signer of one key. x/crypto asks the server about the key
// first and calls it only when the answer was yes.
type offer struct {
	ctx       context.Context
	key       Key
	exchange  Exchange
	answer    Answer
	writes    int // of the connection before it was offered
	overdue   func()
	allowed   []string // nil for all
	late      bool
	signed    bool
	data      []byte // that was signed
	signature *ssh.Signature
	err       error
}

func (o *offer) PublicKey() ssh.PublicKey { return opaqueKey{o.key.Public} }

// Algorithms are those that the key may sign by, the preferred one first. A
// certificate signs as the key in it does.
func (o *offer) Algorithms() []string {
	t := sshkey.PlainType(o.key.Public.Type)
	if t != ssh.KeyAlgoRSA {
		return []string{t}
	}
	if o.allowed == nil {
		return []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	}
	// As sshconnect2.c key_sig_algorithm() does: by the order of the list, and with
	// SHA-1 where that has it.
	var may []string
	for _, a := range o.allowed {
		if sshkey.KeyType(a) == o.key.Public.Type {
			name, _, _ := strings.Cut(a, "-cert-")
			may = append(may, name)
		}
	}
	return may
}

func (o *offer) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return o.SignWithAlgorithm(rand, data, "")
}

func (o *offer) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	if o.key.Signer == nil {
		o.answer = Accepted
		return nil, errProbe
	}
	sig, err := o.sign(rand, data, algorithm)
	if err != nil {
		o.answer, o.err = SignFailed, err
		return nil, err
	}
	o.overdue()
	o.signed, o.data, o.signature = true, bytes.Clone(data), sig
	return sig, nil
}

// verify returns what is wrong with the signature; nil if it cannot be told.
func (o *offer) verify() error {
	public, err := ssh.ParsePublicKey(o.key.Public.Plain().Blob)
	if err != nil {
		return nil // a type that x/crypto does not know
	}
	if rest := o.signature.Rest; strings.HasPrefix(public.Type(), "sk-") && len(rest) > 0 && rest[0]&1 == 0 {
		return nil // nobody touched it (PROTOCOL.u2f), which x/crypto takes for wrong
	}
	return public.Verify(o.data, o.signature)
}

func (o *offer) sign(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := o.key.Signer(o.ctx, o.exchange)
	if err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// opaqueKey offers a key by its blob alone, so that one of a type that
// x/crypto does not know can be asked about too.
type opaqueKey struct{ public sshkey.Public }

func (k opaqueKey) Type() string    { return k.public.Type }
func (k opaqueKey) Marshal() []byte { return k.public.Blob }
func (k opaqueKey) Verify([]byte, *ssh.Signature) error {
	return errors.New("session: an opaque key verifies nothing")
}
