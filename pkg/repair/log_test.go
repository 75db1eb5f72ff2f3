package repair

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

func readLog(t *testing.T, lines string) *Log {
	t.Helper()
	l, err := ReadLog(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLogRecords(t *testing.T) {
	const head = "Nov 22 07:23:29 pi sshd[7]: "
	const home = "Authentication refused: bad ownership or modes for directory /home/pi"
	for _, c := range []struct{ name, log, want string }{
		{"nothing", "", "ok log LOG it is empty\n"},
		{"of others", "Nov 22 07:23:29 pi sudo: " + home + "\n\n", "ok log LOG no line of its 2 is of an SSH server; servers do not log every refusal\n"},
		{"no log", "root:x:0:0:root:/root:/bin/sh\n", "fail log-unreadable LOG no line of its 1 is understood\n"},
		{"UTF-16", "N\x00o\x00v\x00\n\x00", "fail log-unreadable LOG no line of its 2 is understood\n"},
		{"for no reason", head + "Failed publickey for pi from 1.2.3.4 port 22 ssh2: RSA SHA256:a\n",
			"fail key-refused SHA256:a Nov 22 07:23:29, user pi from 1.2.3.4: Failed publickey for pi from 1.2.3.4 port 22 ssh2: RSA SHA256:a\n"},
		{"for no reason that others have", head + "Unable to negotiate with 1.2.3.5 port 22: x [preauth]\n" + head + "error: Bind to port 22 on :: failed: x.\n" + head + "Failed publickey for pi from 1.2.3.4 port 22 ssh2: RSA SHA256:a\n",
			"fail connection-refused  Nov 22 07:23:29: Bind to port 22 on :: failed: x.\n" +
				"fail no-common-algorithm 1.2.3.5 Nov 22 07:23:29, from 1.2.3.5: Unable to negotiate with 1.2.3.5 port 22: x\n" +
				"fail key-refused SHA256:a Nov 22 07:23:29, user pi from 1.2.3.4: Failed publickey for pi from 1.2.3.4 port 22 ssh2: RSA SHA256:a\n"},
		{"for a reason", head + home + "\n" + head + "Failed publickey for pi from 1.2.3.4 port 22 ssh2: RSA SHA256:a\n",
			"fail home-writable /home/pi Nov 22 07:23:29, user pi from 1.2.3.4: " + home + "\n"},
		{"a line, and its sum", "/k:1: Authentication tried for pi with correct key but not from a permitted host (host=x, ip=1.2.3.4, required=x).\nerror: Refused by key options\nerror: Refused by key options at /k:1\n",
			"fail entry-from /k:1 user pi from 1.2.3.4: /k:1: Authentication tried for pi with correct key but not from a permitted host (host=x, ip=1.2.3.4, required=x).\n"},
		{"a configuration", "/c: line 3: Bad configuration option: x\n/c: terminating, 1 bad configuration options\n",
			"fail config-bad /c:3 /c: line 3: Bad configuration option: x\n"},
		{"no refusal", head + "Server listening on :: port 22.\nNov 22 07:23:29 pi sudo: " + home + "\n",
			"ok log LOG no refusal in 1 lines of SSH; servers do not log every refusal\n"},
		{"a bare line", home + "\n", "fail home-writable /home/pi " + home + "\n"},
		{"two", home + "\n" + home + "\n", "fail home-writable /home/pi 2 times: " + home + "\n"},
		{"repeated by syslogd", head + "message repeated 3 times: [ " + home + "]\n",
			"fail home-writable /home/pi 3 times, last Nov 22 07:23:29: " + home + "\n"},
		{"the journal", `{"SYSLOG_IDENTIFIER":"sshd","__REALTIME_TIMESTAMP":"1795332209719436","MESSAGE":"` + home + `"}` + "\n",
			"fail home-writable /home/pi Nov 22 16:23:29: " + home + "\n"},
		{"a line of a file", head + "/home/pi/.ssh/authorized_keys:3: bad key options: x\n",
			"fail entry-options-bad /home/pi/.ssh/authorized_keys:3 Nov 22 07:23:29: /home/pi/.ssh/authorized_keys:3: bad key options: x\n"},
		{"a user", head + "User pi from 1.2.3.4 not allowed because listed in DenyUsers\n",
			"fail user-not-allowed pi Nov 22 07:23:29, user pi from 1.2.3.4: User pi from 1.2.3.4 not allowed because listed in DenyUsers\n"},
		{"nobody", head + "Invalid user  from 1.2.3.4 port 2\n",
			"fail user-unknown 1.2.3.4 Nov 22 07:23:29, from 1.2.3.4: Invalid user  from 1.2.3.4 port 2\n"},
		{"ssh, for no reason", "debug1: Next authentication method: publickey\npi@1.2.3.4: Permission denied (publickey,password).\n",
			"fail key-refused pi user pi from 1.2.3.4: pi@1.2.3.4: Permission denied (publickey,password).\n"},
		{"ssh, for a reason", "Load key \"/h/id\": bad permissions\npi@1.2.3.4: Permission denied (publickey).\n",
			"fail key-mode /h/id Load key \"/h/id\": bad permissions\n"},
	} {
		var got strings.Builder
		for _, r := range readLog(t, c.log).Records("LOG", nil, time.FixedZone("", 9*3600), nil) {
			if (r.Hint == "") != (r.Verdict == record.OK) {
				t.Errorf("%s: hint %q", c.name, r.Hint)
			}
			fmt.Fprintf(&got, "%s %s %s %s\n", r.Verdict, r.Cause, r.Subject, r.Detail)
		}
		if got.String() != c.want {
			t.Errorf("%s:\n got %swant %s", c.name, got.String(), c.want)
		}
	}
}

// A hint is a command for the account that the log names, if that can be the name
// of one; and nothing that would do harm where the line is a lie.
func TestLogHints(t *testing.T) {
	files := func(user string) string { return "sudo pikeyfix -u " + user }
	for log, want := range map[string]string{
		"User pi not allowed because account is locked":                                                "if pi is to log in, there: sudo passwd -S pi | grep ' L ' && sudo usermod -p '*' pi",
		"Account pi-4.x has expired":                                                                   "if pi-4.x is to log in, there: sudo chage -E -1 pi-4.x",
		"User pi password has expired (password aged)":                                                 "log in with ssh on a terminal and change it; or there: sudo passwd pi",
		"User pi not allowed because shell /usr/bin/fish does not exist":                               "if pi is to log in, there: sudo chsh -s /bin/sh pi",
		"User pi from 1.2.3.4 not allowed because listed in DenyUsers":                                 "there: sudo sshd -T -C user=pi | grep -i -e allowusers -e denyusers -e allowgroups -e denygroups",
		"Partial publickey for pi from 1.2.3.4 port 22 ssh2":                                           "there: sudo sshd -T -C user=pi | grep -i -e authenticationmethods",
		"User pi from 1.2.3.4 not allowed because not in any group":                                    "give the user a group: id pi and getent group there show what is known",
		"pam_tally2(sshd:auth): user pi (1000) tally 5, deny 4":                                        "as root there: pam_tally2 -u pi -r",
		"Could not open user 'pi' authorized keys '/etc/k/pi': Permission denied":                      "sudo pikeyfix -u pi",
		"Could not open user 'pi' authorized keys '/home/pi/.ssh/authorized_keys': Input/output error": "look at the file system there with dmesg and findmnt: a failing card, or a missing mount; modes do not matter here",

		"User $(reboot) not allowed because account is locked":                                       "as root there: usermod -p '*' USER, which keeps password logins disabled",
		"User -x not allowed because account is locked":                                              "as root there: usermod -p '*' USER, which keeps password logins disabled",
		"User a b not allowed because account is locked":                                             "as root there: usermod -p '*' USER, which keeps password logins disabled",
		"Account " + strings.Repeat("u", 33) + " has expired":                                        "as root there: chage -E -1 USER",
		`Account pi\012hint has expired`:                                                             "as root there: chage -E -1 USER",
		"Could not open user '-a' authorized keys '/x/y': Permission denied":                         "as root there: chown USER on the path that the record names; if it already belongs to the user, run pikeyfix",
		"pam_faillock(sshd:auth): Consecutive login failures for user ;x account temporarily locked": "wait, or as root there: faillock --user USER --reset",
		"Authentication refused: bad ownership or modes for directory /home/pi":                      "run pikeyfix, or chmod go-w ~ there",
	} {
		if got := readLog(t, log+"\n").Records("", nil, time.UTC, files)[0].Hint; got != want {
			t.Errorf("%s:\n got %s\nwant %s", log, got, want)
		}
	}
}

func TestLogLeavesOut(t *testing.T) {
	var log strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&log, "Invalid user u%d from 1.2.3.4 port 2\n", i)
	}
	records := readLog(t, log.String()).Records("LOG", nil, time.UTC, nil)
	last := records[len(records)-1]
	if len(records) != 201 || last.Verdict != record.Fail || last.Cause != "user-unknown" || !strings.HasPrefix(last.Detail, "800 more") {
		t.Errorf("%d records, the last %+v", len(records), last)
	}
	if long := readLog(t, "Invalid user "+strings.Repeat("u", 1000)+" from 1.2.3.4 port 2\n").Records("", nil, time.UTC, nil); len(long[0].Detail) > 500 {
		t.Errorf("%d bytes of detail", len(long[0].Detail))
	}
}

