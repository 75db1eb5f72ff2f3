package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/confline"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
)

// An agentJob is what to do with the agent, in the letters of ssh-add(1).
type agentJob struct {
	add, remove, removeAll, list, public, lock, unlock, keychain bool

	life    string
	confirm bool

	// What the job works with.
	*cli.Env
	opt   *targets.Options
	files []string
	agent *identity.Agent
}

func (j *agentJob) flags(fs *pflag.FlagSet) {
	fs.BoolVarP(&j.add, "add", "a", false, "add keys to the agent: the files named (-: standard input), or ssh's default ones")
	fs.StringVarP(&j.life, "life", "t", "", "with -a: the agent forgets the keys after this `time`, such as 8h")
	fs.BoolVarP(&j.confirm, "confirm", "c", false, "with -a: each use of the keys must be confirmed")
	fs.BoolVarP(&j.remove, "delete", "d", false, "remove keys from the agent; -: the public keys on standard input")
	fs.BoolVarP(&j.removeAll, "delete-all", "D", false, "remove every key from the agent")
	fs.BoolVar(&j.list, "list", false, "list the keys of the agent, as -l does if no user follows")
	fs.BoolVarP(&j.public, "list-public", "L", false, "print the public keys that the agent holds")
	fs.BoolVarP(&j.lock, "lock", "x", false, "lock the agent with a password")
	fs.BoolVarP(&j.unlock, "unlock", "X", false, "unlock the agent")
	fs.BoolVarP(&j.keychain, "keychain", "K", false, "add keys, and their passphrases to the macOS keychain")
}

// elsewhere are letters of ssh-add(1).
func elsewhere() map[string]string {
	return map[string]string{
		"E": "ssh-add -l -E md5",
		"e": "ssh-add -e PROVIDER",
		"H": "to add a key for some hosts only: ssh-add -h HOST FILE",
		"k": "ssh-add -k FILE",
		"S": "ssh-add -S PROVIDER FILE",
		"s": "ssh-add -s PROVIDER",
		"T": "pikeycheck alone has the agent sign with each of its keys",
	}
}

// lone turns an -l that no user follows into --list: it is ssh-add's letter
// then, and ssh's else.
func lone(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		switch {
		case arg == "--":
			return args
		case arg == "-l" && (i+1 == len(args) || len(args[i+1]) > 1 && args[i+1][0] == '-'):
			args[i] = "--list"
		}
	}
	return args
}

// given reports whether there is anything to do.
func (j *agentJob) given() bool { return len(j.letters()) > 0 }

func (j *agentJob) letters() []string {
	var letters []string
	for _, l := range []struct {
		letter string
		on     bool
	}{
		{"-a", j.add}, {"-d", j.remove}, {"-D", j.removeAll}, {"-l", j.list}, {"-L", j.public},
		{"-x", j.lock}, {"-X", j.unlock}, {"-K", j.keychain},
	} {
		if l.on {
			letters = append(letters, l.letter)
		}
	}
	return letters
}

func (j *agentJob) check() error {
	letters := j.letters()
	switch {
	case len(letters) > 1:
		return cli.Usagef("%s cannot go together", strings.Join(letters, " and "))
	case (j.life != "" || j.confirm) && !j.add:
		return cli.Usagef("-t and -c are for -a")
	case len(letters) == 0:
		return nil
	case j.opt.Hosts != "":
		return cli.Usagef("%s takes no --hosts", letters[0])
	case len(j.files) > 0 && !j.add && !j.remove && !j.keychain:
		return cli.Usagef("%s takes no operand, but there is %q", letters[0], j.files[0])
	}
	return nil
}

func (j *agentJob) run(ctx context.Context) error {
	if j.keychain {
		return j.toKeychain(ctx)
	}
	var how identity.Loading
	if j.life != "" {
		seconds, err := confline.Seconds(j.life)
		if err != nil || seconds == 0 {
			return cli.Usagef("-t %s: a time such as 8h, 30m or 3600", j.life)
		}
		how.Life = time.Duration(seconds) * time.Second
	}
	how.Confirm = j.confirm
	socket := ""
	if err := j.opt.Side(ctx, j.Env, func(_ context.Context, host *connect.Host) error {
		socket = host.Config.IdentityAgent
		return nil
	}); err != nil {
		return err
	}
	var err error
	if j.agent, err = identity.DialAgent(ctx, socket); err != nil {
		return cli.WithHint(err, `start one in this shell: eval "$(ssh-agent -s)"`)
	}
	defer j.agent.Close()
	j.agent.Patience = j.opt.Connect.Timeout
	err = j.act(ctx, how)
	if errors.Is(err, identity.ErrAgentSilent) && ctx.Err() == nil {
		err = cli.WithHint(err, "one that hangs has to be started again; one that asks somebody may need longer: --timeout 5m")
	}
	return err
}

