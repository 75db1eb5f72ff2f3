package repair

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

// However many look at once, what a dry run says and finds comes in the order of
// the accounts, and nobody looks any more when nobody listens.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	var passwd strings.Builder
	var want []string
	for i := range 5*share + 7 {
		home := fmt.Sprintf("/home/u%d", i)
		fmt.Fprintf(&passwd, "u%d:x:%d:%d::%s:/bin/sh\n", i, os.Getuid(), os.Getgid(), home)
		mode, tell := os.FileMode(0o755), []string{"ok " + home}
		if i%3 == 0 {
			mode, tell = 0o777, []string{"plan " + home, "todo " + home}
		}
		if i%10 == 9 {
			tell = []string{fmt.Sprintf("u%d has neither %s/.ssh nor another file of keys", i, home)}
		} else if err := os.MkdirAll(dir+home+"/.ssh", 0o755); err != nil {
			t.Fatal(err)
		}
		if i%10 != 9 {
			if err := os.Chmod(dir+home, mode); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, tell...)
	}
	if err := os.Mkdir(dir+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/etc/passwd", []byte(passwd.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, most := range []int{len(want), 5} {
		card, err := hostfs.OpenCard(dir)
		if err != nil {
			t.Skip(err)
		}
		accounts, err := card.Accounts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		job := Job{DryRun: true,
			Trace: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) },
			Plan:  func(_ string, steps []Step) { said = append(said, "plan "+steps[0].Path) }}
		for r := range job.Accounts(t.Context(), card, accounts, true, strictmodes.OpenSSH, strictmodes.OpenSSH) {
			if said = append(said, string(r.Verdict)+" "+r.Subject); len(said) >= most {
				break
			}
		}
		card.Close()
		if !slices.Equal(said, want[:len(said)]) || len(said) < most {
			t.Errorf("said %q, want %q", said, want[:most])
		}
	}
}
