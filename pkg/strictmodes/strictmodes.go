// Package strictmodes judges the files of a login by key as sshd's StrictModes
// does, and finds the least change that satisfies it.
// Source: misc.c safe_path(), Debian's user-group-modes.patch, dropbear's
// svr-authpubkey.c, for private keys authfile.c sshkey_perm_ok(), and for
// ~/.ssh/config readconf.c read_config_file().
package strictmodes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/unixpath"
)

// A Stat is what lstat(2) tells about a path.
type Stat struct {
	Mode  fs.FileMode // type and permissions, setuid, setgid and sticky bits
	UID   int
	GID   int
	Nlink int
}

// A Tree tells about the files of the machine in question. Errors name the path;
// Lstat's may be fs.ErrNotExist or fs.ErrPermission, as errors.Is tells.
type Tree interface {
	Lstat(ctx context.Context, path string) (Stat, error)
	Readlink(ctx context.Context, path string) (string, error)
	// PrivateGroup reports whether only the user uid can act by the group, by
	// Debian's secure_permissions() rule for a file of owner's. The error is
	// ErrUnlisted where that is not known.
	PrivateGroup(ctx context.Context, gid, owner, uid int) (bool, error)
}

// ErrUnlisted means that a group or an owner is not in the lists at hand, while the
// server may know it from a directory service.
var ErrUnlisted = errors.New("who is in its group is not known here")

// An Examiner is a Tree that can tell more than lstat(2). Its error means only
// that it cannot tell, and does not fail a judgement. One that is slow can have a
// method Listless(path string) bool: whether Lstat saw no sign of an access list.
type Examiner interface {
	Attributes(ctx context.Context, path string) (Attributes, error)
}

// Attributes are what lstat(2) does not tell about a file or directory.
type Attributes struct {
	Granted   []Grant // what its POSIX ACL grants to users, to groups and to the OwningGroup; nil for none
	Immutable bool    // not even root can change it: chattr +i, +a
	ReadOnly  bool    // its file system is mounted so
	FS        string  // the kind of its file system, as in /proc/mounts: "ext4", "vfat", "overlay"; "" if unknown
}

// A Grant is an entry of an access list.
type Grant struct {
	Group bool // of a group, not a user
	ID    int
	Mode  fs.FileMode // of 0007, within the mask
}

// OwningGroup is the ID of the group that the file belongs to: of a file with an access
// list, the mode tells the mask in its place.
const OwningGroup = -1

// OthersWrite reports whether the ACL of a file lets somebody write who is not
// root, nor its owner, nor of its group.
func (a Attributes) OthersWrite(st Stat) bool {
	return slices.ContainsFunc(a.Granted, func(g Grant) bool {
		return g.Mode&2 != 0 && (g.Group && g.ID != OwningGroup && g.ID != st.GID || !g.Group && g.ID != 0 && g.ID != st.UID)
	})
}

// An Account is the user who logs in.
type Account struct {
	Name   string
	UID    int
	Home   string // absolute
	Groups []int  // all of its groups, the primary first; nil if unknown
	Shell  string // as passwd(5) has it; "" if unknown, or for sh(1)
}

// A Finding is one thing that the server, or ssh for its own files, refuses.
type Finding struct {
	Cause  string      // a word of pi-key-causes(7)
	Path   string      // of the real file, not of a link to it
	Stat   Stat        // as it is; zero if it cannot be looked at
	Mode   fs.FileMode // the permissions that cure it, if Repair is Chmod
	Repair Repair
	To     string // the new name in the same directory, a whole path, if Repair is Rename
	Detail string // "mode 0775: the group may write", for a person
	Note   string // what to know of the Repair besides; "" for nothing
	ACL    bool   // its access list shuts the account out, where the mode does not
	Above  bool   // the way to keys leads on through a directory in it
}

// A Repair is the kind of change that cures a finding.
type Repair int

// The kinds of change, least first.
const (
	None   Repair = iota // nothing that may be changed unasked
	Chmod                // to Finding.Mode: no bit more than before, but u+r or u+x where the owner cannot read or pass his own
	Chown                // to the account, which root alone can; the group stays
	Rename               // to Finding.To, where nothing is: it has the wrong name
	Aside                // to any free name beside it: it is in the way of what must be there
)

// modeBits are the bits that chmod(2) sets.
const modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

