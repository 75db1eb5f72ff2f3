package install

import (
	"os"
	"strings"
	"testing"
	"unicode/utf16"
)

// Each way to the file writes the same: what was broken in its place, the rest
// as it was, and a copy of it all beside it.
func TestRewriteEveryWay(t *testing.T) {
	a, b, c := newKey(t), newKey(t), newKey(t)
	var wide []byte
	for _, unit := range utf16.Encode([]rune("\ufeff# by hand\r\n\r\n" + a.Line() + "\r\n")) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	half := len(b.Line()) / 2
	broken := "# c\xe9\r\n" + a.Line() + "\n" + b.Line()[:half] + "\n" + b.Line()[half:] + "\n\x00\x00\x00\n" + c.Line() + "\n\\n%s -n\n\x00\x00"
	cured := "# c\xe9\r\n" + a.Line() + "\n" + b.Line() + "\n" + c.Line() + "\n\\n%s -n\n"
	for name, file := range map[string][2]string{
		"broken lines": {broken, cured},
		"UTF-16":       {string(wide) + b.Line(), "# by hand\n\n" + a.Line() + "\n" + b.Line() + "\n"},
	} {
		for way, at := range map[string]func(t *testing.T) (Engine, string){
			"shell": func(t *testing.T) (Engine, string) {
				home := t.TempDir()
				return Shell(account(t, "sh", home), ""), home
			},
			"busybox": func(t *testing.T) (Engine, string) {
				home := t.TempDir()
				return Shell(as(t, "busybox ash", home), ""), home
			},
			"sftp": func(t *testing.T) (Engine, string) {
				home := sftpHome(t)
				return SFTP(overPipe(t, home), "SSH-2.0-OpenSSH_9.2", ""), home
			},
			"card": func(t *testing.T) (Engine, string) {
				card := newCard(t, t.TempDir())
				card.keys(t, "")
				return card.engine(t), card.home
			},
		} {
			t.Run(name+" by "+way, func(t *testing.T) {
				engine, home := at(t)
				write(t, home, file[0])
				records, err := rewrite(t.Context(), engine, false)
				if err != nil || len(records) == 0 {
					t.Fatal(records, err)
				}
				if got := content(t, home); got != file[1] {
					t.Errorf("file %q,\nwant %q", got, file[1])
				}
				if old, err := os.ReadFile(keysFile(home) + ".old"); err != nil || string(old) != file[0] {
					t.Errorf("the copy: %q %v", old, err)
				}
				for _, r := range records {
					if !strings.HasSuffix(r.Detail, ".old") {
						t.Errorf("where the old file is is not told: %s", r.Detail)
					}
				}
				if records, err := rewrite(t.Context(), engine, false); err != nil || len(records) > 0 {
					t.Errorf("again: %+v %v", records, err)
				}
			})
		}
	}
}
