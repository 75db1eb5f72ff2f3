package sshdlog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	"pi-key-tools/pkg/cause"
)

// An example is a line of testdata/lines.txt.
type example struct {
	line string
	want Event // without what the head of a line tells
}

func examples(t *testing.T) []example {
	t.Helper()
	data, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	for s := range strings.Lines(string(data)) {
		if strings.HasPrefix(s, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(s, "\n"), "\t")
		if len(f) != 12 {
			t.Fatalf("%d fields: %q", len(f), f)
		}
		severity, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		number, err := strconv.Atoi(f[8])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, example{f[0], Event{Name: f[1], Client: strings.HasPrefix(f[1], "c-"), Severity: Severity(severity), Cause: f[3], User: f[4], Addr: f[5], Port: f[6], Path: f[7],
			Line: number, KeyType: f[9], Key: f[10], Reason: f[11]}})
	}
	if len(all) < 90 {
		t.Fatalf("only %d examples", len(all))
	}
	return all
}

// bare is an event without what the head tells, for comparison.
func bare(e Event) Event {
	e.Time, e.Host, e.Tag, e.PID, e.Message, e.Cure, e.Times = "", "", "", "", "", "", 0
	return e
}

func TestExamples(t *testing.T) {
	for _, x := range examples(t) {
		got, stats := scan(t, x.line+"\n", Context)
		if len(got) != 1 || bare(got[0]) != x.want {
			t.Errorf("%s\n got %+v, %+v\nwant %+v", x.line, got, stats, x.want)
		}
	}
}

// The table holds together: a refusal has a cause that the catalogue knows,
// nothing else has one, and each form matches what is made of it.
func TestPatterns(t *testing.T) {
	prepare()
	for _, p := range patterns {
		_, known := cause.Lookup(p.cause)
		later := p.cause == byPath || p.cause == byConfig
		if (p.severity == Refusal) != (known || later) || (p.severity != Refusal || later) != (p.cure == "") {
			t.Errorf("%s: severity %d with cause %q", p.name, p.severity, p.cause)
		}
	}
	values := map[string]string{"user": "pi", "addr": "192.0.2.7", "peer": "192.0.2.7:4242", "port": "4242", "path": "/home/pi/.ssh/authorized_keys", "line": "12",
		"at": "/home/pi/.ssh/authorized_keys:12", "type": "ED25519", "key": "SHA256:abc", "reason": "a reason", "word": "hostbased", "*": "any thing at all", "-": "thing", "#": "3", "service": "sshd"}
	for _, p := range patterns {
		for form := range strings.SplitSeq(p.forms, " | ") {
			message, want := form, Event{}
			for name, value := range values {
				message = strings.ReplaceAll(message, "{"+name+"}", value)
			}
			has := func(name string) bool { return strings.Contains(form, "{"+name+"}") }
			if has("user") {
				want.User = "pi"
			}
			if has("addr") || has("peer") {
				want.Addr = "192.0.2.7"
			}
			if has("port") || has("peer") {
				want.Port = "4242"
			}
			if has("path") || has("at") {
				want.Path = "/home/pi/.ssh/authorized_keys"
			}
			if has("line") || has("at") {
				want.Line = 12
			}
			if has("type") {
				want.KeyType = "ED25519"
			}
			if has("key") {
				want.Key = "SHA256:abc"
			}
			if has("reason") {
				want.Reason = "a reason"
			} else if has("word") {
				want.Reason = "hostbased"
			}
			for _, as := range []program{sshd, dropbear, client} {
				if p.program&as == 0 {
					continue
				}
				x := text{msg: []byte(message), times: 1, program: as}
				x.clean()
				var found spans
				got := x.match(Context, &found)
				if got == nil {
					t.Errorf("%s: %q is not known", p.name, message)
					continue
				}
				e := x.event(got, &found)
				e.settle()
				if e.Severity == Refusal && (e.Cause == "" || e.Cause[0] == '?' || e.Cure == "") {
					t.Errorf("%s: %q: cause %q, cure %q", p.name, message, e.Cause, e.Cure)
				}
				want.Name, want.Severity, want.Cause, want.Client = p.name, p.severity, e.Cause, p.program == client || p.cause == byConfig && as == client
				if bare(e) != want {
					t.Errorf("%q\n got %+v\nwant %+v", message, bare(e), want)
				}
			}
		}
	}
}

