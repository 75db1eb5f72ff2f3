package diagnose

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// insideSource tells what decides on a login by key, on the far side.
//
//go:embed inside.sh
var insideSource string

// insideScript is without comments and indents: dropbear takes commands of
// 9000 bytes (MAX_CMD_LEN), and each of those bytes may become four.
func insideScript() string { return hostfs.Compact(insideSource) }

// facts are what a session tells of the account and the server that it is on.
type facts struct {
	account    strictmodes.Account // its home is that of passwd(5), else the one that the server says
	conn       sshdconfig.Connection
	port       string   // of ours, that the server sees
	utc, local string   // the clock there, YYYYMMDDHHMMSS
	password   string   // what passwd -S says; "" if nothing
	noShell    string   // the login shell, if it cannot be executed
	selinux    string   // what getenforce says; "" if there is no SELinux
	openwrt    bool     //
	parents    []string // the command lines of the session's parents, the nearest first
	files      sshdconfig.Files

	// Of the last question.
	held           map[string][]numbered // by the keys files that could be read: the lines that hold a key
	labels         map[string]string     // SELinux's, of the keys files
	revoked        string                // the text of the list of revoked keys
	revokedIs      listState
	revokedAnswers []string // what ssh-keygen -Q says of each key, if the list is a KRL
	dump           string   // what sshd -T says; "" where we are not root
}

// A numbered is a line of a keys file that holds a key.
type numbered struct {
	number int
	text   string
}

// A listState is what became of reading the list of revoked keys.
type listState int

const (
	listNotAsked listState = iota
	listRead
	listUnread
	listAbsent
)

// A question is what the script is to tell; inside.sh says what each means.
type question struct {
	account            bool
	key, revoked, dump string
	keys, files        []string
}

// ask runs the script and adds what it tells.
func (f *facts) ask(ctx context.Context, run hostfs.Runner, q question) error {
	mark := "inside-" + rand.Text()
	account := ""
	if q.account {
		account = "yes"
	}
	var script strings.Builder
	for _, v := range []struct{ name, value string }{
		{"mark", mark}, {"account", account}, {"keys", strings.Join(q.keys, "\n")}, {"key", q.key},
		{"files", strings.Join(q.files, "\n")}, {"revoked", q.revoked}, {"dump", q.dump},
	} {
		fmt.Fprintf(&script, "%s=%s\n", v.name, hostfs.Quote(v.value))
	}
	script.WriteString(insideScript())
	stdout, stderr, status, err := run(ctx, hostfs.ShellCommand(script.String()))
	if err != nil {
		return err
	}
	if !f.read(mark, string(stdout)) {
		return hostfs.NoShell(status, string(stderr))
	}
	return nil
}

// read takes the answer of the script apart. It is false for one that does not
// come to its end.
func (f *facts) read(mark, answer string) (ended bool) {
	if f.held == nil {
		f.held, f.labels, f.files = map[string][]numbered{}, map[string]string{}, sshdconfig.Files{}
	}
	r := factsReader{facts: f}
	for line := range strings.Lines(answer) {
		said, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), mark+" ")
		if !ok {
			continue
		}
		if quoted, ok := strings.CutPrefix(said, "| "); !ok {
			word, rest, _ := strings.Cut(said, " ")
			r.text = nil
			r.fact(word, rest)
		} else if r.text != nil {
			r.text(quoted)
		}
	}
	return r.ended
}

// A factsReader is at a line of the answer.
type factsReader struct {
	*facts
	text    func(line string) // where lines of text belong; nil: nowhere
	pattern string            // that files are told of; "": it is the list of revoked keys
	ended   bool
}

