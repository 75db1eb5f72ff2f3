package diagnose

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// A Refusal is what Inside should explain.
type Refusal struct {
	Report *session.Report // of the connection that refused the keys
	Here   bool            // Inside looks through that same connection
	// Keys were refused. The records cover those in a file that the server
	// reads, or the first if none is.
	Keys []sshkey.Public
	Path string // the file there that they were put in; "" to look for them
	Way  string // the private key that let us in to look, if ssh would not offer it, for hints
}

// Inside finds out, through a logged-in session, why the server refuses keys:
// by its POSIX shell, or by sftp where the account runs none. It only reads.
// The records are failures, at least one, in the order in which to cure them.
//
// A detail says how it is known: "seen" was looked at; "logged" is what the
// server's log says about this login, in its words; "likely" follows from what
// was looked at, if what could not be is as usual. Where that names no cause,
// the record is key-refused and lists what remains.
func Inside(ctx context.Context, s session.Ways, host *connect.Host, r Refusal) []record.Record {
	rep, path := r.Report, r.Path
	in := &inside{host: host, rep: rep, here: r.Here, way: r.Way, keys: plainKeys(r.Keys), certs: refusedCerts(rep), path: path, server: strictmodes.ServerOf(rep.ServerVersion)}
	err := session.ByShell(ctx, s, func(run hostfs.Runner) error {
		in.fsys = hostfs.Far(run, path)
		return in.gather(ctx, run)
	}, func(client *sftp.Client) error {
		in.fsys = hostfs.SFTP(client, host.Config.User)
		return in.gatherFiles(ctx)
	})
	if err == nil {
		err = in.judge(ctx)
	}
	if err == nil && !slices.ContainsFunc(in.seen, func(r record.Record) bool { return !isKeysCommand(r) }) {
		in.readLog(ctx, s)
	}
	switch {
	case err != nil && NoCommand(err.Error(), 0) == "password-expired":
		return []record.Record{failure("password-expired", "", changePassword(host),
			"seen: instead of running a command the server says: Password change required; change it, then look for the cause of the refused keys")}
	case len(in.seen)+len(in.likely) > 0:
		return append(in.seen, in.likely...)
	case err != nil:
		return []record.Record{failure("key-refused", "", inLog(rep), "the server refuses the key; looking for the cause failed: %v", err)}
	}
	return []record.Record{in.unexplained()}
}

// An inside is one search for the cause.
type inside struct {
	host   *connect.Host
	rep    *session.Report
	here   bool // rep is of the connection that looks
	way    string
	keys   []sshkey.Public
	certs  []refusedCert
	path   string // that the keys were put in; "" if nobody says
	server strictmodes.Server
	fsys   hostfs.FS

	facts
	config    *sshdconfig.Config // of sshd
	installed []string           // the files that hold one of the keys, and that the server reads
	likely    []record.Record
	seen      []record.Record
	remains   []string // what could be the cause, and could not be looked at
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
	var key strings.Builder
	for _, k := range in.sought() {
		key.WriteString(sshkey.Public{Type: k.Type, Blob: k.Blob}.Line() + "\n")
	}
	q := question{account: true}
	if in.openSSH() {
		q.files = usualFiles
	}
	if err := in.ask(ctx, run, q); err != nil {
		return err
	}
	if in.account.Home == "" && in.path != "" { // passwd(5) does not know the account
		in.account.Home = path.Dir(path.Dir(in.path))
	}
	q = question{key: key.String()}
	if in.openSSH() {
		if err := in.configure(ctx, run, &q); err != nil {
			return err
		}
	}
	q.keys = in.places()
	if err := in.ask(ctx, run, q); err != nil {
		return err
	}
	if in.dump != "" {
		in.config.Confirm(in.dump)
	}
	return nil
}

// configure evaluates sshd's configuration, and adds to the question what that
// makes necessary to know.
func (in *inside) configure(ctx context.Context, run hostfs.Runner, q *question) error {
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
	return nil
}

// judge goes the way of a key through the server (auth2.c, auth2-pubkey.c).
func (in *inside) judge(ctx context.Context) error {
	names, unless := in.reads()
	switch {
	case in.partly():
		return nil
	case in.server.IsDropbear():
		if r, none := NoCertificates(in.host, in.rep); none && len(in.certs) > 0 {
			in.seen, in.certs = append(in.seen, r), nil // the key itself may still do
		}
		return in.keysFiles(ctx, names, unless)
	case !in.openSSH():
		return in.keysFiles(ctx, names, cut(in.rep.ServerVersion)+" follows rules other than those of OpenSSH and dropbear")
	}
	in.noKeys()
	if in.rep.By == "" {
		in.accountRefused()
	}
	in.keyTypes()
	in.revocation()
	in.certificates(ctx)
	if err := in.keysFiles(ctx, names, in.unless(keysFileKeyword)); err != nil {
		return err
	}
	in.doubt(keysFileKeyword)
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

// again is a command line for this host that gets in as we did.
func (in *inside) again(program string) string {
	if in.way != "" {
		program += " -o " + hostfs.QuoteLine(sshconfig.Identity(in.way))
	}
	return in.host.Again(program)
}

// unless says what could set a keyword otherwise than what was read.
func (in *inside) unless(keyword string) string {
	var others []string
	for _, s := range in.config.Possible(keyword) {
		others = append(others, "the Match block around "+s.At()+" applies here")
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
			in.remains = append(in.remains, fmt.Sprintf("%s %s at %s, if its Match applies here", keyword, strings.Join(s.Args, " "), s.At()))
		}
	}
}

