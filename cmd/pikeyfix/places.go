package main

import (
	"context"
	"errors"
	"os"
	"slices"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/install"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/repair"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

// here works on this machine or on a card.
func (m *mode) here(ctx context.Context, env *cli.Env, job repair.Job) (err error) {
	job.Trace = func(format string, args ...any) { env.Tracef(1, "", format, args...) }
	version := repair.VersionHere(ctx)
	machine, client := hostfs.Local(), strictmodes.ServerOf(version)
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
		m.server = repair.ServerHere(ctx, version)
	}
	if m.root == "" {
		job.Serving = diagnose.ServingHere(version)
	}
	env.Tracef(1, "", "judging as %s does", m.server)
	accounts, err := m.who(ctx, env, machine)
	if errors.Is(err, repair.ErrNotRoot) {
		return cli.WithHint(err, "run it with sudo")
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
			return []record.Record{{Verdict: record.Fail, Cause: "keys-unreadable", Subject: file, Detail: record.Words(err)}}
		}
		return m.lines(ctx, engine, job.DryRun, m.again(who.Name))
	}
	job.Unnamed = m.user == "" && m.report == nil && os.Geteuid() == 0 // sudo pikeyfix
	records := job.Accounts(ctx, machine, accounts, m.all, m.server, client)
	if m.report != nil {
		records = slices.Values(m.report.records(slices.Collect(records)))
	}
	for r := range records {
		r.Target = m.root
		emit(r)
	}
	return end()
}

// again is the command that cures the lines of a user's keys here.
func (m *mode) again(user string) string {
	words := "pikeyfix --rewrite"
	if m.root != "" {
		words += " --root " + sh.Quote(m.root)
	}
	if m.user != "" || m.all || m.report != nil {
		words += " -u " + sh.Quote(user)
	}
	return words
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
	opt.Pass = m.passBy
	if m.script {
		opt.Emit = emit
	}
	err = opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record {
		return m.target(ctx, env, host, job)
	})
	return errors.Join(err, end())
}

// target works on one of them.
func (m *mode) target(ctx context.Context, env *cli.Env, host *connect.Host, job repair.Job) []record.Record {
	keys := host.Keys(ctx)
	client, rep, failed := diagnose.Enter(ctx, host, keys, keys.Offers())
	if failed != nil {
		if m.log != "" && failed.Cause == "name-unknown" {
			failed.Hint += "\nhint: or, if " + host.Target + " is to be the file of a log: there is no such file here"
		}
		return []record.Record{*failed}
	}
	defer client.Close()
	var log *logReport // nil unless it is asked for
	if m.log != "" {
		if log, failed = farLog(ctx, env, host, client); failed != nil {
			return []record.Record{*failed}
		}
		if !m.apply {
			return log.records(nil)
		}
	}
	server := m.server
	if !m.known {
		server = strictmodes.ServerOf(rep.ServerVersion)
	}
	job.Trace = func(format string, args ...any) { env.Tracef(1, host.Target, format, args...) }
	fsys, err := diagnose.Far(ctx, client, host.Config.User)
	if err != nil {
		return log.records([]record.Record{diagnose.Ended(ctx, "looking for a way to the files", err)})
	}
	job.Content = func(ctx context.Context, _ strictmodes.Account, file string) []record.Record {
		engine, end := install.There(client, rep.ServerVersion, file, true)
		defer end()
		return m.lines(ctx, engine, job.DryRun, host.Again("pikeyfix --rewrite"))
	}
	if log != nil {
		if who, err := fsys.Account(ctx); err == nil && !log.Concerns(who) {
			env.Notef(host.Target, "the log is about no files of %s", who.Name)
			return log.records(nil)
		}
	}
	if !server.IsDropbear() {
		if job.Serving, err = diagnose.ServingThere(ctx, client, rep.ServerVersion); err != nil {
			return log.records([]record.Record{diagnose.Ended(ctx, "asking how the server was started", err)})
		}
	}
	return log.records(job.Login(ctx, fsys, server, func(cause string) bool { return diagnose.Refutes(rep, cause) }))
}

// lines says what is wrong in the lines of a keys file, or cures it. again is the
// command that does.
func (m *mode) lines(ctx context.Context, engine install.Engine, dryRun bool, again string) []record.Record {
	if m.rewrite {
		return install.Rewrite(ctx, engine, dryRun)
	}
	return install.Faults(ctx, engine, again)
}
