package diagnose

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sh"
)

// Shell tells whether the account runs commands for a login by the report's
// key, by having a POSIX shell print two words.
func Shell(ctx context.Context, client *session.Client, host *connect.Host, rep *session.Report) record.Record {
	// The words are not in the command as they are in the answer, so that an
	// echo is none.
	stdout, stderr, status, err := client.Run(ctx, sh.Command(`printf '%s-%s\n' commands work`))
	var closed *ssh.OpenChannelError
	switch {
	case err != nil && errors.Is(err, session.ErrNoCommand) && !errors.As(err, &closed): // of which Ended knows the reason
		return failure("no-shell", "", "", "the server did not start the command: %s", cut(err.Error()))
	case err != nil:
		r := Ended(ctx, "running a command", err)
		if r.Cause == "connection-dropped" {
			r.Hint = "possible causes: chroot-modes (ChrootDirectory) or session-failed (PAM, a limit); " + inLog(rep)
		}
		return r
	case strings.Contains(string(stdout), "commands-work"):
		return record.Record{Verdict: record.OK, Cause: "shell", Detail: "a POSIX shell runs commands"}
	}
	said := strings.TrimSpace(string(stdout) + "\n" + string(stderr))
	word, instead := NoCommand(said, status), "instead of running the command, it"
	command := forced(rep)
	if command != "" && (said == "" || word == "command-forced" || word == "session-failed") {
		word, instead = "command-forced", "instead of the command it runs "+command+", which"
	}
	if word == "session-failed" { // or whatever ran ended so
		instead = "likely: " + instead
	}
	r := failure(word, "", insteadHint(word, host, rep), "%s said: %s", instead, cut(said))
	if command != "" && word == "command-forced" {
		r.Hint = "if that is not intended, " + signAnew
	}
	switch {
	case said != "":
	case word == "session-failed":
		r.Detail = fmt.Sprintf("%s said nothing, with status %d, as sshd does where PAM opens no session", instead, status)
	case word == "no-shell":
		r.Detail = fmt.Sprintf("%s said nothing, with status %d; possible causes: the login shell, command= on the line, ForceCommand, or an exit in a start-up file", instead, status)
	default:
		r.Detail = fmt.Sprintf("%s said nothing, with status %d", instead, status)
	}
	return r
}

// insteadHint is the way on where something else runs than the command.
func insteadHint(word string, host *connect.Host, rep *session.Report) string {
	user := sh.Quote(host.Config.User)
	switch word {
	case "password-expired":
		return changePassword(host)
	case "session-failed":
		return inLog(rep)
	case "no-shell":
		return "check the login shell there: getent passwd " + user + "\nhint: if " + user + " is to run commands, there: sudo chsh -s /bin/sh " + user
	case "shell-missing":
		return "if " + user + " is to run commands, there: sudo chsh -s /bin/sh " + user
	}
	home := "~"
	if user == host.Config.User { // which a shell reads behind a ~ as it is
		home += user
	}
	see := "sudo grep -n command= " + home + "/.ssh/authorized_keys"
	if isDropbear(rep) {
		return "if that is not intended, see what forces it, -c in /etc/default/dropbear or a line, there: " + see
	}
	return "if that is not intended, see what forces it, " + Effective(host.Config.User, "forcecommand") + "; " + see
}

// changePassword is how a person gets a password changed that has expired.
func changePassword(host *connect.Host) string {
	return "log in with ssh on a terminal and change it: " + host.SSH()
}

// forced is the command that the certificate runs by which we are in, if it was
// one and has one.
func forced(rep *session.Report) string {
	key, _ := rep.LoginKey()
	cert, _, _ := key.Public.Certificate() // that we could log in with
	for _, o := range cert.Critical {
		if o.Name == "force-command" {
			return "force-command=" + o.Value() + " of the certificate " + key.Name
		}
	}
	return ""
}

// noShellThere is what sshd says where the login shell cannot be executed, as
// in a ChrootDirectory that has none (session.c do_child()).
var noShellThere = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^/[^\s:]+: (No such file or directory|Permission denied|Exec format error)$`)
})

// NoCommand returns why a command was not run, from what was printed instead
// and the exit status.
func NoCommand(said string, status int) string {
	switch {
	case strings.Contains(said, "Password change required"): // sshd(8), with PAM
		return "password-expired"
	case status == hostfs.NotStarted:
		return "session-failed"
	case noShellThere().MatchString(said):
		return "shell-missing"
	case said == "", strings.Contains(said, "This account is currently not available"): // false(1), nologin(8)
		return "no-shell"
	}
	return "command-forced" // such as sftp alone
}

// SFTP tells whether files can be copied by sftp, which scp uses since OpenSSH
// 9.0.
func SFTP(ctx context.Context, client *session.Client) record.Record {
	files, err := client.SFTP(ctx)
	if err == nil {
		defer files.Close()
		if _, err = files.RealPath("."); err == nil {
			return record.Record{Verdict: record.OK, Cause: "sftp", Detail: "sftp and scp work"}
		}
	}
	r := Ended(ctx, "starting sftp", err)
	if r.Cause == "no-shell" && errors.Is(err, session.ErrNoSFTP) { // no session is opened, for either
		r.Cause = "no-sftp"
	}
	return r
}
