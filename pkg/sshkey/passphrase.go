package sshkey

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// ErrPassphraseWrong means that a passphrase does not open a private key file.
var ErrPassphraseWrong = errors.New("the passphrase is wrong")

// What ssh-keygen encrypts with. 24 rounds of bcrypt are its default since
// OpenSSH 9.4.
const (
	sealCipher    = "aes256-ctr"
	saltSize      = 16
	DefaultRounds = 24
)

// CanDecrypt reports whether Decrypt knows the cipher of an encrypted file in
// OpenSSH's format.
func CanDecrypt(e Envelope) bool { return e.Cipher != "chacha20-poly1305@openssh.com" }

// Decrypt returns a private key file in OpenSSH's format without its
// passphrase. The key inside, of whatever type, is unchanged and matches the
// public half. The result is the caller's to wipe, also where data has no
// passphrase. The error may be ErrPassphraseWrong.
func Decrypt(data, passphrase []byte) ([]byte, error) {
	e, s, err := unpackOpenSSH(data)
	switch {
	case err != nil:
		return nil, err
	case !e.Encrypted:
		clear(s.private)
		return bytes.Clone(data), nil
	case !CanDecrypt(e):
		return nil, foreign("the cipher "+e.Cipher, "")
	}
	c := ciphers[e.Cipher]
	key := bcryptPBKDF(passphrase, s.salt, e.Rounds, c.key+c.iv)
	defer clear(key)
	private, err := decipher(e.Cipher, key[:c.key], key[c.key:], s.private, s.tag)
	if err != nil {
		return nil, err
	}
	defer clear(private)
	w := &wire{rest: private}
	if first, second := w.uint32(), w.uint32(); first != second {
		return nil, ErrPassphraseWrong
	}
	_, size, err := checkPrivate(private, e.Public)
	switch {
	case err != nil:
		return nil, err
	case size > 0:
		private = pad(private[:size], ciphers["none"].block)
		defer clear(private)
	}
	return pack("none", "none", nil, s.public, private), nil
}

// decipher opens what a file has encrypted. All ciphers but chacha20-poly1305.
func decipher(name string, key, iv, data, tag []byte) ([]byte, error) {
	var block cipher.Block
	var err error
	if name == "3des-cbc" {
		block, err = des.NewTripleDESCipher(key)
	} else {
		block, err = aes.NewCipher(key)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case len(tag) > 0:
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		plain, err := gcm.Open(nil, iv, append(bytes.Clone(data), tag...), nil)
		if err != nil {
			return nil, ErrPassphraseWrong
		}
		return plain, nil
	case bytes.HasSuffix([]byte(name), []byte("-cbc")):
		plain := make([]byte, len(data))
		cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
		return plain, nil
	}
	plain := make([]byte, len(data))
	cipher.NewCTR(block, iv).XORKeyStream(plain, data)
	return plain, nil
}

// Encrypt returns a private key file in OpenSSH's format with a passphrase, as
// ssh-keygen -a ROUNDS writes it. The file must not have one yet.
func Encrypt(data, passphrase []byte, rounds int) ([]byte, error) {
	e, s, err := unpackOpenSSH(data)
	defer clear(s.private)
	switch {
	case err != nil:
		return nil, err
	case e.Encrypted:
		return nil, errors.New("it is encrypted already")
	}
	_, size, err := checkPrivate(s.private, e.Public)
	switch {
	case err != nil:
		return nil, err
	case size == 0:
		return nil, foreign("a key of type "+e.Public.Type+", which only a newer ssh knows", "ssh-keygen -p -f FILE")
	}
	c := ciphers[sealCipher]
	private := pad(s.private[:size], c.block)
	defer clear(private)
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // which ends the program sooner than it fails
	key := bcryptPBKDF(passphrase, salt, rounds, c.key+c.iv)
	defer clear(key)
	block, err := aes.NewCipher(key[:c.key])
	if err != nil {
		return nil, err
	}
	cipher.NewCTR(block, key[c.key:]).XORKeyStream(private, private)
	kdf := binary.BigEndian.AppendUint32(appendString(nil, salt), uint32(rounds))
	return pack(sealCipher, "bcrypt", kdf, s.public, private), nil
}

func unpackOpenSSH(data []byte) (Envelope, sealed, error) {
	if !bytes.HasPrefix(data, []byte(beginOpenSSH)) {
		return Envelope{}, sealed{}, instead(data)
	}
	return unpack(data)
}

// pad returns a copy of a private part that fills its blocks: 1, 2, 3 …
func pad(private []byte, block int) []byte {
	padded := append(make([]byte, 0, len(private)+block), private...)
	for c := byte(1); len(padded)%block != 0; c++ {
		padded = append(padded, c)
	}
	return padded
}

// pack is the way back from unpack.
func pack(cipher, kdf string, options, public, private []byte) []byte {
	blob := append(make([]byte, 0, len(public)+len(private)+256), magic...)
	blob = appendString(appendString(appendString(blob, cipher), kdf), options)
	blob = binary.BigEndian.AppendUint32(blob, 1) // keys
	blob = appendString(appendString(blob, public), private)
	defer clear(blob)
	b64 := base64.StdEncoding.AppendEncode(nil, blob)
	defer clear(b64)
	file := append(make([]byte, 0, len(beginOpenSSH)+len(b64)+len(b64)/70+len(endOpenSSH)), beginOpenSSH...) // which leaves no copy behind
	for len(b64) > 70 {
		file = append(append(file, b64[:70]...), '\n')
		b64 = b64[70:]
	}
	return append(append(file, b64...), endOpenSSH...)
}
