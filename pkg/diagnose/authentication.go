package diagnose

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// authentication names the cause of a login that ended after the host key.
func authentication(host *connect.Host, keys connect.Keys, rep *session.Report, err error) record.Record {
	switch {
	case strings.Contains(rep.Banner, "SSH may not work until a valid user has been set up"):
		return failure("no-user-yet", "", "put userconf.txt (NAME:HASH) on the boot partition, or set the user in Raspberry Pi Imager",
			"the Pi has no user yet: %s", cut(rep.Banner))
	case rep.Booting():
		return failure("booting", "", "wait for it: --wait 5m", "the server says: %s", cut(rep.Banner))
	case strings.Contains(rep.Banner, "account has expired"): // as pam_unix(8) says it
		return failure("account-expired", "", "there: sudo chage -E -1 "+sh.Quote(host.Config.User), "the server says: %s", cut(rep.Banner))
	case rep.TooManyTries() && rep.Password != session.Unanswered:
		return tooManyTries(host, keys, rep)
	}
	if where, off := host.KeysOff(); off && !rep.PasswordSent {
		return failure("config-elsewhere", "", "", "login by key is disabled on this side: %s", where)
	}
	if r, found := signing(keys, rep); found {
		return r
	}
	if r, found := hungUp(host, rep, err); found {
		return r
	}
	if r, found := password(host, rep); found {
		return r
	}
	if r, found := afterSignature(host, rep); found {
		return r
	}
	if r, found := dropped(host, rep, err); found {
		return r
	}
	if r, found := otherMethods(host, rep); found {
		return r
	}
	if len(rep.Offers) == 0 {
		return nothingOffered(host, keys, rep)
	}
	return noneTaken(host, keys, rep)
}

// dropped is the case of a connection that ended before the server had said no to
// all that there was.
func dropped(host *connect.Host, rep *session.Report, err error) (record.Record, bool) {
	if rep.Methods != nil && rep.Disconnect != "" {
		return failure("connection-dropped", "", inLog(rep), "the server hung up during authentication: %s", cut(rep.Disconnect)), true
	}
	if rep.Methods != nil && errors.Is(err, session.ErrDenied) {
		return record.Record{}, false
	}
	hint := cutShort(host, rep)
	if rep.Overdue {
		hint = "the server waits no longer than its LoginGraceTime: have the passphrase or the password at hand, in an agent or a file"
	}
	if isDropbear(rep) && len(rep.Offers)+len(rep.Password) > 0 { // svr-auth.c send_msg_userauth_failure()
		hint = "dropbear hangs up like this after too many tries (-T), and if the shell is not in /etc/shells; " + inLog(rep)
	}
	return failure("connection-dropped", "", hint, "the connection ended during authentication: %s", cut(err.Error())), true
}

// otherMethods is the case of a server that wants something other than a key, or more.
func otherMethods(host *connect.Host, rep *session.Report) (record.Record, bool) {
	if rep.Password == session.Partial {
		return failure("more-needed", "", "", "the password was accepted, but the server requires %s too", methods(rep)), true
	}
	if o, ok := rep.OfferWith(session.Partial); ok {
		return failure("more-needed", o.Key.Public.Fingerprint(), wantsMore(rep, host.Config.User), "the key was accepted, but the server requires %s too", methods(rep)), true
	}
	if !slices.Contains(rep.Methods, "publickey") {
		return failure("pubkey-disabled", "", "set PubkeyAuthentication yes there in /etc/ssh/sshd_config (or a file in sshd_config.d; the first value wins)",
			"the server accepts %s, and no keys, or keys only after that (AuthenticationMethods)", methods(rep)), true
	}
	return record.Record{}, false
}

// noneTaken is the case of keys that were offered, and none of which the server takes.
func noneTaken(host *connect.Host, keys connect.Keys, rep *session.Report) record.Record {
	asked := slices.DeleteFunc(slices.Clone(rep.Offers), func(o session.Offer) bool { return o.Answer == session.Unasked })
	if len(asked) == 0 {
		k := rep.Offers[0].Key.Public
		return failure("key-type-refused", k.Fingerprint(), "make a key that it accepts: pikeygen -t ed25519 -f FILE",
			"the server accepts no signature that a key of type %s can make here (its server-sig-algs)", k.Name())
	}
	if r, found := certificate(host, asked, time.Now()); found {
		// The certificate may be for other hosts, and the key be what is missing.
		if slices.ContainsFunc(asked, func(o session.Offer) bool { return !sshkey.IsCertificate(o.Key.Public.Type) }) && !noPassword(rep) {
			r.Hint += "\nhint: or install the key itself: " + host.AgainByPassword("pikeycopy", rep.Methods)
		}
		return r
	}
	if wrong := hindered(keys, asked); len(wrong) == len(asked) {
		f := wrong[0]
		return failure(f.Cause, f.Path, f.Hint, "%s; and the server refuses the key", f.Detail)
	}
	if r, found := bySHA1(host, rep, asked); found {
		return r
	}
	return refused(host, keys, rep, asked)
}

