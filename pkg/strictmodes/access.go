package strictmodes

import (
	"io/fs"
	"slices"
)

// permits reports whether the account can read the keys file, or pass a directory
// on the way to it: what is another's, by its access list if it has one (acl(5)).
func (j *judge) permits(n node, isKeys bool) bool {
	need, groups, byMode := needed(isKeys), j.groups(), j.byMode(n.Stat, isKeys)
	if j.who.UID == 0 || n.UID == j.who.UID {
		return byMode
	}
	list := j.granted(n.path, byMode)
	for _, g := range list {
		if !g.Group && g.ID == j.who.UID { // which alone decides
			return g.Mode&need != 0
		}
	}
	if list == nil || groups == nil {
		return byMode
	}
	member := false
	for _, g := range list {
		if g.Group && (slices.Contains(groups, g.ID) || g.ID == OwningGroup && slices.Contains(groups, n.GID)) {
			if member = true; g.Mode&need != 0 {
				return true
			}
		}
	}
	return !member && n.Mode&need != 0
}

// byMode is permits for what has no access list; when that depends on groups that are
// unknown, it can. Dropbear does not call initgroups: only the primary group helps there.
func (j *judge) byMode(st Stat, isKeys bool) bool {
	need, groups := needed(isKeys), j.groups()
	switch {
	case j.who.UID == 0:
		return true
	case st.UID == j.who.UID:
		return st.Mode&(need<<6) != 0
	case j.who.Groups == nil:
		return st.Mode&(need<<3|need) != 0
	case slices.Contains(groups, st.GID):
		return st.Mode&(need<<3) != 0
	}
	return st.Mode&need != 0
}

// granted returns the access list of what is another's; nil if none is known.
func (j *judge) granted(p string, byMode bool) []Grant {
	tree, ok := j.tree.(Examiner)
	if !ok {
		return nil
	}
	if slow, ok := tree.(interface{ Listless(path string) bool }); ok && byMode && slow.Listless(p) {
		return nil
	}
	list, known := j.walker.lists[p]
	if !known {
		a, _ := tree.Attributes(j.ctx, p)
		list = a.Granted
		j.walker.remember(p, list)
	}
	return list
}

// groups are those that help the account.
func (j *judge) groups() []int {
	if len(j.who.Groups) > 0 && (j.server.IsDropbear() || j.server == All) {
		return j.who.Groups[:1]
	}
	return j.who.Groups
}

// needed is what of a mode lets somebody read the keys file, or pass a directory.
func needed(isKeys bool) fs.FileMode {
	if isKeys {
		return 4
	}
	return 1
}

// MayRead reports whether the account can read a file by its mode; when that
// depends on groups that are unknown, it can.
func MayRead(st Stat, who Account) bool {
	j := judge{who: who, server: OpenSSH}
	return j.byMode(st, true)
}
