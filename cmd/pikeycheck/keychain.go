package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
)

// appleAdd is the only program that can put a passphrase where macOS's ssh
// looks for it.
const appleAdd = "/usr/bin/ssh-add"

// toKeychain has Apple's ssh-add do it, which asks for passphrases itself.
func (j *agentJob) toKeychain(ctx context.Context) error {
	if runtime.GOOS != "darwin" {
		return cli.WithHint(errors.New("the keychain is one of macOS"),
			"GNOME: its keyring keeps a passphrase when the box in its prompt is ticked\n"+
				"hint: KDE: SSH_ASKPASS=ksshaskpass SSH_ASKPASS_REQUIRE=prefer pikeycheck -a\n"+
				"hint: without a desktop: pikeycheck -a --passphrase-file <(pass show NAME)")
	}
	pairs, err := j.pairs(ctx)
	if err != nil || len(pairs) == 0 {
		return err
	}
	cmd := exec.CommandContext(ctx, appleAdd, append([]string{"--apple-use-keychain", "--"}, j.files...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, j.Stderr, j.Stderr // its words are no records
	failed := cmd.Run()
	if j.agent, err = identity.DialAgent(ctx, j.Getenv("SSH_AUTH_SOCK")); err != nil {
		return err
	}
	defer j.agent.Close()
	j.agent.Patience = j.opt.Connect.Timeout
	held, err := j.agent.Keys(ctx)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		r := record.Record{Verdict: record.Done, Cause: "agent-added", Subject: p.Path, Detail: "by " + appleAdd + ", with the passphrase in the keychain"}
		switch {
		case failed != nil: // of which of them, it does not tell
			r = refused(r, "", "%s: %v", appleAdd, failed)
		case !slices.ContainsFunc(held, p.Public.Equal):
			r = refused(r, "", appleAdd+" says that it added the key, and the agent does not list it")
		}
		j.Emit(r)
	}
	return nil
}