// bySHA1 is the case of the one key that signs with SHA-1, by the first of the list that
// is for it, as in ssh, where the server takes no such signature by default.
func bySHA1(host *connect.Host, rep *session.Report, asked []session.Offer) (record.Record, bool) {
	list, k := host.Config.PubkeyAcceptedAlgorithms, asked[0].Key.Public
	version, openSSH := rep.OpenSSH()
	i := slices.IndexFunc(list, func(a string) bool { return sshkey.KeyType(a) == k.Type })
	if len(asked) > 1 || !openSSH || slices.Compare(version[:], []int{8, 8}) < 0 || i < 0 || !strings.HasPrefix(list[i], ssh.KeyAlgoRSA) {
		return record.Record{}, false
	}
	return failure("config-elsewhere", k.Fingerprint(), "have rsa-sha2-512 before ssh-rsa there: +ssh-rsa", "likely: PubkeyAcceptedAlgorithms has the key sign with SHA-1, "+
		"which OpenSSH refuses since 8.8: %s", host.Config.Sources["pubkeyacceptedalgorithms"]), true
}

// tooManyTries is the case of a server that hung up before all was tried.
func tooManyTries(host *connect.Host, keys connect.Keys, rep *session.Report) record.Record {
	key := "KEY"
	if i := slices.IndexFunc(keys.Candidates, func(c connect.Candidate) bool {
		return rep.Answer(c.Public) == "" && c.Pair != nil && c.HasPrivate()
	}); i >= 0 { // there was no try left for it
		key = keys.Candidates[i].Pair.Path
	}
	hint := "offer only the right key: " + host.Again("pikeycheck -o IdentitiesOnly=yes -i "+sh.Quote(key))
	switch {
	case len(rep.Offers) == 1 && len(keys.Candidates) < 2: // it was refused
		hint = byPassword(host, rep)
	case host.Config.IdentitiesOnly && len(rep.Offers) == 1:
		hint = "the server allows one try (MaxAuthTries): name the right file alone as IdentityFile"
	case host.Config.IdentitiesOnly:
		hint = fmt.Sprintf("the server allows %d tries (MaxAuthTries): name fewer files as IdentityFile, the right one first", len(rep.Offers))
	}
	return failure("too-many-tries", "", hint, "the server hung up after %s: %s", plural(len(rep.Offers), "key"), cut(rep.Disconnect))
}

// hungUp is the case of an sshd that ends the connection in place of an answer to
// what is right, as auth2.c userauth_finish() does where PAM refuses the account.
func hungUp(host *connect.Host, rep *session.Report, err error) (record.Record, bool) {
	if _, ok := rep.OpenSSH(); !ok || rep.Disconnect != "" || rep.Overdue {
		return record.Record{}, false
	}
	proof, fp := "the password", ""
	if o, ok := rep.OfferWith(session.HungUp); ok {
		proof, fp = "the key", o.Key.Public.Fingerprint()
	} else if rep.Password != session.Unanswered || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return record.Record{}, false
	}
	if fp != "" && rep.Banner == "" && host.Config.User == "root" {
		return rootUnforced(fp, "the server hangs up in place of an answer to the key", "; unless PAM refuses the account, or the connection broke just then"), true
	}
	said := ""
	if rep.Banner != "" { // what the modules say
		said = "; it says: " + cut(rep.Banner)
	}
	return failure("pam-refused", fp, inLog(rep), "likely: the server hangs up in place of an answer to %s, as sshd does where it is right and PAM refuses the account; "+
		"unless the connection broke just then%s", proof, said), true
}

