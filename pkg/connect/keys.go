package connect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
)

// A Candidate is a key that could be offered to a host.
type Candidate struct {
	session.Key
	Pair   *identity.Pair // nil for a key that only the agent has
	Agent  bool           // the agent holds it
	Faults []identity.Fault
}

// HasPrivate reports whether this side could sign with the key, or at least has
// what that takes.
func (c Candidate) HasPrivate() bool {
	return c.Agent || (c.Pair != nil && !c.Pair.NoPrivate)
}

// Keys are the keys that this side has for a host.
type Keys struct {
	Candidates []Candidate      // in the order in which ssh offers them
	Broken     []*identity.Pair // with no public half that could be offered
	Looked     []string         // the files that were looked for
	Unaccepted []Candidate      // excluded by PubkeyAcceptedAlgorithms
	AgentErr   *identity.AgentError
	AgentKeys  int // how many the agent holds; -1 if there is no agent
}

// MaxOffers is the most keys that one connection offers: x/crypto gives up
// after 64 attempts of any kind.
const MaxOffers = 50

// Offers returns the keys in the form that session.Login takes.
func (k Keys) Offers() []session.Key {
	offers := make([]session.Key, len(k.Candidates))
	for i, c := range k.Candidates {
		offers[i] = c.Key
	}
	return offers
}

// Find returns the candidate for a public key.
func (k Keys) Find(public sshkey.Public) (Candidate, bool) {
	i := slices.IndexFunc(k.Candidates, func(c Candidate) bool { return c.Public.Equal(public) })
	if i < 0 {
		return Candidate{}, false
	}
	return k.Candidates[i], true
}

// IsCertificate reports whether c is a certificate rather than a key.
func (c Candidate) IsCertificate() bool { return sshkey.PlainType(c.Public.Type) != c.Public.Type }

// Keys collects the keys that ssh would offer to the host, in its order
// (sshconnect2.c pubkey_prepare): the certificates of CertificateFile, keys of
// the agent that identity files name, the agent's others unless IdentitiesOnly,
// then the files that no agent holds. Without a CertificateFile, the one in
// FILE-cert.pub goes after its key (ssh.c load_public_identity_files). extra
// files go before those of the configuration, as with ssh -i.
func (h *Host) Keys(ctx context.Context, extra ...string) Keys {
	keys := Keys{AgentKeys: -1}
	files := h.keysOfFiles(&keys, extra)
	both, agentOnly, files := h.keysOfAgent(ctx, &keys, files)
	certified := h.certificates(&keys, slices.Concat(both, agentOnly, files))
	for _, c := range slices.Concat(certified, both, agentOnly, files) {
		if h.accepts(c.Public) {
			keys.Candidates = append(keys.Candidates, c)
		} else {
			keys.Unaccepted = append(keys.Unaccepted, c)
		}
	}
	return keys
}

// keysOfFiles are those of the extra files and of IdentityFile, each followed by
// its certificate. It notes in keys what it looked for and what is broken.
func (h *Host) keysOfFiles(keys *Keys, extra []string) (files []Candidate) {
	for i, path := range slices.Concat(extra, h.Config.IdentityFiles) {
		keys.Looked = append(keys.Looked, path)
		s := h.c.pair(path)
		p, err := s.pair, s.err
		if err != nil {
			h.c.opt.Trace(1, h.Target, "%s: %v", path, err)
			continue
		}
		if p.Offered.Blob == nil {
			keys.Broken = append(keys.Broken, p)
			continue
		}
		c := Candidate{Key: session.Key{Public: p.Offered, Name: path, Signer: h.fileSigner(p)}, Pair: p, Faults: p.Faults}
		if strings.HasSuffix(path, ".pub") && i >= len(extra) {
			c.Pair, c.Faults = nil, nil // whatever the private half is like
			c.Signer = noPrivate(path, "IdentityFile names the public half, which ssh uses only with an agent that holds the private half",
				"name the private half: IdentityFile "+strings.TrimSuffix(path, ".pub"))
		}
		if i := slices.IndexFunc(files, func(f Candidate) bool { return f.Public.Equal(p.Offered) }); i >= 0 {
			if !files[i].HasPrivate() { // a copy of the public half was found first
				files[i] = c
			}
			continue
		}
		files = append(files, c)
		if cert, err := s.cert(); err == nil && len(h.Config.CertificateFiles) == 0 {
			c.Public, c.Name = identity.PublicOf(cert), p.CertificatePath()
			files = append(files, c)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			h.c.opt.Trace(1, h.Target, "%v", err)
		}
	}
	return files
}

