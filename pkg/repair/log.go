package repair

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/cause"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshdlog"
	"pi-key-tools/pkg/strictmodes"
)

// A Log holds the reasons that a server's log gives for keeping somebody out.
//
// Anybody who can write a line of the log, of which a remote user name is part,
// may have made them up. So they are shown, escaped by the code that prints
// records, and otherwise only tell whose files to judge.
type Log struct {
	Stats    sshdlog.Stats
	refusals sshdlog.Counter
}

// ReadLog reads a log to its end, in bounded memory. An error comes with what
// was read before it.
func ReadLog(r io.Reader) (*Log, error) {
	l := new(Log)
	var err error
	l.Stats, err = l.refusals.AddLog(r, sshdlog.Refusal)
	return l, err
}

// Records returns a failure for each refusal, with repeated ones merged and
// times in loc; or one record, "ok log", if there is none. Target is left
// empty. If refusals of a cause had to be left out because too many differ, one
// further record says how many.
//
// repaired are the records of what was repaired since, if anything. They come
// last, and what they cure is reported only there. files returns the command
// that judges and repairs the files of an account, or "".
func (l *Log) Records(from string, repaired []record.Record, loc *time.Location, files func(user string) string) []record.Record {
	repaired = unique(repaired)
	var records []record.Record
	all := slices.Clone(l.refusals.All())
	// ssh says last that it was refused, whatever it has said of the reason.
	if told := func(c sshdlog.Count) bool { return c.Client && c.Cause != "key-refused" }; slices.ContainsFunc(all, told) {
		all = slices.DeleteFunc(all, func(c sshdlog.Count) bool { return c.Client && c.Cause == "key-refused" })
	}
	for _, c := range all {
		told := repeats(c, all)
		for i, r := range repaired {
			if cures(r, c.Event) {
				repaired[i].Detail += "; logged " + detail(c, loc)
				told = true
			}
		}
		if !told {
			records = append(records, record.Record{Verdict: record.Fail, Cause: c.Cause, Subject: cmp.Or(c.Place(), c.Key, c.User, c.Addr), Detail: detail(c, loc), Hint: hint(c.Event, files)})
		}
	}
	left := l.refusals.LeftOut()
	for _, cause := range slices.Sorted(maps.Keys(left)) {
		records = append(records, record.Record{Verdict: record.Fail, Cause: cause,
			Detail: fmt.Sprintf("%d more, which differ in the user, the file or the key, are not listed", left[cause])})
	}
	if len(all) == 0 {
		records = append(records, l.silence(from))
	}
	return append(records, repaired...)
}

