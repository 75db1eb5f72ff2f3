package firstboot

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// CustomTOML edits custom.toml's text to let the keys in; "" means no file.
// Text or caller must name the user, or the keys go to a home that is renamed.
func CustomTOML(text, user string, keys []Key) (Edit, error) {
	if strings.Contains(text, `"""`) || strings.Contains(text, "'''") {
		return Edit{}, errors.New("a string of several lines")
	}
	if at := unread().FindStringIndex(text); at != nil {
		return Edit{}, fmt.Errorf("line %d: a key or a table in quotes, with dots, in braces or in a list", 1+strings.Count(text[:at[0]], "\n"))
	}
	e := Edit{Text: text, User: user, SSH: true}
	switch name, err := stringOf(text, "user", "name"); {
	case err != nil:
		return Edit{}, err
	case name == "" && user == "":
		return Edit{}, ErrNoUser
	case user != "" && name != "" && name != user:
		return Edit{}, fmt.Errorf("it makes %s, and not %s", name, user)
	case name != "":
		e.User = name
	default:
		e.Text = set(e.Text, "user", "name", TOML(user))
	}
	if from, to, ok := valueOf(text, "ssh", "enabled"); !ok {
		e.Text = set(e.Text, "ssh", "enabled", "true")
	} else if v := text[from:to]; v != "true" {
		return Edit{}, fmt.Errorf("it has ssh enabled = %s", v)
	}
	var lines []string
	from, to, ok := valueOf(e.Text, "ssh", "authorized_keys")
	if e.Added, lines = missing(e.Text[from:to], keys); len(lines) == 0 {
		return e, nil
	}
	for i := range lines {
		lines[i] = TOML(lines[i])
	}
	added := strings.Join(lines, ", ")
	if !ok {
		_, _, said := valueOf(e.Text, "ssh", "password_authentication")
		if _, _, password := valueOf(e.Text, "user", "password"); !said && !password {
			e.Text = set(e.Text, "ssh", "password_authentication", "false")
		}
		e.Text = set(e.Text, "ssh", "authorized_keys", "[ "+added+" ]")
		return e, nil
	}
	last, err := arrayEnd(e.Text[from:to])
	if err != nil {
		return Edit{}, err
	}
	switch at := from + last; e.Text[at] {
	case '[', ',':
		e.Text = e.Text[:at+1] + " " + added + e.Text[at+1:]
	default:
		e.Text = e.Text[:at+1] + ", " + added + e.Text[at+1:]
	}
	return e, nil
}

// unread are the other ways to write what is looked for here: to write it once
// more would make the whole file one that no program reads.
var unread = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?m)^[ \t]*(?:\[\[|\[[ \t]*["']|"[^"\n]*"[ \t]*[.=]|'[^'\n]*'[ \t]*[.=]|(?:user|ssh)[ \t]*[.=])`)
})

var header = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*\[\[?\s*([\w.-]+)\s*\]\]?\s*(?:#.*)?$`)
})

// section returns where the rows of a table begin and end.
func section(text, table string) (from, to int, ok bool) {
	at := 0
	for row := range strings.Lines(text) {
		m := header().FindStringSubmatch(strings.TrimRight(row, "\r\n"))
		switch {
		case m == nil:
		case ok:
			return from, at, true
		case m[1] == table:
			from, ok = at+len(row), true
		}
		at += len(row)
	}
	return from, at, ok
}

// valueOf returns where the value of a key of a table begins and ends: of an
// array, at the end of the table.
func valueOf(text, table, key string) (from, to int, ok bool) {
	from, to, ok = section(text, table)
	if !ok {
		return 0, 0, false
	}
	m := regexp.MustCompile(`(?m)^[ \t]*` + key + `[ \t]*=[ \t]*("[^"\n]*"|'[^'\n]*'|[^\s#])+`).FindStringSubmatchIndex(text[from:to])
	if m == nil {
		return 0, 0, false
	}
	begin := from + strings.IndexByte(text[from+m[0]:], '=') + m[0] + 1
	begin += len(text[begin:]) - len(strings.TrimLeft(text[begin:], " \t"))
	if text[begin] == '[' {
		return begin, to, true
	}
	return begin, from + m[1], true
}

// stringOf is the value of a key that is a string; "" for none.
func stringOf(text, table, key string) (string, error) {
	from, to, ok := valueOf(text, table, key)
	if !ok {
		return "", nil
	}
	v := text[from:to]
	if len(v) < 2 || v[0] != v[len(v)-1] || v[0] != '"' && v[0] != '\'' || strings.ContainsAny(v[1:len(v)-1], `\"'`) {
		return "", fmt.Errorf("%s of [%s] is not to be read: %s", key, table, v)
	}
	return v[1 : len(v)-1], nil
}

// arrayEnd returns where the last character stands that means something before
// the bracket that closes an array.
func arrayEnd(text string) (int, error) {
	last := 0
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t', '\r', '\n':
		case ']':
			return last, nil
		case '#':
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				return 0, errors.New("an array that does not end")
			}
			i += end
		case '[':
			return 0, errors.New("keys in arrays of their own")
		case '"', '\'':
			for i++; i < len(text) && text[i] != c; i++ {
				if text[i] == '\\' && c == '"' {
					i++
				}
			}
			last = i
		default:
			last = i
		}
	}
	return 0, errors.New("an array that does not end")
}

// set gives a key that a table does not have a value; the table is made if
// there is none.
func set(text, table, key, value string) string {
	eol := newline(text)
	row := key + " = " + value + eol
	if _, to, ok := section(text, table); ok {
		// After the last row that says something.
		body := strings.TrimRight(text[:to], " \t\r\n")
		rest := strings.TrimLeft(text[len(body):], " \t\r")
		return body + eol + row + strings.TrimPrefix(rest, "\n")
	}
	if text == "" {
		text = "config_version = 1" + eol
	}
	return ended(text) + eol + "[" + table + "]" + eol + row
}
