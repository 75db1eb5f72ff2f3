package install

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
)

// Copy puts the keys on the host and proves that they log in: one connection to
// install them, and a second, fresh one with exactly these keys. It returns one
// record for each key's place in the file, and one for its login.
func (j Job) Copy(ctx context.Context, host *connect.Host) []record.Record {
	if j.Authority {
		j.Files = nil // the key of an authority is to sign, and not to log in
	}
	mine := host.Keys(ctx, j.Files...)
	provable, unproven := j.provable(mine, host.Config.User, time.Now())
	// Those to be installed may be there already.
	others := func(k sshkey.Public) bool { return !slices.ContainsFunc(j.Keys, k.Equal) }
	client, rep, failed := diagnose.Enter(ctx, host, mine, offers(mine, others))
	if failed != nil {
		return []record.Record{*failed}
	}
	defer client.Close()
	if r, dropbear := diagnose.NoCertificates(host, rep); dropbear && j.Authority {
		return []record.Record{r}
	}

	var p *proof
	if !j.DryRun && len(provable) > 0 {
		p = prepare(ctx, host, mine, provable, rep)
		// Where nothing could be written there is nothing to prove, and a
		// server that misbehaved gets no second secret.
		defer p.abandon()
	}
	path, placed, err := j.put(ctx, client, rep)
	records := j.places(path, placed)
	if err != nil {
		return append(records, j.failure(ctx, host, client, rep, err))
	}
	for i := range records {
		if why := unproven[records[i].Subject]; why != "" && records[i].Verdict != record.Fail && !j.DryRun {
			records[i].Detail += "; not proven: " + why
			records[i].Hint = "to log in with it, sign a key: pikeygen -s CA -I ID -n USER -V +52w KEY"
		}
	}
	if p == nil {
		return records
	}
	if where, off := host.KeysOff(); off {
		for _, pl := range placed {
			records = append(records, record.Record{Verdict: record.Fail, Cause: "config-elsewhere", Subject: pl.Key.Fingerprint(),
				Detail: "not proven: login by key is disabled on this side: " + where})
		}
		return records
	}
	p.finish()
	return append(records, p.records(ctx, host, client, mine, path)...)
}

// put adds the keys. One that the server took on the way in is there already,
// wherever that is, and even if the command that it forces shows us no file.
func (j Job) put(ctx context.Context, client *session.Client, rep *session.Report) (path string, placed []placement, err error) {
	var taken, others []Line
	for _, k := range j.Keys {
		line := Line{k, j.Options}
		if a := rep.Answer(k); !j.Force && j.Path == "" && !j.Authority && (a == session.LogsIn || a == session.Accepted || a == session.SignFailed) {
			taken = append(taken, line)
		} else {
			others = append(others, line)
		}
	}
	engine, end := There(client, rep.ServerVersion, j.Path, !j.SFTP)
	defer end()
	if len(taken) > 0 {
		path, placed, err = putLines(ctx, engine, taken, false, true)
		if e, ok := errors.AsType[*PutError](err); ok && e.Cause == "command-forced" && j.Options == "" {
			path, placed = "", nil
			for _, l := range taken {
				placed = append(placed, placement{Key: l.Key, Unseen: e})
			}
		} else if err != nil {
			return "", nil, err
		}
		for i := range placed {
			placed[i].Added = false
		}
	}
	if len(others) == 0 {
		return path, placed, nil
	}
	path, found, err := putLines(ctx, engine, others, j.Force, j.DryRun)
	return path, append(placed, found...), err
}

// provable returns what can show by a login that the keys let in: they
// themselves, or for authorities a certificate that this side has of each, and
// that holds now for a user who is let in. Why there is none is said by the
// fingerprint of the authority.
func (j Job) provable(mine connect.Keys, user string, now time.Time) (keys []sshkey.Public, unproven map[string]string) {
	if !j.Authority {
		return j.Keys, nil
	}
	unproven = map[string]string{}
	for _, ca := range j.Keys {
		names := principals(Line{ca, j.Options}.entry())
		if names == nil {
			names = []string{user}
		}
		why := "no certificate of this authority is here"
		for _, c := range mine.Candidates {
			cert, certified, err := c.Public.Certificate()
			if err != nil || !certified || !cert.CA.Equal(ca) || !c.HasPrivate() {
				continue
			}
			if r, faulty := diagnose.Certificate(c.Key, cert, now); faulty {
				why = r.Detail
				continue
			}
			if !slices.ContainsFunc(cert.Principals, func(p string) bool { return slices.Contains(names, p) }) {
				why = "the certificate " + c.Name + " is for " + strings.Join(cert.Principals, ", ")
				continue
			}
			keys, why = append(keys, c.Public), ""
			break
		}
		if why != "" {
			unproven[ca.Fingerprint()] = why
		}
	}
	return keys, unproven
}

// A proof is the second connection. Every key but one is asked about, and one
// logs in: a key that can sign if there is any. Where none can, the connection
// still ends in a login, by whatever let us in before, and so it does where none
// does log in and the server punishes addresses that only ever knock.
type proof struct {
	offers  []session.Key // those to be proven, and one more perhaps
	asked   int           // how many are to be proven
	written chan struct{} // closed when the offering may begin
	done    chan struct{} // closed when rep and err are there
	rep     *session.Report
	err     error
	abandon func() // ends it, if it has not ended, and waits for that
}

