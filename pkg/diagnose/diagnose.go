// Package diagnose names the cause of what happened to a login: it maps what
// was seen of this side, the wire and the far files to the words of
// pi-key-causes(7), and never to more than was seen.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshkey"
)

// A failure is a record in the making.
func failure(cause, subject, hint, format string, args ...any) record.Record {
	return record.Record{Verdict: record.Fail, Cause: cause, Subject: subject, Hint: hint, Detail: fmt.Sprintf(format, args...)}
}

// Config is the record of a target whose configuration cannot be had.
func Config(ctx context.Context, err error) record.Record {
	if r, ended := contextEnd(ctx, "reading the configuration"); ended {
		return r
	}
	var mode *sshconfig.PermissionError
	if errors.As(err, &mode) {
		return failure("config-writable", mode.Path, "pikeyfix", "%v", err)
	}
	return failure("config-bad", "", "", "%v", err)
}

// Login is the record of a login with keys: ok if a key let us in, else the
// cause, from what keys this side has and what the report and error of
// connect.Host.Login say.
func Login(ctx context.Context, host *connect.Host, keys connect.Keys, rep *session.Report, err error) record.Record {
	if err == nil {
		return success(rep)
	}
	var jump *connect.JumpError
	if errors.As(err, &jump) {
		if errors.Is(jump.Err, session.ErrTooSlow) { // the jump host has a time of its own
			late, end := context.WithCancelCause(ctx)
			end(session.ErrTooSlow)
			ctx = late
		}
		r := Config(ctx, jump.Err)
		if jump.Host != nil {
			r = Login(ctx, jump.Host, jump.Keys, jump.Report, jump.Err)
		}
		r.Detail = "jump host " + jump.Target + ": " + r.Detail
		return r
	}
	if r, impostor := hostKeyUnproven(err); impostor {
		return r
	}
	if errors.Is(err, connect.ErrJumpEnded) {
		return Ended(ctx, "passing the connection on", err)
	}
	if errors.Is(err, session.ErrNotSSH2) {
		return failure("not-ssh", "", "", "it speaks %s, not SSH 2", cut(rep.ServerVersion))
	}
	var hosts *connect.HostsCommandError
	errors.As(err, &hosts)
	if r, ended := contextEnd(ctx, string(rep.Stage)); ended && (hosts == nil || r.Cause != "too-slow") {
		if rep.Stage == session.Dialling && r.Cause == "too-slow" {
			return unreachable(host, "timeout", "no answer from %s port %d within the time for this target", host.Config.HostName, host.Config.Port)
		}
		return r
	}
	var hostKey *connect.HostKeyError
	if errors.As(err, &hostKey) {
		cause := map[knownhosts.Status]string{knownhosts.Revoked: "host-key-revoked", knownhosts.Unknown: "host-key-unknown"}[hostKey.Status]
		if cause == "" {
			cause = "host-key-changed"
		}
		return failure(cause, hostKey.Shown.Fingerprint(), hostKey.Hint(), "%v", hostKey)
	}
	var revocation *connect.RevocationError
	if errors.As(err, &revocation) {
		return failure("config-bad", "", "", "%v", revocation)
	}
	if hosts != nil {
		return failure("config-bad", "", "try it by hand: "+host.Config.KnownHostsCommand, "%s: %s", cut(hosts.Error()), host.Config.Sources["knownhostscommand"])
	}
	var command *connect.CommandError
	if errors.As(err, &command) && len(rep.Start) == 0 {
		return failure("host-unreachable", "", "try it by hand: "+host.Config.ProxyCommand, "the %s", cut(command.Error()))
	}
	if errors.Is(err, connect.ErrAlgorithms) {
		return failure("no-common-algorithm", "", "", "%v", err)
	}
	if errors.Is(err, session.ErrSilent) {
		return failure("timeout", "", "it may be starting, or busy: --wait 5m, or a longer ConnectTimeout", "%s port %d takes the connection, and says nothing within ConnectTimeout",
			host.Config.HostName, host.Config.Port)
	}
	switch rep.Stage {
	case session.Dialling:
		return dialling(host, err)
	case session.Versions:
		return versions(host, rep)
	case session.KeyExchange:
		return keyExchange(rep, err)
	case session.HostKey: // the key was to be trusted, and could not be remembered
		return failure("write-failed", "", "", "%v", err)
	}
	return authentication(host, keys, rep, err)
}