const reload = " && sudo sshd -t && sudo systemctl reload ssh"

// withoutLine is how a line of sshd's configuration is taken out of force.
func withoutLine(s sshdconfig.Setting) string {
	if s.Line == 0 {
		return fmt.Sprintf("change %s there: it is set by %s", s.Keyword, s.File)
	}
	if s.Keyword == "AuthenticationMethods" || s.Keyword == "RevokedKeys" { // which protect others too
		return fmt.Sprintf("change line %d there, which may apply to others too: sudoedit %s", s.Line, hostfs.QuoteLine(s.File)) + reload
	}
	return edited(s, "s/^/#/")
}

// edited is how sed changes a setting's line, which stays as it was if sshd does
// not take the outcome: with a configuration that it does not take, sshd would
// not start again.
func edited(s sshdconfig.Setting, change string) string {
	return fmt.Sprintf("there: sudo cp -p %[1]s %[2]s && { sudo sed -i '%[3]d%[4]s' %[1]s && sudo sshd -t || { sudo mv %[2]s %[1]s; false; }; } && sudo systemctl reload ssh",
		hostfs.QuoteLine(s.File), hostfs.QuoteLine(s.File+".before"), s.Line, change)
}

// partly is the case of a key that counts, and is not enough.
func (in *inside) partly() bool {
	i := slices.IndexFunc(in.rep.Offers, func(o session.Offer) bool {
		return o.Answer == session.Partial || o.Answer == session.LogsIn && in.rep.Password == session.Partial
	})
	if i < 0 {
		return false
	}
	fp := in.rep.Offers[i].Key.Public.Fingerprint()
	if in.openSSH() {
		if list, set := in.config.Get("AuthenticationMethods"); set {
			in.find(in.unless("AuthenticationMethods"), "more-needed", fp, withoutLine(list),
				"the key was accepted, and AuthenticationMethods at %s is %s", list.At(), strings.Join(list.Args, " "))
			return true
		}
	}
	in.find("", "more-needed", fp, wantsMore(in.rep, in.account.Name), "the key was accepted, but the server requires more than a key")
	return true
}

// wantsMore is how an administrator sees, or changes, that a key is not enough.
func wantsMore(rep *session.Report, user string) string {
	if isDropbear(rep) { // dropbear(8)
		return "there: remove -t from dropbear's options (DROPBEAR_EXTRA_ARGS in /etc/default/dropbear), and restart it: sudo systemctl restart dropbear"
	}
	return Effective(user, "authenticationmethods")
}

// Effective returns a command that shows an administrator a user's settings.
func Effective(user string, keywords ...string) string {
	return "there: sudo sshd -T -C user=" + hostfs.QuoteLine(user) + " | grep -i -e " + strings.Join(keywords, " -e ")
}

// noKeys is the case of a key that could not even be offered.
func (in *inside) noKeys() {
	if in.rep.Methods == nil || slices.Contains(in.rep.Methods, "publickey") || len(in.rep.Offers) > 0 {
		return
	}
	const keyword = "AuthenticationMethods"
	list, set := in.config.Get(keyword)
	off, isOff := in.config.Get("PubkeyAuthentication")
	switch {
	case isOff && off.Args[0] == "no":
		in.find(in.unless("PubkeyAuthentication"), "pubkey-disabled", off.At(), withoutLine(off),
			"the server accepts %s, and PubkeyAuthentication is no", methods(in.rep))
	case set && !in.config.StartsWithKey() && slices.ContainsFunc(list.Args, func(a string) bool { return strings.Contains(a, "publickey") }):
		in.find(in.unless(keyword), "more-needed", list.At(), withoutLine(list),
			"%s is %s: the key alone is not enough", keyword, strings.Join(list.Args, " "))
	case set && !in.config.StartsWithKey():
		in.find(in.unless(keyword), "pubkey-disabled", list.At(), withoutLine(list),
			"%s is %s: keys are not among them", keyword, strings.Join(list.Args, " "))
	default:
		in.find("", "pubkey-disabled", "", Effective(in.account.Name, "pubkeyauth", "authenticationmethods"), "the server accepts %s, and no keys", methods(in.rep))
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
		if strings.HasSuffix(s.Keyword, "Groups") {
			detail += fmt.Sprintf(", and %s is in %s", in.account.Name, strings.Join(in.conn.Groups, " "))
		}
		in.find(in.unless(s.Keyword), "user-not-allowed", s.At(), in.allow(s), "%s", detail)
	}
	if in.noShell != "" {
		in.find("", "shell-missing", in.noShell, "there: sudo chsh -s /bin/sh "+hostfs.QuoteLine(in.account.Name),
			"the login shell does not exist, or cannot be executed")
	}
	if state := strings.Fields(in.password); len(state) > 1 && strings.HasPrefix(state[1], "L") && !in.config.Is("UsePAM", "yes") {
		in.find("its password is only * in shadow(5)", "account-locked", in.account.Name, "there: sudo usermod -p '*' "+hostfs.QuoteLine(in.account.Name),
			"UsePAM is not on, and passwd -S says that the account is locked")
	}
	in.remains = append(in.remains, "the account: what let us in before does so no longer")
}

