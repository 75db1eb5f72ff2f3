package diagnose

import (
	"context"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

// ServerOn returns the kind of SSH server of a machine that is not running, by
// what is installed and by os-release(5). If neither tells, it is All.
func ServerOn(ctx context.Context, fsys hostfs.FS) strictmodes.Server {
	installed := func(name string) bool {
		_, _, err := strictmodes.RealPath(ctx, fsys, "/usr/sbin/"+name)
		return err == nil
	}
	if !installed("sshd") && installed("dropbear") {
		return strictmodes.Dropbear
	}
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		data, err := fsys.ReadFile(ctx, name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if key != "ID" && key != "ID_LIKE" {
				continue
			}
			for word := range strings.FieldsSeq(strings.Trim(value, `"'`)) {
				if word == "debian" || word == "raspbian" || word == "ubuntu" {
					return strictmodes.Debian
				}
			}
		}
		break
	}
	return strictmodes.All
}
