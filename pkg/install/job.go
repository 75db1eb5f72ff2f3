package install

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// A Job is what pikeycopy does on each of its targets.
type Job struct {
	Keys      []sshkey.Public
	Files     []string // where their private halves may be, besides where ssh looks
	Options   string   // before each key; see Options
	Authority bool     // the keys sign certificates, and log nobody in themselves
	Path      string   // of the file there; "" for where the server looks
	Force     bool     // add what is already there, remove what should rather stay
	SFTP      bool     // even where there is a shell
	DryRun    bool
}

// Remove takes the keys out of the file on the host.
func (j Job) Remove(ctx context.Context, host *connect.Host) []record.Record {
	goes := func(k sshkey.Public) bool {
		return slices.ContainsFunc(j.Lines(), func(l Line) bool { return l.letsIn(k) })
	}
	return j.enter(ctx, host, goes, func(e Engine, rep *session.Report) ([]record.Record, error) {
		if in, ok := rep.LoginKey(); ok {
			return j.removeFrom(ctx, e, &in.Public)
		}
		return j.removeFrom(ctx, e, nil)
	})
}

// List returns the entries of the file on the host.
func (j Job) List(ctx context.Context, host *connect.Host) []record.Record {
	none := func(sshkey.Public) bool { return false }
	return j.enter(ctx, host, none, func(e Engine, _ *session.Report) ([]record.Record, error) {
		return list(ctx, e, host.Again("pikeyfix --rewrite"))
	})
}

// enter logs in by whatever works, rather by a key that is not late, and works
// on the file there.
func (j Job) enter(ctx context.Context, host *connect.Host, late func(sshkey.Public) bool, do func(Engine, *session.Report) ([]record.Record, error)) []record.Record {
	mine := host.Keys(ctx, j.Files...)
	client, rep, failed := diagnose.Enter(ctx, host, mine, offers(mine, late))
	if failed != nil {
		return []record.Record{*failed}
	}
	defer client.Close()
	engine, end := There(client, rep.ServerVersion, j.Path, !j.SFTP)
	records, err := do(engine, rep)
	end()
	if err != nil {
		records = append(records, j.failure(ctx, host, client, rep, err))
	}
	return records
}

// offers returns the keys to offer for getting in, as ssh offers them, but the
// late ones last.
func offers(mine connect.Keys, late func(sshkey.Public) bool) []session.Key {
	var soon, last []session.Key
	for _, k := range mine.Offers() {
		if late(k.Public) {
			last = append(last, k)
		} else {
			soon = append(soon, k)
		}
	}
	return append(soon, last...)
}

// failure is the record of a file that could not be worked on.
func (j Job) failure(ctx context.Context, host *connect.Host, client *session.Client, rep *session.Report, err error) record.Record {
	put, ok := errors.AsType[*PutError](err)
	if !ok {
		r := diagnose.Ended(ctx, "the authorized keys", err)
		switch r.Cause {
		case "no-shell", "session-failed": // which change nothing
		case "no-sftp": // nor does this, and only -s asks for it
			r.Hint = "leave out -s, if a shell works; or install an sftp server there: the package openssh-sftp-server"
		default:
			r.Hint = "it is not known whether the file was changed; run it again, with a longer --timeout if it was slow: nothing is done twice"
		}
		return r
	}
	r := record.Record{Verdict: record.Fail, Cause: put.Cause, Subject: put.Path, Detail: record.Words(put), Hint: wayOn(put, host)}
	if _, byKey := rep.LoginKey(); byKey && put.Cause == "command-forced" {
		r.Hint += "\nhint: if it is the key's line that forces the command, log in by password: -o PubkeyAuthentication=no"
	}
	if put.Unsure {
		r.Hint = "run it again: nothing is done twice"
	}
	if put.denied {
		// Whether an owner or a mode is in the way, the files tell.
		r.Hint = host.Again("pikeyfix")
		if fsys, err := diagnose.Far(ctx, client, host.Config.User); err == nil {
			found, err := diagnose.Files(ctx, fsys, strictmodes.ServerOf(rep.ServerVersion))
			switch {
			case err != nil:
			case len(found) > 0:
				r.Cause, r.Subject, r.Detail = found[0].Cause, found[0].Subject, found[0].Detail
			case put.Cause == "write-failed": // which sshd does not mind, nor pikeyfix
				r.Hint = mayWrite(ctx, fsys, path.Dir(put.Path))
			}
		}
	}
	return r
}

// mayWrite is the way on where we may not write a directory.
func mayWrite(ctx context.Context, fsys hostfs.FS, dir string) string {
	who, err := fsys.Account(ctx)
	if st, statErr := fsys.Lstat(ctx, dir); err == nil && statErr == nil && st.Mode.IsDir() && st.UID == who.UID && st.Mode&0o300 != 0o300 {
		return "there: chmod u+rwx " + sh.QuoteLine(dir)
	}
	return "see who may write it, there: namei -l " + sh.QuoteLine(dir)
}