func success(rep *session.Report) record.Record {
	key, byKey := rep.LoginKey()
	if !byKey {
		return failure("key-refused", "", "", "logged in by %s, not by a key", rep.By)
	}
	if rep.PasswordSent {
		return failure("more-needed", key.Public.Fingerprint(), "", "the key logs in only together with the password")
	}
	until := ""
	if when, ok := ends(key.Public); ok {
		until = " valid until " + when
	}
	return record.Record{Verdict: record.OK, Cause: "login", Subject: key.Public.Fingerprint(),
		Detail: fmt.Sprintf("%s %s%s, %s", key.Public.Name(), key.Name, until, strings.TrimPrefix(rep.ServerVersion, "SSH-2.0-"))}
}

// Ended is the record of work on a host that we are logged in to, which an
// error of session.Client.Run or of a hostfs.Far on it has ended. step is what
// the work was at.
func Ended(ctx context.Context, step string, err error) record.Record {
	if r, impostor := hostKeyUnproven(err); impostor {
		return r
	}
	if r, ended := contextEnd(ctx, step); ended {
		return r
	}
	var closed *ssh.OpenChannelError
	if errors.As(err, &closed) {
		return failure("no-shell", "", "there: MaxSessions in sshd_config must not be 0", "it was at: %s; the server opens no session: %s", step, cut(closed.Message))
	}
	var exit *ssh.ExitError
	if errors.Is(err, session.ErrNoCommand) || errors.Is(err, hostfs.ErrNoShell) || errors.As(err, &exit) {
		return failure("no-shell", "", "the account must run a POSIX shell for this", "it was at: %s; %s", step, cut(err.Error()))
	}
	return failure("connection-dropped", "", "run it again: it goes on with what is left", "it was at: %s; %s", step, cut(err.Error()))
}

// hostKeyUnproven is the case of a server that is perhaps not who it says.
func hostKeyUnproven(err error) (record.Record, bool) {
	const hint = "somebody else may be answering in its place: do not log in; compare with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console"
	switch {
	case errors.Is(err, session.ErrHostKeyTurned):
		return failure("host-key-changed", "", hint, "%v", session.ErrHostKeyTurned), true
	case errors.Is(err, session.ErrHostKey):
		return failure("host-key-unproven", "", hint, "%v", session.ErrHostKey), true
	}
	return record.Record{}, false
}

// contextEnd is the record of a target that was ended from outside.
func contextEnd(ctx context.Context, step string) (record.Record, bool) {
	switch cause := context.Cause(ctx); {
	case cause == nil:
		return record.Record{}, false
	case errors.Is(cause, session.ErrTooSlow):
		return failure("too-slow", "", "give it more time: --timeout 2m", "not finished in the time for this target; it was at: %s", step), true
	default:
		return failure("interrupted", "", "", "it was at: %s", step), true
	}
}

// EnableSSH is how SSH is switched on, on a Raspberry Pi.
const EnableSSH = "SSH is off on a new Raspberry Pi; switch it on there: sudo raspi-config nonint do_ssh 0\n" +
	"hint: or put an empty file named ssh on the boot partition of its card, or choose it in Raspberry Pi Imager\n" +
	"hint: in its first boot a Pi refuses for some minutes: --wait 5m"

func unreachable(host *connect.Host, cause, format string, args ...any) record.Record {
	hints := map[string]string{
		"name-unknown":       fmt.Sprintf("use its address, or check the name: getent ahosts %s", host.Config.HostName),
		"timeout":            "is it switched on, and in this network? a firewall drops silently",
		"host-unreachable":   "is it switched on, and in this network?",
		"connection-refused": EnableSSH,
	}
	return failure(cause, "", hints[cause], "%s%s", fmt.Sprintf(format, args...), sent(host))
}

// sent says which lines of ssh_config make another machine of what was named.
func sent(host *connect.Host) (text string) {
	c := host.Config
	if at := c.Sources["hostname"]; at != "" && !strings.EqualFold(c.HostName, c.Alias) {
		text = fmt.Sprintf("; %s is %s by HostName, %s", c.Alias, c.HostName, at)
	}
	if at := c.Sources["port"]; at != "" && !strings.HasPrefix(at, "command line") {
		text += fmt.Sprintf("; port %d is by Port, %s", c.Port, at)
	}
	return text
}

