package hostfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/strictmodes"
)

func (f *far) Chmod(ctx context.Context, p string, was strictmodes.Stat, mode fs.FileMode) error {
	return changeMode(p, was, mode, func(mode fs.FileMode) (strictmodes.Stat, error) {
		// Five digits: with four, chmod(1) of GNU leaves setgid on a directory.
		return f.change(ctx, p, was, `single && did chmod 0`+strictmodes.Octal(mode)+` "$n" && ls -ldn "$n"`)
	})
}

func (f *far) Chown(ctx context.Context, p string, was strictmodes.Stat, uid int) error {
	return changeOwner(p, was, uid, func() (strictmodes.Stat, error) {
		return f.change(ctx, p, was, `single && did chown -h `+strconv.Itoa(uid)+` "$n" && ls -ldn "$n"`)
	})
}

func (f *far) Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error {
	err := fmt.Errorf("%s is not in the same directory", to)
	if path.Dir(from) == path.Dir(to) {
		var now strictmodes.Stat
		now, err = f.change(ctx, from, was, "t="+sh.Quote("./"+path.Base(to))+"\n"+sh.Compact(`
			free "$t" && move "$n" "$t" && flush . && ls -ldn "$t"
			`))
		if err == nil && (now.Mode != was.Mode || now.UID != was.UID || now.GID != was.GID) {
			err = fmt.Errorf("%w: something else was put there meanwhile", ErrUnsure)
		}
	}
	if err != nil {
		return fmt.Errorf("renaming %s to %s: %w", from, path.Base(to), err)
	}
	return nil
}

func (f *far) Mkdir(ctx context.Context, p string, mode fs.FileMode) error {
	octal := strictmodes.Octal(mode)
	now, err := f.enter(ctx, p, `free "$n" && made mkdir -m 0`+octal+` "$n" && flush "$n" && flush . && ls -ldn "$n"`)
	if err == nil && now.Mode != fs.ModeDir|strictmodes.Permissions(mode) {
		err = fmt.Errorf("%w: it is %v", ErrModesIgnored, now.Mode)
	}
	if err != nil {
		return fmt.Errorf("making the directory %s: %w", p, err)
	}
	return nil
}

func (f *far) Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	octal := strictmodes.Octal(mode)
	err := ErrNotRegular
	var now strictmodes.Stat
	if was.Mode.IsRegular() {
		now, err = f.change(ctx, from, was, fmt.Sprintf("max=%d\nmode=0%s\ntd=%s\nt=%s\ntmp=%s\n", maxRead, octal,
			sh.Quote(path.Dir(to)), sh.Quote("./"+path.Base(to)), "./.new-"+rand.Text())+sh.Compact(copying))
	}
	if err == nil && now.Mode != strictmodes.Permissions(mode) {
		err = fmt.Errorf("%w: %w: it is %v", ErrUnsure, ErrModesIgnored, now.Mode)
	}
	if err != nil {
		return fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	return nil
}

// The new file has a hidden name until it is whole and on the disk. Only where
// the file system knows no links is it renamed.
const copying = `
fill() {
	umask 077
	set -C
	head -c "$((max + 1))" <&7 >"$tmp"
}
copy() {
	into "$td" && free "$t" || return
	said=$(fill 2>&1) || { failed; return; }
	if [ "$(wc -c <"$tmp")" -ne "$size" ]; then
		echo "changed it was written meanwhile"
		return
	fi
	did chmod "$mode" "$tmp" && flush "$tmp" || return
	ln "$tmp" "$t" 2>/dev/null || { free "$t" && move "$tmp" "$t"; } || return
	rm -f "$tmp"
	flush . && ls -ldn "$t"
}
size=$(ls -ldn "$n" | { read -r _ _ _ _ size _; echo "$size"; })
if [ "$size" -gt "$max" ]; then
	echo toolarge
elif [ ! -r "$n" ]; then
	echo denied
else
	{ copy; rm -f "$tmp"; } 7<"$n"
fi
`

// change runs a script in the directory of what is still as it was; see enter.
func (f *far) change(ctx context.Context, p string, was strictmodes.Stat, body string) (strictmodes.Stat, error) {
	return f.enter(ctx, p, fmt.Sprintf("was='%s %d:%d'\nif same; then\n%s\nfi", LsMode(was.Mode), was.UID, was.GID, body))
}