// keysOfAgent are those of the agent that the files have too, those that it alone
// has, if they may be offered, and the files that are left. It notes in keys what
// the agent is like.
func (h *Host) keysOfAgent(ctx context.Context, keys *Keys, files []Candidate) (both, agentOnly, left []Candidate) {
	agent, held, err := h.c.agent(ctx, h.Config.IdentityAgent)
	if err != nil {
		errors.As(err, &keys.AgentErr)
	} else {
		keys.AgentKeys = len(held)
	}
	for _, public := range held {
		key := session.Key{Public: public, Name: "agent", Signer: agentSigner(agent, public)}
		if i := slices.IndexFunc(files, func(f Candidate) bool { return f.Public.Equal(public) }); i >= 0 {
			key.Name = files[i].Name + " (agent)"
			if files[i].HasPrivate() {
				key.Signer = unlessRestricted(key.Signer, files[i].Signer)
			}
			both = append(both, Candidate{Key: key, Pair: files[i].Pair, Agent: true})
			files = slices.Delete(files, i, i+1)
		} else if !h.Config.IdentitiesOnly {
			agentOnly = append(agentOnly, Candidate{Key: key, Agent: true})
		}
	}
	for i, c := range files { // the agent signs for the certificate of a key that it has
		if k, found := c.certified(both); found && c.IsCertificate() {
			files[i].Signer, files[i].Agent = k.Signer, true
		}
	}
	return both, agentOnly, files
}

// certificates are those of CertificateFile, each with what signs for the key in
// it (sshconnect2.c sign_and_send_pubkey).
func (h *Host) certificates(keys *Keys, candidates []Candidate) []Candidate {
	var list []Candidate
	for _, path := range h.Config.CertificateFiles {
		keys.Looked = append(keys.Looked, path)
		cert, err := identity.LoadCertificate(path)
		if err != nil {
			h.c.opt.Trace(1, h.Target, "%v", err)
			continue
		}
		c := Candidate{Key: session.Key{Public: identity.PublicOf(cert), Name: path}}
		if k, found := c.certified(candidates); found {
			c.Key.Signer, c.Pair, c.Agent, c.Faults = k.Signer, k.Pair, k.Agent, k.Faults
		} else {
			c.Key.Signer = noPrivate(path, "the private key that it certifies is not here", "")
		}
		list = append(list, c)
	}
	return list
}

// certified is the key in a certificate, where one of these can sign with it.
func (c Candidate) certified(keys []Candidate) (Candidate, bool) {
	plain := c.Public.Plain()
	i := slices.IndexFunc(keys, func(k Candidate) bool { return k.Public.Equal(plain) && k.HasPrivate() })
	if i < 0 {
		return Candidate{}, false
	}
	return keys[i], true
}

// An opener gets what signs with a key; see session.Key.
type opener = func(context.Context, session.Exchange) (ssh.Signer, error)

// noPrivate is the opener of a public half, or a certificate, without more.
func noPrivate(path, detail, hint string) opener {
	return func(context.Context, session.Exchange) (ssh.Signer, error) {
		return nil, identity.Fault{Cause: "key-missing", Path: path, Detail: detail, Hint: hint}
	}
}

// accepts reports whether ssh_config lets a key of this type, and of this length
// if it is RSA, be used. An RSA key signs under other names than its own.
func (h *Host) accepts(key sshkey.Public) bool {
	list := h.Config.PubkeyAcceptedAlgorithms
	if plain := key.Plain(); plain.Type == ssh.KeyAlgoRSA && plain.Bits() < h.Config.RequiredRSASize {
		return false
	}
	return list == nil || slices.ContainsFunc(list, func(a string) bool { return sshkey.KeyType(a) == key.Type })
}

// KeysOff reports whether ssh_config disables login by key for the host, and
// where.
func (h *Host) KeysOff() (where string, off bool) {
	if !h.Config.PubkeyAuthentication {
		return "PubkeyAuthentication no, " + h.Config.Sources["pubkeyauthentication"], true
	}
	if p := h.Config.PreferredAuthentications; p != nil && !slices.Contains(p, "publickey") {
		return "PreferredAuthentications without publickey, " + h.Config.Sources["preferredauthentications"], true
	}
	return "", false
}

// Hinders reports whether the fault keeps ssh from using the pair.
func Hinders(p *identity.Pair, f identity.Fault) bool {
	switch f.Cause {
	case "key-mode", "key-damaged", "key-format", "key-pair-mismatch", "key-unreadable":
		return !p.IgnoredBySSH(f)
	}
	return false
}