func dialling(host *connect.Host, err error) record.Record {
	where := fmt.Sprintf("%s port %d", host.Config.HostName, host.Config.Port)
	var dns *net.DNSError
	var timeout net.Error
	var bind *connect.BindError
	var far *ssh.OpenChannelError // what a jump host says, RFC 4254 section 5.1
	switch {
	case errors.As(err, &far) && far.Reason == ssh.Prohibited:
		return failure("host-unreachable", "", "there: AllowTcpForwarding and PermitOpen in sshd_config must let it pass on", "%v", err)
	case errors.As(err, &far) && strings.HasSuffix(far.Message, "Connection refused"): // as sshd says it
		return unreachable(host, "connection-refused", "%v", err)
	case errors.As(err, &far):
		return unreachable(host, "host-unreachable", "%v", err)
	case errors.As(err, &bind):
		return failure("host-unreachable", "", "it must be an address or an interface of this machine: ip addr", "%v", bind)
	case errors.As(err, &dns):
		return unreachable(host, "name-unknown", "%s: %s", dns.Name, dns.Err)
	case errors.Is(err, connRefused):
		return unreachable(host, "connection-refused", "nothing listens at %s", where)
	case errors.As(err, &timeout) && timeout.Timeout():
		return unreachable(host, "timeout", "no answer from %s", where)
	}
	return unreachable(host, "host-unreachable", "%s: %v", where, err)
}

// versions names what answered in place of an SSH server. sshd says why it
// hangs up in a line before the version (sshd.c, PerSourcePenalties and
// MaxStartups).
func versions(host *connect.Host, rep *session.Report) record.Record {
	said, _, _ := strings.Cut(string(rep.Start), "\n")
	said = strings.TrimSpace(said)
	words := cut(said)
	switch {
	case strings.Contains(said, session.Penalised):
		return failure("penalised", "", "wait before the next try: the server shuts this address out for some seconds up to ten minutes, longer with each login that fails",
			"the server says: %s", words)
	case said == "":
		return failure("connection-dropped", "", "sshd may be starting, out of connections (MaxStartups), or have no host keys (sudo ssh-keygen -A there); a ban by fail2ban looks like this too",
			"closed before the server said anything")
	case strings.HasPrefix(said, session.MaxStartups):
		return failure("connection-dropped", "", "try again in a moment, or with fewer at once: -j 8", "the server says: %s", words)
	case strings.HasPrefix(said, "SSH-") && len(said) < maxVersion:
		return failure("connection-dropped", "", "", "closed after its version %s", said)
	}
	hint := fmt.Sprintf("what listens at port %d is no SSH server: another port? -p PORT", host.Config.Port)
	if host.Config.ProxyCommand != "" {
		hint = "try it by hand: " + host.Config.ProxyCommand
	}
	return failure("not-ssh", "", hint, "it says: %s", words)
}

// maxVersion is how long a version line may be with its end, RFC 4253 section
// 4.2, and where reading of one without an end is given up.
const maxVersion = 255

func keyExchange(rep *session.Report, err error) record.Record {
	var negotiation *ssh.AlgorithmNegotiationError
	if errors.As(err, &negotiation) {
		return failure("no-common-algorithm", "", "", "%v", negotiation)
	}
	return failure("connection-dropped", "", "", "the connection ended during the key exchange with %s: %v", cut(rep.ServerVersion), err)
}

