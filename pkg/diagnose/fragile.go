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
	in := &inside{host: host, rep: rep, here: true, keys: []sshkey.Public{key.Public.Plain()}, server: strictmodes.ServerOf(rep.ServerVersion)}
	in.fsys = hostfs.Far(s.Run)
	if err := in.gather(ctx, s.Run); err != nil {
		if NoCommand(err.Error(), 0) == "password-expired" {
			note("the password has expired, and the server runs nothing until it is changed: %s", host.SSH())
		}
		return notes
	}
	names, _ := in.reads()
	files := in.expand(names)
	holders := in.holders(files, in.keys[0])
	for _, file := range holders {
		for _, n := range linesWith(in.held[file], in.keys[0]) {
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
	if in.config != nil && in.config.Is("StrictModes", "no") {
		note("StrictModes is no: owners and modes are not checked, so others may be able to take over the account")
		return notes
	}
	if in.server != strictmodes.Debian {
		return notes
	}
	strict, err := strictmodes.Judge(ctx, in.fsys, in.account, holders, strictmodes.OpenSSH)
	if err != nil {
		return notes
	}
	lenient, err := strictmodes.Judge(ctx, in.fsys, in.account, holders, strictmodes.Debian)
	if err != nil {
		return notes
	}
	for _, f := range strict {
		if !slices.ContainsFunc(lenient, func(l strictmodes.Finding) bool { return l.Path == f.Path && l.Cause == f.Cause }) {
			note("only Debian's sshd accepts %s: %s; %s", f.Path, f.Detail, in.again("pikeyfix --server all"))
		}
	}
	return notes
}