// Permissions returns the mode bits that chmod(2) sets.
func Permissions(mode fs.FileMode) fs.FileMode { return mode & modeBits }

// Octal returns the permissions of a mode as chmod(1) takes them: "0775",
// "1777".
func Octal(mode fs.FileMode) string {
	n := mode.Perm()
	if mode&fs.ModeSetuid != 0 {
		n |= 04000
	}
	if mode&fs.ModeSetgid != 0 {
		n |= 02000
	}
	if mode&fs.ModeSticky != 0 {
		n |= 01000
	}
	return fmt.Sprintf("%04o", uint32(n))
}

// Judge looks at everything on the way to the keys files as the server does and
// returns every finding, a directory always before what is in it, so that
// repairing them in order never cuts off the next.
//
// keysFiles are absolute, in the order in which the server reads them; nil
// means its default, ~/.ssh/authorized_keys and, except for dropbear,
// ~/.ssh/authorized_keys2 if that exists. A missing keys file is not a finding
// about modes. If all are missing, the directories that would hold them are
// judged, and that they are missing is reported only where there is evidence
// why: a file of nearly that name, a link to where there is none, or a home that
// is encrypted or not mounted.
// What is on the way to several files is judged once.
//
// Only what is in the home, by its real path, gets a Repair: a link may lead to
// what others need as it is. Nothing gets one that has further hard links, is
// setuid or a device, or is a directory like /tmp, and Chown never gives the
// home itself away.
//
// An Examiner is asked about what is another's, and about what is to be reported: where
// the change cannot be made, the Cause says why and the Repair is None.
//
// For who may write, POSIX ACLs count as far as they show in the group bits, as for
// sshd; for what the account may read of another's, as far as an Examiner tells them.
func Judge(ctx context.Context, tree Tree, who Account, keysFiles []string, server Server) ([]Finding, error) {
	if !path.IsAbs(who.Home) {
		return nil, fmt.Errorf("the home of %s is %q: not an absolute path", who.Name, who.Home)
	}
	home := path.Clean(who.Home)
	j := judge{ctx: ctx, tree: tree, walker: newWalker(ctx, tree), who: who, server: server}
	byDefault := keysFiles == nil
	if byDefault {
		keysFiles = DefaultFiles(home, server)
	}
	if j.sound(home, keysFiles) {
		return nil, nil
	}
	return j.judge(home, keysFiles, byDefault)
}

// DefaultFiles returns the keys files of a server that is not configured.
func DefaultFiles(home string, server Server) []string {
	first := strings.TrimSuffix(path.Clean(home), "/") + "/.ssh/authorized_keys"
	if server.IsDropbear() {
		return []string{first}
	}
	return []string{first, first + "2"}
}

// judge is Judge for what may have findings. By default, only the first file
// counts unless the others are there.
func (j *judge) judge(homeName string, keysFiles []string, byDefault bool) ([]Finding, error) {
	home, err := j.walker.walk(homeName)
	if err != nil {
		return nil, err
	}
	j.home = home.real
	if byDefault && len(keysFiles) > 1 {
		first, err := j.walker.walk(keysFiles[0])
		if err != nil {
			return nil, err
		}
		switch second, err := j.walker.walk(keysFiles[1]); {
		case err != nil:
			return nil, err
		case second.end == missing, second.end == denied && first.end == denied:
			keysFiles = keysFiles[:1]
		}
	}
	homeless := home.end == missing || home.end == stuck || home.end == found && !home.last.Mode.IsDir()
	all := len(keysFiles)
	if homeless {
		keysFiles = slices.DeleteFunc(slices.Clone(keysFiles), func(name string) bool { return unixpath.Within(homeName, unixpath.Clean(name)) })
	}
	if err := j.locate(homeName, keysFiles); err != nil {
		return nil, err
	}
	// The server passes over one that is missing, whatever the way to it is like; so it
	// may be with one of the administrator's that the account cannot see.
	other := slices.ContainsFunc(j.files, func(f keysFile) bool { return f.end == found })
	there := slices.DeleteFunc(slices.Clone(j.files), func(f keysFile) bool {
		return f.end == missing || f.end == denied && other && !unixpath.Within(homeName, f.name)
	})
	if len(there) > 0 {
		j.files = there
	}
	findings, err := j.passable()
	if err != nil {
		return nil, err
	}
	switch {
	case len(there) > 0:
	case homeless && len(keysFiles) < all:
		f, err := j.homeless(home)
		if err != nil {
			return nil, err
		}
		findings = append(findings, f)
	case !homeless && all > 0:
		why, err := j.absent()
		if err != nil {
			return nil, err
		}
		findings = append(findings, why...)
	}
	j.examine(findings)
	return findings, nil
}

