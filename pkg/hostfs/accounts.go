package hostfs

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"pi-key-tools/pkg/strictmodes"
)

// ErrNoAccount means that no account of that name exists there.
var ErrNoAccount = errors.New("no such user")

// accounts are passwd(5) and group(5). A machine may have thousands, so no more is
// read of them than is asked for, and that once.
type accounts struct {
	passwd string
	group  string
	member func() map[string][]int // gids of the groups that name somebody
	groups func() map[int]group
	owned  func() owned // what few homes need to be judged
}

// A passwdLine is one of passwd(5).
type passwdLine struct {
	name, home, shell string // home is clean and absolute, or ""
	uid, gid          int
}

// owned is who is in which group, by numbers.
type owned struct {
	primary map[int][]int    // uids of those who have a gid as their first
	names   map[int][]string // of a uid
}

type group struct{ name, members string }

func readAccounts(passwd, groups string) *accounts {
	a := &accounts{passwd: passwd, group: groups, member: sync.OnceValue(func() map[string][]int { return membersOf(groups) })}
	a.groups = sync.OnceValue(func() map[int]group {
		known := make(map[int]group, strings.Count(groups, "\n")+1)
		for gid, g := range groupsOf(groups) {
			if _, ok := known[gid]; !ok {
				known[gid] = g
			}
		}
		return known
	})
	a.owned = sync.OnceValue(func() owned {
		many := strings.Count(passwd, "\n") + 1
		o := owned{make(map[int][]int, many), make(map[int][]string, many)}
		for who := range a.users() {
			o.names[who.uid] = append(o.names[who.uid], who.name)
			o.primary[who.gid] = append(o.primary[who.gid], who.uid)
		}
		return o
	})
	return a
}

// lines returns what passwd(5) says of each name, in its order, or what is wrong
// with a line that is no account.
func (a *accounts) lines() iter.Seq2[passwdLine, error] {
	return func(yield func(passwdLine, error) bool) {
		for line := range strings.Lines(a.passwd) {
			if who, ok, err := readLine(line); ok && !yield(who, err) {
				return
			}
		}
	}
}

// readLine reads a line of passwd(5), if it is one that means somebody.
func readLine(line string) (who passwdLine, ok bool, err error) {
	f, n := fields(line)
	if n < 4 || f[0] == "" || f[0][0] == '+' || f[0][0] == '-' { // those of NIS
		return who, false, nil
	}
	who = passwdLine{name: f[0], shell: f[6]}
	var gerr error
	who.uid, err = id(f[2])
	who.gid, gerr = id(f[3])
	if err != nil || gerr != nil {
		err = fmt.Errorf("passwd(5) has a line for %q that says nothing: uid %q, gid %q", f[0], f[2], f[3])
	}
	if path.IsAbs(f[5]) {
		who.home = path.Clean(f[5])
	}
	return who, true, err
}

// first returns whom a name means: the first account that has it. The error is
// ErrNoAccount, or what is wrong with its line.
func (a *accounts) first(name string) (passwdLine, error) {
	none := fmt.Errorf("%w: %q", ErrNoAccount, name)
	for rest := a.passwd; ; {
		if !strings.HasPrefix(rest, name+":") {
			i := strings.Index(rest, "\n"+name+":")
			if i < 0 {
				return passwdLine{}, none
			}
			rest = rest[i+1:]
		}
		var line string
		line, rest, _ = strings.Cut(rest, "\n")
		switch who, ok, err := readLine(line); {
		case !ok || who.name != name:
		case err == nil:
			return who, nil
		default:
			none = err
		}
	}
}

// users returns the accounts, in the order of passwd(5).
func (a *accounts) users() iter.Seq[passwdLine] {
	return func(yield func(passwdLine) bool) {
		for who, err := range a.lines() {
			if err == nil && !yield(who) {
				return
			}
		}
	}
}

// fields returns the first fields of a line of passwd(5) or group(5), and how
// many there are of those.
func fields(line string) (f [7]string, n int) {
	rest, more := strings.TrimRight(line, "\n"), true
	for n = 0; n < len(f) && more; n++ {
		f[n], rest, more = strings.Cut(rest, ":")
	}
	return f, n
}

// groupsOf returns what group(5) says of each gid, in its order.
func groupsOf(groups string) iter.Seq2[int, group] {
	return func(yield func(int, group) bool) {
		for line := range strings.Lines(groups) {
			f, n := fields(line)
			if n < 4 || f[0] == "" {
				continue
			}
			if gid, err := id(f[2]); err == nil && !yield(gid, group{f[0], f[3]}) {
				return
			}
		}
	}
}

