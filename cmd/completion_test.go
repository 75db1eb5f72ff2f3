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
	if err := os.WriteFile(filepath.Join(home, "ca"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	offered := func(program string, words ...string) []string {
		script := `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); cd "$HOME"; _pi_key_tools "$1"; printf '%s\n' "${COMPREPLY[@]}"`
		path := filepath.Join(root, "completions", "pi-key-tools.bash")
		args := append([]string{"-c", script, "bash", path, filepath.Join(binaries(t), program)}, words...)
		out, err := sshtest.Command(t, home, "bash", args...).Output()
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
	hosts, files := []string{"kitchen", "shed"}, []string{"ca"}
	for words, want := range map[string][]string{
		"pikeycheck ": hosts, "pikeycopy -f ": hosts, "pikeycopy -p ": nil, "pikeycopy -i c": files,
		"pikeygen -l c": files, "pikeygen -s c": files, "pikeygen -p -": offered("pikeygen", "-"), "pikeygen -a c": nil,
	} {
		w := strings.Split(words, " ")
		if got := offered(w[0], w[1:]...); !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: bash offers %q, want %q", words, got, want)
		}
	}
}
