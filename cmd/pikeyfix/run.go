package main

import (
	"context"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/repair"
	"pi-key-tools/pkg/strictmodes"
)

const synopsis = `pikeyfix [-n] [--server kind]
pikeyfix [-n] [--server kind] [options] target ...
pikeyfix [-n] [--server kind] [options] --hosts file`

func run(ctx context.Context, env *cli.Env) error {
	var opt targets.Options
	fs := env.Flags(synopsis)
	dryRun := fs.BoolP("dry-run", "n", false, "change nothing; say what would be changed")
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
	server, known, err := strictmodes.ParseServer(*kind)
	if err != nil {
		return cli.Usagef("--server: %v", err)
	}
	if len(list) == 0 && opt.Hosts == "" {
		if !known {
			server = repair.ServerHere(ctx)
		}
		env.Tracef(1, "", "judging as %s does", server)
		for _, r := range repair.Here(ctx, server, *dryRun) {
			env.Emit(r)
		}
		return nil
	}
	return opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record {
		keys := host.Keys(ctx)
		client, rep, failed := diagnose.Enter(ctx, host, keys, keys.Offers())
		if failed != nil {
			return []record.Record{*failed}
		}
		defer client.Close()
		server := server
		if !known {
			server = strictmodes.ServerOf(rep.ServerVersion)
		}
		return repair.Account(ctx, hostfs.Far(client.Run), server, *dryRun)
	})
}
