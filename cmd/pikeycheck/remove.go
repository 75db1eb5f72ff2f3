package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

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
