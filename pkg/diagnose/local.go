package diagnose

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// Local judges this side without a target: the configuration, the key pairs
// that ssh would use for any host, and each key of the agent by having it sign.
// host is what holds for a host that nobody has configured; getenv tells where
// other agents may be, if the one that ssh would ask does not answer.
func Local(ctx context.Context, host *connect.Host, home string, getenv func(string) string) []record.Record {
	var records []record.Record
	if path := filepath.Join(home, ".ssh", "config"); exists(path) {
		records = append(records, record.Record{Verdict: record.OK, Cause: "config", Subject: path, Detail: "ssh reads it"})
	}
	keys := host.Keys(ctx)
	pairs, encrypted := 0, false
	for _, path := range keys.Looked {
		if slices.Contains(host.Config.CertificateFiles, path) {
			if _, err := identity.LoadCertificate(path); errors.Is(err, os.ErrNotExist) {
				records = append(records, failure("key-missing", path, "", "CertificateFile names it, but it does not exist"))
			} else if err != nil {
				records = append(records, failure("key-damaged", path, "", "%v", err))
			}
			continue
		}
		p, err := identity.Load(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		pairs++
		if err != nil {
			records = append(records, failure("key-damaged", path, "", "%v", err))
			continue
		}
		encrypted = encrypted || p.Private.Encrypted
		if c, _ := keys.Find(p.Offered); c.Agent && p.NoPrivate { // it signs, or says why not
			continue
		}
		records = append(records, pair(p)...)
		if _, err := p.Certificate(); err != nil && !errors.Is(err, os.ErrNotExist) {
			records = append(records, failure("key-pair-mismatch", p.CertificatePath(), signAnew, "%v", err))
		}
	}
	records = append(records, certified(slices.Concat(keys.Candidates, keys.Unaccepted), time.Now())...)
	if pairs == 0 {
		for _, p := range besides(keys.Looked) {
			if p.Usable() {
				records = append(records, failure("key-not-offered", p.Path, "name it for the hosts that it is for, in "+filepath.Join(home, ".ssh", "config")+": IdentityFile "+p.Path,
					"ssh does not look for a key of this name by itself"))
			} else {
				records = append(records, pair(p)...)
			}
			pairs++
		}
	}
	if pairs == 0 && keys.AgentKeys <= 0 {
		records = append(records, failure("key-missing", filepath.Join(home, ".ssh"), "pikeygen", "none of ssh's key files exists"))
	}
	return append(records, agent(ctx, host, keys, encrypted, home, getenv)...)
}

// besides are the pairs with a private half that are in the directories of the
// files that ssh looks for, under other names.
func besides(looked []string) []*identity.Pair {
	var found []*identity.Pair
	var dirs []string
	for _, path := range looked {
		dir := filepath.Dir(path)
		if slices.Contains(dirs, dir) {
			continue
		}
		dirs = append(dirs, dir)
		entries, _ := os.ReadDir(dir) // what cannot be read holds nothing for us
		for _, e := range entries {
			name := filepath.Join(dir, e.Name())
			if !e.Type().IsRegular() || strings.HasSuffix(name, ".pub") || slices.Contains(looked, name) {
				continue
			}
			if p, err := identity.Load(name); err == nil && p.Private.Format != "" {
				found = append(found, p)
			}
		}
	}
	return found
}

func pair(p *identity.Pair) []record.Record {
	var records []record.Record
	r := record.Record{Verdict: record.OK, Cause: "key", Subject: p.Public.Fingerprint(), Detail: fmt.Sprintf("%d %s %s", p.Public.Bits(), p.Public.Name(), p.Path)}
	if p.Private.Encrypted {
		r.Detail += ", with a passphrase"
	}
	for _, f := range p.Faults {
		if p.IgnoredBySSH(f) {
			r.Detail += fmt.Sprintf("; ssh does without %s, of which others would say: %s", f.Path, f.Detail)
			r.Hint = f.Hint
			continue
		}
		records = append(records, f.Record())
	}
	switch {
	case len(records) > 0:
		return records
	case p.NoPrivate:
		r = failure("key-missing", p.Path, "copy it from where it is, or add it to the agent; or make another pair: pikeygen -f FILE",
			"only its public half is here: %d %s %s.pub", p.Public.Bits(), p.Public.Name(), p.Path)
	}
	return []record.Record{r}
}

// certified are the records of the certificates that ssh would offer.
func certified(candidates []connect.Candidate, now time.Time) []record.Record {
	var records []record.Record
	for _, c := range candidates {
		cert, is, err := c.Public.Certificate()
		if !is {
			continue
		}
		r, faulty := Certificate(c.Key, cert, now)
		switch {
		case err != nil:
			r = failure("key-damaged", c.Name, signAnew, "%v", err)
		case faulty:
		case !c.HasPrivate():
			r = failure("key-missing", c.Name, "", "the private key that it certifies is not here")
		default:
			r = identity.CertificateRecord(c.Public, cert, c.Name)
		}
		records = append(records, r)
	}
	return records
}

// agent judges the agent that ssh would ask. encrypted says whether a key here has a
// passphrase.
func agent(ctx context.Context, host *connect.Host, keys connect.Keys, encrypted bool, home string, getenv func(string) string) []record.Record {
	if e := keys.AgentErr; e != nil {
		// Doing without an agent is no fault, unless a passphrase needs one.
		if e.Socket == "" && !encrypted {
			return nil
		}
		r := failure("agent-absent", e.Socket, `eval "$(ssh-agent -s)" && pikeycheck -a`, "%v", e)
		if found := identity.FindAgents(ctx, home, getenv, e.Socket); len(found) > 0 {
			r.Detail += fmt.Sprintf("; but one with %d keys answers at %s", found[0].Keys, found[0].Socket)
			r.Hint = "export SSH_AUTH_SOCK=" + sh.Quote(found[0].Socket)
		}
		return []record.Record{r}
	}
	if keys.AgentKeys == 0 {
		if !encrypted {
			return nil
		}
		return []record.Record{failure("agent-empty", host.Config.IdentityAgent, "pikeycheck -a", "the agent holds no key, and a key here has a passphrase")}
	}
	a, err := identity.DialAgent(ctx, host.Config.IdentityAgent)
	if err != nil {
		return []record.Record{failure("agent-absent", host.Config.IdentityAgent, "", "%v", err)}
	}
	defer a.Close()
	held, err := a.Keys(ctx)
	if err != nil {
		return []record.Record{failure("agent-absent", host.Config.IdentityAgent, "", "%v", err)}
	}
	var records []record.Record
	for _, key := range held {
		records = append(records, signs(ctx, a, key))
	}
	return records
}

// signs has the agent sign with a key.
func signs(ctx context.Context, a *identity.Agent, key sshkey.Public) record.Record {
	err := a.TestSign(ctx, key)
	switch {
	case err == nil:
		return record.Record{Verdict: record.OK, Cause: "agent", Subject: key.Fingerprint(), Detail: fmt.Sprintf("%s %s signs", key.Name(), key.Comment)}
	case errors.Is(err, identity.ErrRestricted):
		return record.Record{Verdict: record.OK, Cause: "agent-restricted", Subject: key.Fingerprint(),
			Detail: fmt.Sprintf("%s %s is for some destinations only, and does not sign for others", key.Name(), key.Comment)}
	}
	hint := "remove and add it again: ssh-add -d KEY; ssh-add KEY (and ssh-add -X if the agent is locked)"
	if errors.Is(err, identity.ErrAgentSilent) { // which is no refusal
		err = identity.ErrAgentSilent
		hint = "it may ask for a confirmation, a PIN or a touch: look for its window, and give it more time: pikeycheck --timeout 2m"
	}
	return failure("agent-refused", key.Fingerprint(), hint, "%s %s: %v", key.Name(), key.Comment, err)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
