package identity

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/confline"
	"pi-key-tools/pkg/sshkey"
)

// A Certification says what a certificate is to contain, in the terms of
// ssh-keygen(1).
type Certification struct {
	ID         string   // -I
	Principals string   // -n: separated by commas
	Validity   string   // -V; "" for always:forever
	Options    []string // -O, in order
}

// maxPrincipals is SSHKEY_CERT_MAX_PRINCIPALS.
const maxPrincipals = 256

// Certificate returns a user certificate with these contents, as yet without a
// key and an authority. It refuses what ssh-keygen refuses, and a certificate
// without principals, which logs in as anybody on servers before OpenSSH 10.3,
// and as nobody since.
func (c Certification) Certificate(now time.Time) (sshkey.Certificate, error) {
	cert := sshkey.Certificate{User: true, ID: c.ID, Principals: strings.Split(c.Principals, ","), Before: sshkey.Forever}
	switch {
	case c.ID == "":
		return cert, errors.New("-I: the certificate needs a key identity, which servers log")
	case c.Principals == "":
		return cert, errors.New("-n: a certificate without principals is valid for every user, or for none: name the users")
	case slices.Contains(cert.Principals, ""):
		return cert, fmt.Errorf("-n: an empty name in %q", c.Principals)
	case len(cert.Principals) > maxPrincipals:
		return cert, fmt.Errorf("-n: %d names are more than the %d that a certificate can have", len(cert.Principals), maxPrincipals)
	case strings.ContainsFunc(c.ID+c.Principals, unicode.IsControl):
		return cert, errors.New("-I and -n: there is a control character")
	}
	var err error
	if c.Validity != "" {
		if cert.After, cert.Before, err = validity(c.Validity, now); err != nil {
			return cert, fmt.Errorf("-V: %w", err)
		}
	}
	if cert.Critical, cert.Extensions, err = certOptions(c.Options); err != nil {
		return cert, fmt.Errorf("-O: %w", err)
	}
	return cert, nil
}

// validity reads an interval as ssh-keygen.c parse_cert_times() does.
func validity(s string, now time.Time) (after, before uint64, err error) {
	from, to, two := strings.Cut(s, ":")
	if !two && strings.HasPrefix(s, "+") {
		life, err := confline.Seconds(s[1:])
		if err != nil {
			return 0, 0, err
		}
		// Begun up to two minutes ago, for hosts whose clocks are a little slow.
		return uint64(now.Unix()-59) / 60 * 60, uint64(now.Unix() + life), nil
	}
	if from == "" || to == "" {
		return 0, 0, fmt.Errorf("%q is not an interval such as +52w, 20260101:20270101 or -1d:forever", s)
	}
	if after, err = certTime(from, "always", 0, now); err != nil {
		return 0, 0, err
	}
	if before, err = certTime(to, "forever", sshkey.Forever, now); err != nil {
		return 0, 0, err
	}
	if before <= after {
		return 0, 0, fmt.Errorf("%q ends before it begins", s)
	}
	return after, before, nil
}

// certTime reads one end of an interval.
func certTime(s, word string, is uint64, now time.Time) (uint64, error) {
	switch {
	case s == word:
		return is, nil
	case s[0] == '+' || s[0] == '-':
		seconds, err := confline.Seconds(s[1:])
		if s[0] == '-' {
			seconds = -seconds
		}
		if now.Unix()+seconds < 0 {
			err = fmt.Errorf("%q is before 1970", s)
		}
		return uint64(now.Unix() + seconds), err
	case strings.HasPrefix(s, "0x"):
		n, err := strconv.ParseUint(s[2:], 16, 64)
		if err != nil {
			err = fmt.Errorf("%q is not a number", s)
		}
		return n, err
	}
	if t, ok := AbsoluteTime(s, now.Location()); ok && t.Unix() >= 0 {
		return uint64(t.Unix()), nil
	}
	return 0, fmt.Errorf("%q is not a time such as 20260131, 202601311200, 20260131120000Z, +52w, -1d or %s", s, word)
}

// AbsoluteTime reads a time such as 20260131, 202601311200 or 20260131120000 in
// a zone, unless it says that it is UTC (misc.c parse_absolute_time()). In
// summer, the mktime(3) of that is an hour off (tm_isdst is 0), and we are not.
func AbsoluteTime(s string, zone *time.Location) (t time.Time, ok bool) {
	for _, suffix := range []string{"Z", "UTC"} {
		if n := len(s) - len(suffix); n > 0 && strings.EqualFold(s[n:], suffix) {
			s, zone = s[:n], time.UTC
			break
		}
	}
	const layout = "20060102150405"
	if n := len(s); n != 8 && n != 12 && n != 14 {
		return t, false
	}
	t, err := time.ParseInLocation(layout[:len(s)], s, zone)
	return t, err == nil
}

