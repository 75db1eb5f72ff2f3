package sshdconfig

import (
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/confline"
)

// A line is one that says something.
type line struct {
	keyword string   // lower case, and the one in use where it has several names
	args    []string // at least one, and none is empty
	file    string
	number  int
}

// parse takes a file apart. What sshd would not start with is left out: it
// runs, so it has not read it.
func parse(f File) []line {
	var lines []line
	number := 0
	for text := range strings.Lines(f.Text) {
		number++
		if l, ok := parseLine(text); ok {
			l.file, l.number = f.Path, number
			lines = append(lines, l)
		}
	}
	return lines
}

const blanks = " \t\r\n\f"

// parseLine reads "keyword args", "keyword=args" or "keyword = args"
// (process_server_config_line_depth(), strdelim()). It is false for a blank
// line, a comment, and what is none.
func parseLine(text string) (line, bool) {
	text = strings.Trim(text, blanks)
	if text == "" || text[0] == '#' {
		return line{}, false
	}
	end := strings.IndexAny(text, blanks+`="`)
	if end < 0 {
		return line{}, false
	}
	rest := strings.TrimLeft(text[end:], blanks)
	rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), blanks)
	args, ok := confline.Split(rest)
	// No keyword takes an empty word.
	return line{keyword: canonical(text[:end]), args: args}, ok && len(args) > 0 && !slices.Contains(args, "")
}

// includes returns the patterns of an Include, absolute.
func (l line) includes() []string {
	patterns := make([]string, len(l.args))
	for i, p := range l.args {
		if p[0] != '/' && p[0] != '~' {
			p = path.Join(Dir, p)
		}
		patterns[i] = p
	}
	return patterns
}

// aliases are older names of a keyword.
var aliases = map[string]string{
	"pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
	"dsaauthentication":      "pubkeyauthentication",
}

// canonical returns a keyword in lower case, by the name that is in use.
func canonical(keyword string) string {
	keyword = strings.ToLower(keyword)
	if name, ok := aliases[keyword]; ok {
		return name
	}
	return keyword
}

// spelling returns a keyword as sshd_config(5) has it, for those that are told
// to a person.
func spelling(keyword string) string {
	for _, s := range []string{
		"AllowGroups", "AllowUsers", "AuthenticationMethods", "AuthorizedKeysCommand", "AuthorizedKeysFile",
		"DenyGroups", "DenyUsers", "PermitRootLogin", "PubkeyAcceptedAlgorithms", "PubkeyAuthentication",
		"RequiredRSASize", "RevokedKeys", "StrictModes",
	} {
		if strings.EqualFold(s, keyword) {
			return s
		}
	}
	return keyword
}
