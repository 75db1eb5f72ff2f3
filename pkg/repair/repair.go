// Package repair makes acceptable what sshd and ssh refuse, with the least
// change, and says of each thing what it was and is: it carries out what
// strictmodes finds, on this machine or through a login.
package repair

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"syscall"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// Account repairs the home of the account that fsys is logged in to, as Home
// does. What ends the work early is a record too.
func Account(ctx context.Context, fsys hostfs.FS, server strictmodes.Server, dryRun bool) []record.Record {
	var records []record.Record
	who, err := fsys.Account(ctx)
	if err == nil {
		records, err = Home(ctx, fsys, who, server, nil, dryRun)
	}
	if err != nil {
		records = append(records, diagnose.Ended(ctx, "repairing", err))
	}
	return records
}

// Home judges home, ~/.ssh and the keys files (nil for those that the server
// has by default) of an account as it does, changes what is refused, and judges again.
//
// There is a record for each change (done, or todo in a dry run, which changes
// nothing) and for each thing that could not be changed (fail, with a hint),
// its subject the real path. If nothing is refused there is one record, "ok
// modes". Target is left empty. An error means that the files could not be
// looked at, and comes with the records of what had been done by then.
func Home(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, server strictmodes.Server, keysFiles []string, dryRun bool) ([]record.Record, error) {
	me, err := fsys.Account(ctx)
	if err != nil {
		return nil, err
	}
	r := repairer{ctx: ctx, fsys: fsys, me: me, who: who, dryRun: dryRun, seen: make(map[string]bool)}
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
	if len(r.records) == 0 {
		r.records = []record.Record{{Verdict: record.OK, Cause: "modes", Subject: who.Home,
			Detail: "nothing that " + title(server) + " would refuse"}}
	}
	return r.records, nil
}

func title(s strictmodes.Server) string {
	switch s {
	case strictmodes.OpenSSH:
		return "OpenSSH"
	case strictmodes.Debian:
		return "OpenSSH of Debian"
	case strictmodes.Dropbear, strictmodes.Dropbear2025:
		return "dropbear"
	}
	return "any server"
}

// A repairer carries out findings and keeps the records.
type repairer struct {
	ctx     context.Context
	fsys    hostfs.FS
	me      strictmodes.Account // who works
	who     strictmodes.Account // whose files they are
	dryRun  bool
	seen    map[string]bool // cause and path of what there is a record of
	records []record.Record
}

// round carries out what is new in the findings, and reports whether that
// changed anything, so that it is time to judge again. It ends: what is found
// once more after its repair is not repaired twice.
func (r *repairer) round(findings []strictmodes.Finding) (changed bool) {
	touched := make(map[string]bool)
	for _, f := range findings {
		id := f.Cause + " " + f.Path
		switch {
		case touched[f.Path]:
			continue // its Stat is of before
		case !r.seen[id]:
			r.seen[id] = true
			rec := r.one(f)
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

// one carries out one finding.
func (r *repairer) one(f strictmodes.Finding) record.Record {
	rec := record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.Path, Detail: f.Detail}
	path := hostfs.Quote(f.Path)
	var plan, command string
	switch f.Repair {
	case strictmodes.Chmod:
		plan = fmt.Sprintf("mode %s -> %s", strictmodes.Octal(f.Stat.Mode), strictmodes.Octal(f.Mode))
		command = "chmod " + strictmodes.Octal(f.Mode) + " " + path
	case strictmodes.Chown:
		plan = fmt.Sprintf("owner uid %d -> %d", f.Stat.UID, r.who.UID)
		command = "chown " + r.owner() + " " + path
	default:
		rec.Hint = r.hint(f)
		return rec
	}
	if r.me.UID != 0 && (f.Repair == strictmodes.Chown || f.Stat.UID != r.me.UID) {
		rec.Hint = "sudo " + command
		return rec
	}
	if r.dryRun {
		rec.Verdict, rec.Detail = record.Todo, plan
		return rec
	}
	var err error
	if f.Repair == strictmodes.Chmod {
		err = r.fsys.Chmod(r.ctx, f.Path, f.Stat, f.Mode)
	} else {
		err = r.fsys.Chown(r.ctx, f.Path, f.Stat, r.who.UID)
	}
	switch {
	case err == nil:
		rec.Verdict, rec.Detail = record.Done, plan
		return rec
	case errors.Is(err, syscall.EROFS):
		rec.Cause, rec.Hint = "read-only-fs", "sudo mount -o remount,rw / there; if it is an overlay, raspi-config switches that off"
	case errors.Is(err, fs.ErrPermission): // and yet we are root, or its owner
		rec.Cause, rec.Hint = "immutable", "lsattr -d "+path+"; sudo chattr -i -a "+path
	case errors.Is(err, hostfs.ErrModesIgnored):
		rec.Cause, rec.Hint = "modes-unsupported", "keep the home on a file system such as ext4, or mount this one with options that give the modes"
	default:
		rec.Hint = "run it again"
	}
	rec.Detail = err.Error()
	return rec
}

// owner names the account for chown(1).
func (r *repairer) owner() string {
	if r.who.Name == "" {
		return strconv.Itoa(r.who.UID)
	}
	return hostfs.Quote(r.who.Name)
}

// hint is the way on where there is no repair to make unasked.
func (r *repairer) hint(f strictmodes.Finding) string {
	sudo := "sudo "
	if r.me.UID == 0 {
		sudo = ""
	}
	path := hostfs.Quote(f.Path)
	switch {
	case f.Cause == "home-missing":
		return sudo + "mkhomedir_helper " + r.owner()
	case f.Cause == "keys-not-a-file":
		return "mv " + path + " " + hostfs.Quote(f.Path+".aside") + ", and then pikeycopy"
	case f.Stat.Mode.IsRegular() && f.Stat.Nlink > 1:
		return fmt.Sprintf("cp -p %s %s && mv %[2]s %[1]s makes it a file of its own", path, hostfs.Quote(f.Path+".own"))
	case f.Stat == strictmodes.Stat{}:
		return sudo + "namei -l " + path + " shows which folder is closed"
	case f.Stat.Mode&fs.ModeSticky != 0 && strings.HasSuffix(f.Cause, "-writable"):
		return "move the file to a folder that only its owner can write, and link it from there"
	case strings.HasSuffix(f.Cause, "-writable"):
		return sudo + "chmod go-w " + path
	case f.Cause == "keys-unreadable" && f.Stat.Mode.IsDir() && f.Path != r.who.Home && strings.HasPrefix(r.who.Home, strings.TrimSuffix(f.Path, "/")+"/"):
		return sudo + "chmod o+x " + path
	case f.Cause == "key-mode":
		return sudo + "chmod go= " + path
	}
	return sudo + "chown " + r.owner() + " " + path
}
