package authorizedkeys

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
)

// dropbearOptions are those that dropbear knows (svr-authpubkeyoptions.c).
var dropbearOptions = []string{
	"command", "no-agent-forwarding", "no-port-forwarding", "no-pty", "no-touch-required", "no-x11-forwarding",
	"permitlisten", "permitopen", "restrict", "verify-required",
}

// DropbearFaults are the live entries of a file, as sshd reads it, that dropbear
// does not take, and why; without those whose key has another line that dropbear
// takes.
func DropbearFaults(data []byte) iter.Seq2[Entry, string] {
	lines := strings.Split(string(data), "\n")
	entries := slices.DeleteFunc(Entries(data), func(e Entry) bool { return e.Dead != "" })
	why := func(e Entry) string { return DropbearFault(lines[e.Line-1], e.Line, e.Key.Type, "") }
	taken := make(map[string]bool)
	for _, e := range entries {
		if why(e) == "" {
			taken[string(e.Key.Blob)] = true
		}
	}
	return func(yield func(Entry, string) bool) {
		for _, e := range entries {
			if fault := why(e); fault != "" && !taken[string(e.Key.Blob)] && !yield(e, fault) {
				return
			}
		}
	}
}

// DropbearFault says why dropbear does not take a line that holds a key of type
// typ; "" if it does. number is the line's, from 1; version is the server's
// version line, or "" (svr-authpubkey.c checkpubkey_line()).
func DropbearFault(line string, number int, typ, version string) string {
	most, lines := 4200, math.MaxInt // MAX_AUTHKEYS_LINE
	if _, year, _ := strings.Cut(version, "dropbear_"); year >= "2026" {
		most, lines = 3000, 300 // and MAX_AUTHKEYS_LINE_COUNT
	}
	e, ok := ParseLine([]byte(line))
	switch {
	case !ok:
		return "it is a comment"
	case len(line) > most:
		return fmt.Sprintf("it has %d bytes, and %d are the most", len(line), most)
	case number > lines:
		return fmt.Sprintf("it reads the first %d lines only", lines)
	case e.Dead != "" && e.Options == nil:
		return e.Dead
	case strings.Contains(line, "\x00"):
		return "it has a NUL byte"
	}
	for _, o := range e.Options {
		if !slices.Contains(dropbearOptions, o.Name) {
			return "it does not know the option " + o.Name
		}
	}
	const blanks = " \t"
	i := strings.Index(line, typ+" AAAA")
	switch {
	case strings.IndexAny(line, blanks) == 0:
		return "a blank stands before it"
	case i < 0:
		return "exactly one blank must stand between the type and the key"
	case i > 1 && strings.ContainsAny(line[i-2:i-1], blanks):
		return "exactly one blank must stand between the options and the type"
	}
	return ""
}
