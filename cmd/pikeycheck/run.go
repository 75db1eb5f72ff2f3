package main

import (
	"context"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/record"
)

const synopsis = `pikeycheck [options] target ...
pikeycheck [options] --hosts file
pikeycheck [options]`

func run(ctx context.Context, env *cli.Env) error {
	var opt targets.Options
	fs := env.Flags(synopsis)
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
		return opt.Here(ctx, env, diagnose.Local)
	}
	return opt.Run(ctx, env, list, func(ctx context.Context, host *connect.Host) []record.Record {
		keys := host.Keys(ctx)
		client, rep, err := host.Login(ctx, connect.Plan{Keys: keys.Offers()})
		if err == nil {
			defer client.Close()
		}
		return []record.Record{diagnose.Login(ctx, host, keys, rep, err)}
	})
}
