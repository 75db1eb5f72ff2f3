package diagnose

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
)

// Shell tells whether the account runs commands for whoever logs in by this
// key, by having a POSIX shell say two words.
func Shell(ctx context.Context, client *session.Client) record.Record {
	// The words are not in the command as they are in the answer, so that an
	// echo is none.
	stdout, stderr, status, err := client.Run(ctx, hostfs.ShellCommand(`printf '%s-%s\n' commands work`))
	switch {
	case err != nil && errors.Is(err, session.ErrNoCommand):
		return failure("no-shell", "", "", "the server starts no command: %s", cut(err.Error()))
	case err != nil:
		r := Ended(ctx, "running a command", err)
		if r.Cause == "connection-dropped" {
			r.Hint = "it can be: chroot-modes (ChrootDirectory) or session-failed (PAM, a limit); " + sshdLog
		}
		return r
	case strings.Contains(string(stdout), "commands-work"):
		return record.Record{Verdict: record.OK, Cause: "shell", Detail: "a POSIX shell runs commands"}
	}
	said := strings.TrimSpace(string(stdout) + "\n" + string(stderr))
	r := failure(NoCommand(said), "", "", "in place of the command it said: %s", cut(said))
	if said == "" {
		r.Detail = fmt.Sprintf("the command was not run, and nothing was said: status %d", status)
	}
	return r
}

// noShellThere is what sshd says where the login shell cannot be executed, as
// in a ChrootDirectory that has none (session.c do_child()).
var noShellThere = regexp.MustCompile(`^/[^\s:]+: (No such file or directory|Permission denied|Exec format error)$`)

// NoCommand names why a command was not run, by what was said in its place.
func NoCommand(said string) string {
	switch {
	case strings.Contains(said, "Password change required"): // sshd(8), with PAM
		return "password-expired"
	case noShellThere.MatchString(said):
		return "shell-missing"
	case said == "", strings.Contains(said, "This account is currently not available"): // false(1), nologin(8)
		return "no-shell"
	}
	return "command-forced" // such as sftp alone
}

// SFTP tells whether files can be copied by sftp, and so by the scp of OpenSSH
// 9.0 and later.
func SFTP(ctx context.Context, client *session.Client) record.Record {
	files, err := client.SFTP(ctx)
	if err == nil {
		defer files.Close()
		if _, err = files.RealPath("."); err == nil {
			return record.Record{Verdict: record.OK, Cause: "sftp", Detail: "sftp and scp work"}
		}
	}
	if errors.Is(err, session.ErrNoSFTP) {
		return failure("no-sftp", "", "scp -O works where a shell does; there: Subsystem sftp internal-sftp in /etc/ssh/sshd_config, or the package openssh-sftp-server", "%s", cut(err.Error()))
	}
	return Ended(ctx, "starting sftp", err)
}
