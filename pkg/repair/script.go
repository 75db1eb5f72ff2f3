package repair

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

// functions are what the lines of a script call. They need a POSIX shell and
// ls, chmod, chown, mv, mkdir, cat, cmp, rm and rmdir as BusyBox has them.
//
//go:embed script.sh
var functions string

// A Script writes plans as a program for any POSIX shell. Each step looks
// first: it silently skips what is already as it should be, and with a
// complaint what is no longer as judged; the program then exits with status 1.
type Script struct {
	// Root is put before every path: the real path of the directory where a
	// card is mounted; "" for none.
	Root string
}

// Head returns the beginning of a program. about is a line for its reader.
func (s Script) Head(about string) string {
	return "#!/bin/sh\n# " + comment(about) + "\n# shellcheck disable=SC2016,SC2030,SC2031,SC2317,SC2329 # names may hold a dollar; functions that end in a subshell, not all of them called\n" + functions + "status=0\n"
}

// Lines returns the steps of one plan, each of which needs the one before.
// about is a line for the program's reader.
func (s Script) Lines(about string, steps []Step) string {
	lines := s.lines(steps)
	if len(lines) == 1 {
		return fmt.Sprintf("\n# %s\n%s || status=1\n", comment(about), lines[0])
	}
	// What takes the place of another is made first, and that only if the other
	// is still what was judged. The last step fails rarely, and must not leave
	// the place empty.
	var aside Step
	for _, step := range steps {
		if step.Op == Rename && step.Was.Mode != 0 {
			aside = step
		}
	}
	lines = slices.Insert(lines, 0, fmt.Sprintf("is %s %s", s.path(aside.Path), was(aside.Was)))
	last := len(lines) - 1
	back := s.lines(aside.undo())[0]
	return fmt.Sprintf("\n# %s\n{\n\t%s &&\n\t\t{ %s || { %s; false; }; }\n} || status=1\n",
		comment(about), strings.Join(lines[:last], " &&\n\t\t"), lines[last], back)
}

// Tail returns the end of a program.
func (s Script) Tail() string { return "\nexit $status\n" }

// lines are the steps as calls of the functions.
func (s Script) lines(steps []Step) []string {
	var lines []string
	for _, step := range steps {
		lines = append(lines, s.line(step))
	}
	return lines
}

func (s Script) line(step Step) string {
	path, to := s.path(step.Path), s.path(step.To)
	switch step.Op {
	case Chmod: // five digits: with four, GNU leaves setgid on a directory
		return fmt.Sprintf("change %s %s %s chmod 0%s", path, was(step.Was), was(step.after()), strictmodes.Octal(step.Mode))
	case Chown:
		return fmt.Sprintf("change %s %s %s chown -h %d", path, was(step.Was), was(step.after()), step.UID)
	case Rename:
		return fmt.Sprintf("move %s %s %s", path, was(step.Was), to)
	case Mkdir:
		return fmt.Sprintf("folder %s 0%s", path, strictmodes.Octal(step.Mode))
	case Copy:
		return fmt.Sprintf("copy %s %s %s %s", path, was(step.Was), to, strictmodes.Octal(step.Mode))
	case Unmake:
		return fmt.Sprintf("unmake %s %s", path, to)
	}
	return "empty " + path
}

func (s Script) path(p string) string { return sh.Quote(s.Root + p) }

// was is what the function look says of a file; "" for what is not known yet.
// Where links could not be counted (by sftp) there must be but one.
func was(st strictmodes.Stat) string {
	switch {
	case st == strictmodes.Stat{}:
		return "''"
	case st.Mode.IsRegular():
		return fmt.Sprintf("'%s %d %d:%d'", hostfs.LsMode(st.Mode), max(st.Nlink, 1), st.UID, st.GID)
	}
	return fmt.Sprintf("'%s %d:%d'", hostfs.LsMode(st.Mode), st.UID, st.GID)
}
