package diagnose

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strings"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdlog"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/unixpath"
)

// readLog adds what the server logged of this login. Where it says why the keys
// were refused, that is known better than what is likely: of the same cause it
// takes its place, and it comes before the rest. That they were refused is known.
func (in *inside) readLog(ctx context.Context, s session.Ways) {
	events, err := journal(ctx, s.Run, in.rep.Began)
	if _, closed := errors.AsType[*LogClosedError](err); closed {
		in.remains = append(in.remains, "what the log says, which "+in.account.Name+" may not read")
	}
	if err != nil { // there is none, or no shell to read it
		return
	}
	var logged []record.Record
	for _, e := range events {
		if e.Severity != sshdlog.Refusal || e.Cause == "key-refused" || !in.ours(e) || slices.ContainsFunc(logged, func(r record.Record) bool { return r.Cause == e.Cause }) {
			continue
		}
		r := failure(e.Cause, cmp.Or(e.Place(), e.Key), in.cure(e), "logged: %s", cut(e.Message))
		if i := slices.IndexFunc(in.likely, func(l record.Record) bool { return l.Cause == e.Cause }); i >= 0 {
			r.Subject, r.Hint = in.likely[i].Subject, in.likely[i].Hint
			in.likely = slices.Delete(in.likely, i, i+1)
		}
		if e.Cause == "keys-command-failed" { // which is why no key came from it
			in.seen = slices.DeleteFunc(in.seen, isKeysCommand)
		}
		logged = append(logged, r)
	}
	in.likely = append(logged, in.likely...)
}

// isKeysCommand reports whether a finding is that a program is asked for keys.
// What became of that only the log tells.
func isKeysCommand(r record.Record) bool { return r.Cause == "keys-command" }

// ours reports whether an event is of the login that refused the keys: by the
// port it came from, where that is the connection that looks, else by the user,
// the address and the key.
func (in *inside) ours(e sshdlog.Event) bool {
	known := func(logged, ours string) bool { return logged == "" || ours == "" || logged == ours }
	addr := plainAddress(e.Addr)
	if net.ParseIP(addr) == nil { // a name, which the server found
		addr = ""
	}
	switch {
	case !known(e.User, in.account.Name), !known(addr, in.conn.Address):
		return false
	case in.here && !known(e.Port, in.port):
		return false
	case e.User == "" && e.Addr == "" && e.Port == "": // of anybody
		return false
	}
	return e.Key == "" || slices.ContainsFunc(in.sought(), func(k sshkey.Public) bool { return k.Fingerprint() == e.Key })
}

// cure is the way on from an event: by pikeyfix, if it is about the modes of
// what belongs to the account.
func (in *inside) cure(e sshdlog.Event) string {
	modes := []string{"home-writable", "dir-writable", "keys-writable", "parent-writable", "wrong-owner", "keys-unreadable", "keys-not-a-file"}
	switch {
	case slices.Contains(modes, e.Cause) && unixpath.Within(in.account.Home, e.Path):
		return in.again("pikeyfix")
	case strings.HasSuffix(e.Cause, "-writable") && e.Path != "":
		return "there: sudo chmod go-w " + sh.QuoteLine(e.Path)
	}
	return e.Cure
}
