//go:build unix

package sshconfig

const (
	systemFolder = "/etc/ssh"
	defaultAgent = ""
)

func systemFile() string { return systemFolder + "/ssh_config" }

func globalKnownHosts() []string {
	return []string{systemFolder + "/ssh_known_hosts", systemFolder + "/ssh_known_hosts2"}
}
