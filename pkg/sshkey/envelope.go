package sshkey

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha512"
	"math/big"
	"slices"
	"strings"
)

// An Envelope is what a private key file tells without its passphrase.
type Envelope struct {
	Format    string // "openssh", "pkcs1", "pkcs8", "sec1", "dsa"
	Public    Public // OpenSSH's format holds it in clear, but the comment is encrypted with the rest; else zero
	Encrypted bool
	Cipher    string // "none", "aes256-ctr", …; of PEM as DEK-Info has it, "" for an encrypted PKCS#8
	KDF       string // "none", "bcrypt"; "" for an encrypted PEM
	Rounds    int    // of bcrypt; 0 for none
}

// A FileError says why ssh(1) would not read a private key file, by ssh's rules
// and not those of x/crypto, which is more lenient; or why no server would
// accept the key.
type FileError struct {
	Cause  string // "key-damaged" or "key-format" of pi-key-causes(7)
	Reason string // "lines end in CR LF", "PuTTY .ppk", …
	hint   string
}

func (e *FileError) Error() string { return "ssh cannot use it: " + e.Reason }

// Hint returns what the user can do about it, "" if nothing is known.
func (e *FileError) Hint() string { return e.hint }

func damaged(reason, hint string) error { return &FileError{"key-damaged", reason, hint} }

func foreign(reason, hint string) error { return &FileError{"key-format", reason, hint} }

const (
	hintBackup  = "restore the file from a backup, or make a new pair with pikeygen"
	hintWrapped = "write the file again with the lines that ssh-keygen gave it"
)

// The marks that OpenSSH's format must start with and hold, to the byte:
// MARK_BEGIN and MARK_END in OpenSSH's sshkey.c.
const (
	beginOpenSSH = "-----BEGIN OPENSSH PRIVATE KEY-----\n"
	endOpenSSH   = "\n-----END OPENSSH PRIVATE KEY-----\n"
)

// OpenEnvelope examines the raw bytes of a private key file. Its error is a
// *FileError.
//
// In OpenSSH's format it checks all that is in the clear; for an unencrypted
// key also that its private part is whole and belongs to the public one, by
// computing it for Ed25519 and ECDSA. In PEM, which OpenSSL reads for ssh, it
// checks the frame and the outer fields.
func OpenEnvelope(data []byte) (Envelope, error) {
	if bytes.HasPrefix(data, []byte(beginOpenSSH)) {
		return openOpenSSH(data)
	}
	if block, ok := findPEM(data); ok {
		return openPEM(block)
	}
	return Envelope{}, instead(data)
}

// ciphers are those of OpenSSH 9.2 to 10.x, with the sizes of their block, of
// their tag, and of the key and the start value that the passphrase gives.
var ciphers = map[string]struct{ block, tag, key, iv int }{
	"none":       {8, 0, 0, 0},
	"3des-cbc":   {8, 0, 24, 8},
	"aes128-cbc": {16, 0, 16, 16}, "aes192-cbc": {16, 0, 24, 16}, "aes256-cbc": {16, 0, 32, 16},
	"aes128-ctr": {16, 0, 16, 16}, "aes192-ctr": {16, 0, 24, 16}, "aes256-ctr": {16, 0, 32, 16},
	"aes128-gcm@openssh.com": {16, 16, 16, 12}, "aes256-gcm@openssh.com": {16, 16, 32, 12},
	"chacha20-poly1305@openssh.com": {8, 16, 64, 0},
}

// sealed are the parts of a file in OpenSSH's format beside its envelope.
type sealed struct {
	salt    []byte // of bcrypt
	public  []byte
	private []byte // encrypted or not
	tag     []byte // of a cipher that authenticates
}

const magic = "openssh-key-v1\x00"