// plainName is that of an account or a group which means itself to sed and in a
// pattern.
var plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`) })

// allow is how the account, and nobody besides, gets past a setting that refuses
// it.
func (in *inside) allow(s sshdconfig.Setting) string {
	name := in.account.Name
	switch {
	case s.Line == 0 || s.Keyword == "DenyUsers" && slices.Equal(s.Args, []string{name}):
		return withoutLine(s)
	case s.Keyword == "AllowUsers" && plainName().MatchString(name): // before the first word, since a comment may come after the last
		return edited(s, "s/^[[:space:]]*[[:alpha:]]*[[:space:]=]*/&"+name+" /")
	case s.Keyword == "AllowGroups" && plainName().MatchString(s.Args[0]):
		return "there: sudo gpasswd -a " + hostfs.QuoteLine(name) + " " + s.Args[0]
	}
	return "change " + s.Keyword + " there, for " + name + " alone: sudoedit " + hostfs.QuoteLine(s.File) + reload
}

// needs are the first versions of OpenSSH that know a type of key.
var needs = map[string][2]int{
	"ssh-ed25519":                        {6, 5},
	"sk-ssh-ed25519@openssh.com":         {8, 2},
	"sk-ecdsa-sha2-nistp256@openssh.com": {8, 2},
	"ssh-mldsa44-ed25519@openssh.com":    {10, 5},
}

func (in *inside) keyTypes() {
	for _, key := range in.spokenOf() {
		if len(in.certs) == 0 || len(in.holders(slices.Collect(maps.Keys(in.held)), key)) > 0 {
			in.keyType(key)
		}
	}
	in.doubt("PubkeyAcceptedAlgorithms", "RequiredRSASize")
}

func (in *inside) keyType(key sshkey.Public) {
	const keyword = "PubkeyAcceptedAlgorithms"
	other := in.anotherKey()
	fp, name := key.Fingerprint(), key.Name()
	if version, ok := in.rep.OpenSSH(); ok {
		if v := needs[key.Type]; slices.Compare(version[:], v[:]) < 0 {
			in.find("", "key-type-refused", fp, "make another key: pikeygen -t rsa -f FILE; or update the server",
				"OpenSSH %d.%d does not support keys of type %s; OpenSSH %d.%d does", version[0], version[1], name, v[0], v[1])
			return
		}
	}
	algorithms := []string{key.Type}
	if key.Type == "ssh-rsa" {
		algorithms = []string{"rsa-sha2-512", "rsa-sha2-256"}
	}
	s, set := in.config.Get(keyword)
	switch {
	case in.config.Accepts(algorithms...):
	case !set:
		in.find("PubkeyAcceptedAlgorithms allows it", "key-type-refused", fp, "make another key: pikeygen -t ed25519 -f FILE",
			"OpenSSH has not accepted %s keys since 7.0", name)
	default:
		in.find(in.unless(keyword), "key-type-refused", s.At(), other+withoutLine(s),
			"%s is %s, without %s", keyword, strings.Join(s.Args, " "), strings.Join(algorithms, " or "))
	}
	if s, ok := in.config.Get("RequiredRSASize"); ok && key.Type == "ssh-rsa" {
		if least, err := strconv.Atoi(s.Args[0]); err == nil && key.Bits() < least {
			in.find(in.unless("RequiredRSASize"), "key-type-refused", s.At(), other+withoutLine(s),
				"RequiredRSASize is %d, and the key has %d bits", least, key.Bits())
		}
	}
}

// anotherKey is how to make a key of a type that sshd does accept, if pikeygen
// makes one, in front of what else helps.
func (in *inside) anotherKey() string {
	for _, kind := range [][]string{{"ed25519", "ssh-ed25519"}, {"ecdsa", "ecdsa-sha2-nistp256"}, {"rsa", "rsa-sha2-512", "rsa-sha2-256"}} {
		if in.config.Accepts(kind[1:]...) {
			return "make another key: pikeygen -t " + kind[0] + " -f FILE\nhint: or "
		}
	}
	return ""
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
	case in.revokedIs == listAbsent && in.rep.By != "publickey":
		in.find(unless, "key-revoked", list, fmt.Sprintf("there: sudo mkdir -p %s && sudo touch %s", hostfs.QuoteLine(path.Dir(list)), hostfs.QuoteLine(list)),
			"RevokedKeys names a file at %s that does not exist; sshd then refuses every key as revoked", s.At())
	case in.revokedIs == listUnread:
		in.remains = append(in.remains, fmt.Sprintf("the list %s (RevokedKeys at %s, which %s may not read)", list, s.At(), in.account.Name))
	}
	for _, key := range append(in.spokenOf(), in.sought()[len(in.keys):]...) { // the authorities too
		i := slices.IndexFunc(in.sought(), key.Equal)
		switch {
		case i < len(in.revokedAnswers) && strings.HasSuffix(in.revokedAnswers[i], "REVOKED"):
			in.find(unless, "key-revoked", list, hint, "ssh-keygen -Q finds the key in the list that RevokedKeys names at %s", s.At())
		case slices.ContainsFunc(authorizedkeys.Entries([]byte(in.revoked)), func(e authorizedkeys.Entry) bool { return e.Key.Equal(key) }):
			in.find(unless, "key-revoked", list, hint, "the key is in the list that RevokedKeys names at %s", s.At())
		}
	}
}

func (in *inside) securityLabel() {
	for _, file := range in.installed {
		if label := in.labels[file]; refusedBySELinux(in.selinux, label) {
			in.find("a local policy allows it", "selinux-label", file, "there: restorecon -RFv "+hostfs.QuoteLine(path.Dir(file)),
				"SELinux is enforcing and the file has the label %s, but sshd reads ssh_home_t", label)
		}
	}
}

// refusedBySELinux reports whether sshd may not read a file with the label,
// "user:role:type:level", in the mode that getenforce tells.
func refusedBySELinux(mode, label string) bool {
	w := strings.Split(label, ":")
	return mode == "Enforcing" && len(w) >= 3 && w[2] != "ssh_home_t"
}

// inLog is where a server says what nobody else is told.
func inLog(rep *session.Report) string {
	orElse := ""
	if isDropbear(rep) { // which may be on OpenWrt
		orElse = "logread | grep dropbear, or "
	}
	return "look in the log there: " + orElse + "sudo " + journalOf(rep) + " --since -10min"
}

func journalOf(rep *session.Report) string {
	if isDropbear(rep) {
		return "journalctl -t dropbear"
	}
	return "journalctl -u ssh"
}

// unexplained is the record of a key that nothing found speaks against.
func (in *inside) unexplained() record.Record {
	fp := in.spokenOf()[0].Fingerprint()
	where := strings.Join(in.installed, " and ")
	if where == "" && len(in.certs) == 0 {
		return failure("key-refused", fp, inLog(in.rep), "likely: no file that could be read holds the key; what remains: %s", strings.Join(in.remains, "; "))
	}
	detail := "the key is in " + where + ", and its line, owners and modes are good"
	if len(in.certs) > 0 {
		detail = "the certificate is valid, its authority is trusted, and owners and modes are good"
	}
	if in.server.IsDropbear() {
		return failure("key-refused", fp, inLog(in.rep), "%s", detail)
	}
	if !in.openSSH() {
		return failure("key-refused", fp, "look in the server's log",
			"the key is in %s, with owners and modes that OpenSSH and dropbear accept; where %s reads keys is not known here", where, cut(in.rep.ServerVersion))
	}
	hint := inLog(in.rep)
	if in.config != nil && len(in.config.Unread) > 0 {
		in.remains = append(in.remains, "AuthorizedKeysFile, AllowUsers or the like in "+in.unread())
		hint = fmt.Sprintf("there: sudo sshd -T -C %s | grep -E '^(authorized|pubkey|revoked|allow|deny|authentication)'",
			hostfs.QuoteLine(fmt.Sprintf("user=%s,host=%s,addr=%[2]s", in.account.Name, in.conn.Address)))
	}
	if len(in.remains) > 0 {
		return failure("key-refused", fp, hint, "likely: %s; what remains: %s", detail, strings.Join(in.remains, "; "))
	}
	return failure("key-refused", fp, hint, "%s, and nothing in sshd's configuration speaks against it; what remains: "+
		"sshd is running with an older configuration than its files hold, or something that only its log shows", detail)
}
