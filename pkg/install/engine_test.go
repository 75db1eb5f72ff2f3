package install

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// memory is an Engine over a file that is at hand, which another may change when
// it has been read.
type memory struct {
	data    []byte
	another func()
	refuse  []error // what each Edit fails with, as far as there is one
	edits   int
}

func (m *memory) Read(context.Context) (string, []byte, error) {
	data := m.data
	if another := m.another; another != nil {
		m.another = nil
		another()
	}
	return "keys", data, nil
}

func (m *memory) Edit(_ context.Context, c Change) (Answer, error) {
	if m.edits++; m.edits <= len(m.refuse) {
		return Answer{}, m.refuse[m.edits-1]
	}
	edited, a, err := c.apply("keys", m.data)
	if err == nil && !c.DryRun {
		m.data = edited
	}
	return a, err
}

func public(t *testing.T, n byte) sshkey.Public {
	t.Helper()
	blob := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), slices.Repeat([]byte{n}, 32)...)
	k, err := sshkey.ParseBlob(blob, "key")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func causes(t *testing.T, m *memory, keys []sshkey.Public, used *sshkey.Public, force, dryRun bool) string {
	t.Helper()
	records, err := Job{Keys: keys, Force: force, DryRun: dryRun}.removeFrom(t.Context(), m, used)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, r := range records {
		words = append(words, string(r.Verdict)+" "+r.Cause)
	}
	return strings.Join(words, ", ")
}

func TestRemove(t *testing.T) {
	a, b, c := public(t, 1), public(t, 2), public(t, 3)
	file := "# " + a.Line() + "\n" + a.Line() + "\r\nfrom=\"x\" " + a.Line() + "\nnonsense\x00\xff\n" + b.Line()
	for _, x := range []struct {
		name          string
		keys          []sshkey.Public
		used          *sshkey.Public
		force, dryRun bool
		want, left    string
	}{
		{"every entry, no comment", []sshkey.Public{a}, nil, false, false, "done key-removed", "# " + a.Line() + "\nnonsense\x00\xff\n" + b.Line()},
		{"dry run", []sshkey.Public{a}, nil, false, true, "todo key-removed", file},
		{"not there", []sshkey.Public{c}, nil, false, false, "ok key-absent", file},
		{"the one in use", []sshkey.Public{a}, &a, false, false, "fail key-in-use", file},
		{"the one in use, insisting", []sshkey.Public{a}, &a, true, false, "done key-removed", "# " + a.Line() + "\nnonsense\x00\xff\n" + b.Line()},
		{"never the last", []sshkey.Public{a, b}, nil, false, false, "done key-removed, fail key-last", "# " + a.Line() + "\nnonsense\x00\xff\n" + b.Line()},
		{"the last but one that has expired", []sshkey.Public{b}, nil, false, false, "fail key-last", "expiry-time=\"20200101\" " + a.Line() + "\n" + b.Line() + "\n"},
		{"the last but one that has expired, in UTC", []sshkey.Public{b}, nil, false, false, "fail key-last", "expiry-time=\"20200101utc\" " + a.Line() + "\n" + b.Line() + "\n"},
		{"the last, insisting", []sshkey.Public{a, b}, nil, true, false, "done key-removed, done key-removed", "# " + a.Line() + "\nnonsense\x00\xff\n"},
		{"twice named", []sshkey.Public{a, a}, nil, false, false, "done key-removed, ok key-absent", "# " + a.Line() + "\nnonsense\x00\xff\n" + b.Line()},
	} {
		m := &memory{data: []byte(file)}
		if strings.Contains(x.name, "expired") {
			m.data = []byte(x.left)
		}
		if got := causes(t, m, x.keys, x.used, x.force, x.dryRun); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
		if string(m.data) != x.left {
			t.Errorf("%s: left %q, want %q", x.name, m.data, x.left)
		}
	}
}

// Of two who remove a key each, and count on that of the other, one is refused,
// whichever line comes first.
func TestRemoveTogether(t *testing.T) {
	a, b, c := public(t, 1), public(t, 2), public(t, 3)
	for _, keys := range [][]sshkey.Public{{a, b}, {b, a}, {c, a, b}, {a, c, b}} {
		var lines []string
		for _, k := range keys {
			lines = append(lines, k.Line()+"\n")
		}
		m := &memory{data: []byte(strings.Join(lines, ""))}
		m.another = func() {
			if got := causes(t, m, []sshkey.Public{b}, &a, false, false); got != "done key-removed" {
				t.Errorf("the first: %s", got)
			}
		}
		if got := causes(t, m, []sshkey.Public{a}, &b, false, false); got != "fail busy" || !strings.Contains(string(m.data), a.Line()) {
			t.Errorf("%s, file %q", got, m.data)
		}
	}
}

