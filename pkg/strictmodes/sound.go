package strictmodes

import "path"

// sound reports whether the default keys files of an account are such that
// nothing is to be found, as those of most accounts are: no link is on the way,
// and the rule of every server holds. It is quick, and says nothing of the
// others. home is clean and absolute.
func (j *judge) sound(home string) bool {
	name := path.Join(home, ".ssh/authorized_keys")
	keys, err := j.walker.walk(name)
	if err != nil || keys.end != found || keys.real != name || !keys.last.Mode.IsRegular() || !j.closed(keys.last.Stat) || !j.permits(keys.last.Stat, true) {
		return false
	}
	for _, n := range keys.passed {
		if within(home, n.path) && !j.closed(n.Stat) || !j.permits(n.Stat, false) {
			return false
		}
	}
	if j.server.IsDropbear() {
		return true
	}
	second, err := j.walker.walk(name + "2")
	return err == nil && second.end == missing
}

// closed reports whether nobody but the account and root can write.
func (j *judge) closed(st Stat) bool {
	return (st.UID == 0 || st.UID == j.who.UID) && st.Mode&0022 == 0
}
