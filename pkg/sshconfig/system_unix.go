//go:build unix

package sshconfig

const (
	systemDir    = "/etc/ssh"
	defaultAgent = ""
)

func systemFile() string { return systemDir + "/ssh_config" }

func globalKnownHosts() []string {
	return []string{systemDir + "/ssh_known_hosts", systemDir + "/ssh_known_hosts2"}
}
