package strictmodes

import "pi-key-tools/pkg/unixpath"

// sound reports whether the keys files are such that nothing is to be found, as
// those of most accounts are: one is there, no link is on the way to any, and the
// rule of every server holds. It is quick, and says nothing of the others. home
// is clean and absolute.
func (j *judge) sound(home string, keysFiles []string) bool {
	there := false
	for _, name := range keysFiles {
		if !unixpath.Within(home, name) || !unixpath.IsClean(name) {
			return false
		}
		keys, ok := j.walker.straight(name)
		if !ok {
			return false
		}
		for _, n := range keys.passed {
			if unixpath.Within(home, n.path) && !j.closed(n.Stat) || !j.permits(n, false) {
				return false
			}
		}
		switch {
		case keys.end == missing:
		case keys.end != found || !keys.last.Mode.IsRegular() || !j.closed(keys.last.Stat) || !j.permits(keys.last, true):
			return false
		default:
			there = true
		}
	}
	return there
}

// closed reports whether nobody but the account and root can write.
func (j *judge) closed(st Stat) bool {
	return (st.UID == 0 || st.UID == j.who.UID) && st.Mode&0022 == 0
}
