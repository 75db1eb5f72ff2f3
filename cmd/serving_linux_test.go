package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// Pikeyfix goes by the configuration that the sshd was started with, from afar as on the
// machine itself: here, one that the user may not read.
func TestServing(t *testing.T) {
	sshtest.NeedRoot(t)
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	me := newTraveller(t, server.Endpoint)
	key, _ := me.run(0, "", "pikeygen")
	user.Authorize(t, strings.TrimSpace(key))
	program, err := os.ReadFile(filepath.Join(binaries(t), "pikeyfix"))
	if err != nil {
		t.Fatal(err)
	}
	if err := sshtest.WriteFile(user.Home+"/pikeyfix", program, 0o755); err != nil {
		t.Fatal(err)
	}
	user.Own(t, user.Home+"/pikeyfix", 0o755)
	target := user.Name + "@" + server.Addr
	far, _ := me.run(0, "", "pikeyfix", "-vn", "--password-file", me.file("password", user.Password+"\n"), "-o", "PubkeyAuthentication=no", target)
	host, port, _ := strings.Cut(server.Addr, ":")
	ssh := sshtest.Command(t, me.home, "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "UserKnownHostsFile="+me.home+"/.ssh/known_hosts",
		"-i", me.home+"/.ssh/id_ed25519", "-p", port, user.Name+"@"+host, "./pikeyfix -n")
	here, err := ssh.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, records := range []string{far, string(here)} {
		if !strings.Contains(records, "\tok\tmodes\t") || !strings.Contains(records, "/sshd_config cannot be read") || strings.Contains(records, "/etc/ssh/") {
			t.Errorf("%s", records)
		}
	}
}
