package sshconfig

import (
	"errors"
	"slices"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// allAlgorithms is `ssh -Q HostKeyAlgorithms` of OpenSSH 9.2, in its order.
var allAlgorithms = strings.Fields(`
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
	rsa-sha2-512 rsa-sha2-512-cert-v01@openssh.com`)

// defaultAlgorithms is KEX_DEFAULT_PK_ALG of OpenSSH 9.2's myproposal.h, the
// default of both HostKeyAlgorithms and PubkeyAcceptedAlgorithms.
var defaultAlgorithms = strings.Fields(`
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
	rsa-sha2-512 rsa-sha2-256`)

// knownAlgorithms reports whether OpenSSH 9.2 takes the list (sshkey.c
// sshkey_names_valid2()): each element is or matches an algorithm, up to the
// first empty one. Other versions know others.
func knownAlgorithms(list string) bool {
	if strings.HasPrefix(list, "-") {
		return true // ssh does not look either
	}
	list = strings.TrimLeft(list[:1], "+^") + list[1:]
	if list == "" {
		return false
	}
	for name := range strings.SplitSeq(list, ",") {
		if name == "" {
			break
		}
		if !slices.ContainsFunc(allAlgorithms, func(a string) bool { return pattern.MatchList(a, name) != pattern.Unmatched }) {
			return false
		}
	}
	return true
}

// assembleAlgorithms is kex.c kex_assemble_names(): '+' adds to the default
// list, '-' takes away from it, '^' puts at its head, anything else replaces
// it. The result is never nil.
func assembleAlgorithms(list string) ([]string, error) {
	result := []string{}
	if list[0] == '-' {
		for _, a := range defaultAlgorithms {
			if pattern.MatchList(a, list[1:]) != pattern.Matched {
				result = append(result, a)
			}
		}
		return result, nil
	}
	patterns := strings.Split(strings.TrimLeft(list[:1], "+^")+list[1:], ",")
	switch list[0] {
	case '+':
		patterns = slices.Concat(defaultAlgorithms, patterns)
	case '^':
		patterns = slices.Concat(patterns, defaultAlgorithms)
	}
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			return nil, errors.New("negated algorithms are only supported after '-'")
		}
		for _, a := range allAlgorithms {
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