func authentication(host *connect.Host, keys connect.Keys, rep *session.Report, err error) record.Record {
	switch {
	case strings.Contains(rep.Banner, "SSH may not work until a valid user has been set up"):
		return failure("no-user-yet", "", "put userconf.txt (NAME:HASH) on the boot partition, or set the user in Raspberry Pi Imager",
			"the Pi has no user yet: %s", cut(rep.Banner))
	case rep.Booting():
		return failure("booting", "", "wait for it: --wait 5m", "the server says: %s", cut(rep.Banner))
	case strings.Contains(rep.Banner, "account has expired"): // as pam_unix(8) says it
		return failure("account-expired", "", "as root there: chage -E -1 "+hostfs.Quote(host.Config.User), "the server says: %s", cut(rep.Banner))
	case tooManyFailures(rep):
		return tooManyTries(host, keys, rep)
	}
	if where, off := host.KeysOff(); off && !rep.PasswordSent {
		return failure("config-elsewhere", "", "", "login by key is switched off on this side: %s", where)
	}
	if r, found := signing(keys, rep); found {
		return r
	}
	if r, found := password(host, rep); found {
		return r
	}
	if rep.Methods == nil || (!errors.Is(err, session.ErrDenied) && rep.Disconnect == "") {
		hint := ""
		if isDropbear(rep) && len(rep.Offers)+len(rep.Password) > 0 { // svr-auth.c send_msg_userauth_failure()
			hint = "dropbear hangs up like this after too many tries (-T), and at a shell that is not in /etc/shells; " + inLog(rep)
		}
		return failure("connection-dropped", "", hint, "the connection ended during authentication: %s", cut(err.Error()))
	}
	if rep.Disconnect != "" {
		return failure("connection-dropped", "", "", "the server hung up during authentication: %s", cut(rep.Disconnect))
	}
	if rep.Password == session.Partial {
		return failure("more-needed", "", "", "the password counts, but the server wants %s too", methods(rep))
	}
	if i := slices.IndexFunc(rep.Offers, func(o session.Offer) bool { return o.Answer == session.Partial }); i >= 0 {
		return failure("more-needed", rep.Offers[i].Key.Public.Fingerprint(), wantsMore(rep, host.Config.User), "the key counts, but the server wants %s too", methods(rep))
	}
	if rep.Methods != nil && !slices.Contains(rep.Methods, "publickey") {
		return failure("pubkey-disabled", "", "there: PubkeyAuthentication yes in /etc/ssh/sshd_config (or a file of sshd_config.d, where the first value wins)",
			"the server takes %s, and no keys, or these only after that (AuthenticationMethods)", methods(rep))
	}
	if len(rep.Offers) == 0 {
		return nothingOffered(host, keys, rep)
	}
	asked := slices.DeleteFunc(slices.Clone(rep.Offers), func(o session.Offer) bool { return o.Answer == session.Unasked })
	if len(asked) == 0 {
		k := rep.Offers[0].Key.Public
		return failure("key-type-refused", k.Fingerprint(), "make a key that it takes: pikeygen -t ed25519 -f FILE",
			"the server takes no signature that a %s key makes here (its server-sig-algs)", k.Name())
	}
	if r, found := certificate(host, asked, time.Now()); found {
		return r
	}
	if wrong := hindered(keys, asked); len(wrong) == len(asked) {
		f := wrong[0]
		return failure(f.Cause, f.Path, f.Hint, "%s; and the server refuses the key", f.Detail)
	}
	return refused(host, keys, rep, asked)
}

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

func tooManyFailures(rep *session.Report) bool {
	return strings.Contains(strings.ToLower(rep.Disconnect), "too many authentication failures")
}

// tooManyTries is the case of a server that hung up before all was tried.
func tooManyTries(host *connect.Host, keys connect.Keys, rep *session.Report) record.Record {
	key := "KEY"
	if i := slices.IndexFunc(keys.Candidates, func(c connect.Candidate) bool {
		return rep.Answer(c.Public) == "" && c.Pair != nil && c.HasPrivate()
	}); i >= 0 { // there was no try left for it
		key = keys.Candidates[i].Pair.Path
	}
	hint := "offer the right key alone: " + host.Again("pikeycheck -o IdentitiesOnly=yes -o "+hostfs.Quote("IdentityFile="+key))
	tries := "one try"
	if n := len(rep.Offers); n != 1 {
		tries = fmt.Sprintf("%d tries", n)
	}
	switch {
	case len(rep.Offers) == 1 && len(keys.Candidates) < 2:
		hint = "the server allows " + tries + " (MaxAuthTries); have the password take it, and prove the key after that: " +
			host.AgainByPassword("pikeycopy -o PubkeyAuthentication=no", rep.Methods) + "; " + host.Again("pikeycheck")
	case host.Config.IdentitiesOnly:
		hint = fmt.Sprintf("the server allows %s (MaxAuthTries): name fewer files as IdentityFile, the right one first", tries)
	}
	return failure("too-many-tries", "", hint, "the server hung up after %s: %s", plural(len(rep.Offers), "key"), cut(rep.Disconnect))
}