// A format is how a message stands in some log.
type format struct {
	name string
	line func(tag, pid, message string) string
	want [2]string // time and host
	tags bool      // the tag and the PID are in it
}

var formats = []format{
	{"short", func(tag, pid, m string) string { return "Nov  2 07:23:29 raspberrypi " + tag + "[" + pid + "]: " + m }, [2]string{"Nov  2 07:23:29", "raspberrypi"}, true},
	{"short-precise", func(tag, pid, m string) string { return "Nov 22 07:23:29.719436 pi.lan " + tag + "[" + pid + "]: " + m }, [2]string{"Nov 22 07:23:29.719436", "pi.lan"}, true},
	{"rfc3339", func(tag, pid, m string) string {
		return "2026-11-22T07:23:29.719890+00:00 pi " + tag + "[" + pid + "]: " + m
	}, [2]string{"2026-11-22T07:23:29.719890+00:00", "pi"}, true},
	{"short-iso", func(tag, pid, m string) string { return "2026-11-22T07:23:29+0000 pi " + tag + "[" + pid + "]: " + m }, [2]string{"2026-11-22T07:23:29+0000", "pi"}, true},
	{"short-full", func(tag, pid, m string) string {
		return "Sun 2026-11-22 07:23:29 UTC pi " + tag + "[" + pid + "]: " + m
	}, [2]string{"Sun 2026-11-22 07:23:29 UTC", "pi"}, true},
	{"short-unix", func(tag, pid, m string) string { return "1795332209.719436 pi " + tag + "[" + pid + "]: " + m }, [2]string{"1795332209.719436", "pi"}, true},
	{"short-monotonic", func(tag, pid, m string) string { return "[ 2906.078609] pi " + tag + "[" + pid + "]: " + m }, [2]string{"[ 2906.078609]", "pi"}, true},
	{"rfc5424", func(tag, pid, m string) string {
		return "<38>1 2026-11-22T07:23:29.719890+00:00 pi " + tag + " " + pid + " - -  " + m
	}, [2]string{"2026-11-22T07:23:29.719890+00:00", "pi"}, true},
	{"rfc5424 with data", func(tag, pid, m string) string {
		return "<38>1 2026-11-22T07:23:29Z pi " + tag + " " + pid + ` - [a@1 b="x\"] c"][d@1] ` + m
	}, [2]string{"2026-11-22T07:23:29Z", "pi"}, true},
	{"rfc3164", func(tag, pid, m string) string { return "<38>Nov 22 07:23:29 pi " + tag + "[" + pid + "]: " + m }, [2]string{"Nov 22 07:23:29", "pi"}, true},
	{"busybox", func(tag, pid, m string) string { return "Nov 22 07:23:29 pi auth.info " + tag + "[" + pid + "]: " + m }, [2]string{"Nov 22 07:23:29", "pi"}, true},
	{"logread", func(tag, pid, m string) string {
		return "Sun Nov 22 07:23:29 2026 auth.info " + tag + "[" + pid + "]: " + m
	}, [2]string{"Sun Nov 22 07:23:29 2026", "auth.info"}, true},
	{"without a host", func(tag, pid, m string) string { return "Nov 22 07:23:29 " + tag + "[" + pid + "]: " + m }, [2]string{"Nov 22 07:23:29", ""}, true},
	{"solaris", func(tag, pid, m string) string {
		return "Nov 22 07:23:29 pi " + tag + "[" + pid + "]: [ID 800047 auth.info] " + m
	}, [2]string{"Nov 22 07:23:29", "pi"}, true},
	{"in brackets", func(tag, pid, m string) string { return "Nov 22 07:23:29 pi (" + tag + ")[" + pid + "]: " + m }, [2]string{"Nov 22 07:23:29", "pi"}, true},
	{"json", jsonLine, [2]string{"1795332209719436", "pi"}, true},
	{"short-delta", func(tag, pid, m string) string {
		return "[ 2906.078609 <    1.000000 >] pi " + tag + "[" + pid + "]: " + m
	}, [2]string{"[ 2906.078609 <    1.000000 >]", "pi"}, true},
	{"json-seq", func(tag, pid, m string) string { return "\x1e" + jsonLine(tag, pid, m) }, [2]string{"1795332209719436", "pi"}, true},
	{"json-sse", func(tag, pid, m string) string { return "data: " + jsonLine(tag, pid, m) }, [2]string{"1795332209719436", "pi"}, true},
	{"json of bytes", func(tag, pid, m string) string {
		return fmt.Sprintf(`{"SYSLOG_IDENTIFIER" : %q, "_PID":"1", "SYSLOG_PID":%q,"_HOSTNAME":["pi","pj"],"__REALTIME_TIMESTAMP":"1795332209719436","MESSAGE":%s}`, tag, pid, byteArray(m))
	}, [2]string{"1795332209719436", "pi"}, true},
	{"export", func(tag, pid, m string) string {
		return "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795332209719436\n_HOSTNAME=pi\nSYSLOG_IDENTIFIER=" + tag + "\nMESSAGE=" + m + "\n_PID=" + pid + "\n"
	}, [2]string{"1795332209719436", "pi"}, true},
	{"export of bytes", func(tag, pid, m string) string {
		return "__CURSOR=s=1;i=2\n__REALTIME_TIMESTAMP=1795332209719436\n_HOSTNAME=pi\nOTHER\n" + binaryField("a\n\nb") + "MESSAGE\n" + binaryField(m) +
			"SYSLOG_IDENTIFIER=" + tag + "\nSYSLOG_PID=" + pid + "\n_PID=9\n"
	}, [2]string{"1795332209719436", "pi"}, true},
	{"json-pretty", func(tag, pid, m string) string {
		return "{\n\t\"__REALTIME_TIMESTAMP\" : \"1795332209719436\",\n\t\"MESSAGE\" : [\n\t\t" + strings.ReplaceAll(strings.Trim(byteArray(m), "[ ]"), ", ", ",\n\t\t") +
			"\n\t],\n\t\"SYSLOG_IDENTIFIER\" : \"" + tag + "\",\n\t\"_HOSTNAME\" : \"pi\",\n\t\"_PID\" : \"" + pid + "\"\n}"
	}, [2]string{"1795332209719436", "pi"}, true},
	{"verbose", func(tag, pid, m string) string {
		return "Sun 2026-11-22 07:23:29.719436 UTC [s=8a479055;i=1;b=0d2b;m=f4240;t=660d;x=d932]\n    PRIORITY=6\n    _HOSTNAME=pi\n    SYSLOG_IDENTIFIER=" + tag +
			"\n    SYSLOG_RAW=[9B blob data]\n    SYSLOG_PID=" + pid + "\n    _PID=9\n    MESSAGE=" + m
	}, [2]string{"Sun 2026-11-22 07:23:29.719436 UTC", "pi"}, true},
	{"bare", func(_, _, m string) string { return m }, [2]string{}, false},
	{"bare with CR", func(_, _, m string) string { return m + "\r" }, [2]string{}, false},
}

