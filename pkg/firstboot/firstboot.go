// Package firstboot edits the files on a boot partition that a Raspberry Pi
// reads when it starts for the first time, so that keys let a user in:
// cloud-init's user-data, used by Raspberry Pi OS since Trixie, and custom.toml
// of Bookworm. What is not ours stays byte for byte. A file whose meaning
// depends on more of YAML or TOML than this package reads is refused. Source:
// cloud-init's cc_users_groups and cc_ssh; init_config of raspberrypi-sys-mods.
package firstboot

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// A Key is a key to let in.
type Key struct {
	Line string // of authorized_keys, without a newline
	Blob string // the key in it, in base64
}

// An Edit is the result of editing a file.
type Edit struct {
	Text  string
	User  string // whom the keys let in; "" for the system's default user
	Added []bool // for each key, whether it was missing
	// SSH means that the file enables sshd(8).
	SSH bool
}

// ErrNoUser means that neither the file nor the caller names a user.
var ErrNoUser = errors.New("it makes no user: name the one that the keys are to let in")

// CheckUser returns an error if Debian's useradd(8) would not accept the name.
func CheckUser(name string) error {
	if !regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`).MatchString(name) {
		return errors.New("a user's name is of small letters, digits, '_' and '-', and begins with a letter")
	}
	if name == "root" {
		return errors.New("root is there already, and the first start makes nobody else of him")
	}
	return nil
}

// YAML quotes a line as a YAML string in which only the quote is special.
func YAML(line string) string {
	return "'" + strings.ReplaceAll(strings.ToValidUTF8(line, "?"), "'", "''") + "'"
}

// TOML quotes a line as a TOML string, in the form of JSON's, for custom.toml.
// The system writes its keys by echo of Debian's sh (imager_custom), which
// makes one backslash of two, and so a newline of the \n in corp\nancy@laptop.
func TOML(line string) string {
	line = strings.ReplaceAll(strings.ToValidUTF8(line, "?"), `\`, `\\`)
	quoted, _ := json.Marshal(line) // of a string it does not fail
	return string(quoted)
}

// missing says which keys a text does not hold, outside its comments.
func missing(text string, keys []Key) (added []bool, lines []string) {
	var live strings.Builder
	for row := range strings.Lines(text) {
		if isActive(row) {
			live.WriteString(row)
		}
	}
	for _, k := range keys {
		add := !strings.Contains(live.String(), k.Blob)
		if added = append(added, add); add {
			lines = append(lines, k.Line)
		}
	}
	return added, lines
}

// isActive reports whether a row is neither blank nor a comment, in YAML and TOML.
func isActive(row string) bool {
	row = strings.TrimSpace(row)
	return row != "" && row[0] != '#'
}

// newline is how the rows of a text end.
func newline(text string) string {
	if first, _, ok := strings.Cut(text, "\n"); ok && strings.HasSuffix(first, "\r") {
		return "\r\n"
	}
	return "\n"
}

// ended is a text whose last row has its newline.
func ended(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += newline(text)
	}
	return text
}
