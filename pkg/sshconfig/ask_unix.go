//go:build unix

package sshconfig

import (
	"os/exec"
	"syscall"
)

// endTogether makes the end of the context end the command with all that it
// has started: the shells of Match exec.
func endTogether(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