func jsonLine(tag, pid, m string) string {
	b, err := json.Marshal(map[string]any{"__REALTIME_TIMESTAMP": "1795332209719436", "_HOSTNAME": "pi", "SYSLOG_IDENTIFIER": tag, "_PID": pid, "MESSAGE": m, "_COMM": tag,
		"Z": []string{`}"]`, "x"}, "A": nil, "B": `\"MESSAGE\":\"no\"`})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func byteArray(s string) string {
	var numbers []string
	for _, c := range []byte(s) {
		numbers = append(numbers, strconv.Itoa(int(c)))
	}
	return "[ " + strings.Join(numbers, ", ") + " ]"
}

func binaryField(s string) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(s)))) + s + "\n"
}

// scan reads a whole log.
func scan(t testing.TB, log string, want Severity) ([]Event, Stats) {
	t.Helper()
	s := NewScanner(iotest.HalfReader(strings.NewReader(log)), want)
	var all []Event
	for s.Scan() {
		all = append(all, s.Event())
	}
	if s.Err() != nil {
		t.Error(s.Err())
	}
	if n := s.Stats(); n.Known+n.Unknown+n.Foreign != n.Lines {
		t.Errorf("the counts do not add up: %+v", n)
	}
	return all, s.Stats()
}

func tagOf(p program) string {
	switch {
	case p&sshd != 0:
		return "sshd-session"
	case p&dropbear != 0:
		return "dropbear"
	}
	return "ssh"
}

