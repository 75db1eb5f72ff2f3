package authorizedkeys

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/sshkey"
)

// The flags of sshauthopt_parse(), in its order: the first that a text starts
// with is meant. Those in negatable may have "no-" before them.
var (
	flags     = []string{"restrict", "cert-authority"}
	negatable = []string{"port-forwarding", "agent-forwarding", "x11-forwarding", "touch-required", "verify-required", "pty", "user-rc"}
)

// valued are the options with a quoted value and what is asked of it.
var valued = map[string]func(string) error{
	"command":      anything,
	"principals":   anything,
	"from":         checkFrom,
	"expiry-time":  checkExpiry,
	"environment":  checkEnvironment,
	"permitopen":   func(v string) error { return checkPermit("permitopen", v) },
	"permitlisten": checkPermitListen,
	"tunnel":       checkTunnel,
}

// once are those that may not come twice.
var once = []string{"command", "principals", "from"}

// maxWrong bounds what is told of a line, which may have more than anybody reads.
const maxWrong = 5

// parseOptions reads the options of an entry as sshauthopt_parse() does. The
// error, for which sshd passes the line by, tells all that is wrong with them, as
// far as anybody reads on; those that can be read are returned beside it.
func parseOptions(s string) ([]Option, error) {
	var options []Option
	var wrong []string
	for s != "" {
		o, rest, err := parseOption(s)
		if err == nil && slices.Contains(once, o.Name) && (Entry{Options: options}).has(o.Name) {
			err = fmt.Errorf("%s= twice", o.Name)
		}
		switch {
		case err != nil:
			if wrong = append(wrong, err.Error()); len(wrong) > maxWrong {
				wrong = append(wrong[:maxWrong], "more")
			}
			_, rest, _ = cutUnquoted(s, ",")
		case o.Name != "":
			options = append(options, o)
		}
		s = strings.TrimPrefix(rest, ",")
	}
	if wrong != nil {
		return options, errors.New(strings.Join(wrong, "; and "))
	}
	return options, nil
}

