package hostfs

import (
	"slices"
	"strconv"
	"strings"
)

// privateGroup is the rule of Debian's secure_permissions() over the lines of
// passwd(5) and group(5): the group exists, nobody else has it as primary
// group, nobody else is named as a member, and the owner is one of the two.
func privateGroup(passwd, group string, gid, owner int) bool {
	var names []string // of the owner
	count := 0
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 {
			continue
		}
		mine := f[2] == strconv.Itoa(owner)
		if mine {
			names = append(names, f[0])
		}
		if f[3] == strconv.Itoa(gid) {
			if !mine {
				return false
			}
			count++
		}
	}
	for line := range strings.Lines(group) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 || f[2] != strconv.Itoa(gid) {
			continue
		}
		if f[3] != "" {
			if !slices.Contains(names, f[3]) { // which two names, with a comma, never are
				return false
			}
			count++
		}
		return count > 0
	}
	return false
}
