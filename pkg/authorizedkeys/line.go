package authorizedkeys

import (
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/sshkey"
)

// take gives a fault its cure, if sshd would take each of the lines.
func (f *Fault) take(lines ...string) {
	f.Keys = nil
	cure := []string{}
	live := true
	for _, line := range lines {
		e, ok := ParseLine([]byte(line))
		if ok && e.Key.Blob != nil {
			f.Keys = append(f.Keys, e.Key)
		}
		live = live && (!ok || e.Dead == "")
		cure = append(cure, line)
	}
	if live {
		f.Cure = cure
	}
}

// canonical writes an entry as every server reads it.
func canonical(options string, key sshkey.Public) string {
	if options == "" {
		return key.Line()
	}
	return options + " " + key.Line()
}

// faultOf judges a line by itself. e and isEntry are what ParseLine says of it.
func faultOf(line string, e Entry, isEntry bool) (Fault, bool) {
	live := isEntry && e.Dead == ""
	if strings.IndexByte(line, 0) >= 0 {
		return nulFault(line, isEntry, live)
	}
	if text := strings.TrimRight(line, "\r"); strings.Contains(text, "\r") {
		if f, ok := splitAt(strings.Split(text, "\r"), live); ok {
			f.Cause, f.Why = "entry-encoding", "lines that end with CR alone: sshd reads them all as one"
			return f, true
		}
	}
	if !isEntry {
		return Fault{}, false
	}
	if pieces, sure := unglue(line); len(pieces) > 1 {
		f, _ := splitAt(pieces, live)
		f.Cause, f.Why = "entry-glued", fmt.Sprintf("%d keys on one line", len(pieces))
		if !sure {
			f.Cure = nil
		}
		return f, true
	}
	if live {
		return Fault{}, false
	}
	if text, f := mend(line); f.Cause != "" {
		if f.take(text); f.Cure != nil {
			return f, true
		}
	}
	return shown(line, e)
}

// shown names what is wrong with a dead line that only its owner can mend.
func shown(line string, e Entry) (Fault, bool) {
	f := Fault{Why: e.Dead}
	text := strings.Trim(line, " \t\r"+likeNothing+likeBlank)
	if strings.HasPrefix(text, "#") {
		return Fault{}, false // a comment with a mark before it
	}
	found := keysIn(text)
	word, _ := cutWord(text)
	options, rest, _ := cutOptions(text)
	_, optionsErr := parseOptions(options)
	switch {
	case e.Key.Blob != nil && sshkey.IsCertificate(e.Key.Type):
		f.Cause = "entry-dead"
	case e.Key.Blob != nil || len(found) > 0:
		f.Cause = "entry-options-bad"
	case isType(word), optionsErr == nil && isType(firstWord(rest)):
		f.Cause = "entry-truncated"
	default:
		return Fault{}, false // words without a key
	}
	if e.Key.Blob != nil {
		f.Keys = []sshkey.Public{e.Key}
	} else {
		for _, k := range found {
			f.Keys = append(f.Keys, k.key)
		}
	}
	return f, true
}

// nulFault judges a line with NULs in it, such as a power cut leaves. sshd reads
// to the first.
//
// Each NUL stands for a byte that is lost. A key behind them may have been
// written there later, by one that added no newline; or it is the rest of a line
// whose first block never came to the disk, options and all. Nothing in the file
// tells which, so that such a key is shown and never let in. Before them only a
// comment can be lost.
func nulFault(line string, isEntry, live bool) (Fault, bool) {
	f := Fault{Cause: "entry-nul", Why: fmt.Sprintf("%d NUL bytes, as a power cut leaves them", strings.Count(line, "\x00"))}
	pieces := slices.DeleteFunc(strings.Split(line, "\x00"), func(s string) bool { return strings.Trim(s, " \t\r") == "" })
	if isEntry && len(pieces) == 0 {
		f.take()
		return f, true
	}
	split, ok := splitAt(pieces, live)
	f.Keys = split.Keys
	if _, behind, _ := strings.Cut(line, "\x00"); strings.Trim(behind, "\x00 \t\r") == "" {
		f.Cure = split.Cure
	} else {
		f.Why += "; the options of what follows them may be lost"
	}
	// What sshd does not take, and no key in it, is nobody's loss.
	torn := isEntry && !live && slices.ContainsFunc(pieces, func(s string) bool { return isType(firstWord(s)) || len(keysIn(s)) > 0 })
	return f, ok || torn
}

// splitAt makes lines of the pieces of one. ok tells whether each of them is a
// comment or an entry that sshd takes, or such as can be mended, with a key
// among them that sshd did not take before; live, that it took the first.
// There is no cure where restrictions of a piece, or the '#' before a key, might
// be meant for those behind it.
func splitAt(pieces []string, live bool) (f Fault, ok bool) {
	var lines []string
	guess := false
	ok = true
	for i, piece := range pieces {
		piece = strings.TrimRight(piece, " \t\r")
		e, isEntry := ParseLine([]byte(piece))
		if isEntry && e.Dead != "" {
			if text, fault := mend(piece); fault.Cause != "" {
				piece = text
				e, _ = ParseLine([]byte(piece))
			}
		}
		if isEntry {
			glued, _ := unglue(piece)
			ok = ok && e.Dead == "" && len(glued) == 1
			guess = guess || i < len(pieces)-1 && e.Restricts()
		} else {
			guess = guess || i < len(pieces)-1 && len(keysIn(piece)) > 0
		}
		if e.Key.Blob != nil {
			f.Keys = append(f.Keys, e.Key)
		}
		lines = append(lines, piece)
	}
	hidden := len(f.Keys)
	if live {
		hidden--
	}
	if ok = ok && hidden > 0; ok && !guess {
		f.Cure = lines
	}
	return f, ok
}
