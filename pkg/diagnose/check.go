package diagnose

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
)

// A Look says how we may log in to look for the cause after the server has
// refused the keys that ssh would offer. The zero value allows nothing.
type Look struct {
	Files    []string // private keys; a login by one of them does not count as ok
	Password bool
	Stay     bool // keep a connection that the keys have made, for further work
}

// maxTries is how many keys sshd refuses on one connection, and then still
// takes another try: MaxAuthTries is 6 by default.
const maxTries = 5

// Check logs in to a host by key, as ssh would. The client is nil unless that
// worked and look.Stay is set; if it did not work, the records name the causes,
// in the order in which to cure them. If the server refuses the keys and look
// has something else to log in with, Check does so, on the same connection if
// enough tries remain, and Inside looks for the causes there. Nothing is
// changed. The Login of the first record is what was seen of the connection.
func Check(ctx context.Context, host *connect.Host, look Look) (*session.Client, *session.Report, []record.Record) {
	client, rep, records := check(ctx, host, look)
	records[0].Login = seen(rep)
	return client, rep, records
}

func check(ctx context.Context, host *connect.Host, look Look) (*session.Client, *session.Report, []record.Record) {
	keys := host.Keys(ctx)
	offers := keys.Offers()
	var others []session.Key // that may only look
	if len(look.Files) > 0 {
		others = slices.DeleteFunc(host.Keys(ctx, look.Files...).Offers(), func(k session.Key) bool {
			_, ours := keys.Find(k.Public)
			return ours
		})
	}
	looking := look.Password || len(others) > 0
	if _, off := host.KeysOff(); off || len(offers) == 0 { // the cause is here
		looking = false
	}
	plan := connect.Plan{Keys: offers, Proof: !looking && !look.Stay}
	along := looking && len(offers)+len(others) <= maxTries
	if along {
		plan = connect.Plan{Keys: slices.Concat(offers, others), Password: look.Password}
	}
	client, rep, err := host.Login(ctx, plan)
	if client != nil && rep.By == "publickey" && !client.Alive(ctx) {
		client.Close()
		client, err = nil, cmp.Or(context.Cause(ctx), session.ErrCutOff)
	}
	verdict, refusal := judgeKeys(ctx, host, keys, rep, err, along)
	if verdict.Verdict == record.OK || !looking || !worthLooking(verdict, refusal) {
		if client != nil && verdict.Verdict != record.OK {
			client.Close()
			client = nil
		}
		return client, rep, []record.Record{verdict}
	}
	acting, actingRep := client, rep
	if err != nil && (!along || verdict.Cause == "too-many-tries") { // nothing but our keys has been tried
		acting, actingRep, err = host.Login(ctx, connect.Plan{Keys: others, MaxRefused: MaxRefused, Password: look.Password})
	}
	if err != nil {
		why := Login(ctx, host, keys, actingRep, err)
		return nil, rep, unlooked(host, look, verdict, why, actingRep, err)
	}
	defer acting.Close()
	refusal.By = actingRep.By
	way, _ := actingRep.LoginKey()
	file := strings.TrimSuffix(way.Name, " (agent)")
	found := Inside(ctx, acting, host, Refusal{Report: refusal, Keys: refusedKeys(refusal, offers), Here: acting == client, Way: file})
	return nil, rep, together(verdict, found, len(offers))
}

// unlooked are the records where nothing let us in to look for the cause: why is
// the record of the login that was to look, rep and err are what it came to.
func unlooked(host *connect.Host, look Look, verdict, why record.Record, rep *session.Report, err error) []record.Record {
	switch {
	case why.Cause == verdict.Cause && !look.Password:
		verdict.Detail += "; it refuses the keys of --inside-key too"
	case why.Cause == verdict.Cause:
	case rep.Password == session.Partial:
		verdict.Detail += "; the password alone does not let us in to look for the cause there"
	case rep.Password == session.Refused:
		return []record.Record{bothRefused(host, verdict, rep), why}
	case !asked(rep) && noPassword(rep):
		verdict.Detail += "; the server accepts no password to look for the cause there"
	case !asked(rep) && errors.Is(err, session.ErrDenied):
		verdict.Detail += "; no other key let us in to look for the cause there"
	default:
		return []record.Record{verdict, why}
	}
	return []record.Record{verdict}
}

// together adds the verdict to what was found there, where it says more. Of keys
// that were never offered it does: what was found is beside it.
func together(verdict record.Record, found []record.Record, keys int) []record.Record {
	if verdict.Cause == "too-many-tries" && keys > 1 {
		return append([]record.Record{verdict}, slices.DeleteFunc(found, func(r record.Record) bool {
			return r.Cause == "key-refused" || r.Cause == verdict.Cause
		})...)
	}
	if strings.HasPrefix(verdict.Cause, "cert-") && found[0].Cause == "key-refused" {
		found[0] = verdict
	}
	first := []string{"key-type-refused", "key-mode", "key-damaged", "key-format", "key-unreadable"}
	if slices.Contains(first, verdict.Cause) && !slices.ContainsFunc(found, func(r record.Record) bool { return r.Cause == verdict.Cause }) {
		found = append([]record.Record{verdict}, found...)
	}
	return found
}

