package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshkey"
)

const synopsis = `pikeycheck [options] target ...
pikeycheck [options] --hosts file
pikeycheck [options]
pikeycheck -a [-t life] [-c] [--passphrase-file file] [file ... | -]
pikeycheck -d [file ... | -]
pikeycheck -D | -l | -L | -x | -X
pikeycheck -K [file ...]
pikeycheck --explain word`

func run(ctx context.Context, env *cli.Env) error {
	var opt targets.Options
	env.Elsewhere = targets.Elsewhere(elsewhere())
	fs := env.Flags(synopsis)
	opt.Flags(fs)
	job := agentJob{Env: env, opt: &opt}
	job.flags(fs)
	var c logins
	fs.BoolVar(&c.shell, "shell", false, "also test whether the account runs commands for this key")
	fs.BoolVar(&c.sftp, "sftp", false, "also test whether sftp and scp work")
	fs.StringArrayVarP(&c.named.files, "identity", "i", nil, "offer the private key in `file`, instead of those of ssh's default files; repeatable")
	fs.BoolVar(&c.look.Password, "inside", false, "if the keys are refused, log in by password to look for the cause; implied by --password-file")
	fs.StringArrayVar(&c.look.Files, "inside-key", nil, "if the keys are refused, log in with the private key in `file` to look for the cause; repeatable")
	word := fs.String("explain", "", "print what the cause `word` means, how it is known and what cures it")
	env.Args = lone(env.Args)
	operands, err := env.Parse(fs)
	if err != nil {
		return err
	}
	if fs.Changed("explain") {
		if len(operands) > 0 || job.given() || opt.Hosts != "" {
			return cli.Usagef("--explain takes one word, and nothing else")
		}
		return explain(env, *word)
	}
	if job.given() && len(c.named.files) > 0 {
		return cli.Usagef("-i is for logins: %s takes files without it", job.letters()[0])
	}
	if job.given() {
		job.files, operands = operands, nil
	}
	if err := job.check(); err != nil {
		return err
	}
	if err := c.named.load(); err != nil {
		return fmt.Errorf("-i %w", err)
	}
	for _, file := range c.named.files {
		opt.Connect.Options = append(opt.Connect.Options, sshconfig.Identity(file))
	}
	list, err := opt.Check(operands)
	if err != nil {
		return err
	}
	switch {
	case job.given():
		return job.run(ctx)
	case len(list) == 0 && opt.Hosts == "":
		return opt.Here(ctx, env, func(ctx context.Context, host *connect.Host, home string) []record.Record {
			return diagnose.Local(ctx, host, home, env.Getenv)
		})
	}
	if err := (&identities{files: c.look.Files}).load(); err != nil {
		return fmt.Errorf("--inside-key %w", err)
	}
	return opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record {
		return c.check(ctx, env, host)
	})
}

// identities are private key files that an option names, and their public keys,
// as far as these are known without a passphrase.
type identities struct {
	files []string
	keys  []sshkey.Public
}

// load reads them. Its error names the file first.
func (i *identities) load() error {
	for _, file := range i.files {
		pair, err := identity.Load(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s: %w", record.Escape(file), syscall.ENOENT)
		case err != nil:
			return fmt.Errorf("%s: %w", record.Escape(file), err)
		case len(pair.Public.Blob) == 0 && !pair.Private.Encrypted:
			f := pair.Faults[0]
			return cli.WithHint(fmt.Errorf("%s: %s", record.Escape(file), f.Detail), "%s", f.Hint)
		}
		i.keys = append(i.keys, pair.Offered.Plain())
	}
	return nil
}

// others notes which other key let us in, where some are named: as ssh does, we
// offer those of the agent and of the configuration too.
func (i *identities) others(env *cli.Env, host *connect.Host, rep *session.Report) {
	key, in := rep.LoginKey()
	if !in || len(i.keys) == 0 || slices.ContainsFunc(i.keys, key.Public.Plain().Equal) {
		return
	}
	hint := ""
	if !host.Config.IdentitiesOnly {
		hint = "\nhint: to offer none of the agent's: " + host.Again("pikeycheck -o IdentitiesOnly=yes")
	}
	env.Notef(host.Target, "another key than that of -i logged in: %s, %s%s", key.Public.Fingerprint(), key.Name, hint)
}

// logins are what is to be done on each target.
type logins struct {
	named       identities // -i
	look        diagnose.Look
	shell, sftp bool
}

// check logs in by key, and where that does not work looks for the cause.
func (c logins) check(ctx context.Context, env *cli.Env, host *connect.Host) []record.Record {
	look := c.look
	look.Password = look.Password || host.PasswordGiven()
	look.Stay = env.Verbose > 0 || c.shell || c.sftp
	client, rep, records := diagnose.Check(ctx, host, look)
	if records[0].Verdict == record.OK {
		c.named.others(env, host, rep)
	}
	if client == nil {
		return records
	}
	defer client.Close()
	if rep.TakesPassword() {
		env.Tracef(1, host.Target, "fragile: it takes passwords too (%s)", strings.Join(rep.Methods, ", "))
	}
	if env.Verbose > 0 {
		for _, note := range diagnose.Fragile(ctx, client, host, rep) {
			env.Tracef(1, host.Target, "fragile: %s", note)
		}
	}
	if c.shell {
		records = append(records, diagnose.Shell(ctx, client, host, rep))
	}
	if c.sftp {
		records = append(records, diagnose.SFTP(ctx, client))
	}
	return records
}
