package diagnose

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/strictmodes"
)

func isDropbear(rep *session.Report) bool {
	return strictmodes.ServerOf(rep.ServerVersion).IsDropbear()
}

// dropbearOptions are those that dropbear knows (svr-authpubkeyoptions.c).
var dropbearOptions = []string{
	"command", "no-agent-forwarding", "no-port-forwarding", "no-pty", "no-touch-required", "no-x11-forwarding",
	"permitlisten", "permitopen", "restrict", "verify-required",
}

// DropbearFaults are the entries of a keys file that sshd takes and dropbear does
// not, and why; without those whose key has another line that dropbear takes.
func DropbearFaults(data []byte) iter.Seq2[authorizedkeys.Entry, string] {
	lines := strings.Split(string(data), "\n")
	entries := slices.DeleteFunc(authorizedkeys.Entries(data), func(e authorizedkeys.Entry) bool { return e.Dead != "" })
	why := func(e authorizedkeys.Entry) string {
		return dropbearFault(numbered{e.Line, lines[e.Line-1]}, e.Key.Type, "")
	}
	taken := make(map[string]bool)
	for _, e := range entries {
		if why(e) == "" {
			taken[string(e.Key.Blob)] = true
		}
	}
	return func(yield func(authorizedkeys.Entry, string) bool) {
		for _, e := range entries {
			if fault := why(e); fault != "" && !taken[string(e.Key.Blob)] && !yield(e, fault) {
				return
			}
		}
	}
}

// dropbearFault says why dropbear does not take a line that holds a key of
// type typ; "" if it does (svr-authpubkey.c checkpubkey_line()).
func dropbearFault(n numbered, typ, version string) string {
	most, lines := 4200, math.MaxInt // MAX_AUTHKEYS_LINE
	if _, year, _ := strings.Cut(version, "dropbear_"); year >= "2026" {
		most, lines = 3000, 300 // and MAX_AUTHKEYS_LINE_COUNT
	}
	e, ok := authorizedkeys.ParseLine([]byte(n.text))
	switch {
	case !ok:
		return "it is a comment"
	case len(n.text) > most:
		return fmt.Sprintf("it has %d bytes, and %d are the most", len(n.text), most)
	case n.number > lines:
		return fmt.Sprintf("it reads the first %d lines only", lines)
	case e.Dead != "" && e.Options == nil:
		return e.Dead
	case strings.Contains(n.text, "\x00"):
		return "it has a NUL byte"
	}
	for _, o := range e.Options {
		if !slices.Contains(dropbearOptions, o.Name) {
			return "it does not know the option " + o.Name
		}
	}
	const blanks = " \t"
	i := strings.Index(n.text, typ+" AAAA")
	switch {
	case strings.IndexAny(n.text, blanks) == 0:
		return "a blank stands before it"
	case i < 0:
		return "exactly one blank must stand between the type and the key"
	case i > 1 && strings.ContainsAny(n.text[i-2:i-1], blanks):
		return "exactly one blank must stand between the options and the type"
	}
	return ""
}
