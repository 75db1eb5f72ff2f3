package authorizedkeys

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf16"
)

// utf16 takes UTF-16 from line n on, to its end or to where another program
// has added lines of another encoding.
func (r *reader) utf16(n int) (f Fault, lines int) {
	start := r.starts[n]
	text, used := decode16(r.data[start:])
	if used == 0 {
		return Fault{}, 0
	}
	end := start + used
	last, _ := slices.BinarySearch(r.starts, end) // the first line that begins there or behind it
	f = Fault{Cause: "entry-encoding", Why: "UTF-16: sshd reads none of it"}
	rest := r.lines[last-1]
	rest = rest[min(len(rest), end-r.starts[last-1]):]
	if rest != "" && !strings.HasSuffix(text, "\n") || strings.ContainsAny(text, "\x00\ufffd") {
		return f, last - n
	}
	text = strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\r\n", "\n")
	text = strings.TrimSuffix(text, "\r")
	if rest != "" {
		text += "\n" + rest
	}
	inner := []byte(text + "\n")
	faults := Faults(inner)
	if slices.ContainsFunc(faults, func(f Fault) bool { return f.Cause == "entry-private-key" }) {
		f.Cause, f.Why = "entry-private-key", "in UTF-16, a private key: anybody who has read the file can log in wherever it is trusted"
		return f, last - n
	}
	inner = cured(inner, faults)
	for _, e := range Entries(inner) {
		if e.Dead == "" {
			f.Keys = append(f.Keys, e.Key)
		}
	}
	if len(f.Keys) > 0 && !bytes.Contains(inner, []byte("\x00")) {
		f.Cure = strings.Split(strings.TrimSuffix(string(inner), "\n"), "\n")
	}
	return f, last - n
}

// decode16 decodes the UTF-16 that data starts with, by a byte order mark or by
// two characters of ASCII. It ends before two bytes that are ASCII by
// themselves, and before half a character. used is 0 if data starts with
// something else.
func decode16(data []byte) (text string, used int) {
	ascii := func(c byte) bool { return ' ' <= c && c <= '~' || c == '\t' || c == '\r' || c == '\n' }
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		order, used = binary.LittleEndian, 2
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order, used = binary.BigEndian, 2
	case len(data) < 4:
		return "", 0
	case ascii(data[0]) && data[1] == 0 && ascii(data[2]) && data[3] == 0:
		order = binary.LittleEndian
	case data[0] == 0 && ascii(data[1]) && data[2] == 0 && ascii(data[3]):
		order = binary.BigEndian
	default:
		return "", 0
	}
	var units []uint16
	for ; used+1 < len(data) && !(ascii(data[used]) && ascii(data[used+1])); used += 2 {
		units = append(units, order.Uint16(data[used:]))
	}
	return string(utf16.Decode(units)), used
}
