package targets

import (
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
)

// cutAfter cuts off what a message says of a cause.
var cutAfter = regexp.MustCompile(`((?:login|target-invalid)): [^|]*\|`)

// Where standard error is no terminal there is a line for each of several
// targets: the message of what failed, or one that says what is well.
func TestLineForEachTarget(t *testing.T) {
	list := file(t, "a\n\n# no\nb\nbad\nx,y\n")
	for _, tt := range []struct {
		name  string
		args  []string
		stdin io.Reader
		want  string
	}{
		{"one target", []string{"a"}, nil, ""},
		{"two", []string{"a", "b"}, nil, "a: ok login (1 of 2)|b: ok login (2 of 2)|"},
		{"of a file", []string{"c", "--hosts", list}, nil, "c: ok login (1 of 5)|a: ok login (2 of 5)|b: ok login (3 of 5)|bad: login|x…: target-invalid|"},
		{"of a pipe", []string{"--hosts", "-"}, strings.NewReader("a\nb\nc\n"), "a: ok login (1)|b: ok login (2)|c: ok login (3)|"},
		{"-q", []string{"-q", "--hosts", list}, nil, "bad: login|x…: target-invalid|"},
	} {
		c := newCommand(t, tt.stdin, append([]string{"--keep-order", "-j1"}, tt.args...)...)
		c.run(func(_ context.Context, h *connect.Host) []record.Record {
			if h.Target == "bad" {
				return []record.Record{{Verdict: record.Fail, Cause: "login"}}
			}
			return in()
		})
		got := strings.ReplaceAll(strings.ReplaceAll(c.errOut.String(), "pikeycheck: ", ""), "\n", "|")
		got = cutAfter.ReplaceAllString(got, "$1|")
		// Of a pipe it is known when it has ended.
		if got = strings.ReplaceAll(got, " of 3)", ")"); got != tt.want {
			t.Errorf("%s: said %q, want %q", tt.name, got, tt.want)
		}
	}
}

// How many there are is known of a file alone, and looking takes none of it.
func TestTargetsIn(t *testing.T) {
	path := file(t, "taken\na\n \t\n# no\n"+strings.Repeat("x", 70_000)+"\n\tb c\nd")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(6, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if n := targetsIn(f); n != 4 {
		t.Errorf("%d", n)
	}
	if rest, err := io.ReadAll(f); err != nil || !strings.HasPrefix(string(rest), "a\n") {
		t.Errorf("%.20q, %v", rest, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, other := range []io.Reader{nil, strings.NewReader("a"), r} {
		if n := targetsIn(other); n != 0 {
			t.Errorf("%T: %d", other, n)
		}
	}
	r.Close()
}
