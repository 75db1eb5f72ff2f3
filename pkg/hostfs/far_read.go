package hostfs

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
	"pi-key-tools/pkg/unixpath"
)

// chunk is how much of a file one command returns, in bytes: a Runner may keep
// no more than the last 1 MiB.
const chunk = 512 << 10

func (f *far) ReadFile(ctx context.Context, p string) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("reading %s: %w", p, err) }
	var data []byte
	var first string
	for {
		read := fmt.Sprintf("dd bs=%d skip=%d count=1", chunk, len(data)/chunk)
		if inProc(p) {
			read = "cat"
		}
		s, err := script(p, sh.Compact(fmt.Sprintf(`
			if ! seen=$(ls -ldnL "$p" 2>&1); then
				printf '%%s\n' "failed $seen"
			elif [ ! -f "$p" ]; then
				echo irregular
			elif [ ! -r "$p" ]; then
				echo denied
			else
				printf '%%s\n' "regular $seen"
				%s <"$p" 2>/dev/null
			fi
			`, read)))
		if err != nil {
			return nil, err
		}
		out, err := f.ask(ctx, s)
		if err != nil {
			return fail(err)
		}
		line, part, _ := strings.Cut(out, "\n")
		word, seen, _ := strings.Cut(line, " ")
		switch word {
		case "regular":
		case "irregular":
			return fail(ErrNotRegular)
		default:
			return fail(outcome(p, strings.TrimSuffix(out, "\n")))
		}
		if inProc(p) {
			return []byte(part), nil
		}
		if first == "" {
			first = seen
		}
		w := strings.Fields(seen)
		size := 0
		if len(w) > 5 {
			size, err = strconv.Atoi(w[4])
		}
		switch want := min(size-len(data), chunk); {
		case len(w) <= 5 || err != nil || size < 0:
			return fail(errorOf("look", p, line))
		case size > maxRead:
			return fail(fmt.Errorf("%w: %d bytes", bounded.ErrTooLarge, size))
		case seen != first || len(part) != want:
			return fail(fmt.Errorf("%w while it was read", ErrChanged))
		}
		if data = append(data, part...); len(data) == size {
			return bytes.Clone(data), nil
		}
	}
}

// inProc reports whether a file is of proc(5), where all claim to be empty.
func inProc(p string) bool { return strings.HasPrefix(p, "/proc/") }

func (f *far) Glob(ctx context.Context, pattern string) ([]string, error) {
	dir := globDir(pattern)
	s, err := script(dir, "pattern="+sh.Quote(pattern)+"\n"+sh.Compact(`
		IFS=
		set +f
		set -- $pattern
		set -f
		if [ -e "$1" ] || [ -h "$1" ]; then
			printf '%s\000' "$@"
		elif [ -d "$p" ] && { [ ! -r "$p" ] || [ ! -x "$p" ]; }; then
			echo denied
		elif [ "$(why)" = denied ]; then
			echo denied
		fi
		`))
	if err != nil {
		return nil, err
	}
	out, err := f.ask(ctx, s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("looking for %s: %w", pattern, err)
	case out == "":
		return nil, nil
	case !strings.HasSuffix(out, "\x00"):
		return nil, fmt.Errorf("looking for %s: %w", pattern, errorOf("glob", dir, out))
	}
	names := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	slices.Sort(names)
	return names, nil
}

// globDir returns the directory that a pattern is searched in: what is before
// its first wildcard.
func globDir(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		pattern = pattern[:i] + "x"
	}
	return path.Dir(pattern)
}

