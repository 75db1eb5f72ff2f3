package diagnose

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
)

// hindered are the faults of the keys for which ssh could not use them even if
// the server took them, one of each: that of a pair whose .pub is another's too,
// since it is .pub that is offered.
func hindered(keys connect.Keys, asked []session.Offer) (faults []identity.Fault) {
	for _, o := range asked {
		c, _ := keys.Find(o.Key.Public)
		i := slices.IndexFunc(c.Faults, func(f identity.Fault) bool { return connect.Hinders(c.Pair, f) })
		if i >= 0 && !c.Agent && o.Answer == session.Refused {
			faults = append(faults, c.Faults[i])
		}
	}
	return faults
}

// signing is the case of a key that the server would take, and that this side
// could not use.
func signing(keys connect.Keys, rep *session.Report) (record.Record, bool) {
	o, ok := rep.OfferWith(session.SignFailed)
	if !ok {
		return record.Record{}, false
	}
	// A key that is here, such as one whose passphrase was mistyped, comes before one that is not.
	if i := slices.IndexFunc(rep.Offers, func(o session.Offer) bool {
		fault, ok := errors.AsType[identity.Fault](o.Err)
		return o.Answer == session.SignFailed && !(ok && fault.Cause == "key-missing")
	}); i >= 0 {
		o = rep.Offers[i]
	}
	c, _ := keys.Find(o.Key.Public)
	fp, file := o.Key.Public.Fingerprint(), o.Key.Name
	if c.Pair != nil { // the private half, whatever certifies it
		file = c.Pair.Path
	}
	const taken = "the server would accept the key, but "
	var fault identity.Fault
	var unsupported *identity.UnsupportedError
	add := fmt.Sprintf("pikeycheck -a %s\nhint: or --passphrase-file FILE", sh.Quote(file))
	if keys.AgentErr != nil {
		add = `eval "$(ssh-agent -s)" && ` + add
	}
	switch {
	case errors.As(o.Err, &fault):
		return failure(fault.Cause, fault.Path, fault.Hint, taken+"%s", fault.Detail), true
	case errors.Is(o.Err, identity.ErrRestricted):
		return failure("agent-restricted", fp, "add it for this host too: ssh-add -d KEY; ssh-add -h HOST KEY, with every HOST that it is for",
			taken+"the agent holds it for other destinations only"), true
	case errors.Is(o.Err, identity.ErrPerhapsOthers):
		return failure("agent-refused", fp, addAgain(c)+" (and ssh-add -X if the agent is locked; if it was added with -h: ssh-add -h USER@HOST, with every user that it is for)",
			taken+"%v", o.Err), true
	case errors.Is(o.Err, identity.ErrAgentRefused):
		return failure("agent-refused", fp, addAgain(c)+" (and ssh-add -X if the agent is locked)", taken+"%v", o.Err), true
	case errors.As(o.Err, &unsupported):
		return failure("key-format", unsupported.Path, unsupported.Hint(), taken+"%s", unsupported.Reason), true
	case errors.Is(o.Err, secret.ErrNobody):
		return failure("key-encrypted", file, add, taken+"it has a passphrase, no agent holds it, and there is nobody to ask"), true
	case errors.Is(o.Err, identity.ErrPassphraseNeeded), errors.Is(o.Err, identity.ErrPassphraseWrong):
		return failure("key-encrypted", file, add, taken+"%v", o.Err), true
	case !errors.Is(o.Err, session.ErrSignature):
		return failure("key-damaged", file, "", taken+"%v", o.Err), true
	}
	if c.Agent {
		return failure("agent-refused", fp, addAgain(c), taken+"%v: the agent signs with another key", session.ErrSignature), true
	}
	return failure("key-damaged", file, "restore the file from a copy, or make a new pair: pikeygen -f FILE",
		taken+"%v: the private key in the file does not belong to the public key in it", session.ErrSignature), true
}

