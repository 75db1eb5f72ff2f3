// Package sshkey handles OpenSSH's keys as files and lines: public keys as
// opaque blobs with a type word and a comment, fingerprints, randomart, and the
// envelope of private key files without opening it. It does no cryptography on
// public keys, so that every well-formed one is accepted, even of a type not
// yet invented.
package sshkey

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
)

// DefaultNames are the files in ~/.ssh that every current ssh(1) tries by
// default, in its order (ssh_config(5) IdentityFile). Left out on purpose:
// id_xmss and id_dsa, which nothing takes any more.
var DefaultNames = []string{"id_rsa", "id_ecdsa", "id_ecdsa_sk", "id_ed25519", "id_ed25519_sk"}

// A Public is a public key line, "type base64 comment", taken apart.
type Public struct {
	Type    string // the type word inside the blob, which is the truth
	Blob    []byte // RFC 4253 section 6.6, starts with Type
	Comment string // what follows the blob, without blanks at the ends
}

// Line returns "type base64 comment" without a newline.
func (p Public) Line() string {
	line := p.Type + " " + p.Base64()
	if p.Comment != "" {
		line += " " + p.Comment
	}
	return line
}

// Base64 returns the blob as it stands in a line.
func (p Public) Base64() string { return base64.StdEncoding.EncodeToString(p.Blob) }

// Fingerprint returns "SHA256:…", as ssh-keygen -l prints it. For a certificate
// it is that of the certified key, as in ssh-keygen and sshd.
func (p Public) Fingerprint() string {
	sum := p.digest()
	const mark = "SHA256:"
	b := append(make([]byte, 0, len(mark)+(sha256.Size*8+5)/6), mark...)
	return string(base64.RawStdEncoding.AppendEncode(b, sum[:]))
}

// Name returns the type as ssh-keygen -l shows it, such as "ED25519",
// "ED25519-SK", "RSA-CERT"; the type word for types it does not know.
func (p Public) Name() string {
	_, name := p.Shown()
	return name
}

// Bits returns the key's length as ssh-keygen -l shows it; 0 if unknown.
func (p Public) Bits() int {
	bits, _ := p.Shown()
	return bits
}

// Shown returns both Bits and Name.
func (p Public) Shown() (bits int, name string) {
	d, err := dissect(p.Blob)
	switch {
	case err != nil || d.kind == nil:
		return d.bits, p.Type
	case d.cert != nil:
		return d.bits, d.kind.name + "-CERT"
	}
	return d.bits, d.kind.name
}

// Equal reports whether both are the same key; comments do not matter.
func (p Public) Equal(q Public) bool { return bytes.Equal(p.Blob, q.Blob) }

// Plain returns the key that a certificate is for, without a comment. Every
// other key, and a certificate that cannot be taken apart, comes back as it is.
func (p Public) Plain() Public {
	if !IsCertificate(p.Type) {
		return p
	}
	if d, err := dissect(p.Blob); err == nil && d.cert != nil {
		return Public{Type: PlainType(d.typ), Blob: d.plain}
	}
	return p
}

// digest hashes the plain key: sshkey_fingerprint_raw() leaves out what a
// certificate adds to it.
func (p Public) digest() [sha256.Size]byte { return sha256.Sum256(p.Plain().Blob) }
