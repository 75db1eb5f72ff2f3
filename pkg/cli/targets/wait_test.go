package targets

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/record"
)

// A target is tried until it is up, no faster than its server takes without
// offence, and no longer than asked for.
func TestPatiently(t *testing.T) {
	fail := func(cause string) []record.Record { return []record.Record{{Verdict: record.Fail, Cause: cause}} }
	ok := []record.Record{{Verdict: record.OK, Cause: "login"}}
	boot := func(cause string, after time.Duration, then func(time.Duration) []record.Record) func(time.Duration) []record.Record {
		return func(d time.Duration) []record.Record {
			if d < after {
				return fail(cause)
			}
			return then(d)
		}
	}
	up := func(time.Duration) []record.Record { return ok }
	firstBoot := boot("name-unknown", 20*time.Second, boot("connection-refused", 90*time.Second,
		boot("booting", 120*time.Second, boot("no-user-yet", 160*time.Second, up))))
	for _, c := range []struct {
		name   string
		wait   time.Duration
		work   func(time.Duration) []record.Record
		cause  string
		atMost time.Duration
		tries  int // at most
		notes  int
	}{
		{"not asked for", 0, firstBoot, "name-unknown", 0, 1, 0},
		{"a first boot", 5 * time.Minute, firstBoot, "login", 3 * time.Minute, 30, 4},
		{"too short", 30 * time.Second, firstBoot, "connection-refused", 30 * time.Second, 12, 2},
		{"up already", time.Minute, up, "login", 0, 1, 0},
		{"another fault", time.Minute, func(time.Duration) []record.Record { return fail("key-refused") }, "key-refused", 0, 1, 0},
		{"shut out", time.Minute, func(time.Duration) []record.Record { return fail("penalised") }, "penalised", 0, 1, 0},
		{"half done", time.Minute, func(time.Duration) []record.Record { return append(ok, fail("connection-dropped")...) }, "login", 0, 1, 0},
		{"booting for ever", 10 * time.Minute, func(time.Duration) []record.Record { return fail("booting") }, "booting", 10 * time.Minute, 61, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stderr bytes.Buffer
				start, tries := time.Now(), 0
				var last time.Duration
				o := Options{Wait: c.wait}
				records := o.patiently(t.Context(), &cli.Env{Name: "pikeycheck", Stderr: &stderr}, "pi", func() []record.Record {
					at := time.Since(start)
					r := c.work(at)
					if tries > 0 && strings.HasPrefix(r[0].Cause, "boot") && at-last < time.Second {
						t.Errorf("tried again after %v", at-last)
					}
					last, tries = at, tries+1
					return r
				})
				if records[0].Cause != c.cause || time.Since(start) > c.atMost || tries > c.tries {
					t.Errorf("%v after %v and %d tries", records, time.Since(start), tries)
				}
				_, waited, told := strings.Cut(records[0].Detail, ", after waiting ")
				if is := time.Since(start).Round(time.Second); told && waited != is.String() || !told && c.cause != "login" && is > 0 {
					t.Errorf("%q after %v", records[0].Detail, is)
				}
				if n := strings.Count(stderr.String(), "waiting up to"); n != c.notes {
					t.Errorf("%d notes, want %d:\n%s", n, c.notes, &stderr)
				}
			})
		})
	}
}

// What ends the run ends the waiting.
func TestPatientlyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { cancel(errors.New("enough")) })
		start := time.Now()
		o := Options{Wait: time.Hour}
		records := o.patiently(ctx, &cli.Env{Stderr: &bytes.Buffer{}}, "pi", func() []record.Record {
			return []record.Record{{Verdict: record.Fail, Cause: "connection-refused"}}
		})
		if len(records) != 1 || records[0].Cause != "interrupted" || time.Since(start) != 10*time.Second {
			t.Errorf("%v after %v", records, time.Since(start))
		}
	})
}
