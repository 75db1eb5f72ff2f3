package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/install"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/repair"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/strictmodes"
)

const synopsis = `pikeyfix [-n [--sh]] [-u user | -a] [--server kind] [--undo file]
pikeyfix [-n [--sh]] [--server kind] [--undo file] [options] target ...
pikeyfix [-n [--sh]] --root dir -u user | -a [--server kind] [--undo file]`

// A mode is whose files are to be repaired, and how.
type mode struct {
	user, root, undo string
	all, script      bool
	rewrite          bool
	server           strictmodes.Server
	known            bool // server is
}

func run(ctx context.Context, env *cli.Env) error {
	var opt targets.Options
	var job repair.Job
	var m mode
	fs := env.Flags(synopsis)
	fs.BoolVarP(&job.DryRun, "dry-run", "n", false, "change nothing; say what would be changed")
	fs.BoolVar(&m.script, "sh", false, "with -n, print the changes as a POSIX shell script, not as records")
	fs.StringVarP(&m.user, "user", "u", "", "repair the files of `user`")
	fs.BoolVarP(&m.all, "all", "a", false, "repair the files of everybody who has keys")
	fs.StringVar(&m.root, "root", "", "work on the root file system mounted at `dir`, without a network")
	fs.StringVar(&m.undo, "undo", "", "write a shell script to the new `file` that undoes what is done")
	fs.BoolVar(&m.rewrite, "rewrite", false, "cure lines of authorized_keys too, where that takes no guessing; the old file is kept")
	kind := fs.String("server", "", "judge as this `kind` of server does: openssh, debian, dropbear or all (default: found out)")
	opt.Flags(fs)
	operands, err := env.Parse(fs)
	if err != nil {
		return err
	}
	list, err := opt.Check(operands)
	if err != nil {
		return err
	}
	if m.server, m.known, err = strictmodes.ParseServer(*kind); err != nil {
		return cli.Usagef("--server: %v", err)
	}
	if err := m.check(fs, &job, list, opt.Hosts); err != nil {
		return err
	}
	if len(list) == 0 && opt.Hosts == "" {
		return m.here(ctx, env, job)
	}
	return m.there(ctx, env, &opt, list, job)
}

// check judges which options go together.
func (m *mode) check(fs *pflag.FlagSet, job *repair.Job, list []targets.Target, hosts string) error {
	here := len(list) == 0 && hosts == ""
	switch {
	case m.all && fs.Changed("user"):
		return cli.Usagef("-a and -u USER exclude each other")
	case !here && (m.all || fs.Changed("user") || m.root != ""):
		return cli.Usagef("-u, -a and --root are for this machine: log in to a target as the user that is meant")
	case m.root != "" && !m.all && m.user == "":
		return cli.Usagef("--root DIR takes -u USER or -a")
	case m.script && !job.DryRun:
		return cli.Usagef("--sh prints what would be done, and needs -n")
	case m.script && m.rewrite:
		return cli.Usagef("--sh is a script for owners, modes and names, and not for --rewrite")
	case m.undo != "" && job.DryRun:
		return cli.Usagef("-n changes nothing, so that there is nothing for --undo")
	case (m.script || m.undo != "") && !here && (len(list) != 1 || hosts != ""):
		return cli.Usagef("--sh and --undo are for one target: its paths are not those of another")
	}
	return nil
}

// begin opens what the steps are written to, and returns where records go.
func (m *mode) begin(env *cli.Env, job *repair.Job, target string) (emit func(record.Record), end func() error, err error) {
	if m.script {
		script := repair.Script{Root: job.Root}
		env.Print([]byte(script.Head("Repairs " + whereOf(target) + ", as found by pikeyfix. " + howTo(target, "FILE"))))
		job.Plan = func(about string, steps []repair.Step) { env.Print([]byte(script.Lines(about, steps))) }
		return env.Tell, func() error { env.Print([]byte(script.Tail())); return nil }, nil
	}
	if m.undo != "" {
		if job.Undo, err = repair.NewUndo(m.undo, job.Root, "Undoes what pikeyfix did on "+whereOf(target)+". "+howTo(target, m.undo)); err != nil {
			return nil, nil, fmt.Errorf("--undo: %w", err)
		}
		return env.Emit, job.Undo.Close, nil
	}
	return env.Emit, func() error { return nil }, nil
}

func whereOf(target string) string {
	if target == "" {
		return "this machine"
	}
	return target
}