// prepare makes the second connection while the first one works: it takes four
// round trips to where a key is offered.
func prepare(ctx context.Context, host *connect.Host, mine connect.Keys, keys []sshkey.Public, before *session.Report) *proof {
	p := &proof{offers: proofs(mine, keys), written: make(chan struct{}), done: make(chan struct{})}
	p.asked = len(p.offers)
	if in, ok := before.LoginKey(); ok && !slices.ContainsFunc(p.offers, func(k session.Key) bool { return k.Public.Equal(in.Public) }) {
		p.offers = append(p.offers, in)
	}
	signs := slices.ContainsFunc(p.offers, func(k session.Key) bool { return k.Signer != nil })
	// Where both are needed it is to be told so.
	_, partial := before.OfferWith(session.Partial)
	both := before.Password != session.LogsIn || partial
	password := before.PasswordSent && (!signs || both || before.Punishes())
	plan := connect.Plan{Keys: p.offers, MaxRefused: diagnose.MaxRefused, Password: password, Proof: !password, Hold: p.written}
	ctx, cancel := context.WithCancel(ctx)
	p.abandon = func() {
		cancel()
		<-p.done
	}
	go func() {
		defer close(p.done)
		client, rep, err := host.Login(ctx, plan)
		p.rep, p.err = rep, err
		if err == nil {
			p.err = session.ErrDenied // of the keys that did not make the login
		}
		if client != nil {
			client.Close()
		}
	}()
	return p
}

// finish has the keys offered.
func (p *proof) finish() {
	close(p.written)
	<-p.done
}

// records are those of the keys' logins.
func (p *proof) records(ctx context.Context, host *connect.Host, acting *session.Client, mine connect.Keys, path string) []record.Record {
	rep := p.rep
	var records, inside []record.Record
	for _, o := range p.offers[:p.asked] {
		fp := o.Public.Fingerprint()
		answer := rep.Answer(o.Public)
		look := answer == session.Refused || answer == session.Unanswered && rep.TooManyTries() || answer == session.SignatureRefused || answer == session.Unasked ||
			answer == "" && rep.Methods != nil && !slices.Contains(rep.Methods, "publickey")
		switch {
		case answer == session.LogsIn && errors.Is(p.err, session.ErrCutOff):
			records = append(records, diagnose.Login(ctx, host, mine, rep, p.err))
		case answer == session.LogsIn && rep.PasswordSent:
			records = append(records, record.Record{Verdict: record.Fail, Cause: "more-needed", Subject: fp, Detail: "it logs in only together with the password"})
		case answer == session.LogsIn:
			detail := "on a fresh connection"
			if sshkey.IsCertificate(o.Public.Type) {
				detail += ", by the certificate " + o.Name
			}
			records = append(records, record.Record{Verdict: record.OK, Cause: "login", Subject: fp, Detail: detail})
		case answer == session.Accepted:
			records = append(records, record.Record{Verdict: record.OK, Cause: "accepted", Subject: fp,
				Detail: "the server would accept it; " + why(o, mine)})
		case look:
			inside = diagnose.Inside(ctx, acting, host, diagnose.Refusal{Report: rep, Keys: []sshkey.Public{o.Public}, Path: path})
			fallthrough
		case answer == "" && inside != nil: // like those before it, after which we stopped asking
			for _, r := range inside {
				if r.Subject == "" {
					r.Subject = fp
				}
				records = append(records, r)
			}
		case answer == "" && p.asked > connect.MaxOffers:
			records = append(records, record.Record{Verdict: record.Fail, Cause: "too-many-tries", Subject: fp,
				Detail: "not checked: too many keys for one connection", Hint: "copy fewer keys at a time"})
		default: // not settled: the connection itself failed, or signing did
			records = append(records, diagnose.Login(ctx, host, mine, rep, p.err))
		}
	}
	return records
}

// proofs are the keys to ask about, and last, since it ends the
// authentication, the one to log in with.
func proofs(mine connect.Keys, keys []sshkey.Public) []session.Key {
	var offers []session.Key
	signs, sound := -1, false
	for i, k := range keys {
		c, here := mine.Find(k)
		if !here {
			c.Key = session.Key{Public: k, Name: "public half only"}
		}
		if better := len(c.Faults) == 0; c.HasPrivate() && (signs < 0 || better && !sound) {
			signs, sound = i, better
		}
		offers = append(offers, c.Key)
	}
	for i := range offers {
		if i != signs {
			offers[i].Signer = nil
		}
	}
	if signs < 0 {
		return offers
	}
	last := offers[signs]
	offers = slices.Delete(offers, signs, signs+1)
	return slices.Insert(offers, min(len(offers), connect.MaxOffers-1), last)
}

func why(k session.Key, mine connect.Keys) string {
	if c, _ := mine.Find(k.Public); c.HasPrivate() {
		return "the login was made with another of the keys"
	}
	return "its private half is not here"
}
