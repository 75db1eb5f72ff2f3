package diagnose

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
)

// Shell tells whether the account runs commands for whoever logs in by the key
// of the report, by having a POSIX shell say two words.
func Shell(ctx context.Context, client *session.Client, rep *session.Report) record.Record {
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
	word, instead := NoCommand(said), "in place of the command it"
	if command := forced(rep); command != "" && (said == "" || word == "command-forced") {
		word, instead = "command-forced", "in place of the command runs "+command+", which"
	}
	if said == "" {
		return failure(word, "", "", "%s said no word, with status %d", instead, status)
	}
	return failure(word, "", "", "%s said: %s", instead, cut(said))
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

// NoCommand names why a command was not run, by what was said in its place.
func NoCommand(said string) string {
	switch {
	case strings.Contains(said, "Password change required"): // sshd(8), with PAM
		return "password-expired"
	case noShellThere().MatchString(said):
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
