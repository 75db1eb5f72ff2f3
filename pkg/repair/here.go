package repair

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// Here repairs, on this machine, what its server and its ssh refuse of the
// user's own files. The one "ok modes" record stands for both.
func Here(ctx context.Context, server strictmodes.Server, dryRun bool) []record.Record {
	fsys := hostfs.Local()
	records := Account(ctx, fsys, server, dryRun)
	who, err := fsys.Account(ctx)
	if err != nil {
		return records // Account has said it
	}
	keys, err := PrivateKeys(ctx, fsys, filepath.Join(who.Home, ".ssh"), who.UID, dryRun)
	if err != nil {
		keys = append(keys, diagnose.Ended(ctx, "looking for private keys", err))
	}
	if len(keys) > 0 {
		records = slices.DeleteFunc(records, func(r record.Record) bool { return r.Cause == "modes" })
	}
	return append(records, keys...)
}

// ServerHere returns whose rules the SSH server of this machine has: All if
// there is none, or none that is known.
func ServerHere(ctx context.Context) strictmodes.Server {
	// A user's PATH often lacks the sbin folders.
	installed := func(name string) bool {
		for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
			if _, err := exec.LookPath(path); err == nil {
				return true
			}
		}
		return false
	}
	switch {
	case installed("sshd"):
		// sshd -V leaves out the packager's name; ssh -V, of the same
		// source, has it.
		if s := client(ctx); s != strictmodes.All {
			return s
		}
		return strictmodes.OpenSSH
	case installed("dropbear"):
		return strictmodes.Dropbear
	}
	return strictmodes.All
}
