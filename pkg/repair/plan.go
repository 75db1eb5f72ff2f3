package repair

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
	"pi-key-tools/pkg/unixpath"
)

// A plan is how to cure a finding: no steps where that is not in our power, or
// not to be done unasked.
type plan struct {
	steps    []Step
	detail   string // what was and will be
	hint     string // what remains for a person
	replaces bool   // what was there gets another name
}

func (r *repairer) plan(f strictmodes.Finding) (plan, error) {
	at, name := f.Path, path.Base(f.Path)
	ours := r.me.UID == 0 || f.Stat.UID == r.me.UID
	switch {
	case f.Repair == strictmodes.Chmod && ours:
		mode := f.Mode
		if r.me.UID != 0 && r.me.Groups != nil && !slices.Contains(r.me.Groups, f.Stat.GID) {
			mode &^= fs.ModeSetgid // chmod(2) takes it from whoever is not in the group
		}
		return plan{
			steps:  []Step{{Op: Chmod, Path: at, Was: f.Stat, Mode: mode}},
			detail: fmt.Sprintf("mode %s -> %s", strictmodes.Octal(f.Stat.Mode), strictmodes.Octal(mode)),
		}, nil
	case f.Repair == strictmodes.Chown && r.me.UID == 0:
		return plan{
			steps:  []Step{{Op: Chown, Path: at, Was: f.Stat, UID: r.who.UID}},
			detail: fmt.Sprintf("owner uid %d -> %d", f.Stat.UID, r.who.UID),
		}, nil
	case f.Repair == strictmodes.None || !r.mayRename(at), f.Above: // whose directories no copy would have
		return plan{}, nil
	case f.Repair == strictmodes.Rename:
		return plan{
			steps:  []Step{{Op: Rename, Path: at, Was: f.Stat, To: f.To}},
			detail: fmt.Sprintf("name %s -> %s", name, path.Base(f.To)),
		}, nil
	}
	aside, err := r.free(at, ".aside")
	if err != nil {
		return plan{}, err
	}
	if f.Repair == strictmodes.Aside {
		p := plan{
			steps:    []Step{{Op: Rename, Path: at, Was: f.Stat, To: aside}},
			detail:   fmt.Sprintf("%s; name %s -> %s", f.Detail, name, path.Base(aside)),
			hint:     "pikeycopy puts the keys into a new " + name,
			replaces: true,
		}
		if inside, _ := r.list(at, f.Stat); len(inside) > 0 {
			p.detail += ", with " + names(inside)
		}
		return p, nil
	}
	return r.anew(f, aside)
}

// anew plans to put a copy of ours in the place of what is another's.
func (r *repairer) anew(f strictmodes.Finding, aside string) (plan, error) {
	fresh, err := r.free(f.Path, strictmodes.Fresh)
	if err != nil {
		return plan{}, err
	}
	p := plan{
		detail:   fmt.Sprintf("owner uid %d -> %d, by a copy; the old one is %s", f.Stat.UID, r.me.UID, path.Base(aside)),
		replaces: true,
	}
	var copies, stay []entry
	switch {
	case f.Stat.Mode.IsRegular():
		if !r.can(4, f.Stat) || f.Stat.Nlink > 1 {
			return plan{}, nil
		}
	case !r.can(5, f.Stat):
		p.detail += ", with whatever is in it"
		p.hint = "look in " + aside + " for keys, with sudo; pikeycopy adds one to the new directory"
	default:
		inside, err := r.list(f.Path, f.Stat)
		if err != nil {
			return plan{}, err
		}
		for _, e := range inside {
			if e.st.Mode.IsRegular() && e.st.Nlink <= 1 && r.can(4, e.st) {
				copies = append(copies, e)
			} else {
				stay = append(stay, e)
			}
		}
		if len(stay) > 0 {
			p.detail += ", with " + names(stay)
			p.hint = "what is left in " + aside + " could not be copied"
		}
	}
	p.steps = anew(f.Path, f.Stat, aside, fresh, copies)
	return p, nil
}

// mayRename reports whether we can give what is in a directory of ours another
// name, whoever owns it.
func (r *repairer) mayRename(p string) bool {
	if r.me.UID == 0 {
		return true
	}
	dir, err := r.fsys.Lstat(r.ctx, path.Dir(p))
	if err != nil || p == r.who.Home || dir.UID != r.me.UID || dir.Mode&0o300 != 0o300 {
		return false
	}
	a, err := r.fsys.Attributes(r.ctx, path.Dir(p))
	return err != nil || !a.Immutable
}

// can reports whether the mode lets us do with a file what the bits say: 4 to
// read, 1 to pass.
func (r *repairer) can(bits fs.FileMode, st strictmodes.Stat) bool {
	shift := 0
	switch {
	case r.me.UID == 0:
		return true
	case st.UID == r.me.UID:
		shift = 6
	case slices.Contains(r.me.Groups, st.GID):
		shift = 3
	}
	return st.Mode>>shift&bits == bits
}

// list returns what is in a directory, sorted; nothing for what is none.
func (r *repairer) list(dir string, st strictmodes.Stat) ([]entry, error) {
	if !st.Mode.IsDir() || !r.can(5, st) {
		return nil, nil
	}
	return list(r.ctx, r.fsys, dir)
}

