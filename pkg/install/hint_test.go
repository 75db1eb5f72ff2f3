package install

import (
	"strings"
	"testing"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
)

// A link in a home, or -t, leads to what is another's with reason: no hint gives
// that away.
func TestHintGivesNothingAway(t *testing.T) {
	connector := connect.New(connect.Options{ConfigFile: "none", Home: t.TempDir(), Getenv: func(string) string { return "" },
		Note: func(string, string, ...any) {}, Trace: func(int, string, string, ...any) {}})
	defer connector.Close()
	host, err := connector.Host(t.Context(), "pi@raspberrypi", destination.Destination{User: "pi", Host: "raspberrypi"})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/etc", "/etc/shadow", "/home/pi/.ssh"} {
		hint := wayOn(&PutError{Cause: "wrong-owner", Path: path}, host)
		if strings.Contains(hint, "chown") || !strings.Contains(hint, path) {
			t.Errorf("%s: %s", path, hint)
		}
	}
}
