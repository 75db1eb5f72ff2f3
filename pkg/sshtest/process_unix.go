//go:build unix

package sshtest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
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

// signals are those that RFC 4254 section 6.10 names.
var signals = map[ssh.Signal]os.Signal{
	ssh.SIGABRT: syscall.SIGABRT,
	ssh.SIGALRM: syscall.SIGALRM,
	ssh.SIGFPE:  syscall.SIGFPE,
	ssh.SIGHUP:  syscall.SIGHUP,
	ssh.SIGILL:  syscall.SIGILL,
	ssh.SIGINT:  syscall.SIGINT,
	ssh.SIGKILL: syscall.SIGKILL,
	ssh.SIGPIPE: syscall.SIGPIPE,
	ssh.SIGQUIT: syscall.SIGQUIT,
	ssh.SIGSEGV: syscall.SIGSEGV,
	ssh.SIGTERM: syscall.SIGTERM,
	ssh.SIGUSR1: syscall.SIGUSR1,
	ssh.SIGUSR2: syscall.SIGUSR2,
}

// signalOf names the signal that ended a process, if one did.
func signalOf(state *os.ProcessState) (name string, ok bool) {
	status := state.Sys().(syscall.WaitStatus)
	if !status.Signaled() {
		return "", false
	}
	for n, sig := range signals {
		if sig == status.Signal() {
			return string(n), true
		}
	}
	return "SIG" + status.Signal().String() + "@openssh.com", true
}

// Gone waits for a killed process to be reaped by whoever inherited it; a zombie
// that nobody reaps is as good as gone.
func Gone(pid int) bool {
	for range 100 {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(stat), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}
