package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/firstboot"
	"pi-key-tools/pkg/install"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
)

// card works on the keys of a user on a mounted root file system.
func card(ctx context.Context, env *cli.Env, opt *targets.Options, m mode, job install.Job, user string) error {
	if !m.list {
		if err := defaultKeys(ctx, env, opt, &job); err != nil {
			return err
		}
	}
	engine, err := install.Root(m.root, user, job.Path)
	if err != nil {
		return err
	}
	if engine.Note != "" {
		env.Notef(m.root, "%s", engine.Note)
	}
	var records []record.Record
	switch {
	case m.list:
		records = install.ListHere(ctx, engine, fmt.Sprintf("pikeyfix --rewrite --root %s -u %s", sh.Quote(m.root), sh.Quote(user)))
	case m.remove:
		records = job.RemoveHere(ctx, engine)
	default:
		records = job.PutHere(ctx, engine)
		if !slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict == record.Fail }) {
			records = append(records, engine.Refusals(ctx)...)
		}
	}
	for _, r := range records {
		r.Target = m.root
		env.Emit(r)
	}
	return nil
}

// given are the options of a command line that say which lines are added.
func given(fs *pflag.FlagSet, names []string) string {
	var words strings.Builder
	for _, name := range names {
		words.WriteString(" -i " + sh.Quote(name))
	}
	for _, name := range []string{"options", "expires"} {
		if fs.Changed(name) {
			words.WriteString(" --" + name + " " + sh.Quote(fs.Lookup(name).Value.String()))
		}
	}
	return words.String()
}

// boot lets the keys in by the boot partition of a card.
func boot(ctx context.Context, env *cli.Env, opt *targets.Options, dir string, job install.Job, users []string, given string) error {
	if err := defaultKeys(ctx, env, opt, &job); err != nil {
		return err
	}
	user := strings.Join(users, "")
	records, switched, err := job.Boot(dir, user)
	switch {
	case errors.Is(err, firstboot.ErrNoUser):
		return cli.WithHint(err, "pikeycopy%s --boot %s USER", given, sh.Quote(dir))
	case errors.Is(err, install.ErrStarted):
		return cli.WithHint(err, "mount its root file system: sudo pikeycopy%s --root DIR %s", given, sh.Quote(cmp.Or(user, "USER")))
	case err != nil: // of records, what is done stays
	case switched != "" && job.DryRun:
		env.Notef(dir, "would make %s, which switches SSH on", switched)
	case switched != "":
		env.Notef(dir, "made %s, which switches SSH on", switched)
	}
	for _, r := range records {
		r.Target = dir
		env.Emit(r)
	}
	return err
}
