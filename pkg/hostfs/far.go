package hostfs

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"sync"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// A Runner runs a command line in the far login shell and returns what it
// wrote to its standard output and error, each bounded: a far side may write
// for ever. err is of the connection, or of a command that could not be
// started; status is its exit status.
type Runner func(ctx context.Context, command string) (stdout, stderr []byte, status int, err error)

// Far is the files of the machine at the other end of run, by one command for
// each method and nothing but a POSIX shell and ls, chmod, chown and id there.
//
// Chmod and Chown look again right before they change anything, but by name: to
// root there, whoever owns a home could still show another file in between. So
// log in as the owner where you can.
func Far(run Runner) FS { return &far{run: run} }

type far struct {
	run Runner

	once          sync.Once
	passwd, group string
	err           error
}

// What a login shell prints before and after is not ours. The marks hold a
// byte that ShellCommand encodes, so that no echo of the command is one.
const (
	begin  = "-- pi-key-tools: begin --\n"
	middle = "-- pi-key-tools: next --\n"
	finish = "-- pi-key-tools: end --\n"
)

// ask runs a script and returns what it printed between the marks.
func (f *far) ask(ctx context.Context, script string) (string, error) {
	script = "LC_ALL=C; export LC_ALL\nset -f\nmark() { printf '%s\\n' \"-- pi-key-tools: $1 --\"; }\necho\nmark begin\n" + script + "\nmark end\n"
	stdout, stderr, status, err := f.run(ctx, ShellCommand(script))
	if err != nil {
		return "", err
	}
	if _, answer, ok := strings.Cut(string(stdout), begin); ok {
		if end := strings.LastIndex(answer, finish); end >= 0 { // a file may hold the mark too
			return answer[:end], nil
		}
	}
	said := strings.TrimSpace(string(stdout) + "\n" + string(stderr))
	if said == "" {
		return "", fmt.Errorf("%w: status %d, and it said nothing", ErrNoShell, status)
	}
	return "", fmt.Errorf("%w: status %d, and it said \"%s\"", ErrNoShell, status, record.Escape(cut(said)))
}

// script gives a script the path as $p, and functions: look prints what ls(1)
// says of it, and why prints why it says nothing. A folder that may not be
// passed hides whether there is something; the deepest one there is asked.
func script(p, body string) (string, error) {
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return "", fmt.Errorf("%q is not an absolute path", p)
	}
	return "p=" + Quote(p) + "\n" + looking + Compact(body), nil
}

var looking = Compact(`
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
`)

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

func (f *far) Lstat(ctx context.Context, p string) (strictmodes.Stat, error) {
	s, err := script(p, "look || why")
	if err != nil {
		return strictmodes.Stat{}, err
	}
	out, err := f.ask(ctx, s)
	if err != nil {
		return strictmodes.Stat{}, fmt.Errorf("looking at %s: %w", p, err)
	}
	if st, ok := parseLs(out); ok {
		return st, nil
	}
	return strictmodes.Stat{}, errorOf("lstat", p, out)
}

func (f *far) Readlink(ctx context.Context, p string) (string, error) {
	s, err := script(p, `if [ -h "$p" ] && t=$(readlink "$p" && echo .); then
	printf '%s' "to $t"
elif [ -h "$p" ]; then
	t=$(ls -ldn "$p" && echo .)
	t=${t#*" $p -> "}
	printf '%s' "to $t"
else
	why
fi
echo`)
	if err != nil {
		return "", err
	}
	out, err := f.ask(ctx, s)
	if err != nil {
		return "", fmt.Errorf("reading the link %s: %w", p, err)
	}
	if target, ok := strings.CutPrefix(out, "to "); ok {
		return strings.TrimSuffix(target, "\n.\n"), nil
	}
	return "", errorOf("readlink", p, strings.TrimSuffix(out, "\n"))
}

func (f *far) PrivateGroup(ctx context.Context, gid, owner int) (bool, error) {
	f.once.Do(func() {
		var out string
		out, f.err = f.ask(ctx, "getent passwd 2>/dev/null || cat /etc/passwd\nmark next\ngetent group 2>/dev/null || cat /etc/group")
		f.passwd, f.group, _ = strings.Cut(out, middle)
	})
	if f.err != nil {
		return false, fmt.Errorf("reading the groups there: %w", f.err)
	}
	return privateGroup(f.passwd, f.group, gid, owner), nil
}

func (f *far) Account(ctx context.Context) (strictmodes.Account, error) {
	var who strictmodes.Account
	out, err := f.ask(ctx, `id -u; id -g; id -G
name=$(id -un 2>/dev/null) || name= # GNU's prints the number when there is no name
printf '%s\n' "$name" "$HOME"`)
	if err != nil {
		return who, fmt.Errorf("asking who we are there: %w", err)
	}
	w := strings.SplitN(strings.TrimSuffix(out, "\n"), "\n", 5)
	if len(w) == 5 {
		who.Name, who.Home = w[3], w[4]
		if who.UID, err = strconv.Atoi(w[0]); err == nil && path.IsAbs(who.Home) {
			for _, g := range strings.Fields(w[1] + " " + w[2]) {
				if gid, err := strconv.Atoi(g); err == nil {
					who.Groups = append(who.Groups, gid)
				}
			}
			return who, nil
		}
	}
	return strictmodes.Account{}, fmt.Errorf("asking who we are there: id and $HOME said \"%s\"", record.Escape(out))
}
