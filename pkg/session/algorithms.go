package session

import (
	"slices"

	"golang.org/x/crypto/ssh"
)

// algorithms are what ssh offers by default since OpenSSH 9.9, in its order, as
// far as x/crypto has it (ssh_config(5) KexAlgorithms, Ciphers, MACs). x/crypto's
// own defaults leave out key exchanges that a hardened server may be down to,
// and have SHA-1 ones that ssh has given up. chacha20 comes first for another
// reason too: most Pis have no instructions for AES.
var algorithms = ssh.Config{
	KeyExchanges: []string{
		ssh.KeyExchangeMLKEM768X25519,
		ssh.KeyExchangeCurve25519, // x/crypto adds its older name
		ssh.KeyExchangeECDHP256,
		ssh.KeyExchangeECDHP384,
		ssh.KeyExchangeECDHP521,
		ssh.KeyExchangeDHGEXSHA256,
		ssh.KeyExchangeDH16SHA512,
		ssh.KeyExchangeDH14SHA256,
	},
	Ciphers: []string{
		ssh.CipherChaCha20Poly1305,
		ssh.CipherAES128GCM,
		ssh.CipherAES256GCM,
		ssh.CipherAES128CTR,
		ssh.CipherAES192CTR,
		ssh.CipherAES256CTR,
	},
	MACs: []string{
		ssh.HMACSHA256ETM,
		ssh.HMACSHA512ETM,
		ssh.HMACSHA256,
		ssh.HMACSHA512,
		ssh.HMACSHA1,
	},
}

// proofAlgorithms are the same, in another order, for a connection that carries
// nothing but a user's name, public keys, and a signature. ssh's first key
// exchange keeps what is recorded today from the quantum computers of some later
// day. Here that would be the name of the user, who need not be a secret, and
// which of the keys log in; nobody can sign by it then. That the host is the one
// it claims to be rests on its host key, whatever the exchange. What is left to
// choose by is the cost, and the server's counts most: sshd 10.5 took 16.7 ms of
// an EPYC for all of a connection with mlkem768x25519, 16.2 with curve25519, which
// OpenSSH computes by plain C in 1.2 ms each of two times, and 13.3 with nistp256,
// of which OpenSSL has assembly for every Pi; this side 1.7, 1.6 and 1.4 ms.
var proofAlgorithms = func() ssh.Config {
	cheap := []string{ssh.KeyExchangeECDHP256, ssh.KeyExchangeCurve25519}
	proof := algorithms
	proof.KeyExchanges = slices.Concat(cheap,
		slices.DeleteFunc(slices.Clone(algorithms.KeyExchanges), func(a string) bool { return slices.Contains(cheap, a) }))
	return proof
}()

// restrict replaces what is offered by what the caller lets be, whose order counts
// for a proof too.
func (c *Config) restrict(offered ssh.Config) ssh.Config {
	if c.KeyExchanges != nil {
		offered.KeyExchanges = c.KeyExchanges
	}
	if c.Ciphers != nil {
		offered.Ciphers = c.Ciphers
	}
	if c.MACs != nil {
		offered.MACs = c.MACs
	}
	return offered
}
