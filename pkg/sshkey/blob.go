package sshkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// ParseBlob makes a Public of a key in wire format: what an agent lists, a
// server presents, or the base64 of a line holds. A key of a known type must
// have the fields of its type and nothing else; of an unknown type only the
// type word is checked.
func ParseBlob(blob []byte, comment string) (Public, error) {
	d, err := dissect(blob)
	if err != nil {
		return Public{}, err
	}
	return Public{Type: d.typ, Blob: blob, Comment: comment}, nil
}

// What can be wrong with a blob.
var (
	errTorn     = errors.New("the key is truncated")
	errTrailing = errors.New("something follows the end of the key")
)

// A wire takes the data types of RFC 4251 section 5 off the front of a blob.
// Once something is missing it stays torn and gives zeros.
type wire struct {
	rest []byte
	torn bool
}

func (w *wire) take(n uint64) []byte {
	if w.torn || uint64(len(w.rest)) < n {
		w.torn = true
		return nil
	}
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b
}

func (w *wire) uint32() uint32 {
	if b := w.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (w *wire) uint64() uint64 {
	if b := w.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (w *wire) string() []byte { return w.take(uint64(w.uint32())) }

// end tells whether exactly everything has been taken.
func (w *wire) end() error {
	switch {
	case w.torn:
		return errTorn
	case len(w.rest) > 0:
		return errTrailing
	}
	return nil
}

// A kind is a type of key that OpenSSH knows.
type kind struct {
	typ   string // the type word
	name  string // as ssh-keygen -l shows it
	curve string // of ECDSA
	bits  int    // 0 where they are the key's own
}

// kinds are the plain types; a certificate adds to one of them.
var kinds = []kind{
	{typ: "ssh-rsa", name: "RSA"},
	{typ: "ssh-dss", name: "DSA"},
	{typ: "ssh-ed25519", name: "ED25519", bits: 256},
	{typ: "ecdsa-sha2-nistp256", name: "ECDSA", curve: "nistp256", bits: 256},
	{typ: "ecdsa-sha2-nistp384", name: "ECDSA", curve: "nistp384", bits: 384},
	{typ: "ecdsa-sha2-nistp521", name: "ECDSA", curve: "nistp521", bits: 521},

	{typ: "sk-ssh-ed25519@openssh.com", name: "ED25519-SK", bits: 256},
	{typ: "sk-ecdsa-sha2-nistp256@openssh.com", name: "ECDSA-SK", curve: "nistp256", bits: 256},

	{typ: "ssh-mldsa44-ed25519@openssh.com", name: "MLDSA44-ED25519", bits: 256}, // of OpenSSH 10.5, and what it shows
}

// read takes the fields after the type word, and returns the bits.
func (k *kind) read(w *wire) (int, error) {
	bits, err := k.bits, error(nil)
	switch k.name {
	case "RSA":
		bits, err = readRSA(w)
	case "DSA":
		bits, err = readDSA(w)
	case "ED25519", "ED25519-SK":
		err = readEd25519(w)
	case "ECDSA", "ECDSA-SK":
		err = readECDSA(w, k.curve, k.bits)
	case "MLDSA44-ED25519":
		err = readMLDSA44(w)
	}
	if strings.HasSuffix(k.name, "-SK") { // lives in a security device (PROTOCOL.u2f)
		w.string() // application
	}
	return bits, err
}

// kindOf returns the kind of a plain type, or nil.
func kindOf[T string | []byte](typ T) *kind {
	for i := range kinds {
		if kinds[i].typ == string(typ) {
			return &kinds[i]
		}
	}
	return nil
}

// certSuffix ends the types of certificates (PROTOCOL.certkeys).
const certSuffix = "-cert-v01@openssh.com"

// IsCertificate reports whether a type word, or the name of a signature
// algorithm, is one for certificates.
func IsCertificate(typ string) bool { return strings.HasSuffix(typ, certSuffix) }

// PlainType returns the type word of the key in a certificate of type typ:
// ssh-rsa for ssh-rsa-cert-v01@openssh.com. A typ that is not a known
// certificate type is returned unchanged.
func PlainType(typ string) string {
	base, ok := strings.CutSuffix(typ, certSuffix)
	switch {
	case ok && kindOf(base) != nil:
		return base
	case ok && kindOf(base+"@openssh.com") != nil: // named but once in the certificate's type
		return base + "@openssh.com"
	}
	return typ
}

// KeyType returns the type word of the keys for a signature algorithm: ssh-rsa
// for rsa-sha2-512. Most algorithms are named like their keys. A line of
// authorized_keys or known_hosts may have either before the key (sshkey.c
// sshkey_type_from_name()).
func KeyType(algorithm string) string {
	switch algorithm {
	case "rsa-sha2-256", "rsa-sha2-512":
		return "ssh-rsa"
	case "rsa-sha2-256" + certSuffix, "rsa-sha2-512" + certSuffix:
		return "ssh-rsa" + certSuffix
	case "webauthn-sk-ecdsa-sha2-nistp256@openssh.com":
		return "sk-ecdsa-sha2-nistp256@openssh.com"
	}
	return algorithm
}

// A dissection is what a blob tells of itself.
type dissection struct {
	typ   string
	kind  *kind           // nil if the type is unknown
	cert  *rawCertificate // nil if it is none
	bits  int
	plain []byte // of a certificate: the blob of the key that it certifies
}

func dissect(blob []byte) (dissection, error) {
	w := &wire{rest: blob}
	word := w.string()
	d := dissection{kind: kindOf(word)}
	if d.kind != nil {
		d.typ = d.kind.typ // one string for all keys of a type
	} else {
		d.typ = string(word)
	}
	switch {
	case w.torn:
		return dissection{}, errTorn
	case d.kind == nil && !isTypeWord(d.typ):
		return dissection{}, errors.New("no key: it does not start with a type")
	case len(w.rest) == 0:
		return dissection{}, errTorn
	}
	if d.kind == nil {
		plain := PlainType(d.typ)
		if plain == d.typ {
			return d, nil
		}
		d.kind = kindOf(plain)
		w.string() // nonce
		d.plain = appendString(nil, plain)
	}
	fields := w.rest
	var err error
	if d.bits, err = d.kind.read(w); err != nil {
		return dissection{}, err
	}
	if d.plain != nil {
		d.plain = append(d.plain, fields[:len(fields)-len(w.rest)]...)
		d.cert = readCertificate(w)
	}
	if err := w.end(); err != nil {
		return dissection{}, err
	}
	return d, nil
}

// isTypeWord reports whether s can be the name of a key type: RFC 4251 section
// 6 allows 64 printable characters without a comma, we only those which no
// option, quote or shell gives a meaning to.
func isTypeWord(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.IndexByte("-._+@/", c) >= 0) {
			return false
		}
	}
	return true
}