func openOpenSSH(data []byte) (Envelope, error) {
	e, s, err := unpack(data)
	defer clear(s.private)
	if err == nil && !e.Encrypted {
		e.Public.Comment, _, err = checkPrivate(s.private, e.Public)
	}
	if err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// unpack reads what PROTOCOL.key describes, in the steps of private2_uudecode()
// and private2_decrypt(). The private part is not looked at.
func unpack(data []byte) (Envelope, sealed, error) {
	var blob []byte
	fail := func(err error) (Envelope, sealed, error) {
		clear(blob)
		return Envelope{}, sealed{}, err
	}
	body := data[len(beginOpenSSH)-1:] // the END mark needs this newline if the body is empty
	end := bytes.Index(body, []byte(endOpenSSH))
	if end < 0 {
		return fail(withoutEnd(body))
	}
	text := withoutSpace(body[:end])
	defer clear(text)
	blob = make([]byte, strict64.DecodedLen(len(text)))
	n, err := strict64.Decode(blob, text)
	if err != nil {
		if bytes.IndexByte(body[:end], 0) >= 0 {
			return fail(damaged("NUL bytes, as a power cut leaves them", hintBackup))
		}
		return fail(damaged("its base64 is broken", hintBackup))
	}
	torn := damaged("its fields are damaged", hintBackup)
	rest, ok := bytes.CutPrefix(blob[:n], []byte(magic))
	if !ok {
		return fail(torn)
	}
	w := &wire{rest: rest}
	e := Envelope{Format: "openssh", Cipher: string(w.string()), KDF: string(w.string())}
	kdf := &wire{rest: w.string()}
	count := w.uint32()
	s := sealed{public: w.string(), private: w.string()}
	s.tag = w.rest // and nothing else

	cipher, known := ciphers[e.Cipher]
	e.Encrypted = e.KDF != "none"
	switch {
	case w.torn:
		return fail(torn)
	case count != 1:
		return fail(foreign("several keys in one file", ""))
	case !known:
		return fail(foreign("a cipher that OpenSSH does not have", ""))
	case e.KDF != "none" && e.KDF != "bcrypt":
		return fail(foreign("a key derivation that OpenSSH does not have", ""))
	case e.KDF == "none" && e.Cipher != "none",
		len(s.private) < cipher.block, len(s.private)%cipher.block != 0,
		len(s.tag) != cipher.tag:
		return fail(torn)
	}
	if e.KDF == "bcrypt" {
		s.salt = kdf.string()
		e.Rounds = int(kdf.uint32())
		if kdf.torn || len(s.salt) == 0 || e.Rounds < 1 {
			return fail(torn)
		}
	}
	if e.Public, err = ParseBlob(s.public, ""); err != nil {
		return fail(damaged("its public part: "+err.Error(), hintBackup))
	}
	return e, s, nil
}

func withoutEnd(body []byte) error {
	mark := []byte("-----END OPENSSH PRIVATE KEY-----")
	switch {
	case bytes.IndexByte(body, 0) >= 0:
		return damaged("NUL bytes, as a power cut leaves them", hintBackup)
	case bytes.HasSuffix(body, append([]byte("\n"), mark...)):
		return damaged("the last line has no newline", "echo >> FILE")
	case bytes.Contains(body, append(mark, '\r')):
		return damaged("lines end in CR LF", hintCRLF)
	case bytes.Contains(body, mark):
		return damaged("its END line is not a line of its own", hintWrapped)
	}
	return damaged("cut off: the END line is missing", hintBackup)
}

// The way on for a private key must not leave a readable copy of it behind.
const (
	hintCRLF  = `umask 077; tr -d '\r' < FILE > NEW && mv NEW FILE`
	hintBOM   = "umask 077; tail -c +4 FILE > NEW && mv NEW FILE"
	hintText  = "umask 077; sed -n '/-----BEGIN/,$p' FILE > NEW && mv NEW FILE"
	hintUTF16 = "umask 077; iconv -f UTF-16 -t ASCII FILE > NEW && mv NEW FILE"
)

// withoutSpace takes out what b64_pton() passes over, and all from a NUL on,
// which ends the string for it.
func withoutSpace(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return slices.DeleteFunc(slices.Clone(b), func(c byte) bool {
		return c == ' ' || '\t' <= c && c <= '\r'
	})
}

// checkPrivate checks an unencrypted private part: the two check numbers, the
// fields of its type, the comment and the padding; and that the public values
// in it are those of the public key. It returns the comment, which may hold
// any bytes, and how long all is without the padding; "" and 0 for a type whose
// fields are unknown.
func checkPrivate(private []byte, public Public) (comment string, size int, err error) {
	fail := func(reason string) (string, int, error) { return "", 0, damaged(reason, hintBackup) }
	w := &wire{rest: private}
	if first, second := w.uint32(), w.uint32(); first != second {
		return fail("its check numbers differ")
	}
	if string(w.string()) != public.Type {
		return fail("its private part is of another type than its public one")
	}
	same, belongs, known := privateFields(w, public)
	if !known {
		return "", 0, nil // only a newer ssh knows
	}
	comment = string(w.string())
	switch {
	case w.torn:
		return fail("its private part is damaged")
	case !same:
		return fail("its private part does not belong to its public one")
	case !isPadding(w.rest):
		return fail("its private part is damaged")
	case belongs != nil && !belongs():
		return fail("its secret number is not that of its public key")
	}
	return comment, len(private) - len(w.rest), nil
}

// privateFields reads what stands between the type and the comment of a private
// part. same says whether the public values in it are those of the public key;
// belongs, where that can be computed, whether its secret number is.
func privateFields(w *wire, public Public) (same bool, belongs func() bool, known bool) {
	pub := &wire{rest: public.Blob}
	pub.string() // type
	same = true
	match := func(n int) { // the next n fields are those of the public key
		for range n {
			same = string(w.string()) == string(pub.string()) && same
		}
	}
	pass := func(n int) {
		for range n {
			w.string()
		}
	}
	switch public.Type {
	case "ssh-rsa": // n, e here; e, n there
		n, e := w.string(), w.string()
		same = string(e) == string(pub.string()) && string(n) == string(pub.string())
		pass(4) // d, 1/q mod p, p, q
	case "ssh-dss":
		match(4)
		pass(1)
	case "ssh-ed25519":
		match(1)
		secret := w.string()
		w.torn = w.torn || len(secret) != ed25519.PrivateKeySize
		belongs = func() bool {
			// ssh takes the second half as it stands for the public key when it signs.
			seed, point := secret[:ed25519.SeedSize], secret[ed25519.SeedSize:]
			return bytes.HasSuffix(public.Blob, point) && ofSeed(seed, point)
		}
	case "ssh-mldsa44-ed25519@openssh.com":
		match(1)
		pass(1)
	case "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521":
		match(2)
		secret := w.string()
		belongs = func() bool { return ofPoint(secret, public) }
	case "sk-ssh-ed25519@openssh.com":
		match(2)
		w.take(1) // flags
		pass(2)   // key handle, reserved
	case "sk-ecdsa-sha2-nistp256@openssh.com":
		match(3)
		w.take(1)
		pass(2)
	default:
		return false, nil, false
	}
	return same, belongs, true
}

// isPadding reports whether bytes are those that fill the last block: 1, 2, 3 …
func isPadding(b []byte) bool {
	for i, c := range b {
		if c != byte(i+1) {
			return false
		}
	}
	return true
}

// ofSeed reports whether an Ed25519 key is that of a seed, but for the sign of the
// point's x. To make the key anew would tell that too, and would take fifteen times
// as long, for the table that crypto/ed25519 begins with: a millisecond here, forty
// on a Pi Zero. So X25519 makes its own key of the seed's number, and the point is
// carried over to that curve (RFC 7748 section 4.1).
func ofSeed(seed, point []byte) bool {
	number := sha512.Sum512(seed) // RFC 8032 section 5.1.5
	key, err := ecdh.X25519().NewPrivateKey(number[:32])
	if err != nil {
		return false
	}
	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, 255)
	p.Sub(p, big.NewInt(19))
	b := slices.Clone(point)
	b[31] &= 0x7f // the sign
	slices.Reverse(b)
	y := new(big.Int).SetBytes(b)
	inverse := new(big.Int).Sub(one, y)
	if inverse.ModInverse(inverse, p) == nil {
		return false
	}
	u := y.Mul(y.Add(y, one), inverse)
	u.Mod(u, p).FillBytes(b)
	slices.Reverse(b)
	return bytes.Equal(b, key.PublicKey().Bytes())
}