// free returns a name beside p that nothing has: p with the suffix, or that
// and a number.
func (r *repairer) free(p, suffix string) (string, error) {
	for n := 1; n <= 100; n++ {
		name := p + suffix
		if n > 1 {
			name += strconv.Itoa(n)
		}
		_, err := r.fsys.Lstat(r.ctx, name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s%s to %[2]s100 are all taken: remove what is not needed", p, suffix)
}

// names lists some files, for a person.
func names(entries []entry) string {
	const most = 5
	var list []string
	for i, e := range entries {
		if i == most {
			list = append(list, fmt.Sprintf("%d more", len(entries)-most))
			break
		}
		list = append(list, e.name)
	}
	return strings.Join(list, ", ")
}

// owner names the account for chown(1).
func (r *repairer) owner() string {
	if r.who.Name == "" || r.Root != "" { // a card's names are not ours
		return strconv.Itoa(r.who.UID)
	}
	return sh.Quote(r.who.Name)
}

// quote names a file for a command of a person here.
func (r *repairer) quote(p string) string { return sh.QuoteLine(r.Root + p) }

// sudo comes before a command that needs root.
func (r *repairer) sudo() string {
	if r.me.UID == 0 {
		return ""
	}
	return "sudo "
}

// marked reports whether nothing but a mark of chattr(1) can have forbidden a step.
// Root may be forbidden it for more reasons.
func (r *repairer) marked(s Step) bool {
	return s.Op == Chmod && s.Was.UID == r.me.UID || s.Op == Rename && r.me.UID != 0
}

// obstacle is the way on where the file system is what keeps us from a repair.
func (r *repairer) obstacle(cause, path string) string {
	switch cause {
	case "read-only-fs":
		return fmt.Sprintf(`%s%smount -o remount,rw "$(findmnt -no TARGET -T %s)", or raspi-config, which disables an overlay`, r.at, r.sudo(), r.quote(path))
	case "immutable":
		return r.at + "lsattr -d " + r.quote(path) + "; " + r.sudo() + "chattr -i -a " + r.quote(path)
	case "modes-unsupported":
		return "keep the home on a file system such as ext4, or mount this one with options that set the modes"
	}
	return ""
}

// hint is the way on where there is no repair to make unasked, or none that is
// in our power.
//
// Whoever owns the home may have laid it out for a hint that is pasted as root.
// So it gives nothing away that a link may have led to, follows none at the end
// of a path, and copies nothing.
func (r *repairer) hint(f strictmodes.Finding) string {
	if h := r.obstacle(f.Cause, f.Path); h != "" {
		return h
	}
	home, _, err := strictmodes.RealPath(r.ctx, r.fsys, r.who.Home)
	if err != nil {
		home = r.who.Home
	}
	inHome, aboveHome := unixpath.Within(home, f.Path), unixpath.Within(f.Path, home)
	owned := f.Stat.UID == 0 || f.Stat.UID == r.who.UID
	sudo, p := r.at+r.sudo(), r.quote(f.Path)
	switch {
	case f.Repair == strictmodes.Chmod:
		return sudo + "chmod " + strictmodes.Octal(f.Mode) + " " + p
	case f.ACL && !inHome:
		right := ":x "
		if f.Stat.Mode.IsRegular() {
			right = ":r "
		}
		return sudo + "setfacl -m u:" + r.owner() + right + p
	case f.Repair == strictmodes.Rename:
		return sudo + "mv -n " + p + " " + r.quote(f.To)
	case f.Cause == "keys-misnamed":
		return "check what is in it, and give it the name that the server looks for"
	case f.Cause == "home-encrypted":
		return "log in by password, which unlocks it; to log in by key before that, keep the keys outside home: AuthorizedKeysFile in sshd_config"
	case f.Cause == "home-not-mounted":
		return sudo + "mount " + p
	case f.Cause == "home-missing" && (r.Root != "" || f.Path != path.Clean(r.who.Home) || f.Stat != strictmodes.Stat{}):
		return r.at + "see what is in the way of a directory for uid " + strconv.Itoa(r.who.UID) + ": namei -l " + r.quote(r.who.Home)
	case f.Cause == "home-missing":
		return sudo + "mkhomedir_helper " + r.owner()
	case f.Cause == "keys-not-a-file" && f.Stat.Mode.IsDir() && unixpath.Within(f.Path, path.Join(home, ".ssh")):
		return r.at + "have AuthorizedKeysFile in sshd_config name a file in it"
	case r.Root != "" && f.Stat.Mode&fs.ModeSymlink != 0:
		return "mount what it leads to, if that is on another file system of the card; or give " + p + " another name, and then pikeycopy"
	case (f.Cause == "keys-not-a-file" || f.Cause == "keys-symlink") && inHome:
		return r.at + "before pikeycopy: " + r.sudo() + "mv -n " + p + " " + r.quote(f.Path+".aside")
	case f.Stat.Mode.IsRegular() && f.Stat.Nlink > 1 && r.me.UID == 0:
		return fmt.Sprintf("%ssee whose its other names are: find %s -xdev -samefile %s", r.at, r.quote("/"), p)
	case f.Stat.Mode.IsRegular() && f.Stat.Nlink > 1:
		return fmt.Sprintf("%smake it a file of its own: cp -p %s %s && mv %[3]s %[2]s", r.at, p, r.quote(f.Path+".own"))
	case f.Stat == strictmodes.Stat{}:
		return r.at + "see what is in the way: " + r.sudo() + "namei -l " + p
	case f.Stat.Mode&fs.ModeSticky != 0 && f.Path != home && strings.HasSuffix(f.Cause, "-writable"):
		return "move the file to a directory that only its owner can write, and link it from there"
	case strings.HasSuffix(f.Cause, "-writable") && f.Repair != strictmodes.Chown && (owned || inHome || aboveHome):
		return sudo + "chmod go-w " + p
	case f.Cause == "keys-unreadable" && f.Path != home && aboveHome:
		return sudo + "chmod o+x " + p
	case f.Cause == "key-mode":
		return sudo + "chmod go= " + p
	case !inHome:
		return r.at + "unless it is meant to be elsewhere, keep the file in the home, without a link; see whose it is: namei -l " + p
	}
	return sudo + "chown -h " + r.owner() + " " + p
}
