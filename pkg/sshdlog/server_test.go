package sshdlog

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshtest"
)

// TestServers has real servers refuse a login for a reason that we made, and
// reads what they log about it.
func TestServers(t *testing.T) {
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "ssh")
	programs := map[string]string{"installed": ""}
	if program := os.Getenv("PIKEY_TEST_SSHD10"); program != "" {
		programs["newer"] = program
	}
	for name, program := range programs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := sshtest.AddUser(t, sshtest.UserConfig{})
			k := sshtest.NewKey(t, t.TempDir(), "ed25519")
			second := filepath.Join(u.Home, "second")
			config := []string{"AuthorizedKeysFile .ssh/authorized_keys second", "DenyUsers daemon"}
			if program != "" {
				config = append(config, "PerSourcePenalties no")
			}
			d := sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: program, Config: config})
			seen := 0
			try := func(login string, more ...string) (events map[string]Event, stderr string) {
				t.Helper()
				_, stderr = sshtest.SSH(t, d.Endpoint, login, k.File, more...)
				log := d.Log()
				got, stats := scan(t, log[seen:], Context)
				if stats.Unknown > 0 {
					t.Errorf("%d lines are not known: %s", stats.Unknown, log[seen:])
				}
				seen = len(log)
				events = make(map[string]Event)
				for _, e := range got {
					if e.Severity == Refusal || e.Severity == Accepted {
						events[e.Cause] = e
					}
				}
				return events, stderr
			}
			expect := func(what string, events map[string]Event, cause, path string, line int) {
				t.Helper()
				if e, ok := events[cause]; !ok || e.Path != path || e.Line != line {
					t.Errorf("%s: %q with %+v, want %s %s:%d", what, slices.Collect(maps.Keys(events)), e, cause, path, line)
				}
			}

			keys := u.Authorize(t, k.Line)
			if got, _ := try(u.Name); got[""].Severity != Accepted {
				t.Errorf("a login: %+v", got)
			}
			u.Own(t, u.Home, 0o777)
			got, _ := try(u.Name)
			expect("home", got, "parent-writable", u.Home, 0) // it is none of /home
			u.Own(t, u.Home, 0o755)
			u.Own(t, keys, 0o666)
			got, _ = try(u.Name)
			expect("keys", got, "keys-writable", keys, 0)

			if err := os.Chown(keys, 0, 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(keys, 0o600); err != nil {
				t.Fatal(err)
			}
			got, _ = try(u.Name)
			expect("root's", got, "keys-unreadable", keys, 0)

			u.Authorize(t, "# a comment", `from="192.0.2.1" `+k.Line)
			got, _ = try(u.Name)
			expect("from", got, "entry-from", keys, 2)
			if e := got["entry-from"]; e.User != u.Name || e.Addr != "127.0.0.1" || e.Reason != "192.0.2.1" {
				t.Errorf("from: %+v", e)
			}
			u.Authorize(t, `expiry-time="20200101" `+k.Line)
			if got, _ = try(u.Name); got["entry-refused"].Name == "" {
				t.Errorf("expiry: %+v", got)
			}

			if err := os.Remove(keys); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(keys, 0o700); err != nil {
				t.Fatal(err)
			}
			u.Own(t, keys, 0o700)
			got, _ = try(u.Name)
			expect("a folder", got, "keys-not-a-file", keys, 0)

			// A name that sshd encodes, behind a link.
			odd := filepath.Join(u.Home, "é \\x\t'")
			if err := os.RemoveAll(filepath.Dir(keys)); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(odd, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(odd, filepath.Dir(keys)); err != nil {
				t.Fatal(err)
			}
			u.Authorize(t, k.Line)
			u.Own(t, odd, 0o777)
			got, _ = try(u.Name)
			expect("an odd name", got, "parent-writable", odd, 0)

			// What the server tells ssh, once another file has let it in.
			if err := os.WriteFile(second, []byte(k.Line+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			u.Own(t, second, 0o600)
			_, stderr := try(u.Name, "-v")
			told, _ := scan(t, stderr, Refusal)
			if len(told) == 0 || told[0].Cause != "parent-writable" || told[0].Path != odd {
				t.Errorf("ssh -v: %+v\n%s", told, stderr)
			}

			got, _ = try("nosuch user from 192.0.2.1 port 7")
			if e := got["user-unknown"]; e.User != "nosuch user from 192.0.2.1 port 7" || e.Addr != "127.0.0.1" {
				t.Errorf("an unknown user: %+v", got)
			}
			if got, _ = try("daemon"); got["user-not-allowed"].User != "daemon" {
				t.Errorf("DenyUsers: %+v", got)
			}
		})
	}
}

