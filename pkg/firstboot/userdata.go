package firstboot

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// groups are those that Raspberry Pi Imager puts a user into.
const groups = "users,adm,dialout,audio,netdev,video,plugdev,cdrom,games,input,gpio,spi,i2c,render,sudo"

// UserData edits cloud-init's user-data to let the keys in; "" means no file.
// They go to user, added if missing, or if that is "" to the file's own.
func UserData(text, user string, keys []Key) (Edit, error) {
	d := document{rows: slices.Collect(strings.Lines(ended(text))), eol: newline(text)}
	switch {
	case len(d.rows) > 0 && strings.TrimSpace(d.rows[0]) == "#cloud-config":
	case slices.ContainsFunc(d.rows, isActive):
		return Edit{}, errors.New("its first line is not #cloud-config")
	default:
		d.rows = slices.Insert(d.rows, 0, "#cloud-config"+d.eol)
	}
	if err := d.check(); err != nil {
		return Edit{}, err
	}
	people, err := d.people()
	if err != nil {
		return Edit{}, err
	}
	place, err := d.place(people, user)
	if err != nil {
		return Edit{}, err
	}
	e := Edit{User: place.name}
	if i := d.find("enable_ssh", 0, len(d.rows), 0); i >= 0 {
		if e.SSH = d.value(i) == "true"; !e.SSH {
			return Edit{}, fmt.Errorf("it has enable_ssh: %s", d.value(i))
		}
	}
	var lines []string
	e.Added, lines = missing(d.keys(place), keys)
	if len(lines) == 0 {
		e.Text = text
		return e, nil
	}
	if err := d.insert(place, lines); err != nil {
		return Edit{}, err
	}
	e.Text = strings.Join(d.rows, "")
	return e, nil
}

// A document is the rows of a YAML mapping in block style.
type document struct {
	rows []string // with their newlines
	eol  string
}

// A person is a mapping that describes a user, or all of the document.
type person struct {
	name     string
	from, to int // its rows
	column   int // of its keys
	at       int // the row after which a key can be added to it
	anew     int // the column of the dash of a user who is not there yet, and is made at the end of the rows; -1 for one who is
}

// A plain key is one that find finds, and a plain name one that value returns as
// YAML has it.
var (
	plainKey  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_][\w.-]*:(\s|$)`) })
	plainName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\w.-]+$`) })
)

// check refuses what is not to be read row by row: a key that is not found would
// be written once more, and the last one is all that counts.
func (d *document) check() error {
	first, marked := true, false
	seen := make(map[string]bool)
	for i, row := range d.rows {
		if !isActive(row) {
			continue
		}
		white := row[:len(row)-len(strings.TrimLeft(row, " \t"))]
		marker := strings.HasPrefix(row, "---") || strings.HasPrefix(row, "...") || row[0] == '%'
		key := plainKey().FindString(row)
		switch {
		case strings.Contains(white, "\t"):
			return fmt.Errorf("line %d: a TAB before its first word", i+1)
		case marker && (!first || marked || strings.TrimSpace(row) != "---"):
			return fmt.Errorf("line %d: more than one document", i+1)
		case marker:
			marked = true
			continue
		case first && (row[0] == '{' || row[0] == '['):
			return fmt.Errorf("line %d: it is in braces", i+1)
		case key == "" && (first || white == "" && !isItem(row) && !strings.ContainsRune("]}", rune(row[0]))):
			return fmt.Errorf("line %d: not a plain key at the beginning of the line", i+1)
		case key != "" && seen[key]:
			return fmt.Errorf("line %d: the same key once more", i+1)
		}
		first, seen[key] = false, true
	}
	return nil
}

// column is where the first word of a row begins.
func column(row string) int { return len(row) - len(strings.TrimLeft(row, " ")) }

func isItem(row string) bool {
	row = strings.TrimSpace(row)
	return row == "-" || strings.HasPrefix(row, "- ")
}

