package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/cli/targets"
	"pi-key-tools/pkg/confline"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sshkey"
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

// pairs are those of the files named, or those of ssh's default ones that are
// there.
func (j *agentJob) pairs(ctx context.Context) ([]*identity.Pair, error) {
	var pairs []*identity.Pair
	for _, file := range j.files {
		if file == identity.Stdin && j.add {
			p, err := j.piped(ctx)
			if err != nil {
				return nil, err
			}
			pairs = append(pairs, p)
			continue
		}
		p, err := identity.Load(file)
		if errors.Is(err, fs.ErrNotExist) {
			j.Emit(record.Record{Verdict: record.Fail, Cause: "key-missing", Subject: file, Detail: "there is no such file"})
			continue
		}
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, p)
	}
	if len(j.files) > 0 {
		return pairs, nil
	}
	folder := filepath.Join(j.opt.Connect.Home, ".ssh")
	for _, name := range sshkey.DefaultNames {
		p, err := identity.Load(filepath.Join(folder, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			pairs = append(pairs, p)
		}
	}
	if len(pairs) == 0 {
		j.Emit(record.Record{Verdict: record.Fail, Cause: "key-missing", Subject: folder,
			Detail: "none of ssh's default key files is there", Hint: "pikeygen"})
	}
	return pairs, nil
}

// piped is the pair of the private key on standard input.
func (j *agentJob) piped(ctx context.Context) (*identity.Pair, error) {
	data, err := j.input(ctx, 1<<20)
	var p *identity.Pair
	if err == nil {
		p, err = identity.Read(data)
	}
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return p, nil
}

// input is what there is on standard input, of no more than most bytes.
func (j *agentJob) input(ctx context.Context, most int64) ([]byte, error) {
	return hostfs.Await(ctx, func() ([]byte, error) { return hostfs.ReadAtMost(j.Stdin, most) })
}

// nameOf is the path of a pair, or what ssh-add calls standard input.
func nameOf(p *identity.Pair) string {
	if p.Path == identity.Stdin {
		return "(stdin)"
	}
	return p.Path
}

// refusals are the faults for which ssh-add would not take a key either.
var refusals = []string{"key-mode", "key-damaged", "key-format", "key-unreadable"}

// passphraseTries is how often a passphrase is asked for, as NumberOfPasswordPrompts
// is for a login; ssh-add asks for ever.
const passphraseTries = 3

func (j *agentJob) addKeys(ctx context.Context, how identity.Loading) error {
	pairs, err := j.pairs(ctx)
	if err != nil {
		return err
	}
	phrases := &secret.Source{File: j.opt.Connect.PassphraseFile, Getenv: j.Getenv}
	var last []byte // passphrase that was given, which ssh-add tries for the next key too
	defer func() { secret.Wipe(last) }()
	for _, p := range pairs {
		if i := slices.IndexFunc(p.Faults, func(f identity.Fault) bool { return f.Path == p.Path && slices.Contains(refusals, f.Cause) }); i >= 0 {
			f := p.Faults[i]
			j.Emit(f.Record())
			continue
		}
		var keys []sshkey.Public
		prompt, reuse := "Enter passphrase for %s: ", last != nil
		ask := func(ctx context.Context) ([]byte, error) {
			if reuse {
				reuse = false
				return bytes.Clone(last), nil
			}
			word, err := phrases.Get(ctx, fmt.Sprintf(prompt, nameOf(p)))
			secret.Wipe(last)
			prompt, last = "Bad passphrase, try again for %s: ", bytes.Clone(word)
			return word, err
		}
		tries := passphraseTries
		if reuse {
			tries++
		}
		err := phrases.Tries(tries, func() (err error) {
			keys, err = j.agent.Load(ctx, p, ask, how)
			return err
		})
		for _, k := range keys {
			j.Emit(j.added(ctx, p, k, how))
		}
		if ctx.Err() != nil { // which says nothing of the key
			return context.Cause(ctx)
		}
		if errors.Is(err, identity.ErrAgentSilent) {
			return err
		}
		if err != nil {
			j.Emit(identity.LoadFault(p, err).Record())
		}
	}
	return nil
}

