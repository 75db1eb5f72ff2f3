package install

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// Copy puts the keys on the host and proves that they log in: one connection
// to act, and a second, fresh one with exactly these keys. It returns one
// record for each key's place in the file, and one for its login.
// files are where private halves of the keys may be, besides where ssh looks.
func Copy(ctx context.Context, host *connect.Host, keys []sshkey.Public, files []string, dryRun bool) []record.Record {
	mine := host.Keys(ctx, files...)
	client, rep, failed := diagnose.Enter(ctx, host, mine, first(mine, keys))
	if failed != nil {
		return []record.Record{*failed}
	}
	defer client.Close()

	lines := make([]Line, len(keys))
	for i, k := range keys {
		lines[i] = Line{Key: k}
	}
	path, placed, err := Put(ctx, Shell(client.Run), lines, false, dryRun)
	if err != nil {
		return []record.Record{putFailure(ctx, host, client, rep, path, err)}
	}
	records := make([]record.Record, 0, 2*len(placed))
	for _, p := range placed {
		r := record.Record{Verdict: record.OK, Cause: "key-present", Subject: p.Key.Fingerprint()}
		switch {
		case p.Added && dryRun:
			r.Verdict, r.Cause, r.Detail = record.Todo, "key-added", "would add to "+path+": "+p.Key.Line()
		case p.Added:
			r.Verdict, r.Cause, r.Detail = record.Done, "key-added", path
		default:
			r.Detail = path + " " + describe(p.Entry)
		}
		records = append(records, r)
	}
	if dryRun {
		return records
	}
	return append(records, prove(ctx, host, client, mine, rep, placed)...)
}

// first returns the keys to offer for getting in: those to be installed that
// can sign, which may be there already, then the others as ssh offers them.
func first(mine connect.Keys, keys []sshkey.Public) []session.Key {
	offers := mine.Offers()
	slices.SortStableFunc(offers, func(a, b session.Key) int {
		return rank(keys, a) - rank(keys, b)
	})
	return offers
}

func rank(keys []sshkey.Public, k session.Key) int {
	if slices.ContainsFunc(keys, k.Public.Equal) {
		return 0
	}
	return 1
}

func putFailure(ctx context.Context, host *connect.Host, client *session.Client, rep *session.Report, path string, err error) record.Record {
	r := record.Record{Verdict: record.Fail, Cause: "connection-dropped", Subject: path,
		Detail: err.Error(), Hint: "whether the key was added is not known; run it again: nothing is added twice"}
	var put *PutError
	switch cause := context.Cause(ctx); {
	case errors.As(err, &put) && put.denied:
		// Whether an owner or a mode is in the way, the files tell.
		r.Cause, r.Subject, r.Hint = put.Cause, put.Path, host.Again("pikeyfix")
		if found, err := diagnose.Files(ctx, hostfs.Far(client.Run), strictmodes.ServerOf(rep.ServerVersion)); err == nil && len(found) > 0 {
			r.Cause, r.Subject, r.Detail = found[0].Cause, found[0].Subject, found[0].Detail
		}
	case errors.As(err, &put):
		r.Cause, r.Subject = put.Cause, put.Path
		r.Hint = map[string]string{
			"home-writable":   host.Again("pikeyfix"),
			"wrong-owner":     host.Again("pikeyfix"),
			"keys-unreadable": host.Again("pikeyfix"),
			"keys-not-a-file": host.Again("pikeyfix"),
			"disk-full":       "make room there: df -h, df -i",
			"read-only-fs":    "there: sudo mount -o remount,rw / (an overlay is switched off with raspi-config)",
			"immutable":       "there: lsattr, sudo chattr -i",
			"busy":            "try again",
			"no-shell":        "the account must run a POSIX shell for this",
			"keys-symlink":    "look at the link there",
		}[put.Cause]
	case errors.Is(cause, session.ErrTooSlow):
		r.Cause, r.Detail = "too-slow", "not finished in the time for this target; it was at: writing authorized_keys"
		r.Hint = "whether the key was added is not known; run it again with more time: --timeout 2m"
	case cause != nil:
		r.Cause = "interrupted"
	}
	return r
}