// inner is where what follows the dash of an item begins; false if nothing does.
func inner(row string) (int, bool) {
	c := column(row) + 1
	rest := strings.TrimRight(row[c:], "\r\n ")
	return c + column(rest), rest != "" && isActive(rest)
}

// block returns the row after the last one that belongs to the key in row i.
func (d *document) block(i, column_, limit int) int {
	end := i + 1
	for j := i + 1; j < limit; j++ {
		row := d.rows[j]
		if !isActive(row) {
			continue
		}
		if c := column(row); c < column_ || c == column_ && !isItem(row) {
			break
		}
		end = j + 1
	}
	return end
}

// find returns the row of a key at a column, or -1. A key may follow a dash.
func (d *document) find(key string, from, to, at int) int {
	for i := from; i < to; i++ {
		row := d.rows[i]
		if !isActive(row) || len(row) <= at {
			continue
		}
		c := column(row)
		if isItem(row) && c < at {
			c, _ = inner(row)
		}
		if c == at && (strings.HasPrefix(row[at:], key+":") || strings.HasPrefix(row[at:], strings.ReplaceAll(key, "_", "-")+":")) {
			return i
		}
	}
	return -1
}

// value is what follows the key in a row, without quotes and comments; "" for
// row -1.
func (d *document) value(i int) string {
	if i < 0 {
		return ""
	}
	_, v, _ := strings.Cut(d.rows[i], ":")
	v = strings.TrimSpace(v)
	if strings.HasPrefix(v, "#") {
		return ""
	}
	v, _, _ = strings.Cut(v, " #")
	return strings.Trim(strings.TrimSpace(v), `"'`)
}

// people are the users that the document makes.
func (d *document) people() ([]person, error) {
	var all []person
	if i := d.find("user", 0, len(d.rows), 0); i >= 0 {
		end := d.block(i, 0, len(d.rows))
		first := slices.IndexFunc(d.rows[i+1:end], isActive)
		if d.value(i) != "" || first < 0 {
			return nil, fmt.Errorf("line %d: a user without lines of its own", i+1)
		}
		p := d.person(i+1, end, column(d.rows[i+1+first]))
		p.at = max(p.at, i) // without a name it is the user by default
		all = append(all, p)
	}
	i := d.find("users", 0, len(d.rows), 0)
	if i < 0 {
		return all, nil
	}
	end := d.block(i, 0, len(d.rows))
	if d.value(i) != "" {
		return nil, fmt.Errorf("line %d: users in one line", i+1)
	}
	dash, from := -1, i+1
	for j := i + 1; j <= end; j++ {
		if j < end && (!isActive(d.rows[j]) || dash >= 0 && column(d.rows[j]) > dash) {
			continue
		}
		if dash >= 0 {
			c, follows := inner(d.rows[from])
			if !follows {
				if next := slices.IndexFunc(d.rows[from+1:j], isActive); next >= 0 {
					c = column(d.rows[from+1+next])
				}
			}
			if c < len(d.rows[from]) && d.rows[from][c] == '{' {
				return nil, fmt.Errorf("line %d: a user in braces", from+1)
			}
			switch p := d.person(from, j, c); {
			case plainName().MatchString(p.name):
				all = append(all, p)
			case p.name != "" || strings.Contains(strings.Join(d.rows[from:j], ""), ":"): // not "- default"
				return nil, fmt.Errorf("line %d: a user without a plain name", from+1)
			}
		}
		if j < end {
			if !isItem(d.rows[j]) {
				return nil, fmt.Errorf("line %d: users that are no list", j+1)
			}
			dash, from = column(d.rows[j]), j
		}
	}
	return all, nil
}

func (d *document) person(from, to, at int) person {
	p := person{from: from, to: to, column: at, anew: -1}
	if p.at = d.find("name", from, to, at); p.at >= 0 {
		p.name = d.value(p.at)
	}
	return p
}

