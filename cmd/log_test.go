//go:build unix

package cmd_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/sshtest"
)

// forged are lines that whoever can write to the log may have put there.
func forged(victim string) string {
	return "Authentication refused: bad ownership or modes for directory " + victim + "\n" +
		"Nov 22 07:23:29 pi sshd[7]: Could not open user '../../../etc' authorized keys '" + victim + "/file': Permission denied\n" +
		"Nov 22 07:23:30 pi sshd[7]: Authentication refused: bad ownership or modes for file " + victim + `/file\n\033]0;x\007` + "\n" +
		"Authentication refused: bad ownership or modes for file " + victim + "/../\x1b[2J\x9b31m\n" +
		`{"SYSLOG_IDENTIFIER":"sshd","_COMM":"sshd","MESSAGE":[73,110,118,97,108,105,100,32,117,115,101,114,32,27,91,50,74,10,47,32,102,114,111,109,32,49,46,50,46,51,46,52]}` + "\n"
}

func modeOf(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

// printable fails where something would reach a terminal raw.
func printable(t *testing.T, output ...string) {
	t.Helper()
	for _, s := range output {
		if strings.ContainsAny(s, "\x1b\x07\r") || strings.Contains(s, "\x9b") {
			t.Errorf("raw bytes: %q", s)
		}
	}
}

// A pipe that nobody writes to keeps nobody who wants to leave: neither one with a
// name nor standard input.
func TestLeavesAPipe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	must(t, syscall.Mkfifo(pipe, 0o600))
	ca := sshtest.NewKey(t, dir, "ed25519").File
	agent := sshtest.StartAgent(t)
	in, out, err := os.Pipe()
	must(t, err)
	t.Cleanup(func() { in.Close(); out.Close() })
	for _, words := range [][]string{
		{"pikeyfix", "--log=" + pipe},
		{"pikeygen", "-l", pipe},
		{"pikeygen", "-l", "-"},
		{"pikeygen", "-s", ca, "-I", "x", "-n", "pi", pipe},
		{"pikeygen", "-s", ca, "-I", "x", "-n", "pi", "-"},
		{"pikeycheck", "-a", "-"},
		{"pikeycheck", "-d", "-"},
	} {
		t.Run(strings.Join(words[:2], " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), filepath.Join(binaries(t), words[0]), words[1:]...)
			cmd.Env, cmd.Stdin = append(os.Environ(), "HOME="+dir, "SSH_AUTH_SOCK="+agent), in
			must(t, cmd.Start())
			time.Sleep(200 * time.Millisecond) // it is at the pipe by now, if not on a busy machine
			must(t, cmd.Process.Signal(syscall.SIGINT))
			late := time.AfterFunc(20*time.Second, func() { cmd.Process.Kill() })
			_ = cmd.Wait() // by the signal, or by a status that says so
			if !late.Stop() {
				t.Error("it waits on")
			}
		})
	}
}

