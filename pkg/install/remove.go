package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// removeFrom takes every entry of the keys out of a file, live or not; of an
// authority those entries alone that are one, and if it has principals, are for
// them. Comments that mention a key stay. used is the key that made this login:
// what lets it in stays, as does the last live entry, unless Force says
// otherwise. It is nil if no key did.
func (j Job) removeFrom(ctx context.Context, engine Engine, used *sshkey.Public) ([]record.Record, error) {
	had := false
	return settled(ctx, func() ([]record.Record, error) { return j.removeOnce(ctx, engine, used, &had) })
}

// settled has a change made that goes by the lines of the file as it was read: it
// reads again when others write, who each get on by that, for as long as anybody
// waits for the turn.
func settled(ctx context.Context, change func() ([]record.Record, error)) ([]record.Record, error) {
	for deadline := time.Now().Add(hostfs.TurnWait); ; {
		records, err := change()
		put, ok := errors.AsType[*PutError](err)
		if !ok || put.Cause != "busy" || put.Unsure || ctx.Err() != nil || time.Now().After(deadline) {
			return records, err
		}
	}
}

// removeOnce takes nothing out where the key that made this login was there before,
// which it notes in had, and another has taken it out since.
func (j Job) removeOnce(ctx context.Context, engine Engine, used *sshkey.Public, had *bool) ([]record.Record, error) {
	path, data, err := engine.Read(ctx)
	if err != nil {
		return nil, err
	}
	entries := authorizedkeys.Entries(data)
	texts := bytes.Split(data, []byte("\n"))
	var records []record.Record
	var change Change
	gone := func(e authorizedkeys.Entry) bool {
		return slices.ContainsFunc(change.Drop, func(d Numbered) bool { return d.Number == e.Line })
	}
	live := func(e authorizedkeys.Entry) bool { return e.Dead == "" && !expired(e, time.Now()) && !gone(e) }
	has := used != nil && slices.ContainsFunc(entries, func(e authorizedkeys.Entry) bool { return live(e) && e.Key.Equal(*used) })
	lost := *had && !has
	*had = *had || has
	for _, l := range j.Lines() {
		r := record.Record{Subject: l.Key.Fingerprint(), Detail: path}
		var drop []Numbered
		for _, e := range entries {
			if l.means(e) && !gone(e) {
				drop = append(drop, Numbered{e.Line, string(texts[e.Line-1])})
			}
		}
		left := slices.ContainsFunc(entries, func(e authorizedkeys.Entry) bool {
			return live(e) && !l.means(e)
		})
		switch {
		case len(drop) == 0:
			r.Verdict, r.Cause = record.OK, "key-absent"
		case !j.Force && used != nil && l.letsIn(*used):
			r.Verdict, r.Cause = record.Fail, "key-in-use"
			r.Detail, r.Hint = "this login was made with it", "log in by password: -o PubkeyAuthentication=no; or insist: -f"
		case !j.Force && lost:
			r.Verdict, r.Cause = record.Fail, "busy"
			r.Detail, r.Hint = "another writer has just taken out the key that made this login", "see which keys are left: -L; or insist: -f"
		case !j.Force && !left:
			r.Verdict, r.Cause = record.Fail, "key-last"
			r.Detail, r.Hint = path+" would no longer let any key in", "insist: -f"
		default:
			r.Verdict, r.Cause = record.Done, "key-removed"
			if j.DryRun {
				r.Verdict = record.Todo
			}
			for i, d := range drop {
				if i == 0 {
					r.Detail += " line"
				}
				r.Detail += fmt.Sprintf(" %d", d.Number)
			}
			change.Drop = append(change.Drop, drop...)
		}
		records = append(records, r)
	}
	if j.DryRun || len(change.Drop) == 0 {
		return records, nil
	}
	// One that stays is written again, so that nothing is taken out unless it is
	// still there: of two who each take out what the other counts on, one looks again.
	stays := slices.DeleteFunc(entries, func(e authorizedkeys.Entry) bool {
		return !live(e) || bytes.IndexByte(texts[e.Line-1], 0) >= 0 // see Change.With
	})
	if len(stays) > 0 && !j.Force {
		e := stays[max(0, slices.IndexFunc(stays, func(e authorizedkeys.Entry) bool { return used != nil && e.Key.Equal(*used) }))]
		text := string(texts[e.Line-1])
		change.Drop = append(change.Drop, Numbered{e.Line, text})
		change.With = map[int][]string{e.Line: {text}}
	}
	a, err := engine.Edit(ctx, change)
	if err != nil {
		return nil, err
	}
	for i := range records {
		if records[i].Verdict == record.Done {
			mayBeUndone(&records[i], a.Unsynced)
		}
	}
	return records, nil
}

// means reports whether an entry is one that is to go with the line.
func (l Line) means(e authorizedkeys.Entry) bool {
	if !e.Key.Equal(l.Key) || l.Options == "" {
		return e.Key.Equal(l.Key)
	}
	wanted := l.entry()
	return e.IsAuthority() && (principals(wanted) == nil || alike(e, wanted))
}

// letsIn reports whether a login by that key, or certificate, may be owed to the
// line.
func (l Line) letsIn(used sshkey.Public) bool {
	cert, certified, err := used.Certificate()
	if err != nil || !certified {
		return used.Equal(l.Key) && l.Options == ""
	}
	return cert.CA.Equal(l.Key)
}
