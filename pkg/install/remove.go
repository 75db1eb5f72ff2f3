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
	r := removal{job: j, used: used, path: path, entries: authorizedkeys.Entries(data), texts: bytes.Split(data, []byte("\n")), now: time.Now()}
	has := slices.ContainsFunc(r.entries, func(e authorizedkeys.Entry) bool { return r.live(e) && r.ofLogin(e) })
	r.lost = *had && !has
	*had = *had || has
	var records []record.Record
	for _, l := range j.Lines() {
		records = append(records, r.takeOut(l))
	}
	if j.DryRun || len(r.change.Drop) == 0 {
		return records, nil
	}
	if !j.Force {
		r.holdOn()
	}
	a, err := engine.Edit(ctx, r.change)
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

// A removal takes lines out of a file as it was read.
type removal struct {
	job     Job
	used    *sshkey.Public // that made this login; nil if none did
	lost    bool           // another has taken that one out
	path    string
	entries []authorizedkeys.Entry
	texts   [][]byte // of all lines
	now     time.Time
	change  Change
}

func (r *removal) gone(e authorizedkeys.Entry) bool {
	return slices.ContainsFunc(r.change.Drop, func(d Numbered) bool { return d.Number == e.Line })
}

// live reports whether an entry lets its key in, and stays.
func (r *removal) live(e authorizedkeys.Entry) bool {
	return e.Dead == "" && !expired(e, r.now) && !r.gone(e)
}

func (r *removal) ofLogin(e authorizedkeys.Entry) bool { return r.used != nil && e.Key.Equal(*r.used) }

// takeOut adds to the change all that is to go with a line, or says why not.
func (r *removal) takeOut(l Line) record.Record {
	of := record.Record{Subject: l.Key.Fingerprint(), Detail: r.path}
	var drop []Numbered
	for _, e := range r.entries {
		if l.means(e) && !r.gone(e) {
			drop = append(drop, r.numbered(e))
		}
	}
	left := slices.ContainsFunc(r.entries, func(e authorizedkeys.Entry) bool { return r.live(e) && !l.means(e) })
	switch {
	case len(drop) == 0:
		of.Verdict, of.Cause = record.OK, "key-absent"
	case !r.job.Force && r.used != nil && l.letsIn(*r.used):
		of.Verdict, of.Cause = record.Fail, "key-in-use"
		of.Detail, of.Hint = "this login was made with it", "log in by password: -o PubkeyAuthentication=no; or insist: -f"
	case !r.job.Force && r.lost:
		of.Verdict, of.Cause = record.Fail, "busy"
		of.Detail, of.Hint = "another writer has just taken out the key that made this login", "see which keys are left: -L; or insist: -f"
	case !r.job.Force && !left:
		of.Verdict, of.Cause = record.Fail, "key-last"
		of.Detail, of.Hint = r.path+" would no longer let any key in", "insist: -f"
	default:
		of.Verdict, of.Cause = record.Done, "key-removed"
		if r.job.DryRun {
			of.Verdict = record.Todo
		}
		of.Detail += " line"
		for _, d := range drop {
			of.Detail += fmt.Sprintf(" %d", d.Number)
		}
		r.change.Drop = append(r.change.Drop, drop...)
	}
	return of
}

// holdOn has an entry that stays written again, so that nothing is taken out unless
// it is still there: of two who each take out what the other counts on, one looks
// again.
func (r *removal) holdOn() {
	stays := slices.DeleteFunc(slices.Clone(r.entries), func(e authorizedkeys.Entry) bool {
		return !r.live(e) || bytes.IndexByte(r.texts[e.Line-1], 0) >= 0 // see Change.With
	})
	if len(stays) == 0 {
		return
	}
	line := r.numbered(stays[max(0, slices.IndexFunc(stays, r.ofLogin))])
	r.change.Drop = append(r.change.Drop, line)
	r.change.With = map[int][]string{line.Number: {line.Text}}
}

func (r *removal) numbered(e authorizedkeys.Entry) Numbered {
	return Numbered{e.Line, string(r.texts[e.Line-1])}
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
