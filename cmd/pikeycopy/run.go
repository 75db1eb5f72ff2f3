package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/install"
	"pi-key-tools/pkg/record"
)

const synopsis = `pikeycopy [-fns] [-t path] [-i file | -i -] ... [options] target ...
pikeycopy --ca [--principals users] [-fns] [-t path] [-i file | -i -] ... [options] target ...
pikeycopy -r [--ca [--principals users]] [-fns] [-t path] [-i file | -i -] ... [options] target ...
pikeycopy -L [-s] [-t path] [options] target ...
pikeycopy --root dir [-Lfnr] [-t path] [-i file | -i -] ... user
pikeycopy --boot dir [-n] [--expires time] [--options options] [-i file | -i -] ... [user]
pikeycopy --print [-t path] [-i file | -i -] ...`

// A command is what the options say.
type command struct {
	*cli.Env
	opt  targets.Options
	mode mode
	job  install.Job
}

// A mode is what is to be done with which keys.
type mode struct {
	names                        []string // of -i
	remove, list, print          bool
	root, boot                   string
	options, expires, principals string
}

func (m *mode) flags(fs *pflag.FlagSet, job *install.Job) {
	fs.StringArrayVarP(&m.names, "identity", "i", nil, "copy the public keys in `file`, or file.pub (-: standard input); repeatable")
	fs.BoolVarP(&job.DryRun, "dry-run", "n", false, "change nothing there; say what would be changed")
	fs.BoolVarP(&job.Force, "force", "f", false, "add keys even if they are there; with -r, remove the one of this login and the last one too")
	fs.StringVarP(&job.Path, "target-path", "t", "", "write to `path` there, instead of the file that the server looks for")
	fs.BoolVarP(&job.SFTP, "sftp", "s", false, "use sftp, even if there is a shell")
	fs.BoolVarP(&m.remove, "remove", "r", false, "remove the keys")
	fs.BoolVarP(&m.list, "list", "L", false, "list the entries there")
	fs.StringVar(&m.options, "options", "", "put these `options` of sshd(8) before each key")
	fs.StringVar(&m.expires, "expires", "", "let each key expire after this `time`, such as 90d")
	fs.BoolVar(&job.Authority, "ca", false, "the keys are those of certification authorities: accept their certificates")
	fs.StringVar(&m.principals, "principals", "", "with --ca: accept certificates for these `users`, separated by commas; default: the account itself")
	fs.BoolVar(&m.print, "print", false, "print the POSIX shell program that adds the keys, and do nothing else")
	fs.StringVar(&m.root, "root", "", "work on the root file system mounted at `dir`, for the user named, without a network")
	fs.StringVar(&m.boot, "boot", "", "write to the boot partition mounted at `dir`, before the first start of a Raspberry Pi")
}

func run(ctx context.Context, env *cli.Env) error {
	c := command{Env: env}
	m, job := &c.mode, &c.job
	env.Elsewhere = targets.Elsewhere(map[string]string{"x": "-v says why each step is taken"})
	fs := env.Flags(synopsis)
	m.flags(fs, job)
	c.opt.Flags(fs)
	operands, err := env.Parse(fs)
	if err != nil {
		return err
	}
	if err := cli.NotEmpty(fs, "options", "expires", "principals", "root", "boot", "target-path"); err != nil {
		return err
	}
	if job.Options, err = install.Options(m.options, m.expires, job.Authority, m.principals, time.Now()); err != nil {
		return cli.Usagef("%v", err)
	}
	if err := m.check(fs, operands, c.opt.Hosts); err != nil {
		return err
	}
	input, err := m.read(ctx, env)
	if err != nil {
		return err
	}
	job.Keys, job.Files = input.Keys, input.Files
	switch {
	case m.root != "":
		return c.card(ctx, operands[0])
	case m.boot != "":
		return c.boot(ctx, operands, given(fs, m.names))
	case m.print:
		if err := c.defaultKeys(ctx); err != nil {
			return err
		}
		env.Print([]byte(install.Program(job.Lines(), job.Path)))
		return nil
	}
	list, err := c.opt.Check(operands)
	if err != nil {
		return err
	}
	return c.opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record { return m.target(ctx, host, *job) })
}

