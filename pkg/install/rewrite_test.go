package install

import (
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/record"
)

func TestRewrite(t *testing.T) {
	a, b, c := public(t, 1), public(t, 2), public(t, 3)
	_, b64, _ := strings.Cut(b.Line(), " ")
	for _, x := range []struct {
		name, file, left string
		found, cured     []string
	}{
		{"nothing wrong", "# c\n" + a.Line() + "\n", "", nil, nil},
		{"no file", "", "", nil, nil},
		{"cured in their places", "\xef\xbb\xbf" + a.Line() + "\n# c\r\nssh-rsa " + b64 + "\n\x00\x00\n" + c.Line(),
			a.Line() + "\n# c\r\n" + b.Line() + "\n" + c.Line(),
			[]string{"fail entry-encoding keys:1", "fail entry-type-mismatch keys:3", "fail entry-nul keys:4"},
			[]string{"done entry-encoding keys:1", "done entry-type-mismatch keys:3", "done entry-nul keys:4"}},
		{"shown beside", "hello " + a.Line() + "\n> " + b.Line() + "\n", "hello " + a.Line() + "\n" + b.Line() + "\n",
			[]string{"fail entry-options-bad keys:1", "fail entry-quoted keys:2"},
			[]string{"done entry-quoted keys:2", "fail entry-options-bad keys:1"}},
		{"nobody is kept out", "hello " + a.Line() + "\n" + a.Line() + "\n", "", nil, nil},
		{"commented out", "#" + a.Line() + "\n", "", []string{"ok entry-commented keys:1"}, []string{"ok entry-commented keys:1"}},
	} {
		if x.left == "" {
			x.left = x.file
		}
		m := &memory{data: []byte(x.file)}
		say := func(what string, want []string, dryRun, cure bool) {
			t.Helper()
			records, err := faultsIn(t.Context(), m, "pikeyfix --rewrite")
			if cure {
				records, err = rewrite(t.Context(), m, dryRun)
			}
			if err != nil {
				t.Fatal(x.name, err)
			}
			var got []string
			for _, r := range records {
				got = append(got, string(r.Verdict)+" "+r.Cause+" "+r.Subject)
				if bad := r.Verdict == "fail"; bad && r.Hint == "" || r.Detail == "" {
					t.Errorf("%s: no way on: %+v", x.name, r)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s: %q, want %q", x.name, what, got, want)
			}
		}
		var todo []string
		for _, r := range x.cured {
			todo = append(todo, strings.Replace(r, "done", "todo", 1))
		}
		say("looking", x.found, false, false)
		say("a dry run", todo, true, true)
		if string(m.data) != x.file {
			t.Errorf("%s: a dry run has changed it: %q", x.name, m.data)
		}
		say("rewriting", x.cured, false, true)
		if string(m.data) != x.left {
			t.Errorf("%s: left %q, want %q", x.name, m.data, x.left)
		}
		records, err := rewrite(t.Context(), m, false)
		if err != nil || slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict == "done" }) {
			t.Errorf("%s: again: %+v %v", x.name, records, err)
		}
	}
}
