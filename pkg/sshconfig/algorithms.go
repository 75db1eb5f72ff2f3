package sshconfig

import (
	"errors"
	"slices"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// algorithms are those of one kind that OpenSSH has, for a keyword with a list of
// them.
type algorithms struct {
	all      []string // by `ssh -Q` of OpenSSH 9.2, in its order
	newer    []string // that it has got since
	defaults []string // those that it offers where no list is given
	exact    bool     // a list names them in full, without wildcards, but after '-'
}

// keyAlgorithms is `ssh -Q HostKeyAlgorithms`. The defaults are KEX_DEFAULT_PK_ALG
// of OpenSSH 9.2's myproposal.h, for both HostKeyAlgorithms and
// PubkeyAcceptedAlgorithms.
func keyAlgorithms() *algorithms {
	return &algorithms{
		all: strings.Fields(`
			ssh-ed25519 ssh-ed25519-cert-v01@openssh.com
			sk-ssh-ed25519@openssh.com sk-ssh-ed25519-cert-v01@openssh.com
			ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com
			ecdsa-sha2-nistp384 ecdsa-sha2-nistp384-cert-v01@openssh.com
			ecdsa-sha2-nistp521 ecdsa-sha2-nistp521-cert-v01@openssh.com
			sk-ecdsa-sha2-nistp256@openssh.com sk-ecdsa-sha2-nistp256-cert-v01@openssh.com
			webauthn-sk-ecdsa-sha2-nistp256@openssh.com
			ssh-dss ssh-dss-cert-v01@openssh.com
			ssh-rsa ssh-rsa-cert-v01@openssh.com
			rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com
			rsa-sha2-512 rsa-sha2-512-cert-v01@openssh.com`),
		defaults: strings.Fields(`
			ssh-ed25519-cert-v01@openssh.com
			ecdsa-sha2-nistp256-cert-v01@openssh.com
			ecdsa-sha2-nistp384-cert-v01@openssh.com
			ecdsa-sha2-nistp521-cert-v01@openssh.com
			sk-ssh-ed25519-cert-v01@openssh.com
			sk-ecdsa-sha2-nistp256-cert-v01@openssh.com
			rsa-sha2-512-cert-v01@openssh.com
			rsa-sha2-256-cert-v01@openssh.com
			ssh-ed25519 ecdsa-sha2-nistp256 ecdsa-sha2-nistp384 ecdsa-sha2-nistp521
			sk-ssh-ed25519@openssh.com sk-ecdsa-sha2-nistp256@openssh.com
			rsa-sha2-512 rsa-sha2-256`),
	}
}

// kexAlgorithms is `ssh -Q kex`. The defaults are those of OpenSSH 10, which start
// with two that 9.2 lacks; those of ciphers are the same but for their order.
func kexAlgorithms() *algorithms {
	return &algorithms{
		all: strings.Fields(`
			diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256
			diffie-hellman-group16-sha512 diffie-hellman-group18-sha512
			diffie-hellman-group-exchange-sha1 diffie-hellman-group-exchange-sha256
			ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
			curve25519-sha256 curve25519-sha256@libssh.org sntrup761x25519-sha512@openssh.com`),
		newer: strings.Fields(`mlkem768x25519-sha256 sntrup761x25519-sha512`),
		defaults: strings.Fields(`
			mlkem768x25519-sha256 sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com
			curve25519-sha256 curve25519-sha256@libssh.org
			ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
			diffie-hellman-group-exchange-sha256
			diffie-hellman-group16-sha512 diffie-hellman-group18-sha512 diffie-hellman-group14-sha256`),
		exact: true,
	}
}

// cipherAlgorithms is `ssh -Q cipher`.
func cipherAlgorithms() *algorithms {
	return &algorithms{
		all: strings.Fields(`
			3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr
			aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com`),
		defaults: strings.Fields(`
			chacha20-poly1305@openssh.com aes128-gcm@openssh.com aes256-gcm@openssh.com
			aes128-ctr aes192-ctr aes256-ctr`),
		exact: true,
	}
}

// macAlgorithms is `ssh -Q mac`.
func macAlgorithms() *algorithms {
	return &algorithms{
		all: strings.Fields(`
			hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96
			umac-64@openssh.com umac-128@openssh.com
			hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com
			hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com
			hmac-md5-etm@openssh.com hmac-md5-96-etm@openssh.com
			umac-64-etm@openssh.com umac-128-etm@openssh.com`),
		defaults: strings.Fields(`
			umac-64-etm@openssh.com umac-128-etm@openssh.com
			hmac-sha2-256-etm@openssh.com hmac-sha2-512-etm@openssh.com hmac-sha1-etm@openssh.com
			umac-64@openssh.com umac-128@openssh.com hmac-sha2-256 hmac-sha2-512 hmac-sha1`),
		exact: true,
	}
}

// know reports whether OpenSSH takes the list, and whether 9.2 does: each element
// is an algorithm, or matches one (sshkey.c sshkey_names_valid2(), kex-names.c
// kex_names_valid()), up to the first empty one. Other versions know others.
func (k *algorithms) know(list string) (taken, byAll bool) {
	if strings.HasPrefix(list, "-") {
		return true, true // ssh does not look either
	}
	list = strings.TrimLeft(list[:1], "+^") + list[1:]
	if list == "" {
		return false, false
	}
	byAll = true
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			break
		}
		is := func(a string) bool {
			return a == name || !k.exact && pattern.MatchList(a, name) != pattern.Unmatched
		}
		if slices.ContainsFunc(k.all, is) {
			continue
		}
		if byAll = false; !slices.ContainsFunc(k.newer, is) {
			return false, false
		}
	}
	return true, byAll
}

// assemble is kex.c kex_assemble_names(): '+' adds to the default list, '-' takes
// away from it, '^' puts at its head, anything else replaces it. The result is
// never nil.
func (k *algorithms) assemble(list string) ([]string, error) {
	result := []string{}
	if list[0] == '-' {
		for _, a := range k.defaults {
			if pattern.MatchList(a, list[1:]) != pattern.Matched {
				result = append(result, a)
			}
		}
		return result, nil
	}
	patterns := strings.Split(strings.TrimLeft(list[:1], "+^")+list[1:], ",")
	switch list[0] {
	case '+':
		patterns = slices.Concat(k.defaults, patterns)
	case '^':
		patterns = slices.Concat(patterns, k.defaults)
	}
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			return nil, errors.New("negated algorithms are only supported after '-'")
		}
		for _, a := range slices.Concat(k.all, k.newer) {
			if pattern.Match(a, p) && !slices.Contains(result, a) {
				result = append(result, a)
			}
		}
	}
	if len(result) == 0 {
		return nil, errors.New("no algorithm is left")
	}
	return result, nil
}
