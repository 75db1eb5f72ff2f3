package sshconfig

import (
	"os"
	"path/filepath"
)

// defaultAgent is where Windows' own agent listens.
const defaultAgent = `\\.\pipe\openssh-ssh-agent`

func systemDir() string { return filepath.Join(os.Getenv("ProgramData"), "ssh") }

func systemFile() string { return filepath.Join(systemDir(), "ssh_config") }

func globalKnownHosts() []string {
	return []string{filepath.Join(systemDir(), "ssh_known_hosts"), filepath.Join(systemDir(), "ssh_known_hosts2")}
}