// bothRefused lists what remains where the password is refused like the keys.
func bothRefused(host *connect.Host, verdict record.Record, rep *session.Report) record.Record {
	if verdict.Cause != "key-refused" {
		return verdict
	}
	where := "AllowUsers or the like"
	if isDropbear(rep) {
		where = "dropbear's -G or -w" // dropbear(8)
	}
	return failure(verdict.Cause, verdict.Subject, inLog(rep),
		"the server refuses the keys of user %s, and the password: there is no such user, or one who may not log in (%s, locked, expired, "+
			"no shell); or the password is wrong, and the keys are refused for a reason of their own", host.Config.User, where)
}

// asked reports whether the password had its turn.
func asked(rep *session.Report) bool { return rep.PasswordSent || rep.PasswordErr != nil }

// judgeKeys is Login, for the keys of this side alone: what else was tried after
// them, if along, is taken out of the report, which is returned too.
func judgeKeys(ctx context.Context, host *connect.Host, keys connect.Keys, rep *session.Report, err error, along bool) (record.Record, *session.Report) {
	if !along || rep.By == "none" {
		return Login(ctx, host, keys, rep, err), rep
	}
	alone := *rep
	alone.Offers = slices.DeleteFunc(slices.Clone(rep.Offers), func(o session.Offer) bool {
		_, ours := keys.Find(o.Key.Public)
		return !ours
	})
	// A password that counts matters only where no key could be offered before it.
	early := slices.ContainsFunc(alone.Offers, func(o session.Offer) bool { return o.Answer == session.Refused && !o.Late })
	if rep.Password != session.Partial || rep.PasswordErr != nil || early {
		alone.Password, alone.PasswordSent, alone.PasswordErr = "", false, nil
	}
	_, in := alone.LoginKey()
	_, unanswered := alone.OfferWith(session.Unanswered)
	if !in && (err == nil || asked(rep) || !unanswered && len(alone.Offers) == len(keys.Candidates)) {
		// What became of the rest does not matter.
		ctx, err, alone.Disconnect, alone.Stage = context.WithoutCancel(ctx), session.ErrDenied, "", session.Auth
	}
	return Login(ctx, host, keys, &alone, err), &alone
}

// worthLooking reports whether the cause is one that is found there, or one
// beside which there may be another. A server that lets everybody in refuses
// none.
func worthLooking(verdict record.Record, rep *session.Report) bool {
	switch verdict.Cause {
	case "key-refused", "key-type-refused", "too-many-tries", "pubkey-disabled", "more-needed", "cert-expired", "cert-not-yet", "cert-principal", "cert-refused":
		return rep.By != "none"
	case "key-mode", "key-damaged", "key-format", "key-unreadable": // of a key that the server refuses too
		_, unsigned := rep.OfferWith(session.SignFailed)
		return rep.By != "none" && !unsigned
	}
	return false
}

// refusedKeys are those that the server refused, without what certifies them;
// all of them where it let none be offered. Those that it left no try for come
// first.
func refusedKeys(rep *session.Report, offers []session.Key) []sshkey.Public {
	var refused []session.Key
	for _, o := range rep.Offers {
		switch o.Answer {
		case session.Refused, session.SignatureRefused, session.Unasked, session.Unanswered:
			refused = append(refused, o.Key)
		}
	}
	if refused == nil {
		refused = offers
	}
	if rep.TooManyTries() {
		refused = slices.Concat(slices.DeleteFunc(slices.Clone(offers), func(k session.Key) bool { return rep.Answer(k.Public) != "" }), refused)
	}
	var keys []sshkey.Public
	for _, k := range refused {
		keys = append(keys, k.Public)
	}
	return plainKeys(keys)
}

// plainKeys returns each key once, without what certifies it.
func plainKeys(keys []sshkey.Public) []sshkey.Public {
	var plain []sshkey.Public
	for _, k := range keys {
		if p := k.Plain(); !slices.ContainsFunc(plain, p.Equal) {
			plain = append(plain, p)
		}
	}
	return plain
}

// maxBefore is how much is told of what came before a version.
const maxBefore = 512

// seen is what a record tells of a connection.
func seen(rep *session.Report) *record.Login {
	l := &record.Login{Version: rep.ServerVersion, Banner: rep.Banner, Methods: rep.Methods, Password: string(rep.Password), By: rep.By,
		Connect: rep.Connect.Seconds(), Handshake: rep.Handshake.Seconds(), Auth: rep.Auth.Seconds()}
	if rep.Remote != nil {
		l.Address = rep.Remote.String()
	}
	if rep.HostKey != nil {
		l.HostKey = ssh.FingerprintSHA256(rep.HostKey)
	}
	start := string(rep.Start)
	if l.Version != "" {
		start, _, _ = strings.Cut(start, l.Version)
	}
	l.Before = start[:min(len(start), maxBefore)]
	for _, o := range rep.Offers {
		l.Keys = append(l.Keys, record.Offer{Fingerprint: o.Key.Public.Fingerprint(), Type: o.Key.Public.Type, Name: o.Key.Name, Answer: string(o.Answer)})
	}
	return l
}
