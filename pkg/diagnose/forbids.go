package diagnose

import (
	"fmt"
	"path"
	"slices"
	"strings"

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
	if root == "" {
		hint += ", then:" + strings.TrimPrefix(reload, " &&")
	}
	return record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.At(), Detail: f.Detail, Hint: hint}
}

// Forbids returns those of an account, by its configuration, if there is one. What another file or
// a Match may override is left out.
func Forbids(c *sshdconfig.Config, who strictmodes.Account) (list []Forbidden) {
	if c == nil || len(c.Unread) > 0 {
		return nil
	}
	forbid := func(cause, keyword, detail string) {
		if s, _ := c.Get(keyword); len(c.Possible(keyword)) == 0 {
			list = append(list, Forbidden{cause, s, fmt.Sprintf("%s is %s%s", s.Keyword, strings.Join(s.Args, " "), detail)})
		}
	}
	if c.Is("PubkeyAuthentication", "no") {
		forbid("pubkey-disabled", "PubkeyAuthentication", ": no key is let in")
	}
	if s, ok := c.Get("AuthenticationMethods"); ok && !slices.ContainsFunc(s.Args, func(list string) bool { return list == "any" || strings.Contains(list, "publickey") }) {
		forbid("pubkey-disabled", s.Keyword, ": keys are not among them")
	}
	if c.Is("PermitRootLogin", "no") && who.UID == 0 {
		forbid("root-refused", "PermitRootLogin", "")
	}
	if s, refused := c.Refuses(); refused {
		forbid("user-not-allowed", s.Keyword, "")
	}
	if files, s := c.KeysFiles(who.Home, who.UID); len(files) == 0 && !c.MayName("AuthorizedKeysCommand") && !c.MayName("TrustedUserCAKeys") {
		forbid("keys-file-elsewhere", s.Keyword, ": no file of keys is read")
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
	return cause != "keys-file-elsewhere" && cause != "key-revoked" // the account is in
}
