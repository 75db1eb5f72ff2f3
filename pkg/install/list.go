package install

import (
	"context"
	"fmt"
	"strings"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/record"
)

// List returns a record for each entry of the file, with sshd's view of it:
// live, live with options that restrict it, or passed by and why.
func List(ctx context.Context, engine Engine) ([]record.Record, error) {
	path, data, err := engine.Read(ctx)
	if err != nil {
		return nil, err
	}
	var records []record.Record
	for _, e := range authorizedkeys.Entries(data) {
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
			r.Verdict, r.Cause, r.Detail = record.Fail, "entry-expired", place+": its time is over, "+options(e)
		case e.Dead != "":
			r.Verdict, r.Cause, r.Detail = record.Fail, "entry-dead", place+": sshd passes it by: "+e.Dead
		case len(e.Options) > 0:
			r.Cause = "entry-restricted"
			if !e.Restricts() {
				r.Cause = "entry"
			}
			r.Detail += ", with " + options(e)
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		records = []record.Record{{Verdict: record.OK, Cause: "key-absent", Subject: path, Detail: "no entries"}}
	}
	return records, nil
}

// expired reports whether the time of an entry is over (sshd(8) expiry-time=).
// A time without Z is of the zone of the server; ours stands for it.
func expired(e authorizedkeys.Entry, now time.Time) bool {
	for _, o := range e.Options {
		if o.Name != "expiry-time" {
			continue
		}
		value, zone := o.Value, now.Location()
		if utc, ok := strings.CutSuffix(value, "Z"); ok {
			value, zone = utc, time.UTC
		}
		const layout = "20060102150405"
		if len(value) > len(layout) {
			return false
		}
		if end, err := time.ParseInLocation(layout[:len(value)], value, zone); err == nil && end.Before(now) {
			return true
		}
	}
	return false
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
