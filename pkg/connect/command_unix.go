//go:build unix

package connect

import (
	"os/exec"
	"syscall"
)

// shellCommand runs a ProxyCommand as ssh does: by exec in a shell. A process
// group of its own lets us end what it started.
func shellCommand(command string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", "exec "+command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
}