// CheckOptions returns what is wrong with options to be put before a key; sshd
// would silently skip such a line.
func CheckOptions(options string) error {
	if strings.ContainsAny(options, "\r\n\x00") {
		return errors.New("a control byte in it would break the line")
	}
	sample, err := sshkey.ParseBlob([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"+strings.Repeat("\x00", 32)), "")
	if err != nil {
		return err // the bytes above are a key
	}
	entry, ok := ParseLine([]byte(options + " " + sample.Line()))
	switch {
	case ok && entry.Dead != "":
		return fmt.Errorf("sshd would ignore the line: %s", entry.Dead)
	case !ok || !entry.Key.Equal(sample) || len(entry.Options) == 0:
		return errors.New("sshd would not read them as options")
	}
	return nil
}

// parseOption takes one option off s; rest is empty or starts with a comma.
// Between two commas there may be none.
func parseOption(s string) (o Option, rest string, err error) {
	o, rest, err = matchOption(s)
	if err == nil && rest != "" && rest[0] != ',' {
		word, _, _ := strings.Cut(s, ",")
		word, _, _ = strings.Cut(word, "=")
		err = fmt.Errorf("an option that sshd does not know: %.40q", word)
	}
	return o, rest, err
}

func matchOption(s string) (o Option, rest string, err error) {
	for _, name := range flags {
		if hasPrefixFold(s, name) {
			return Option{Name: name}, s[len(name):], nil
		}
	}
	for _, name := range negatable {
		if hasPrefixFold(s, name) {
			return Option{Name: name}, s[len(name):], nil
		}
		if no := "no-" + name; hasPrefixFold(s, no) {
			return Option{Name: no}, s[len(no):], nil
		}
	}
	name, rest, ok := strings.Cut(s, "=")
	name = strings.ToLower(name)
	check := valued[name]
	if !ok || check == nil {
		return Option{}, s, nil
	}
	value, rest, err := dequote(rest)
	if err == nil {
		err = check(value)
	}
	if err != nil {
		return Option{}, rest, fmt.Errorf("%s=: %w", name, err)
	}
	return Option{name, value}, rest, nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// dequote takes a value off s. A backslash means something before a '"' only.
func dequote(s string) (value, rest string, err error) {
	s, ok := strings.CutPrefix(s, `"`)
	if !ok {
		return "", "", errors.New(`no '"' before its value`)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case strings.HasPrefix(s[i:], `\"`):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", errors.New(`no '"' after its value`)
}

func anything(string) error { return nil }

// checkFrom looks for what makes addr_match_list() fail for every address: an
// empty element, and a network with bits set behind its mask.
func checkFrom(value string) error {
	for element := range strings.SplitSeq(value, ",") {
		element = strings.TrimPrefix(element, "!")
		if element == "" {
			return errors.New("an empty element, because of which sshd refuses every address")
		}
		if address, mask, ok := strings.Cut(element, "/"); ok && badNetwork(address, mask) {
			return fmt.Errorf("%q has bits set beyond its mask, because of which sshd refuses every address", element)
		}
	}
	return nil
}

// badNetwork is where addr_pton_cidr() gives up; what is no address may be a
// pattern.
func badNetwork(address, mask string) bool {
	a, err := netip.ParseAddr(address)
	bits, maskErr := strconv.ParseUint(mask, 10, 8)
	if err != nil || maskErr != nil || bits > 128 {
		return false
	}
	network, err := a.Prefix(int(bits))
	return err != nil || network.Addr() != a.WithZone("")
}

// checkExpiry wants YYYYMMDD[HHMM[SS]][Z|UTC] (parse_absolute_time()), after
// 1970.
func checkExpiry(value string) error {
	bad := errors.New("not a time as YYYYMMDD[HHMM[SS]], followed by Z for UTC")
	digits := value
	if n := len(value) - 1; n >= 1 && strings.EqualFold(value[n:], "Z") {
		digits = value[:n]
	} else if n := len(value) - 3; n >= 1 && strings.EqualFold(value[n:], "UTC") {
		digits = value[:n]
	}
	if len(digits) != 8 && len(digits) != 12 && len(digits) != 14 {
		return bad
	}
	in := func(from, to int, least, most uint64) bool {
		if len(digits) < to {
			return true
		}
		n, err := strconv.ParseUint(digits[from:to], 10, 32)
		return err == nil && least <= n && n <= most
	}
	if !in(0, 4, 1970, 9999) || !in(4, 6, 1, 12) || !in(6, 8, 1, 31) ||
		!in(8, 10, 0, 23) || !in(10, 12, 0, 59) || !in(12, 14, 0, 61) {
		return bad
	}
	return nil
}

// checkEnvironment wants NAME=value, NAME of letters, digits and '_'.
func checkEnvironment(value string) error {
	name, _, ok := strings.Cut(value, "=")
	if !ok || name == "" || strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && !isAlphanumeric(r)
	}) {
		return errors.New("not NAME=value")
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
}

// checkPermit wants host:port or [address]:port, as handle_permit(): a '/' is
// as good as the ':', the host may be empty, the port '*'.
func checkPermit(name, value string) error {
	bad := errors.New("not host:port")
	if name == "permitlisten" {
		bad = errors.New("not [host:]port")
	}
	i := strings.IndexAny(value, ":/")
	if strings.HasPrefix(value, "[") {
		i = strings.IndexByte(value, ']') + 1
		if i == 0 || i == len(value) || value[i] != ':' && value[i] != '/' {
			return bad
		}
	}
	if i < 0 || i >= 1025 { // NI_MAXHOST
		return bad
	}
	port := value[i+1:]
	if n, err := strconv.ParseUint(port, 10, 16); port == "*" || err == nil && n > 0 {
		return nil
	}
	// A name of services(5); which there are, only that machine knows.
	if strings.Trim(port, "0123456789") != "" && !strings.ContainsFunc(port, func(r rune) bool {
		return r != '-' && !isAlphanumeric(r)
	}) {
		return nil
	}
	return bad
}

func checkPermitListen(value string) error {
	if !strings.Contains(value, ":") {
		value = "*:" + value
	}
	return checkPermit("permitlisten", value)
}

// checkTunnel wants the number of a tun device, or "any".
func checkTunnel(value string) error {
	const most = 0x7fffffff - 2 // SSH_TUNID_MAX
	if n, err := strconv.ParseUint(value, 10, 32); strings.EqualFold(value, "any") || err == nil && n <= most {
		return nil
	}
	return errors.New(`neither "any" nor the number of a tun device`)
}
