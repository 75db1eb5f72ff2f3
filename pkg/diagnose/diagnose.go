// Package diagnose names the cause of a login's success or failure: it maps
// what was seen on this side, on the wire and in the far files to the words of
// pi-key-causes(7), and claims no more than was seen.
package diagnose

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
)

// A failure is a record in the making.
func failure(cause, subject, hint, format string, args ...any) record.Record {
	return record.Record{Verdict: record.Fail, Cause: cause, Subject: subject, Hint: hint, Detail: record.Sprintf(format, args...)}
}

// Config returns the record of a target whose configuration is unavailable.
func Config(ctx context.Context, err error) record.Record {
	var waited *sshconfig.WaitError
	if r, ended := contextEnd(ctx, "reading the configuration"); ended && (r.Cause != "too-slow" || !errors.As(err, &waited)) {
		return r
	}
	if mode, ok := errors.AsType[*sshconfig.PermissionError](err); ok {
		return failure("config-writable", mode.Path, "pikeyfix", "%v", err)
	}
	return failure("config-bad", "", "", "%v", err)
}

// Login returns the record of a login with keys: ok if a key let us in, else
// the cause, as shown by the keys that this side has and by the report and
// error of connect.Host.Login.
func Login(ctx context.Context, host *connect.Host, keys connect.Keys, rep *session.Report, err error) record.Record {
	if err == nil {
		return success(rep)
	}
	if jump, ok := errors.AsType[*connect.JumpError](err); ok {
		return atJump(ctx, jump)
	}
	if r, impostor := hostKeyUnproven(err); impostor {
		return r
	}
	if errors.Is(err, connect.ErrJumpEnded) {
		return Ended(ctx, "forwarding by the jump host", err)
	}
	if errors.Is(err, session.ErrNotSSH2) {
		return failure("not-ssh", "", "", "it speaks %s, not SSH 2", cut(rep.ServerVersion))
	}
	hosts, _ := errors.AsType[*connect.HostsCommandError](err)
	step := string(rep.Stage)
	if slices.ContainsFunc(rep.Offers, func(o session.Offer) bool { return errors.Is(o.Err, identity.ErrAgentSilent) }) {
		step = "the agent's signature, for which it may have asked somebody"
	}
	if r, ended := contextEnd(ctx, step); ended && (hosts == nil || r.Cause != "too-slow") {
		if rep.Stage == session.Dialling && r.Cause == "too-slow" {
			return unreachable(host, "timeout", "no answer from %s port %d within the time for this target", host.Config.HostName, host.Config.Port)
		}
		return r
	}
	if hostKey, ok := errors.AsType[*connect.HostKeyError](err); ok {
		return hostKeyRefused(host, hostKey)
	}
	if revocation, ok := errors.AsType[*connect.RevocationError](err); ok {
		return failure("config-bad", "", "", "%v", revocation)
	}
	if hosts != nil {
		return failure("config-bad", "", "try it by hand: "+host.Config.KnownHostsCommand, "%s: %s", cut(hosts.Error()), host.Config.Sources["knownhostscommand"])
	}
	if command, ok := errors.AsType[*connect.CommandError](err); ok && len(rep.Start) == 0 {
		return failure("host-unreachable", "", "try it by hand: "+host.Config.ProxyCommand, "the %s", cut(command.Error()))
	}
	if algorithms, ok := errors.AsType[*connect.AlgorithmsError](err); ok {
		return failure("no-common-algorithm", "", ownAlgorithms(host, algorithms.Keyword), "%v", algorithms)
	}
	if errors.Is(err, session.ErrSilent) {
		return failure("timeout", "", "it may be starting, or busy: --wait 5m, or a longer ConnectTimeout", "%s port %d accepts the connection, but sends nothing within ConnectTimeout",
			host.Config.HostName, host.Config.Port)
	}
	if errors.Is(err, session.ErrCutOff) {
		return cutOff(host, rep)
	}
	switch rep.Stage {
	case session.Dialling:
		return dialling(host, err)
	case session.Versions:
		return versions(host, rep)
	case session.KeyExchange:
		return keyExchange(host, rep, err)
	case session.HostKey: // the key was to be trusted, and could not be remembered
		return failure("write-failed", "", "", "%v", err)
	}
	return authentication(host, keys, rep, err)
}