// addAgain is how the agent gets a key anew that it holds.
func addAgain(c connect.Candidate) string {
	file := "KEY"
	if c.Pair != nil {
		file = sh.Quote(c.Pair.Path)
	}
	return fmt.Sprintf("add it again: ssh-add -d %[1]s; ssh-add %[1]s", file)
}

func nothingOffered(host *connect.Host, keys connect.Keys, rep *session.Report) record.Record {
	if len(keys.Unaccepted) > 0 {
		c := keys.Unaccepted[0]
		keyword := "PubkeyAcceptedAlgorithms"
		if plain := c.Public.Plain(); plain.Type == ssh.KeyAlgoRSA && plain.Bits() < host.Config.RequiredRSASize {
			keyword = "RequiredRSASize"
		}
		return failure("config-elsewhere", c.Public.Fingerprint(), "", "%s excludes %s: %s",
			keyword, c.Public.Name(), host.Config.Sources[strings.ToLower(keyword)])
	}
	agent := "there is no agent"
	switch {
	case keys.AgentErr != nil && keys.AgentErr.Socket != "":
		agent = keys.AgentErr.Error()
	case keys.AgentKeys == 0:
		agent = "the agent holds none"
	case keys.AgentKeys > 0:
		agent = fmt.Sprintf("the agent's %d are not offered (IdentitiesOnly)", keys.AgentKeys)
	}
	for _, p := range keys.Broken {
		for _, f := range p.Faults {
			return failure(f.Cause, f.Path, f.Hint, "%s; %s", f.Detail, agent)
		}
	}
	if file, hint := unoffered(host, keys); file != "" {
		return failure("key-not-offered", file, hint, "ssh would not offer it to this target, and has no other key for it: %s", agent)
	}
	switch {
	case keys.AgentErr != nil && keys.AgentErr.Socket != "":
		return failure("agent-absent", keys.AgentErr.Socket, `make a key: pikeygen; or start an agent, and add one to it: eval "$(ssh-agent -s)" && pikeycheck -a FILE`,
			"there is no key file, and %s", agent)
	case keys.AgentKeys > 0:
		return failure("key-not-offered", "", "name the key: -o IdentityFile=KEY", "there is no key file, and %s", agent)
	case keys.AgentKeys == 0:
		return failure("agent-empty", "", "make a key: pikeygen; or add one: ssh-add KEY; or, if it is locked: pikeycheck -X", "there is no key file, and %s", agent)
	case len(keys.Looked) == 0:
		return failure("key-missing", "", "name the key: -o IdentityFile=KEY", "no key to offer: IdentityFile is none, and %s", agent)
	}
	return failure("key-missing", "", "pikeygen | "+host.AgainByPassword("pikeycopy -i -", rep.Methods), "no key to offer: none of %s exists, and %s",
		strings.Join(keys.Looked, ", "), agent)
}

// unoffered is a usable key file that ssh does not look for when it logs in to
// the host, and how to have it offered; "" if there is none.
func unoffered(host *connect.Host, keys connect.Keys) (file, hint string) {
	found := besides(keys.Looked)
	i := slices.IndexFunc(found, func(p *identity.Pair) bool {
		_, offered := keys.Find(p.Public) // by its public half, or by the agent
		return p.Usable() && !offered
	})
	if i < 0 {
		return "", ""
	}
	file = found[i].Path
	if whole, err := filepath.Abs(file); err == nil { // ssh takes one in its configuration from where it runs
		file = whole
	}
	hint = "try it: " + host.Again("pikeycheck -i "+sh.Quote(file))
	if config := host.ConfigFile(); config != "" {
		hint += fmt.Sprintf("\nhint: if it works, have ssh offer it: "+`printf 'Host %%s\n\tIdentityFile "%%s"\n' %s %s >> %s`,
			sh.Quote(host.Config.Alias), sh.Quote(file), config)
	}
	return file, hint
}
