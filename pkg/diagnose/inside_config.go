package diagnose

import (
	"fmt"
	"iter"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
)

// partly is the case of a key that counts, and is not enough.
func (in *inside) partly() bool {
	i := slices.IndexFunc(in.rep.Offers, func(o session.Offer) bool {
		return o.Answer == session.Partial || o.Answer == session.LogsIn && in.rep.Password == session.Partial
	})
	if i < 0 {
		return false
	}
	fp := in.rep.Offers[i].Key.Public.Fingerprint()
	if in.openSSH() {
		if list, set := in.config.Get("AuthenticationMethods"); set {
			in.find(in.unless("AuthenticationMethods"), "more-needed", fp, withoutLine(list),
				"the key was accepted, and AuthenticationMethods at %s is %s", list.At(), strings.Join(list.Args, " "))
			return true
		}
	}
	in.find("", "more-needed", fp, wantsMore(in.rep, in.account.Name), "the key was accepted, but the server requires more than a key")
	return true
}

// wantsMore is how an administrator sees, or changes, that a key is not enough.
func wantsMore(rep *session.Report, user string) string {
	if isDropbear(rep) { // dropbear(8)
		return "there: remove -t from dropbear's options (DROPBEAR_EXTRA_ARGS in /etc/default/dropbear), and restart it: sudo systemctl restart dropbear"
	}
	return Effective(user, "authenticationmethods")
}

// Effective returns a command that shows an administrator a user's settings.
func Effective(user string, keywords ...string) string {
	return "there: sudo sshd -T -C user=" + sh.QuoteLine(user) + " | grep -i -e " + strings.Join(keywords, " -e ")
}

// noKeys is the case of a key that could not even be offered.
func (in *inside) noKeys() {
	if in.rep.Methods == nil || slices.Contains(in.rep.Methods, "publickey") || len(in.rep.Offers) > 0 {
		return
	}
	const keyword = "AuthenticationMethods"
	list, set := in.config.Get(keyword)
	off, isOff := in.config.Get("PubkeyAuthentication")
	switch {
	case isOff && off.Args[0] == "no":
		in.find(in.unless("PubkeyAuthentication"), "pubkey-disabled", off.At(), withoutLine(off),
			"the server accepts %s, and PubkeyAuthentication is no", methods(in.rep))
	case set && !in.config.StartsWithKey() && slices.ContainsFunc(list.Args, func(a string) bool { return strings.Contains(a, "publickey") }):
		in.find(in.unless(keyword), "more-needed", list.At(), withoutLine(list),
			"%s is %s: the key alone is not enough", keyword, strings.Join(list.Args, " "))
	case set && !in.config.StartsWithKey():
		in.find(in.unless(keyword), "pubkey-disabled", list.At(), withoutLine(list),
			"%s is %s: keys are not among them", keyword, strings.Join(list.Args, " "))
	default:
		in.find("", "pubkey-disabled", "", Effective(in.account.Name, "pubkeyauth", "authenticationmethods"), "the server accepts %s, and no keys", methods(in.rep))
	}
}

// accountRefused is the case of a connection on which nothing let us in, not
// even what let us in before.
func (in *inside) accountRefused() {
	if s, ok := in.config.Get("PermitRootLogin"); ok && in.account.UID == 0 && s.Args[0] == "no" {
		in.find(in.unless("PermitRootLogin"), "root-refused", s.At(), withoutLine(s), "PermitRootLogin is no")
	}
	if s, refused := in.config.Refuses(); refused {
		detail := fmt.Sprintf("%s is %s", s.Keyword, strings.Join(s.Args, " "))
		if strings.HasSuffix(s.Keyword, "Groups") {
			detail += fmt.Sprintf(", and %s is in %s", in.account.Name, strings.Join(in.conn.Groups, " "))
		}
		in.find(in.unless(s.Keyword), "user-not-allowed", s.At(), in.allow(s), "%s", detail)
	}
	if in.noShell != "" {
		in.find("", "shell-missing", in.noShell, "there: sudo chsh -s /bin/sh "+sh.QuoteLine(in.account.Name),
			"the login shell does not exist, or cannot be executed")
	}
	if state := strings.Fields(in.password); len(state) > 1 && strings.HasPrefix(state[1], "L") && !in.config.Is("UsePAM", "yes") {
		in.find("its password is only * in shadow(5)", "account-locked", in.account.Name, "there: sudo usermod -p '*' "+sh.QuoteLine(in.account.Name),
			"UsePAM is not on, and passwd -S says that the account is locked")
	}
	in.remains = append(in.remains, "the account: what let us in before does so no longer")
}