// atJump is the record of a target whose jump host lets nobody through.
func atJump(ctx context.Context, jump *connect.JumpError) record.Record {
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

func hostKeyRefused(host *connect.Host, e *connect.HostKeyError) record.Record {
	if e.Closed != "" && e.Wanted == "" {
		return failure("known-hosts-unreadable", e.Closed, e.Hint(host), "%v", e)
	}
	cause := "host-key-changed"
	switch e.Status {
	case knownhosts.Revoked:
		cause = "host-key-revoked"
	case knownhosts.Unknown:
		cause = "host-key-unknown"
	}
	return failure(cause, e.Shown.Fingerprint(), e.Hint(host), "%v", e)
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
		Detail: fmt.Sprintf("%s %s%s, %s%s", key.Public.Name(), key.Name, until, strings.TrimPrefix(rep.ServerVersion, "SSH-2.0-"), passwordAge(rep.Banner))}
}

// passwordAge is what PAM says of a password that has expired, or soon will,
// which sshd passes on whatever the login is by (auth2.c userauth_finish()).
func passwordAge(banner string) string {
	for line := range strings.Lines(banner) {
		if strings.Contains(line, "required to change your password") || strings.Contains(line, "your password will expire") { // as pam_unix(8) says it
			return "; the server says: " + cut(line)
		}
	}
	return ""
}

// Ended returns the record of work on a host, after login, that an error of
// session.Client.Run or of a hostfs.Far there has ended. step says what the
// work was doing.
func Ended(ctx context.Context, step string, err error) record.Record {
	if r, impostor := hostKeyUnproven(err); impostor {
		return r
	}
	if r, ended := contextEnd(ctx, step); ended {
		return r
	}
	if closed, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
		return failure("no-shell", "", "MaxSessions in sshd_config there must not be 0", "last step: %s; the server refuses to open a session: %s", step, cut(closed.Message))
	}
	if errors.Is(err, hostfs.ErrNoSession) {
		return failure("session-failed", "", inLog(&session.Report{}), "last step: %s; %s", step, cut(err.Error()))
	}
	if errors.Is(err, session.ErrCutOff) {
		return failure("session-failed", "", "possible causes: chroot-modes (ChrootDirectory), PermitRootLogin forced-commands-only, or a limit; "+inLog(&session.Report{}),
			"last step: %s; %v", step, session.ErrCutOff)
	}
	var exit *ssh.ExitError
	if errors.Is(err, session.ErrNoCommand) || errors.Is(err, hostfs.ErrNoShell) || errors.As(err, &exit) {
		return failure("no-shell", "", "the account must run a POSIX shell for this", "last step: %s; %s", step, cut(err.Error()))
	}
	if errors.Is(err, session.ErrNoSFTP) {
		if strings.Contains(err.Error(), "packet too long") { // pkg/sftp's words: text, taken for a length
			return failure("no-sftp", "", "what the server says first is not sftp: a start-up file there, such as ~/.bashrc, must print nothing unless [ -t 1 ]; or a command is forced",
				"%s", cut(err.Error()))
		}
		return failure("no-sftp", "", "use scp -O if a shell works; or set Subsystem sftp internal-sftp in /etc/ssh/sshd_config there, or install the package openssh-sftp-server", "%s", cut(err.Error()))
	}
	return failure("connection-dropped", "", "run it again: it continues with what is left", "last step: %s; %s", step, cut(err.Error()))
}

// hostKeyUnproven is the case of a server that is perhaps not who it says.
func hostKeyUnproven(err error) (record.Record, bool) {
	const hint = "another machine may be answering in its place: do not log in; compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console"
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
		return failure("too-slow", "", "give it more time: --timeout 2m", "not finished in the time for this target; last step: %s", step), true
	default:
		return failure("interrupted", "", "", "last step: %s", step), true
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// cut keeps a peer's words short; they are escaped where they are printed.
func cut(s string) string {
	s = strings.TrimSpace(s)
	return s[:min(len(s), 200)]
}
