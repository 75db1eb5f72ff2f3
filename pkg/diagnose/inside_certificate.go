package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// certificates judges what was refused as sshd does (auth2-pubkey.c
// user_cert_trusted_ca(), auth2-pubkeyfile.c auth_check_authkey_line()).
func (in *inside) certificates(ctx context.Context) {
	for _, c := range in.certs {
		fp := c.key.Public.Fingerprint()
		in.certTime(c)
		in.certOptions(c, fp)
		in.certTrust(ctx, c, fp)
	}
}

// certTime judges by the clock there, which is what counts, and may be years
// behind: a Raspberry Pi has none that runs while it is off.
func (in *inside) certTime(c refusedCert) {
	there, err := time.Parse("20060102150405", in.utc)
	if err != nil {
		there = time.Now()
	}
	r, faulty := Certificate(c.key, c.Certificate, there)
	switch {
	case !faulty:
		return
	case err == nil && r.Cause != "cert-refused":
		bound, verb := c.Before, "expired on"
		if r.Cause == "cert-not-yet" {
			bound, verb = c.After, "is valid from"
		}
		r.Detail = fmt.Sprintf("seen: the clock there says %s UTC, and the certificate %s %s %s", there.Format(time.DateTime), c.key.Name, verb, identity.CertificateDate(bound))
		r.Hint = signAnew
		if wrongClock(in.utc, time.Now()) {
			r.Hint = "set the clock there: sudo timedatectl set-ntp true"
		}
	}
	in.seen = append(in.seen, r)
}

// certOptions judges what the certificate itself restricts, and how it is
// signed.
func (in *inside) certOptions(c refusedCert, fp string) {
	for _, o := range c.Critical {
		switch o.Name {
		case "force-command", "verify-required":
		case "source-address":
			if in.conn.Address == "" {
				in.undecided("the certificate "+c.key.Name, o.Name, o.Value())
			} else if permits, _ := in.config.Permits(o.Value()); !permits {
				in.find("", "cert-refused", fp, signAnew+" -O source-address="+in.conn.Address,
					"the certificate %s has source-address=%s, and the server sees us as %s", c.key.Name, o.Value(), in.conn.Address)
			}
		default:
			in.find("the server there knows it", "cert-refused", fp, signAnew, unknownCritical, c.key.Name, o.Name)
		}
	}
	if c.Algorithm == "ssh-rsa" {
		in.find("CASignatureAlgorithms allows it", "cert-refused", fp, signAnew, "the certificate %s is signed with SHA-1 (ssh-rsa), which OpenSSH has not accepted since 8.2", c.key.Name)
	}
	algorithms := []string{c.key.Public.Type}
	if plain := sshkey.PlainType(c.key.Public.Type); plain == "ssh-rsa" {
		algorithms = []string{"rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com"}
	}
	const keyword = "PubkeyAcceptedAlgorithms"
	if s, set := in.config.Get(keyword); set && !in.config.Accepts(algorithms...) {
		in.find(in.unless(keyword), "key-type-refused", s.At(), withoutLine(s), "%s is %s, without %s", keyword, strings.Join(s.Args, " "), strings.Join(algorithms, " or "))
	}
	in.doubt("CASignatureAlgorithms")
}

// certTrust tells why the server does not let in what the authority has signed,
// by neither of the two ways; one that does is enough.
func (in *inside) certTrust(ctx context.Context, c refusedCert, fp string) {
	names, unless := in.reads()
	files := in.expand(names)
	var found []func()
	for _, file := range files {
		for _, n := range linesWith(in.held[file], c.CA) {
			tell := in.grant(file, n, c)
			if tell == nil {
				return
			}
			found = append(found, tell)
		}
	}
	tell, why := in.trusted(ctx, c, fp)
	switch {
	case tell == nil && why == "":
		return
	case tell != nil:
		found = append(found, tell)
	case len(found) == 0:
		var others []string
		for _, u := range []string{unless, in.unless(trustKeyword), in.unreadKeys(ctx, files)} {
			if u != "" && !slices.Contains(others, u) {
				others = append(others, u)
			}
		}
		if command, ok := in.config.Named("AuthorizedKeysCommand"); ok {
			others = append(others, command.Keyword+" gives it")
		}
		in.find(strings.Join(others, ", or "), "cert-refused", fp, in.putAuthority(c, ""),
			"the server does not trust the authority %s of the certificate %s: no line of %s has its key with cert-authority, and %s", c.CA.Fingerprint(), c.key.Name, strings.Join(files, " or "), why)
	}
	for _, tell := range found {
		tell()
	}
}

// unreadKeys names a keys file that is there, or may be, and could not be read.
func (in *inside) unreadKeys(ctx context.Context, files []string) string {
	for _, file := range files {
		if _, read := in.held[file]; read || strings.ContainsAny(file, "*?[") {
			continue
		}
		if _, _, err := strictmodes.RealPath(ctx, in.tree, file); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("%s has it, which %s may not read", file, in.account.Name)
		}
	}
	return ""
}

// putAuthority is the command line that has the authority trusted there.
func (in *inside) putAuthority(c refusedCert, options string) string {
	return fmt.Sprintf("echo %s | %s", sh.Quote(c.CA.Line()), in.again("pikeycopy --ca -i -"+options))
}

