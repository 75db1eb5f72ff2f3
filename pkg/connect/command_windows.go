package connect

import "os/exec"

func shellCommand(command string) *exec.Cmd { return exec.Command("cmd.exe", "/c", command) }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }
