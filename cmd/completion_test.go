package cmd_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// What bash offers after a dash is what -h lists; after nothing, the hosts of
// ssh_config.
func TestCompletions(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte("Host kitchen *.lab shed\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	offered := func(program, current string) []string {
		script := `source "$1"; COMP_WORDS=("$2" "$3"); COMP_CWORD=1; _pi_key_tools "$2"; printf '%s\n' "${COMPREPLY[@]}"`
		path := filepath.Join(root, "completions", "pi-key-tools.bash")
		out, err := sshtest.Command(t, home, "bash", "-c", script, "bash", path, filepath.Join(binaries(t), program), current).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	for _, program := range programs {
		help := run(t, filepath.Join(binaries(t), program), "-h")
		want := slices.Sorted(maps.Keys(optionsOfHelp(help)))
		got := slices.Sorted(slices.Values(offered(program, "-")))
		if !slices.Equal(got, want) {
			t.Errorf("%s: bash offers %q, -h lists %q", program, got, want)
		}
	}
	if got, want := offered("pikeycheck", ""), []string{"kitchen", "shed"}; !slices.Equal(got, want) {
		t.Errorf("hosts %q, want %q", got, want)
	}
}
