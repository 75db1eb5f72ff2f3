// Package repair makes acceptable what sshd and ssh refuse, with the least
// change, and reports the old and new state of each file. It carries out what
// strictmodes finds, on this machine, through a login or on a mounted card, or
// writes a shell script that does; and it makes records of what a log tells.
package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
	"pi-key-tools/pkg/unixpath"
)

// A Job says how to repair what is refused.
type Job struct {
	// DryRun changes nothing.
	DryRun bool
	// Plan, if not nil, is called with every plan of a dry run, and what it is
	// about.
	Plan func(about string, steps []Step)
	// Undo, if not nil, records every step before it is taken.
	Undo *Undo
	// Content reports, or cures, what is wrong in the lines of a keys file, and
	// is called only if something is; nil leaves the lines alone.
	Content func(ctx context.Context, who strictmodes.Account, file string) []record.Record
	// Serving is how the server was started; zero for as usual.
	Serving diagnose.Serving
	// Root is where a card is mounted, for the hints; "" for none.
	Root string
	// Unnamed says that nobody named the accounts here: what keeps one out is not told
	// then, since some are meant to be kept out, and root most of all.
	Unnamed bool
	// Trace, if not nil, is called with explanations.
	Trace func(format string, args ...any)

	at  string                      // comes before a command of a hint that is not for this machine
	now map[string]strictmodes.Stat // what a dry run would have made of a path of the account; nil for nothing
}

func (j *Job) trace(format string, args ...any) {
	if j.Trace != nil {
		j.Trace(format, args...)
	}
}

// home judges home, ~/.ssh and the keys files (nil for those of the server's
// default) of an account as the server does, changes what is refused, and
// judges again. Then come the lines of the keys files.
//
// There is a record for each change (done, or todo in a dry run) and for each
// thing that could not be changed (fail, with a hint), its subject the real
// path. If nothing is refused there is one record, "ok modes". Target is left
// empty. An error means that the files could not be looked at, and comes with
// the records of what had been done by then.
func (j *Job) home(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, server strictmodes.Server, keysFiles []string) ([]record.Record, error) {
	r, err := j.repairer(ctx, fsys, who)
	if err != nil {
		return nil, err
	}
	for {
		// A repair can show what was hidden, or be the first of two for a file.
		findings, err := strictmodes.Judge(ctx, fsys, who, keysFiles, server)
		if err != nil {
			return r.records, err
		}
		if changed := r.round(findings); !changed {
			break
		}
	}
	r.records = append(r.records, j.content(ctx, fsys, who, server, keysFiles)...)
	if len(r.records) == 0 {
		r.records = []record.Record{{Verdict: record.OK, Cause: "modes", Subject: who.Home,
			Detail: "nothing in its files that " + title(server) + " would refuse"}}
	}
	return r.records, nil
}

// content has what is wrong in the lines of the keys files said or cured.
func (j *Job) content(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, server strictmodes.Server, keysFiles []string) []record.Record {
	if j.Content == nil && !server.IsDropbear() {
		return nil
	}
	if keysFiles == nil {
		keysFiles = strictmodes.DefaultFiles(who.Home, server)
	}
	var records []record.Record
	for _, file := range keysFiles {
		// Another's that the account cannot read is none of its keys, but what a
		// link of its may lead root to.
		if _, st, err := strictmodes.RealPath(ctx, fsys, file); err == nil && st.UID != who.UID && !strictmodes.MayRead(st, who) {
			continue
		}
		data, err := fsys.ReadFile(ctx, file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			j.trace("the lines of %s are not looked at: %v", file, err)
		case j.Content != nil && len(authorizedkeys.Faults(data)) > 0:
			records = append(records, j.Content(ctx, who, file)...)
		}
		if !server.IsDropbear() {
			continue
		}
		for e, why := range authorizedkeys.DropbearFaults(data) {
			records = append(records, record.Record{Verdict: record.Fail, Cause: "dropbear-limits", Subject: fmt.Sprintf("%s:%d", file, e.Line),
				Detail: fmt.Sprintf("dropbear ignores the line: %s: %s", why, e.Key.Fingerprint()),
				Hint:   "write type, key and comment there with single blanks, after no option that dropbear(8) does not know"})
		}
	}
	return records
}

