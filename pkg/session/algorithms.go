package session

import "golang.org/x/crypto/ssh"

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