// place says whose the keys are to be.
func (d *document) place(people []person, user string) (person, error) {
	var names []string
	for _, p := range people {
		if p.name == user || user == "" && len(people) == 1 {
			return p, nil
		}
		names = append(names, cmp.Or(p.name, "the user of the system"))
	}
	top := d.find("ssh_authorized_keys", 0, len(d.rows), 0)
	users := d.find("users", 0, len(d.rows), 0)
	switch {
	case len(names) > 0 && user == "":
		return person{}, fmt.Errorf("it makes the users %s: name the one that the keys are to let in", strings.Join(names, ", "))
	case len(names) > 0:
		return person{}, fmt.Errorf("it makes %s, and not %s", strings.Join(names, ", "), user)
	case user == "" && top >= 0 && (users < 0 || d.isDefault(users)):
		return person{to: len(d.rows), anew: -1}, nil
	case user == "":
		return person{}, ErrNoUser
	case users >= 0: // - default, alone
		end := d.block(users, 0, len(d.rows))
		p := person{name: user, from: end, to: end}
		if first := slices.IndexFunc(d.rows[users+1:end], isActive); first >= 0 {
			p.anew = column(d.rows[users+1+first])
		}
		return p, nil
	}
	for _, key := range []string{"ssh_authorized_keys", "ssh_import_id", "password"} {
		if d.find(key, 0, len(d.rows), 0) >= 0 { // of cc_ssh, cc_ssh_import_id, cc_set_passwords
			return person{}, fmt.Errorf("it has %s for the user that the system has by default, who is not made beside %s: name nobody, or that user as well in a list of users", key, user)
		}
	}
	d.rows = append(d.rows, "users:"+d.eol)
	return person{name: user, from: len(d.rows), to: len(d.rows)}, nil
}

// isDefault reports whether a list of users has the one that the system has by
// default.
func (d *document) isDefault(users int) bool {
	return slices.ContainsFunc(d.rows[users+1:d.block(users, 0, len(d.rows))], func(row string) bool {
		word, _, _ := strings.Cut(strings.TrimSpace(row), " #")
		return strings.Join(strings.Fields(word), " ") == "- default"
	})
}

// keys are the rows that let keys in to a person.
func (d *document) keys(p person) string {
	i := d.find("ssh_authorized_keys", p.from, p.to, p.column)
	if i < 0 {
		return ""
	}
	return strings.Join(d.rows[i:d.block(i, p.column, p.to)], "")
}

// insert writes the lines where they belong.
func (d *document) insert(p person, lines []string) error {
	var rows []string
	add := func(column int, text string) { rows = append(rows, strings.Repeat(" ", column)+text+d.eol) }
	items := func(column int) {
		for _, line := range lines {
			add(column, "- "+YAML(line))
		}
	}
	if p.anew >= 0 {
		add(p.anew, "- name: "+p.name)
		for _, key := range []string{"groups: " + groups, "shell: /bin/bash", "lock_passwd: true", "sudo: ALL=(ALL) NOPASSWD:ALL", "ssh_authorized_keys:"} {
			add(p.anew+2, key)
		}
		items(p.anew + 2)
		d.rows = slices.Insert(d.rows, p.to, rows...)
		return nil
	}
	i := d.find("ssh_authorized_keys", p.from, p.to, p.column)
	if i < 0 {
		add(p.column, "ssh_authorized_keys:")
		items(p.column + 2)
		d.rows = slices.Insert(d.rows, p.at+1, rows...)
		return nil
	}
	if d.value(i) != "" {
		return fmt.Errorf("line %d: keys in one line", i+1)
	}
	end := d.block(i, p.column, p.to)
	at := p.column + 2
	if first := slices.IndexFunc(d.rows[i+1:end], isActive); first >= 0 {
		at = column(d.rows[i+1+first])
	}
	items(at)
	d.rows = slices.Insert(d.rows, end, rows...)
	return nil
}
