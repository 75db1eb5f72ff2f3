//go:build unix

package secret

import (
	"os/exec"
	"syscall"
)

// killer returns what ends the command: asking first, for good with hard. With
// group it runs in a process group of its own, all of which is ended. At a
// terminal it must stay in ours, as ssh's does: only the foreground group may
// read a terminal, and ^C reaches all of it.
func killer(cmd *exec.Cmd, group bool) (end func(hard bool)) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: group}
	return func(hard bool) {
		pid, sig := cmd.Process.Pid, syscall.SIGTERM
		if group {
			pid = -pid
		}
		if hard {
			sig = syscall.SIGKILL
		}
		_ = syscall.Kill(pid, sig) // it may have ended
	}
}