// locate finds out where the keys files are.
func (j *judge) locate(homeName string, keysFiles []string) error {
	for _, name := range keysFiles {
		if !path.IsAbs(name) {
			return fmt.Errorf("the keys file %q is not an absolute path", name)
		}
		name = unixpath.Clean(name)
		dir, err := j.walker.walk(above(name))
		if err != nil {
			return err
		}
		keys, err := j.walker.walk(name)
		if err != nil {
			return err
		}
		keys.passed = slices.Clone(keys.passed)
		f := keysFile{way: keys, name: name, dir: dir.real}
		switch j.server {
		case Dropbear, All:
			f.named, err = j.walker.named(name, homeName)
		case Dropbear2025:
			f.named, err = j.walker.named(above(name), homeName)
		}
		if err != nil {
			return err
		}
		j.files = append(j.files, f)
	}
	return nil
}

// passable judges everything on the ways to the keys files, once.
func (j *judge) passable() ([]Finding, error) {
	var findings []Finding
	seen := make([]string, 0, 8) // most have fewer
	again := func(p string) bool {
		if slices.Contains(seen, p) {
			return true
		}
		seen = append(seen, p)
		return false
	}
	for _, keys := range j.files {
		for _, n := range keys.passed {
			if again(n.path) {
				continue
			}
			f, err := j.node(n, false)
			if err != nil {
				return nil, err
			}
			findings = append(findings, f...)
		}
		if again("keys " + keys.real) { // not only as a directory
			continue
		}
		switch keys.end {
		case found:
			f, err := j.node(keys.last, true)
			if err != nil {
				return nil, err
			}
			for i := range f {
				j.sparesTarget(&f[i], keys)
			}
			findings = append(findings, f...)
		case stuck:
			f := Finding{Cause: "keys-not-a-file", Path: keys.real, Stat: keys.last.Stat, Detail: keys.describe("")}
			if keys.last.path == "" { // a circle of links
				f.Cause = "keys-symlink"
			} else {
				j.propose(&f, Aside)
				j.sparesTarget(&f, keys)
			}
			findings = append(findings, f)
		case denied:
			explained := func(n node) bool {
				return slices.ContainsFunc(findings, func(f Finding) bool {
					return f.Path == n.path && (f.Cause == "wrong-owner" || !j.permits(n, false))
				})
			}
			if !slices.ContainsFunc(keys.passed, explained) {
				findings = append(findings, Finding{Cause: "keys-unreadable", Path: keys.real, Detail: "it cannot be examined: permission denied"})
			}
		}
	}
	return findings, nil
}

// sparesTarget leaves what is in the way only because a link leads to it: it is
// something else of the user's, and the link is what is wrong. So is the configuration
// that names the home, or ~/.ssh.
func (j *judge) sparesTarget(f *Finding, keys keysFile) {
	name := keys.name // with the home's real path
	if rest, ok := strings.CutPrefix(name, path.Clean(j.who.Home)+"/"); ok {
		name = path.Join(j.home, rest)
	}
	inTheWay := f.Path == path.Join(keys.dir, path.Base(name)) || !f.Stat.Mode.IsDir() && unixpath.Within(f.Path, name)
	if f.Repair == Aside && !inTheWay {
		f.Detail += "; links lead to " + f.Path + " from there"
		f.Path, f.Stat, f.Repair = name, Stat{}, None
	}
	if f.Repair == Aside && f.Stat.Mode.IsDir() && unixpath.Within(f.Path, path.Join(j.home, ".ssh")) {
		f.Detail += ", and more than a place for keys"
		f.Repair = None
	}
}

// judge holds what the rules need to know besides the file in question.
type judge struct {
	ctx    context.Context
	tree   Tree
	walker walker
	who    Account
	server Server
	home   string // real path
	files  []keysFile
}

// A keysFile is where the server looks for keys.
type keysFile struct {
	way
	name  string
	dir   string   // real path of the directory that it is in by name
	named []string // real paths of what dropbear looks at
}