// ofPoint reports whether a secret number is that of an ECDSA key.
func ofPoint(secret []byte, public Public) bool {
	w := &wire{rest: public.Blob}
	w.string() // type
	var curve ecdh.Curve
	size := 0
	switch string(w.string()) {
	case "nistp256":
		curve, size = ecdh.P256(), 32
	case "nistp384":
		curve, size = ecdh.P384(), 48
	case "nistp521":
		curve, size = ecdh.P521(), 66
	}
	number := bytes.TrimLeft(secret, "\x00")
	if len(number) > size {
		return false
	}
	key, err := curve.NewPrivateKey(append(make([]byte, size-len(number)), number...))
	return err == nil && bytes.Equal(key.PublicKey().Bytes(), w.string())
}

// instead says what a file is that starts like no private key of ssh's.
func instead(data []byte) error {
	text := string(data)
	if decoded, err := decodeText(data); err == nil {
		text = string(decoded)
	}
	switch {
	case len(data) == 0:
		return damaged("the file is empty", hintBackup)
	case len(bytes.Trim(data, "\x00")) == 0:
		return damaged("nothing but NUL bytes, as a power cut leaves them", hintBackup)
	case strings.HasPrefix(text, "PuTTY-User-Key-File-"):
		return foreign("a PuTTY .ppk file", "puttygen FILE -O private-openssh-new -o NEW writes it as OpenSSH has it")
	case strings.HasPrefix(text, "SSH PRIVATE KEY FILE FORMAT 1."):
		return foreign("an SSH 1 key, which no server accepts any more", "make a new pair with pikeygen")
	case strings.HasPrefix(text, "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----"):
		return foreign("a private key in ssh.com's format", "ssh-keygen -i -f FILE converts one without a passphrase")
	case strings.HasPrefix(text, begin4716):
		return foreign("a public key, as RFC 4716 has it", hintPrivate)
	}
	if before, _, ok := strings.Cut(text, strings.TrimSuffix(beginOpenSSH, "\n")); ok {
		switch {
		case len(text) < len(data) && len(data)-len(text) == 3:
			return damaged("a byte order mark at its start", hintBOM)
		case len(text) < len(data):
			return damaged("UTF-16", hintUTF16)
		case before != "":
			return damaged("text before its BEGIN line", hintText)
		case strings.HasPrefix(text[len(beginOpenSSH)-1:], "\r"):
			return damaged("lines end in CR LF", hintCRLF)
		}
		return damaged("its BEGIN line is not a line of its own", hintWrapped)
	}
	if _, err := ReadPublic(data); err == nil {
		return foreign("a public key", hintPrivate)
	}
	switch {
	case strings.Contains(text, "-----BEGIN ") && strings.Contains(text, "PRIVATE KEY-----"):
		return damaged("its BEGIN line is not a line of its own", hintWrapped)
	case strings.HasPrefix(strings.TrimSpace(text), magic64):
		return damaged("the BEGIN line is missing", "put "+strings.TrimSpace(beginOpenSSH)+" before it")
	case bytes.IndexByte(data, 0) >= 0:
		return damaged("NUL bytes, as a power cut leaves them", hintBackup)
	}
	return foreign("not a private key", hintFile)
}

const hintFile = "give a private key file of ssh-keygen or pikeygen"

const hintPrivate = "the private half is the file of the same name without .pub"