func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// number takes an mpint and returns its bits. Like sshbuf_get_bignum2() it
// refuses what is negative or over 16384 bits.
func number(w *wire) (int, error) {
	b := w.string()
	if len(b) > 0 && b[0]&0x80 != 0 {
		return 0, errors.New("the key has a negative number")
	}
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > 16384/8 {
		return 0, errors.New("the key has a number of more than 16384 bits, which OpenSSH does not accept")
	}
	if len(b) == 0 {
		return 0, nil
	}
	return (len(b)-1)*8 + bits.Len8(b[0]), nil
}

func readRSA(w *wire) (int, error) {
	if _, err := number(w); err != nil { // e
		return 0, err
	}
	n, err := number(w)
	if err == nil && n < 1024 && !w.torn { // SSH_RSA_MINIMUM_MODULUS_SIZE
		err = fmt.Errorf("RSA with %d bits, and OpenSSH requires at least 1024", n)
	}
	return n, err
}

func readDSA(w *wire) (int, error) {
	p, err := number(w)
	for range 3 { // q, g, y
		if err == nil {
			_, err = number(w)
		}
	}
	return p, err
}

func readEd25519(w *wire) error {
	if key := w.string(); len(key) != 32 && !w.torn {
		return fmt.Errorf("ed25519 with %d bytes instead of 32", len(key))
	}
	return nil
}

// readMLDSA44 reads the keys of ML-DSA-44 and of ed25519, one after the other.
func readMLDSA44(w *wire) error {
	if key := w.string(); len(key) != 1312+32 && !w.torn {
		return fmt.Errorf("mldsa44-ed25519 with %d bytes instead of %d", len(key), 1312+32)
	}
	return nil
}

// readECDSA checks the form of the point, not that it is on the curve.
func readECDSA(w *wire, curve string, size int) error {
	name, point := w.string(), w.string()
	switch {
	case w.torn:
	case string(name) != curve:
		return errors.New("ecdsa with another curve than its type says")
	case len(point) != 1+2*((size+7)/8) || point[0] != 4:
		return errors.New("ecdsa without an uncompressed point")
	}
	return nil
}
