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

// misspelt are names that guides, editors and copying a .pub file give to
// authorized_keys.
var misspelt = []string{"authorised_keys", "authorized-keys", "authorized_key", "authorized_keys.pub", "authorized_keys.txt", "authorized_keys" + Fresh}

// homeless says why there is no home.
func (j *judge) homeless(home way) (Finding, error) {
	f := Finding{Cause: "home-missing", Path: home.real, Stat: home.last.Stat, Detail: home.describe("there is no such directory")}
	if home.end != missing {
		return f, nil
	}
	if point := j.unmounted(home.real); point != "" {
		return notMounted(point), nil
	}
	// systemd-homed(8) keeps the home in one of these until it is activated.
	for _, image := range []string{home.real + ".home", home.real + ".homedir"} {
		switch _, ok, err := j.look(image); {
		case err != nil:
			return f, err
		case ok:
			f.Cause, f.Detail = "home-encrypted", "it is locked in "+image+": homectl activate unlocks it"
			return f, nil
		}
	}
	return f, nil
}

// absent says why none of the keys files is there, where something tells it.
func (j *judge) absent() ([]Finding, error) {
	// ecryptfs-setup-private(1) leaves this where the home is not mounted.
	switch _, ok, err := j.look(path.Join(j.home, "Access-Your-Private-Data.desktop")); {
	case err != nil:
		return nil, err
	case ok:
		return []Finding{{Cause: "home-encrypted", Path: j.home,
			Detail: "it is encrypted, and locked until its owner logs in by password"}}, nil
	}
	if point := j.unmounted(j.home); point != "" {
		return []Finding{notMounted(point)}, nil
	}
	var findings, dangling []Finding
	for _, file := range j.files {
		if file.link.path != "" {
			f := Finding{Cause: "keys-symlink", Path: file.link.path, Stat: file.link.Stat, Detail: "it is a dangling link: there is no " + file.real}
			if point := j.unmounted(file.real); point != "" {
				f.Detail += ", and what fstab(5) lists for " + point + " is not mounted"
			}
			if !slices.ContainsFunc(dangling, func(d Finding) bool { return d.Path == f.Path }) {
				dangling = append(dangling, f)
			}
		}
		if path.Base(file.name) != "authorized_keys" || !unixpath.Within(j.home, file.real) && !unixpath.Within(j.who.Home, file.name) {
			continue
		}
		var candidates []string
		for _, name := range misspelt {
			candidates = append(candidates, path.Join(path.Dir(file.real), name))
		}
		candidates = append(candidates, file.real+"2", path.Join(j.home, "authorized_keys"))
		switch f, ok, err := j.unfinished(path.Dir(file.real), path.Base(file.real)); {
		case err != nil:
			return nil, err
		case ok:
			findings = append(findings, f)
		}
		for _, p := range candidates {
			f, ok, err := j.misnamed(p, file.real)
			if err != nil {
				return nil, err
			}
			if ok {
				findings = append(findings, f)
			}
		}
	}
	if len(findings) == 0 {
		return dangling, nil
	}
	if len(findings) > 1 { // which is meant?
		for i := range findings {
			findings[i].Repair, findings[i].To = None, ""
			findings[i].Detail += "; there are others like it"
		}
	}
	return findings, nil
}

// Fresh ends the name of a copy until it takes the place of what it is of.
const Fresh = ".new"

// unfinished says whether there is such a copy of the directory of a keys file, and
// its place is empty: a repair was killed right before its last step.
func (j *judge) unfinished(dir, base string) (Finding, bool, error) {
	_, taken, err := j.look(dir)
	if err != nil || taken {
		return Finding{}, false, err
	}
	st, there, err := j.look(dir + Fresh)
	if err != nil || !there || !st.Mode.IsDir() || st.UID != j.who.UID || st.Mode&0022 != 0 {
		return Finding{}, false, err
	}
	f := Finding{Cause: "keys-misnamed", Path: dir + Fresh, Stat: st, Detail: "it was to become " + dir + ", by a repair that was interrupted"}
	if j.propose(&f, Rename); f.Repair == Rename {
		f.To = dir
	}
	_, there, err = j.look(path.Join(f.Path, base))
	return f, there, err
}

func notMounted(point string) Finding {
	return Finding{Cause: "home-not-mounted", Path: point, Detail: "fstab(5) lists a file system for it, but none is mounted there"}
}

