package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/sshkey"
)

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