// Attributes asks about every path looked at so far, since more such questions
// will follow.
func (f *far) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	s, err := f.look(ctx, p)
	if err != nil {
		return strictmodes.Attributes{}, fmt.Errorf("looking at %s: %w", p, err)
	}
	if _, ok := parseLs(s.line); !ok {
		return strictmodes.Attributes{}, errorOf("look", p, s.line)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if a, ok := f.attributes[p]; ok {
		return a, nil
	}
	asked := []string{p}
	for other, s := range f.seen {
		if st, ok := parseLs(s.line); ok && (st.Mode.IsDir() || st.Mode.IsRegular()) && other != p && len(asked) < 30 {
			asked = append(asked, other)
		}
	}
	script := "PATH=$PATH:/usr/sbin:/sbin\ncat /proc/mounts 2>/dev/null\n"
	for _, p := range asked {
		script += "p=" + sh.Quote(p) + "\nmark next\ngetfacl -cnp \"$p\" 2>/dev/null\nmark next\nlsattr -d \"$p\" 2>/dev/null | cut -c -40\n"
	}
	out, err := f.ask(ctx, script)
	if err != nil {
		return strictmodes.Attributes{}, fmt.Errorf("looking at %s: %w", p, err)
	}
	said := strings.Split(out, middle)
	if len(said) != 1+2*len(asked) {
		return strictmodes.Attributes{}, errorOf("look", p, out)
	}
	if f.attributes == nil {
		f.attributes = make(map[string]strictmodes.Attributes)
	}
	for i, p := range asked {
		a := attributesOf(mountOf(said[0], p))
		a.Granted = grantsOf(said[1+2*i])
		flags, _, _ := strings.Cut(said[2+2*i], " ")
		a.Immutable = strings.ContainsAny(flags, "ia")
		f.attributes[p] = a
	}
	return f.attributes[p], nil
}

// Listless tells a strictmodes.Examiner's user by what ls(1) has put behind the mode.
func (f *far) Listless(p string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	mode, _, _ := strings.Cut(f.seen[p].line, " ")
	return !strings.HasSuffix(mode, "+")
}

// grantsOf returns what an ACL as "getfacl -cn" prints it grants; nil if that is no
// more than the mode tells.
func grantsOf(acl string) []strictmodes.Grant {
	var granted []strictmodes.Grant
	mask, masked := fs.FileMode(0), false
	for line := range strings.Lines(acl) {
		line, _, _ = strings.Cut(line, "#")
		e := strings.Split(strings.TrimSpace(line), ":")
		if len(e) != 3 { // those of "default:" have four words
			continue
		}
		var mode fs.FileMode
		for i, letter := range "xwr" {
			if strings.ContainsRune(e[2], letter) {
				mode |= 1 << i
			}
		}
		id, err := strconv.Atoi(e[1])
		switch {
		case e[0] == "mask":
			mask, masked = mode, true
		case e[0] == "group" && e[1] == "":
			granted = append(granted, strictmodes.Grant{Group: true, ID: strictmodes.OwningGroup, Mode: mode})
		case err == nil && (e[0] == "user" || e[0] == "group"): // not the owner, which the mode tells
			granted = append(granted, strictmodes.Grant{Group: e[0] == "group", ID: id, Mode: mode})
		}
	}
	if !masked {
		return nil
	}
	return limited(granted, mask)
}

// limited applies the mask of an access list.
func limited(granted []strictmodes.Grant, mask fs.FileMode) []strictmodes.Grant {
	for i := range granted {
		granted[i].Mode &= mask
	}
	return granted
}

// A mountPoint is a line of /proc/mounts.
type mountPoint struct{ point, kind, options string }

// mountOf returns the mount that a path is in, by the lines of /proc/mounts: the
// deepest, and of several at one place the last. p holds no link.
func mountOf(table, p string) mountPoint {
	var found mountPoint
	for line := range strings.Lines(table) {
		w := strings.Fields(line)
		if len(w) < 4 {
			continue
		}
		m := mountPoint{strictmodes.MountPoint(w[1]), w[2], w[3]}
		if unixpath.Within(m.point, p) && len(m.point) >= len(found.point) {
			found = m
		}
	}
	return found
}

func attributesOf(m mountPoint) strictmodes.Attributes {
	return strictmodes.Attributes{FS: m.kind, ReadOnly: slices.Contains(strings.Split(m.options, ","), "ro")}
}