// unique returns the records without those that are there before: a line of
// sshd_config may keep several accounts out.
func unique(records []record.Record) (all []record.Record) {
	for _, r := range records {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// silence is the record of a log that tells of no refusal, unless that may be for
// not being understood.
func (l *Log) silence(from string) record.Record {
	s := l.Stats
	r := record.Record{Verdict: record.OK, Cause: "log", Subject: from}
	switch {
	case s.Known > 0:
		r.Detail = fmt.Sprintf("no refusal in %d lines of SSH; servers do not log every refusal", s.Known+s.Unknown)
	case s.Unknown > 0:
		r.Verdict, r.Cause = record.Fail, "log-unreadable"
		r.Detail = fmt.Sprintf("no line of its %d is understood", s.Lines)
		r.Hint = "what sshd or dropbear has logged, or ssh -v has said, is needed as text: there, journalctl -u ssh shows it"
	case s.Lines == 0:
		r.Detail = "it is empty"
	default:
		r.Detail = fmt.Sprintf("no line of its %d is of an SSH server; servers do not log every refusal", s.Lines)
	}
	return r
}

// Accounts returns the accounts whose files to judge, on this machine or a
// card: of those that somebody can log in to, the ones named by a refusal that
// a file can cause, or whose home has a file that it names. Except for root,
// ours is at most our own account, and others has the names of the rest.
func (l *Log) Accounts(ctx context.Context, machine hostfs.Machine) (ours []strictmodes.Account, others []string, err error) {
	me, err := machine.Account(ctx)
	if err != nil {
		return nil, nil, err
	}
	all, err := machine.Accounts(ctx)
	if err != nil {
		return nil, nil, err
	}
	list := slices.Collect(all)
	// Our home is where $HOME says, but sudo may keep that of another.
	if i := slices.IndexFunc(list, func(who strictmodes.Account) bool { return who.Name == me.Name }); i < 0 {
		list = append(list, me)
	} else if !slices.ContainsFunc(list, func(who strictmodes.Account) bool { return who.UID != me.UID && who.Home == me.Home }) {
		list[i] = me
	}
	for _, who := range list {
		switch {
		case !l.Concerns(who):
		case me.UID == 0 || who.UID == me.UID:
			ours = append(ours, who)
		default:
			others = append(others, who.Name)
		}
	}
	return ours, others, nil
}

// Concerns reports whether a refusal that a file can cause names the account,
// or a file in its home.
func (l *Log) Concerns(who strictmodes.Account) bool {
	return slices.ContainsFunc(l.refusals.All(), func(c sshdlog.Count) bool {
		if c.Path == "" && (c.Client || !slices.Contains(curable, c.Cause)) {
			return false // whoever tries a name from afar makes such a line; ssh's is of another machine
		}
		return c.User == who.Name || who.Home != "/" && (c.Path == who.Home || strings.HasPrefix(c.Path, who.Home+"/"))
	})
}

// repeats reports whether a refusal is one of the others told once more. At its
// level VERBOSE, sshd says of each key last that it was refused. Without PAM,
// sshd says of an account that has expired that it is locked too (platform.c
// platform_locked_account()); and where a log does not say who writes it, the
// mode of a host key looks like that of a key of ssh's.
func repeats(c sshdlog.Count, all []sshdlog.Count) bool {
	switch c.Cause {
	case "key-refused": // for which there is a reason
		return slices.ContainsFunc(all, func(o sshdlog.Count) bool {
			return explains(o, c.User) && o.Times >= c.Times || o.Cause == "root-refused" && c.User == "root"
		})
	case "entry-refused": // after which line it was
		return slices.ContainsFunc(all, func(o sshdlog.Count) bool {
			return (o.Cause == "entry-from" || o.Cause == "entry-expired") && o.Times >= c.Times &&
				(c.Path == "" && (o.User == c.User || c.User == "") || c.Place() == o.Place())
		})
	case "config-bad", "server-config-bad": // the sum of the lines that are bad
		return c.Line == 0 && slices.ContainsFunc(all, func(o sshdlog.Count) bool { return o.Cause == c.Cause && o.Path == c.Path && o.Line > 0 })
	case "account-locked":
		return slices.ContainsFunc(all, func(o sshdlog.Count) bool {
			return o.Cause == "account-expired" && o.User == c.User && o.Times >= c.Times
		})
	case "key-mode":
		return slices.ContainsFunc(all, func(o sshdlog.Count) bool { return o.Cause == "host-key-unusable" && o.Path == c.Path })
	}
	return false
}

// explains reports whether a refusal may be why keys of a user were refused. A line
// that does not say whose connection it is of may be of any, but those about the
// server itself are of none; and what comes before a user is known has an address.
func explains(c sshdlog.Count, user string) bool {
	switch c.Cause {
	case "key-refused", "host-key-unusable", "connection-refused":
		return false
	}
	return c.User == user || c.User == "" && c.Addr == ""
}

// cures reports whether a record is of a repair that cures what an event tells.
func cures(r record.Record, e sshdlog.Event) bool {
	return (r.Verdict == record.Done || r.Verdict == record.Todo) && e.Path != "" && e.Path == r.Subject && e.Line == 0
}

// commands are what to run on the server for USER, who was refused for a cause.
// The line that tells of it may be a lie, or of an account that is not meant to
// log in, and a stranger has tried it: so they look, ask, or do what USER needs
// to log in and say that it is that; none loses anything but a password that is
// locked, by which nobody logs in.
var commands = map[string]string{
	"account-locked":   "if USER is to log in, there: sudo passwd -S USER | grep ' L ' && sudo usermod -p '*' USER",
	"account-expired":  "if USER is to log in, there: sudo chage -E -1 USER",
	"password-expired": "log in with ssh on a terminal and change it; or there: sudo passwd USER",
	"shell-missing":    "if USER is to log in, there: sudo chsh -s /bin/sh USER",
	"user-not-allowed": diagnose.Effective("USER", "allowusers", "denyusers", "allowgroups", "denygroups"),
	"more-needed":      diagnose.Effective("USER", "authenticationmethods"),
	"key-type-refused": "make another key: pikeygen -t ed25519 -f FILE; what is set, " + diagnose.Effective("USER", "pubkeyacceptedalgorithms", "requiredrsasize"),
}

// accountName is what useradd(8) lets be one, so that no shell reads more in it.
var accountName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`) })

// hint is the cure of a refusal, as a command where the log of a server names the
// account.
func hint(e sshdlog.Event, files func(user string) string) string {
	if e.Cut || !accountName().MatchString(e.User) || e.Client {
		return phrase(e.Cure)
	}
	cure := e.Cure
	if entry, _ := cause.Lookup(e.Cause); cure == entry.Cure {
		cure = commands[e.Cause]
		if files != nil && slices.Contains(curable, e.Cause) {
			cure = files(e.User)
		}
	}
	return phrase(strings.ReplaceAll(cmp.Or(cure, e.Cure), "USER", e.User))
}

// phrase returns a sentence of pi-key-causes(7) as messages are written.
func phrase(sentence string) string {
	s := strings.TrimSuffix(sentence, ".")
	if len(s) > 1 && (s[1] < 'A' || s[1] > 'Z') { // no abbreviation
		s = strings.ToLower(s[:1]) + s[1:]
	}
	return s
}

// detail says how often, when and by whom, and then what the log says.
func detail(c sshdlog.Count, loc *time.Location) string {
	var about []string
	add := func(s string) {
		if s != "" {
			about = append(about, s)
		}
	}
	when := shorten(clock(c.Last, loc), 60)
	if c.Times > 1 {
		add(strconv.Itoa(c.Times) + " times")
		if when != "" {
			when = "last " + when
		}
	}
	add(when)
	who := ""
	if c.User != "" {
		who = "user " + shorten(c.User, 60)
	}
	if c.Addr != "" {
		who += " from " + shorten(c.Addr, 60)
	}
	add(strings.TrimPrefix(who, " "))
	said := shorten(c.Message, 300)
	if len(about) == 0 {
		return said
	}
	return strings.Join(about, ", ") + ": " + said
}

// clock returns a time of the log as syslogd writes it, where the journal counts
// microseconds, and otherwise as it stands.
func clock(s string, loc *time.Location) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.UnixMicro(n).In(loc).Format(time.Stamp)
	}
	return s
}

func shorten(s string, most int) string {
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
