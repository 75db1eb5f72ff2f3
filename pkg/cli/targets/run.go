package targets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/fleet"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
)

// Work is what a command does on one target. Its time is bounded: the context
// ends with session.ErrTooSlow.
type Work func(context.Context, *connect.Host) []record.Record

// Run works on every target, once, and emits the records that work returns for
// it. With --wait work is called again until the target is up. The records'
// Target and Seconds are filled in.
func (o *Options) Run(ctx context.Context, env *cli.Env, operands []Target, work Work) error {
	list, closeList, err := o.open(ctx, env)
	if err != nil {
		return err
	}
	defer closeList()
	if o.Passwords != "" {
		if o.Connect.Passwords, err = secret.ReadList(ctx, o.Passwords); err != nil {
			return fmt.Errorf("--passwords %w", err)
		}
	}
	connector, err := o.connector(env)
	if err != nil {
		return err
	}
	defer connector.Close()
	var sum tally
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := o.progress(env, len(operands), list)
	counted := p.counted(o.once(env, p, all(ctx, operands, list, &sum.readErr)))
	fleet.Run(counted, o.jobs(env), o.KeepOrder, func(line destination.Line) outcome {
		// A mistake of ours ends all of it, loudly, with status 2: what we know
		// is wrong. What is written of other targets stays, and so does echo.
		defer func() {
			if mistake := recover(); mistake != nil {
				cancel()
				secret.Settle()
				panic(mistake)
			}
		}()
		end := p.begin(line.Name())
		records := o.records(ctx, env, connector, line, work)
		end(records)
		return outcome{line, records}
	}, func(of outcome) {
		sum.count(of)
		o.emit(env, of.records)
		if !o.passes(of.line) {
			p.tell(of.line.Name(), of.records)
		}
	})
	p.end()
	return o.conclude(ctx, env, sum)
}

func (o *Options) emit(env *cli.Env, records []record.Record) {
	for _, r := range records {
		switch {
		case o.Emit != nil:
			o.Emit(r)
		case unbegun(r):
			env.List(r)
		default:
			env.Emit(r)
		}
	}
}

// conclude says what is to be said of the list as a whole.
func (o *Options) conclude(ctx context.Context, env *cli.Env, sum tally) error {
	if _, signal := errors.AsType[cli.SignalError](context.Cause(ctx)); signal && sum.left > 0 { // else the rest of the list was not read
		env.Errorf("", "targets that were not begun: %d", sum.left)
	}
	if hint := o.otherForm(env, sum.strange); 2*sum.invalid >= sum.lines && hint != "" {
		env.Hintf("%s", hint)
	}
	switch {
	case sum.readErr != nil:
		return fmt.Errorf("--hosts %s: %w", o.Hosts, sum.readErr)
	case sum.lines > 0:
		return nil
	case o.Hosts != "":
		// Not "nothing to do, all is well": what makes the list may have failed.
		return fmt.Errorf("--hosts %s: no target in the list", o.Hosts)
	}
	return cli.Usagef("no target given")
}

// An outcome is what came of a line of the list.
type outcome struct {
	line    destination.Line
	records []record.Record
}

// A tally is how many lines of the list there were so far, and of which kind.
type tally struct {
	lines   int
	left    int              // not begun when the command was interrupted
	invalid int              // no targets
	strange destination.Line // the first of these
	readErr error            // why the list could not be read to its end
}

func (t *tally) count(of outcome) {
	t.lines++
	if slices.ContainsFunc(of.records, unbegun) {
		t.left++
	}
	if of.line.Err != nil {
		if t.invalid++; t.invalid == 1 || of.line.Number < t.strange.Number {
			t.strange = of.line
		}
	}
}

// records does the work on a line of the list, and fills in of what target the
// records are.
func (o *Options) records(ctx context.Context, env *cli.Env, connector *connect.Connector, line destination.Line, work Work) []record.Record {
	if o.passes(line) {
		return []record.Record{*line.Record}
	}
	began := time.Now()
	records := o.one(ctx, env, connector, line, work)
	for i := range records {
		records[i].Target = line.Name()
		records[i].Seconds = time.Since(began).Seconds()
	}
	return records
}

// jobs is -j, or what the open files of a process allow: a target has two
// connections, one more through a jump host, and what getent(1) or a proxy
// command is asked by.
func (o *Options) jobs(env *cli.Env) int {
	const each, ours = 6, 32
	limit := openFiles()
	room := max(1, (limit-min(limit, ours))/each)
	if limit == 0 || uint64(o.Jobs) <= room {
		return o.Jobs
	}
	env.Notef("", "%d targets at once, not %d: ulimit -n is %d", room, o.Jobs, limit)
	return int(room)
}

// notBegun is said of a target that was not when the run was ended.
const notBegun = "not begun"

func unbegun(r record.Record) bool { return r.Cause == "interrupted" && r.Detail == notBegun }

func (o *Options) one(ctx context.Context, env *cli.Env, connector *connect.Connector, line destination.Line, work Work) []record.Record {
	if line.Err != nil {
		return []record.Record{{Verdict: record.Fail, Cause: "target-invalid",
			Subject: fmt.Sprintf("line %d", line.Number), Detail: line.Err.Error()}}
	}
	if err := context.Cause(ctx); err != nil {
		return []record.Record{{Verdict: record.Fail, Cause: "interrupted", Detail: notBegun}}
	}
	var host *connect.Host
	defer func() {
		if host != nil {
			host.Forget()
		}
	}()
	return o.patiently(ctx, env, line.Text, func() []record.Record {
		ctx, cancel := connector.Deadline(ctx)
		defer cancel()
		if host == nil {
			var err error
			if host, err = connector.Host(ctx, line.Text, line.Destination); err != nil {
				return []record.Record{diagnose.Config(ctx, err)}
			}
		}
		return work(ctx, host)
	})
}
