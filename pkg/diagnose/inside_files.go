package diagnose

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

const keysFileKeyword = "AuthorizedKeysFile"

// reads returns the files that the server reads, as far as is known, and what
// could make that untrue.
func (in *inside) reads() (names []string, unless string) {
	switch {
	case in.server.IsDropbear():
		name, unless := in.dropbearFile()
		return []string{name}, unless
	case in.config != nil:
		names, _ := in.config.KeysFiles(in.account.Home, in.account.UID)
		return names, in.unless(keysFileKeyword)
	case in.path != "":
		return []string{in.path}, ""
	}
	return []string{in.account.Home + "/.ssh/authorized_keys"}, ""
}

// places are the files to look for the keys in, or patterns for them: those
// that the server reads, and others in which keys end up by mistake.
func (in *inside) places() []string {
	names, _ := in.reads()
	home := in.account.Home
	places := append(slices.Clone(names), home+"/.ssh/authori[sz]ed*", home+"/authorized_keys", "/etc/dropbear/authorized_keys")
	if in.path != "" {
		places = append(places, in.path)
	}
	return places
}

// holders returns those of the files that hold a key, by their text.
func (in *inside) holders(files []string, key sshkey.Public) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { return len(linesWith(in.held[file], key)) == 0 })
}

// linesWith returns the lines that hold the base64 of a key.
func linesWith(lines []numbered, key sshkey.Public) []numbered {
	text := base64.StdEncoding.EncodeToString(key.Blob)
	return slices.DeleteFunc(slices.Clone(lines), func(n numbered) bool { return !strings.Contains(n.text, text) })
}

// spokenOf are the keys that are in a file that the server reads, or else those
// in another file, or else the first that was refused.
func (in *inside) spokenOf() []sshkey.Public {
	names, _ := in.reads()
	for _, files := range [][]string{in.expand(names), slices.Collect(maps.Keys(in.held))} {
		installed := slices.DeleteFunc(slices.Clone(in.keys), func(k sshkey.Public) bool { return len(in.holders(files, k)) == 0 })
		if len(installed) > 0 {
			return installed
		}
	}
	return in.keys[:1]
}

// expand puts the files that were found in the place of patterns, which
// AuthorizedKeysFile may have from OpenSSH 10.0 on.
func (in *inside) expand(names []string) []string {
	var files []string
	for _, name := range names {
		files = append(files, name)
		for _, file := range slices.Sorted(maps.Keys(in.held)) {
			if match, _ := path.Match(name, file); match && file != name {
				files = append(files, file)
			}
		}
	}
	return files
}

