// Package targets is what the three commands that work on targets share: their
// options, the loop over operands and host lists, and the records of it.
package targets

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/fleet"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sshconfig"
)

// Options are those of ssh, and of working on many targets.
type Options struct {
	Hosts     string
	Jobs      int
	KeepOrder bool
	Wait      time.Duration // how long a target may take to be up; 0: not at all
	Passwords string        // the file of --passwords; "" for none
	Connect   connect.Options
	// Pass reports of a record in the list whether there is nothing to do about
	// it here: it is then emitted as it came, so that the records that leave say
	// of every target what those that came did. nil passes none.
	Pass func(record.Record) bool
	// Emit takes the records; nil for the standard output of the command.
	Emit func(record.Record)

	flags *pflag.FlagSet
}

// elsewhere are letters of ssh(1).
var elsewhere = map[string]string{
	"4": "-o AddressFamily=inet",
	"6": "-o AddressFamily=inet6",
	"B": "-o BindInterface=NAME",
	"b": "-o BindAddress=ADDRESS",
	"G": "-v says what holds for a target; all of it: ssh -G TARGET",
}

// Elsewhere is Env.Elsewhere of a command with these options, and more.
func Elsewhere(more map[string]string) map[string]string {
	maps.Copy(more, elsewhere)
	return more
}

// Flags registers the options.
func (o *Options) Flags(fs *pflag.FlagSet) {
	o.flags = fs
	fs.Func("hosts", "read targets from `file`, one per line (-: standard input)", func(file string) error {
		switch {
		case file == "": // of an unset variable; without a list this machine would be meant
			return errors.New("it names no file")
		case o.Hosts != "":
			return errors.New("one list is read: cat both into --hosts -")
		}
		o.Hosts = file
		return nil
	})
	fs.StringVarP(&o.Connect.ConfigFile, "config", "F", "", "ssh_config `file`, instead of the user's and the system's")
	fs.StringVarP(&o.Connect.Jump, "jump", "J", "", "go through the jump host `destination`, or several separated by commas")
	fs.StringVarP(&o.Connect.User, "login", "l", "", "log in as `user` if the target names none")
	fs.IntVarP(&o.Connect.Port, "port", "p", 0, "connect to `port` if the target names none")
	fs.StringArrayVarP(&o.Connect.Options, "option", "o", nil, "`KEY=VALUE` of ssh_config(5)")
	fs.StringVar(&o.Connect.HostKey, "host-key", "", "trust exactly the host key with this `fingerprint` (SHA256:...)")
	fs.StringVar(&o.Connect.PasswordFile, "password-file", "", "first line of `file` is the password")
	fs.StringVar(&o.Passwords, "passwords", "", "each line of `file` is a target, a TAB and its password")
	fs.StringVar(&o.Connect.PassphraseFile, "passphrase-file", "", "first line of `file` is the passphrase of the private keys")
	fs.DurationVar(&o.Connect.Timeout, "timeout", 30*time.Second, "take at most this long for one target")
	fs.DurationVar(&o.Wait, "wait", 0, "wait up to this long for a target to be up, such as 5m for a first boot")
	fs.IntVarP(&o.Jobs, "jobs", "j", 256, "work on `n` targets at once")
	fs.BoolVar(&o.KeepOrder, "keep-order", false, "records in the order of the targets")
}

// A Target is one that can be worked on.
type Target struct {
	Text        string
	Destination destination.Destination
}