// The extensions that -O switches by their names, and whether they are in a
// certificate by default (ssh-keygen.c CERTOPT_DEFAULT).
var extensions = map[string]bool{
	"permit-X11-forwarding":   true,
	"permit-agent-forwarding": true,
	"permit-port-forwarding":  true,
	"permit-pty":              true,
	"permit-user-rc":          true,
	"no-touch-required":       false,
}

// extensionOf returns the extension that a word of -O switches on or off.
func extensionOf(word string) (name string, on, ok bool) {
	for name := range extensions {
		off, _ := strings.CutPrefix(name, "no-") // touch-required
		if plain, permits := strings.CutPrefix(name, "permit-"); permits {
			off = "no-" + plain
		}
		if strings.EqualFold(word, name) || strings.EqualFold(word, off) {
			return name, strings.EqualFold(word, name), true
		}
	}
	return "", false, false
}

// certOptions reads the options as ssh-keygen.c add_cert_option() does, and
// puts them in its order, for which servers do not care.
func certOptions(words []string) (critical, more []sshkey.CertOption, err error) {
	on := maps.Clone(extensions)
	value := map[string]string{} // of those critical ones that may come once
	verify := false
	for _, word := range words {
		name, v, hasValue := strings.Cut(word, "=")
		name = strings.ToLower(name)
		if switched, to, ok := extensionOf(word); ok {
			on[switched] = to
			continue
		}
		kind, own, isOwn := strings.Cut(word, ":")
		switch kind = strings.ToLower(kind); {
		case strings.EqualFold(word, "clear"):
			clear(on)
			verify = false
		case strings.EqualFold(word, "verify-required"), strings.EqualFold(word, "no-verify-required"):
			verify = strings.EqualFold(word, "verify-required")
		case hasValue && (name == "force-command" || name == "source-address"):
			if _, again := value[name]; again || v == "" {
				return nil, nil, fmt.Errorf("%s= is given twice, or is empty", name)
			}
			if name == "source-address" {
				if err := checkSources(v); err != nil {
					return nil, nil, err
				}
			}
			value[name] = v
		case isOwn && (kind == "critical" || kind == "extension"):
			o := sshkey.CertOption{Name: own}
			if name, v, hasValue := strings.Cut(own, "="); hasValue {
				o = sshkey.ValueOption(name, v)
			}
			if o.Name == "" {
				return nil, nil, fmt.Errorf("%q names nothing", word)
			}
			if kind == "critical" {
				critical = append(critical, o)
			} else {
				more = append(more, o)
			}
		default:
			return nil, nil, fmt.Errorf("%q is not a certificate option", word)
		}
	}
	for name, v := range value {
		critical = append(critical, sshkey.ValueOption(name, v))
	}
	if verify {
		critical = append(critical, sshkey.CertOption{Name: "verify-required"})
	}
	for name, is := range on {
		if is {
			more = append(more, sshkey.CertOption{Name: name})
		}
	}
	for _, list := range [][]sshkey.CertOption{critical, more} {
		slices.SortFunc(list, func(a, b sshkey.CertOption) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Data, b.Data))
		})
	}
	return critical, more, nil
}

// checkSources wants addresses and networks, as addrmatch.c
// addr_match_cidr_list() does: sshd refuses everybody for any other.
func checkSources(list string) error {
	for element := range strings.SplitSeq(list, ",") {
		if _, err := netip.ParseAddr(element); err == nil && !strings.Contains(element, "%") {
			continue
		}
		network, err := netip.ParsePrefix(element)
		if err != nil {
			return fmt.Errorf("source-address=: %q is neither an address nor a network such as 192.168.1.0/24", element)
		}
		if network != network.Masked() {
			return fmt.Errorf("source-address=: %q has bits set beyond its mask; the network is %s", element, network.Masked())
		}
	}
	return nil
}

// Certify has an authority sign a certificate of a key. The signature is
// verified, since an agent's or a damaged file's may be wrong. An RSA key signs
// with SHA-512.
func Certify(authority ssh.Signer, key sshkey.Public, cert sshkey.Certificate) (sshkey.Public, error) {
	if why := Weak(key); why != "" {
		return sshkey.Public{}, errors.New("the key is weak: " + why)
	}
	cert.Key, cert.CA = key, PublicOf(authority.PublicKey())
	var nonce [32]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return sshkey.Public{}, err
	}
	return cert.Sign(nonce[:], func(data []byte) ([]byte, error) {
		signature, err := authority.Sign(rand.Reader, data)
		if err != nil {
			return nil, err
		}
		if public, err := ssh.ParsePublicKey(cert.CA.Blob); err == nil { // a type that can be verified here
			if err := public.Verify(data, signature); err != nil {
				return nil, fmt.Errorf("the signature of the authority is wrong: %w", err)
			}
		}
		return ssh.Marshal(signature), nil
	})
}
