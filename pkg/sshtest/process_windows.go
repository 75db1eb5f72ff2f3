package sshtest

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/crypto/ssh"
)

var terminate = os.Kill

// ownGroup does nothing: Windows has no process groups.
func ownGroup(*exec.Cmd) {}

// signalGroup ends the process alone, whatever sig is.
func signalGroup(pid int, _ os.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func lockAccounts() (func(), error) { return nil, errors.ErrUnsupported }

var signals = map[ssh.Signal]os.Signal{ssh.SIGKILL: os.Kill, ssh.SIGTERM: os.Kill}

// signalOf is never asked for more: no signal ends a process on Windows.
func signalOf(*os.ProcessState) (string, bool) { return "", false }
