package hostfs

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

// A Runner runs a command line in the far login shell and returns what it wrote
// to standard output and error, both bounded since a far side may write
// forever, and its exit status. err is of the connection, or means that the
// command could not be started.
type Runner func(ctx context.Context, command string) (stdout, stderr []byte, status int, err error)

// Far returns the files of the machine that run reaches, using only a POSIX
// shell and the usual programs there: ls, chmod, chown, mv, ln, sync, id.
// likely are files that are going to be asked about.
//
// Every method is one command (a file of more than 512 KiB takes one for each
// part), and a look is often none: the first fetches everything on the way to
// the account's keys files and to the likely files. What was seen is remembered
// until this FS changes something; then all of it is forgotten, and the next
// look fetches everything asked for so far. So an FS serves one judgement and
// its repairs, not a watch. An outdated look changes nothing by mistake: each
// change looks again on the far side just before, and fails with ErrChanged.
//
// It does that in the directory of the file, reached through no link, and then
// goes by name. If root does the work, the owner of a home could still swap the
// file in between, so log in as the owner where you can.
func Far(run Runner, likely ...string) FS {
	return &far{run: run, asked: likely, listed: readAccounts("", ""), keyed: make(map[string]string)}
}

type far struct {
	run Runner

	mu         sync.Mutex
	asked      []string          // whose ways the first look brings
	seen       map[string]sight  // by path; nil before the first look, and after a change
	names      map[string]string // of what is in a directory, each ended by "/"; by its real path
	attributes map[string]strictmodes.Attributes
	id         string            // what id(1) says, and $HOME
	listed     *accounts         // none before they are needed
	ids        string            // of owners and groups that were asked for by number, each pair in blanks
	keyed      map[string]string // the answers, by database
}

// What a login shell prints before and after is not ours. The marks hold a
// byte that sh.Command encodes, so that no echo of the command is one.
const (
	begin  = "-- pi-key-tools: begin --\n"
	middle = "-- pi-key-tools: next --\n"
	finish = "-- pi-key-tools: end --\n"
)

// ask runs a script and returns what it printed between the marks.
func (f *far) ask(ctx context.Context, script string) (string, error) {
	script = "LC_ALL=C; export LC_ALL\nset -f\nmark() { printf '%s\\n' \"-- pi-key-tools: $1 --\"; }\necho\nmark begin\n" + script + "\nmark end\n"
	stdout, stderr, status, err := f.run(ctx, sh.Command(script))
	if err != nil {
		return "", err
	}
	if _, answer, ok := strings.Cut(string(stdout), begin); ok {
		if end := strings.LastIndex(answer, finish); end >= 0 { // a file may hold the mark too
			return answer[:end], nil
		}
	}
	return "", NoShell(status, string(stdout)+"\n"+string(stderr))
}

// script gives a script the path as $p, and functions: look prints what ls(1)
// says of it, and why prints why it says nothing. A directory that may not be
// passed hides whether there is something; the deepest one there is asked.
func script(p, body string) (string, error) {
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return "", fmt.Errorf("%q is not an absolute path", p)
	}
	return "p=" + sh.Quote(p) + "\n" + sh.Compact(looking) + body, nil
}

const looking = `
look() { ls -ldn "$p" 2>/dev/null; }
why() {
	d=$p
	if [ -h "$p" ] || [ -e "$p" ]; then echo unknown; return; fi
	while [ "$d" != / ]; do
		d=${d%/*}
		[ -n "$d" ] || d=/
		if [ -d "$d" ] && [ ! -x "$d" ]; then echo denied; return; fi
		if [ -e "$d" ]; then break; fi
	done
	echo missing
}
`

// errorOf returns the error of a word that why printed.
func errorOf(op, p, word string) error {
	var err error
	switch strings.TrimSuffix(word, "\n") {
	case "missing":
		err = fs.ErrNotExist
	case "denied":
		err = fs.ErrPermission
	default:
		err = fmt.Errorf("no answer that is understood: \"%s\"", record.Escape(cut(word)))
	}
	return &fs.PathError{Op: op, Path: p, Err: err}
}

// cut shortens what a peer said.
func cut(said string) string {
	const most = 200
	if len(said) > most {
		return said[:most] + "…"
	}
	return said
}
