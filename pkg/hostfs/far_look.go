package hostfs

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

// A sight is what a look at a path told: the line of ls(1), or why there is
// none, and of a link its target.
type sight struct{ line, target string }

func (f *far) Lstat(ctx context.Context, p string) (strictmodes.Stat, error) {
	s, err := f.look(ctx, p)
	if err != nil {
		return strictmodes.Stat{}, fmt.Errorf("looking at %s: %w", p, err)
	}
	if st, ok := parseLs(s.line); ok {
		return st, nil
	}
	return strictmodes.Stat{}, errorOf("lstat", p, s.line)
}

func (f *far) Readlink(ctx context.Context, p string) (string, error) {
	s, err := f.look(ctx, p)
	if err != nil {
		return "", fmt.Errorf("reading the link %s: %w", p, err)
	}
	if target, ok := strings.CutSuffix(s.target, "\n."); ok {
		return target, nil
	}
	if _, ok := parseLs(s.line); ok {
		return "", &fs.PathError{Op: "readlink", Path: p, Err: syscall.EINVAL}
	}
	return "", errorOf("readlink", p, s.line)
}

func (f *far) Account(ctx context.Context) (strictmodes.Account, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var who strictmodes.Account
	if f.id == "" {
		if err := f.survey(ctx, nil); err != nil {
			return who, fmt.Errorf("asking who we are there: %w", err)
		}
	}
	w := strings.SplitN(strings.TrimSuffix(f.id, "\n"), "\n", 5)
	if len(w) == 5 {
		var err error
		who.Name, who.Home = w[3], w[4]
		if who.UID, err = strconv.Atoi(w[0]); err == nil && path.IsAbs(who.Home) {
			for g := range strings.FieldsSeq(w[1] + " " + w[2]) {
				if gid, err := strconv.Atoi(g); err == nil {
					who.Groups = append(who.Groups, gid)
				}
			}
			return who, nil
		}
	}
	return strictmodes.Account{}, fmt.Errorf("asking who we are there: id and $HOME said \"%s\"", record.Escape(cut(f.id)))
}

func (f *far) PrivateGroup(ctx context.Context, gid, owner, uid int) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := fmt.Sprintf(" %d %d ", owner, gid)
	if _, err := f.listed.privateGroup(gid, owner, uid, nil); err != nil && !strings.Contains(f.ids, ids) {
		out, err := f.ask(ctx, "shared="+sh.Quote(ids)+groups)
		if err != nil {
			return false, fmt.Errorf("reading the groups there: %w", err)
		}
		f.list(strings.Split(out, middle))
	}
	return f.listed.privateGroup(gid, owner, uid, func(database string, _ int) string { return f.keyed[database] })
}

// list takes what the script groups printed.
func (f *far) list(part []string) {
	if len(part) == 5 && part[0] != "" {
		f.ids += part[0]
		f.listed = readAccounts(part[1], part[2])
		f.keyed["passwd"] += part[3]
		f.keyed["group"] += part[4]
	}
}

