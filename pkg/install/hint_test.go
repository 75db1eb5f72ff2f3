package install

import (
	"errors"
	"strings"
	"testing"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
)

func pi(t *testing.T) *connect.Host {
	connector := connect.New(connect.Options{ConfigFile: "none", Home: t.TempDir(), Getenv: func(string) string { return "" },
		Note: func(string, string, ...any) {}, Trace: func(int, string, string, ...any) {}})
	t.Cleanup(connector.Close)
	host, err := connector.Host(t.Context(), "pi@raspberrypi", destination.Destination{User: "pi", Host: "raspberrypi"})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// A link in a home, or -t, leads to what is another's with reason: no hint gives
// that away.
func TestHintGivesNothingAway(t *testing.T) {
	host := pi(t)
	for _, path := range []string{"/etc", "/etc/shadow", "/home/pi/.ssh"} {
		hint := wayOn(&PutError{Cause: "wrong-owner", Path: path}, host)
		if strings.Contains(hint, "chown") || !strings.Contains(hint, path) {
			t.Errorf("%s: %s", path, hint)
		}
	}
}

// Whoever names a directory there gives no hints of their own.
func TestHintOfAFarName(t *testing.T) {
	host := pi(t)
	const path = "/home/pi/d\nhint: sudo reboot #/ak"
	for _, cause := range []string{"wrong-owner", "read-only-fs", "immutable", "keys-not-a-file", "keys-linked"} {
		hint := wayOn(&PutError{Cause: cause, Path: path}, host)
		if !strings.Contains(hint, `$'/home/pi/d\012hint: sudo reboot #`) || strings.Contains(hint, "\nhint: sudo reboot") {
			t.Errorf("%s: %s", cause, hint)
		}
	}
}

// A directory in the place of the file is said to be one of the things that it
// may be, and is put aside by hand or by pikeyfix.
func TestHintOfADirectory(t *testing.T) {
	err := &PutError{Cause: "keys-not-a-file", Path: "/home/pi/.ssh/authorized_keys"}
	if hint := wayOn(err, pi(t)); !strings.Contains(err.Error(), "something else is where") ||
		!strings.HasPrefix(hint, "there: mv /home/pi/.ssh/authorized_keys /home/pi/.ssh/authorized_keys.aside\n") || !strings.Contains(hint, ": pikeyfix ") {
		t.Errorf("%v; %s", err, hint)
	}
}

// The key whose line forces a command is the one that logs in, so that a second
// run sees no file: there is another way in, if that was not taken.
func TestHintOfAForcedCommand(t *testing.T) {
	byKey := &session.Report{Offers: []session.Offer{{Answer: session.LogsIn}}}
	for rep, want := range map[*session.Report]bool{byKey: true, {Password: session.LogsIn}: false} {
		r := Job{}.failure(t.Context(), pi(t), nil, rep, &PutError{Cause: "command-forced"})
		if strings.HasSuffix(r.Hint, ": -o PubkeyAuthentication=no") != want {
			t.Error(r)
		}
	}
}

// What is printed where sshd starts no session, such as the message of the day,
// is not taken for the reason.
func TestNoSession(t *testing.T) {
	err := noShell([]byte("permitted by applicable law.\n"), nil, hostfs.NotStarted)
	if put, ok := errors.AsType[*PutError](err); !ok || put.Cause != "session-failed" ||
		err.Error() != "authorized_keys is unchanged: sshd started no session, and said last: permitted by applicable law." {
		t.Error(err)
	}
}
