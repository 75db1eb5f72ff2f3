//go:build unix

package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/sshtest"
)

// examplesOf are the commands that a section of a manual page shows, or a
// subsection.
func examplesOf(page, section string) []string {
	m := regexp.MustCompile(`(?m)^\.(S[hs]) ` + regexp.QuoteMeta(section) + "$").FindStringSubmatchIndex(page)
	if m == nil {
		return nil
	}
	kind := page[m[2]:m[3]]
	page, _, _ = strings.Cut(page[m[1]:], "\n.Sh ")
	page, _, _ = strings.Cut(page, "\n."+kind+" ")
	var examples []string
	for _, m := range regexp.MustCompile(`(?s)\n\.Bd -literal -offset indent\n(.*?)\n\.Ed|\n\.Dl ([^\n]*)`).FindAllStringSubmatch(page, -1) {
		examples = append(examples, strings.ReplaceAll(m[1]+m[2], `\e`, `\`))
	}
	return examples
}

// The examples of pi-key-tools(7), as they stand there, one after the other; those
// of INVENTORIES and of a run that goes on have tests of their own.
func TestExamples(t *testing.T) {
	t.Parallel()
	page := readFile(t, "man/pi-key-tools.7")
	pi, kitchen := sshtest.StartPi(t, sshtest.PiConfig{Password: "the one"}), sshtest.StartPi(t, sshtest.PiConfig{Password: "the one"})
	me := newTraveller(t, pi.Endpoint)
	known := pi.KnownHosts() + kitchen.KnownHosts()
	me.file("known", known)
	me.file(".ssh/known_hosts", known)
	port, kitchenPort := strings.TrimPrefix(pi.Addr, "127.0.0.1"), strings.TrimPrefix(kitchen.Addr, "127.0.0.1")
	me.file("swapped", strings.NewReplacer(port, kitchenPort, kitchenPort, port).Replace(known))
	me.file(".ssh/config", "Host kitchenpi\n  Port "+kitchenPort[1:]+"\nHost *\n  HostName 127.0.0.1\n  Port "+port[1:]+"\n")
	me.file("pw", "the one\n")
	me.file("pis", "pi@raspberrypi.local\npi@kitchenpi\n")
	me.program("askpass", "echo the one")
	scripts, err := filepath.Abs(filepath.Join(root, "scripts"))
	must(t, err)
	must(t, os.Symlink(scripts, filepath.Join(me.home, "scripts")))
	out := func(text string) string {
		cmd := sshtest.Command(t, me.home, "sh", "-ec", text)
		cmd.Dir = me.home
		cmd.Env = append(cmd.Env, "PATH="+binaries(t)+":"+os.Getenv("PATH"), "SSH_ASKPASS="+filepath.Join(me.home, "askpass"), "SSH_ASKPASS_REQUIRE=force",
			"KITCHEN="+kitchen.Home)
		var errOut strings.Builder
		cmd.Stderr = &errOut
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s\n%v\n%s%s", text, err, out, &errOut)
		}
		return string(out)
	}
	for _, section := range []struct {
		name string
		each [][2]string // what happens before it, and the outcomes that it prints
	}{
		{"QUICK START", [][2]string{
			{"", "done key-added, ok login"},
			{"", "ok modes"},
		}},
		{"A password for each target", [][2]string{
			{`cp pis hosts; (umask 077; cat pw pw >words)`, "done key-added, ok key-present, ok login"},
		}},
		{"EXAMPLES", [][2]string{
			{`chmod 777 "$KITCHEN"`, "fail home-writable"},
			{"", "ok login"},
			{": >.ssh/known_hosts", "ok key-present, ok login"},
			{"cp swapped .ssh/known_hosts", "ok key-present, ok login"},
			{"cp known .ssh/known_hosts; pikeygen -q -f ca >/dev/null", "done key-added, ok login"},
			{"pikeygen -q -t rsa -f .ssh/id_rsa >/dev/null; pikeycopy -q -i .ssh/id_rsa --hosts pis >/dev/null",
				"done key-removed, ok key-absent, ok key-present, ok login"},
		}},
	} {
		examples := examplesOf(page, section.name)
		if len(examples) != len(section.each) {
			t.Fatalf("%s has the examples %q", section.name, examples)
		}
		for i, text := range examples {
			out(section.each[i][0])
			text = strings.ReplaceAll(text, "~/.ssh/id_ed25519\n", "~/.ssh/id_ed25519 >/dev/null\n") // the certificate
			text = strings.ReplaceAll(text, "SHA256:6CCWsrdBXcw3fbESOYHvhqaB2BUiaZmd6Ij8ld6GhUg", ssh.FingerprintSHA256(pi.HostKeys[0]))
			got := outcomes(out(text))
			slices.Sort(got)
			if got = slices.Compact(got); strings.Join(got, ", ") != section.each[i][1] {
				t.Errorf("%s\n%q", text, got)
			}
		}
	}
}
