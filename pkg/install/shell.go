package install

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"strconv"
	"strings"

	"pi-key-tools/pkg/hostfs"
)

// Shell is the Engine of an account that runs a POSIX shell.
func Shell(run hostfs.Runner) Engine { return shell{run} }

type shell struct{ run hostfs.Runner }

//go:embed put.sh
var putScript string

// maxBatch keeps a command line, in which a byte may take four, below the
// 128 KiB that Linux lets one argument have.
const maxBatch = 20 << 10

// Edit runs the script once for as many lines as one command can carry.
func (s shell) Edit(ctx context.Context, c Change) (Answer, error) {
	all := Answer{Have: map[string][]Numbered{}}
	lines := c.Add
	for len(lines) > 0 {
		n, size := 0, 0
		for n < len(lines) && (n == 0 || size+len(lines[n].Text()) <= maxBatch) {
			size += len(lines[n].Text())
			n++
		}
		batch := c
		batch.Add = lines[:n]
		lines = lines[n:]
		a, err := s.edit(ctx, batch)
		all.Path = a.Path
		if err != nil {
			return all, err
		}
		all.Added = append(all.Added, a.Added...)
		for b, found := range a.Have {
			all.Have[b] = found
		}
	}
	return all, nil
}

func (s shell) edit(ctx context.Context, c Change) (Answer, error) {
	var lines []string
	for _, l := range c.Add {
		lines = append(lines, blob(l.Key)+" "+l.Text())
	}
	mark := "pikeycopy-" + rand.Text()
	script := "lines=" + hostfs.Quote(strings.Join(lines, "\n")) + "\nforce=" + yes(c.Force) +
		"\ndry=" + yes(c.DryRun) + "\nmark=" + mark + "\n" + putScript
	stdout, stderr, _, err := s.run(ctx, hostfs.ShellCommand(script))
	if err != nil {
		return Answer{}, err
	}
	return readAnswer(mark, stdout, stderr)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

func (s shell) Read(context.Context) (string, []byte, error) {
	return "", nil, errors.ErrUnsupported
}

func readAnswer(mark string, stdout, stderr []byte) (Answer, error) {
	a := Answer{Have: map[string][]Numbered{}}
	ended := false
	for line := range bytes.Lines(stdout) {
		text, marked := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), mark+" ")
		if !marked {
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		switch word {
		case "file":
			a.Path = rest
		case "add":
			a.Added = append(a.Added, rest)
		case "have":
			blob, found, _ := strings.Cut(rest, " ")
			number, line, _ := strings.Cut(found, ":")
			n, _ := strconv.Atoi(number)
			a.Have[blob] = append(a.Have[blob], Numbered{n, line})
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
	case a.Path == "":
		return a, noShell(stdout, stderr)
	}
	return a, putError("write-failed", a.Path, stderr)
}

// noShell names why the script was not run, by what was said in its place.
func noShell(stdout, stderr []byte) error {
	e := &PutError{Cause: "no-shell", Said: firstWords(stdout, stderr)}
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
}

func putError(cause, path string, stderr []byte) error {
	e := &PutError{Cause: cause, Path: path, Said: firstWords(nil, stderr), denied: bytes.Contains(stderr, []byte("Permission denied"))}
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
