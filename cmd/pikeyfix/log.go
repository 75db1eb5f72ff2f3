package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/logfile"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/repair"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

// ownLog is the value of a --log that names no file: the log that the machine
// keeps itself.
const ownLog = "system"

// logFlags registers what is about the log.
func (m *mode) logFlags(fs *pflag.FlagSet) {
	fs.StringVar(&m.log, "log", "", "say why logins were refused, from the log in `file` (-: standard input) or the machine's own")
	fs.Lookup("log").NoOptDefVal = ownLog
	fs.BoolVar(&m.apply, "apply", false, "with --log, judge and repair the files of the accounts that it is about")
}

// logOperand gives --log the word after it, or after an --apply that follows it,
// which pflag takes for an operand, if that is a file: "-", what holds a slash and is
// no URI, or what is there. Anything else is a target, and so is what follows "--".
func logOperand(args []string) []string {
	for i, a := range args {
		switch {
		case a == "--":
			return args
		case a == "--log":
			next := i + 1
			if next < len(args) && args[next] == "--apply" {
				next++
			}
			if next < len(args) && isFile(args[next]) {
				return slices.Concat(args[:i], []string{"--log=" + args[next]}, args[i+1:next], args[next+1:])
			}
		}
	}
	return args
}

func isFile(word string) bool {
	switch {
	case word == "-":
		return true
	case strings.HasPrefix(word, "-"), strings.HasPrefix(word, "ssh://"):
		return false
	case strings.Contains(word, "/"):
		return true
	}
	info, err := os.Stat(word)
	return err == nil && !info.IsDir()
}

// checkLog judges which options go with those of the log.
func (m *mode) checkLog(fs *pflag.FlagSet, here bool) error {
	switch given := fs.Changed("log"); {
	case m.apply && !given:
		return cli.Usagef("--apply repairs what --log tells of; without --log, pikeyfix repairs what it finds")
	case !given:
	case m.log == "":
		return cli.Usagef("--log=FILE names the file; --log alone is the machine's own log")
	case m.log != ownLog && !here:
		return cli.Usagef("--log %s is judged here, without a target; --log alone reads the log of each target", record.Escape(m.log))
	case m.all || fs.Changed("user") || m.root != "":
		return cli.Usagef("-u, -a and --root exclude --log, which says itself whose files it is about")
	case !m.apply && (m.script || m.undo != "" || m.rewrite):
		return cli.Usagef("--log alone changes nothing: --sh, --undo and --rewrite take --apply")
	}
	return nil
}

// A logReport is what a log tells, and where it was read.
type logReport struct {
	*repair.Log
	from string
	torn error // why there may be more of it
	// files is the command that repairs the files of an account; "" for none.
	files func(user string) string
}

// records are those of the log and of the repairs, or of these alone if no log
// was asked for.
func (t *logReport) records(repaired []record.Record) []record.Record {
	if t == nil {
		return repaired
	}
	records := t.Records(t.from, repaired, time.Local, t.files)
	if t.torn != nil {
		records = append(records, record.Record{Verdict: record.Fail, Cause: "log-unreadable", Subject: t.from, Detail: record.Words(t.torn)})
	}
	return records
}

// trace says what became of the lines.
func (t *logReport) trace(env *cli.Env, target string) {
	s := t.Stats
	env.Tracef(1, target, "%s: %d lines, of which %d are understood, %d of SSH are not, and %d are of other programs",
		t.from, s.Lines, s.Known, s.Unknown, s.Foreign)
}