// plainName is that of an account or a group which means itself to sed and in a
// pattern.
var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`) })

// allow is how the account, and nobody besides, gets past a setting that refuses
// it.
func (in *inside) allow(s sshdconfig.Setting) string {
	name := in.account.Name
	switch {
	case s.Line == 0 || s.Keyword == "DenyUsers" && slices.Equal(s.Args, []string{name}):
		return withoutLine(s)
	case s.Keyword == "AllowUsers" && plainName().MatchString(name): // before the first word, since a comment may come after the last
		return edited(s, "s/^[[:space:]]*[[:alpha:]]*[[:space:]=]*/&"+name+" /")
	case s.Keyword == "AllowGroups" && plainName().MatchString(s.Args[0]):
		return "there: sudo gpasswd -a " + sh.QuoteLine(name) + " " + s.Args[0]
	}
	return "change " + s.Keyword + " there, for " + name + " alone: sudoedit " + sh.QuoteLine(s.File) + reload
}

// needs are the first versions of OpenSSH that know a type of key.
var needs = map[string][2]int{
	"ssh-ed25519":                        {6, 5},
	"sk-ssh-ed25519@openssh.com":         {8, 2},
	"sk-ecdsa-sha2-nistp256@openssh.com": {8, 2},
	"ssh-mldsa44-ed25519@openssh.com":    {10, 5},
}

func (in *inside) keyTypes() {
	for _, key := range in.spokenOf() {
		if len(in.certs) == 0 || len(in.holders(slices.Collect(maps.Keys(in.held)), key)) > 0 {
			in.keyType(key)
		}
	}
	in.doubt("PubkeyAcceptedAlgorithms", "RequiredRSASize")
}

func (in *inside) keyType(key sshkey.Public) {
	fp, name := key.Fingerprint(), key.Name()
	if version, ok := in.rep.OpenSSH(); ok {
		if v := needs[key.Type]; slices.Compare(version[:], v[:]) < 0 {
			in.find("", "key-type-refused", fp, "make another key: pikeygen -t rsa -f FILE; or update the server",
				"OpenSSH %d.%d does not support keys of type %s; OpenSSH %d.%d does", version[0], version[1], name, v[0], v[1])
			return
		}
	}
	for s, detail := range refusesType(in.config, key) {
		if s.Args == nil {
			in.find("PubkeyAcceptedAlgorithms allows it", "key-type-refused", fp, "make another key: pikeygen -t ed25519 -f FILE", "%s", detail)
		} else {
			in.find(in.unless(s.Keyword), "key-type-refused", s.At(), in.anotherKey()+withoutLine(s), "%s", detail)
		}
	}
}

// refusesType returns the settings that refuse a key for its type or size, each with
// what to tell a person; a zero one is the default.
func refusesType(c *sshdconfig.Config, key sshkey.Public) iter.Seq2[sshdconfig.Setting, string] {
	return func(yield func(sshdconfig.Setting, string) bool) {
		algorithms := []string{key.Type}
		if key.Type == "ssh-rsa" {
			algorithms = []string{"rsa-sha2-512", "rsa-sha2-256"}
		}
		if !c.Accepts(algorithms...) {
			s, set := c.Get("PubkeyAcceptedAlgorithms")
			detail := "OpenSSH has not accepted " + key.Name() + " keys since 7.0"
			if set {
				detail = fmt.Sprintf("%s is %s, without %s", s.Keyword, strings.Join(s.Args, " "), strings.Join(algorithms, " or "))
			}
			if !yield(s, detail) {
				return
			}
		}
		if s, ok := c.Get("RequiredRSASize"); ok && key.Type == "ssh-rsa" {
			if least, err := strconv.Atoi(s.Args[0]); err == nil && key.Bits() < least {
				yield(s, fmt.Sprintf("RequiredRSASize is %d, and the key has %d bits", least, key.Bits()))
			}
		}
	}
}

// anotherKey is how to make a key of a type that sshd does accept, if pikeygen
// makes one, in front of what else helps.
func (in *inside) anotherKey() string {
	for _, kind := range [][]string{{"ed25519", "ssh-ed25519"}, {"ecdsa", "ecdsa-sha2-nistp256"}, {"rsa", "rsa-sha2-512", "rsa-sha2-256"}} {
		if in.config.Accepts(kind[1:]...) {
			return "make another key: pikeygen -t " + kind[0] + " -f FILE\nhint: or "
		}
	}
	return ""
}

func (in *inside) revocation() {
	lists, s := in.config.RevokedKeys()
	if len(lists) == 0 {
		in.doubt("RevokedKeys")
		return
	}
	list := lists[0]
	unless := in.unless("RevokedKeys")
	const hint = "make another key: pikeygen -f FILE; somebody has revoked this one"
	switch {
	case in.revokedIs == listAbsent && in.rep.By != "publickey":
		in.find(unless, "key-revoked", list, fmt.Sprintf("there: sudo mkdir -p %s && sudo touch %s", sh.QuoteLine(path.Dir(list)), sh.QuoteLine(list)),
			"RevokedKeys names a file at %s that does not exist; sshd then refuses every key as revoked", s.At())
	case in.revokedIs == listUnread:
		in.remains = append(in.remains, fmt.Sprintf("the list %s (RevokedKeys at %s, which %s may not read)", list, s.At(), in.account.Name))
	case in.revokedIs == listKRL:
		in.remains = append(in.remains, "the revocation list "+list)
	}
	for _, key := range append(in.spokenOf(), in.sought()[len(in.keys):]...) { // the authorities too
		i := slices.IndexFunc(in.sought(), key.Equal)
		switch {
		case i < len(in.revokedAnswers) && strings.HasSuffix(in.revokedAnswers[i], "REVOKED"):
			in.find(unless, "key-revoked", list, hint, "ssh-keygen -Q finds the key in the list that RevokedKeys names at %s", s.At())
		case slices.ContainsFunc(authorizedkeys.Entries([]byte(in.revoked)), func(e authorizedkeys.Entry) bool { return e.Key.Equal(key) }):
			in.find(unless, "key-revoked", list, hint, "the key is in the list that RevokedKeys names at %s", s.At())
		}
	}
}

func (in *inside) securityLabel() {
	for _, file := range in.installed {
		if label := in.labels[file]; refusedBySELinux(in.selinux, label) {
			in.find("a local policy allows it", "selinux-label", file, "there: restorecon -RFv "+sh.QuoteLine(path.Dir(file)),
				"SELinux is enforcing and the file has the label %s, but sshd reads ssh_home_t", label)
		}
	}
}

// refusedBySELinux reports whether sshd may not read a file with the label,
// "user:role:type:level", in the mode that getenforce tells.
func refusedBySELinux(mode, label string) bool {
	w := strings.Split(label, ":")
	return mode == "Enforcing" && len(w) >= 3 && w[2] != "ssh_home_t"
}

const reload = " && sudo sshd -t && sudo systemctl reload ssh"

// withoutLine is how a line of sshd's configuration is taken out of force.
func withoutLine(s sshdconfig.Setting) string {
	if s.Line == 0 {
		return fmt.Sprintf("change %s there: it is set by %s", s.Keyword, s.File)
	}
	if s.Keyword == "AuthenticationMethods" || s.Keyword == "RevokedKeys" { // which protect others too
		return fmt.Sprintf("change line %d there, which may apply to others too: sudoedit %s", s.Line, sh.QuoteLine(s.File)) + reload
	}
	return edited(s, "s/^/#/")
}

// edited is how sed changes a setting's line, which stays as it was if sshd does
// not take the outcome: with a configuration that it does not take, sshd would
// not start again.
func edited(s sshdconfig.Setting, change string) string {
	return fmt.Sprintf("there: sudo cp -p %[1]s %[2]s && { sudo sed -i '%[3]d%[4]s' %[1]s && sudo sshd -t || { sudo mv %[2]s %[1]s; false; }; } && sudo systemctl reload ssh",
		sh.QuoteLine(s.File), sh.QuoteLine(s.File+".before"), s.Line, change)
}