// signing is the case of a key that the server would take, and that this side
// could not use.
func signing(keys connect.Keys, rep *session.Report) (record.Record, bool) {
	failed := func(o session.Offer) bool { return o.Answer == session.SignFailed }
	// A key that is here, such as one whose passphrase was mistyped, comes before one that is not.
	i := slices.IndexFunc(rep.Offers, func(o session.Offer) bool {
		var fault *connect.FaultError
		return failed(o) && !(errors.As(o.Err, &fault) && fault.Fault.Cause == "key-missing")
	})
	if i < 0 {
		i = slices.IndexFunc(rep.Offers, failed)
	}
	if i < 0 {
		return record.Record{}, false
	}
	o := rep.Offers[i]
	c, _ := keys.Find(o.Key.Public)
	fp, file := o.Key.Public.Fingerprint(), o.Key.Name
	if c.Pair != nil { // the private half, whatever certifies it
		file = c.Pair.Path
	}
	const taken = "the server would take the key, but "
	var fault *connect.FaultError
	var unsupported *identity.UnsupportedError
	add := fmt.Sprintf("pikeycheck -a %s\nhint: or --passphrase-file FILE", hostfs.Quote(file))
	if keys.AgentErr != nil {
		add = `eval "$(ssh-agent -s)" && ` + add
	}
	switch {
	case errors.As(o.Err, &fault):
		return failure(fault.Fault.Cause, fault.Path, fault.Fault.Hint, taken+"%s", fault.Fault.Detail), true
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
		taken+"%v: the secret in the file is not that of the public key in it", session.ErrSignature), true
}

// addAgain is how the agent gets a key anew that it holds.
func addAgain(c connect.Candidate) string {
	file := "KEY"
	if c.Pair != nil {
		file = hostfs.Quote(c.Pair.Path)
	}
	return fmt.Sprintf("add it again: ssh-add -d %[1]s; ssh-add %[1]s", file)
}

// password is the case of a login that also had a password to try.
func password(host *connect.Host, rep *session.Report) (record.Record, bool) {
	who := host.Config.User + "@" + host.Config.Alias
	var prompt *session.PromptError
	switch {
	case errors.As(rep.PasswordErr, &prompt) && prompt.New:
		return failure("password-expired", "", changePassword(host),
			"after the password of %s %s", who, cut(prompt.Error())), true
	case prompt != nil && !rep.PasswordSent:
		return failure("prompt-unknown", "", "log in with ssh on a terminal to see what it wants: "+host.SSH(),
			"no key lets %s in, and %s", who, cut(prompt.Error())), true
	case errors.Is(rep.PasswordErr, connect.ErrRefused):
		return failure("password-wrong", "", "", "the password of %s was tried once, and %v", who, rep.PasswordErr), true
	case errors.Is(rep.PasswordErr, secret.ErrNobody):
		return failure("password-needed", "", wayToAsk(host), "no key lets %s in, and %v", who, rep.PasswordErr), true
	case errors.Is(rep.PasswordErr, connect.ErrSpent):
		return failure("password-unsent", "", "see that it is the right one, then run it again for those that are left", "no key lets %s in, and %v", who, rep.PasswordErr), true
	case rep.PasswordErr != nil && rep.PasswordSent:
		return failure("password-wrong", "", "", "after the password %v", rep.PasswordErr), true
	case rep.PasswordErr != nil:
		return failure("password-needed", "", "", "no key lets %s in, and %v", who, rep.PasswordErr), true
	case rep.Password == session.Refused && !slices.ContainsFunc(rep.Offers, func(o session.Offer) bool { return o.Answer == session.Partial }):
		hint := ""
		switch host.Config.User {
		case "pi":
			hint = "is the user right? Raspberry Pi OS has no user pi of its own, only the one that was chosen in Raspberry Pi Imager"
		case "root":
			hint = "sshd takes no password for root unless PermitRootLogin is yes: log in as another user, and add the key to /root/.ssh/authorized_keys with sudo"
		}
		return failure("password-wrong", "", hint, "the server refused the password of %s; it was tried once", who), true
	}
	return record.Record{}, false
}

// wayToAsk is how a run gets a password that had nobody to ask.
func wayToAsk(host *connect.Host) string {
	if host.Config.BatchMode {
		return "--password-file FILE, or run it where it can ask, and without BatchMode"
	}
	return "--password-file FILE, or run it where it can ask"
}

// noPassword says whether the server takes none.
func noPassword(rep *session.Report) bool {
	return rep.Methods != nil && !slices.Contains(rep.Methods, "password") && !slices.Contains(rep.Methods, "keyboard-interactive")
}