// read reads the keys that -i names.
func (m mode) read(ctx context.Context, env *cli.Env) (install.Input, error) {
	var input install.Input
	for _, name := range m.names {
		with, err := bounded.Await(ctx, func() (install.Input, error) { // a copy: this may go on when ctx has ended
			with := input
			err := with.Read(name, env.Stdin)
			return with, err
		})
		if err != nil {
			return with, fmt.Errorf("-i %w", err)
		}
		input = with
	}
	if m.remove { // a line that does nothing may go
		return input, nil
	}
	if err := input.WithoutCertificates(); err != nil {
		return input, cli.WithHint(fmt.Errorf("-i: %w", err), "give the key that it is for; or let in all that its authority signs: pikeycopy --ca -i CA.pub")
	}
	return input, nil
}

// target works on one of the targets.
func (m mode) target(ctx context.Context, host *connect.Host, job install.Job) []record.Record {
	if m.list {
		return job.List(ctx, host)
	}
	if len(job.Keys) == 0 {
		var input install.Input
		if err := input.Default(host.Keys(ctx)); err != nil {
			if fault, ok := errors.AsType[identity.Fault](err); ok {
				return []record.Record{fault.Record()}
			}
			return []record.Record{{Verdict: record.Fail, Cause: "key-missing", Detail: err.Error(),
				Hint: "make one: pikeygen | " + host.AgainByPassword("pikeycopy -i -", nil)}}
		}
		job.Keys = input.Keys
	}
	if m.remove {
		return job.Remove(ctx, host)
	}
	return job.Copy(ctx, host)
}

// check judges which options go together.
func (m mode) check(fs *pflag.FlagSet, operands []string, hosts string) error {
	given := func(names ...string) string {
		for _, name := range names {
			if fs.Changed(name) {
				return name
			}
		}
		return ""
	}
	adding := given("options", "expires")
	if m.list && adding == "" {
		adding = given("ca", "principals")
	}
	switch {
	case m.remove && m.list, m.remove && m.print, m.list && m.print, m.root != "" && m.print:
		return cli.Usagef("-r, -L and --print exclude one another, as do --print and --root")
	case m.boot != "" && (m.remove || m.list):
		return cli.Usagef("--boot DIR adds keys only: they are lines of user-data or custom.toml there, which an editor shows and removes")
	case m.boot != "" && (m.print || m.root != "" || given("force", "target-path", "sftp", "ca") != ""):
		return cli.Usagef("--boot DIR adds keys, with --options or --expires, and can do nothing else")
	case m.boot != "" && (len(operands) > 1 || hosts != ""):
		return cli.Usagef("--boot DIR takes one user, or none")
	case (m.remove || m.list) && adding != "":
		return cli.Usagef("--%s is for adding keys", adding)
	case m.list && len(m.names) > 0:
		return cli.Usagef("-L lists every entry, and takes no -i")
	case fs.Changed("ca") && len(m.names) == 0: // a key for logging in is none
		return cli.Usagef("--ca takes the key of the authority: -i FILE")
	case m.remove && len(m.names) == 0:
		return cli.Usagef("-r removes only the keys that are named: -i FILE")
	case hosts == "-" && slices.Contains(m.names, "-"):
		return cli.Usagef("-i - and --hosts - cannot both read standard input")
	case m.print && (len(operands) > 0 || hosts != ""):
		return cli.Usagef("--print takes no target")
	case m.root != "" && (len(operands) != 1 || hosts != ""):
		return cli.Usagef("--root DIR takes one user")
	case m.root == "" && m.boot == "" && !m.print && len(operands) == 0 && hosts == "":
		return cli.Usagef("no target given")
	}
	return nil
}

// defaultKeys are those of this side, where no -i names any.
func (c *command) defaultKeys(ctx context.Context) error {
	if len(c.job.Keys) > 0 {
		return nil
	}
	return c.opt.Side(ctx, c.Env, func(ctx context.Context, host *connect.Host) error {
		var input install.Input
		err := input.Default(host.Keys(ctx))
		c.job.Keys = input.Keys
		if fault, ok := errors.AsType[identity.Fault](err); ok {
			return cli.WithHint(err, "%s", fault.Hint)
		}
		if errors.Is(err, install.ErrNoKey) {
			return cli.WithHint(err, "make one: pikeygen; or name one: -i FILE, as under sudo, where ~ is root's")
		}
		return err
	})
}
