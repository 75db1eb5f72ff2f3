package repair

import (
	"context"
	"iter"
	"runtime"

	"pi-key-tools/pkg/fleet"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// share is how many accounts a goroutine is given at a time: enough to make the
// giving cheap, few enough for the first records to come soon and for what waits
// for its turn to stay small.
const share = 50

// look has all processors look at accounts, since a dry run changes nothing. What
// it says and yields comes in the order of the accounts all the same.
func (j *Job) look(ctx context.Context, machine hostfs.FS, accounts iter.Seq[strictmodes.Account],
	account func(*Job, hostfs.FS, strictmodes.Account) []record.Record, yield func(record.Record) bool) {
	end := make(chan struct{}) // closed when nobody listens any more
	told := make(chan telling)
	borrow, over := hostfs.Steadies(machine)
	go func() {
		defer close(told)
		defer over()
		fleet.Run(fleet.Batches(accounts, share), 2*runtime.GOMAXPROCS(0), true, func(some []strictmodes.Account) []telling {
			fsys, back := borrow()
			defer back()
			var list []telling
			for _, who := range some {
				select {
				case <-end:
					return nil
				default:
					list = append(list, j.overhear(func(j *Job) []record.Record { return account(j, fsys, who) }))
				}
			}
			return list
		}, func(list []telling) {
			for _, t := range list {
				told <- t
			}
		})
	}()
	defer func() { // the caller may close the machine next
		close(end)
		for range told {
		}
	}()
	for t := range told {
		for _, say := range t.said {
			say()
		}
		for _, r := range t.records {
			if !yield(r) {
				return
			}
		}
		if context.Cause(ctx) != nil {
			return
		}
	}
}

// A telling is what there is to say of an account, and its records.
type telling struct {
	said    []func()
	records []record.Record
}

// overhear keeps what work says until it is its turn.
func (j *Job) overhear(work func(*Job) []record.Record) (t telling) {
	quiet := *j
	if j.Trace != nil {
		quiet.Trace = func(format string, args ...any) {
			t.said = append(t.said, func() { j.Trace(format, args...) })
		}
	}
	if j.Plan != nil {
		quiet.Plan = func(about string, steps []Step) {
			t.said = append(t.said, func() { j.Plan(about, steps) })
		}
	}
	t.records = work(&quiet)
	return t
}