// A refusal that was cured is told once, and as cured; one of a line in the
// same file is not.
func TestLogRepaired(t *testing.T) {
	const keys = "/home/pi/.ssh/authorized_keys"
	l := readLog(t, "Authentication refused: bad ownership or modes for file "+keys+"\n"+keys+":3: bad key options: x\nInvalid user "+keys+" from 1.2.3.4 port 2\n")
	done := record.Record{Verdict: record.Done, Cause: "keys-writable", Subject: keys, Detail: "mode 0666 -> 0644"}
	records := l.Records("", []record.Record{done}, time.UTC, nil)
	var got []string
	for _, r := range records {
		got = append(got, string(r.Verdict)+" "+r.Cause)
	}
	if want := []string{"fail entry-options-bad", "fail user-unknown", "done keys-writable"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if last := records[2].Detail; last != "mode 0666 -> 0644; logged Authentication refused: bad ownership or modes for file "+keys {
		t.Errorf("detail %q", last)
	}
	line := record.Record{Verdict: record.Fail, Cause: "pubkey-disabled", Subject: "/etc/ssh/sshd_config:2"}
	if records = l.Records("", []record.Record{line, done, line}, time.UTC, nil); len(records) != 4 {
		t.Errorf("a line that keeps two accounts out: %+v", records)
	}
	done.Verdict = record.Fail // it could not be cured
	if records = l.Records("", []record.Record{done}, time.UTC, nil); len(records) != 4 {
		t.Errorf("%d records", len(records))
	}
}

func TestReadLogFails(t *testing.T) {
	l, err := ReadLog(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("x"))))
	if !errors.Is(err, iotest.ErrTimeout) || l == nil {
		t.Errorf("%v, %v", l, err)
	}
}

