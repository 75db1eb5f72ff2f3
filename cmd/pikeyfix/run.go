package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/repair"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

const synopsis = `pikeyfix [-n [--sh]] [-u user | -a] [--server kind] [--undo file]
pikeyfix [-n [--sh]] [--server kind] [--undo file] [options] target ...
pikeyfix [-n [--sh]] --root dir -u user | -a [--server kind] [--undo file]
pikeyfix --log [file | -] [--apply] | --log [--apply] [options] target ...`

// A mode is whose files are to be repaired, and how.
type mode struct {
	user, root, undo string
	all, script      bool
	rewrite          bool
	server           strictmodes.Server
	known            bool // server is

	log    string // the file of a log, "-", or ownLog; "" for no log
	apply  bool
	report *logReport // of the log, where it is of this machine; nil for no log
}

func run(ctx context.Context, env *cli.Env) error {
	var opt targets.Options
	var job repair.Job
	var m mode
	env.Elsewhere = targets.Elsewhere(map[string]string{
		"i": "to log in with a certain key: -o IdentityFile=FILE",
		"R": "pikeyfix finds by itself what sshd and ssh look at, and touches nothing else",
	})
	fs := env.Flags(synopsis)
	fs.BoolVarP(&job.DryRun, "dry-run", "n", false, "change nothing; say what would be changed")
	fs.BoolVar(&m.script, "sh", false, "with -n, print the changes as a POSIX shell script, not as records")
	fs.StringVarP(&m.user, "user", "u", "", "repair the files of `user`")
	fs.BoolVarP(&m.all, "all", "a", false, "repair the files of everybody who has keys")
	fs.StringVar(&m.root, "root", "", "work on the root file system mounted at `dir`, without a network")
	fs.StringVar(&m.undo, "undo", "", "write a shell script that undoes the repairs to the new `file`")
	fs.BoolVar(&m.rewrite, "rewrite", false, "repair lines of authorized_keys too, if that takes no guessing; the old file is kept")
	kind := fs.String("server", "", "judge as this `kind` of server does: openssh, debian, dropbear or all (default: detected)")
	m.logFlags(fs)
	opt.Flags(fs)
	env.Args = logOperand(env.Args)
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
	switch here := len(list) == 0 && opt.Hosts == ""; {
	case here && m.log != "":
		return m.hereLog(ctx, env, job)
	case here:
		return m.here(ctx, env, job)
	}
	return m.there(ctx, env, &opt, list, job)
}

// check judges which options go together.
func (m *mode) check(fs *pflag.FlagSet, job *repair.Job, list []targets.Target, hosts string) error {
	here := len(list) == 0 && hosts == ""
	// An empty variable of a caller's must not make it another machine or account.
	if err := cli.NotEmpty(fs, "user", "root", "undo"); err != nil {
		return err
	}
	for _, name := range []string{"login", "port", "jump", "host-key", "password-file", "passwords", "wait"} {
		if here && fs.Changed(name) {
			return cli.Usagef("--%s is for targets, and there is none", name)
		}
	}
	switch {
	case m.all && fs.Changed("user"):
		return cli.Usagef("-a and -u USER exclude each other")
	case !here && (m.all || fs.Changed("user") || m.root != ""):
		return cli.Usagef("-u, -a and --root are for this machine: log in to a target as the user in question")
	case m.root != "" && !m.all && m.user == "" && m.log == "":
		return cli.Usagef("--root DIR requires -u USER or -a")
	case m.script && !job.DryRun:
		return cli.Usagef("--sh prints what would be done, and needs -n")
	case m.script && m.rewrite:
		return cli.Usagef("--sh prints changes of owners, modes and names only, and cannot go with --rewrite")
	case m.undo != "" && job.DryRun:
		return cli.Usagef("-n changes nothing, so there is nothing for --undo")
	case (m.script || m.undo != "") && !here && (len(list) != 1 || hosts != ""):
		return cli.Usagef("--sh and --undo are for one target: its paths are not those of another")
	}
	return m.checkLog(fs, here)
}

// begin opens what the steps are written to, and returns where records go.
func (m *mode) begin(env *cli.Env, job *repair.Job, target string) (emit func(record.Record), end func() error, err error) {
	if m.script {
		script := repair.Script{Root: job.Root}
		env.Print([]byte(script.Head("Repairs " + m.where(target) + ", as found by pikeyfix. " + howTo(target, "FILE"))))
		job.Plan = func(about string, steps []repair.Step) { env.Print([]byte(script.Lines(about, steps))) }
		return env.Tell, func() error { env.Print([]byte(script.Tail())); return nil }, nil
	}
	if m.undo != "" {
		if job.Undo, err = repair.NewUndo(m.undo, job.Root, "Undoes what pikeyfix did on "+m.where(target)+". "+howTo(target, m.undo)); err != nil {
			return nil, nil, fmt.Errorf("--undo: %w", err)
		}
		return env.Emit, job.Undo.Close, nil
	}
	return env.Emit, func() error { return nil }, nil
}

// where names what is repaired, for the reader of a script.
func (m *mode) where(target string) string { return cmp.Or(target, m.root, "this machine") }

func howTo(target, file string) string {
	if target == "" {
		return "Run it as the same user: sh " + sh.Quote(file)
	}
	words := []string{"Run it as the same user there: ssh"}
	d, _ := destination.Parse(target) // which it is one of
	for _, word := range d.SSH() {
		words = append(words, sh.Quote(word))
	}
	return strings.Join(words, " ") + " sh <" + sh.Quote(file)
}