// wayOn is the hint for a file that stands as it was.
func wayOn(e *PutError, host *connect.Host) string {
	switch e.Cause {
	case "wrong-owner": // it may be anything that -t, or a link in the home, leads to: nothing to give away unseen
		return fmt.Sprintf("see whose it is, there: namei -l %s\nhint: in the home, this repairs it: %s", sh.QuoteLine(e.Path), host.Again("pikeyfix"))
	case "home-missing":
		return "there: sudo mkhomedir_helper " + sh.QuoteLine(host.Config.User) + "\nhint: or mount there what holds the homes"
	case "read-only-fs":
		return fmt.Sprintf(`there: sudo mount -o remount,rw "$(findmnt -no TARGET -T %s)"`, sh.QuoteLine(path.Dir(e.Path))) +
			"\nhint: on an overlay, which raspi-config makes, what is written is lost at a reboot: disable it there first"
	case "immutable":
		files := sh.QuoteLine(path.Dir(e.Path))
		if path.Base(e.Path) != hostfs.TurnName { // which could not be made
			files += " " + sh.QuoteLine(e.Path)
		}
		return "there: sudo chattr -i -a " + files
	case "keys-unreadable":
		return host.Again("pikeyfix")
	case "keys-not-a-file":
		return fmt.Sprintf("there: mv %s %s\nhint: in the home, this does it: %s", sh.QuoteLine(e.Path), sh.QuoteLine(e.Path+".aside"), host.Again("pikeyfix"))
	case "keys-linked":
		return fmt.Sprintf("there: cp -p %[1]s %[2]s && mv %[2]s %[1]s", sh.QuoteLine(e.Path), sh.QuoteLine(e.Path+".new"))
	case "password-expired":
		return "log in once by hand and change the password: " + host.SSH()
	}
	return wayOnFrom(e.Cause)
}

// wayOnFrom is wayOn where it is the same for every host, and at hand.
func wayOnFrom(cause string) string {
	switch cause {
	case "keys-not-a-file":
		return "there: mv ~/.ssh/authorized_keys ~/.ssh/authorized_keys.aside"
	case "disk-full":
		return "free some space there: df -h, df -i"
	case "read-only-fs":
		return "mount its file system anew: sudo mount -o remount,rw MOUNTPOINT; raspi-config disables an overlay"
	case "immutable":
		return "see lsattr, and remove that with sudo chattr -i -a"
	case "busy":
		return "try again"
	case "home-missing":
		return "make it with sudo mkhomedir_helper USER, or mount what holds the homes"
	case "keys-linked":
		return "there: cp -p FILE FILE.new && mv FILE.new FILE, which makes it a file of its own"
	case "no-shell", "command-forced":
		return "the account must run a POSIX shell, or sftp, for this, and no start-up file such as ~/.bashrc may end it"
	case "session-failed":
		return "look in the log there: sudo journalctl -u ssh --since -10min"
	case "keys-symlink":
		return "look at the link there: ls -l ~/.ssh"
	}
	return ""
}

// Lines returns the lines that the job adds.
func (j Job) Lines() []Line {
	lines := make([]Line, len(j.Keys))
	for i, k := range j.Keys {
		lines[i] = Line{k, j.Options}
	}
	return lines
}

// ListHere is List for a file on this machine, such as one on a mounted card.
// again is as for Faults.
func ListHere(ctx context.Context, engine Engine, again string) []record.Record {
	return orFailure(list(ctx, engine, again))
}

// RemoveHere is Remove for a file on this machine. Nobody has logged in by a
// key of it.
func (j Job) RemoveHere(ctx context.Context, engine Engine) []record.Record {
	return orFailure(j.removeFrom(ctx, engine, nil))
}

// PutHere is Copy for a file on this machine. Nobody can log in to it, so
// nothing is proved.
func (j Job) PutHere(ctx context.Context, engine Engine) []record.Record {
	path, placed, err := putLines(ctx, engine, j.Lines(), j.Force, j.DryRun)
	return orFailure(j.places(path, placed), err)
}

// orFailure adds the record of why a file at hand could not be worked on, if
// there is an error.
func orFailure(records []record.Record, err error) []record.Record {
	if err != nil {
		records = append(records, failureHere(err))
	}
	return records
}

// failureHere is the record of a file at hand that could not be worked on.
func failureHere(err error) record.Record {
	if put, ok := errors.AsType[*PutError](err); ok {
		r := record.Record{Verdict: record.Fail, Cause: put.Cause, Subject: put.Path, Detail: record.Words(err), Hint: wayOnFrom(put.Cause)}
		if put.Unsure {
			r.Hint = "run it again: nothing is done twice"
		}
		return r
	}
	return record.Record{Verdict: record.Fail, Cause: "write-failed", Detail: record.Words(err)}
}

// places are the records of where the keys are.
func (j Job) places(path string, placed []placement) []record.Record {
	var records []record.Record
	for _, p := range placed {
		r := record.Record{Verdict: record.OK, Cause: "key-present", Subject: p.Key.Fingerprint()}
		switch {
		case p.Added && j.DryRun:
			r.Verdict, r.Cause = record.Todo, "key-added"
			r.Detail = "would add to " + path + ": " + Line{p.Key, j.Options}.Text()
		case p.Added:
			r.Verdict, r.Cause, r.Detail = record.Done, "key-added", path
			if p.Beside != nil {
				r.Detail += ", beside " + describe(p.Beside)
			}
			mayBeUndone(&r, p.Unsynced)
		case p.Entry != nil && j.Options != "" && !sameOptions(*p.Entry, (Line{p.Key, j.Options}).entry()):
			r.Verdict, r.Cause = record.Fail, "options-differ"
			r.Detail = path + " " + describe(p.Entry) + "; requested: " + j.Options
			r.Hint = "replace its lines with -f"
		case p.Entry != nil:
			r.Detail = path + " " + describe(p.Entry)
		case p.Unseen != nil:
			r.Detail = "the server accepts it; its line could not be looked at: " + record.Words(p.Unseen)
		default:
			r.Detail = "the server accepts it, from a place other than " + path
		}
		records = append(records, r)
	}
	return records
}
