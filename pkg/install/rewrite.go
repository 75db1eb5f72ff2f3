package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/record"
)

// Faults returns a record for each piece of the file that was plainly meant to
// let a key in and does not (see authorizedkeys.Faults), or for why the file
// could not be read. Nothing is changed. There is no record for a fault that
// keeps nobody out because the key has another live line; keys that are
// commented out while no other is live are not a failure. again is the command
// that has Rewrite called for the file, for the hints.
func Faults(ctx context.Context, engine Engine, again string) []record.Record {
	return orFailure(faultsIn(ctx, engine, again))
}

func faultsIn(ctx context.Context, engine Engine, again string) ([]record.Record, error) {
	path, data, err := engine.Read(ctx)
	if err != nil {
		return nil, err
	}
	return shown(path, authorizedkeys.Faults(data), again), nil
}

// Rewrite cures the faults of the file that can be cured without guessing, in
// place and in one change, and keeps a copy of the old file. The other faults
// get the records that Faults returns. Without faults there are no records, and
// nothing is written.
func Rewrite(ctx context.Context, engine Engine, dryRun bool) []record.Record {
	return orFailure(settled(ctx, func() ([]record.Record, error) { return rewrite(ctx, engine, dryRun) }))
}

func rewrite(ctx context.Context, engine Engine, dryRun bool) ([]record.Record, error) {
	path, data, err := engine.Read(ctx)
	if err != nil {
		return nil, err
	}
	faults := authorizedkeys.Faults(data)
	lines := strings.Split(string(data), "\n")
	change := Change{With: map[int][]string{}, Backup: true}
	var cured []record.Record
	for _, f := range faults {
		if f.Cure == nil {
			continue
		}
		for n := f.First; n <= f.Last; n++ {
			change.Drop = append(change.Drop, Numbered{n, lines[n-1]})
		}
		change.With[f.First] = f.Cure
		r := record.Record{Verdict: record.Todo, Cause: f.Cause, Subject: at(path, f), Detail: f.Why + describeCure(f)}
		if !dryRun {
			r.Verdict = record.Done
		}
		cured = append(cured, r)
	}
	if len(cured) > 0 && !dryRun {
		a, err := engine.Edit(ctx, change)
		if err != nil {
			return nil, err
		}
		for i := range cured {
			cured[i].Detail += "; the old file is " + a.Backup
			mayBeUndone(&cured[i], a.Unsynced)
		}
	}
	stay := slices.DeleteFunc(faults, func(f authorizedkeys.Fault) bool { return f.Cure != nil })
	return append(cured, shown(path, stay, "")...), nil
}

// shown are the records of faults that stay.
func shown(path string, faults []authorizedkeys.Fault, again string) []record.Record {
	var records []record.Record
	for _, f := range faults {
		if f.Spare {
			continue
		}
		r := record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: at(path, f), Detail: f.Why + keysOf(f), Hint: remedy(f, again)}
		if f.Cause == "entry-commented" {
			r.Verdict = record.OK // it may be meant so
		}
		records = append(records, r)
	}
	return records
}

// at is the place of a fault as compilers write it.
func at(path string, f authorizedkeys.Fault) string { return fmt.Sprintf("%s:%d", path, f.First) }

func linesOf(f authorizedkeys.Fault) string {
	if f.First == f.Last {
		return fmt.Sprintf("line %d", f.First)
	}
	return fmt.Sprintf("lines %d to %d", f.First, f.Last)
}

// describeCure says what a cure makes of a fault.
func describeCure(f authorizedkeys.Fault) string {
	switch n := len(f.Cure); {
	case n == 0:
		return ": " + linesOf(f) + " taken out"
	case n == 1:
		return keysOf(f)
	default:
		return fmt.Sprintf(": made %d lines of it", n) + keysOf(f)
	}
}

func keysOf(f authorizedkeys.Fault) string {
	var prints []string
	for _, key := range f.Keys {
		prints = append(prints, key.Fingerprint())
	}
	switch {
	case len(prints) == 0:
		return ""
	case len(prints) > 3:
		return fmt.Sprintf(": %s and %d more", strings.Join(prints[:3], ", "), len(prints)-3)
	}
	return ": " + strings.Join(prints, ", ")
}

// remedy is the way on from a fault; again is as for Faults.
func remedy(f authorizedkeys.Fault, again string) string {
	if f.Cure != nil {
		return "rewrite it: " + again
	}
	switch f.Cause {
	case "entry-private-key":
		return "remove it there, and make a new key pair: this one is no longer secret"
	case "entry-truncated":
		return "add the key again from its .pub file with pikeycopy, and remove the line"
	case "entry-options-bad":
		return "correct what precedes the key there: sshd(8), AUTHORIZED_KEYS FILE FORMAT"
	case "entry-glued":
		return "put each key on a line of its own, with the options that it should have"
	case "entry-commented":
		return "remove the # there if the key should log in"
	}
	return "correct it there in an editor, or add the key again with pikeycopy and remove it"
}
