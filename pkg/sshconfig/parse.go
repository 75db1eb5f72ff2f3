package sshconfig

import (
	"bytes"
	"fmt"
	"strings"

	"pi-key-tools/pkg/confline"
	"pi-key-tools/pkg/pattern"
)

// The bytes that readconf.c takes for white space.
const blanks = " \t\r\n"

// The sources of values from the command line, for Sources and errors.
const (
	commandLine       = "command line"
	commandLineOption = "command line -o"
)

// A directive is one line of a configuration file, as far as it can be
// understood without knowing the target.
type directive struct {
	at       string   // FILE:LINE, or commandLineOption
	word     string   // the keyword as written, in lower case
	keyword  *keyword // nil if ssh does not know the word
	args     []string // checked and in one spelling, by the kind of the keyword
	jump     *jump    // of ProxyJump; nil for "none"
	criteria []criterion
	include  []*file // of Include, filled in by the loader
	doubt    bool    // some ssh may refuse the line, active or not
	unsure   string  // why ssh has to be asked if the line is active; "" if not
	err      error   // why ssh refuses the line, active or not
}

// A criterion is one test of a Match line.
type criterion struct {
	name   string // lower case
	negate bool
	arg    string
}

// parse takes a file apart. Blank lines and comments are left out; a line that
// ssh refuses is a directive with an error.
func parse(path string, data []byte) []*directive {
	var list []*directive
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if d := parseLine(string(line), fmt.Sprintf("%s:%d", path, number)); d != nil {
			list = append(list, d)
		}
	}
	return list
}

// parseOption takes the argument of -o apart; nil if it is blank.
func parseOption(option string) *directive { return parseLine(option, commandLineOption) }

// parseLine is the first half of readconf.c process_config_line_depth(), up to
// what the target decides. It returns nil for a line that says nothing.
func parseLine(line, at string) *directive {
	line, _, _ = strings.Cut(line, "\x00") // where C's strings end
	if line == "" {
		return nil
	}
	line = line[:1] + strings.TrimRight(line[1:], blanks+"\f")
	word, rest, ok, more := nextToken(line)
	if ok && word == "" && more { // the blanks before the keyword
		word, rest, ok, more = nextToken(rest)
	}
	if !ok || word == "" || word[0] == '#' {
		return nil
	}
	d := &directive{at: at, word: pattern.Lower(word)}
	rest = strings.TrimLeft(rest, blanks)
	if !more || rest == "" {
		return d.refuse("no argument after keyword %q", d.word)
	}
	d.keyword = keywords()[d.word]
	args, ok := confline.Split(rest)
	if !ok {
		return d.refuse("invalid quotes")
	}
	if d.keyword != nil {
		d.check(args, rest)
	}
	return d
}

// refuse marks the line as one that ssh does not take.
func (d *directive) refuse(format string, args ...any) *directive {
	d.err = &SyntaxError{At: d.at, Reason: fmt.Sprintf(format, args...)}
	return d
}

// nextToken is misc.c strdelim(): it splits at white space or at one '='; a
// quoted part may hold both. It is how keywords and the arguments of Match are
// read. ok is false where a quote is not closed, more is false where nothing,
// not even a delimiter, follows the token.
func nextToken(s string) (token, rest string, ok, more bool) {
	i := strings.IndexAny(s, blanks+`"=`)
	if i < 0 {
		return s, "", true, false
	}
	if s[i] == '"' {
		quoted, rest, closed := strings.Cut(s[i+1:], `"`)
		if !closed {
			return "", "", false, false
		}
		return s[:i] + quoted, strings.TrimLeft(rest, blanks), true, true
	}
	rest = strings.TrimLeft(s[i+1:], blanks)
	if s[i] != '=' && strings.HasPrefix(rest, "=") {
		rest = strings.TrimLeft(rest[1:], blanks)
	}
	return s[:i], rest, true, true
}

// parseMatch is what readconf.c match_cfg_line() finds wrong with a Match line
// for every target, or the criteria that remain to be looked at.
func parseMatch(rest string) ([]criterion, error) {
	var list []criterion
	more := true
	next := func() (token string, ok bool) {
		if !more {
			return "", false
		}
		token, rest, ok, more = nextToken(rest)
		return token, ok
	}
	for {
		word, ok := next()
		if !ok || word == "" {
			break
		}
		if word[0] == '#' {
			more = false
			break
		}
		negate := word[0] == '!'
		c := criterion{name: pattern.Lower(strings.TrimPrefix(word, "!")), negate: negate}
		switch c.name {
		case "all":
			if arg, ok := next(); len(list) > 1 || ok && arg != "" && arg[0] != '#' {
				return nil, fmt.Errorf("%q cannot be combined with other Match attributes", word)
			}
			return append(list, c), nil
		case "canonical", "final":
		default:
			if !criteria[c.name] {
				return nil, fmt.Errorf("unsupported Match attribute %q", c.name)
			}
			if c.arg, ok = next(); !ok || c.arg == "" && !mayBeEmpty(c.name) || strings.HasPrefix(c.arg, "#") {
				return nil, fmt.Errorf("missing argument for Match attribute %q", c.name)
			}
		}
		list = append(list, c)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("one or more attributes required for Match")
	}
	if more && rest != "" {
		return nil, fmt.Errorf("extra arguments at end of Match")
	}
	return list, nil
}

// criteria are the attributes of Match that take an argument, in any version
// of ssh.
var criteria = map[string]bool{
	"host": true, "originalhost": true, "user": true, "localuser": true, "exec": true,
	"localnetwork": true, "version": true, "tagged": true, "command": true, "sessiontype": true,
}

func mayBeEmpty(name string) bool { return name == "tagged" || name == "command" }