// keysFiles judges the files that the server reads: the way to them, as
// StrictModes does, or, where that is off, what the user can open; and the
// lines there that hold a key. unless is what could make it read others.
func (in *inside) keysFiles(ctx context.Context, names []string, unless string) error {
	files := in.expand(names)
	stray := ""
	keys := in.keys
	if len(in.certs) > 0 && len(in.holders(files, in.spokenOf()[0])) == 0 {
		keys = in.sought() // it is the certificate that should log in
	}
	for _, key := range keys {
		for _, file := range in.holders(files, key) {
			if !slices.Contains(in.installed, file) {
				in.installed = append(in.installed, file)
			}
		}
		if others := in.holders(slices.Sorted(maps.Keys(in.held)), key); stray == "" && len(others) > 0 {
			stray = others[0]
		}
	}
	if in.path != "" && !slices.Contains(files, in.path) {
		stray = in.path
	}
	judged := in.installed
	if judged == nil {
		judged = files
	}
	findings, err := strictmodes.Judge(ctx, in.fsys, in.account, judged, in.server)
	if err != nil {
		return fmt.Errorf("judging %s: %w", strings.Join(judged, ", "), err)
	}
	findings = slices.DeleteFunc(findings, func(f strictmodes.Finding) bool { return f.Cause == "keys-misnamed" && in.lacksKeys(f.Path) })
	misnamed := slices.ContainsFunc(findings, func(f strictmodes.Finding) bool { return f.Cause == "keys-misnamed" })

	elsewhere := in.installed == nil && (len(files) == 0 || stray != "" && !misnamed)
	if elsewhere {
		in.elsewhere(files, stray, unless)
		findings = slices.DeleteFunc(findings, func(f strictmodes.Finding) bool { return !strings.HasPrefix(f.Path+"/", in.account.Home+"/") })
	}
	strict := in.config == nil || !in.config.Is("StrictModes", "no")
	inexact := unless
	if in.openSSH() || in.server.IsDropbear() {
		inexact = ""
	}
	for _, f := range findings {
		if strict || !strings.HasSuffix(f.Cause, "-writable") && f.Cause != "wrong-owner" {
			hint := in.again("pikeyfix")
			if f.Repair == strictmodes.Chmod && in.unusual(ctx, f) {
				hint = fmt.Sprintf("there: chmod %s %s", strictmodes.Octal(f.Mode), hostfs.Quote(f.Path))
			}
			in.find(inexact, f.Cause, f.Path, hint, "%s", f.Detail)
		}
	}
	switch {
	case elsewhere, misnamed:
		return nil
	case in.installed == nil && len(in.certs) > 0: // which have been judged
		return nil
	case in.installed == nil:
		return in.absent(ctx, files, findings, unless)
	case in.openSSH(), in.server.IsDropbear():
		for _, key := range in.spokenOf() {
			if err := in.entries(ctx, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// unusual reports whether a finding is of a place that pikeyfix may not know: it
// sees neither the arguments of sshd nor what a Match makes of a connection.
func (in *inside) unusual(ctx context.Context, f strictmodes.Finding) bool {
	if in.config == nil {
		return false
	}
	if _, s := in.config.KeysFiles(in.account.Home, in.account.UID); s.Args == nil {
		return false
	}
	usual, err := strictmodes.Judge(ctx, in.fsys, in.account, nil, in.server)
	return err == nil && !slices.ContainsFunc(usual, func(u strictmodes.Finding) bool { return u.Path == f.Path })
}

// lacksKeys reports whether a file was read and holds none of the keys.
func (in *inside) lacksKeys(file string) bool {
	lines, read := in.held[file]
	return read && len(lines) == 0
}

// elsewhere tells that the server reads other files than the one that holds
// the key.
func (in *inside) elsewhere(files []string, stray, unless string) {
	if in.server.IsDropbear() {
		in.find(unless, "keys-file-elsewhere", files[0], in.put("pikeycopy -i - -t "+hostfs.Quote(files[0])),
			"dropbear reads %s, and the key was put in %s", files[0], stray)
		return
	}
	if in.config == nil {
		in.find(unless, "keys-file-elsewhere", files[0], in.put("pikeycopy -i -"), "the key is in %s, and %s does not hold it", stray, files[0])
		return
	}
	_, s := in.config.KeysFiles(in.account.Home, in.account.UID)
	command, commands := in.keysCommand()
	switch {
	case len(files) == 0 && commands:
		in.find(in.unless(command.Keyword), "keys-command", command.At(),
			fmt.Sprintf("add the key where %s looks it up; or have files read too: %s", command.Args[0], withoutLine(s)),
			"%s is none (%s), and the keys come from %s %s", keysFileKeyword, s.At(), command.Keyword, strings.Join(command.Args, " "))
	case len(files) == 0:
		in.find(unless, "keys-file-elsewhere", s.At(), withoutLine(s), "%s is none: no file is read", keysFileKeyword)
	default:
		where, subject := "by default", files[0]
		if s.Args != nil {
			where, subject = fmt.Sprintf("%s %s at %s", keysFileKeyword, strings.Join(s.Args, " "), s.At()), s.At()
		}
		detail := fmt.Sprintf("the server reads %s (%s), and the key was put in %s", strings.Join(files, ", "), where, stray)
		if slices.ContainsFunc(s.Args, func(a string) bool { return strings.HasPrefix(a, "~") }) {
			detail += "; to sshd, ~ is the home of root, and %h that of the user"
		}
		in.find(unless, "keys-file-elsewhere", subject, in.putThere(files[0], s), "%s%s", detail, in.asksToo())
	}
}

func (in *inside) keysCommand() (sshdconfig.Setting, bool) {
	if in.config == nil {
		return sshdconfig.Setting{}, false
	}
	s, ok := in.config.Get("AuthorizedKeysCommand")
	return s, ok && s.Args[0] != "none"
}

func (in *inside) asksToo() string {
	if _, ok := in.keysCommand(); ok {
		return "; it asks AuthorizedKeysCommand too"
	}
	return ""
}

// put is the command line that hands the key to pikeycopy.
func (in *inside) put(program string) string {
	return fmt.Sprintf("echo %s | %s", hostfs.Quote(in.spokenOf()[0].Line()), in.again(program))
}

// putThere is how the key gets into a file that a setting names: by ourselves
// in the home; by root where it is the account's alone. A file for several
// accounts would let the key in to all of them, so that the setting must change.
func (in *inside) putThere(file string, s sshdconfig.Setting) string {
	own := slices.ContainsFunc(s.Args, func(a string) bool { return strings.Contains(a, "%u") || strings.Contains(a, "%U") })
	switch {
	case strings.HasPrefix(file, in.account.Home+"/"):
		return in.put("pikeycopy -i - -t " + hostfs.Quote(file))
	case own:
		return fmt.Sprintf("there: sudo mkdir -p %s && printf '\\n%%s\\n' %s | sudo tee -a %s", hostfs.Quote(path.Dir(file)), hostfs.Quote(in.spokenOf()[0].Line()), hostfs.Quote(file))
	}
	return withoutLine(s)
}

// absent tells why no line of the files holds a key.
func (in *inside) absent(ctx context.Context, files []string, findings []strictmodes.Finding, unless string) error {
	gone := slices.ContainsFunc(findings, func(f strictmodes.Finding) bool {
		return strings.HasPrefix(f.Cause, "home-") && f.Cause != "home-writable"
	})
	hidden, live, explained := false, false, false
	for _, file := range files {
		if _, read := in.held[file]; !read {
			_, _, err := strictmodes.RealPath(ctx, in.fsys, file)
			switch link := in.link(ctx, file); {
			case errors.Is(err, fs.ErrNotExist) && link != "":
				explained = true
				in.find(unless, "keys-symlink", link, fmt.Sprintf("there: mv %[1]s %[1]s.aside; then: %[2]s", hostfs.Quote(link), in.put("pikeycopy -i -")),
					"it is a link that leads to nothing")
			case !errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(file, "*?["):
				hidden = true
				in.remains = append(in.remains, fmt.Sprintf("what is in %s, which %s may not read", file, in.account.Name))
			}
			continue
		}
		data, err := in.fsys.ReadFile(ctx, file)
		if errors.Is(err, fs.ErrNotExist) { // meanwhile
			continue
		} else if err != nil {
			return err
		}
		lives := slices.ContainsFunc(authorizedkeys.Entries(data), func(e authorizedkeys.Entry) bool { return e.Dead == "" })
		live = live || lives
		for _, f := range authorizedkeys.Faults(data) {
			switch in.belongs(f, data) {
			case ours:
				explained = true
				in.fault(file, f, "")
			case perhaps:
				explained = explained || !lives
				in.fault(file, f, "it is another key")
			}
		}
	}
	if gone || hidden || explained {
		return nil
	}
	detail := "no line of " + strings.Join(files, " or ") + " holds the key"
	if len(in.keys) > 1 {
		detail = fmt.Sprintf("no line of %s holds one of the %d keys", strings.Join(files, " or "), len(in.keys))
	}
	in.find(unless, "key-not-installed", files[0], in.put("pikeycopy -i -"), "%s%s%s", detail, in.asksToo(), in.forgets(ctx))
	return nil
}

// forgets tells of a home whose changes are gone after a reboot: so a key may
// have been put there before.
func (in *inside) forgets(ctx context.Context) string {
	tree, ok := in.fsys.(strictmodes.Examiner)
	if !ok {
		return ""
	}
	if a, err := tree.Attributes(ctx, in.account.Home); err != nil || a.FS != "overlay" {
		return ""
	}
	return "; home is on an overlay, which may forget at a reboot what is put there (raspi-config switches it off)"
}

// link is a file, or else its folder, if that is a symbolic link, else "".
func (in *inside) link(ctx context.Context, file string) string {
	for _, name := range []string{file, path.Dir(file)} {
		if _, err := in.fsys.Readlink(ctx, name); err == nil {
			return name
		}
	}
	return ""
}

// A belonging says whether a fault of a file keeps one of our keys out.
type belonging int

const (
	foreign belonging = iota
	perhaps
	ours
)

// blobs finds what looks like a key, or the beginning of one.
var blobs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:^|[\s"',])(AAAA[A-Za-z0-9+/]*)`) })

func (in *inside) belongs(f authorizedkeys.Fault, data []byte) belonging {
	if len(f.Keys) > 0 {
		if slices.ContainsFunc(in.keys, func(k sshkey.Public) bool { return slices.ContainsFunc(f.Keys, k.Equal) }) {
			return ours
		}
		return foreign
	}
	lines := strings.Split(string(data), "\n")[f.First-1 : f.Last]
	found := blobs().FindAllStringSubmatch(strings.Join(lines, "\n"), -1)
	if len(found) == 0 {
		return perhaps
	}
	for _, key := range in.keys {
		whole := base64.StdEncoding.EncodeToString(key.Blob)
		for _, m := range found {
			n := 0
			for n < min(len(m[1]), len(whole)) && m[1][n] == whole[n] {
				n++
			}
			switch {
			case n >= len(whole)/2: // well past what all keys of a type begin with
				return ours
			case n == len(m[1]):
				return perhaps
			}
		}
	}
	return foreign
}

// fault tells a fault of a keys file.
func (in *inside) fault(file string, f authorizedkeys.Fault, unless string) {
	hint := in.put("pikeycopy -f -i -")
	switch {
	case f.Cure != nil:
		hint = in.again("pikeyfix --rewrite")
	case f.Cause == "entry-private-key":
		hint = "take it out there, and make a new key pair, since this one is not secret any more: pikeygen -f FILE"
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
			data, err := in.fsys.ReadFile(ctx, file)
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
		return fmt.Sprintf("echo %s | %s", hostfs.Quote(key.Line()), in.again(program))
	}
	if n.dead(key) {
		i := slices.IndexFunc(faults, func(f authorizedkeys.Fault) bool { return f.First <= n.number && n.number <= f.Last })
		if i >= 0 {
			return func() { in.fault(file, faults[i], "") }
		}
	}
	if in.server.IsDropbear() {
		why := dropbearFault(n, key.Type, in.rep.ServerVersion)
		if why == "" {
			return nil
		}
		return func() {
			in.find("", "dropbear-limits", at, again("pikeycopy -f -i -"), "dropbear passes the line by: %s", why)
		}
	}
	deaf := func(cause, why string) func() {
		return func() {
			in.find("", cause, at, again("pikeycopy -f -i -"), "sshd passes the line by that holds the key: %s", why)
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
	if slices.ContainsFunc(e.Options, func(o authorizedkeys.Option) bool { return o.Name == "cert-authority" }) {
		return deaf("key-not-installed", "cert-authority lets in what the key has signed, and not the key")
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
				unless = "the name that the server finds for this address is in it"
			}
			tells = append(tells, func() {
				in.find(unless, "entry-from", at,
					again(" --options "+hostfs.Quote(fmt.Sprintf(`from="%s"`, in.conn.Address))),
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
				in.find("", "entry-expired", at, hint, `expiry-time="%s" is over: the clock there says %s`, o.Value, now)
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
