package sshkey

import (
	"crypto/sha512"
	"encoding/binary"
	"sync"

	//lint:ignore SA1019 bcrypt_pbkdf is made of it, and OpenSSH's private files of that
	"golang.org/x/crypto/blowfish"
)

// bcryptBlock is how many bytes a block of bcrypt_pbkdf has.
const bcryptBlock = 32

// bcryptPBKDF derives n bytes from a passphrase as bcrypt_pbkdf(3) of OpenBSD
// does. Its blocks do not depend on one another and are computed side by side:
// the key and the start value of a cipher take two, and no longer than one.
func bcryptPBKDF(passphrase, salt []byte, rounds, n int) []byte {
	blocks := (n + bcryptBlock - 1) / bcryptBlock
	hashed := sha512.Sum512(passphrase)
	defer clear(hashed[:])
	key := make([]byte, blocks*bcryptBlock)
	var all sync.WaitGroup
	for i := range blocks {
		all.Go(func() {
			salted := sha512.Sum512(binary.BigEndian.AppendUint32(salt[:len(salt):len(salt)], uint32(i+1)))
			block := bcryptHash(hashed[:], salted[:])
			sum := block
			for range rounds - 1 {
				salted = sha512.Sum512(block[:])
				block = bcryptHash(hashed[:], salted[:])
				for j := range sum {
					sum[j] ^= block[j]
				}
			}
			for j, b := range sum { // a byte of each in turn
				key[j*blocks+i] = b
			}
		})
	}
	all.Wait()
	return key[:n]
}

// bcryptHash is bcrypt_hash() of bcrypt_pbkdf.c.
func bcryptHash(passphrase, salt []byte) (hash [bcryptBlock]byte) {
	c, err := blowfish.NewSaltedCipher(passphrase, salt)
	if err != nil {
		panic(err) // both are of 64 bytes
	}
	for range 64 {
		blowfish.ExpandKey(salt, c)
		blowfish.ExpandKey(passphrase, c)
	}
	copy(hash[:], "OxychromaticBlowfishSwatDynamite")
	for i := 0; i < len(hash); i += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(hash[i:], hash[i:])
		}
	}
	for i := 0; i < len(hash); i += 4 {
		binary.LittleEndian.PutUint32(hash[i:], binary.BigEndian.Uint32(hash[i:]))
	}
	return hash
}
