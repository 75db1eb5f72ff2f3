//go:build unix

package cmd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshtest"
)

// scripts/ansible brings a key to the hosts of an inventory: changed once, then
// not any more, and a host that is not there keeps nobody up.
func TestAnsibleRole(t *testing.T) {
	t.Parallel()
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	a, b := sshtest.AddUser(t, sshtest.UserConfig{}), sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, sshtest.Endpoint{Addr: "127.0.0.1:1"}) // knows no host
	me.run(0, "", "pikeygen")
	password := me.file("password", b.Password+"\n")
	me.file("inventory", fmt.Sprintf("[pis]\na ansible_user=%s ansible_password=%s\nb ansible_user=%s\n[pis:vars]\nansible_host=127.0.0.1\nansible_port=%d\n"+
		"pi_key_tools_host_key=%s\n[off]\ndead ansible_host=127.0.0.1 ansible_port=1 ansible_user=pi\nevil ansible_host='-oProxyCommand=x'\ndomain ansible_host=127.0.0.1 ansible_port=1 ansible_user='LAB\\tim'\n"+
		"desk ansible_connection=local\nother ansible_user=nobody ansible_host=127.0.0.1 ansible_port=%[4]d pi_key_tools_host_key=SHA256:%[6]s\n",
		a.Name, a.Password, b.Name, server.Port, ssh.FingerprintSHA256(server.HostKeys[0]), strings.Repeat("A", 43)))
	// It sees no file with passwords: with ^C it would stay.
	me.program("pikeycopy", `case " $* " in *" --hosts "*) ls "$TMPDIR"/pi-key-tools.* >>"$TMPDIR/seen" 2>/dev/null ;; esac; exec '`+filepath.Join(binaries(t), "pikeycopy")+`' "$@"`)
	playbook, err := filepath.Abs(filepath.Join(root, "scripts", "ansible", "bootstrap.yml"))
	if err != nil {
		t.Fatal(err)
	}
	play := func(status int, want map[string]string, args ...string) {
		t.Helper()
		cmd := ansible(t, me.home, "ansible-playbook", append([]string{"-i", "inventory", playbook}, args...)...)
		cmd.Dir = me.home
		cmd.Env = append(cmd.Env, "PATH="+me.home+":"+binaries(t)+":"+os.Getenv("PATH"), "TMPDIR="+me.home)
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != status {
			t.Errorf("%q: status %d, %v, want %d", args, got, err, status)
		}
		for host, words := range want {
			recap := regexp.MustCompile(`(?m)^` + host + ` +: .*$`).FindString(string(out))
			for word := range strings.FieldsSeq(words) {
				if !strings.Contains(recap, " "+word+" ") {
					t.Errorf("%q: no %s: %s", args, word, recap)
				}
			}
		}
		if want["dead"] != "" && !strings.Contains(string(out), `"LAB\\\\tim@127.0.0.1:1"`) {
			t.Error("no record is for a user of a domain")
		}
		if want["other"] != "" && !strings.Contains(string(out), `"cause": "host-key-`) {
			t.Error("another host key than the one that is given is trusted")
		}
		if strings.Contains(string(out), a.Password) || strings.Contains(string(out), b.Password) {
			t.Error("it prints a password")
		}
		if left, _ := filepath.Glob(filepath.Join(me.home, "pi-key-tools.*")); len(left) != 0 {
			t.Errorf("%q is left", left)
		}
		if t.Failed() {
			t.Fatalf("%s", out)
		}
	}
	play(2, map[string]string{"a": "changed=1 failed=0", "b": "changed=1 failed=0", "dead": "changed=0 failed=1", "evil": "failed=1"}, "-e", "pi_key_tools_password_file="+password, "--check", "--diff", "-v")
	if _, err := os.Stat(filepath.Join(a.Home, ".ssh")); !os.IsNotExist(err) {
		t.Errorf("--check has changed something: %v", err)
	}
	play(2, map[string]string{"a": "changed=1 failed=0", "b": "changed=1 failed=0", "dead": "changed=0 failed=1", "evil": "failed=1", "other": "failed=1", "desk": "failed=0 skipped=1"}, "--connection-password-file", password) // as -k
	for _, user := range []*sshtest.User{a, b} {
		if ok, stderr := sshtest.SSH(t, server.Endpoint, user.Name, filepath.Join(me.home, ".ssh", "id_ed25519")); !ok {
			t.Errorf("it is said to log in, and ssh says: %s", stderr)
		}
	}

	if seen, err := os.ReadFile(filepath.Join(me.home, "seen")); err != nil || len(seen) > 0 {
		t.Errorf("pikeycopy works beside the passwords in %s, %v", seen, err)
	}

	// Again, and it fails where the key no longer logs in, and there only.
	if err := os.Chmod(b.Home, 0o777); err != nil {
		t.Fatal(err)
	}
	play(2, map[string]string{"a": "changed=0 failed=0", "b": "changed=0 failed=1"}, "-e", "pi_key_tools_password_file="+password, "-l", "pis")
}

// Of the many that bring keys at once, no record comes between two halves of
// another, however long they are.
func TestAnsibleRecordsStayWhole(t *testing.T) {
	role := readFile(t, "scripts/ansible/roles/pi_key_tools/tasks/main.yml")
	each := regexp.MustCompile(`\n +each: \|\n((?: {10}.*\n)+)`).FindStringSubmatch(role)
	if each == nil {
		t.Fatal("the role has no such program")
	}
	me := newTraveller(t, sshtest.Endpoint{})
	record := strings.Repeat("x", 300_000) + "\n"
	me.file("record", record)
	me.program("pikeycopy", "exec dd if=record bs=1M")
	const n = 20
	cmd := sshtest.Command(t, me.home, "sh", "-c", each[1], "sh", "./pikeycopy", "--json")
	cmd.Dir = me.home
	cmd.Env = append(cmd.Env, "TMPDIR="+me.home)
	cmd.Stdin = strings.NewReader(strings.Repeat("--host-key SHA256:x -- \"pi@host\"\n", n))
	if out, err := cmd.Output(); err != nil || string(out) != strings.Repeat(record, n) {
		t.Errorf("%v, %d bytes that are not %d records", err, len(out), n)
	}
}