// What a real sshd logs of a refusal leads to its repair, and what others have
// put into the log leads nowhere.
func TestLogOfRealSSHD(t *testing.T) {
	t.Parallel()
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user, other := sshtest.AddUser(t, sshtest.UserConfig{}), sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	public, _ := me.run(0, "", "pikeygen")
	key := filepath.Join(me.home, ".ssh", "id_ed25519")
	user.Authorize(t, strings.TrimSpace(public))
	victim := t.TempDir()
	for _, dir := range []string{user.Home, other.Home, victim} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(victim+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(victim+"/file", 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if ok, _ := sshtest.SSH(t, server.Endpoint, user.Name, key); ok {
			t.Fatal("the server takes a key from a home of mode 0777")
		}
	}
	attempts := "Invalid user " + other.Name + " from 1.2.3.4 port 1\n" +
		"User " + other.Name + " from 1.2.3.4 not allowed because not listed in AllowUsers\n"
	log := me.file("log", forged(victim)+attempts+server.Log())

	records, stderr := me.run(1, "", "pikeyfix", "--log", log)
	printable(t, records, stderr)
	if !strings.Contains(records, "\t"+user.Home+"\t2 times") {
		t.Errorf("the refusal is not told: %s", records)
	}
	records, _ = me.run(1, "", "pikeyfix", "-n", "--log="+log, "--apply")
	if !strings.Contains(records, "\ttodo\thome-writable\t"+user.Home+"\tmode 0777 -> 0755; logged 2 times: Authentication refused") {
		t.Errorf("a dry run: %s", records)
	}
	if modeOf(t, user.Home) != 0o777 {
		t.Error("a dry run has changed something")
	}
	records, stderr = me.run(1, "", "pikeyfix", "--log", log, "--apply")
	printable(t, records, stderr)
	if !strings.Contains(records, "\tdone\thome-writable\t"+user.Home+"\t") || strings.Contains(records, "\tfail\thome-writable\t"+user.Home+"\t") {
		t.Errorf("what was cured is not told, or told twice: %s", records)
	}
	if ok, said := sshtest.SSH(t, server.Endpoint, user.Name, key); !ok {
		t.Errorf("pikeyfix is done, and ssh says: %s", said)
	}
	if modeOf(t, victim) != 0o777 || modeOf(t, victim+"/file") != 0o666 || modeOf(t, other.Home) != 0o777 {
		t.Error("a line of the log was enough to change a file")
	}

	// With nothing else in the log, all is well after it.
	if err := os.Chmod(user.Home, 0o777); err != nil {
		t.Fatal(err)
	}
	records, _ = me.run(0, server.Log(), "pikeyfix", "--log", "-", "--apply")
	wantOutcomes(t, records, "done home-writable")

	// The cure of a line says whose it is: without, it would be root's.
	user.Authorize(t, "\ufeff"+strings.TrimSpace(public))
	_, stderr = me.run(1, server.Log(), "pikeyfix", "--log", "-", "--apply")
	if !strings.Contains(stderr, "hint: rewrite it: pikeyfix --rewrite -u "+user.Name+"\n") {
		t.Errorf("no cure of the line: %s", stderr)
	}
}

// The log of a target is read there, by whoever may.
func TestLogThere(t *testing.T) {
	t.Parallel()
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	programs := filepath.Join(user.Home, "bin")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	journalctl := func(script string) {
		if err := sshtest.WriteFile(programs+"/journalctl", []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"SetEnv PATH=" + programs + ":/usr/bin:/bin"}})
	me := newTraveller(t, server.Endpoint)
	password := me.file("password", user.Password+"\n")
	target := user.Name + "@" + server.Addr
	if err := os.Chmod(user.Home, 0o777); err != nil {
		t.Fatal(err)
	}
	pikeyfix := func(status int, args ...string) (records, stderr string) {
		records, stderr = me.run(status, "", "pikeyfix", append([]string{"--password-file", password, "--log"}, append(args, target)...)...)
		printable(t, records, stderr)
		return records, stderr
	}
	entry := `{"__CURSOR":"x","SYSLOG_IDENTIFIER":"sshd","_COMM":"sshd","__REALTIME_TIMESTAMP":"1795332209719436","MESSAGE":"Authentication refused: bad ownership or modes for directory `

	journalctl("case $* in *json*) printf '%s\\n' '" + entry + user.Home + `"}' '` + entry + user.Home + `"}' '` + entry + `/etc"}' ;; esac` + "\n")
	records, stderr := pikeyfix(1)
	wantOutcomes(t, records, "fail parent-writable", "fail parent-writable")
	if !strings.HasPrefix(records, target+"\t") || !strings.Contains(records, "\t2 times, last Nov 22 ") || !strings.Contains(stderr, target+": reading the journal\n") {
		t.Errorf("%s%s", records, stderr)
	}
	etc := modeOf(t, "/etc")
	records, _ = pikeyfix(1, "--apply")
	wantOutcomes(t, records, "fail parent-writable", "done home-writable")
	if modeOf(t, user.Home) != 0o755 || modeOf(t, "/etc") != etc {
		t.Error("the repair is not done, or done elsewhere")
	}

	journalctl("exit 0\n")
	records, _ = pikeyfix(0)
	wantOutcomes(t, records, "ok log")

	journalctl("echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1\n")
	if _, err := os.Stat("/var/log/auth.log"); err != nil {
		records, stderr = pikeyfix(1)
		wantOutcomes(t, records, "fail log-unreadable")
		if !strings.Contains(stderr, "hint: there: sudo gpasswd -a "+user.Name+" adm\n") {
			t.Errorf("no way on: %s", stderr)
		}
	}
}
