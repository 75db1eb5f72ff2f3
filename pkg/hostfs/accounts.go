package hostfs

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/strictmodes"
)

// ErrNoAccount means that nobody has such a name there.
var ErrNoAccount = errors.New("there is no such account")

// accounts are passwd(5) and group(5), read once: a machine may have thousands.
type accounts struct {
	list    []strictmodes.Account // in the order of passwd(5), groups not filled in
	shells  []string              // of each in list
	named   map[string]int        // where a name is in list
	names   map[int][]string      // of a uid
	primary map[int][]int         // uids of those who have a gid as their first
	group   map[int]group
	member  map[string][]int // gids of the groups that name somebody
	broken  map[string]error // what is wrong with a line that is no account
}

type group struct{ name, members string }

func readAccounts(passwd, groups string) *accounts {
	const shortLine = 32 // so that maps need not grow much
	users := len(passwd) / shortLine
	a := &accounts{named: make(map[string]int, users), names: make(map[int][]string, users), primary: make(map[int][]int, users),
		group: make(map[int]group, len(groups)/shortLine), member: make(map[string][]int), broken: make(map[string]error)}
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 || f[0] == "" || strings.ContainsAny(f[0][:1], "+-") { // those of NIS
			continue
		}
		uid, uerr := id(f[2])
		gid, gerr := id(f[3])
		if uerr != nil || gerr != nil {
			a.broken[f[0]] = fmt.Errorf("passwd(5) has a line for %q that says nothing: uid %q, gid %q", f[0], f[2], f[3])
			continue
		}
		who, shell := strictmodes.Account{Name: f[0], UID: uid, Groups: []int{gid}}, ""
		if len(f) > 5 && path.IsAbs(f[5]) {
			who.Home = path.Clean(f[5])
		}
		if len(f) > 6 {
			shell = f[6]
		}
		if _, ok := a.named[who.Name]; !ok {
			a.named[who.Name] = len(a.list)
		}
		a.list, a.shells = append(a.list, who), append(a.shells, shell)
		a.names[uid] = append(a.names[uid], who.Name)
		a.primary[gid] = append(a.primary[gid], uid)
	}
	for line := range strings.Lines(groups) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) < 4 || f[0] == "" {
			continue
		}
		gid, err := id(f[2])
		if err != nil {
			continue
		}
		if _, ok := a.group[gid]; !ok {
			a.group[gid] = group{f[0], f[3]}
		}
		for name := range strings.SplitSeq(f[3], ",") {
			if name != "" {
				a.member[name] = append(a.member[name], gid)
			}
		}
	}
	return a
}

// id reads a uid or gid. The highest is none: chown(2) takes it for "as it is".
func id(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && (n == 1<<32-1 || n > 1<<31-1 && strconv.IntSize == 32) {
		err = strconv.ErrRange
	}
	return int(n), err
}

// lookup returns an account with all of its groups.
func (a *accounts) lookup(name string) (strictmodes.Account, error) {
	i, ok := a.named[name]
	if err := a.broken[name]; !ok && err != nil {
		return strictmodes.Account{}, err
	}
	if !ok {
		err := fmt.Errorf("%w: %q", ErrNoAccount, name)
		if sensible := a.sensible(); len(sensible) > 0 && len(sensible) <= 20 {
			var names []string
			for _, who := range sensible {
				names = append(names, who.Name)
			}
			err = fmt.Errorf("%w; there are %s", err, strings.Join(names, ", "))
		}
		return strictmodes.Account{}, err
	}
	who := a.filled(i)
	if who.Home == "" {
		return who, fmt.Errorf("passwd(5) names no absolute home for %q", name)
	}
	return who, nil
}

// filled returns an account of the list with all of its groups.
func (a *accounts) filled(i int) strictmodes.Account {
	who := a.list[i]
	who.Groups = slices.Clone(who.Groups)
	for _, gid := range a.member[who.Name] {
		if !slices.Contains(who.Groups, gid) {
			who.Groups = append(who.Groups, gid)
		}
	}
	return who
}

// sensible returns the accounts that can log in, as Machine.Accounts has it.
func (a *accounts) sensible() []strictmodes.Account {
	var list []strictmodes.Account
	for i, who := range a.list {
		switch path.Base(a.shells[i]) { // "." for none, which is sh(1)
		case "nologin", "false", "true", "sync", "halt", "shutdown":
			continue
		}
		if who.Home != "" && who.Home != "/nonexistent" && a.named[who.Name] == i {
			list = append(list, a.filled(i))
		}
	}
	return list
}

// groupNames returns the names of groups that have one, as sshd gets them for
// Match Group: from getgrouplist(3) and getgrgid(3).
func (a *accounts) groupNames(gids []int) []string {
	var names []string
	for _, gid := range gids {
		if g, ok := a.group[gid]; ok {
			names = append(names, g.name)
		}
	}
	return names
}

// privateGroup is the rule of Debian's secure_permissions(): the group exists,
// nobody else has it as primary group, nobody else is named as a member, and
// the owner is one of the two.
func (a *accounts) privateGroup(gid, owner int) bool {
	g, ok := a.group[gid]
	if !ok {
		return false
	}
	for _, uid := range a.primary[gid] {
		if uid != owner {
			return false
		}
	}
	if g.members == "" {
		return len(a.primary[gid]) > 0
	}
	return slices.Contains(a.names[owner], g.members) // which two names, with a comma, never are
}

// privateGroup is that rule where it is asked for once.
func privateGroup(passwd, group string, gid, owner int) bool {
	return readAccounts(passwd, group).privateGroup(gid, owner)
}
