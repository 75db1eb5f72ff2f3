package diagnose

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Root goes by how sshd was started, but by no process that is only called so.
func TestProcess(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sshd := filepath.Join(dir, "sshd")
	if err := os.WriteFile(sshd, program, 0o755); err != nil {
		t.Fatal(err)
	}
	for up := dir; strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) { // for nobody to come by
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path string
		uid        int // whose it is
		want       string
	}{
		{"an sshd", sshd, os.Getuid(), "/usr/sbin/sshd 1000"},
		{"another program", sleep, os.Getuid(), ""},
		{"an sshd of another", sshd, 65534, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := &exec.Cmd{Path: c.path, Args: []string{"/usr/sbin/sshd", "1000"}}
			if c.uid != os.Getuid() {
				if os.Getuid() != 0 {
					t.Skip("only root can be another")
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.uid)}}
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			command, parent := process(cmd.Process.Pid)
			if command != c.want || parent != os.Getpid() {
				t.Errorf("%q, child of %d; want %q, of %d", command, parent, c.want, os.Getpid())
			}
		})
	}
}