// What others change meanwhile is no reason to give up.
func TestRemoveLooksAgain(t *testing.T) {
	a, b, c, d := public(t, 1), public(t, 2), public(t, 3), public(t, 4)
	for _, used := range []*sshkey.Public{nil, &d} {
		m := &memory{data: []byte("# mine\n" + a.Line() + "\n" + b.Line() + "\n" + c.Line() + "\n" + d.Line() + "\n")}
		m.another = func() {
			if got := causes(t, m, []sshkey.Public{a}, &d, false, false); got != "done key-removed" {
				t.Errorf("the first: %s", got)
			}
			m.another = func() { m.data = append([]byte("# another's\n"), m.data...) }
		}
		if got := causes(t, m, []sshkey.Public{b}, used, false, false); got != "done key-removed" || string(m.data) != "# another's\n# mine\n"+c.Line()+"\n"+d.Line()+"\n" {
			t.Errorf("%s, file %q", got, m.data)
		}
	}
}

func TestDropRefusesWhatHasChanged(t *testing.T) {
	m := &memory{data: []byte("one\ntwo\n")}
	_, err := m.Edit(t.Context(), Change{Drop: []Numbered{{2, "zwei"}}})
	var put *PutError
	if !errors.As(err, &put) || put.Cause != "busy" || string(m.data) != "one\ntwo\n" {
		t.Errorf("error %v, file %q", err, m.data)
	}
}

func TestList(t *testing.T) {
	a, b := public(t, 1), public(t, 2)
	m := &memory{data: []byte("# comment\n" + a.Line() + "\nfrom=\"10.0.0.1\",no-pty " + b.Line() + "\nnonsense " + a.Line() + "\nssh-ed25519 AAAA\n")}
	records, err := list(t.Context(), m, "pikeyfix --rewrite")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range records {
		got = append(got, string(r.Verdict)+" "+r.Cause+" "+r.Subject)
	}
	want := []string{"ok entry " + a.Fingerprint(), "ok entry-restricted " + b.Fingerprint(), "fail entry-options-bad " + a.Fingerprint(), "fail entry-truncated keys line 5"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.Contains(records[1].Detail, `from="10.0.0.1",no-pty`) {
		t.Errorf("the options are not told: %s", records[1].Detail)
	}
}

// Nothing is called done that was refused. What others were faster with is done again,
// unless it may have been done.
func TestRefusedEdit(t *testing.T) {
	a, b := public(t, 1), public(t, 2)
	busy := func(unsure bool) error { return &PutError{Cause: "busy", Unsure: unsure} }
	full := &PutError{Cause: "disk-full"}
	for name, change := range map[string]func(m *memory) []record.Record{
		"rewriting": func(m *memory) []record.Record { return Rewrite(t.Context(), m, false) },
		"removing": func(m *memory) []record.Record {
			return orFailure(Job{Keys: []sshkey.Public{a}}.removeFrom(t.Context(), m, nil))
		},
	} {
		for _, c := range []struct {
			refuse []error
			edits  int
			want   string
		}{
			{nil, 1, "done"},
			{[]error{busy(false), busy(false)}, 3, "done"},
			{[]error{busy(false), busy(true)}, 2, "fail"},
			{[]error{full}, 1, "fail"},
		} {
			m := &memory{data: []byte(a.Line() + "\n> " + b.Line() + "\n"), refuse: c.refuse}
			if name == "removing" {
				m.data = []byte(a.Line() + "\n" + b.Line() + "\n")
			}
			before := string(m.data)
			records := change(m)
			if len(records) != 1 || string(records[0].Verdict) != c.want || m.edits != c.edits || (string(m.data) == before) != (c.want == "fail") {
				t.Errorf("%s, refused %v: %+v after %d edits", name, c.refuse, records, m.edits)
			}
		}
	}
	m := &memory{data: []byte(a.Line() + "\n")}
	if records := Rewrite(t.Context(), m, false); records != nil || m.edits > 0 {
		t.Errorf("nothing to rewrite: %+v, %d edits", records, m.edits)
	}
}