// Patterns are compiled when they are first asked for, here as elsewhere: a program
// starts sooner, and most runs need none.
var fingerprint = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`) })

// Check judges the options and operands before anything is done. What could
// be an option, or a pattern of known_hosts, is no target.
func (o *Options) Check(operands []string) ([]Target, error) {
	if err := cli.NotEmpty(o.flags, "config", "jump", "login", "host-key", "password-file", "passwords", "passphrase-file"); err != nil {
		return nil, err
	}
	for _, option := range o.Connect.Options {
		if err := sshconfig.CheckOption(option); err != nil {
			return nil, cli.Usagef("-o %s: %v", record.Escape(option), err)
		}
	}
	var list []Target
	for _, operand := range operands {
		d, err := destination.Parse(operand)
		if err != nil {
			if _, missing := os.Stat(operand); missing == nil {
				return nil, cli.WithHint(err, "there is a file of that name: a key goes after -i, a list of targets after --hosts")
			}
			return nil, cli.Usagef("%v", err)
		}
		list = append(list, Target{operand, d})
	}
	switch {
	case o.Jobs < 1:
		return nil, cli.Usagef("-j %d: at least 1", o.Jobs)
	case o.Connect.Timeout <= 0:
		return nil, cli.Usagef("--timeout %v: more than 0, such as 30s or 2m", o.Connect.Timeout)
	case o.Wait < 0:
		return nil, cli.Usagef("--wait %v: more than 0, such as 5m", o.Wait)
	case o.flags.Changed("port") && (o.Connect.Port < 1 || o.Connect.Port > 65535):
		return nil, cli.Usagef("-p %d: between 1 and 65535", o.Connect.Port)
	case o.Connect.HostKey != "" && !fingerprint().MatchString(o.Connect.HostKey):
		return nil, cli.Usagef("--host-key %s: not a fingerprint as ssh-keygen -l prints it, SHA256:...", o.Connect.HostKey)
	case o.Connect.HostKey != "" && (len(list) != 1 || o.Hosts != ""):
		return nil, cli.Usagef("--host-key trusts one key for one target: give exactly one")
	}
	if file := o.Connect.ConfigFile; file != "" && !strings.EqualFold(file, "none") {
		if err := canOpen(file); err != nil { // as ssh, which ends with 255 then: no target has a configuration
			return nil, fmt.Errorf("-F %w", err)
		}
	}
	for _, file := range []struct{ option, path string }{
		{"passwords", o.Passwords}, {"password-file", o.Connect.PasswordFile}, {"passphrase-file", o.Connect.PassphraseFile},
	} {
		if file.path == "" {
			continue
		}
		if err := secret.CheckFile(file.path); err != nil {
			return nil, fmt.Errorf("--%s %w", file.option, err)
		}
	}
	return list, nil
}

// canOpen returns why a file cannot be opened, without waiting for the other end of
// a pipe.
func canOpen(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}

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
	var readErr error
	var sum tally
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := o.progress(env, len(operands), list)
	counted := p.counted(o.once(env, p, all(ctx, operands, list, &readErr)))
	fleet.Run(counted, o.jobs(env), o.KeepOrder, func(line destination.Line) []outcome {
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
		return []outcome{{line, records}}
	}, func(of outcome) {
		sum.count(of)
		for _, r := range of.records {
			switch {
			case o.Emit != nil:
				o.Emit(r)
			case unbegun(r):
				env.List(r)
			default:
				env.Emit(r)
			}
		}
		if !o.passes(of.line) {
			p.tell(of.line.Name(), of.records)
		}
	})
	p.end()
	if _, signal := errors.AsType[cli.SignalError](context.Cause(ctx)); signal && sum.left > 0 { // else the rest of the list was not read
		env.Errorf("", "targets that were not begun: %d", sum.left)
	}
	if hint := o.otherForm(env, sum.strange); 2*sum.invalid >= sum.lines && hint != "" {
		env.Hintf("%s", hint)
	}
	if readErr != nil {
		return fmt.Errorf("--hosts %s: %w", o.Hosts, readErr)
	}
	switch {
	case sum.lines > 0:
		return nil
	case o.Hosts != "":
		// Not "nothing to do, all is well": what makes the list may have failed.
		return fmt.Errorf("--hosts %s: no target in the list", o.Hosts)
	}
	return cli.Usagef("no target given")
}

// otherForm is a hint for a list most of which is no list, by the first line that
// is no target; "" if there is none, or that is a record of ours.
func (o *Options) otherForm(env *cli.Env, line destination.Line) string {
	if line.Record != nil {
		return ""
	}
	text := line.Text
	form := destination.FormOf(text)
	file, again, way := hostfs.Quote(o.Hosts), " | "+env.Name+" --hosts -", ""
	if file == "-" {
		file = "FILE"
	}
	switch form {
	case destination.Table:
		way = "to use its first column: tr -d '\"' <" + file + " | cut -d, -f1" + again
		if !strings.Contains(text, ",") {
			way = strings.Replace(way, "-d,", "-d';'", 1)
		}
	case destination.Spreadsheet:
		way = "save the column of the targets as text"
	case destination.Inventory:
		way = "scripts/hosts-from makes a list of it: ansible-inventory -i " + file + " --list | hosts-from ansible" + again
		if strings.HasPrefix(text, "{") { // it has been listed
			way = "scripts/hosts-from makes a list of it: hosts-from ansible <" + file + again
		}
	case destination.Accounts:
		way = "targets are machines, and not the accounts of one"
	default:
		return ""
	}
	return fmt.Sprintf("a list has one target a line, [user@]host[:port]; this looks like %s: %s", form, way)
}

// progress tells of a run of several targets; nil, which tells nothing, for one.
func (o *Options) progress(env *cli.Env, operands int, list io.Reader) *progress {
	if env.Quiet || o.Hosts == "" && operands <= 1 {
		return nil
	}
	total := 0
	if n := targetsIn(list); n > 0 || list == nil {
		total = n + operands
	}
	if total == 1 {
		return nil
	}
	return newProgress(env, total)
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
	seconds := cli.Stopwatch()
	records := o.one(ctx, env, connector, line, work)
	for i := range records {
		records[i].Target = line.Name()
		records[i].Seconds = seconds()
	}
	return records
}

// Side calls do with what holds on this side for a host that nobody has
// configured.
func (o *Options) Side(ctx context.Context, env *cli.Env, do func(context.Context, *connect.Host) error) error {
	connector, err := o.connector(env)
	if err != nil {
		return err
	}
	defer connector.Close()
	ctx, cancel := connector.Deadline(ctx)
	defer cancel()
	// RFC 2606 section 2 keeps the name from ever being a host's.
	host, err := connector.Host(ctx, record.Local, destination.Destination{Host: "host.invalid"})
	if err != nil {
		return err
	}
	return do(ctx, host)
}

// Here does work about this machine, given what holds for a host that nobody
// has configured, and emits the records that it returns.
func (o *Options) Here(ctx context.Context, env *cli.Env, work func(ctx context.Context, host *connect.Host, home string) []record.Record) error {
	err := o.Side(ctx, env, func(ctx context.Context, host *connect.Host) error {
		for _, r := range work(ctx, host, o.Connect.Home) {
			env.Emit(r)
		}
		return nil
	})
	if err != nil {
		env.Emit(diagnose.Config(ctx, err))
	}
	return nil
}

func (o *Options) passes(line destination.Line) bool {
	return o.Pass != nil && line.Record != nil && o.Pass(*line.Record)
}

// once leaves out what names a target again, for which there is a note unless
// it is one of several records of the target. Records that are passed on, and
// lines that name none, are left in. Of the targets so far half a SHA-256 each is
// kept: of a list without end, the memory grows with the targets in it, but by
// thirty to forty bytes, and two texts that have the same are not to be met with.
func (o *Options) once(env *cli.Env, p *progress, lines iter.Seq[destination.Line]) iter.Seq[destination.Line] {
	noted := map[[16]byte]bool{} // by target: that it was named again has been said
	again := func(line destination.Line) bool {
		sum := sha256.Sum256([]byte(line.Text))
		target := [16]byte(sum[:])
		said, again := noted[target]
		noted[target] = said || again && line.Record == nil
		if noted[target] && !said {
			env.Notef(line.Text, "named more than once, taken once")
		}
		return again
	}
	return func(yield func(destination.Line) bool) {
		for line := range lines {
			if line.Err == nil && !o.passes(line) && again(line) {
				p.of(func(total int) int { return max(0, total-1) })
			} else if !yield(line) {
				return
			}
		}
	}
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

func (o *Options) connector(env *cli.Env) (*connect.Connector, error) {
	home, err := hostfs.Home(env.Getenv)
	if err != nil {
		return nil, err
	}
	o.Connect.Home, o.Connect.Getenv = home, env.Getenv
	o.Connect.Note, o.Connect.Trace, o.Connect.Hold = env.Notef, env.Tracef, env.Hold
	return connect.New(o.Connect), nil
}

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

func (o *Options) open(ctx context.Context, env *cli.Env) (io.Reader, func(), error) {
	switch o.Hosts {
	case "":
		return nil, func() {}, nil
	case "-":
		return env.Stdin, func() {}, nil
	}
	f, err := hostfs.Open(ctx, o.Hosts)
	if err != nil {
		return nil, nil, fmt.Errorf("--hosts %w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, nil, fmt.Errorf("--hosts %s: a directory, not a list", o.Hosts)
	}
	return f, func() { f.Close() }, nil
}
