package diagnose

import (
	"context"
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// Inside finds out, through a session that is still open, why the server
// refuses a key that is in the file path there: by its POSIX shell, or by sftp
// where the account runs none. It only reads. rep is of the fresh connection
// that refused the key. The records are failures, at least one, and what must
// be cured first comes first.
//
// A detail says how it is known: "seen" is what was looked at; "likely" is what
// follows from what was looked at, if what could not be is as it usually is.
// Where that names no cause, the record is key-refused and lists what remains.
func Inside(ctx context.Context, s Session, host *connect.Host, rep *session.Report, key sshkey.Public, path string) []record.Record {
	in := &inside{host: host, rep: rep, key: key, path: path, server: strictmodes.ServerOf(rep.ServerVersion)}
	fsys := hostfs.Far(s.Run, path)
	err := in.gather(ctx, s.Run)
	hint := ""
	if noShell(err) {
		hint = sshdLog
		if fsys, err = overSFTP(ctx, s, host.Config.User, err); err == nil {
			err = in.gatherFiles(ctx, fsys)
		}
	}
	if err == nil {
		err = in.judge(ctx, fsys)
	}
	switch {
	case len(in.seen)+len(in.likely) > 0:
		return append(in.seen, in.likely...)
	case err != nil:
		return []record.Record{failure("key-refused", "", hint, "the key is in %s and the server refuses it; looking for the cause failed: %v", path, err)}
	}
	return []record.Record{in.unexplained()}
}

// An inside is one search for the cause.
type inside struct {
	host   *connect.Host
	rep    *session.Report
	key    sshkey.Public
	path   string // of the keys file
	server strictmodes.Server

	facts
	config  *sshdconfig.Config // of sshd
	likely  []record.Record
	seen    []record.Record
	remains []string // what could be the cause, and could not be looked at
}

// usualFiles are asked for before it is known what the configuration includes.
var usualFiles = []string{sshdconfig.DefaultFile, sshdconfig.Dir + "/sshd_config.d/*.conf"}

// maxIncludes is how deep included files may include others: each level is a
// question of its own.
const maxIncludes = 4

// openSSH reports whether the server goes by sshd_config.
func (in *inside) openSSH() bool {
	return in.server == strictmodes.OpenSSH || in.server == strictmodes.Debian
}

// gather asks once for everything that can be foreseen, and again for what the
// answer makes necessary.
func (in *inside) gather(ctx context.Context, run hostfs.Runner) error {
	plain := sshkey.Public{Type: in.key.Type, Blob: in.key.Blob}
	q := question{account: true, keys: in.path, key: plain.Line()}
	if in.openSSH() {
		q.files = usualFiles
	}
	if err := in.ask(ctx, run, q); err != nil {
		return err
	}
	if in.account.Home == "" { // passwd(5) does not know the account
		in.account.Home = path.Dir(path.Dir(in.path))
	}
	if in.server.IsDropbear() {
		if name, _ := in.dropbearFile(); name != in.path {
			return in.ask(ctx, run, question{keys: in.path, same: name})
		}
	}
	if !in.openSSH() {
		return nil
	}

	args := in.arguments("sshd")
	main := sshdconfig.DefaultFile
	if given := option(args, 'f'); len(given) > 0 {
		main = given[0]
	}
	for range maxIncludes {
		missing := in.files.Missing(main)
		if len(missing) == 0 {
			break
		}
		if err := in.ask(ctx, run, question{files: missing}); err != nil {
			return err
		}
	}
	for _, pattern := range in.files.Missing(main) {
		in.files[pattern] = []sshdconfig.File{{Path: pattern, Unread: true}}
	}
	if len(in.files[main]) == 0 { // sshd does not start without: it is elsewhere
		in.files[main] = []sshdconfig.File{{Path: main, Unread: true}}
	}
	in.config = sshdconfig.Evaluate(option(args, 'o'), main, in.files, in.conn)

	q = question{keys: in.path, key: plain.Line()}
	if names, _ := in.config.KeysFiles(in.account.Home, in.account.UID); !slices.Contains(names, in.path) {
		q.same = strings.Join(names, "\n")
	}
	if list, ok := in.config.Get("RevokedKeys"); ok && list.Args[0] != "none" {
		q.revoked = list.Args[0]
	}
	if in.account.UID == 0 && in.conn.Address != "" {
		q.dump = fmt.Sprintf("-f %s -C user=%s,host=%s,addr=%[3]s,laddr=%s,lport=%d",
			main, in.conn.User, in.conn.Address, in.conn.LocalAddress, in.conn.LocalPort)
		for _, o := range option(args, 'o') {
			q.dump += " -o " + o
		}
	}
	if q.same == "" && q.revoked == "" && q.dump == "" {
		return nil
	}
	if err := in.ask(ctx, run, q); err != nil {
		return err
	}
	if in.dump != "" {
		in.config.Confirm(in.dump)
	}
	return nil
}

// judge goes the way of a key through the server (auth2.c, auth2-pubkey.c).
func (in *inside) judge(ctx context.Context, fsys hostfs.FS) error {
	if in.server.IsDropbear() {
		if name, ok := in.dropbearReads(); ok {
			if err := in.modes(ctx, fsys, name, ""); err != nil {
				return err
			}
			in.dropbearLines()
		}
		return nil
	}
	if !in.openSSH() {
		return in.modes(ctx, fsys, in.path, cut(in.rep.ServerVersion)+" goes by other rules than OpenSSH and dropbear")
	}
	if in.rep.Methods != nil && !slices.Contains(in.rep.Methods, "publickey") {
		in.methods()
		return nil
	}
	if in.rep.By == "" {
		in.accountRefused()
	}
	in.keyType()
	in.revocation()
	if name, ok := in.sshdReads(); ok {
		if err := in.modes(ctx, fsys, name, ""); err != nil {
			return err
		}
		in.entries()
	}
	in.securityLabel()
	return nil
}

// find adds a finding; unless says what could make it untrue, if anything could.
func (in *inside) find(unless, cause, subject, hint, format string, args ...any) {
	r := failure(cause, subject, hint, "seen: "+format, args...)
	if unless == "" {
		in.seen = append(in.seen, r)
		return
	}
	r.Detail = "likely" + strings.TrimPrefix(r.Detail, "seen") + "; unless " + unless
	in.likely = append(in.likely, r)
}

// unless says what could set a keyword otherwise than what was read.
func (in *inside) unless(keyword string) string {
	var others []string
	for _, s := range in.config.Possible(keyword) {
		others = append(others, "the Match block around "+s.At()+" holds here")
	}
	if len(in.config.Unread) > 0 {
		others = append(others, in.unread()+" says otherwise")
	}
	return strings.Join(others, ", or ")
}

func (in *inside) unread() string {
	return fmt.Sprintf("%s (which %s may not read)", strings.Join(in.config.Unread, ", "), in.account.Name)
}

// doubt notes a keyword that may be set against the key where we cannot see it.
func (in *inside) doubt(keywords ...string) {
	for _, keyword := range keywords {
		for _, s := range in.config.Possible(keyword) {
			in.remains = append(in.remains, fmt.Sprintf("%s %s at %s, if its Match holds here", keyword, strings.Join(s.Args, " "), s.At()))
		}
	}
}

const reload = " && sudo sshd -t && sudo systemctl reload ssh"

// withoutLine is how a line of sshd's configuration is taken out of force.
func withoutLine(s sshdconfig.Setting) string {
	if s.Line == 0 {
		return fmt.Sprintf("change %s there: it is set by %s", s.Keyword, s.File)
	}
	return fmt.Sprintf("there: sudo sed -i '%ds/^/#/' %s", s.Line, hostfs.Quote(s.File)) + reload
}

// methods is the case of a key that could not even be offered.
func (in *inside) methods() {
	const keyword = "AuthenticationMethods"
	list, set := in.config.Get(keyword)
	off, isOff := in.config.Get("PubkeyAuthentication")
	switch {
	case isOff && off.Args[0] == "no":
		in.find(in.unless("PubkeyAuthentication"), "pubkey-disabled", off.At(), withoutLine(off),
			"the server takes %s, and PubkeyAuthentication is no", methods(in.rep))
	case set && !in.config.StartsWithKey() && slices.ContainsFunc(list.Args, func(a string) bool { return strings.Contains(a, "publickey") }):
		in.find(in.unless(keyword), "more-needed", list.At(), withoutLine(list),
			"%s is %s: the key alone is not enough", keyword, strings.Join(list.Args, " "))
	case set && !in.config.StartsWithKey():
		in.find(in.unless(keyword), "pubkey-disabled", list.At(), withoutLine(list),
			"%s is %s: keys are not among them", keyword, strings.Join(list.Args, " "))
	default:
		in.find("", "pubkey-disabled", "", "there: sudo sshd -T -C user="+hostfs.Quote(in.account.Name)+" | grep -i -e pubkeyauth -e authenticationmethods",
			"the server takes %s, and no keys", methods(in.rep))
	}
}

// accountRefused is the case of a connection on which nothing let us in, not
// even what let us in before.
func (in *inside) accountRefused() {
	if s, ok := in.config.Get("PermitRootLogin"); ok && in.account.UID == 0 && s.Args[0] == "no" {
		in.find(in.unless("PermitRootLogin"), "root-refused", s.At(), withoutLine(s), "PermitRootLogin is no")
	}
	if s, refused := in.config.Refuses(); refused {
		detail := fmt.Sprintf("%s is %s", s.Keyword, strings.Join(s.Args, " "))
		hint := withoutLine(s)
		switch s.Keyword {
		case "AllowUsers":
			hint = strings.Replace(hint, "s/^/#/'", "s/$/ "+in.account.Name+"/'", 1)
		case "AllowGroups", "DenyGroups":
			detail += fmt.Sprintf(", and %s is in %s", in.account.Name, strings.Join(in.conn.Groups, " "))
		}
		in.find(in.unless(s.Keyword), "user-not-allowed", s.At(), hint, "%s", detail)
	}
	if in.noShell != "" {
		in.find("", "shell-missing", in.noShell, "as root there: chsh -s /bin/sh "+hostfs.Quote(in.account.Name),
			"the login shell is not there, or cannot be executed")
	}
	if state := strings.Fields(in.password); len(state) > 1 && strings.HasPrefix(state[1], "L") && !in.config.Is("UsePAM", "yes") {
		in.find("its password is only * in shadow(5)", "account-locked", in.account.Name, "as root there: usermod -p '*' "+hostfs.Quote(in.account.Name),
			"UsePAM is not on, and passwd -S says that the account is locked")
	}
	in.remains = append(in.remains, "the account: what let us in before does so no longer")
}

// needs are the first versions of OpenSSH that know a type of key.
var needs = map[string][2]int{
	"ssh-ed25519":                        {6, 5},
	"sk-ssh-ed25519@openssh.com":         {8, 2},
	"sk-ecdsa-sha2-nistp256@openssh.com": {8, 2},
	"ssh-mldsa44-ed25519@openssh.com":    {10, 5},
}

var openSSH = regexp.MustCompile(`OpenSSH_(\d+)\.(\d+)`)

func (in *inside) keyType() {
	const keyword = "PubkeyAcceptedAlgorithms"
	const other = "make another key: pikeygen -t ed25519 -f FILE; or "
	fp, name := in.key.Fingerprint(), in.key.Name()
	if m := openSSH.FindStringSubmatch(in.rep.ServerVersion); m != nil {
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		if v := needs[in.key.Type]; slices.Compare([]int{major, minor}, v[:]) < 0 {
			in.find("", "key-type-refused", fp, "make another key: pikeygen -t rsa -f FILE; or bring the server up to date",
				"%s does not know keys of type %s; OpenSSH %d.%d does", m[0], name, v[0], v[1])
			return
		}
	}
	algorithms := []string{in.key.Type}
	if in.key.Type == "ssh-rsa" {
		algorithms = []string{"rsa-sha2-512", "rsa-sha2-256"}
	}
	s, set := in.config.Get(keyword)
	switch {
	case in.config.Accepts(algorithms...):
	case !set:
		in.find("PubkeyAcceptedAlgorithms allows it", "key-type-refused", fp, "make another key: pikeygen -t ed25519 -f FILE",
			"OpenSSH takes no %s keys since 7.0", name)
	default:
		in.find(in.unless(keyword), "key-type-refused", s.At(), other+withoutLine(s),
			"%s is %s, without %s", keyword, strings.Join(s.Args, " "), strings.Join(algorithms, " or "))
	}
	if s, ok := in.config.Get("RequiredRSASize"); ok && in.key.Type == "ssh-rsa" {
		if least, err := strconv.Atoi(s.Args[0]); err == nil && in.key.Bits() < least {
			in.find(in.unless("RequiredRSASize"), "key-type-refused", s.At(), other+withoutLine(s),
				"RequiredRSASize is %d, and the key has %d bits", least, in.key.Bits())
		}
	}
	in.doubt(keyword, "RequiredRSASize")
}

func (in *inside) revocation() {
	s, ok := in.config.Get("RevokedKeys")
	if !ok || s.Args[0] == "none" {
		in.doubt("RevokedKeys")
		return
	}
	list := s.Args[0]
	unless := in.unless("RevokedKeys")
	const hint = "make another key: pikeygen -f FILE; somebody has revoked this one"
	switch {
	case strings.HasSuffix(in.revokedAnswer, "REVOKED"):
		in.find(unless, "key-revoked", list, hint, "ssh-keygen -Q finds the key in the list that RevokedKeys names at %s", s.At())
	case in.lists(in.revoked):
		in.find(unless, "key-revoked", list, hint, "the key is in the list that RevokedKeys names at %s", s.At())
	case in.revokedIs == listAbsent && in.rep.By != "publickey":
		in.find(unless, "key-revoked", list, "there: sudo touch "+hostfs.Quote(list),
			"RevokedKeys names a file at %s that is not there; sshd then takes every key for revoked", s.At())
	case in.revokedIs == listUnread:
		in.remains = append(in.remains, fmt.Sprintf("the list %s (RevokedKeys at %s, which %s may not read)", list, s.At(), in.account.Name))
	}
}

// lists reports whether a list of revoked keys, one a line, has the key.
func (in *inside) lists(text string) bool {
	return slices.ContainsFunc(authorizedkeys.Entries([]byte(text)), func(e authorizedkeys.Entry) bool { return e.Key.Equal(in.key) })
}

// line is the key as a word for a shell.
func (in *inside) line() string { return hostfs.Quote(in.key.Line()) }

// sshdReads returns the name by which sshd reads the file that our key was put
// in, and tells the cause if it does not.
func (in *inside) sshdReads() (name string, ok bool) {
	const keyword = "AuthorizedKeysFile"
	names, s := in.config.KeysFiles(in.account.Home, in.account.UID)
	ours := func(name string) bool {
		return name == in.path || slices.Contains(in.same, name)
	}
	if i := slices.IndexFunc(names, ours); i >= 0 {
		in.doubt(keyword)
		return names[i], true
	}
	for _, name := range names { // a pattern, from OpenSSH 10.0 on
		if match, _ := path.Match(name, in.path); match {
			in.doubt(keyword)
			return in.path, true
		}
	}
	command, ok := in.config.Get("AuthorizedKeysCommand")
	commands := ok && command.Args[0] != "none"
	switch {
	case len(names) == 0 && commands:
		in.find(in.unless("AuthorizedKeysCommand"), "keys-command", command.At(),
			fmt.Sprintf("add the key where %s looks it up; or have files read too: %s", command.Args[0], withoutLine(s)),
			"%s is none (%s), and the keys come from AuthorizedKeysCommand %s", keyword, s.At(), strings.Join(command.Args, " "))
	case len(names) == 0:
		in.find(in.unless(keyword), "keys-file-elsewhere", s.At(), withoutLine(s), "%s is none: no file is read", keyword)
	default:
		where, subject := "by default", names[0]
		if s.Args != nil {
			where, subject = fmt.Sprintf("%s %s at %s", keyword, strings.Join(s.Args, " "), s.At()), s.At()
		}
		detail := fmt.Sprintf("the server reads %s (%s), and the key was put in %s", strings.Join(names, ", "), where, in.path)
		if slices.ContainsFunc(s.Args, func(a string) bool { return strings.HasPrefix(a, "~") }) {
			detail += "; to sshd, ~ is the home of root, and %h that of the user"
		}
		if commands {
			detail += "; it asks AuthorizedKeysCommand too"
		}
		in.find(in.unless(keyword), "keys-file-elsewhere", subject, in.putThere(names[0], s), "%s", detail)
	}
	return "", false
}

// putThere is how the key gets into a file that a setting names: by ourselves
// in the home; by root where it is the account's alone. A file for several
// accounts would let the key in to all of them, so that the setting must change.
func (in *inside) putThere(file string, s sshdconfig.Setting) string {
	own := slices.ContainsFunc(s.Args, func(a string) bool { return strings.Contains(a, "%u") || strings.Contains(a, "%U") })
	switch {
	case strings.HasPrefix(file, in.account.Home+"/"):
		return fmt.Sprintf("echo %s | %s", in.line(), in.host.Again("pikeycopy -i - -t "+hostfs.Quote(file)))
	case own:
		return fmt.Sprintf("there: sudo install -d %s && echo %s | sudo tee -a %s", hostfs.Quote(path.Dir(file)), in.line(), hostfs.Quote(file))
	}
	return withoutLine(s)
}

// modes judges the way to the keys file, as StrictModes does, or, where that is
// off, what the user can open.
func (in *inside) modes(ctx context.Context, fsys hostfs.FS, name, unless string) error {
	findings, err := strictmodes.Judge(ctx, fsys, in.account, []string{name}, in.server)
	if err != nil {
		return fmt.Errorf("judging %s: %w", name, err)
	}
	strict := in.config == nil || !in.config.Is("StrictModes", "no")
	for _, f := range findings {
		if strict || !strings.HasSuffix(f.Cause, "-writable") && f.Cause != "wrong-owner" {
			in.find(unless, f.Cause, f.Path, in.host.Again("pikeyfix"), "%s", f.Detail)
		}
	}
	return nil
}

// entries looks at each line that holds the key. One that lets it in is enough.
func (in *inside) entries() {
	if !in.readable {
		return // which modes has explained
	}
	if len(in.lines) == 0 {
		in.find("", "key-not-installed", in.path, fmt.Sprintf("echo %s | %s", in.line(), in.host.Again("pikeycopy -i -")),
			"no line of the file holds the key any more")
		return
	}
	var found []func()
	for _, n := range in.lines {
		why := in.entry(n)
		if why == nil {
			return
		}
		found = append(found, why)
	}
	for _, tell := range found {
		tell()
	}
}

// entry returns how to tell why a line does not let the key in; nil if it does.
func (in *inside) entry(n numbered) (tell func()) {
	at := in.path + ":" + strconv.Itoa(n.number)
	again := func(program string) string { return fmt.Sprintf("echo %s | %s", in.line(), in.host.Again(program)) }
	deaf := func(why string) func() {
		return func() {
			in.find("", "key-not-installed", at, again("pikeycopy -f -i -"), "sshd passes the line by that holds the key: %s", why)
		}
	}
	e, ok := authorizedkeys.ParseLine([]byte(n.text))
	switch {
	case !ok:
		return deaf("it is a comment")
	case e.Dead != "":
		return deaf(e.Dead)
	case !e.Key.Equal(in.key):
		return deaf("it is another key's")
	}
	for _, o := range e.Options {
		switch o.Name {
		case "cert-authority":
			return deaf("cert-authority lets in what the key has signed, and not the key")
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
			return func() {
				in.find(unless, "entry-from", at,
					again(fmt.Sprintf("pikeycopy -f -i - --options %s", hostfs.Quote(fmt.Sprintf(`from="%s"`, in.conn.Address)))),
					`from="%s", and the server sees us as %s`, o.Value, in.conn.Address)
			}
		case "expiry-time":
			now, over := expired(o.Value, in.utc, in.local)
			if in.utc == "" {
				in.undecided(at, o.Name, o.Value)
			}
			if !over {
				continue
			}
			hint := again("pikeycopy -f -i - --expires 90d")
			if wrongClock(in.utc, time.Now()) {
				hint = "set the clock there: sudo timedatectl set-ntp true"
			}
			return func() {
				in.find("", "entry-expired", at, hint, `expiry-time="%s" is over: the clock there says %s`, o.Value, now)
			}
		}
	}
	return nil
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

func (in *inside) securityLabel() {
	if !refusedBySELinux(in.selinux, in.label) {
		return
	}
	in.find("a local policy allows it", "selinux-label", in.path, "there: restorecon -RFv "+hostfs.Quote(path.Dir(in.path)),
		"SELinux is enforcing and the file has the label %s, where sshd reads ssh_home_t", in.label)
}

// refusedBySELinux reports whether sshd may not read a file with the label,
// "user:role:type:level", in the mode that getenforce tells.
func refusedBySELinux(mode, label string) bool {
	w := strings.Split(label, ":")
	return mode == "Enforcing" && len(w) >= 3 && w[2] != "ssh_home_t"
}

// dropbearFile returns the file that dropbear reads, as far as its arguments
// tell, and what could make that untrue.
func (in *inside) dropbearFile() (name, unless string) {
	if given := option(in.arguments("dropbear"), 'D'); len(given) > 0 {
		dir := given[0]
		if rest, ok := strings.CutPrefix(dir, "~/"); ok {
			dir = in.account.Home + "/" + rest
		}
		return path.Join(dir, "authorized_keys"), ""
	}
	if in.openwrt && in.account.UID == 0 {
		return "/etc/dropbear/authorized_keys", "this OpenWrt reads both"
	}
	return in.account.Home + "/.ssh/authorized_keys", ""
}

// dropbearReads is sshdReads for dropbear, which has no configuration but its
// arguments.
func (in *inside) dropbearReads() (name string, ok bool) {
	name, unless := in.dropbearFile()
	if name == in.path || slices.Contains(in.same, name) {
		return name, true
	}
	in.find(unless, "keys-file-elsewhere", name, fmt.Sprintf("echo %s | %s", in.line(), in.host.Again("pikeycopy -i - -t "+hostfs.Quote(name))),
		"dropbear reads %s, and the key was put in %s", name, in.path)
	return in.path, unless != ""
}

func (in *inside) dropbearLines() {
	if !in.readable {
		return
	}
	if len(in.lines) == 0 {
		in.entries()
		return
	}
	var faults []string
	for _, n := range in.lines {
		fault := dropbearFault(n, in.key.Type, in.rep.ServerVersion)
		if fault == "" {
			return
		}
		faults = append(faults, fault)
	}
	for i, fault := range faults {
		in.find("", "dropbear-limits", in.path+":"+strconv.Itoa(in.lines[i].number),
			fmt.Sprintf("echo %s | %s", in.line(), in.host.Again("pikeycopy -f -i -")), "dropbear passes the line by: %s", fault)
	}
}

// dropbearOptions are those that dropbear knows (svr-authpubkeyoptions.c).
var dropbearOptions = []string{
	"command", "no-agent-forwarding", "no-port-forwarding", "no-pty", "no-touch-required", "no-x11-forwarding",
	"permitlisten", "permitopen", "restrict", "verify-required",
}

var dropbearYear = regexp.MustCompile(`dropbear_(\d{4})`)

// dropbearFault says why dropbear does not take a line that holds a key of
// type typ; "" if it does (svr-authpubkey.c checkpubkey_line()).
func dropbearFault(n numbered, typ, version string) string {
	most, lines := 4200, math.MaxInt // MAX_AUTHKEYS_LINE
	if year := dropbearYear.FindStringSubmatch(version); year != nil && year[1] >= "2026" {
		most, lines = 3000, 300 // and MAX_AUTHKEYS_LINE_COUNT
	}
	e, ok := authorizedkeys.ParseLine([]byte(n.text))
	switch {
	case !ok:
		return "it is a comment"
	case len(n.text) > most:
		return fmt.Sprintf("it has %d bytes, and %d are the most", len(n.text), most)
	case n.number > lines:
		return fmt.Sprintf("it reads the first %d lines only", lines)
	case e.Dead != "" && e.Options == nil:
		return e.Dead
	}
	for _, o := range e.Options {
		if !slices.Contains(dropbearOptions, o.Name) {
			return "it does not know the option " + o.Name
		}
	}
	const blanks = " \t"
	i := strings.Index(n.text, typ+" AAAA")
	switch {
	case strings.IndexAny(n.text, blanks) == 0:
		return "a blank stands before it"
	case i < 0:
		return "exactly one blank must stand between the type and the key"
	case i > 1 && strings.ContainsAny(n.text[i-2:i-1], blanks):
		return "exactly one blank must stand between the options and the type"
	}
	return ""
}

// sshdLog is where sshd says what nobody else is told.
const sshdLog = "look in the log there: sudo journalctl -u ssh --since -10min"

// unexplained is the record of a key that nothing found speaks against.
func (in *inside) unexplained() record.Record {
	detail := "the key is in " + in.path + ", and its line, owners and modes are good"
	if in.server.IsDropbear() {
		return failure("key-refused", in.key.Fingerprint(), "look in the log there: logread | grep dropbear, or journalctl -t dropbear", "%s", detail)
	}
	if !in.openSSH() {
		return failure("key-refused", in.key.Fingerprint(), "look in the log of the server there",
			"the key is in %s, with owners and modes that OpenSSH and dropbear take; where %s reads keys is not known here", in.path, cut(in.rep.ServerVersion))
	}
	hint := sshdLog
	if in.config != nil && len(in.config.Unread) > 0 {
		in.remains = append(in.remains, "AuthorizedKeysFile, AllowUsers or the like in "+in.unread())
		hint = fmt.Sprintf("there: sudo sshd -T -C user=%s,host=%s,addr=%[2]s | grep -E '^(authorized|pubkey|revoked|allow|deny|authentication)'",
			in.account.Name, in.conn.Address)
	}
	if len(in.remains) > 0 {
		return failure("key-refused", in.key.Fingerprint(), hint, "likely: %s; what remains: %s", detail, strings.Join(in.remains, "; "))
	}
	return failure("key-refused", in.key.Fingerprint(), hint, "%s, and nothing in sshd's configuration is against it; what remains: "+
		"sshd runs with an older configuration than its files hold, or what only its log tells", detail)
}