func nothingOffered(host *connect.Host, keys connect.Keys, rep *session.Report) record.Record {
	if len(keys.Unaccepted) > 0 {
		c := keys.Unaccepted[0]
		keyword := "PubkeyAcceptedAlgorithms"
		if plain := c.Public.Plain(); plain.Type == ssh.KeyAlgoRSA && plain.Bits() < host.Config.RequiredRSASize {
			keyword = "RequiredRSASize"
		}
		return failure("config-elsewhere", c.Public.Fingerprint(), "", "%s keeps %s back: %s",
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
			"no key file is there, and %s", agent)
	case keys.AgentKeys > 0:
		return failure("key-not-offered", "", "name the key: -o IdentityFile=KEY", "no key file is there, and %s", agent)
	case keys.AgentKeys == 0:
		return failure("agent-empty", "", "make a key: pikeygen; or add one: ssh-add KEY", "no key file is there, and %s", agent)
	}
	return failure("key-missing", "", "pikeygen | "+host.AgainByPassword("pikeycopy -i -", rep.Methods), "no key to offer: none of %s is there, and %s",
		strings.Join(keys.Looked, ", "), agent)
}

// unoffered is a usable key file that ssh does not look for when it logs in to
// the host, and how to have it offered; "" if there is none.
func unoffered(host *connect.Host, keys connect.Keys) (file, hint string) {
	found := besides(keys.Looked)
	i := slices.IndexFunc(found, (*identity.Pair).Usable)
	if i < 0 {
		return "", ""
	}
	file = found[i].Path
	if whole, err := filepath.Abs(file); err == nil { // ssh takes one in its configuration from where it runs
		file = whole
	}
	hint = "try it: " + host.Again("pikeycheck -o "+hostfs.Quote("IdentityFile="+file))
	if config := host.ConfigFile(); config != "" {
		hint += fmt.Sprintf("\nhint: if it logs in, have ssh offer it: "+`printf 'Host %%s\n\tIdentityFile "%%s"\n' %s %s >> %s`,
			hostfs.Quote(host.Config.Alias), hostfs.Quote(file), config)
	}
	return file, hint
}

// refused lists what remains possible: from outside, all of it looks the same.
func refused(host *connect.Host, keys connect.Keys, rep *session.Report, asked []session.Offer) record.Record {
	var offered []string
	signed := ""
	for _, o := range asked {
		offered = append(offered, o.Key.Public.Name()+" "+o.Key.Public.Fingerprint())
		if o.Answer == session.SignatureRefused {
			signed = fmt.Sprintf("the server would take %s, and refuses its signature, which is right; ", o.Key.Public.Fingerprint())
		}
	}
	subject := ""
	if len(offered) == 1 {
		subject = asked[0].Key.Public.Fingerprint()
	}
	hint := "install the key: " + host.AgainByPassword("pikeycopy", rep.Methods) + "\nhint: if it is there already, repair the modes: " + host.AgainByPassword("pikeyfix", rep.Methods)
	if noPassword(rep) {
		hint = "the server takes no password either: install the key from the Pi's own console, or repair there: pikeyfix"
	}
	if file, other := unoffered(host, keys); file != "" {
		hint += "\nhint: " + file + " was not offered; " + other
	}
	for _, f := range hindered(keys, asked) {
		hint += fmt.Sprintf("\nhint: %s: %s; %s", f.Path, f.Detail, f.Hint)
	}
	user := host.Config.User
	if at := host.Config.Sources["user"]; at != "" && !strings.HasPrefix(at, "command line") {
		user += ", who is by User, " + at
	}
	ofCertificate := ""
	if slices.ContainsFunc(asked, func(o session.Offer) bool { return sshkey.IsCertificate(o.Key.Public.Type) }) {
		ofCertificate = "; of a certificate also an authority that is not trusted there (cert-refused), or the clock there (cert-not-yet)"
	}
	return failure("key-refused", subject, hint, signed+
		"%s refused for user %s (%s); it can be: key-not-installed, home-writable, dir-writable, keys-writable, wrong-owner, keys-unreadable, keys-file-elsewhere, "+
		"an option of its line, no such user, or a user who may not log in%s; the server's log says which: %s",
		plural(len(offered), "key"), user, strings.Join(offered, ", "), ofCertificate, journalOf(rep))
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func methods(rep *session.Report) string { return strings.Join(rep.Methods, ", ") }

// cut keeps a peer's words short; they are escaped where they are printed.
func cut(s string) string {
	s = strings.TrimSpace(s)
	return s[:min(len(s), 200)]
}
