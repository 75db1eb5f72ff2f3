package authorizedkeys

import (
	"strings"
	"testing"
)

func TestDropbearFault(t *testing.T) {
	line := key(1)
	long := strings.Repeat(" x", 1500)
	for _, c := range []struct {
		number  int
		text    string
		version string
		fault   string
	}{
		{1, line, "SSH-2.0-dropbear_2022.83", ""},
		{1, `command="a b",no-X11-forwarding,restrict ` + line, "SSH-2.0-dropbear_2022.83", ""},
		{301, line, "SSH-2.0-dropbear_2025.89", ""},
		{301, line, "SSH-2.0-dropbear_2026.94", "300"},
		{1, line + long, "SSH-2.0-dropbear_2025.89", ""},
		{1, line + long, "SSH-2.0-dropbear_2026.94", "3000"},
		{1, `environment="A=b" ` + line, "SSH-2.0-dropbear", "environment"},
		{1, `restrict  ` + line, "SSH-2.0-dropbear", "exactly one blank"},
		{1, strings.Replace(line, " ", "\t", 1), "SSH-2.0-dropbear", "exactly one blank"},
		{1, "\t" + line, "SSH-2.0-dropbear", "a blank stands before"},
		{1, "#" + line, "SSH-2.0-dropbear", "comment"},
		{1, line + "\x00", "SSH-2.0-dropbear", "NUL"},
	} {
		got := DropbearFault(c.text, c.number, "ssh-ed25519", c.version)
		if (got == "") != (c.fault == "") || !strings.Contains(got, c.fault) {
			t.Errorf("%d %.60q %s: %q", c.number, c.text, c.version, got)
		}
	}
}
