package sshconfig

import (
	"errors"
	"fmt"
	"os/user"
	"strings"
)

// expandTokens is misc.c percent_expand(): %% and the letters of the map.
func expandTokens(s string, tokens map[byte]string) (string, error) {
	return expand(s, tokens, nil)
}

// expandVariables is misc.c dollar_expand(): ${NAME}.
func expandVariables(s string, getenv func(string) string) (string, error) {
	return expand(s, nil, getenv)
}

// expand is misc.c vdollar_percent_expand(). What is put in is not looked at
// again. nil tokens or getenv leave % or ${ as they are.
func expand(s string, tokens map[byte]string, getenv func(string) string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case getenv != nil && strings.HasPrefix(s[i:], "${"):
			name, _, closed := strings.Cut(s[i+2:], "}")
			if !closed || name == "" {
				return "", errors.New("bad ${} in " + s)
			}
			value := getenv(name)
			if value == "" {
				return "", fmt.Errorf("environment variable %s is not set", name)
			}
			b.WriteString(value)
			i += len("${}") + len(name) - 1
		case tokens != nil && s[i] == '%':
			if i++; i == len(s) {
				return "", errors.New("single % at the end of " + s)
			}
			value, ok := tokens[s[i]]
			if s[i] == '%' {
				value, ok = "%", true
			}
			if !ok {
				return "", fmt.Errorf("unknown token %%%c in %s", s[i], s)
			}
			b.WriteString(value)
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}

// expandTilde is misc.c tilde_expand(): ~, ~/path, ~user, ~user/path.
func expandTilde(s, home string) (string, error) {
	if !strings.HasPrefix(s, "~") {
		return s, nil
	}
	name, rest, _ := strings.Cut(s[1:], "/")
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return "", fmt.Errorf("expanding %s: %w", s, err)
		}
		home = u.HomeDir
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(rest, "/"), nil
}