// enter runs a script in the directory of p, where no link led, with the name as
// $n. What it prints in the end is what ls(1) says of the result, which is
// returned, or a word that outcome knows.
//
// In that directory whoever swaps the directories above is too late. He who may write
// the directory itself can still show something else between a look at a name and
// what is done by that name: a link, which chmod(1) follows, or a directory, into
// which a rename or a link then leads.
func (f *far) enter(ctx context.Context, p, body string) (strictmodes.Stat, error) {
	s, err := script(p, "")
	if err != nil {
		return strictmodes.Stat{}, err
	}
	defer f.forget()
	s += "d=" + sh.Quote(path.Dir(p)) + "\nn=" + sh.Quote("./"+path.Base(p)) + "\n" + sh.Compact(changing)
	out, err := f.ask(ctx, s+"if into \"$d\"; then\n"+body+"\nfi")
	if err != nil {
		return strictmodes.Stat{}, err
	}
	if st, ok := parseLs(out); ok {
		return st, nil
	}
	return strictmodes.Stat{}, outcome(p, strings.TrimSuffix(out, "\n"))
}

// These functions print a word and return false where it goes no further.
// same looks whether $n is as it was; single, whether it is nobody else's by
// another name. move never replaces: of GNU and Linux by renameat2(2), else by
// a look right before.
const changing = `
into() {
	if ! cd -P "$1" 2>/dev/null; then
		p=$1
		why
		return 1
	fi
	[ "$(pwd -P && echo .)" = "$1
." ] || { echo "changed a link leads to $(pwd -P)"; return 1; }
}
same() {
	set -- $(ls -ldn "$n" 2>/dev/null)
	now="$1 $2 $3 $4"
	[ "${1%[+.@]} $3:$4" = "$was" ] || { echo "changed it is \"$now\" now"; return 1; }
}
single() {
	case $now in
	-*' 1 '*' '* | d*) ;;
	*) echo linked; return 1 ;;
	esac
}
free() {
	if [ -e "$1" ] || [ -h "$1" ]; then echo exists; return 1; fi
}
failed() {
	printf 'failed %s\n' "$said"
	return 1
}
did() { said=$("$@" 2>&1) || failed; }
made() { said=$("$@" 2>&1) || { free "$n" && failed; }; }
move() {
	mv -nT "$1" "$2" 2>/dev/null || did mv -n "$1" "$2" || return
	if [ -e "$1" ] || [ -h "$1" ]; then echo exists; return 1; fi
}
flush() {
	said=$(sync "$1" 2>&1) && return
	case $said in
	*[Uu]sage:* | *operand* | *'Invalid argument' | *'Permission denied') sync && return ;;
	esac
	printf 'unsure %s\n' "$said"
	return 1
}
`

// outcome returns the error of a word that changing or why printed.
func outcome(p, said string) error {
	word, rest, _ := strings.Cut(said, " ")
	switch word {
	case "changed":
		return fmt.Errorf("%w: %s", ErrChanged, record.Escape(cut(rest)))
	case "linked":
		return ErrLinked
	case "exists":
		return fs.ErrExist
	case "toolarge":
		return bounded.ErrTooLarge
	case "failed":
		return saidBy(rest)
	case "unsure":
		return fmt.Errorf("%w: %w", ErrUnsure, saidBy(rest))
	}
	return errorOf("look", p, said)
}

// saidBy returns the error of what a command said in the C locale. The words
// are those of strerror(3), alike in every libc; they are all there is.
func saidBy(text string) error {
	for end, err := range map[string]error{
		"Operation not permitted":   syscall.EPERM,
		"Permission denied":         syscall.EACCES,
		"Read-only file system":     syscall.EROFS,
		"No space left on device":   syscall.ENOSPC,
		"Disk quota exceeded":       errQuota,
		"No such file or directory": fs.ErrNotExist,
		"Not a directory":           fs.ErrNotExist,
	} {
		if strings.HasSuffix(text, end) {
			return err
		}
	}
	return fmt.Errorf("it said \"%s\"", record.Escape(cut(text)))
}

// errQuota is syscall.EDQUOT, which Windows lacks.
var errQuota = errors.New("disk quota exceeded")
