//go:build unix

package connect

import (
	"os"
	"os/exec"
	"syscall"
)

// shellCommand runs a ProxyCommand as ssh does: by exec in the user's shell.
func shellCommand(command string) *exec.Cmd {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	cmd := exec.Command(shell, "-c", "exec "+command)
	setApart(cmd)
	return cmd
}

// setApart gives a command a session of its own, which lets us end what it
// started, and keeps it from our terminal: what asks for a secret there fails at
// once, where in a group behind ours it would be stopped and hang.
func setApart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// signalCommand asks all of its group to end, or ends it for good.
func signalCommand(cmd *exec.Cmd, hard bool) {
	sig := syscall.SIGTERM
	if hard {
		sig = syscall.SIGKILL
	}
	_ = syscall.Kill(-cmd.Process.Pid, sig) // it may have ended
}
