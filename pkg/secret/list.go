package secret

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/record"
)

// A List holds many targets' passwords, from a file of TARGET<TAB>PASSWORD
// lines. It is safe for concurrent use until Wipe is called.
type List struct {
	Path string
	by   map[destination.Destination]listEntry
}

type listEntry struct {
	password []byte
	line     int
}

// ReadList reads such a file, which may be a pipe, to its end. A target is
// written as in a host list; its password is all that follows the first TAB.
// Blank lines and those that start with '#' are skipped. A malformed line, or a
// different password for a target that already has one, is an error that gives
// the line's number and none of its content. A file that others may read is
// refused (*RefusedError).
func ReadList(ctx context.Context, path string) (*List, error) {
	l := &List{path, map[destination.Destination]listEntry{}}
	return bounded.Await(ctx, func() (*List, error) {
		if err := l.read(); err != nil {
			l.Wipe()
			return nil, err
		}
		return l, nil
	})
}

func (l *List) read() error {
	f, err := os.Open(l.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := refuse(l.Path, info); err != nil {
		return err
	}
	buf := make([]byte, maxSecret)
	defer clear(buf)
	lines := bufio.NewScanner(f)
	lines.Buffer(buf, len(buf)) // no other is made then
	n := 1
	for ; lines.Scan(); n++ {
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // of Windows editors
		}
		if wrong := l.add(n, line); wrong != "" {
			return fmt.Errorf("%s: line %d: %s", l.Path, n, wrong)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return fmt.Errorf("%s: line %d: longer than 64 KiB", l.Path, n)
	case err != nil:
		return fmt.Errorf("%s: line %d: %w", l.Path, n, err)
	}
	return nil
}

// add takes one line, or says what is wrong with it.
func (l *List) add(n int, line []byte) (wrong string) {
	if text := bytes.TrimLeft(line, " \t"); len(text) == 0 || text[0] == '#' {
		return ""
	}
	target, password, found := bytes.Cut(line, []byte("\t"))
	switch {
	case bytes.IndexByte(line, 0) >= 0:
		return "NUL bytes; if it is UTF-16, save it as UTF-8"
	case !found:
		return "no TAB between a target and its password"
	case len(password) == 0:
		return "no password after the TAB"
	}
	d, err := destination.Parse(record.Unescape(string(bytes.Trim(target, " "))))
	if err != nil { // whose text may be a password
		return "what precedes the TAB is not a target"
	}
	before, twice := l.by[d]
	if twice && !bytes.Equal(before.password, password) {
		return fmt.Sprintf("another password for the target of line %d", before.line)
	}
	if !twice {
		l.by[d] = listEntry{bytes.Clone(password), n}
	}
	return ""
}

// Find returns a copy of the password of a target.
func (l *List) Find(d destination.Destination) (password []byte, found bool) {
	p, found := l.by[d]
	return bytes.Clone(p.password), found
}

// Wipe overwrites the passwords.
func (l *List) Wipe() {
	for _, p := range l.by {
		Wipe(p.password)
	}
}