// Clients offer several keys at the same time, to a server that tells of each. Those
// are refused after which none lets in, whether the lines tell their connection by a
// PID or not, and wherever the log begins.
func TestSeveralKeys(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "ssh", "sshpass")
	programs := []string{""}
	if program := os.Getenv("PIKEY_TEST_SSHD10"); program != "" {
		programs = append(programs, program)
	}
	for _, program := range programs {
		u := sshtest.AddUser(t, sshtest.UserConfig{})
		config := []string{"MaxStartups 100", "MaxAuthTries 4"}
		if program != "" {
			config = append(config, "PerSourcePenalties no")
		}
		d := sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: program, Config: config})
		var authorized []string
		refused := make(map[string]bool) // by fingerprint
		var clients []*exec.Cmd
		for i := range 12 {
			args := d.SSHArgs(t)
			args = append(args, "-l", u.Name, "-o", "IdentitiesOnly=yes", "-o", "PreferredAuthentications=publickey,password", "-o", "NumberOfPasswordPrompts=1")
			for n := range 3 {
				k := sshtest.NewKey(t, t.TempDir(), "ed25519")
				args = append(args, "-i", k.File)
				lets := i%3 == 0 && n == 2
				if lets {
					authorized = append(authorized, k.Line)
				}
				refused[ssh.FingerprintSHA256(k.Signer.PublicKey())] = i%3 > 0
			}
			command, password := "ssh", []string{"-p", u.Password, "ssh"}
			if i%3 == 1 { // which the password lets in
				command, args = "sshpass", append(password, args...)
			} else {
				args = append(args, "-o", "BatchMode=yes")
			}
			clients = append(clients, sshtest.Command(t, t.TempDir(), command, append(args, "127.0.0.1", "true")...))
		}
		u.Authorize(t, authorized...)
		for _, c := range clients {
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range clients {
			if err := c.Wait(); (err == nil) != (i%3 < 2) {
				t.Fatalf("client %d: %v", i, err)
			}
		}
		log := strings.ReplaceAll(d.Log(), "\r", "")
		lines := slices.Collect(strings.Lines(log))
		port := regexp.MustCompile(`127\.0\.0\.1 port (\d+)`)
		for _, f := range formats {
			var all []string
			for _, line := range lines {
				pid := "1"
				if m := port.FindStringSubmatch(line); m != nil {
					pid = m[1]
				}
				all = append(all, f.line("sshd", pid, strings.TrimSuffix(line, "\n"))+"\n")
			}
			for cut := range len(all) {
				check(t, f.name+" from", strings.Join(all[cut:], ""), refused, cut == 0)
			}
			check(t, f.name, strings.Join(all, ""), refused, true)
		}
	}
}

// check demands that a log tells of those keys alone that were refused, or of all.
func check(t *testing.T, what, log string, refused map[string]bool, all bool) {
	t.Helper()
	events, _ := scan(t, log, Refusal)
	told := make(map[string]int)
	for _, e := range events {
		if e.Cause != "key-refused" || !refused[e.Key] || e.PID != "" && e.PID != e.Port {
			t.Errorf("%s: %+v", what, e)
		}
		told[e.Key]++
	}
	for k, was := range refused {
		if all && was && told[k] != 1 {
			t.Errorf("%s: %s is told %d times", what, k, told[k])
		}
	}
}

func TestDropbear(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh", "dropbear")
	u := sshtest.AddUser(t, sshtest.UserConfig{Shell: "/bin/sh"})
	d := sshtest.StartDropbear(t)
	k := sshtest.NewKey(t, t.TempDir(), "ed25519")
	keys := u.Authorize(t, `from="192.0.2.1" `+k.Line)
	sshtest.SSH(t, d.Endpoint, u.Name, k.File)
	u.Authorize(t, k.Line)
	sshtest.SSH(t, d.Endpoint, u.Name, k.File)
	u.Own(t, u.Home, 0o777)
	sshtest.SSH(t, d.Endpoint, u.Name, k.File)
	sshtest.SSH(t, d.Endpoint, "nosuch", k.File)

	got, stats := scan(t, d.Log(), Accepted)
	var have []string
	for _, e := range got {
		have = append(have, strings.TrimSpace(e.Name+" "+e.Cause+" "+e.User+" "+strings.ReplaceAll(e.Path, u.Home, "~")))
		if e.PID == "" || e.Time == "" {
			t.Errorf("no process or time: %+v", e)
		}
	}
	for _, want := range []string{"db-options dropbear-limits " + u.Name + " ~/.ssh/authorized_keys", "db-ok  " + u.Name, "db-perm parent-writable " + u.Name + " ~", "db-nouser user-unknown"} {
		if !slices.Contains(have, want) {
			t.Errorf("no %q in %q of %s (%s)", want, have, d.Log(), keys)
		}
	}
	if stats.Known < 8 {
		t.Errorf("%+v of %s", stats, d.Log())
	}
}
