package hostfs

import (
	"os/user"
	"runtime"
	"slices"
	"strconv"
	"testing"

	"pi-key-tools/pkg/strictmodes"
)

func TestHome(t *testing.T) {
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for home, want := range map[string]string{"/home/pi": "/home/pi", "/home//pi/": "/home/pi", "": u.HomeDir, "relative": u.HomeDir} {
		if runtime.GOOS == "windows" && home != "" {
			continue
		}
		got, err := Home(func(string) string { return home })
		if got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", home, got, err, want)
		}
	}
}

// A session's own groups may be of before a change, and sshd does not have those.
func TestGroupsOfDatabase(t *testing.T) {
	u, err := user.Current()
	ok(t, err)
	uid, err := strconv.Atoi(u.Uid)
	g, gerr := user.LookupGroupId(u.Gid)
	if err != nil || gerr != nil || runtime.GOOS == "windows" {
		t.Skip("its groups have no names here")
	}
	names, err := Local().GroupNames(t.Context(), strictmodes.Account{Name: u.Username, UID: uid})
	if err != nil || !slices.Contains(names, g.Name) {
		t.Errorf("%q, %v, without %s", names, err, g.Name)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
