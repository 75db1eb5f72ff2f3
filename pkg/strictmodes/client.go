package strictmodes

import (
	"context"
	"fmt"
)

// JudgePrivateKey reports whether ssh would ignore a private key for its mode,
// as it does only for a key of the caller, uid; st is of the real file.
func JudgePrivateKey(path string, st Stat, uid int) (Finding, bool) {
	if st.UID != uid || st.Mode&0077 == 0 {
		return Finding{}, false
	}
	f := Finding{Cause: "key-mode", Path: path, Stat: st, Repair: Chmod, Mode: Permissions(st.Mode) &^ 0077,
		Detail: fmt.Sprintf("mode %s: users other than the owner have access", Octal(st.Mode))}
	refuseLinked(&f)
	return f, true
}

// JudgeKnownHosts reports whether ssh, run by the account, could not read a
// known_hosts file and so would refuse every server whose key it looks up
// there; st is of the real file.
func JudgeKnownHosts(path string, st Stat, who Account) (Finding, bool) {
	return unreadable("known-hosts-unreadable", path, st, who)
}

// JudgeKeyReadable reports whether ssh, run by the account, could not read a private
// key; st is of the real file. One of another owner is not to be given away by a
// rule: whose it is, nobody knows.
func JudgeKeyReadable(path string, st Stat, who Account) (Finding, bool) {
	f, refused := unreadable("key-unreadable", path, st, who)
	if f.Mode &^= 0077; f.Repair == Chown {
		f.Repair = None
	}
	return f, refused
}

// JudgeIncluded reports whether ssh, run by the account, could not read a file that its
// configuration includes, and so would not start; st is of the real file.
func JudgeIncluded(path string, st Stat, who Account) (Finding, bool) {
	return unreadable("config-bad", path, st, who)
}

func unreadable(cause, path string, st Stat, who Account) (Finding, bool) {
	if MayRead(st, who) {
		return Finding{}, false
	}
	f := Finding{Cause: cause, Path: path, Stat: st,
		Detail: fmt.Sprintf("owner uid %d, mode %s: %s may not read it", st.UID, Octal(st.Mode), who.Name)}
	if st.UID == who.UID {
		f.Repair, f.Mode = Chmod, Permissions(st.Mode)|0400
	} else {
		f.Repair = Chown
	}
	refuseLinked(&f)
	return f, true
}

// JudgeConfig reports whether the ssh that client names would refuse to run for
// the user uid because of the owner or mode of ~/.ssh/config, or of a file that
// it includes; st is of the real file. /etc/ssh/ssh_config and the file named
// by -F are not judged, but what they include is.
func JudgeConfig(ctx context.Context, tree Tree, path string, st Stat, uid int, client Server) (Finding, bool, error) {
	f := Finding{Cause: "config-writable", Path: path, Stat: st}
	if st.UID != 0 && st.UID != uid {
		f.Repair = Chown
		f.Detail = fmt.Sprintf("it belongs to uid %d, neither to uid %d nor to root", st.UID, uid)
		refuseLinked(&f)
		return f, true, nil
	}
	reason, note, err := writable(ctx, tree, st, Account{UID: uid}, client)
	if err != nil {
		return Finding{}, false, fmt.Errorf("looking up the group of %s: %w", path, err)
	}
	if reason == "" {
		return Finding{}, false, nil
	}
	f.Repair, f.Mode = Chmod, Permissions(st.Mode)&^0022
	f.Detail, f.Note = fmt.Sprintf("mode %s: %s", Octal(st.Mode), reason), note
	refuseLinked(&f)
	return f, true, nil
}

func refuseLinked(f *Finding) {
	if several(f.Stat) {
		f.Repair, f.Mode = None, 0
		f.Detail += fmt.Sprintf("; it has %d hard links", f.Stat.Nlink)
	}
}
