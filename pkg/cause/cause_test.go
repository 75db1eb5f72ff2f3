package cause

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	for _, e := range All() {
		if got, ok := Lookup(e.Word); !ok || got != e {
			t.Errorf("Lookup(%q) = %+v, %v", e.Word, got, ok)
		}
	}
	for _, word := range []string{"", "no-such-cause", "Login", "zzz"} {
		if e, ok := Lookup(word); ok {
			t.Errorf("Lookup(%q) found %+v", word, e)
		}
	}
}

func TestEntries(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	good := make(map[string]bool)
	for _, e := range outcomes {
		good[e.Word] = true
	}
	all := All()
	if len(all) < 50 {
		t.Errorf("only %d entries", len(all))
	}
	for i, e := range all {
		if !word.MatchString(e.Word) {
			t.Errorf("%q is not a word", e.Word)
		}
		if i > 0 && all[i-1].Word >= e.Word {
			t.Errorf("%q does not sort after %q", e.Word, all[i-1].Word)
		}
		if good[e.Word] != (e.Cure == "") {
			t.Errorf("%s: cure %q", e.Word, e.Cure)
		}
		for _, s := range []string{e.Meaning, e.Evidence, e.Cure} {
			if s != "" && (!strings.HasSuffix(s, ".") || strings.ContainsAny(s, "\n\t\\") || strings.Contains(s, "  ")) {
				t.Errorf("%s: not a line of plain sentences: %q", e.Word, s)
			}
		}
		if e.Meaning == "" || e.Evidence == "" || strings.Contains(e.Meaning, ". ") {
			t.Errorf("%s: wants one sentence of meaning and some evidence: %+v", e.Word, e)
		}
	}
}

// What one caller does to the list must not reach the next.
func TestAllIsACopy(t *testing.T) {
	All()[0].Word = "spoilt"
	if slices.ContainsFunc(All(), func(e Entry) bool { return e.Word == "spoilt" }) {
		t.Error("All hands out its own memory")
	}
}

// The cure that most people come for.
func TestConnectionRefusedSaysHowToEnableSSH(t *testing.T) {
	e, _ := Lookup("connection-refused")
	for _, s := range []string{"sudo raspi-config nonint do_ssh 0", "file named ssh on the boot partition", "Raspberry Pi Imager"} {
		if !strings.Contains(e.Cure, s) {
			t.Errorf("the cure %q does not name %q", e.Cure, s)
		}
	}
}