// Every example means the same in every format.
func TestFormats(t *testing.T) {
	for _, f := range formats {
		var log strings.Builder
		var want []Event
		for i, x := range examples(t) {
			p := patterns[slices.IndexFunc(patterns, func(p pattern) bool { return p.name == x.want.Name })].program
			tag, pid := tagOf(p), strconv.Itoa(1000+i)
			log.WriteString(f.line(tag, pid, x.line) + "\n")
			w := x.want
			w.Time, w.Host = f.want[0], f.want[1]
			if f.tags {
				w.Tag, w.PID = tag, pid
			}
			want = append(want, w)
		}
		got, stats := scan(t, log.String(), Context)
		if stats.Known != len(want) {
			t.Errorf("%s: %+v, want %d known", f.name, stats, len(want))
		}
		// Those that wait come later.
		byPID := func(a, b Event) int { return strings.Compare(a.PID, b.PID) }
		slices.SortStableFunc(got, byPID)
		for i := range got {
			got[i].Message, got[i].Cure, got[i].Times = "", "", 0
		}
		if f.tags && !slices.Equal(got, want) {
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("%s:\n got %+v\nwant %+v", f.name, got[i], want[i])
					break
				}
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d events, want %d", f.name, len(got), len(want))
			}
		}
	}
}

func TestOthersAreNotOurs(t *testing.T) {
	const m = "Authentication refused: bad ownership or modes for directory /etc"
	for _, line := range []string{
		"Nov 22 07:23:29 pi sudo[1]: " + m,
		"Nov 22 07:23:29 pi sudo: eve : sshd[1]: " + m,
		"Nov 22 07:23:29 pi sshd2[1]: " + m,
		"Nov 22 07:23:29 pi x sshd[1]: " + m,
		"2026-11-22T07:23:29Z pi eve: pi sshd[1]: " + m,
		"<38>1 2026-11-22T07:23:29Z pi eve 1 - - sshd[1]: " + m,
		"[ 12.5] pi kernel: sshd[1]: " + m,
		jsonLine("eve", "1", m),
		`{"SYSLOG_IDENTIFIER":"sshd","_COMM":"logger","MESSAGE":"` + m + `"}`,
		`{"SYSLOG_IDENTIFIER":"eve","X":"\",\"SYSLOG_IDENTIFIER\":\"sshd","MESSAGE":"` + m + `"}`,
		`{"SYSLOG_IDENTIFIER":"sshd","MESSAGE":null}`,
		`{"SYSLOG_IDENTIFIER":"sshd","MESSAGE":"` + m, // torn
		"__CURSOR=1\nSYSLOG_IDENTIFIER=eve\nMESSAGE\n" + binaryField("\n\n__CURSOR=2\nSYSLOG_IDENTIFIER=sshd\nMESSAGE="+m+"\n\n") + "\n",
	} {
		if got, stats := scan(t, line+"\n", Context); len(got) != 0 || stats.Foreign != stats.Lines {
			t.Errorf("%q: %+v, %+v", line, stats, got)
		}
	}
}

// What ssh -vvv tells of a login that works.
func TestVerboseIsNoRefusal(t *testing.T) {
	for _, line := range []string{
		"debug1: /etc/ssh/ssh_config line 19: include /etc/ssh/ssh_config.d/*.conf matched no files",
		"debug1: /etc/ssh/ssh_config line 21: Applying options for *",
		"debug3: /etc/ssh/ssh_config line 3: Including file /etc/ssh/ssh_config.d/a.conf depth 0",
		"debug1: /home/pi/.ssh/config line 4: Skipping Host block because of negated match for pi",
		"debug3: /home/pi/.ssh/config line 5: not matched 'host \"pi\"'",
		"debug3: /home/pi/.ssh/config line 5: matched 'user \"pi\"'",
		"debug3: no such identity: /home/pi/.ssh/id_rsa: No such file or directory",
	} {
		if got, _ := scan(t, line+"\n", Hint); len(got) != 0 {
			t.Errorf("%q: %+v", line, got)
		}
	}
	for _, line := range []string{
		"/etc/ssh/sshd_config line 3: no argument after keyword \"Port\"",
		"no such identity: /home/pi/.ssh/id_pi: No such file or directory",
	} {
		if got, _ := scan(t, line+"\n", Refusal); len(got) != 1 {
			t.Errorf("%q: %+v", line, got)
		}
	}
}

