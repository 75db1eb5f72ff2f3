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

// sees reports whether the server judges owner and mode of a real path.
// OpenSSH goes from the real file upwards, to the home if it meets that, else
// to the root; dropbear looks at the names on the way, wherever links lead.
func (j *judge) sees(p string) bool {
	return j.server != Lax && slices.ContainsFunc(j.files, func(f keysFile) bool {
		return slices.Contains(f.named, p) ||
			!j.server.IsDropbear() && unixpath.Within(p, f.real) && (!unixpath.Within(j.home, f.real) || unixpath.Within(j.home, p))
	})
}

// node judges one directory on the way, or the keys file at its end.
func (j *judge) node(n node, isKeys bool) ([]Finding, error) {
	if isKeys && !n.Mode.IsRegular() {
		f := Finding{Cause: "keys-not-a-file", Path: n.path, Stat: n.Stat, Detail: "it is " + kind(n.Mode)}
		j.propose(&f, Aside)
		return []Finding{f}, nil
	}
	finding := Finding{Path: n.path, Stat: n.Stat, Above: slices.ContainsFunc(j.files, func(f keysFile) bool { return unixpath.Within(n.path, path.Dir(path.Dir(f.real))) })}
	var findings []Finding
	owned := n.UID == 0 || n.UID == j.who.UID
	sees := j.sees(n.path)
	judged := n.Stat // for who may write
	if sees && !owned {
		f := finding
		f.Cause = "wrong-owner"
		f.Detail = fmt.Sprintf("it belongs to uid %d, neither to %s nor to root", n.UID, j.who.Name)
		if j.propose(&f, Chown); f.Repair == Chown {
			judged.UID = j.who.UID
		}
		findings = append(findings, f)
	}

	var reasons []string
	f := finding
	f.Mode = Permissions(n.Mode)
	if sees {
		reason, note, err := j.writable(judged)
		if err != nil {
			return nil, fmt.Errorf("looking up the group of %s: %w", n.path, err)
		}
		if reason != "" {
			reasons = append(reasons, reason)
			f.Note = note
			f.Cause = j.writableCause(n.path, isKeys)
			f.Mode &^= 022
		}
	}
	repair := Chmod
	if (owned || !sees) && !j.permits(n, isKeys) {
		need, what := fs.FileMode(0100), "enter"
		if isKeys {
			need, what = 0400, "read"
		}
		reason := fmt.Sprintf("%s may not %s it", j.who.Name, what)
		if f.ACL = j.byMode(n.Stat, isKeys); f.ACL {
			reason += ", by its ACL"
		}
		reasons = append(reasons, reason)
		switch {
		case n.UID == j.who.UID:
			f.Mode |= need
		case f.Cause == "": // another's, most often root's after sudo: widening its mode is no repair
			repair = Chown
		}
		if f.Cause == "" {
			f.Cause = "keys-unreadable"
		}
	}
	if len(reasons) > 0 {
		f.Detail = fmt.Sprintf("mode %s: %s", Octal(n.Mode), strings.Join(reasons, ", "))
		if repair == Chown {
			f.Detail = fmt.Sprintf("owner uid %d, %s", n.UID, f.Detail)
		}
		j.propose(&f, repair)
		findings = append(findings, f)
	}
	return findings, nil
}

// propose sets the repair, unless this is nothing to change unasked.
func (j *judge) propose(f *Finding, r Repair) {
	switch {
	case !unixpath.Within(j.home, f.Path):
		f.Detail += "; it is outside the home"
	case several(f.Stat):
		f.Detail += fmt.Sprintf("; it has %d hard links", f.Stat.Nlink)
	case f.Stat.Mode.IsRegular() && f.Stat.Mode&(fs.ModeSetuid|fs.ModeSetgid) != 0:
		f.Detail += "; it is setuid or setgid"
	case f.Stat.Mode&(fs.ModeDevice|fs.ModeIrregular) != 0: // as Detail says
	case r == Chmod && f.Stat.Mode&fs.ModeSticky != 0 && f.Stat.Mode&0002 != 0 && f.Path != path.Join(j.home, ".ssh"):
		f.Detail += "; it is shared on purpose, like /tmp"
	case r == Chown && f.Path == j.home:
		f.Detail += "; whether to change the owner of a home is for you to decide"
	default:
		f.Repair = r
	}
	if f.Repair != Chmod {
		f.Mode = 0
	}
}

// several reports whether a file is known by other names too, which may lie
// where whoever made them could not have changed the file.
func several(st Stat) bool { return !st.Mode.IsDir() && st.Nlink > 1 }

func (j *judge) writableCause(p string, isKeys bool) string {
	switch {
	case isKeys:
		return "keys-writable"
	case p == j.home:
		return "home-writable"
	case slices.ContainsFunc(j.files, func(f keysFile) bool { return p == path.Dir(f.real) || p == f.dir }):
		return "dir-writable"
	}
	return "parent-writable"
}

// writable says who may write though he must not, or "", and in a note what of that is
// not known.
func (j *judge) writable(st Stat) (reason, note string, err error) {
	return writable(j.ctx, j.tree, st, j.who, j.server)
}

func writable(ctx context.Context, tree Tree, st Stat, who Account, server Server) (reason, note string, err error) {
	if server == Debian && st.Mode&0022 == 0020 {
		private, err := tree.PrivateGroup(ctx, st.GID, st.UID, who.UID)
		switch {
		case errors.Is(err, ErrUnlisted):
			note = err.Error()
		case private || err != nil:
			return "", "", err
		}
	}
	switch st.Mode & 0022 {
	case 0020:
		reason = "the group may write"
	case 0002:
		reason = "others may write"
	case 0022:
		reason = "group and others may write"
	}
	if note != "" {
		reason += ", and " + note
	}
	return reason, note, nil
}

// kind names a type of file, for a person.
func kind(mode fs.FileMode) string {
	switch mode.Type() {
	case 0:
		return "a regular file"
	case fs.ModeDir:
		return "a directory"
	case fs.ModeNamedPipe:
		return "a named pipe"
	case fs.ModeSocket:
		return "a socket"
	}
	return "a device or another special file"
}
