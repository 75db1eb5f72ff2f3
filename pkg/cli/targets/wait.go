package targets

import (
	"context"
	"math/rand/v2"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/record"
)

// notUp are the causes that a Pi goes through in its first boot, and how long
// to leave it in peace at least after one. Where it answered and let nobody in,
// a try counts as a failed login: sshd shuts an address out for such that come
// faster (sshd_config(5) PerSourcePenalties, 5 s for each).
var notUp = map[string]time.Duration{
	"name-unknown":       time.Second,
	"host-unreachable":   time.Second,
	"timeout":            time.Second,
	"connection-refused": time.Second,
	"connection-dropped": 5 * time.Second,
	"booting":            10 * time.Second,
	"no-user-yet":        10 * time.Second,
}

// longestPause is between two tries, however long it takes.
const longestPause = 15 * time.Second

// patiently does the work until it comes out as something else than that the
// target is not up yet, or --wait is over, and says what is waited for.
func (o *Options) patiently(ctx context.Context, env *cli.Env, target string, work func() []record.Record) []record.Record {
	start := time.Now()
	end := start.Add(o.Wait)
	before := ""
	for pause := time.Second; ; pause = min(2*pause, longestPause) {
		records := work()
		if len(records) != 1 || ctx.Err() != nil {
			return records
		}
		least, waiting := notUp[records[0].Cause]
		if !waiting || o.Wait == 0 {
			return records
		}
		if records[0].Cause != before {
			before, pause = records[0].Cause, time.Second
			env.Notef(target, "waiting up to %v: %s: %s", time.Until(end).Round(time.Second), before, records[0].Detail)
		}
		left := time.Until(end)
		if left < least {
			records[0].Detail += ", after waiting " + time.Since(start).Round(time.Second).String()
			return records
		}
		// Not all at once, where a list of them waits.
		next := max(pause, least)
		next = min(next+rand.N(next/4), left)
		select {
		case <-time.After(next):
		case <-ctx.Done():
			return []record.Record{{Verdict: record.Fail, Cause: "interrupted", Detail: "it was waiting: " + before}}
		}
	}
}
