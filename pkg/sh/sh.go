// Package sh writes commands for a POSIX shell: quoted words, for scripts and for
// hints that can be pasted, and whole scripts as one command line, which every login
// shell in use hands on unchanged.
package sh

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// letters are the bytes that mean themselves to every shell, quoted or not, and
// quoted those that mean themselves to each between single quotes.
const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_./:,@+"
	quoted  = " -=;()[]{}|&*?<>#$\""
)

// Command wraps a POSIX sh script into one command line that every login
// shell in use (sh, bash, dash, zsh, fish, tcsh, BusyBox ash) hands to /bin/sh
// unchanged: one line, single-quoted, with every byte that a shell might touch
// written in octal for printf(1). The script keeps its standard input. It must
// not hold a NUL, nor begin with "-", which eval and printf would take for an
// option.
//
// Linux takes 128 KiB for one argument, and the login shell gets the whole line
// as one. A byte takes at most four, so that any script of 32,000 bytes fits;
// anything longer belongs on standard input.
func Command(script string) string { return EncodedCommand(Encode(script), "") }

// Encode encodes a script, or part of one, as Command does, so that what
// many commands have in common is encoded only once.
func Encode(script string) string {
	table := encoded()
	var b strings.Builder
	b.Grow(2*len(script) + 64)
	for _, c := range []byte(script) {
		b.WriteString(table[c])
	}
	return b.String()
}

// EncodedCommand is Command for a script in two parts encoded by Encode.
func EncodedCommand(start, rest string) string {
	return `exec /bin/sh -c '` + Programs + `eval "$(printf "$1")"' /bin/sh '` + start + rest + `'`
}

// Programs begins what a far shell is to run, within the single quotes of its
// command line: a start-up file may have overwritten PATH, hiding even ls.
const Programs = "command -v ls >/dev/null || PATH=/usr/bin:/bin; "

// encoded is how each byte is written in a format of printf(1). It is made when
// it is first needed, since most runs reach no far shell, and never copied: on
// the stack of everybody who encodes, it would be 4 KiB.
var encoded = sync.OnceValue(func() *[256]string {
	table := new([256]string)
	for i := range table {
		switch c := byte(i); {
		case strings.IndexByte(letters+quoted, c) >= 0:
			table[i] = string([]byte{c})
		case c == '\n': // these are many
			table[i] = `\n`
		case c == '%':
			// Not octal: a printf may read escapes first and conversions then.
			table[i] = "%%"
		default:
			table[i] = string([]byte{'\\', '0' + c>>6, '0' + c>>3&7, '0' + c&7})
		}
	}
	return table
})

// Variables returns the lines of a script that set variables; names and values
// come in turn.
func Variables(pairs ...string) string {
	var b strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		b.WriteString(pair[0] + "=")
		if pair[1] != "" {
			b.WriteString(Quote(pair[1]))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Compact returns a script without comments and indentation, which are only for
// people: each byte may take four on the wire. The script must not contain
// here-documents, nor " # " but before a comment.
func Compact(script string) string {
	var b strings.Builder
	for line := range strings.Lines(script) {
		if line, _, _ = strings.Cut(strings.Trim(line, "\t\n"), " # "); line != "" && line[0] != '#' {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// Quote returns s as one word of a POSIX shell: as it is if that is safe, else
// in single quotes.
func Quote(s string) string {
	if s != "" && strings.Trim(s, letters+"-") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// QuoteLine is Quote for a hint, which stays one line whatever a far side calls
// its files: with control bytes it is $'a\012b', as GNU's ls has it for the
// shells in which people type (POSIX.1-2024, 2.2.4).
func QuoteLine(s string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if !strings.ContainsFunc(s, control) {
		return Quote(s)
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case control(rune(c)):
			fmt.Fprintf(&b, `\%03o`, c)
		case c == '\'', c == '\\':
			b.WriteString(`\` + string(rune(c)))
		default:
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}
