package main

import (
	"context"
	"fmt"
	"slices"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/install"
	"pi-key-tools/pkg/record"
)

const synopsis = `pikeycopy [-n] [-i file | -i -] ... [options] target ...
pikeycopy [-n] [-i file | -i -] ... [options] --hosts file`

func run(ctx context.Context, env *cli.Env) error {
	var opt targets.Options
	fs := env.Flags(synopsis)
	names := fs.StringArrayP("identity", "i", nil, "install the public keys in `file`, to which .pub is added (-: standard input); repeatable")
	dryRun := fs.BoolP("dry-run", "n", false, "change nothing there; say what would be added")
	opt.Flags(fs)
	operands, err := env.Parse(fs)
	if err != nil {
		return err
	}
	list, err := opt.Check(operands)
	if err != nil {
		return err
	}
	if len(list) == 0 && opt.Hosts == "" {
		return cli.Usagef("no target given")
	}
	if opt.Hosts == "-" && slices.Contains(*names, "-") {
		return cli.Usagef("-i - and --hosts - cannot both read standard input")
	}
	var input install.Input
	for _, name := range *names {
		if err := input.Read(name, env.Stdin); err != nil {
			return fmt.Errorf("-i %w", err)
		}
	}
	return opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record {
		input := input
		if len(*names) == 0 {
			if err := input.Default(host.Keys(ctx)); err != nil {
				return []record.Record{{Verdict: record.Fail, Cause: "key-missing", Detail: err.Error(),
					Hint: "make one: pikeygen | " + host.Again("pikeycopy -i -")}}
			}
		}
		return install.Copy(ctx, host, input.Keys, input.Files, *dryRun)
	})
}