func howTo(target, file string) string {
	if target == "" {
		return "Run it as the same user: sh " + hostfs.Quote(file)
	}
	return "Run it as the same user there: ssh " + hostfs.Quote(target) + " sh <" + hostfs.Quote(file)
}

// here works on this machine or on a card.
func (m *mode) here(ctx context.Context, env *cli.Env, job repair.Job) (err error) {
	job.Trace = func(format string, args ...any) { env.Tracef(1, "", format, args...) }
	machine, client := hostfs.Local(), repair.ClientHere(ctx)
	if m.root != "" {
		var end func()
		if machine, job.Root, end, err = repair.OpenCard(m.root); err != nil {
			return err
		}
		defer end()
		client = diagnose.ServerOn(ctx, machine)
	}
	switch {
	case m.known:
	case m.root != "":
		m.server = client
	default:
		m.server = repair.ServerHere(ctx)
	}
	env.Tracef(1, "", "judging as %s does", m.server)
	accounts, err := repair.Who(ctx, machine, m.user, m.all)
	if errors.Is(err, repair.ErrNotRoot) {
		return cli.Usagef("%v", err)
	}
	if err != nil {
		return err
	}
	emit, end, err := m.begin(env, &job, "")
	if err != nil {
		return err
	}
	root := m.root
	if root == "" {
		root = "/"
	}
	job.Content = func(ctx context.Context, who strictmodes.Account, file string) []record.Record {
		engine, err := install.Root(root, who.Name, file)
		if err != nil {
			return []record.Record{{Verdict: record.Fail, Cause: "keys-unreadable", Subject: file, Detail: err.Error()}}
		}
		return m.lines(ctx, engine, job.DryRun)
	}
	for r := range job.Accounts(ctx, machine, accounts, m.all, m.server, client) {
		r.Target = m.root
		emit(r)
	}
	return end()
}

// there works on targets.
func (m *mode) there(ctx context.Context, env *cli.Env, opt *targets.Options, list []targets.Target, job repair.Job) error {
	target := ""
	if len(list) == 1 {
		target = list[0].Text
	}
	emit, end, err := m.begin(env, &job, target)
	if err != nil {
		return err
	}
	opt.Pass, opt.Emit = repair.PassBy, emit
	err = opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record {
		keys := host.Keys(ctx)
		client, rep, failed := diagnose.Enter(ctx, host, keys, keys.Offers())
		if failed != nil {
			return []record.Record{*failed}
		}
		defer client.Close()
		server := m.server
		if !m.known {
			server = strictmodes.ServerOf(rep.ServerVersion)
		}
		job := job
		job.Trace = func(format string, args ...any) { env.Tracef(1, host.Target, format, args...) }
		fsys, content, end, err := reach(ctx, client, host, rep.ServerVersion)
		if err != nil {
			return []record.Record{diagnose.Ended(ctx, "looking for a way to the files", err)}
		}
		defer end()
		job.Content = func(ctx context.Context, _ strictmodes.Account, file string) []record.Record {
			records := m.lines(ctx, content(file), job.DryRun)
			for i, r := range records {
				records[i].Hint = strings.Replace(r.Hint, "pikeyfix --rewrite", host.Again("pikeyfix --rewrite"), 1)
			}
			return records
		}
		return job.Login(ctx, fsys, server)
	})
	return errors.Join(err, end())
}

// lines says what is wrong in the lines of a keys file, or cures it.
func (m *mode) lines(ctx context.Context, engine install.Engine, dryRun bool) []record.Record {
	job := install.Job{DryRun: dryRun}
	if m.rewrite {
		return job.RewriteHere(ctx, engine)
	}
	return job.FaultsHere(ctx, engine)
}

// reach finds a way to the files there, and to the lines of one: by a shell or,
// where none answers, by sftp.
func reach(ctx context.Context, client *session.Client, host *connect.Host, version string) (hostfs.FS, func(file string) install.Engine, func(), error) {
	fsys := hostfs.Far(client.Run)
	_, err := fsys.Account(ctx)
	if !errors.Is(err, hostfs.ErrNoShell) && !errors.Is(err, session.ErrNoCommand) {
		return fsys, func(file string) install.Engine { return install.Shell(client.Run, file) }, func() {}, err
	}
	files, serr := client.SFTP(ctx)
	if serr != nil {
		return nil, nil, nil, err // which says more
	}
	return hostfs.SFTP(files, host.Config.User), func(file string) install.Engine { return install.SFTP(files, version, file) },
		func() { files.Close() }, nil
}
