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
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
)

// insideSource tells what decides on a login by key, on the far side.
//
//go:embed inside.sh
var insideSource string

// insideScript is without comments and indents: dropbear takes commands of
// 9000 bytes (MAX_CMD_LEN), and each of those bytes may become four.
func insideScript() string { return sh.Compact(insideSource) }

// usualFiles are asked for before it is known what the configuration includes.
var usualFiles = []string{sshdconfig.DefaultFile, sshdconfig.Dir + "/sshd_config.d/*.conf"}

// maxIncludes is how deep included files may include others: each level is a
// question of its own.
const maxIncludes = 4

// gather asks once for everything that can be foreseen, and again for what the
// answer makes necessary.
func (f *facts) gather(ctx context.Context, run hostfs.Runner) error {
	var key strings.Builder
	for _, k := range f.sought() {
		key.WriteString(sshkey.Public{Type: k.Type, Blob: k.Blob}.Line() + "\n")
	}
	q := question{account: "yes", came: "yes"}
	if f.openSSH() {
		q.files = usualFiles
	}
	if err := f.ask(ctx, run, q); err != nil {
		return err
	}
	if f.account.Home == "" && f.path != "" { // passwd(5) does not know the account
		f.account.Home = path.Dir(path.Dir(f.path))
	}
	q = question{key: key.String()}
	if f.openSSH() {
		if err := f.configure(ctx, run, &q); err != nil {
			return err
		}
	}
	q.keys = f.places()
	if err := f.ask(ctx, run, q); err != nil {
		return err
	}
	if f.dump != "" {
		f.config.Confirm(f.dump)
	}
	return nil
}

// configure evaluates sshd's configuration, and adds to the question what that
// makes necessary to know.
func (f *facts) configure(ctx context.Context, run hostfs.Runner, q *question) error {
	serving := servedBy(f.parents)
	main := serving.Main
	for range maxIncludes {
		missing := f.files.Missing(main)
		if len(missing) == 0 {
			break
		}
		if err := f.ask(ctx, run, question{files: missing}); err != nil {
			return err
		}
	}
	for _, pattern := range f.files.Missing(main) {
		f.files[pattern] = []sshdconfig.File{{Path: pattern, Unread: true}}
	}
	f.evaluate(serving.Options, main)
	if lists, _ := f.config.RevokedKeys(); len(lists) > 0 {
		q.revoked = lists[0]
	}
	if f.account.UID == 0 && f.conn.Address != "" {
		q.dump = fmt.Sprintf("-f %s -C user=%s,host=%s,addr=%[3]s,laddr=%s,lport=%d",
			main, f.conn.User, f.conn.Address, f.conn.LocalAddress, f.conn.LocalPort)
		for _, o := range serving.Options {
			q.dump += " -o " + o
		}
	}
	return nil
}

// A question is what the script is to tell; inside.sh says what each means.
type question struct {
	account, came      string
	key, revoked, dump string
	keys, files        []string
}

// ask runs the script and adds what it tells.
func (f *facts) ask(ctx context.Context, run hostfs.Runner, q question) error {
	mark := "inside-" + rand.Text()
	variables := sh.Variables("mark", mark, "account", q.account, "came", q.came, "keys", strings.Join(q.keys, "\n"), "key", q.key,
		"files", strings.Join(q.files, "\n"), "revoked", q.revoked, "dump", q.dump)
	stdout, stderr, status, err := run(ctx, sh.Command(variables+insideScript()))
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