// grant returns how to tell why a line with the key of the authority does not
// let the certificate in; nil if it does.
func (in *inside) grant(file string, n numbered, c refusedCert) (tell func()) {
	at := file + ":" + strconv.Itoa(n.number)
	e, ok := authorizedkeys.ParseLine([]byte(n.text))
	deaf := func(cause, why string) func() {
		return func() {
			in.find("", cause, at, in.putAuthority(c, " -f"), "sshd ignores the line that holds the key of the authority: %s", why)
		}
	}
	principals, listed := e.Value("principals")
	options := " --principals " + sh.Quote(principals)
	if !listed {
		principals, options = in.account.Name, ""
	}
	switch {
	case !ok:
		return deaf("cert-refused", "it is a comment")
	case e.Dead != "":
		return deaf("entry-dead", e.Dead)
	case !e.Key.Equal(c.CA):
		return deaf("cert-refused", "it is another key's")
	case !e.IsAuthority():
		return deaf("cert-refused", "without cert-authority it lets in that key, and nothing that it has signed")
	}
	if tell := in.restricted(at, e, func(more string) string { return in.putAuthority(c, " -f"+options+more) }); tell != nil {
		return tell
	}
	for _, o := range e.Options {
		if i := slices.IndexFunc(c.Critical, func(o sshkey.CertOption) bool { return o.Name == "force-command" }); o.Name == "command" && i >= 0 && c.Critical[i].Value() != o.Value {
			return func() {
				in.find("", "cert-refused", at, signAnew, `command="%s" of the line differs from force-command=%s of the certificate %s`, o.Value, c.Critical[i].Value(), c.key.Name)
			}
		}
	}
	if names := strings.Split(principals, ","); named(c, names) {
		return nil
	}
	whom := "without principals= the line accepts certificates for " + in.account.Name
	if listed {
		whom = fmt.Sprintf(`the line has principals="%s"`, principals)
	}
	return func() {
		in.find("", "cert-principal", at, in.forWhom(c), "the certificate %s is for %s, and %s", c.key.Name, those(c), whom)
	}
}

// named reports whether the certificate is for one of the names.
func named(c refusedCert, names []string) bool {
	return slices.ContainsFunc(c.Principals, func(p string) bool { return slices.Contains(names, p) })
}

func those(c refusedCert) string {
	if len(c.Principals) == 0 {
		return "nobody"
	}
	return strings.Join(c.Principals, ", ")
}

// forWhom is the way on from a certificate for somebody else.
func (in *inside) forWhom(c refusedCert) string {
	if len(c.Principals) == 0 {
		return signAnew
	}
	return signAnew + "\nhint: or let in those that it is for: " + in.putAuthority(c, " --principals "+sh.Quote(strings.Join(c.Principals, ",")))
}

const trustKeyword = "TrustedUserCAKeys"

// trusted judges by the authorities that the server trusts for all accounts. It
// returns how to tell why that does not let the certificate in, or why it does
// not hold for its authority; neither if it does, or if that cannot be seen.
func (in *inside) trusted(ctx context.Context, c refusedCert, fp string) (tell func(), why string) {
	s, set := in.config.Named(trustKeyword)
	if !set {
		return nil, trustKeyword + " is not set"
	}
	list := s.Args[0]
	data, err := in.tree.ReadFile(ctx, list)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Sprintf("%s (%s at %s) does not exist", list, trustKeyword, s.At())
	case err != nil:
		in.remains = append(in.remains, fmt.Sprintf("the authorities in %s (%s at %s), which could not be read", list, trustKeyword, s.At()))
		return nil, ""
	case !slices.ContainsFunc(authorizedkeys.Entries(data), func(e authorizedkeys.Entry) bool { return e.Key.Equal(c.CA) }):
		return nil, fmt.Sprintf("%s (%s at %s) does not hold it", list, trustKeyword, s.At())
	}
	in.doubt("AuthorizedPrincipalsFile", "AuthorizedPrincipalsCommand")
	if command, ok := in.config.Named("AuthorizedPrincipalsCommand"); ok {
		in.remains = append(in.remains, fmt.Sprintf("whom %s (AuthorizedPrincipalsCommand at %s) lets in", command.Args[0], command.At()))
		return nil, ""
	}
	names, from := []string{in.account.Name}, fmt.Sprintf("%s accepts certificates for %s", trustKeyword, in.account.Name)
	if s, ok := in.config.Named("AuthorizedPrincipalsFile"); ok {
		file := in.config.Expand(s.Args[0], in.account.Home, in.account.UID)
		data, err := in.tree.ReadFile(ctx, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			in.remains = append(in.remains, fmt.Sprintf("the names in %s (AuthorizedPrincipalsFile at %s), which could not be read", file, s.At()))
			return nil, ""
		}
		names = nil
		for line := range strings.Lines(string(data)) {
			line, _, _ = strings.Cut(line, "#")
			if words := strings.Fields(line); len(words) > 0 { // options may come before the name
				names = append(names, words[len(words)-1])
			}
		}
		from = fmt.Sprintf("%s (AuthorizedPrincipalsFile at %s) has %s", file, s.At(), strings.Join(names, ", "))
		if names == nil {
			from = fmt.Sprintf("%s (AuthorizedPrincipalsFile at %s) names nobody", file, s.At())
		}
	}
	if named(c, names) {
		return nil, ""
	}
	return func() {
		in.find(in.unless("AuthorizedPrincipalsFile"), "cert-principal", fp, in.forWhom(c), "the certificate %s is for %s, and %s", c.key.Name, those(c), from)
	}, ""
}