// look returns what was seen at p, or is seen now.
func (f *far) look(ctx context.Context, p string) (sight, error) {
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return sight{}, fmt.Errorf("%q is not an absolute path", p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.seen[p]
	if !ok && f.absent(p) {
		return sight{line: "missing"}, nil
	}
	if !ok {
		if !slices.Contains(f.asked, p) {
			f.asked = append(f.asked, p)
		}
		const most = 16 // or so: a script must not grow for ever
		if len(f.asked) > most {
			f.asked = f.asked[len(f.asked)-most:]
		}
		if err := f.survey(ctx, []string{p}); err != nil {
			return s, err
		}
		s = f.seen[p]
	}
	return s, nil
}

// absent reports whether what was seen of the directory of p says that p is not
// there.
func (f *far) absent(p string) bool {
	dir := path.Dir(p)
	names, listed := f.names[dir]
	return f.seen[dir].line == "missing" || listed && p == path.Clean(p) && !strings.Contains("/"+names, "/"+path.Base(p)+"/")
}

// forget is for when something was, or may have been, changed.
func (f *far) forget() {
	f.mu.Lock()
	f.seen, f.names, f.attributes = nil, nil, nil
	f.mu.Unlock()
}

// survey looks at everything on the way to the paths. If nothing is known, it
// looks at all that was ever asked for, and who we are.
func (f *far) survey(ctx context.Context, paths []string) error {
	script := "home=\nlisted=\n"
	if f.seen == nil {
		script, paths = "home=yes\nlisted=\n", f.asked
	}
	if f.ids != "" {
		script += "listed=yes\n"
	}
	script += sh.Compact(looking + surveying)
	for _, p := range paths {
		script += "way " + sh.Quote(p) + "\n"
	}
	out, err := f.ask(ctx, script+surveyed)
	if err != nil {
		return err
	}
	// The name of a file may hold the mark; who we are and the groups do not.
	id, rest, _ := strings.Cut(out, middle)
	part := strings.Split(rest, middle)
	n := len(part) - 5
	if n < 1 {
		return fmt.Errorf("no answer that is understood: \"%s\"", record.Escape(cut(out)))
	}
	if id != "" {
		f.id = id
	}
	f.list(part[n:])
	if f.seen == nil {
		f.seen, f.names = make(map[string]sight), make(map[string]string)
	}
	fields := strings.Split(strings.Join(part[:n], middle), "\x00")
	for ; len(fields) > 2; fields = fields[3:] {
		if fields[1] == "in" {
			f.names[fields[0]] = fields[2]
		} else {
			f.seen[fields[0]] = sight{line: fields[1], target: fields[2]}
		}
	}
	return nil
}

// surveying prints who we are, and defines way, which prints three strings, each
// ended by a NUL, for every component of a path as far as it is there, for those
// of what a link on it leads to, and for the path itself. Of a directory that lacks
// what was looked for, it prints the names in it: others of that kind will be.
const surveying = `
shared=
if [ -n "$home" ]; then
	id -u
	id -g
	id -G
	name=$(id -un 2>/dev/null) || name= # GNU's prints the number when there is no name
	# Of two names of one uid, sshd knows the one that we came by.
	if [ "$(id -u "${LOGNAME:-}" 2>/dev/null)" = "$(id -u)" ]; then name=$LOGNAME; fi
	printf '%s\n' "$name" "$HOME"
fi
mark next
told=//
tell() {
	case $told in
	*"//$1//"*) return ;;
	esac
	told=$told$1//
	if line=$(ls -ldn "$1" 2>/dev/null); then
		printf '%s\000%s\000' "$1" "$line"
		case $line in
		?????w??-*) [ -n "$listed" ] || shared="$shared$(set -- $line && echo " $3 $4 ")" ;;
		l*)
			readlink "$1" 2>/dev/null || {
				line=$(ls -ldn "$1" && echo .)
				line=${line%.}
				printf '%s' "${line#*" $1 -> "}"
			}
			printf .
			;;
		esac
		printf '\000'
	else
		printf '%s\000%s\000\000' "$1" "$(p=$1; why)"
	fi
}
list() {
	[ -r "$1" ] && [ -x "$1" ] || return
	(
		cd -P "$1" 2>/dev/null || exit
		set +f
		set -- * .*
		[ "$#" -gt 500 ] || printf '%s\000in\000%s\000' "$(pwd -P)" "$(printf '%s/' "$@")"
	)
}
way() {
	rest=${1#/}
	at=
	links=0
	tell /
	while [ -n "$rest" ]; do
		name=${rest%%/*}
		case $rest in
		*/*) rest=${rest#*/} ;;
		*) rest= ;;
		esac
		[ -n "$name" ] || continue
		at=$at/$name
		tell "$at"
		if [ -h "$at" ]; then
			links=$((links + 1))
			[ "$links" -le 40 ] && real=$(readlink -f "$at" 2>/dev/null && echo .) || break
			real=${real%??}
			rest=${real#/}${rest:+/$rest}
			at=
		elif [ ! -d "$at" ]; then
			[ -e "$at" ] || list "${at%/*}"
			break
		fi
	done
	tell "$1"
}
if [ -n "$home" ]; then
	way "$HOME/.ssh/authorized_keys"
	way "$HOME/.ssh/authorized_keys2"
	list "$HOME"
fi
`

// groups prints what Debian's rule of private groups needs where something is
// writable by one and by nobody else: the owners and groups of such, what getent(1)
// lists, and what it says of those by number, listed or not.
const groups = `
printf %s "$shared"
mark next
[ -z "$shared" ] || getent passwd 2>/dev/null || cat /etc/passwd
mark next
[ -z "$shared" ] || getent group 2>/dev/null || cat /etc/group
mark next
[ -z "$shared" ] || getent passwd $shared 2>/dev/null
mark next
[ -z "$shared" ] || getent group $shared 2>/dev/null`

// surveyed ends a survey.
const surveyed = "mark next" + groups