func title(s strictmodes.Server) string {
	switch s {
	case strictmodes.OpenSSH:
		return "OpenSSH"
	case strictmodes.Lax:
		return "OpenSSH with StrictModes no"
	case strictmodes.Debian:
		return "OpenSSH of Debian"
	case strictmodes.Dropbear, strictmodes.Dropbear2025:
		return "dropbear"
	}
	return "any server"
}

// A repairer carries out findings and keeps the records.
type repairer struct {
	*Job
	ctx      context.Context
	fsys     hostfs.FS
	me       strictmodes.Account         // who works
	who      strictmodes.Account         // whose files they are
	seen     map[string]bool             // cause, path and kind of repair of what there is a record of
	late     map[string]bool             // the same of what another changed right before we would have
	now      map[string]strictmodes.Stat // as Job's, and this run's
	replaced []string                    // in this round: what has another name, or would have in a dry run
	records  []record.Record
}

func (j *Job) repairer(ctx context.Context, fsys hostfs.FS, who strictmodes.Account) (*repairer, error) {
	me, err := fsys.Account(ctx)
	if err != nil {
		return nil, err
	}
	r := &repairer{Job: j, ctx: ctx, fsys: fsys, me: me, who: who, seen: make(map[string]bool), late: make(map[string]bool), now: j.now}
	if r.now == nil {
		r.now = make(map[string]strictmodes.Stat)
	}
	return r, nil
}

// round carries out what is new in the findings, and reports whether that
// changed anything, or was too late to, so that it is time to judge again. It
// ends: what is found once more after its repair is not repaired twice, nor is
// what was changed underneath twice.
func (r *repairer) round(findings []strictmodes.Finding) (changed bool) {
	touched := make(map[string]bool)
	r.replaced = nil
	for _, f := range findings {
		id := fmt.Sprint(f.Cause, " ", f.Path, " ", f.Repair) // an owner, and then the mode, can be one cause
		st, planned := r.now[f.Path]
		was, now := strictmodes.Permissions(f.Stat.Mode), strictmodes.Permissions(st.Mode)
		if planned && f.Repair == strictmodes.Chmod {
			f.Mode = now&^(was&^f.Mode) | f.Mode&^was // what is closed by then stays so
		}
		switch {
		case touched[f.Path]:
			continue // its Stat is of before
		case planned && f.Repair == strictmodes.Chmod && f.Mode == now, planned && f.Repair == strictmodes.Chown && st.UID == r.who.UID:
			continue // it will be so
		case slices.ContainsFunc(r.replaced, func(p string) bool { return unixpath.Within(p, f.Path) }):
			continue // it is elsewhere by now
		case !r.seen[id]:
			r.seen[id] = true
			if planned {
				f.Stat = st
			}
			rec, err := r.one(f)
			if errors.Is(err, hostfs.ErrChanged) && !r.late[id] { // as by another run of ours
				r.late[id], changed = true, true
				delete(r.seen, id)
				continue
			}
			r.records = append(r.records, rec)
			if rec.Verdict == record.Done {
				touched[f.Path], changed = true, true
			}
		case r.undone(f):
			r.records = append(r.records, record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.Path,
				Detail: f.Detail + ", again after it was repaired", Hint: "see what changes it there"})
		}
	}
	return changed
}

// undone reports whether the last word on a finding was that it is repaired.
func (r *repairer) undone(f strictmodes.Finding) bool {
	last := record.OK
	for _, rec := range r.records {
		if rec.Cause == f.Cause && rec.Subject == f.Path {
			last = rec.Verdict
		}
	}
	return last == record.Done
}

