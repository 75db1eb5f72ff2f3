// Package install puts public keys into a far authorized_keys, and proves that
// they log in.
package install

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshkey"
)

// A Placed is what became of one key.
type Placed struct {
	Key   sshkey.Public
	Added bool                  // by this call; or would be, in a dry run
	Entry *authorizedkeys.Entry // the live line that has it, if it was there
}

// A PutError is why the far file could not be changed. The file is as it was.
type PutError struct {
	Cause string // a word of pi-key-causes(7)
	Path  string // there; "" if it never came to that
	Said  string // the far side's own words
}

func (e *PutError) Error() string {
	if e.Said == "" {
		return "authorized_keys is unchanged"
	}
	return "authorized_keys is unchanged: " + e.Said
}

//go:embed put.sh
var putScript string

// maxBatch keeps a command line, in which a byte may take four, below the
// 128 KiB that Linux lets one argument have.
const maxBatch = 20 << 10

// Put adds the keys that no live line of the far authorized_keys has. It
// returns the path of the file there. The change is on the far disk, and has
// been read back, when err is nil.
func Put(ctx context.Context, run hostfs.Runner, keys []sshkey.Public, dryRun bool) (path string, placed []Placed, err error) {
	for len(keys) > 0 {
		n, size := 0, 0
		for n < len(keys) && (n == 0 || size+len(keys[n].Line()) <= maxBatch) {
			size += len(keys[n].Line())
			n++
		}
		var batch []Placed
		path, batch, err = putBatch(ctx, run, keys[:n], dryRun)
		if err != nil {
			return path, placed, err
		}
		placed = append(placed, batch...)
		keys = keys[n:]
	}
	return path, placed, nil
}

func putBatch(ctx context.Context, run hostfs.Runner, keys []sshkey.Public, dryRun bool) (string, []Placed, error) {
	first, err := runPut(ctx, run, keys, nil, dryRun)
	if err != nil {
		return first.path, nil, err
	}
	// A line that holds the blob and that sshd passes by (commented out, with
	// an option it does not know) does not count: then add the key after all.
	var dead []sshkey.Public
	placed := make([]Placed, len(keys))
	for i, key := range keys {
		placed[i] = Placed{Key: key, Added: slices.Contains(first.added, blob(key))}
		if placed[i].Added {
			continue
		}
		if placed[i].Entry = first.live(key); placed[i].Entry == nil {
			placed[i].Added = true
			dead = append(dead, key)
		}
	}
	if len(dead) > 0 {
		if _, err := runPut(ctx, run, dead, dead, dryRun); err != nil {
			return first.path, nil, err
		}
	}
	return first.path, placed, nil
}

// answer is what the script said.
type answer struct {
	path  string
	added []string            // blobs
	have  map[string][]string // blob: "NUMBER:LINE" of each line that holds it
}

// live returns the entry by which sshd would let the key in, the least
// restricted one if there are several.
func (a answer) live(key sshkey.Public) *authorizedkeys.Entry {
	var best *authorizedkeys.Entry
	for _, found := range a.have[blob(key)] {
		number, line, _ := strings.Cut(found, ":")
		e, ok := authorizedkeys.ParseLine([]byte(line))
		authority := func(o authorizedkeys.Option) bool { return o.Name == "cert-authority" }
		if !ok || e.Dead != "" || !e.Key.Equal(key) || slices.ContainsFunc(e.Options, authority) {
			continue // sshd does not let the key itself in by this line
		}
		e.Line, _ = strconv.Atoi(number)
		if best == nil || (best.Restricts() && !e.Restricts()) {
			best = &e
		}
	}
	return best
}

func blob(key sshkey.Public) string { return strings.Fields(key.Line())[1] }

func runPut(ctx context.Context, run hostfs.Runner, keys, force []sshkey.Public, dryRun bool) (answer, error) {
	var lines, blobs []string
	for _, k := range keys {
		lines = append(lines, k.Line())
	}
	for _, k := range force {
		blobs = append(blobs, blob(k))
	}
	dry := ""
	if dryRun {
		dry = "yes"
	}
	mark := "pikeycopy-" + rand.Text()
	script := "keys=" + hostfs.Quote(strings.Join(lines, "\n")) + "\nforce=" + hostfs.Quote(strings.Join(blobs, "\n")) +
		"\ndry=" + dry + "\nmark=" + mark + "\n" + putScript
	stdout, stderr, _, err := run(ctx, hostfs.ShellCommand(script))
	if err != nil {
		return answer{}, err
	}
	return readAnswer(mark, stdout, stderr)
}

func readAnswer(mark string, stdout, stderr []byte) (answer, error) {
	a := answer{have: map[string][]string{}}
	ended := false
	for line := range bytes.Lines(stdout) {
		text, marked := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), mark+" ")
		if !marked {
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		switch word {
		case "file":
			a.path = rest
		case "add":
			a.added = append(a.added, rest)
		case "have":
			blob, found, _ := strings.Cut(rest, " ")
			a.have[blob] = append(a.have[blob], found)
		case "fail":
			cause, path, _ := strings.Cut(rest, " ")
			return a, putError(cause, path, stderr)
		case "end":
			ended = true
		}
	}
	switch {
	case ended:
		return a, nil
	case a.path == "":
		return a, noShell(stdout, stderr)
	}
	return a, putError("write-failed", a.path, stderr)
}

// noShell names why the script was not run, by what was said in its place.
func noShell(stdout, stderr []byte) error {
	e := &PutError{"no-shell", "", firstWords(stdout, stderr)}
	switch {
	case strings.Contains(e.Said, "Password change required"): // sshd(8), with PAM
		e.Cause = "password-expired"
	case strings.Contains(e.Said, "sftp connections only"): // ForceCommand internal-sftp
		e.Cause = "command-forced"
	}
	return e
}

// errnoCauses are the far system's words (LC_ALL=C) for why a file could not
// be written.
var errnoCauses = []struct{ words, cause string }{
	{"No space left on device", "disk-full"},
	{"Disk quota exceeded", "disk-full"},
	{"Read-only file system", "read-only-fs"},
	{"Operation not permitted", "immutable"},
	{"Permission denied", "wrong-owner"},
}

func putError(cause, path string, stderr []byte) error {
	e := &PutError{cause, path, firstWords(nil, stderr)}
	if cause == "write-failed" {
		for _, c := range errnoCauses {
			if bytes.Contains(stderr, []byte(c.words)) {
				e.Cause = c.cause
				break
			}
		}
	}
	if cause == "busy" {
		e.Said = "another writer did not finish in 20 seconds"
	}
	return e
}

// firstWords is the last line that somebody who cannot run the script said,
// such as nologin's "This account is currently not available."
func firstWords(stdout, stderr []byte) string {
	for _, b := range [][]byte{stderr, stdout} {
		if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); lines[len(lines)-1] != "" {
			last := strings.TrimSpace(lines[len(lines)-1])
			return last[:min(len(last), 200)]
		}
	}
	return ""
}

// describe says which line of the file has a key, and what restricts it.
func describe(e *authorizedkeys.Entry) string {
	text := fmt.Sprintf("line %d", e.Line)
	if !e.Restricts() {
		return text
	}
	var options []string
	for _, o := range e.Options {
		if o.Value != "" {
			options = append(options, o.Name+`="`+o.Value+`"`)
		} else {
			options = append(options, o.Name)
		}
	}
	return text + ", with " + strings.Join(options, ",")
}
