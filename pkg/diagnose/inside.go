package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// A Refusal is what Inside should explain.
type Refusal struct {
	Report *session.Report // of the connection that refused the keys
	Here   bool            // Inside looks through that same connection
	// Keys were refused. The records cover those in a file that the server
	// reads, or the first if none is.
	Keys []sshkey.Public
	Path string // the file there that they were put in; "" to look for them
	Way  string // the private key that let us in to look, if ssh would not offer it, for hints
}

// Inside finds out, through a logged-in session, why the server refuses keys:
// by its POSIX shell, or by sftp where the account runs none. It only reads.
// The records are failures, at least one, in the order in which to cure them.
//
// A detail says how it is known: "seen" was looked at; "logged" is what the
// server's log says about this login, in its words; "likely" follows from what
// was looked at, if what could not be is as usual. Where that names no cause,
// the record is key-refused and lists what remains.
func Inside(ctx context.Context, s session.Ways, host *connect.Host, r Refusal) []record.Record {
	in := &inside{facts: factsOf(r.Report, r.Keys, r.Path), host: host, here: r.Here, way: r.Way}
	err := session.ByShell(ctx, s, func(run hostfs.Runner) error {
		in.tree = hostfs.Far(run, r.Path)
		return in.gather(ctx, run)
	}, func(client *sftp.Client) error {
		fsys := hostfs.SFTP(client, host.Config.User)
		in.tree = fsys
		return in.gatherFiles(ctx, fsys)
	})
	if err == nil {
		err = in.judge(ctx)
	}
	if err == nil && !slices.ContainsFunc(in.seen, func(r record.Record) bool { return !isKeysCommand(r) }) {
		in.readLog(ctx, s)
	}
	switch {
	case err != nil && NoCommand(err.Error(), 0) == "password-expired":
		return []record.Record{failure("password-expired", "", changePassword(host),
			"seen: instead of running a command the server says: Password change required; change it, then look for the cause of the refused keys")}
	case len(in.seen)+len(in.likely) > 0:
		return append(in.seen, in.likely...)
	case err != nil:
		return []record.Record{failure("key-refused", "", inLog(r.Report), "the server refuses the key; looking for the cause failed: %v", err)}
	}
	return []record.Record{in.unexplained()}
}

// A tree is the files there. Which of them are looked at, the judgement tells.
type tree interface {
	strictmodes.Tree
	ReadFile(ctx context.Context, path string) ([]byte, error)
}

// An inside is the judgement of the facts.
type inside struct {
	facts
	tree tree
	host *connect.Host
	here bool   // the login is of the connection that looks
	way  string // as in Refusal

	installed []string // the files that hold one of the keys, and that the server reads
	likely    []record.Record
	seen      []record.Record
	remains   []string // what could be the cause, and could not be looked at
}

// judge goes the way of a key through the server (auth2.c, auth2-pubkey.c).
func (in *inside) judge(ctx context.Context) error {
	if in.filesAlone {
		in.remains = append(in.remains, "what sftp cannot show, since this account runs no shell: "+
			"how the server was started, the address it sees us at, whether the account is locked, and SELinux")
	}
	names, unless := in.reads()
	switch {
	case in.partly():
		return nil
	case in.server.IsDropbear():
		if r, none := NoCertificates(in.host, in.rep); none && len(in.certs) > 0 {
			in.seen, in.certs = append(in.seen, r), nil // the key itself may still do
		}
		return in.keysFiles(ctx, names, unless)
	case !in.openSSH():
		return in.keysFiles(ctx, names, cut(in.rep.ServerVersion)+" follows rules other than those of OpenSSH and dropbear")
	}
	in.noKeys()
	if in.rep.By == "" {
		in.accountRefused()
	}
	in.keyTypes()
	in.revocation()
	in.certificates(ctx)
	if err := in.keysFiles(ctx, names, in.unless(keysFileKeyword)); err != nil {
		return err
	}
	in.doubt(keysFileKeyword)
	in.securityLabel()
	return nil
}

// find adds a finding; unless says what could make it untrue, if anything could.
func (in *inside) find(unless, cause, subject, hint, format string, args ...any) {
	r, found := failure(cause, subject, hint, "seen: "+format, args...), &in.seen
	if unless != "" {
		r.Detail = "likely" + strings.TrimPrefix(r.Detail, "seen") + "; unless " + unless
		found = &in.likely
	}
	if !slices.Contains(*found, r) { // as of a directory that two of the files are in
		*found = append(*found, r)
	}
}

// undecided notes an option of a line whose test needs what is not known. It is
// the likeliest of what remains.
func (in *inside) undecided(at, option, value string) {
	in.remains = slices.Insert(in.remains, 0, fmt.Sprintf(`%s="%s" at %s`, option, value, at))
}

// doubt notes a keyword that may be set against the key where we cannot see it.
func (in *inside) doubt(keywords ...string) {
	for _, keyword := range keywords {
		for _, s := range in.config.Possible(keyword) {
			in.remains = append(in.remains, fmt.Sprintf("%s %s at %s, if its Match applies here", keyword, strings.Join(s.Args, " "), s.At()))
		}
	}
}

// again is a command line for this host that gets in as we did.
func (in *inside) again(program string) string {
	if in.way != "" {
		program += " -o " + sh.QuoteLine(sshconfig.Identity(in.way))
	}
	return in.host.Again(program)
}

// inLog is where a server says what nobody else is told.
func inLog(rep *session.Report) string {
	orElse := ""
	if isDropbear(rep) { // which may be on OpenWrt
		orElse = "logread | grep dropbear, or "
	}
	return "look in the log there: " + orElse + "sudo " + journalOf(rep) + " --since -10min"
}

func journalOf(rep *session.Report) string {
	if isDropbear(rep) {
		return "journalctl -t dropbear"
	}
	return "journalctl -u ssh"
}

// unexplained is the record of a key that nothing found speaks against.
func (in *inside) unexplained() record.Record {
	fp := in.spokenOf()[0].Fingerprint()
	where := strings.Join(in.installed, " and ")
	if where == "" && len(in.certs) == 0 {
		return failure("key-refused", fp, inLog(in.rep), "likely: no file that could be read holds the key; what remains: %s", strings.Join(in.remains, "; "))
	}
	detail := "the key is in " + where + ", and its line, owners and modes are good"
	if len(in.certs) > 0 {
		detail = "the certificate is valid, its authority is trusted, and owners and modes are good"
	}
	if in.server.IsDropbear() {
		return failure("key-refused", fp, inLog(in.rep), "%s", detail)
	}
	if !in.openSSH() {
		return failure("key-refused", fp, "look in the server's log",
			"the key is in %s, with owners and modes that OpenSSH and dropbear accept; where %s reads keys is not known here", where, cut(in.rep.ServerVersion))
	}
	hint := inLog(in.rep)
	if in.config != nil && len(in.config.Unread) > 0 {
		in.remains = append(in.remains, "AuthorizedKeysFile, AllowUsers or the like in "+in.unread())
		hint = fmt.Sprintf("there: sudo sshd -T -C %s | grep -E '^(authorized|pubkey|revoked|allow|deny|authentication)'",
			sh.QuoteLine(fmt.Sprintf("user=%s,host=%s,addr=%[2]s", in.account.Name, in.conn.Address)))
	}
	if len(in.remains) > 0 {
		return failure("key-refused", fp, hint, "likely: %s; what remains: %s", detail, strings.Join(in.remains, "; "))
	}
	return failure("key-refused", fp, hint, "%s, and nothing in sshd's configuration speaks against it; what remains: "+
		"sshd is running with an older configuration than its files hold, or something that only its log shows", detail)
}
