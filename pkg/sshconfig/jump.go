package sshconfig

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// A jump is ProxyJump: the last machine before the target, and how it is
// reached.
type jump struct {
	user, host string
	port       int    // 0 if not given
	via        string // what stands before the last comma; "" if nothing
}

// String returns the jump host as ssh_config(5) and `ssh -G` write it.
func (j *jump) String() string {
	var b strings.Builder
	if j.via != "" {
		b.WriteString(j.via + ",")
	}
	if j.user != "" {
		b.WriteString(j.user + "@")
	}
	if strings.Contains(j.host, ":") || strings.Trim(j.host, "0123456789.") == "" {
		b.WriteString("[" + j.host + "]")
	} else {
		b.WriteString(j.host)
	}
	if j.port != 0 {
		b.WriteString(":" + strconv.Itoa(j.port))
	}
	return b.String()
}

// parseJump is readconf.c parse_jump(), nil for "none". All hops are checked,
// as if the line were active.
func parseJump(s string) (*jump, error) {
	if isNone(s) {
		return nil, nil
	}
	s, _, _ = strings.Cut(s, "#")
	// rtrim() of misc.c cuts at the first white space but one.
	if len(s) > 1 {
		if i := strings.IndexAny(s[1:], " \t\n\v\f\r"); i >= 0 {
			s = s[:i+1]
		}
	}
	j := &jump{}
	hops := strings.Split(s, ",")
	for i, hop := range hops {
		var err error
		if j.user, j.host, j.port, err = parseHop(hop); err != nil {
			return nil, fmt.Errorf("bad jump host %q: %w", hop, err)
		}
		if i == len(hops)-1 {
			j.via = strings.Join(hops[:i], ",")
		}
	}
	return j, nil
}

// parseHop is misc.c parse_ssh_uri() and parse_user_host_port().
func parseHop(s string) (user, host string, port int, err error) {
	rest, uri := strings.CutPrefix(s, "ssh://")
	at := strings.LastIndexByte(rest, '@')
	if uri {
		at = strings.IndexByte(rest, '@')
	}
	if at >= 0 {
		user, rest = rest[:at], rest[at+1:]
		if uri {
			user, _, _ = strings.Cut(user, ";")
			if user, err = url.QueryUnescape(user); err != nil { // '+' is a blank, as in urldecode()
				return "", "", 0, errors.New("bad user")
			}
		}
		if user == "" {
			return "", "", 0, errors.New("empty user")
		}
	}
	end := strings.IndexAny(rest, ":/")
	if strings.HasPrefix(rest, "[") {
		if end = strings.IndexByte(rest, ']') + 1; end == 0 {
			return "", "", 0, errors.New("missing ]")
		}
	} else if end < 0 {
		end = len(rest)
	}
	host, rest = rest[:end], rest[end:]
	if uri {
		rest = strings.TrimSuffix(rest, "/")
	}
	if rest != "" && rest[0] != ':' {
		return "", "", 0, fmt.Errorf("unexpected %q after the host", rest)
	}
	if strings.HasPrefix(host, "[") {
		host = host[1 : len(host)-1]
	}
	if uri {
		if !validDomain(host) {
			return "", "", 0, errors.New("bad host")
		}
		host = strings.TrimSuffix(host, ".")
	}
	if host == "" {
		return "", "", 0, errors.New("empty host")
	}
	if len(rest) > 1 {
		p, err := parsePort(rest[1:])
		if err != nil {
			return "", "", 0, err
		}
		port, _ = strconv.Atoi(p)
	}
	return user, host, port, nil
}

// validDomain is misc.c valid_domain(), which ssh:// wants its hosts to be.
func validDomain(s string) bool {
	const alphanumeric = letters + "0123456789"
	s = pattern.Lower(s)
	return s != "" && strings.IndexByte(alphanumeric, s[0]) >= 0 &&
		strings.Trim(s, alphanumeric+".-_") == "" && !strings.Contains(s, "..")
}
