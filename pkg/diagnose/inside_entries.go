package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshkey"
)

// fault tells a fault of a keys file.
func (in *inside) fault(file string, f authorizedkeys.Fault, unless string) {
	hint := in.put("pikeycopy -f -i -")
	switch {
	case f.Cure != nil:
		hint = in.again("pikeyfix --rewrite")
	case f.Cause == "entry-private-key":
		hint = "remove it there, and make a new key pair, since this one is no longer secret: pikeygen -f FILE"
	}
	in.find(unless, f.Cause, fmt.Sprintf("%s:%d", file, f.First), hint, "%s", f.Why)
}

// entries looks at each line that holds the key. One that lets it in is enough.
func (in *inside) entries(ctx context.Context, key sshkey.Public) error {
	var found []func()
	for _, file := range in.installed {
		lines := linesWith(in.held[file], key)
		if len(lines) == 0 {
			continue
		}
		var faults []authorizedkeys.Fault
		if slices.ContainsFunc(lines, func(n numbered) bool { return n.dead(key) }) {
			data, err := in.tree.ReadFile(ctx, file)
			if err != nil {
				return err
			}
			faults = authorizedkeys.Faults(data)
		}
		for _, n := range lines {
			tell := in.entry(file, n, key, faults)
			if tell == nil {
				return nil
			}
			found = append(found, tell)
		}
	}
	for _, tell := range found {
		tell()
	}
	return nil
}

// dead reports whether sshd takes a line for no entry of the key.
func (n numbered) dead(key sshkey.Public) bool {
	e, ok := authorizedkeys.ParseLine([]byte(n.text))
	return !ok || e.Dead != "" || !e.Key.Equal(key)
}

// entry returns how to tell why a line does not let the key in; nil if it does.
func (in *inside) entry(file string, n numbered, key sshkey.Public, faults []authorizedkeys.Fault) (tell func()) {
	at := file + ":" + strconv.Itoa(n.number)
	again := func(program string) string {
		return fmt.Sprintf("echo %s | %s", sh.Quote(key.Line()), in.again(program))
	}
	if n.dead(key) {
		i := slices.IndexFunc(faults, func(f authorizedkeys.Fault) bool { return f.First <= n.number && n.number <= f.Last })
		if i >= 0 {
			return func() { in.fault(file, faults[i], "") }
		}
	}
	if in.server.IsDropbear() {
		why := authorizedkeys.DropbearFault(n.text, n.number, key.Type, in.rep.ServerVersion)
		if why == "" {
			return nil
		}
		return func() {
			in.find("", "dropbear-limits", at, again("pikeycopy -f -i -"), "dropbear ignores the line: %s", why)
		}
	}
	deaf := func(cause, why string) func() {
		return func() {
			in.find("", cause, at, again("pikeycopy -f -i -"), "sshd ignores the line that holds the key: %s", why)
		}
	}
	e, ok := authorizedkeys.ParseLine([]byte(n.text))
	switch {
	case !ok: // beside other entries, it was probably meant so
		return deaf("key-not-installed", "it is a comment")
	case e.Dead != "":
		return deaf("entry-dead", e.Dead)
	case !e.Key.Equal(key):
		return deaf("key-not-installed", "it is another key's")
	}
	if e.IsAuthority() {
		return deaf("key-not-installed", "cert-authority lets in what the key has signed, not the key itself")
	}
	return in.restricted(at, e, func(options string) string { return again("pikeycopy -f -i -" + options) })
}

// restricted returns how to tell which options of a line keep us out; nil if
// none does. again is the command line that writes the line with other options.
func (in *inside) restricted(at string, e authorizedkeys.Entry, again func(options string) string) (tell func()) {
	var tells []func()
	for _, o := range e.Options {
		switch o.Name {
		case "from":
			permits, sure := in.config.Permits(o.Value)
			if permits {
				continue
			}
			if in.conn.Address == "" {
				in.undecided(at, o.Name, o.Value)
				continue
			}
			unless := ""
			if !sure {
				unless = "it holds the name that the server finds for this address"
			}
			tells = append(tells, func() {
				in.find(unless, "entry-from", at,
					again(" --options "+sh.Quote(fmt.Sprintf(`from="%s"`, in.conn.Address))),
					`from="%s", and the server sees us as %s`, o.Value, in.conn.Address)
			})
		case "expiry-time":
			now, over := expired(o.Value, in.utc, in.local)
			if in.utc == "" {
				in.undecided(at, o.Name, o.Value)
			}
			if !over {
				continue
			}
			hint := again(" --expires 90d")
			if wrongClock(in.utc, time.Now()) {
				hint = "set the clock there: sudo timedatectl set-ntp true"
			}
			tells = append(tells, func() {
				in.find("", "entry-expired", at, hint, `expiry-time="%s" has passed: the clock there says %s`, o.Value, now)
			})
		}
	}
	if tells == nil {
		return nil
	}
	return func() {
		for _, tell := range tells {
			tell()
		}
	}
}

// expired compares an expiry-time, YYYYMMDD[HHMM[SS]] with Z behind it for UTC,
// with the clock there, and returns what that says.
func expired(until, utc, local string) (now string, over bool) {
	digits := strings.TrimRight(strings.ToUpper(until), "ZUTC")
	now = local
	if digits != until {
		now = utc
	}
	digits += strings.Repeat("0", max(0, len("YYYYMMDDHHMMSS")-len(digits)))
	return now, len(now) == len(digits) && digits < now
}

// wrongClock reports whether a clock is off by more than a day. A Raspberry Pi
// has none that runs while it is off.
func wrongClock(utc string, now time.Time) bool {
	there, err := time.Parse("20060102150405", utc)
	return err == nil && there.Sub(now).Abs() > 24*time.Hour
}
