package connect

import "os/exec"

func shellCommand(command string) *exec.Cmd { return exec.Command("cmd.exe", "/c", command) }

// setApart has nothing to set.
func setApart(*exec.Cmd) {}

// signalCommand ends the shell. There are no groups, and no asking: what it
// started ends with its standard input.
func signalCommand(cmd *exec.Cmd, _ bool) { _ = cmd.Process.Kill() } // it may have ended
