package destination

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"pi-key-tools/pkg/record"
)

// A Line is one target of a host list.
type Line struct {
	Number      int    // in the list, from 1
	Text        string // the target as written
	Destination Destination
	Err         error // why the target cannot be taken (the list goes on)
	// Record is what another command has reported about the target; nil if the
	// line is not a record.
	Record *record.Record
}

// Name is what to call the line by: its target, or how it begins if it has none.
// What follows the name then, after a ':', or in a table or an object, may be a
// password.
func (l Line) Name() string {
	if l.Err == nil {
		return l.Text
	}
	scheme := l.Text[:len(l.Text)-len(strings.TrimPrefix(l.Text, "ssh://"))]
	rest := l.Text[len(scheme):]
	end := strings.IndexFunc(rest, func(r rune) bool { return !ofName(r) && !strings.ContainsRune("@[]/{\"", r) })
	if end < 0 && len(rest) <= maxName {
		return l.Text
	}
	if end < 0 || end > maxName {
		end = maxName
	}
	return scheme + rest[:end] + "…"
}

const (
	maxName    = 80
	maxLine    = 64 << 10
	maxSkipped = 16 << 20 // of a line that is too long anyway
)

// Lines reads a host list: one target a line, skipping '#' comments and blank
// lines and ignoring what follows the first blank or TAB; JSON records are read
// as well (see record.TargetOf). It yields each target as soon as its line has
// been read. A line over 64 KiB is an error of that line. An error of the
// reader itself, a line that does not end within 16 MiB, or a private key, whose
// further lines could pass for names, is yielded as the last pair.
func Lines(r io.Reader) func(yield func(Line, error) bool) {
	return func(yield func(Line, error) bool) {
		b := bufio.NewReaderSize(r, maxLine)
		for n := 1; ; n++ {
			text, err := b.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				start := string(text[:maxName+1])
				if err = skipLine(b); err == nil || err == io.EOF {
					long := Line{Number: n, Text: start, Err: fmt.Errorf("a line of more than %d KiB", maxLine>>10)}
					if !yield(long, nil) {
						return
					}
				}
				text = nil
			}
			if err != nil && err != io.EOF { // what came of the line may be half a name
				yield(Line{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if bytes.HasPrefix(text, []byte("-----BEGIN ")) {
				yield(Line{}, fmt.Errorf("line %d: a private key or a certificate, not a list", n))
				return
			}
			if line, ok := read(n, string(text)); ok && !yield(line, nil) || err == io.EOF {
				return
			}
		}
	}
}

func read(n int, text string) (Line, bool) {
	if n == 1 {
		text = strings.TrimPrefix(text, "\ufeff") // as editors on Windows start a file
		if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return Line{Number: n, Text: strings.TrimRight(text, "\r\n"), Err: errors.New("the list is UTF-16; save it as UTF-8")}, true
		}
	}
	text = strings.TrimRight(text, "\r\n")
	target, err := record.TargetOf(text)
	switch {
	case err != nil:
		return Line{Number: n, Text: text, Err: err}, true
	case target == "" && strings.HasPrefix(strings.TrimLeft(text, " \t"), "{"):
		return Line{Number: n, Text: text, Err: errors.New("a JSON object without a target")}, true
	case target == "":
		return Line{}, false
	}
	line := Line{Number: n, Text: target}
	if d, err := parse(target); err != nil { // Text says of what, and is not to be escaped twice
		line.Err = err
	} else {
		line.Destination = d
	}
	if r, ok := record.Parse(text); ok {
		line.Record = &r
	}
	return line, true
}

// skipLine passes over the rest of a line.
func skipLine(b *bufio.Reader) error {
	for skipped := 0; skipped < maxSkipped; {
		text, err := b.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		skipped += len(text)
	}
	return errors.New("a line without end")
}

// A Form is what a file may be that was taken for a host list.
type Form string

const (
	Table       Form = "a table"
	Spreadsheet Form = "a spreadsheet"
	Inventory   Form = "an inventory of Ansible" // or other JSON, YAML or INI
	Accounts    Form = "passwd(5)"
)

// FormOf guesses it by the first Line's Text that is no target; "" for no guess.
func FormOf(text string) Form {
	switch {
	case strings.HasPrefix(text, "PK\x03\x04"): // zip, as .xlsx and .ods are
		return Spreadsheet
	case strings.Count(text, ":") == 6 && strings.Contains(text, ":/"):
		return Accounts
	case text == "{", strings.HasPrefix(text, `{"`), strings.HasPrefix(text, `["`), strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"),
		strings.HasSuffix(text, ":"), text == "[", text == "---", text == "-":
		return Inventory
	case strings.ContainsAny(text, ",;"):
		return Table
	}
	return ""
}