// A people is who has an account.
type people struct {
	hostfs.Machine
	me   strictmodes.Account
	list []strictmodes.Account
}

func (p people) Account(context.Context) (strictmodes.Account, error) { return p.me, nil }
func (p people) Accounts(context.Context) (iter.Seq[strictmodes.Account], error) {
	return slices.Values(p.list), nil
}

func TestLogAccounts(t *testing.T) {
	account := func(name string, uid int, home string) strictmodes.Account {
		return strictmodes.Account{Name: name, UID: uid, Home: home}
	}
	root, pi, ann := account("root", 0, "/root"), account("pi", 1000, "/home/pi"), account("ann", 1001, "/srv/ann")
	everybody := []strictmodes.Account{root, pi, ann, account("all", 1002, "/")}
	of := func(path string) string {
		return "Authentication refused: bad ownership or modes for directory " + path + "\n"
	}
	for _, c := range []struct {
		name, log    string
		me           strictmodes.Account
		ours, others string
	}{
		{"by the home", of("/home/pi"), root, "pi /home/pi", ""},
		{"by what is in it", of("/home/pi/.ssh"), root, "pi /home/pi", ""},
		{"by the name", "Could not open user 'ann' authorized keys '/etc/keys/ann': Permission denied\n", root, "ann /srv/ann", ""},
		{"both", of("/home/pi") + of("/srv/ann/.ssh"), root, "pi /home/pi, ann /srv/ann", ""},
		{"another's", of("/home/pi") + of("/srv/ann"), pi, "pi /home/pi", "ann"},
		{"where $HOME says", of("/tmp/x/.ssh"), account("pi", 1000, "/tmp/x"), "pi /tmp/x", ""},
		{"sudo that keeps $HOME", of("/home/pi"), account("root", 0, "/home/pi"), "pi /home/pi", ""},
		{"who is not in passwd(5)", of("/tmp/x"), account("", 7, "/tmp/x"), " /tmp/x", ""},

		{"nobody's", of("/etc") + of("/home/pip") + of("/home/pi2/.ssh") + of("/home") + of("/"), root, "", ""},
		{"a way round", of("/home/pip/../pi"), root, "", ""},
		{"a name with a way", "Could not open user '../home/pi' authorized keys '/etc/shadow': Permission denied\n", root, "", ""},
		{"a name with a newline", `Could not open user 'pi\nann' authorized keys '/etc/shadow': Permission denied` + "\n", root, "", ""},
		{"what strangers try", "Invalid user pi from 1.2.3.4 port 1\nUser ann from 1.2.3.4 not allowed because listed in DenyUsers\n" +
			"ROOT LOGIN REFUSED FROM 1.2.3.4 port 1\n", root, "", ""},
		{"a path as a name", "Invalid user /home/pi from 1.2.3.4 port 1\n", root, "", ""},
	} {
		ours, others, err := readLog(t, c.log).Accounts(t.Context(), people{me: c.me, list: everybody})
		var names []string
		for _, who := range ours {
			names = append(names, who.Name+" "+who.Home)
		}
		if err != nil || strings.Join(names, ", ") != c.ours || strings.Join(others, ", ") != c.others {
			t.Errorf("%s: %q and %q, %v", c.name, names, others, err)
		}
	}
}
