package hostfs

import (
	"os/user"
	"runtime"
	"testing"
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
