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
	"pi-key-tools/pkg/firstboot"
	"pi-key-tools/pkg/install"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
)

// card works on the keys of a user on a mounted root file system.
func (c *command) card(ctx context.Context, user string) error {
	if !c.mode.list {
		if err := c.defaultKeys(ctx); err != nil {
			return err
		}
	}
	root := c.mode.root
	engine, err := install.Root(root, user, c.job.Path)
	if err != nil {
		return err
	}
	if engine.Note != "" {
		c.Notef(root, "%s", engine.Note)
	}
	var records []record.Record
	switch {
	case c.mode.list:
		records = install.ListHere(ctx, engine, fmt.Sprintf("pikeyfix --rewrite --root %s -u %s", sh.Quote(root), sh.Quote(user)))
	case c.mode.remove:
		records = c.job.RemoveHere(ctx, engine)
	default:
		records = c.job.PutHere(ctx, engine)
		if !slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict == record.Fail }) {
			records = append(records, engine.Refusals(ctx)...)
		}
	}
	for _, r := range records {
		r.Target = root
		c.Emit(r)
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

// boot lets the keys in by the boot partition of a card. given are the options that say
// which lines are added.
func (c *command) boot(ctx context.Context, users []string, given string) error {
	if err := c.defaultKeys(ctx); err != nil {
		return err
	}
	dir, user := c.mode.boot, strings.Join(users, "") // there is one, or none
	records, switched, err := c.job.Boot(dir, user)
	switch {
	case errors.Is(err, firstboot.ErrNoUser):
		return cli.WithHint(err, "pikeycopy%s --boot %s USER", given, sh.Quote(dir))
	case errors.Is(err, install.ErrStarted):
		return cli.WithHint(err, "mount its root file system: sudo pikeycopy%s --root DIR %s", given, sh.Quote(cmp.Or(user, "USER")))
	case err != nil: // of records, what is done stays
	case switched != "" && c.job.DryRun:
		c.Notef(dir, "would make %s, which switches SSH on", switched)
	case switched != "":
		c.Notef(dir, "made %s, which switches SSH on", switched)
	}
	for _, r := range records {
		r.Target = dir
		c.Emit(r)
	}
	return err
}