// added is the record of a key that the agent took, if it shows that it did.
func (j *agentJob) added(ctx context.Context, p *identity.Pair, key sshkey.Public, how identity.Loading) record.Record {
	r := record.Record{Verdict: record.Done, Cause: "agent-added", Subject: key.Fingerprint(), Detail: fmt.Sprintf("%s %s", key.Name(), nameOf(p))}
	held, err := j.agent.Keys(ctx)
	if err == nil && !slices.ContainsFunc(held, key.Equal) {
		err = errors.New("the agent took it and does not list it")
	}
	if err == nil && !how.Confirm { // a test would ask somebody
		err = j.agent.TestSign(ctx, key)
	}
	if err != nil {
		return refused(r, "", "%s: %v", p.Path, err)
	}
	if how.Life > 0 {
		r.Detail += fmt.Sprintf(", for %v", how.Life)
		if who, _ := j.keeper(); who != "" {
			r.Detail += "; but " + who
		}
	}
	if how.Confirm {
		r.Detail += ", to be confirmed at each use"
	}
	return r
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

func (j *agentJob) removeKeys(ctx context.Context) error {
	keys, err := j.named(ctx)
	if err != nil {
		return err
	}
	held, err := j.agent.Keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys {
		found := false
		for _, h := range held {
			if h.Plain().Equal(key.Plain()) { // with it goes its certificate, as ssh-add does
				found = true
				j.Emit(j.removed(ctx, h))
			}
		}
		if !found {
			j.Emit(record.Record{Verdict: record.OK, Cause: "key-absent", Subject: key.Fingerprint(), Detail: "the agent does not hold it"})
		}
	}
	return nil
}

// named are the public keys of the files, or of standard input.
func (j *agentJob) named(ctx context.Context) ([]sshkey.Public, error) {
	if slices.Equal(j.files, []string{"-"}) {
		data, err := j.input(ctx, 16<<20)
		var keys []sshkey.Public
		if err == nil {
			keys, err = sshkey.ReadPublic(data)
		}
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		return keys, nil
	}
	pairs, err := j.pairs(ctx)
	var keys []sshkey.Public
	for _, p := range pairs {
		if len(p.Public.Blob) == 0 {
			f := p.Faults[0] // without any, there would be a key
			j.Emit(f.Record())
			continue
		}
		keys = append(keys, p.Public)
	}
	return keys, err
}

// removed removes a key, and is the record of that.
func (j *agentJob) removed(ctx context.Context, key sshkey.Public) record.Record {
	r := goneFrom(key)
	err := j.agent.Remove(ctx, key)
	if err == nil { // gpg-agent says yes to whatever it does not do
		var left []sshkey.Public
		if left, err = j.agent.Keys(ctx); slices.ContainsFunc(left, key.Equal) {
			err = errors.New("the agent says that it removed the key, and lists it")
		}
	}
	if err != nil {
		_, cure := j.keeper()
		return refused(r, cure, "%v", err)
	}
	return r
}

// goneFrom is the record of a key that the agent forgets.
func goneFrom(key sshkey.Public) record.Record {
	return record.Record{Verdict: record.Done, Cause: "agent-removed", Subject: key.Fingerprint(), Detail: key.Name() + " " + key.Comment}
}

// refused is a record in the place of r, which did not come true.
func refused(r record.Record, hint, format string, args ...any) record.Record {
	r.Verdict, r.Cause, r.Hint, r.Detail = record.Fail, "agent-refused", hint, fmt.Sprintf(format, args...)
	return r
}

func (j *agentJob) clear(ctx context.Context) error {
	held, err := j.agent.Keys(ctx)
	if err != nil {
		return err
	}
	if err := j.agent.RemoveAll(ctx); err != nil {
		return err
	}
	left, err := j.agent.Keys(ctx)
	if err != nil {
		return err
	}
	for _, key := range held {
		r := goneFrom(key)
		if slices.ContainsFunc(left, key.Equal) {
			_, cure := j.keeper()
			r = refused(r, cure, "the agent says that it removed all keys, and lists it")
		}
		j.Emit(r)
	}
	if len(held) == 0 {
		j.Emit(record.Record{Verdict: record.OK, Cause: "agent-empty", Subject: j.agent.Socket, Detail: "the agent holds no key"})
	}
	return nil
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