// A configuration is the server's or ssh's, and what a server tells of it at its
// debug levels is no error.
func TestConfiguration(t *testing.T) {
	for line, want := range map[string]string{
		"/home/pi/.ssh/config: line 1: Bad configuration option: nonsense":                             "config-bad true",
		"/home/pi/.ssh/config line 3: no argument after keyword \"port\"":                              "config-bad true",
		"/home/pi/.ssh/config: terminating, 1 bad configuration options":                               "config-bad true",
		"command-line: line 0: Bad configuration option: nonsense":                                     "config-bad true",
		"/etc/ssh/ssh_config.d/a.conf line 3: garbage at end of line; \"x\".":                          "config-bad true",
		"Nov 22 07:23:29 pi ssh[1]: /tmp/sshd: line 1: Bad configuration option: nonsense":             "config-bad true",
		"/etc/ssh/sshd_config.d/a.conf: line 1: Bad configuration option: nonsense":                    "server-config-bad false",
		"Nov 22 07:23:29 pi sshd[1]: error: /etc/ssh.conf: line 1: Bad configuration option: nonsense": "server-config-bad false",
		"/home/pi/.ssh/authorized_keys, line 3: missing end quote":                                     "entry-options-bad false",
		"Bad options in /home/pi/.ssh/authorized_keys file, line 3: frm=\"x\" ssh-rsa":                 "entry-options-bad false",
		"debug2: /etc/ssh/sshd_config line 13: including /etc/ssh/sshd_config.d/a.conf":                "",
		"debug2: /etc/ssh/sshd_config line 13: no match for /etc/ssh/sshd_config.d/*.conf":             "",
		"debug1: /etc/ssh/sshd_config line 5: Subsystem 'sftp' already defined.":                       "",
	} {
		got := ""
		events, _ := scan(t, line+"\n", Refusal)
		for _, e := range events {
			got += fmt.Sprintf("%s %t", e.Cause, e.Client)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

// User names are free text; what stands after them is found from the end.
func TestInjection(t *testing.T) {
	for _, c := range []struct{ message, user, addr, port, name string }{
		{"Invalid user x from 1.2.3.4 port 22 ssh2 from 127.0.0.1 port 42912", "x from 1.2.3.4 port 22 ssh2", "127.0.0.1", "42912", "user-invalid"},
		{"Invalid user  from 127.0.0.1 port 1", "", "127.0.0.1", "1", "user-invalid"},
		{"Invalid user a\\033[2J\\\\ from 127.0.0.1 port 1", "a\x1b[2J\\", "127.0.0.1", "1", "user-invalid"},
		{"Failed password for invalid user a from 6.6.6.6 port 1 ssh2: ED25519 SHA256:x from 127.0.0.1 port 2 ssh2", "a from 6.6.6.6 port 1 ssh2: ED25519 SHA256:x", "127.0.0.1", "2", "failed-password"},
		{"Failed publickey for invalid user a from 6.6.6.6 port 1 ssh2 from 127.0.0.1 port 2 ssh2: RSA SHA256:x", "a from 6.6.6.6 port 1 ssh2", "127.0.0.1", "2", "failed-invalid"},
		{"Connection closed by invalid user root 6.6.6.6 port 1 127.0.0.1 port 2 [preauth]", "root 6.6.6.6 port 1", "127.0.0.1", "2", "closed-invalid"},
		{"Connection closed by invalid user x [preauth] 127.0.0.1 port 2 [preauth]", "x [preauth]", "127.0.0.1", "2", "closed-invalid"},
		{"Disconnecting invalid user x 6.6.6.6 port 1: y 127.0.0.1 port 2: Too many authentication failures [preauth]", "x 6.6.6.6 port 1: y", "127.0.0.1", "2", "disconnecting"},
		{"PAM: Authentication failure for illegal user root from 6.6.6.6 from 127.0.0.1", "root from 6.6.6.6", "127.0.0.1", "", "pam-error"},
		{"maximum authentication attempts exceeded for invalid user x from 6.6.6.6 port 1 ssh2 from 127.0.0.1 port 2 ssh2", "x from 6.6.6.6 port 1 ssh2", "127.0.0.1", "2", "max-attempts"},
		{"Invalid user Authentication refused: bad ownership or modes for directory /etc from 127.0.0.1 port 2", "Authentication refused: bad ownership or modes for directory /etc", "127.0.0.1", "2", "user-invalid"},
		{"Exit before auth from <127.0.0.1:2>: (user 'x', 0 fails): y', 1 fails): Exited normally", "x", "127.0.0.1", "2", "db-exit"},
	} {
		got, stats := scan(t, c.message+"\n", Context)
		if len(got) != 1 || got[0].Name != c.name || got[0].User != c.user || got[0].Addr != c.addr || got[0].Port != c.port {
			t.Errorf("%q: %+v, %+v", c.message, stats, got)
		}
	}
}

func TestParameters(t *testing.T) {
	head := "Nov 22 07:23:29 pi sshd[7]: "
	for _, c := range []struct {
		line string
		want Event // the fields that matter
	}{
		{head + `Authentication refused: bad ownership or modes for directory /home/jos\303\251 a\\b`, Event{Path: "/home/josé a\\b", Cause: "home-writable"}},
		{head + `Authentication refused: bad ownership or modes for directory /srv/x\q\9`, Event{Path: `/srv/x\q\9`, Cause: "parent-writable"}},
		{head + "Authentication refused: bad ownership or modes for directory /home/pi/.ssh#015", Event{Path: "/home/pi/.ssh", Cause: "dir-writable"}},
		{head + "message repeated 3 times: [ Authentication refused: bad ownership or modes for file /home/pi/.ssh/authorized_keys]",
			Event{Path: "/home/pi/.ssh/authorized_keys", Cause: "keys-writable", Times: 3}},
		{head + "Authentication refused: bad ownership or modes for directory /" + strings.Repeat("a", 500), Event{Path: "/" + strings.Repeat("a", 500), Cause: "parent-writable", Cut: true}},
		{head + "Could not open user 'pi' authorized keys '/" + strings.Repeat("a", 500), Event{User: "pi", Path: "/" + strings.Repeat("a", 500), Cause: "keys-unreadable", Cut: true}},
		{head + "Invalid user " + strings.Repeat("u", 100) + " from 127.0.0.1 port 1", Event{User: strings.Repeat("u", 100), Addr: "127.0.0.1", Port: "1", Cause: "user-unknown", Cut: true}},
		{"Nov 22 07:23:29 pi dropbear[7]: /home/jos\xc3\xa9\\303#011 must be owned by user or root, and not writable by group or others",
			Event{Path: "/home/josé\\303\t", Cause: "home-writable"}},
		{"[123] Nov 22 07:23:29 Pubkey auth attempt with unknown algo for 'pi' from ::1:4242", Event{User: "pi", Addr: "::1", Port: "4242", Cause: "key-type-refused"}},
		{"Sun 2026-11-22 07:23:29 UTC pi ssh@0-::1:22-::1:51870.service[7]: fatal: Access denied for user pi by PAM account configuration [preauth]", Event{User: "pi", Cause: "pam-refused"}},
		{"debug1: Remote: Ignored authorized keys: bad ownership or modes for directory /home/pi/.ssh", Event{Path: "/home/pi/.ssh", Cause: "dir-writable"}},
	} {
		got, stats := scan(t, c.line+"\n", Refusal)
		if len(got) != 1 || stats.Known != 1 {
			t.Errorf("%q: %+v %+v", c.line, stats, got)
			continue
		}
		g := got[0]
		if c.want.Times == 0 {
			c.want.Times = 1
		}
		if (Event{Path: g.Path, Cause: g.Cause, User: g.User, Addr: g.Addr, Port: g.Port, Times: g.Times, Cut: g.Cut}) != c.want {
			t.Errorf("%q\n got %+v\nwant %+v", c.line, g, c.want)
		}
	}
}

// A line that does not name the user waits for one of its connection that does.
func TestConnections(t *testing.T) {
	log := `Nov 22 07:23:29 pi sshd[100]: Authentication refused: bad ownership or modes for directory /data/ann
Nov 22 07:23:29 pi sshd[200]: Authentication refused: bad ownership or modes for directory /home/bob
Nov 22 07:23:29 pj sshd[100]: Connection closed by authenticating user eve 192.0.2.3 port 3 [preauth]
Nov 22 07:23:30 pi sshd[300]: Connection closed by authenticating user pi 192.0.2.4 port 4 [preauth]
Nov 22 07:23:30 pi sshd[100]: Connection closed by authenticating user ann 192.0.2.1 port 1 [preauth]
Nov 22 07:23:31 pi sshd[400]: /home/cy/.ssh/authorized_keys:3: Authentication tried for cy with correct key but not from a permitted host (host=x, ip=192.0.2.9, required=10.0.0.1).
Nov 22 07:23:31 pi sshd[400]: error: Refused by key options
Nov 22 07:23:31 pi sshd[500]: error: Refused by key options
`
	got, _ := scan(t, log, Refusal)
	var have []string
	for _, e := range got {
		have = append(have, fmt.Sprint(e.PID, " ", e.Cause, " ", e.User, " ", e.Addr, " ", e.Port))
	}
	want := []string{"100 home-writable ann 192.0.2.1 1", "400 entry-from cy 192.0.2.9 ", "200 home-writable   ", "500 entry-refused   "}
	if !slices.Equal(have, want) {
		t.Errorf("got %q\nwant %q", have, want)
	}

	// A key that is refused is one of several, of which another may let in.
	log = ""
	for _, line := range []string{
		"100]: Failed publickey for pi from 192.0.2.1 port 1 ssh2: RSA SHA256:a",
		"100]: Failed publickey for pi from 192.0.2.1 port 1 ssh2: ED25519-CERT SHA256:b ID ann (serial 0) CA ED25519 SHA256:c",
		"200]: debug1: Could not open user 'ann' authorized keys '/home/ann/.ssh/authorized_keys2': No such file or directory",
		"300]: Failed publickey for cy from 192.0.2.3 port 3 ssh2: RSA SHA256:a",
		"400]: Failed publickey for dan from 192.0.2.4 port 4 ssh2: RSA SHA256:a",
		"500]: pam_unix(sshd:account): expired password for user eve (root enforced)",
		"600]: Failed publickey for fay from 192.0.2.6 port 6 ssh2: RSA SHA256:a",
		"600]: debug1: Could not open user 'fay' authorized keys '/home/fay/.ssh/authorized_keys2': No such file or directory",
		"700]: Failed publickey for gus from 192.0.2.7 port 7 ssh2: RSA SHA256:a",
		"300]: Accepted publickey for cy from 192.0.2.3 port 3 ssh2: RSA SHA256:b",
		"200]: Accepted publickey for ann from 192.0.2.2 port 2 ssh2: RSA SHA256:b",
		"500]: Accepted publickey for eve from 192.0.2.5 port 5 ssh2: RSA SHA256:b",
		"600]: Failed publickey for fay from 192.0.2.6 port 6 ssh2: RSA SHA256:b",
		"600]: Partial publickey for fay from 192.0.2.6 port 6 ssh2: RSA SHA256:c",
		"700]: Accepted publickey for gus from 192.0.2.7 port 8 ssh2: RSA SHA256:b", // a later process of that PID
		"400]: Accepted password for dan from 192.0.2.4 port 4 ssh2",
		"100]: Connection closed by authenticating user pi 192.0.2.1 port 1 [preauth]",
	} {
		log += "Nov 22 07:23:29 pi sshd[" + line + "\n"
	}
	have = nil
	got, _ = scan(t, log, Refusal)
	for _, e := range got {
		have = append(have, fmt.Sprint(e.PID, " ", e.Cause, " ", e.User, " ", e.Key))
	}
	want = []string{"500 password-expired eve ", "600 more-needed fay SHA256:c", "400 key-refused dan SHA256:a", "100 key-refused pi SHA256:a", "100 key-refused pi SHA256:b", "700 key-refused gus SHA256:a"}
	if !slices.Equal(have, want) {
		t.Errorf("got %q\nwant %q", have, want)
	}

	var many strings.Builder // the oldest are let go
	for i := range maxWaiting + 10 {
		fmt.Fprintf(&many, "Nov 22 07:23:29 pi sshd[%d]: error: Refused by key options\n", i)
	}
	s := NewScanner(strings.NewReader(many.String()), Refusal)
	for i := range maxWaiting + 10 {
		if !s.Scan() || s.Event().PID != strconv.Itoa(i) {
			t.Fatalf("event %d: %+v", i, s.Event())
		}
		if len(s.waiting.events) > maxWaiting {
			t.Fatal("too many wait")
		}
	}
}

func TestLongLines(t *testing.T) {
	const m = "Nov 22 07:23:29 pi sshd[1]: User pi from 192.0.2.1 not allowed because listed in DenyUsers\n"
	log := m + strings.Repeat("x", 3*bufferSize) + "\n" + m + "Nov 22 07:23:29 pi sshd[1]: Authentication refused: bad ownership or modes for file /" +
		strings.Repeat("y", 2*bufferSize) + "\n" + m + "Nov 22 07:23:29 pi sudo: " + strings.Repeat("z", bufferSize) // no newline
	got, stats := scan(t, log, Refusal)
	if len(got) != 4 || stats != (Stats{Lines: 6, Known: 4, Unknown: 1, Foreign: 1}) {
		t.Fatalf("%+v, %d events", stats, len(got))
	}
	if e := got[2]; !e.Cut || e.Cause != "keys-writable" || len(e.Message) > messageMax {
		t.Errorf("%+v", e)
	}
}

func TestReadError(t *testing.T) {
	s := NewScanner(iotest.TimeoutReader(strings.NewReader(strings.Repeat("x\n", bufferSize))), Refusal)
	for s.Scan() {
	}
	if s.Err() != iotest.ErrTimeout {
		t.Errorf("error %v", s.Err())
	}
}

func TestCounter(t *testing.T) {
	var c Counter
	writable := Event{Cause: "home-writable", Path: "/home/pi", User: "pi", Times: 1, Time: "1"}
	c.Add(writable)
	for i := range 100_000 {
		c.Add(Event{Cause: "user-unknown", User: strconv.Itoa(i), Times: 1})
	}
	writable.Times, writable.Time = 3, "2"
	c.Add(writable)
	all := c.All()
	if len(all) != perCause+1 || all[0].Times != 4 || all[0].Time != "1" || all[0].Last != "2" {
		t.Errorf("%d counts, the first %+v", len(all), all[0])
	}
	if c.LeftOut()["user-unknown"] != 100_000-perCause || len(c.LeftOut()) != 1 {
		t.Errorf("left out %v", c.LeftOut())
	}
}

// Whatever the bytes, nothing panics, and no parameter is made up.
func FuzzScanner(f *testing.F) {
	data, err := os.ReadFile("testdata/lines.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, format := range formats {
		for s := range strings.Lines(string(data)) {
			message, _, _ := strings.Cut(s, "\t")
			f.Add([]byte(format.line("sshd", "12", message) + "\n"))
		}
	}
	f.Fuzz(func(t *testing.T, log []byte) {
		got, _ := scan(t, string(log), Context)
		for _, e := range got {
			for _, v := range []string{e.User, e.Addr, e.Port, e.Path, e.KeyType, e.Key, e.Reason} {
				if !strings.Contains(e.Message, v) && !strings.Contains(unvis(e.Message), v) {
					t.Errorf("%q is not in %q", v, e.Message)
				}
			}
			if e.Name == "" || e.Times < 1 || (e.Severity == Refusal) != (e.Cause != "") {
				t.Errorf("%+v", e)
			}
		}
	})
}