// one carries out one finding. The error is in the record too.
func (r *repairer) one(f strictmodes.Finding) (record.Record, error) {
	if r.ofTheHomesOwner(f) {
		f.Repair = strictmodes.None
		f.Detail += "; so does the home, which two accounts may share: whether to change its owner is for you to decide"
	}
	rec := record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.Path, Detail: f.Detail}
	p, err := r.plan(f)
	if err != nil {
		rec.Detail, rec.Hint = record.Words(err), "run it again"
		return rec, err
	}
	if len(p.steps) == 0 {
		rec.Hint = r.hint(f)
		return rec, nil
	}
	if p.replaces {
		r.replaced = append(r.replaced, f.Path)
	}
	if f.Note != "" {
		p.detail += "; " + f.Note
	}
	if r.DryRun {
		for _, s := range p.steps {
			r.now[s.Path] = s.after()
		}
		if r.Plan != nil {
			r.Plan(f.Cause+": "+p.detail, p.steps)
		}
		rec.Verdict, rec.Detail, rec.Hint = record.Todo, p.detail, p.hint
		return rec, nil
	}
	err = r.carryOut(p.steps)
	switch {
	case err == nil:
		rec.Verdict, rec.Detail, rec.Hint = record.Done, p.detail, p.hint
		return rec, nil
	case errors.Is(err, syscall.EROFS):
		rec.Cause = "read-only-fs"
	case errors.Is(err, fs.ErrPermission) && len(p.steps) == 1 && r.marked(p.steps[0]):
		rec.Cause = "immutable"
	case len(p.steps) == 1 && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOVERFLOW)):
		rec.Hint = r.at + "root is not allowed to here, as in a container or on NFS: do it where the disk is; or see what forbids it: lsattr -d " + r.quote(f.Path)
	case errors.Is(err, hostfs.ErrModesIgnored):
		rec.Cause = "modes-unsupported"
	case errors.Is(err, fs.ErrPermission):
		rec.Hint = r.hint(f)
	default:
		rec.Hint = "run it again"
	}
	if rec.Hint == "" {
		rec.Hint = r.obstacle(rec.Cause, f.Path)
	}
	rec.Detail = record.Words(err)
	return rec, err
}

// ofTheHomesOwner reports whether a thing is to be given away that belongs to
// whom the home does, who is neither the user nor root: it lets that one in, and
// as long as the home is his, giving it away lets in nobody.
func (r *repairer) ofTheHomesOwner(f strictmodes.Finding) bool {
	if f.Repair != strictmodes.Chown || f.Stat.UID == 0 {
		return false
	}
	home, _, err := strictmodes.RealPath(r.ctx, r.fsys, r.who.Home)
	if err != nil || home == f.Path {
		return false
	}
	st, err := r.fsys.Lstat(r.ctx, home)
	return err == nil && st.UID == f.Stat.UID && st.UID != r.who.UID
}

// carryOut takes the steps. Where the last one fails to fill the place that the
// one before has made free, what was there goes back.
func (r *repairer) carryOut(steps []Step) error {
	for i, s := range steps {
		if s.Was == (strictmodes.Stat{}) && s.Op == Rename { // of what we have made
			var err error
			if s.Was, err = r.fsys.Lstat(r.ctx, s.Path); err != nil {
				return r.putBack(steps[:i], err)
			}
		}
		if r.Undo != nil {
			if err := r.Undo.note(s); err != nil {
				return r.putBack(steps[:i], err)
			}
		}
		if err := s.do(r.ctx, r.fsys); err != nil {
			return r.putBack(steps[:i], err)
		}
	}
	return nil
}

// putBackTime is how long it may take when the time for all the rest is over.
const putBackTime = 5 * time.Second

// putBack undoes the renaming among the steps that were taken before one failed,
// even when the time is over, and says what else they have left.
func (r *repairer) putBack(taken []Step, err error) error {
	for _, s := range slices.Backward(taken) {
		switch s.Op {
		case Rename:
			ctx, cancel := context.WithTimeout(context.WithoutCancel(r.ctx), putBackTime)
			defer cancel()
			for _, back := range s.undo() {
				if berr := back.do(ctx, r.fsys); berr != nil {
					return fmt.Errorf("%w; and %s is left as %s: %w", err, s.Path, s.To, berr)
				}
			}
		case Mkdir:
			err = fmt.Errorf("%w; %s is left over and can be removed", err, s.Path)
		case Copy:
			err = fmt.Errorf("%w; %s is left over and can be removed", err, s.To)
		}
	}
	return err
}