func (j *agentJob) act(ctx context.Context, how identity.Loading) error {
	switch {
	case j.add:
		return j.addKeys(ctx, how)
	case j.remove:
		return j.removeKeys(ctx)
	case j.removeAll:
		return j.clear(ctx)
	case j.lock, j.unlock:
		return j.turnLock(ctx)
	}
	return j.show(ctx)
}

// input is what there is on standard input, of no more than most bytes.
func (j *agentJob) input(ctx context.Context, most int64) ([]byte, error) {
	return bounded.Await(ctx, func() ([]byte, error) { return bounded.ReadAll(j.Stdin, most) })
}

// keeper is what an agent does with keys that ssh-agent would forget, and how
// they go; "" for one that is not known for it. Neither gpg-agent (agent/command-ssh.c)
// nor GNOME's (gcr-ssh-agent-service.c) tells so by itself.
func (j *agentJob) keeper() (who, cure string) {
	dir, base := filepath.Base(filepath.Dir(j.agent.Socket)), filepath.Base(j.agent.Socket)
	switch {
	case base == "S.gpg-agent.ssh":
		return "gpg-agent keeps keys on the disk, whatever time it is given",
			"gpg-connect-agent 'keyinfo --ssh-list --ssh-fpr=sha256' /bye names the GRIP of each, and gpg-connect-agent 'delete_key --force GRIP' /bye removes one"
	case base == "ssh" && (dir == "keyring" || dir == "gcr"):
		return "GNOME's agent lists every pair in ~/.ssh", "move its .pub out of ~/.ssh, and run it again"
	}
	return "", ""
}

// refused is a record in the place of r, which did not come true.
func refused(r record.Record, hint, format string, args ...any) record.Record {
	r.Verdict, r.Cause, r.Hint, r.Detail = record.Fail, "agent-refused", hint, fmt.Sprintf(format, args...)
	return r
}

func (j *agentJob) show(ctx context.Context) error {
	held, err := j.agent.Keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range held {
		if j.public {
			j.Print([]byte(key.Line() + "\n"))
			continue
		}
		j.Emit(record.Record{Verdict: record.OK, Cause: "agent-key", Subject: key.Fingerprint(),
			Detail: fmt.Sprintf("%d %s %s", key.Bits(), key.Name(), key.Comment)})
	}
	if len(held) > 0 {
		return nil
	}
	// A locked agent looks so too.
	const hint = "pikeycheck -a; or, if it is locked: pikeycheck -X"
	if j.public {
		return cli.WithHint(errors.New("the agent holds no key"), hint)
	}
	j.Emit(record.Record{Verdict: record.Fail, Cause: "agent-empty", Subject: j.agent.Socket, Detail: "the agent holds no key", Hint: hint})
	return nil
}

func (j *agentJob) turnLock(ctx context.Context) error {
	source := &secret.Source{File: j.opt.Connect.PassphraseFile, Getenv: j.Getenv}
	word, err := source.Get(ctx, "Enter lock password: ")
	if err != nil {
		return fmt.Errorf("the lock password: %w", err)
	}
	defer secret.Wipe(word)
	if j.lock && source.File == "" { // nobody sees what is typed
		again, err := source.Get(ctx, "Again: ")
		defer secret.Wipe(again)
		switch {
		case err != nil:
			return err
		case string(again) != string(word):
			return errors.New("the two passwords differ")
		}
	}
	held, _ := j.agent.Keys(ctx) // which one that is locked may refuse
	r := record.Record{Verdict: record.Done, Cause: "agent-locked", Subject: j.agent.Socket, Detail: "it lists and uses no key until pikeycheck -X"}
	do := j.agent.Lock
	if j.unlock {
		r.Cause, r.Detail, do = "agent-unlocked", "it lists and uses its keys again", j.agent.Unlock
	}
	switch err := do(ctx, word); {
	case errors.Is(err, identity.ErrAgentSilent):
		return err
	case j.unlock && len(held) > 0: // gpg-agent and GNOME's say yes, and know no lock
		r = refused(r, "", "it was not locked: it listed its keys before")
	case err != nil && j.unlock:
		r = refused(r, "the password is another, or it is not locked", "%v", err)
	case err != nil:
		r = refused(r, "is it locked already?", "%v", err)
	case j.lock:
		if left, _ := j.agent.Keys(ctx); len(left) > 0 {
			r = refused(r, "", "the agent says that it is locked, and lists its keys")
		}
	}
	j.Emit(r)
	return nil
}