// GroupNames returns the name of each gid in the text of a group(5) file. As
// with getgrgid(3), the first line with the gid decides.
func GroupNames(groups string) map[int]string {
	names := make(map[int]string)
	for gid, g := range groupsOf(groups) {
		if _, ok := names[gid]; !ok {
			names[gid] = g.name
		}
	}
	return names
}

// Homes returns the home of each name in the text of a passwd(5) file.
func Homes(passwd string) map[string]string {
	homes := make(map[string]string)
	for who := range readAccounts(passwd, "").users() {
		if _, ok := homes[who.name]; !ok {
			homes[who.name] = who.home
		}
	}
	return homes
}

// membersOf returns the gids of the groups that name somebody.
func membersOf(groups string) map[string][]int {
	member := make(map[string][]int)
	for gid, g := range groupsOf(groups) {
		for name := range strings.SplitSeq(g.members, ",") {
			if name != "" {
				member[name] = append(member[name], gid)
			}
		}
	}
	return member
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
	u, err := a.first(name)
	if err != nil {
		const most = 4 // as on a card: it is short, and shows what was meant
		var names []string
		for who := range a.sensible() {
			if names = append(names, who.Name); len(names) > most {
				break
			}
		}
		if errors.Is(err, ErrNoAccount) && len(names) > 0 && len(names) <= most {
			err = fmt.Errorf("%w; there are %s", err, strings.Join(names, ", "))
		}
		return strictmodes.Account{}, err
	}
	who := a.filled(u)
	if who.Home == "" {
		return who, fmt.Errorf("passwd(5) names no absolute home for %q", name)
	}
	return who, nil
}

// filled returns an account with all of its groups.
func (a *accounts) filled(u passwdLine) strictmodes.Account {
	groups := []int{u.gid}
	for _, gid := range a.member()[u.name] {
		if !slices.Contains(groups, gid) {
			groups = append(groups, gid)
		}
	}
	return strictmodes.Account{Name: u.name, UID: u.uid, Home: u.home, Groups: groups, Shell: u.shell}
}

// sensible returns the accounts that can log in, as Machine.Accounts has it.
func (a *accounts) sensible() iter.Seq[strictmodes.Account] {
	return func(yield func(strictmodes.Account) bool) {
		seen := make(map[string]struct{}, strings.Count(a.passwd, "\n")+1)
		for u := range a.users() {
			before := len(seen)
			if seen[u.name] = struct{}{}; len(seen) == before { // whom the name means is the first
				continue
			}
			switch path.Base(u.shell) { // "." for none, which is sh(1)
			case "nologin", "false", "true", "sync", "halt", "shutdown":
				continue
			}
			if u.home != "" && u.home != "/nonexistent" && !yield(a.filled(u)) {
				return
			}
		}
	}
}

// groupNames returns the names of groups that have one, as sshd gets them for
// Match Group: from getgrouplist(3) and getgrgid(3).
func (a *accounts) groupNames(gids []int) []string {
	var names []string
	for _, gid := range gids {
		if g, ok := a.groups()[gid]; ok {
			names = append(names, g.name)
		}
	}
	return names
}

// privateGroup is the rule of Debian's secure_permissions(): the group exists,
// nobody but uid is listed with it as primary group, nobody is named as a member
// but the first name of the owner, and there is one of the two. Like the server,
// it asks for a group or an owner that is not listed: a directory service need not
// list what it knows. Without ask, the error is strictmodes.ErrUnlisted then.
func (a *accounts) privateGroup(gid, owner, uid int, ask asker) (bool, error) {
	o := a.owned()
	g, ok := a.groups()[gid]
	names := o.names[owner]
	if unlisted := !ok || len(names) == 0; unlisted && ask == nil {
		return false, strictmodes.ErrUnlisted
	} else if unlisted {
		g, ok = readAccounts("", ask("group", gid)+a.group).groups()[gid]
		names = readAccounts(ask("passwd", owner)+a.passwd, "").owned().names[owner]
	}
	switch {
	case !ok, len(names) == 0, slices.ContainsFunc(o.primary[gid], func(first int) bool { return first != uid }):
		return false, nil
	case g.members == "":
		return len(o.primary[gid]) > 0, nil
	}
	return names[0] == g.members, nil // which two names, with a comma, never are
}

// An asker returns the line of passwd(5) or group(5) for a number; "" for none.
type asker func(database string, id int) string
