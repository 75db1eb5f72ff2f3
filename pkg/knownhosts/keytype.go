package knownhosts

import (
	"encoding/binary"
	"strings"

	"pi-key-tools/pkg/sshkey"
)

// keyType returns the type of the keys that a signature algorithm is for:
// "ssh-rsa" for "rsa-sha2-512". Most are named alike.
func keyType(algorithm string) string {
	switch {
	case strings.HasPrefix(algorithm, "rsa-sha2-256"), strings.HasPrefix(algorithm, "rsa-sha2-512"):
		return "ssh-rsa" + algorithm[len("rsa-sha2-256"):]
	case strings.HasPrefix(algorithm, "webauthn-sk-"):
		return strings.TrimPrefix(algorithm, "webauthn-")
	}
	return algorithm
}

const certSuffix = "-cert-v01@openssh.com"

func isCert(keyType string) bool { return strings.HasSuffix(keyType, certSuffix) }

// plainType returns the type of the key inside a certificate, and every other
// type as it is.
func plainType(keyType string) string {
	t, ok := strings.CutSuffix(keyType, certSuffix)
	if _, known := keyFields[t]; ok && !known {
		t += "@openssh.com" // the vendor's types name their certificates once
	}
	return t
}

// keyFields says how many strings or mpints a public key of a type holds.
// Source: RFC 4253 6.6, RFC 5656 3.1, RFC 8709 4, PROTOCOL.u2f.
var keyFields = map[string]int{
	"ssh-rsa":                            2,
	"ssh-dss":                            4,
	"ecdsa-sha2-nistp256":                2,
	"ecdsa-sha2-nistp384":                2,
	"ecdsa-sha2-nistp521":                2,
	"ssh-ed25519":                        1,
	"sk-ssh-ed25519@openssh.com":         2,
	"sk-ecdsa-sha2-nistp256@openssh.com": 3,
	"ssh-mldsa44-ed25519@openssh.com":    1,
}

// plain returns the key inside a certificate, and any other key as it is: who
// revokes a key does not want its certificates either. A certificate that
// cannot be taken apart comes back whole. Source: PROTOCOL.certkeys (type,
// nonce, the key's fields, …); sshkey.c sshkey_equal_public().
func plain(key sshkey.Public) sshkey.Public {
	if !isCert(key.Type) {
		return key
	}
	t := plainType(key.Type)
	fields, known := keyFields[t]
	_, rest, ok := cutField(key.Blob)
	if ok {
		_, rest, ok = cutField(rest) // the nonce
	}
	blob := append(binary.BigEndian.AppendUint32(nil, uint32(len(t))), t...)
	for range fields {
		var field []byte
		if field, rest, ok = cutField(rest); !ok {
			break
		}
		blob = append(blob, field...)
	}
	if !known || !ok {
		return key
	}
	return sshkey.Public{Type: t, Blob: blob}
}

// cutField cuts off one field with its length before it.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := uint64(binary.BigEndian.Uint32(b)) + 4
	if n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
