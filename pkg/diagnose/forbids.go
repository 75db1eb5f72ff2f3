package diagnose

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// A Forbidden is a line of sshd_config(5) that keeps an account from logging in by any
// key, whatever its files.
type Forbidden struct {
	Cause string // a word of pi-key-causes(7)
	sshdconfig.Setting
	Detail string // for a person
}

// Record returns the record of it; root is where the card is that it is of, and "" for
// this machine.
func (f Forbidden) Record(root string) record.Record {
	hint := fmt.Sprintf("change line %d of %s", f.Line, sh.QuoteLine(path.Join(root, f.File)))
	switch {
	case f.Line == 0:
		hint = "start sshd without it, or with another " + f.Keyword
	case root == "":
		hint += ", then:" + strings.TrimPrefix(reload, " &&")
	}
	return record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.At(), Detail: f.Detail, Hint: hint}
}

// Forbids returns those of an account, by its configuration, if there is one. What
// another file or a Match may override is left out. keys returns the live lines of the
// files that the server reads, if all could be read; it is asked only where they matter.
func Forbids(c *sshdconfig.Config, who strictmodes.Account, keys func() ([]authorizedkeys.Entry, bool)) (list []Forbidden) {
	if c == nil || len(c.Unread) > 0 {
		return nil
	}
	forbid := func(cause string, s sshdconfig.Setting, detail string) {
		if len(c.Possible(s.Keyword)) == 0 {
			list = append(list, Forbidden{cause, s, detail})
		}
	}
	is := func(s sshdconfig.Setting) string { return s.Keyword + " is " + strings.Join(s.Args, " ") }
	if s, _ := c.Get("PubkeyAuthentication"); c.Is(s.Keyword, "no") {
		forbid("pubkey-disabled", s, is(s)+": no key is let in")
	}
	ways, ok := c.Get("AuthenticationMethods")
	needed := keysNeeded(ways.Args)
	if ok && needed == 0 {
		if slices.ContainsFunc(ways.Args, func(list string) bool { return strings.Contains(list, "publickey") }) {
			forbid("more-needed", ways, is(ways)+": the key alone is not enough")
		} else {
			forbid("pubkey-disabled", ways, is(ways)+": keys are not among them")
		}
	}
	if s, _ := c.Get("PermitRootLogin"); who.UID == 0 && c.Is(s.Keyword, "no") {
		forbid("root-refused", s, is(s))
	}
	if s, refused := c.Refuses(); refused {
		forbid("user-not-allowed", s, is(s))
	}
	if c.MayName("AuthorizedKeysCommand") || c.MayName("TrustedUserCAKeys") {
		return list // there may be other keys
	}
	if files, s := c.KeysFiles(who.Home, who.UID); len(files) == 0 {
		forbid("keys-file-elsewhere", s, is(s)+": no file of keys is read")
	}
	if needed > 1 {
		if entries, known := keys(); known && len(entries) == 1 && !entries[0].IsAuthority() {
			forbid("more-needed", ways, is(ways)+": one key alone is not enough")
		}
	}
	return append(list, forbidsAll(c, who, keys)...)
}

// Doubt says, for a person, what may keep an account out besides what Forbids returns,
// and why that is not known; "" for nothing.
func Doubt(c *sshdconfig.Config, who strictmodes.Account) string {
	if c == nil {
		return ""
	}
	if len(c.Unread) > 0 {
		return fmt.Sprintf("%s cannot be read, and may keep it out", strings.Join(c.Unread, ", "))
	}
	var lines []string
	keywords := []string{"PubkeyAuthentication", "AuthenticationMethods", "AllowUsers", "DenyUsers", "AllowGroups", "DenyGroups",
		keysFileKeyword, "RevokedKeys", "PubkeyAcceptedAlgorithms", "RequiredRSASize"}
	if who.UID == 0 {
		keywords = append(keywords, "PermitRootLogin")
	}
	for _, keyword := range keywords {
		for _, s := range c.Possible(keyword) {
			lines = append(lines, s.At())
		}
	}
	if s, may := c.MayRefuse(); may {
		lines = append(lines, s.At())
	}
	if lines == nil {
		return ""
	}
	slices.Sort(lines)
	return fmt.Sprintf("%s may keep it out, which depends on where the login comes from", strings.Join(slices.Compact(lines), ", "))
}

// keysNeeded returns how many keys are enough for one of the lists of
// AuthenticationMethods, of which sshd takes each once; 0 if all need more than keys.
func keysNeeded(lists []string) (fewest int) {
	for _, list := range lists {
		n := 0
		for method := range strings.SplitSeq(list, ",") {
			if name, _, _ := strings.Cut(method, ":"); name != "publickey" && name != "any" {
				n = 0
				break
			}
			n++
		}
		if n > 0 && (fewest == 0 || n < fewest) {
			fewest = n
		}
	}
	return fewest
}

// forbidsAll returns what keeps out each of the keys, and could let in others.
func forbidsAll(c *sshdconfig.Config, who strictmodes.Account, keys func() ([]authorizedkeys.Entry, bool)) []Forbidden {
	forced := who.UID == 0 && c.Is("PermitRootLogin", "forced-commands-only")
	_, types := c.Get("PubkeyAcceptedAlgorithms")
	_, sizes := c.Get("RequiredRSASize")
	if !forced && !types && !sizes {
		return nil
	}
	var list []Forbidden
	entries, known := keys()
	if !known {
		return nil
	}
	for _, e := range entries {
		var f Forbidden
		for s, detail := range refusesType(c, e.Key) {
			f = Forbidden{"key-type-refused", s, detail}
		}
		if _, command := e.Value("command"); f.Cause == "" && forced && !command {
			s, _ := c.Get("PermitRootLogin")
			f = Forbidden{"root-refused", s, "PermitRootLogin is forced-commands-only, and the key has no command="}
		}
		if f.Keyword == "" || e.IsAuthority() || len(c.Possible(f.Keyword)) > 0 {
			return nil
		}
		if !slices.ContainsFunc(list, func(other Forbidden) bool { return other.At() == f.At() }) {
			list = append(list, f)
		}
	}
	return list
}

// Refutes reports whether a login that worked shows that a cause is none, whatever
// sshd_config(5) says: the server may read another one, or has not read this one yet.
func Refutes(rep *session.Report, cause string) bool {
	switch _, openSSH := rep.OpenSSH(); {
	case !openSSH || rep.By == "publickey":
		return true
	case cause == "pubkey-disabled":
		return slices.Contains(rep.Methods, "publickey")
	}
	return !slices.Contains([]string{"keys-file-elsewhere", "key-revoked", "key-type-refused", "more-needed"}, cause) // the account is in
}
