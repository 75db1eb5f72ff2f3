package repair

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os/exec"
	"path"
	"slices"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// Login repairs the home of the account that fsys is logged in to, as home
// does. refuted, if not nil, says of which causes that sshd_config names the login shows
// that they are none. An error that ends the work early is returned as a record too.
func (j *Job) Login(ctx context.Context, fsys hostfs.FS, server strictmodes.Server, refuted func(cause string) bool) []record.Record {
	there := *j
	there.at = "there: "
	j = &there
	var records []record.Record
	who, err := fsys.Account(ctx)
	if err == nil {
		var rules *serverRules
		if rules, err = j.readRules(ctx, fsys, server); err == nil {
			keysFiles := j.keysFiles(ctx, fsys, rules, who)
			records, err = j.home(ctx, fsys, who, rules.server, keysFiles)
			forbidden, doubt := j.forbidden(ctx, fsys, rules, who, keysFiles)
			if refuted != nil {
				forbidden = slices.DeleteFunc(forbidden, func(r record.Record) bool { return refuted(r.Cause) })
				if refuted("keys-file-elsewhere") { // a key of its has let us in
					doubt = ""
				}
			}
			records = join(records, forbidden, doubt)
		}
	}
	if err != nil {
		records = append(records, diagnose.Ended(ctx, "repairing", err))
	}
	return records
}

// Accounts repairs, on this machine or on a card, the accounts' files that its
// server or its ssh refuses. The one "ok modes" record of an account stands for
// both.
//
// With all, accounts with neither ~/.ssh nor another keys file are skipped: the
// homes of people are to be repaired, not the directories given to daemons as
// homes. Records are yielded as they are made, and not kept. In a dry run
// several goroutines call the FS and Content at once.
func (j *Job) Accounts(ctx context.Context, machine hostfs.FS, accounts iter.Seq[strictmodes.Account], all bool, server, client strictmodes.Server) iter.Seq[record.Record] {
	return func(yield func(record.Record) bool) {
		rules, err := j.readRules(ctx, machine, server)
		if err != nil {
			yield(diagnose.Ended(ctx, "reading the server's configuration", err))
			return
		}
		if j.DryRun {
			j.look(ctx, machine, accounts, func(j *Job, fsys hostfs.FS, who strictmodes.Account) []record.Record {
				return j.account(ctx, fsys, who, all, rules, client)
			}, yield)
			return
		}
		fsys, end := hostfs.Steady(machine)
		defer end()
		for who := range accounts {
			for _, r := range j.account(ctx, fsys, who, all, rules, client) {
				if !yield(r) {
					return
				}
			}
			if context.Cause(ctx) != nil {
				return
			}
		}
	}
}

func (j *Job) account(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, all bool, rules *serverRules, client strictmodes.Server) []record.Record {
	keysFiles := j.keysFiles(ctx, fsys, rules, who)
	if all {
		switch has, err := hasKeys(ctx, fsys, who, keysFiles); {
		case err != nil:
			return []record.Record{failed(ctx, who, "looking for keys of "+who.Name, err)}
		case !has:
			j.trace("%s has neither %s nor another file of keys", who.Name, path.Join(who.Home, ".ssh"))
			return nil
		}
	}
	own := *j
	own.now, j = make(map[string]strictmodes.Stat), &own // a config can include what the server reads
	records, err := j.home(ctx, fsys, who, rules.server, keysFiles)
	if err != nil {
		return append(records, failed(ctx, who, "repairing", err))
	}
	keys, err := j.client(ctx, fsys, who, client)
	if err != nil {
		keys = append(keys, failed(ctx, who, "looking for private keys", err))
	}
	doubt := ""
	if !all && !j.Unnamed {
		var forbidden []record.Record
		forbidden, doubt = j.forbidden(ctx, fsys, rules, who, keysFiles)
		keys = append(keys, slices.Concat(forbidden, j.locked(ctx, fsys, rules, who))...)
	}
	return join(records, keys, doubt)
}

// join adds records to those of home, which are no longer "ok modes" then; otherwise
// these tell of the doubt, if there is any.
func join(records, more []record.Record, doubt string) []record.Record {
	if len(more) > 0 {
		records = slices.DeleteFunc(records, func(r record.Record) bool { return r.Verdict == record.OK })
	}
	for i := range records {
		if doubt != "" && records[i].Verdict == record.OK {
			records[i].Detail += "; " + doubt
		}
	}
	return append(records, more...)
}

// failed is diagnose.Ended for files that are at hand.
func failed(ctx context.Context, who strictmodes.Account, step string, err error) record.Record {
	if context.Cause(ctx) != nil {
		return diagnose.Ended(ctx, step, err)
	}
	return record.Record{Verdict: record.Fail, Cause: "keys-unreadable", Subject: who.Home, Detail: record.Words(err), Hint: "run it again"}
}

// ServerHere returns the kind of this machine's SSH server, by VersionHere where it is
// OpenSSH: All if there is none, or none that is known.
func ServerHere(ctx context.Context, version string) strictmodes.Server {
	// A user's PATH often lacks the sbin directories.
	find := func(name string) string {
		for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
			if found, err := exec.LookPath(path); err == nil {
				return found
			}
		}
		return ""
	}
	if find("sshd") != "" {
		if s := strictmodes.ServerOf(version); s != strictmodes.All {
			return s
		}
		return strictmodes.OpenSSH
	}
	if program := find("dropbear"); program != "" {
		version, _ := exec.CommandContext(ctx, program, "-V").CombinedOutput()
		if s := strictmodes.ServerOf(string(version)); s.IsDropbear() {
			return s
		}
		return strictmodes.Dropbear
	}
	return strictmodes.All
}

// VersionHere returns what the ssh installed here reports, "" if there is none. sshd is
// of the same source, and its -V leaves out the packager's name.
func VersionHere(ctx context.Context) string {
	version, _ := exec.CommandContext(ctx, "ssh", "-V").CombinedOutput()
	return string(version)
}

// Who returns the accounts to work on: the named one, all that somebody can log
// in to, or, with neither, our own. The error is ErrNotRoot for what only root
// can do.
func Who(ctx context.Context, machine hostfs.Machine, name string, all bool) (iter.Seq[strictmodes.Account], error) {
	me, err := machine.Account(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case all && me.UID != 0:
		return nil, fmt.Errorf("-a: %w", ErrNotRoot)
	case all:
		return machine.Accounts(ctx)
	case name == "":
		return one(me), nil
	}
	who, err := machine.Lookup(ctx, name)
	if err == nil && me.UID != 0 && me.UID != who.UID {
		err = fmt.Errorf("-u %s: %w", name, ErrNotRoot)
	}
	return one(who), err
}

func one(who strictmodes.Account) iter.Seq[strictmodes.Account] {
	return slices.Values([]strictmodes.Account{who})
}

// ErrNotRoot means that the files to repair belong to another user.
var ErrNotRoot = errors.New("only root can repair what belongs to another user")
