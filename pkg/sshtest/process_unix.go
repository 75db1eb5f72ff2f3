//go:build unix

package sshtest

import (
	"os"
	"os/exec"
	"syscall"
)

const terminate = syscall.SIGTERM

// ownGroup makes cmd, once started, the leader of a process group.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signalGroup sends sig to every process of the group that pid leads.
func signalGroup(pid int, sig os.Signal) error { return syscall.Kill(-pid, sig.(syscall.Signal)) }

// lockAccounts keeps other tests from changing the accounts of this machine
// until unlock: useradd waits a whole second whenever it finds them locked.
func lockAccounts() (unlock func(), err error) {
	etc, err := os.Open("/etc")
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(etc.Fd()), syscall.LOCK_EX); err != nil {
		etc.Close()
		return nil, err
	}
	return func() { etc.Close() }, nil
}
