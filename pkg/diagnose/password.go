package diagnose

import (
	"errors"
	"fmt"
	"strings"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
)

// password is the case of a login that also had a password to try.
func password(host *connect.Host, rep *session.Report) (record.Record, bool) {
	who := host.Config.User + "@" + host.Config.Alias
	_, partial := rep.OfferWith(session.Partial)
	var prompt *session.PromptError
	switch {
	case errors.As(rep.PasswordErr, &prompt) && prompt.New:
		return failure("password-expired", "", changePassword(host),
			"after the password of %s %s", who, cut(prompt.Error())), true
	case prompt != nil && !prompt.Again:
		when := "no key lets %s in, and"
		if rep.PasswordSent {
			when = "after the password of %s"
		}
		return failure("prompt-unknown", "", "log in with ssh on a terminal to see what it wants: "+host.SSH(), when+" %s", who, cut(prompt.Error())), true
	case errors.Is(rep.PasswordErr, connect.ErrRefused):
		return failure("password-wrong", "", wrongPassword(host, rep), "the password of %s was tried once, and %v", who, rep.PasswordErr), true
	case errors.Is(rep.PasswordErr, secret.ErrNobody):
		return failure("password-needed", "", wayToAsk(host), "no key lets %s in, so it takes the password, and %v", who, rep.PasswordErr), true
	case errors.Is(rep.PasswordErr, connect.ErrSpent):
		return failure("password-unsent", "", "check that it is the right one, then run it again for the remaining targets", "no key lets %s in, and %v", who, rep.PasswordErr), true
	case rep.PasswordErr != nil && rep.PasswordSent:
		return failure("password-wrong", "", wrongPassword(host, rep), "after the password %v", rep.PasswordErr), true
	case rep.PasswordErr != nil:
		return failure("password-needed", "", "", "no key lets %s in, and %v", who, rep.PasswordErr), true
	case rep.Password == session.Refused && !partial,
		rep.Password == session.Unanswered && rep.TooManyTries(): // auth2.c userauth_finish(), in place of refusing the last try
		tried := "it was tried once"
		if rep.Passwords > 1 {
			tried = fmt.Sprintf("%d were tried", rep.Passwords)
		}
		return failure("password-wrong", "", wrongPassword(host, rep), "the server refused the password of %s; %s", who, tried), true
	}
	return record.Record{}, false
}

func wrongPassword(host *connect.Host, rep *session.Report) string {
	if host.PasswordEndsInBlank() {
		return "the line in the file ends in a blank, which was sent with the password: is it part of it?"
	}
	switch host.Config.User {
	case "pi":
		return "is the user right? Raspberry Pi OS has no user pi of its own, only the one that was chosen in Raspberry Pi Imager"
	case "root":
		return "sshd accepts no password for root unless PermitRootLogin is yes: log in as another user, and add the key to /root/.ssh/authorized_keys with sudo"
	}
	ssh := host.SSH()
	if _, partial := rep.OfferWith(session.Partial); !partial { // keys could use up the tries, MaxAuthTries
		ssh = strings.Replace(ssh, "ssh ", "ssh -o PubkeyAuthentication=no ", 1)
	}
	return "try the user and the password by hand: " + ssh
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
	return rep.Methods != nil && !rep.TakesPassword()
}
