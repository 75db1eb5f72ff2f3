// Package destination parses the names of machines to log in to:
// [user@]host[:port], [user@][IPv6]:port, ssh://[user@]host[:port], or a Host
// alias of ssh_config(5); one at a time, or from a host list.
package destination

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"pi-key-tools/pkg/record"
)

// A Destination is one parsed target. Host is never empty, never starts with
// '-', and holds nothing that a shell, ssh or known_hosts would read as more
// than a name: it consists of letters, digits and "._-+", or is an IPv6
// address, which may have a zone after a '%'.
type Destination struct {
	User string // "" if not given
	Host string // name, alias or address; an IPv6 address without brackets
	Port int    // 0 if not given
}

// String returns the destination in the form that Parse reads.
func (d Destination) String() string {
	s := d.Host
	if d.Port != 0 {
		if strings.Contains(s, ":") {
			s = "[" + s + "]"
		}
		s += ":" + strconv.Itoa(d.Port)
	}
	if d.User != "" {
		s = d.User + "@" + s
	}
	return s
}

// SSH returns the arguments that name the destination to ssh(1), which does not
// accept host:port.
func (d Destination) SSH() []string {
	var args []string
	if d.Port != 0 {
		args = []string{"-p", strconv.Itoa(d.Port)}
	}
	d.Port = 0
	return append(args, d.String())
}

// Parse parses a target. Its error says what is wrong with it, and contains no
// control byte that a terminal would obey, nor a password.
//
// As with ssh the last '@' ends the user; in ssh:// a '/' may follow with
// nothing after it, and percent-escapes are refused rather than decoded.
func Parse(s string) (Destination, error) {
	d, err := parse(s)
	if errors.Is(err, errPassword) {
		return Destination{}, fmt.Errorf("target …%s: %w", shown(s[strings.LastIndex(s, "@"):]), err)
	}
	if err != nil {
		return Destination{}, fmt.Errorf("target %s: %w", shown(s), err)
	}
	return d, nil
}

var errPassword = errors.New("a ':' in the user name; a password is never taken from there")

// shown makes a target fit to be part of an error.
func shown(s string) string {
	if s == "" {
		return `""`
	}
	const most = 100
	if len(s) > most {
		s = s[:most] + "…"
	}
	return record.Escape(s)
}

func parse(s string) (Destination, error) {
	var d Destination
	switch {
	case s == "":
		return d, errors.New("empty")
	case s == record.Local:
		return d, errors.New("stands for this machine in a record and names no other")
	case s[0] == '-':
		return d, errors.New("starts with '-', as an option does")
	}
	rest, uri := strings.CutPrefix(s, "ssh://")
	if uri {
		authority, path, _ := strings.Cut(rest, "/")
		user, host, _ := strings.Cut(authority, "@")
		switch {
		case path != "":
			return d, errors.New("a path after the host")
		case strings.Contains(user, "%"), strings.Contains(host, "%25"):
			return d, errors.New("a percent-escape; write the character itself")
		}
		rest = authority
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		d.User, rest = rest[:i], rest[i+1:]
		if err := checkUser(d.User); err != nil {
			return d, err
		}
	}
	host, port, hasPort, err := splitPort(rest)
	if err != nil {
		return d, err
	}
	if d.Host = host; hasPort {
		if d.Port, err = parsePort(port); err != nil {
			return d, err
		}
	}
	return d, checkHost(d.Host)
}

// splitPort divides host[:port]. A host with several colons is an IPv6 address
// and has no port unless it is in brackets.
func splitPort(s string) (host, port string, hasPort bool, err error) {
	if inside, ok := strings.CutPrefix(s, "["); ok {
		host, after, ok := strings.Cut(inside, "]")
		if !ok {
			return "", "", false, errors.New("a '[' without its ']'")
		}
		port, hasPort = strings.CutPrefix(after, ":")
		if after != "" && !hasPort {
			return "", "", false, errors.New("only ':' and a port may follow the ']'")
		}
		if after == "" && host != "" && !strings.ContainsAny(host, ":%") {
			return "", "", false, errors.New("a name in brackets without a port, like the group of an inventory")
		}
		return host, port, hasPort, nil
	}
	if strings.Count(s, ":") > 1 {
		return s, "", false, nil
	}
	host, port, hasPort = strings.Cut(s, ":")
	return host, port, hasPort, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("a port is a number from 1 to 65535")
	}
	return int(n), nil
}

// checkUser refuses what ssh's ssh_valid_ruser() refuses, and a ':', which
// cannot be part of a user's name (passwd(5)) but often is part of a pasted
// password.
func checkUser(user string) error {
	switch {
	case user == "":
		return errors.New("no user before the '@'")
	case user[0] == '-':
		return errors.New("a user that starts with '-', as an option does")
	case strings.Contains(user, ":"):
		return errPassword
	case strings.Contains(user, " -"):
		return errors.New("a blank and '-' in the user name")
	case strings.HasSuffix(user, `\`):
		return errors.New(`a '\' at the end of the user name`)
	}
	for _, c := range []byte(user) {
		if c < ' ' || c == 0x7f {
			return errors.New("a control byte in the user name")
		}
		if strings.IndexByte("'`\";&<>|(){}", c) >= 0 {
			return fmt.Errorf("a %q in the user name", c)
		}
	}
	return nil
}

func checkHost(host string) error {
	switch {
	case host == "":
		return errors.New("no host")
	case host[0] == '-':
		return errors.New("a host that starts with '-', as an option does")
	case len(host) > 255: // the longest that DNS has
		return errors.New("a host name of more than 255 bytes")
	}
	name := host
	if strings.Contains(host, ":") {
		address, zone, hasZone := strings.Cut(host, "%")
		if _, err := netip.ParseAddr(address); err != nil || hasZone && zone == "" { // with a colon, of IPv6
			return errors.New("neither an IPv6 address nor host:port")
		}
		name = zone
	}
	for s := name; s != ""; {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n <= 1:
			return errors.New("a host name that is not UTF-8")
		case unicode.IsControl(r):
			return errors.New("a control character in the host name")
		case !ofName(r):
			format := "a '%c' in the host name"
			if !unicode.IsPrint(r) {
				format = "a %U in the host name"
			}
			return fmt.Errorf(format, r)
		}
		s = s[n:]
	}
	return nil
}

// ofName reports whether a host name may have a character. ssh takes other scripts
// too, and so do ssh_config and mDNS; what has a '=' is rather a setting, perhaps
// of a password.
func ofName(r rune) bool {
	return unicode.In(r, unicode.Letter, unicode.Mark, unicode.Digit) || strings.ContainsRune("._-+", r)
}
