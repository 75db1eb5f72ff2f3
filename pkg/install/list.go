package install

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
)

// list returns a record for each entry of the file, with sshd's view of it:
// live, live with options that restrict it, or passed by and why; several lines
// that are one broken entry have one record. again is as for Faults.
func list(ctx context.Context, engine Engine, again string) ([]record.Record, error) {
	path, data, err := engine.Read(ctx)
	if err != nil {
		return nil, err
	}
	faults := slices.DeleteFunc(authorizedkeys.Faults(data), func(f authorizedkeys.Fault) bool { return f.Cause == "entry-commented" })
	var records []record.Record
	broken := func(before int) {
		for len(faults) > 0 && faults[0].First < before {
			records = append(records, listed(path, faults[0], again))
			faults = faults[1:]
		}
	}
	told := 0 // the last line of the faults that have a record
	for _, e := range authorizedkeys.Entries(data) {
		if len(faults) > 0 && faults[0].First <= e.Line {
			told = faults[0].Last
		}
		if e.Dead == "" {
			broken(e.Line) // what is glued to a live entry comes behind it
		} else if broken(e.Line + 1); e.Line <= told {
			continue
		}
		place := fmt.Sprintf("%s line %d", path, e.Line)
		r := record.Record{Verdict: record.OK, Cause: "entry", Detail: place}
		if e.Key.Blob == nil {
			r.Subject = place
		} else {
			r.Subject = e.Key.Fingerprint()
			r.Detail = strings.TrimSpace(fmt.Sprintf("%s: %d %s %s", place, e.Key.Bits(), e.Key.Name(), e.Key.Comment))
		}
		switch {
		case e.Dead == "" && expired(e, time.Now()):
			r.Verdict, r.Cause, r.Detail = record.Fail, "entry-expired", place+": it has expired, "+options(e)
		case e.Dead != "":
			r.Verdict, r.Cause, r.Detail = record.Fail, "entry-dead", place+": sshd ignores it: "+e.Dead
		case len(e.Options) > 0:
			r.Cause = "entry-restricted"
			if !e.Restricts() {
				r.Cause = "entry"
			}
			r.Detail += ", with " + options(e)
		}
		records = append(records, r)
	}
	broken(math.MaxInt)
	if len(records) == 0 {
		records = []record.Record{{Verdict: record.OK, Cause: "key-absent", Subject: path, Detail: "no entries"}}
	}
	return records, nil
}

// listed is the record of a broken entry: of its key, if it is one.
func listed(path string, f authorizedkeys.Fault, again string) record.Record {
	place := path + " " + linesOf(f)
	r := record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: place, Detail: place + ": sshd ignores it: " + f.Why, Hint: remedy(f, again)}
	if len(f.Keys) == 1 {
		r.Subject = f.Keys[0].Fingerprint()
	}
	return r
}

// expired reports whether the time of an entry is over (sshd(8) expiry-time=).
// A time without Z or UTC is of the zone of the server; ours stands for it.
func expired(e authorizedkeys.Entry, now time.Time) bool {
	return slices.ContainsFunc(e.Options, func(o authorizedkeys.Option) bool {
		end, ok := identity.AbsoluteTime(o.Value, now.Location())
		return o.Name == "expiry-time" && ok && end.Before(now)
	})
}

// options writes an entry's options as the file has them, but for quoting.
func options(e authorizedkeys.Entry) string {
	var words []string
	for _, o := range e.Options {
		if o.Value != "" {
			words = append(words, o.Name+`="`+o.Value+`"`)
		} else {
			words = append(words, o.Name)
		}
	}
	return strings.Join(words, ",")
}
