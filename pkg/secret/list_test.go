package secret

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pi-key-tools/pkg/destination"
)

func TestList(t *testing.T) {
	long := strings.Repeat("x", maxSecret-10)
	for content, want := range map[string]map[string]string{
		"":                             {},
		"\n# pi@a\tno\n \t \n":         {},
		"pi@a\thunter2\nb:22\tother\n": {"pi@a": "hunter2", "b:22": "other"},
		"pi@a\thunter2":                {"pi@a": "hunter2"},
		"pi@a\thunter2\r\nb\tx\r\n":    {"pi@a": "hunter2", "b": "x"},
		"\ufeffpi@a\thunter2\n":        {"pi@a": "hunter2"},
		"pi@a\t  two\twords \t\n":      {"pi@a": "  two\twords \t"},
		"pi@a\t# \\t \xff\n":           {"pi@a": "# \\t \xff"},
		"  pi@a \thunter2\n":           {"pi@a": "hunter2"},
		"ssh://pi@a:2201\thunter2\n":   {"pi@a:2201": "hunter2"},
		"[fe80::1%eth0]:22\thunter2\n": {"[fe80::1%eth0]:22": "hunter2"},
		"a\tx\na\tx\nssh://a\tx\n":     {"a": "x"},
		"DOM\\\\pi@a\tx\n":             {"DOM\\pi@a": "x"}, // as records have it
		"a\t" + long + "\n":            {"a": long},
	} {
		l, err := ReadList(t.Context(), write(t, content, 0o600))
		if err != nil {
			t.Errorf("%.40q: %v", content, err)
			continue
		}
		if len(l.by) != len(want) {
			t.Errorf("%.40q: %d targets, want %d", content, len(l.by), len(want))
		}
		for target, password := range want {
			d, err := destination.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			got, found := l.Find(d)
			if !found || string(got) != password {
				t.Errorf("%.40q: %s has %.40q, want %.40q", content, target, got, password)
			}
			Wipe(got) // a copy
			if again, _ := l.Find(d); string(again) != password {
				t.Errorf("%.40q: wiping a copy wipes the list", content)
			}
		}
		l.Wipe()
		for _, p := range l.by {
			if strings.Trim(string(p.password), "\x00") != "" {
				t.Errorf("%.40q: it is not wiped", content)
			}
		}
	}
}

// What cannot be read is an error that tells where and not what.
func TestListIsRefused(t *testing.T) {
	for content, want := range map[string]string{
		"a\tx\nhunter2\n":                "line 2: no TAB",
		"a hunter2\n":                    "line 1: no TAB",
		"# all\n\nhunter2 a\tx\n":        "line 3: what precedes the TAB is not a target",
		"\thunter2\n":                    "line 1: what precedes the TAB is not a target",
		"-ohunter2\tx\n":                 "line 1: what precedes the TAB is not a target",
		"a\t\n":                          "line 1: no password",
		"a\t\r\n":                        "line 1: no password",
		"a\thunter2\nb\tx\nssh://a\ty\n": "line 3: another password for the target of line 1",
		"\xff\xfea\x00\t\x00h\x00\n\x00": "line 1: NUL",
		"a\thunt\x00er2\n":               "line 1: NUL",
		"a\thunter2" + strings.Repeat("x", maxSecret) + "\n": "line 1: longer than 64 KiB",
	} {
		path := write(t, content, 0o600)
		_, err := ReadList(t.Context(), path)
		if err == nil || !strings.HasPrefix(err.Error(), path+": "+want) || strings.Contains(err.Error(), "hunt") {
			t.Errorf("%.40q: %v, want %q", content, err, want)
		}
	}
	var refused *RefusedError
	if _, err := ReadList(t.Context(), write(t, "a\tx\n", 0o640)); runtime.GOOS != "windows" && !errors.As(err, &refused) {
		t.Errorf("a file that others may read: %v", err)
	}
	if _, err := ReadList(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no file, and no error")
	}
}