// fileSigner opens the private half when the server would accept the key. Its
// error is an identity.Fault for one that ssh would not read either.
func (h *Host) fileSigner(p *identity.Pair) opener {
	if p.NoPrivate {
		return noPrivate(p.Path, "only the public half is here", "copy it from where it is, or add it to the agent that ssh uses")
	}
	return func(ctx context.Context, _ session.Exchange) (ssh.Signer, error) {
		if i := slices.IndexFunc(p.Faults, func(f identity.Fault) bool { return Hinders(p, f) }); i >= 0 {
			return nil, p.Faults[i]
		}
		return h.signer(ctx, p)
	}
}

// agentSigner has the agent sign for one login.
func agentSigner(a *identity.Agent, key sshkey.Public) opener {
	return func(ctx context.Context, at session.Exchange) (ssh.Signer, error) {
		return a.BoundSigner(ctx, key, identity.Binding(at))
	}
}

// unlessRestricted uses the file of a key that the agent keeps for other
// destinations: ssh asks for the agent's list once it is bound, and finds such
// a key in its file only.
func unlessRestricted(agent, file opener) opener {
	return func(ctx context.Context, at session.Exchange) (ssh.Signer, error) {
		signer, err := agent(ctx, at)
		if errors.Is(err, identity.ErrRestricted) {
			return file(ctx, at)
		}
		return signer, err
	}
}

// pairState is a pair that has been read, and opened at most once.
type pairState struct {
	pair   *identity.Pair
	err    error
	cert   func() (*ssh.Certificate, error)
	turn   chan struct{} // held by who opens it, so that a passphrase is asked once for all targets
	signer ssh.Signer
	locked error // its passphrase was asked for in vain
}

func newPairState(p *identity.Pair, err error) *pairState {
	return &pairState{pair: p, err: err, cert: sync.OnceValues(p.Certificate), turn: make(chan struct{}, 1)}
}

// wait takes the turn. The target's clock stands still meanwhile: somebody is
// being asked for the passphrase that this target needs too.
func (s *pairState) wait(ctx context.Context) error {
	defer stopClock(ctx)()
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Connector) pair(path string) *pairState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.pairs[path]
	if !ok {
		s = newPairState(identity.Load(path))
		c.pairs[path] = s
	}
	return s
}

// signer opens a pair, asking for its passphrase as often as ssh does. That it
// could not be given holds for all targets.
func (h *Host) signer(ctx context.Context, p *identity.Pair) (ssh.Signer, error) {
	c := h.c
	c.mu.Lock()
	s := c.pairs[p.Path]
	if s == nil {
		s = newPairState(p, nil)
		c.pairs[p.Path] = s
	}
	c.mu.Unlock()
	if err := s.wait(ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.turn }()
	if s.signer == nil && s.locked == nil {
		from := h.source(&c.passphrases)
		err := from.Tries(h.Config.PasswordPrompts, func() (err error) {
			s.signer, err = p.Signer(ctx, func(ctx context.Context) ([]byte, error) {
				return ask(ctx, from, fmt.Sprintf("Enter passphrase for key '%s': ", p.Path))
			})
			return err
		})
		switch {
		case errors.Is(err, identity.ErrPassphraseWrong), errors.Is(err, secret.ErrDeclined):
			s.locked = err
		case err != nil:
			return nil, err
		}
	}
	return s.signer, s.locked
}

// An agentState is an agent that has been asked for its keys, once a run.
type agentState struct {
	once  sync.Once
	agent *identity.Agent
	keys  []sshkey.Public
	err   error
}

// agentPatience is how long an agent may take to list its keys. It asks nobody
// for that.
const agentPatience = 2 * time.Second

func (c *Connector) agent(ctx context.Context, socket string) (*identity.Agent, []sshkey.Public, error) {
	c.mu.Lock()
	s, ok := c.agents[socket]
	if !ok {
		s = &agentState{}
		c.agents[socket] = s
	}
	c.mu.Unlock()
	s.once.Do(func() {
		// What holds for all targets must not depend on one target's time.
		ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), agentPatience, fmt.Errorf("not within %v", agentPatience))
		defer cancel()
		if s.agent, s.err = identity.DialAgent(ctx, socket); s.err == nil {
			if s.keys, s.err = s.agent.Keys(ctx); s.err != nil {
				s.err = &identity.AgentError{Socket: socket, Err: s.err}
			}
		}
	})
	return s.agent, s.keys, s.err
}
