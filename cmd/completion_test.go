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
// ssh_config and known_hosts, and nothing that the shell would run.
func TestCompletions(t *testing.T) {
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	key := sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n"
	for name, text := range map[string]string{
		".ssh/config": "Include=~/.ssh/more nosuch/*\nHost kitchen *.lab shed $(touch${IFS}ran) -x `touch\tran`\n",
		".ssh/more":   "Include m* \"config\"\nMatch all\nhost=\"garage\" # with itself\n",
		".ssh/known_hosts": "loft,10.0.0.7,fe80::1 " + key + "[shed]:2222 " + key + "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg= " + key +
			"@revoked gone " + key + "*.den " + key + "# no host\n$(touch${IFS}ran) " + key,
		"ca": "",
	} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := t.TempDir()
	offered := func(program string, words ...string) []string {
		script := `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); cd "$HOME"; _pi_key_tools "$1" "${@: -1}"; printf '%s\n' "${COMPREPLY[@]}"`
		path := filepath.Join(root, "completions", "pi-key-tools.bash")
		args := append([]string{"-c", script, "bash", path, filepath.Join(binaries(t), program)}, words...)
		out, err := sshtest.Command(t, at, "bash", args...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	system := offered("pikeycheck", "") // of this machine's own files
	at = home
	for _, program := range programs {
		help := run(t, filepath.Join(binaries(t), program), "-h")
		want := slices.Sorted(maps.Keys(optionsOfHelp(help)))
		got := slices.Sorted(slices.Values(offered(program, "-")))
		if !slices.Equal(got, want) {
			t.Errorf("%s: bash offers %q, -h lists %q", program, got, want)
		}
	}
	hosts, files := []string{"kitchen", "shed", "garage", "loft", "10.0.0.7", "shed:2222"}, []string{"ca"}
	var whose []string
	for _, host := range hosts {
		whose = append(whose, "@"+host)
	}
	// A file's name, which may hold a command, is put where the shell reads it:
	// readline quotes it if told that it is one.
	for word, want := range map[string]string{"c": "-o filenames\n", "kit": ""} {
		script := `source "$1"; compopt() { echo "$@"; }; COMP_WORDS=(pikeycopy "$2"); COMP_CWORD=1; cd "$HOME"; _pi_key_tools pikeycopy "$2"`
		out, err := sshtest.Command(t, home, "bash", "-c", script, "bash", filepath.Join(root, "completions", "pi-key-tools.bash"), word).Output()
		if err != nil || string(out) != want {
			t.Errorf("%s: compopt is told %q, %v, want %q", word, out, err, want)
		}
	}
	for words, want := range map[string][]string{
		"pikeycheck ": hosts, "pikeycopy -f ": hosts, "pikeycopy -p ": nil, "pikeycopy -i c": files,
		"pikeygen -l c": files, "pikeygen -s c": files, "pikeygen -p -": offered("pikeygen", "-"), "pikeygen -a c": nil,
		"pikeycheck s": {"shed", "shed:2222"}, "pikeycheck pi@g": {"pi@garage"}, "pikeycheck pi @": whose, "pikeycheck -F .ssh/more g": {"garage"}, "pikeycheck -F ca k": nil,
	} {
		w := strings.Split(words, " ")
		got := slices.DeleteFunc(offered(w[0], w[1:]...), func(host string) bool {
			return slices.Contains(system, strings.TrimPrefix(host, "@")) && !slices.Contains(want, host)
		})
		if !slices.Equal(got, want) && len(got)+len(want) > 0 {
			t.Errorf("%q: bash offers %q, want %q", words, got, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(home, "ran")); err == nil {
		t.Error("a name was run")
	}
}