// unmounted returns the directory, the home or one above it, that fstab(5) has a
// file system for and that has none; "" if there is none, or no telling.
func (j *judge) unmounted(home string) string {
	tree, ok := j.tree.(interface {
		ReadFile(ctx context.Context, path string) ([]byte, error)
	})
	if !ok {
		return ""
	}
	fstab, err := tree.ReadFile(j.ctx, "/etc/fstab")
	if err != nil {
		return ""
	}
	var wanted []string
	for _, p := range mountPoints(fstab) {
		if p != "/" && unixpath.Within(p, home) {
			wanted = append(wanted, p)
		}
	}
	if wanted == nil {
		return ""
	}
	mounts, err := tree.ReadFile(j.ctx, "/proc/self/mounts")
	if err != nil {
		return ""
	}
	there := mountPoints(mounts)
	for _, p := range wanted {
		if !slices.Contains(there, p) {
			return p
		}
	}
	return ""
}

// mountPoints returns the second words of fstab(5), cleaned, but for those that
// are no paths.
func mountPoints(table []byte) []string {
	var points []string
	for line := range strings.Lines(string(table)) {
		w := strings.Fields(line)
		if len(w) < 3 || strings.HasPrefix(w[0], "#") || !path.IsAbs(w[1]) {
			continue
		}
		points = append(points, path.Clean(MountPoint(w[1])))
	}
	return points
}

// MountPoint returns the path in a word of fstab(5) or /proc/mounts, which
// write some bytes in octal.
func MountPoint(word string) string { return mountBytes.Replace(word) }

var mountBytes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// misnamed says whether p seems to have been meant for the keys file, which is
// not there.
func (j *judge) misnamed(p, keys string) (Finding, bool, error) {
	st, ok, err := j.look(p)
	if err != nil || !ok || !st.Mode.IsRegular() {
		return Finding{}, false, err
	}
	f := Finding{Cause: "keys-misnamed", Path: p, Stat: st, Detail: "the server looks for " + keys}
	reason, _, err := j.writable(st)
	switch {
	case err != nil:
		return f, false, fmt.Errorf("looking up the group of %s: %w", p, err)
	case path.Dir(p) != path.Dir(keys):
		f.Detail += ", not in this directory"
	case st.UID != j.who.UID:
		f.Detail += fmt.Sprintf("; this one belongs to uid %d", st.UID)
	case reason != "":
		f.Detail += fmt.Sprintf("; mode %s: %s, so see what is in it", Octal(st.Mode), reason)
	default:
		if j.propose(&f, Rename); f.Repair == Rename {
			f.To = keys
		}
	}
	return f, true, nil
}

// look is Lstat, for what may be missing, or hidden.
func (j *judge) look(p string) (st Stat, there bool, err error) {
	st, err = j.walker.Lstat(j.ctx, p)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return Stat{}, false, nil
	}
	if err != nil {
		return Stat{}, false, err
	}
	return st, true, nil
}

// modeless are the file systems that keep no owners and modes. There are more
// that may or may not, by how they are mounted.
var modeless = []string{"vfat", "msdos", "exfat", "ntfs", "fuseblk"}

// examine asks about what is to be repaired whether it can be.
func (j *judge) examine(findings []Finding) {
	tree, ok := j.tree.(Examiner)
	if !ok {
		return
	}
	for i := range findings {
		f := &findings[i]
		if f.Repair == None {
			continue
		}
		a, err := tree.Attributes(j.ctx, f.Path)
		if err != nil {
			continue
		}
		if f.Repair == Rename || f.Repair == Aside { // which changes the directory too
			if dir, err := tree.Attributes(j.ctx, path.Dir(f.Path)); err == nil {
				a.Immutable = a.Immutable || dir.Immutable
			}
		}
		modes := f.Repair == Chmod || f.Repair == Chown
		switch {
		case a.ReadOnly:
			f.cannot("read-only-fs", "its file system is mounted read-only")
		case modes && slices.Contains(modeless, a.FS):
			f.cannot("modes-unsupported", "a file system of type "+a.FS+" stores no owners and modes")
		case a.Immutable:
			f.cannot("immutable", "it is marked immutable or append-only: sudo chattr -i -a removes that")
		case a.OthersWrite(f.Stat) && f.Stat.Mode&0022 == 0020 && strings.HasSuffix(f.Cause, "-writable"):
			f.Cause, f.Detail = "acl-writable", f.Detail+"; its ACL lets others write, which setfacl -b removes"
		}
		if a.FS == "overlay" && f.Repair != None {
			f.note("it is on an overlay, which may lose the change at a reboot")
		}
	}
}

func (f *Finding) note(text string) {
	if f.Note != "" {
		f.Note += "; "
	}
	f.Note += text
}

// cannot turns a finding into one that its file system keeps from being
// repaired.
func (f *Finding) cannot(cause, why string) {
	f.Cause, f.Repair, f.Mode, f.To = cause, None, 0, ""
	f.Detail += "; " + why
}
