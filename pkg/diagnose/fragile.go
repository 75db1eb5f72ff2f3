package diagnose

import (
	"context"
	"fmt"
	"slices"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// Fragile reports, through a working login by key, what may break it some day,
// and omits what cannot be looked at. It only reads.
func Fragile(ctx context.Context, s session.Ways, host *connect.Host, rep *session.Report) (notes []string) {
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	key, _ := rep.LoginKey()
	if when, ok := ends(key.Public); ok {
		note("the certificate expires on %s", when)
	}
	f := factsOf(rep, []sshkey.Public{key.Public}, "")
	if err := f.gather(ctx, s.Run); err != nil {
		if NoCommand(err.Error(), 0) == "password-expired" {
			note("the password has expired, and the server runs nothing until it is changed: %s", host.SSH())
		}
		return notes
	}
	names, _ := f.reads()
	files := f.expand(names)
	holders := f.holders(files, f.keys[0])
	for _, file := range holders {
		for _, n := range linesWith(f.held[file], f.keys[0]) {
			e, _ := authorizedkeys.ParseLine([]byte(n.text))
			for _, o := range e.Options {
				if o.Name == "expiry-time" || o.Name == "from" {
					note(`%s:%d has %s="%s"`, file, n.number, o.Name, o.Value)
				}
			}
		}
	}
	if holders == nil { // a certificate, or what AuthorizedKeysCommand knows
		holders = files
	}
	if f.config != nil && f.config.Is("StrictModes", "no") {
		note("StrictModes is no: owners and modes are not checked, so others may be able to take over the account")
		return notes
	}
	if f.server != strictmodes.Debian {
		return notes
	}
	fsys := hostfs.Far(s.Run)
	strict, err := strictmodes.Judge(ctx, fsys, f.account, holders, strictmodes.OpenSSH)
	if err != nil {
		return notes
	}
	lenient, err := strictmodes.Judge(ctx, fsys, f.account, holders, strictmodes.Debian)
	if err != nil {
		return notes
	}
	for _, s := range strict {
		if !slices.ContainsFunc(lenient, func(l strictmodes.Finding) bool { return l.Path == s.Path && l.Cause == s.Cause }) {
			note("only Debian's sshd accepts %s: %s; %s", s.Path, s.Detail, host.Again("pikeyfix --server all"))
		}
	}
	return notes
}