// hereLog tells of a log on this machine, and repairs what it is about if it
// shall.
func (m *mode) hereLog(ctx context.Context, env *cli.Env, job repair.Job) error {
	in, from, err := m.openLog(ctx, env)
	if err != nil {
		return err
	}
	t := &logReport{from: from, files: func(user string) string {
		command := "sudo pikeyfix -u " + sh.Quote(user)
		if m.log != ownLog { // it may be of another machine
			command = "there: " + command + "\nhint: or over SSH: pikeyfix " + sh.Quote(user) + "@HOST"
		}
		return command
	}}
	t.Log, err = repair.ReadLog(in)
	if own, ok := in.(*diagnose.Log); ok {
		err = errors.Join(err, own.Close())
	}
	if err != nil {
		err = fmt.Errorf("--log %s: %w", from, err)
	}
	t.trace(env, "")
	if err == nil && m.apply {
		m.report = t
		return m.here(ctx, env, job)
	}
	if err != nil && t.Stats.Lines == 0 {
		return err
	}
	for _, r := range t.records(nil) {
		if err == nil || r.Verdict.Bad() { // what is not read may tell of a refusal
			env.Emit(r)
		}
	}
	return err
}

// who returns whose files to repair here.
func (m *mode) who(ctx context.Context, env *cli.Env, machine hostfs.Machine) (iter.Seq[strictmodes.Account], error) {
	if m.report == nil {
		return repair.Who(ctx, machine, m.user, m.all)
	}
	ours, others, err := m.report.Accounts(ctx, machine)
	switch {
	case err != nil:
	case len(others) > 0:
		env.Notef("", "the log is about files of %s too, which only root can repair: run it with sudo", strings.Join(others, ", "))
	case len(ours) == 0:
		env.Notef("", "the log is about no files of an account here")
	}
	return slices.Values(ours), err
}

// openLog opens the log to read here.
func (m *mode) openLog(ctx context.Context, env *cli.Env) (text io.Reader, from string, err error) {
	switch m.log {
	case ownLog:
		l, err := diagnose.HereLog(ctx)
		if err != nil {
			return nil, "", fmt.Errorf("--log: %w", err)
		}
		noteLog(env, "", l)
		return l, strings.Join(l.From, ", "), nil
	case "-":
		from = "standard input"
		text, err = logfile.Text(ctx, env.Stdin)
	default:
		from = m.log
		text, err = logfile.Open(ctx, m.log)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, "", cli.WithHint(fmt.Errorf("reading %s: %w", from, err), "run it with sudo, or as a member of the group adm")
	case err != nil:
		return nil, "", fmt.Errorf("reading %s: %w", from, err)
	}
	return text, from, nil
}

// passBy reports whether a record of another command leaves nothing to do. What
// a log can tell the cause of is more than what a repair of files can cure.
func (m *mode) passBy(r record.Record) bool {
	if m.log != "" {
		return !r.Verdict.Bad()
	}
	return repair.PassBy(r)
}

// noteLog says which log is read, and which is not.
func noteLog(env *cli.Env, target string, l *diagnose.Log) {
	part := ""
	if l.Cut {
		part = "the end of "
	}
	env.Notef(target, "reading %s%s", part, strings.Join(l.From, ", "))
	if len(l.Closed) > 0 {
		env.Notef(target, "%v: those in the group adm or systemd-journal may", &diagnose.LogClosedError{Closed: l.Closed})
	}
}

// farLog tells of the log of a host. The record says why it cannot.
func farLog(ctx context.Context, env *cli.Env, host *connect.Host, client *session.Client) (*logReport, *record.Record) {
	l, err := diagnose.FarLog(ctx, client.Run, 0)
	t := &logReport{files: func(user string) string {
		if user != host.Config.User {
			return ""
		}
		return host.Again("pikeyfix")
	}}
	if err == nil {
		noteLog(env, host.Target, l)
		t.from = strings.Join(l.From, ", ")
		t.Log, err = repair.ReadLog(l)
		t.torn = l.Close()
	}
	closed := (*diagnose.LogClosedError)(nil)
	switch {
	case err == nil:
		t.trace(env, host.Target)
		return t, nil
	case errors.As(err, &closed):
		return nil, &record.Record{Verdict: record.Fail, Cause: "log-unreadable", Detail: err.Error(),
			Hint: "there: sudo gpasswd -a " + sh.Quote(host.Config.User) + " adm"}
	case errors.Is(err, diagnose.ErrNoLog):
		return nil, &record.Record{Verdict: record.Fail, Cause: "log-unreadable", Detail: err.Error()}
	}
	r := diagnose.Ended(ctx, "reading the log", err)
	return nil, &r
}
