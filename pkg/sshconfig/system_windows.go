package sshconfig

import (
	"os"
	"path/filepath"
)

// defaultAgent is where Windows' own agent listens.
const defaultAgent = `\\.\pipe\openssh-ssh-agent`

func systemFolder() string { return filepath.Join(os.Getenv("ProgramData"), "ssh") }

func systemFile() string { return filepath.Join(systemFolder(), "ssh_config") }

func globalKnownHosts() []string {
	return []string{filepath.Join(systemFolder(), "ssh_known_hosts"), filepath.Join(systemFolder(), "ssh_known_hosts2")}
}
