package sshkey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A Certificate is an authority's statement about a key (PROTOCOL.certkeys).
type Certificate struct {
	Key        Public // that is certified, without a comment
	Serial     uint64
	User       bool // it is for logging in; else it is a host's
	ID         string
	Principals []string // nil: older servers let it in as anybody
	// It is valid from After on, and before Before, in seconds since 1970.
	After, Before uint64
	Critical      []CertOption // in the order in which they stand, as those below
	Extensions    []CertOption
	CA            Public
	Algorithm     string // of the authority's signature
}

// Forever is a Certificate.Before that never comes.
const Forever = 1<<64 - 1

// A CertOption is a critical option or an extension.
type CertOption struct {
	Name string
	Data string // "" for a flag, else what its name calls for: see Value
}

// ValueOption returns an option whose data is a string.
func ValueOption(name, value string) CertOption {
	return CertOption{name, string(appendString(nil, value))}
}

// Value returns the string that makes up an option's data; "" if the data is
// not one string.
func (o CertOption) Value() string {
	w := &wire{rest: []byte(o.Data)}
	if value := w.string(); w.end() == nil {
		return string(value)
	}
	return ""
}

// A rawCertificate is what follows the key in a certificate, with its lists
// as they travel.
type rawCertificate struct {
	serial                           uint64
	typ                              uint32
	id, principals                   []byte
	after, before                    uint64
	critical, extensions, ca, signed []byte
}

func readCertificate(w *wire) *rawCertificate {
	c := &rawCertificate{serial: w.uint64(), typ: w.uint32(), id: w.string(), principals: w.string(), after: w.uint64(), before: w.uint64(),
		critical: w.string(), extensions: w.string()}
	w.string() // reserved
	c.ca, c.signed = w.string(), w.string()
	return c
}

// userCertificate and hostCertificate are the types of a certificate.
const (
	userCertificate = 1
	hostCertificate = 2
)

// Certificate parses a certificate; ok is false for a key that is not one. Its
// signature is not verified.
func (p Public) Certificate() (c Certificate, ok bool, err error) {
	d, err := dissect(p.Blob)
	if err != nil || d.cert == nil {
		return c, false, err
	}
	raw := d.cert
	c = Certificate{Key: p.Plain(), Serial: raw.serial, User: raw.typ == userCertificate, ID: string(raw.id), After: raw.after, Before: raw.before}
	w := &wire{rest: raw.principals}
	for len(w.rest) > 0 && !w.torn {
		c.Principals = append(c.Principals, string(w.string()))
	}
	err = w.end()
	for list, raw := range map[*[]CertOption][]byte{&c.Critical: raw.critical, &c.Extensions: raw.extensions} {
		w := &wire{rest: raw}
		for len(w.rest) > 0 && !w.torn {
			*list = append(*list, CertOption{string(w.string()), string(w.string())})
		}
		err = errors.Join(err, w.end())
	}
	var caErr error
	c.CA, caErr = ParseBlob(raw.ca, "")
	c.Algorithm = string((&wire{rest: raw.signed}).string())
	if err = errors.Join(err, caErr); err != nil {
		return c, true, fmt.Errorf("the certificate is damaged: %w", err)
	}
	return c, true, nil
}

// Sign returns the signed certificate in wire format. nonce is random; sign
// gets the data to sign and returns the authority's signature in wire format.
func (c Certificate) Sign(nonce []byte, sign func(data []byte) ([]byte, error)) (Public, error) {
	d, err := dissect(c.Key.Blob)
	switch {
	case err != nil:
		return Public{}, err
	case d.cert != nil:
		return Public{}, errors.New("it is a certificate already: give the key that it is for")
	case d.kind == nil:
		return Public{}, fmt.Errorf("it is not known how to certify a key of type %s", d.typ)
	}
	w := &wire{rest: c.Key.Blob}
	w.string() // the type word, which is another in a certificate
	typ := strings.TrimSuffix(d.typ, "@openssh.com") + certSuffix
	b := appendString(nil, typ)
	b = appendString(b, string(nonce))
	b = append(b, w.rest...)
	b = binary.BigEndian.AppendUint64(b, c.Serial)
	certType := uint32(hostCertificate)
	if c.User {
		certType = userCertificate
	}
	b = binary.BigEndian.AppendUint32(b, certType)
	b = appendString(b, c.ID)
	var principals []byte
	for _, p := range c.Principals {
		principals = appendString(principals, p)
	}
	b = appendString(b, string(principals))
	b = binary.BigEndian.AppendUint64(b, c.After)
	b = binary.BigEndian.AppendUint64(b, c.Before)
	for _, list := range [][]CertOption{c.Critical, c.Extensions} {
		var options []byte
		for _, o := range list {
			options = appendString(appendString(options, o.Name), o.Data)
		}
		b = appendString(b, string(options))
	}
	b = appendString(b, "") // reserved
	b = appendString(b, string(c.CA.Blob))
	signature, err := sign(b)
	if err != nil {
		return Public{}, err
	}
	return ParseBlob(appendString(b, string(signature)), c.Key.Comment)
}