// afterSignature is the case of a key that the server would take, and whose
// right signature does not let us in: the files there are good.
func afterSignature(host *connect.Host, rep *session.Report) (record.Record, bool) {
	o, ok := rep.OfferWith(session.SignatureRefused)
	if !ok {
		return record.Record{}, false
	}
	key := o.Key.Public
	fp, user := key.Fingerprint(), host.Config.User
	const taken = "the server would accept the key, but "
	_, openSSH := rep.OpenSSH()
	switch {
	case strings.HasPrefix(key.Type, "sk-"):
		return failure("touch-missing", fp, "touch it when it blinks; if the server wants its PIN too (verify-required): ssh-keygen -t ed25519-sk -O verify-required",
			"likely: "+taken+"refuses its signature, which is correct: the security key was not touched, or its PIN was not entered"), true
	case user == "root" && openSSH: // auth2.c userauth_finish(), after the signature
		return failure("root-refused", fp, "log in as another user and use sudo, or set PermitRootLogin prohibit-password there\nhint: "+Effective(user, "permitrootlogin"),
			"likely: "+taken+"refuses its signature, which is correct, as sshd does where PermitRootLogin is no"), true
	}
	return failure("key-refused", fp, inLog(rep), taken+"refuses its signature, which is correct, as where PermitRootLogin is no and the user has uid 0"), true
}

// cutOff is the case of a server that lets a key in and then ends the connection,
// before anything is asked of it.
func cutOff(host *connect.Host, rep *session.Report) record.Record {
	key, _ := rep.LoginKey()
	const detail = "the server lets the key in and ends the connection at once"
	if _, openSSH := rep.OpenSSH(); openSSH && host.Config.User == "root" {
		return rootUnforced(key.Public.Fingerprint(), detail, "")
	}
	return failure("session-failed", key.Public.Fingerprint(), "possible causes: chroot-modes (ChrootDirectory), or a limit; "+inLog(rep), "%s", detail)
}

// rootUnforced is the case of root where commands alone are let in. sshd's process
// that has let the key in is ended by its monitor, which has not, at times before
// it says so.
func rootUnforced(fp, detail, unless string) record.Record {
	return failure("root-refused", fp, "log in as another user and use sudo, or set PermitRootLogin prohibit-password there, or give the key's line a command=\n"+
		"hint: "+Effective("root", "permitrootlogin"), "likely: %s, as sshd does where PermitRootLogin is forced-commands-only and the key has no command=%s", detail, unless)
}

// refused leaves open what it may be: from outside, all of it looks the same.
func refused(host *connect.Host, keys connect.Keys, rep *session.Report, asked []session.Offer) record.Record {
	var offered []string
	subject := ""
	for i, o := range asked {
		fp := o.Key.Public.Fingerprint()
		switch {
		case len(asked) == 1:
			subject = fp
			offered = append(offered, o.Key.Public.Name())
		case i < 3:
			offered = append(offered, o.Key.Public.Name()+" "+fp)
		case i == 3:
			offered = append(offered, fmt.Sprintf("%d more", len(asked)-i))
		}
	}
	hint := byPassword(host, rep)
	if file, other := unoffered(host, keys); file != "" {
		hint += "\nhint: " + file + " was not offered; " + other
	}
	for _, f := range hindered(keys, asked) {
		hint += fmt.Sprintf("\nhint: %s: %s; %s", f.Path, f.Detail, f.Hint)
	}
	user := host.Config.User
	if at := host.Config.Sources["user"]; at != "" && !strings.HasPrefix(at, "command line") {
		user += ", set by User, " + at
	} else if at == "" && host.Config.OwnUser() { // nothing names one
		user += ", which is your name here"
	}
	ofCertificate := ""
	if slices.ContainsFunc(asked, func(o session.Offer) bool { return sshkey.IsCertificate(o.Key.Public.Type) }) {
		ofCertificate = ", or the certificate's authority is not trusted there (cert-refused), or its clock is wrong"
	}
	return failure("key-refused", subject, hint,
		"%s refused for user %s (%s): not installed there, or its file, its line or the account is at fault%s",
		plural(len(asked), "key"), user, strings.Join(offered, ", "), ofCertificate)
}

// byPassword is how a key that is refused comes to be accepted.
func byPassword(host *connect.Host, rep *session.Report) string {
	if noPassword(rep) {
		return "the server accepts no password either: install the key on the Pi's own console, or repair the files there: pikeyfix\n" +
			"hint: its log may say which it is: sudo " + journalOf(rep)
	}
	return "install the key: " + host.AgainByPassword("pikeycopy", rep.Methods) + "\nhint: if it is there already, repair the modes: " + host.AgainByPassword("pikeyfix", rep.Methods) +
		"\nhint: or see which it is: " + host.AgainByPassword("pikeycheck --inside", rep.Methods)
}

func methods(rep *session.Report) string { return strings.Join(rep.Methods, ", ") }
