//go:build unix

package sshconfig

import (
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

const (
	systemFolder = "/etc/ssh"
	defaultAgent = ""
)

func systemFile() string { return systemFolder + "/ssh_config" }

func globalKnownHosts() []string {
	return []string{systemFolder + "/ssh_known_hosts", systemFolder + "/ssh_known_hosts2"}
}

// checkOwner is the check of readconf.c read_config_file_depth(): owned by
// root or by us, and nobody else may write. Debian's ssh (its patch
// user-group-modes) lets a group write in which there is only the owner.
func checkOwner(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	uid, mode := int(stat.Uid), info.Mode()
	if uid == 0 || uid == os.Getuid() {
		if mode&0o022 == 0 || mode&0o002 == 0 && debianPrivateGroup(int(stat.Gid), uid) {
			return nil
		}
	}
	return &PermissionError{Path: path, Mode: mode, UID: uid}
}

func debianPrivateGroup(gid, owner int) bool {
	if _, err := os.Stat("/etc/debian_version"); err != nil {
		return false
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return false
	}
	group, err := os.ReadFile("/etc/group")
	return err == nil && privateGroup(string(passwd), string(group), gid, owner, os.Getuid())
}

// privateGroup is Debian's secure_permissions(): the group exists and has
// somebody in it, all whose own group it is are us, and it lists no member but
// the owner of the file.
func privateGroup(passwd, group string, gid, owner, us int) bool {
	members, ownerName := 0, ""
	for line := range strings.Lines(passwd) { // name:x:uid:gid:…
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 {
			continue
		}
		if f[2] == strconv.Itoa(owner) && ownerName == "" {
			ownerName = f[0]
		}
		if f[3] == strconv.Itoa(gid) {
			members++
			if f[2] != strconv.Itoa(us) {
				return false
			}
		}
	}
	for line := range strings.Lines(group) { // name:x:gid:member,…
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) < 4 || f[2] != strconv.Itoa(gid) {
			continue
		}
		if f[3] != "" {
			members++
			if f[3] != ownerName {
				return false
			}
		}
		return members > 0 && ownerName != ""
	}
	return false
}