// prove makes the second connection. Every key but one is asked about, and
// one logs in: a key that can sign if there is any. Where none can, the
// connection still ends in a login, by whatever let us in before, since
// servers punish addresses that only ever knock (PerSourcePenalties).
func prove(ctx context.Context, host *connect.Host, acting *session.Client, mine connect.Keys, before *session.Report, placed []Placed) []record.Record {
	var offers []session.Key
	signer := -1
	for i, p := range placed {
		c, here := mine.Find(p.Key)
		if !here {
			c.Key = session.Key{Public: p.Key, Name: "public half only"}
		}
		if c.HasPrivate() && (signer < 0 || (len(c.Faults) == 0 && placedFaults(mine, placed[signer]))) {
			signer = i
		}
		offers = append(offers, c.Key)
	}
	for i := range offers {
		if i != signer {
			offers[i].Signer = nil
		}
	}
	if signer >= 0 { // last, since it ends the authentication
		last := offers[signer]
		offers = append(slices.Delete(offers, signer, signer+1), last)
	}
	asked := len(offers)
	if in, ok := before.LoginKey(); ok && !slices.ContainsFunc(offers, func(k session.Key) bool { return k.Public.Equal(in.Public) }) {
		offers = append(offers, in)
	}
	client, rep, err := host.Login(ctx, connect.Plan{Keys: offers, Password: before.PasswordSent})
	if err == nil {
		defer client.Close()
	}
	var records []record.Record
	var looked *record.Record
	for _, o := range offers[:asked] {
		fp := o.Public.Fingerprint()
		switch rep.Answer(o.Public) {
		case session.LogsIn:
			records = append(records, record.Record{Verdict: record.OK, Cause: "login", Subject: fp, Detail: "on a fresh connection"})
		case session.Accepted:
			records = append(records, record.Record{Verdict: record.OK, Cause: "accepted", Subject: fp,
				Detail: "the server would take it; " + why(o, mine)})
		case session.Refused:
			if looked == nil {
				r := lookInside(ctx, host, acting, rep)
				looked = &r
			}
			r := *looked
			if r.Subject == "" {
				r.Subject = fp
			}
			records = append(records, r)
		default: // not settled: the connection itself failed, or signing did
			r := diagnose.Login(ctx, host, mine, rep, orDenied(err))
			records = append(records, r)
		}
	}
	return records
}

func placedFaults(mine connect.Keys, p Placed) bool {
	c, _ := mine.Find(p.Key)
	return len(c.Faults) > 0
}

func orDenied(err error) error {
	if err == nil {
		return session.ErrDenied
	}
	return err
}

func why(k session.Key, mine connect.Keys) string {
	if c, _ := mine.Find(k.Public); c.HasPrivate() {
		return "another key of this call made the login"
	}
	return "its private half is not here"
}

// lookInside finds out, through the session that is still open, why the
// server refuses a key that is in the file.
func lookInside(ctx context.Context, host *connect.Host, acting *session.Client, rep *session.Report) record.Record {
	server := strictmodes.ServerOf(rep.ServerVersion)
	findings, err := diagnose.Files(ctx, hostfs.Far(acting.Run), server)
	if err != nil {
		return record.Record{Verdict: record.Fail, Cause: "key-refused",
			Detail: fmt.Sprintf("the key is in the file and the server refuses it; looking for the cause failed: %v", err)}
	}
	if len(findings) > 0 {
		r := findings[0]
		r.Hint = host.Again("pikeyfix")
		return r
	}
	return record.Record{Verdict: record.Fail, Cause: "key-refused",
		Detail: "the key is in the file and its modes are good; what remains: keys-file-elsewhere (AuthorizedKeysFile, AuthorizedKeysCommand), " +
			"a key type that the server does not take, or a user who may not log in (AllowUsers); the server's log says which: journalctl -u ssh"}
}