// fact takes what the script says with a word; inside.sh says what each means.
func (r *factsReader) fact(word, rest string) {
	switch word {
	case "user":
		r.account.Name, r.conn.User = rest, rest
	case "ids": // of the user, the primary group, all groups
		for i, id := range strings.Fields(rest) {
			n, _ := strconv.Atoi(id) // id prints numbers
			if i == 0 {
				r.account.UID = n
			} else {
				r.account.Groups = append(r.account.Groups, n)
			}
		}
	case "groups":
		r.conn.Groups = strings.Fields(rest)
	case "passwd":
		if field := strings.Split(rest, ":"); len(field) == 7 {
			r.account.Home = field[5]
		}
	case "home": // which start-up files can change: sshd goes by passwd(5)
		if r.account.Home == "" && path.IsAbs(rest) {
			r.account.Home = rest
		}
	case "connection": // "client port server port"
		if w := strings.Fields(rest); len(w) == 4 {
			r.conn.Address, r.port, r.conn.LocalAddress = plainAddress(w[0]), w[1], plainAddress(w[2])
			r.conn.LocalPort, _ = strconv.Atoi(w[3])
		}
	case "utc":
		r.utc = rest
	case "local":
		r.local = rest
	case "password":
		r.password = rest
	case "noshell":
		r.noShell = rest
	case "openwrt":
		r.openwrt = true
	case "selinux":
		r.selinux = rest
	case "label": // and the file
		if label, file, ok := strings.Cut(rest, " "); ok {
			r.labels[file] = label
		}
	case "parent":
		r.parents = append(r.parents, strings.TrimSpace(rest))
	case "lines":
		r.lines(rest)
	case "pattern":
		r.pattern = rest
		r.files[rest] = nil
	case "revoked":
		r.revokedIs, r.pattern = listAbsent, ""
	case "file":
		r.file(rest)
	case "unread":
		r.unread(rest)
	case "krl":
		r.revokedIs, r.revokedAnswers = listRead, append(r.revokedAnswers, rest)
	case "dump":
		r.text = func(line string) { r.dump += line + "\n" }
	case "end":
		r.ended = true
	}
}

// lines takes the lines of a keys file that hold a key, "NUMBER:LINE" each.
func (r *factsReader) lines(file string) {
	r.held[file] = nil
	r.text = func(line string) {
		number, line, _ := strings.Cut(line, ":")
		if n, err := strconv.Atoi(number); err == nil {
			r.held[file] = append(r.held[file], numbered{n, line})
		}
	}
}

// file takes the text of a configuration file, or of the list of revoked keys.
func (r *factsReader) file(name string) {
	if r.pattern == "" {
		r.revokedIs = listRead
		r.text = func(line string) { r.revoked += line + "\n" }
		return
	}
	files := append(r.files[r.pattern], sshdconfig.File{Path: name})
	r.files[r.pattern] = files
	file := &files[len(files)-1]
	r.text = func(line string) { file.Text += line + "\n" }
}

// unread takes the name of a file that is there, and may not be read.
func (r *factsReader) unread(name string) {
	switch files := r.files[r.pattern]; {
	case r.pattern == "":
		r.revokedIs = listUnread
	case !slices.ContainsFunc(files, func(have sshdconfig.File) bool { return have.Path == name }):
		r.files[r.pattern] = append(files, sshdconfig.File{Path: name, Unread: true})
	}
}

// plainAddress drops the zone, which no pattern holds.
func plainAddress(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	return a.WithZone("").Unmap().String()
}

// arguments returns those that the server was started with, as far as its
// command line can be seen. sshd writes it anew, "sshd: /usr/sbin/sshd -D
// [listener] 0 of 10-100 startups", with blanks between the arguments.
func (f *facts) arguments(name string) []string {
	for _, p := range f.parents {
		p = strings.TrimPrefix(p, "sshd: ")
		words := strings.Fields(p)
		if len(words) == 0 || words[0] != name && !strings.HasSuffix(words[0], "/"+name) {
			continue
		}
		if i := slices.Index(words, "[listener]"); i >= 0 {
			words = words[:i]
		}
		return words[1:]
	}
	return nil
}

// option returns the values of an option with an argument.
func option(args []string, letter byte) []string {
	var values []string
	for i, a := range args {
		switch {
		case len(a) < 2 || a[0] != '-' || a[1] != letter:
		case len(a) > 2:
			values = append(values, a[2:])
		case i+1 < len(args):
			values = append(values, args[i+1])
		}
	}
	return values
}
