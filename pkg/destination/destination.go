// Package destination reads what names a machine to log in to:
// [user@]host[:port], [user@][IPv6]:port, ssh://[user@]host[:port], or a Host
// alias of ssh_config(5); one at a time, or from a host list.
package destination

import "io"

// A Destination is one target, taken apart. Host is never empty, never starts
// with '-', and holds nothing that a shell, ssh or known_hosts would read as
// more than a name: no control byte, blank, quote, comma, '*', '?', '!', '@',
// '/', '$', '%'.
type Destination struct {
	User string // "" if not given
	Host string // name, alias or address; an IPv6 address without brackets
	Port int    // 0 if not given
}

// Parse takes a target apart. Its error says what is wrong with it, and
// carries no control byte that a terminal would obey.
func Parse(s string) (Destination, error) { panic("unwritten") }

// A Line is one target of a host list.
type Line struct {
	Number      int    // in the list, from 1
	Text        string // the target as written
	Destination Destination
	Err         error // the target cannot be taken (the list goes on)
}

// Lines reads a host list: one target a line, '#' comments and blank lines
// skipped, what follows the first blank or TAB ignored, JSON records read as
// well (see record.TargetOf). It yields each target as soon as its line has
// been read, and an error of the reader itself, such as a line over 64 KiB
// that never ends, as the last pair.
func Lines(r io.Reader) func(yield func(Line, error) bool) { panic("unwritten") }
