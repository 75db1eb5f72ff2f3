package install

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sh"
)

// Shell returns the Engine of an account that runs a POSIX shell. path is the
// file, absolute or relative to the home ("~/x" is "x"); "" means where the
// server looks: below the home, or for root on OpenWrt in /etc/dropbear. A
// missing directory is made only if it is ~/.ssh.
func Shell(run hostfs.Runner, path string) Engine { return shell{run, path} }

type shell struct {
	run  hostfs.Runner
	path string
}

//go:embed put.sh
var putScript string

// maxCommand is what a command line may have on the far side: Linux takes
// 128 KiB for one argument.
const maxCommand = 120 << 10

// A put is one run of the script: its variables.
type put struct {
	path  string
	lines []Line
	drop  []Numbered // upwards
	with  map[int][]string
	keep  bool
	force bool
	dry   bool
	piece string
	mark  string
}

// variables sets them, in the words of a shell.
func (p put) variables() string {
	var lines, drop, with []string
	for _, l := range p.lines {
		lines = append(lines, l.Key.Base64()+" "+l.Text())
	}
	gone := 0
	for _, d := range p.drop {
		// No shell holds a NUL, and no sshd minds which control byte it is.
		drop = append(drop, strconv.Itoa(d.Number)+" "+strings.ReplaceAll(d.Text, "\x00", "\x01"))
		gone += len(d.Text) + 1
		for _, text := range p.with[d.Number] {
			with = append(with, strconv.Itoa(d.Number)+" "+text)
			gone -= len(text) + 1
		}
	}
	return sh.Variables("path", p.path, "lines", strings.Join(lines, "\n"), "drop", strings.Join(drop, "\n"), "with", strings.Join(with, "\n"),
		"gone", strconv.Itoa(gone), "keep", yes(p.keep), "force", yes(p.force), "dry", yes(p.dry), "piece", p.piece, "mark", p.mark)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// mark is for all answers to this process: no start-up file knows it.
var mark = sync.OnceValue(func() string { return "pikeycopy-" + rand.Text() })

// command is the line for the far login shell. Most targets of a run get the
// same one, which is kept: hundreds at once would each hold their own.
func (p put) command() string {
	v := p.variables()
	c := kept.Load()
	if c == nil || c.variables != v {
		c = &keptCommand{v, sh.EncodedCommand(sh.Encode(v), compactScript())}
		kept.Store(c)
	}
	return c.command
}

type keptCommand struct{ variables, command string }

var kept atomic.Pointer[keptCommand]

var compactScript = sync.OnceValue(func() string {
	// What start-up files say on the standard error is not ours either.
	return sh.Encode("printf '%s\\n' \"$mark\" >&2\n" + sh.Compact(putScript))
})

// Program returns the script with these lines and this path (as for Shell)
// filled in: a whole POSIX sh program, for a console or another tool. It prints
// what it would tell the engine, with "pikeycopy:" before each line, and exits
// with status 0 only if it has said "done". Whether sshd accepts a line that
// already holds a key is for the reader to judge.
func Program(lines []Line, path string) string {
	about, script, _ := strings.Cut(putScript, "\nset ")
	return about + "\n\n" + put{path: path, lines: lines, mark: "pikeycopy:"}.variables() + "\nset " + script
}

// Edit runs the script as often as it takes to carry all lines; each run is
// atomic. A failed run ends it: the answer has what earlier runs added, and the
// error is Unsure if they removed lines.
func (s shell) Edit(ctx context.Context, c Change) (Answer, error) {
	all := Answer{Have: map[string][]Numbered{}}
	drop := slices.SortedFunc(slices.Values(c.Drop), func(a, b Numbered) int { return a.Number - b.Number })
	add := c.Add
	dropped := false
	for first := true; first || len(add)+len(drop) > 0; first = false {
		p := put{path: s.path, with: c.With, keep: c.Backup && first, force: c.Force, dry: c.DryRun, mark: mark()}
		room := maxCommand - len(sh.Encode(p.variables())) - len(compactScript()) - len(sh.Command(""))
		// From the end, so that the numbers of those before it stay.
		for len(drop) > 0 {
			last := drop[len(drop)-1]
			number := strconv.Itoa(last.Number)
			room -= encoded(number + " " + last.Text + "\n")
			for _, text := range c.With[last.Number] {
				room -= encoded(number + " " + text + "\n")
			}
			if room < 0 && len(p.drop) > 0 {
				break
			}
			p.drop = slices.Insert(p.drop, 0, last)
			drop = drop[:len(drop)-1]
		}
		for len(add) > 0 {
			if room -= encoded(add[0].Key.Base64() + " " + add[0].Text() + "\n"); room < 0 && len(p.lines)+len(p.drop) > 0 {
				break
			}
			p.lines = append(p.lines, add[0])
			add = add[1:]
		}
		a, err := s.edit(ctx, p)
		all.Path, all.Unsynced = a.Path, cmp.Or(all.Unsynced, a.Unsynced)
		if first {
			all.Backup = a.Backup
		}
		if put, ok := errors.AsType[*PutError](err); ok && dropped {
			put.Unsure, put.Said = true, "lines were taken out by a part of the change, and then: "+put.Said
		}
		if err != nil {
			return all, err
		}
		dropped = dropped || len(p.drop) > 0
		all.Added = append(all.Added, a.Added...)
		for b, found := range a.Have {
			if !slices.Contains(all.Added, b) { // by a run before this one
				all.Have[b] = found
			}
		}
	}
	return all, nil
}

// encoded is how long a text is at worst in a command.
func encoded(text string) int {
	return len(sh.Encode(sh.Quote(text)))
}

func (s shell) edit(ctx context.Context, p put) (Answer, error) {
	stdout, stderr, status, err := s.run(ctx, p.command())
	if err != nil {
		return Answer{}, err
	}
	a, err := readAnswer(p.mark, stdout, stderr, status)
	if err != nil {
		return a.Answer, err
	}
	for _, l := range p.lines {
		if b := l.Key.Base64(); !slices.Contains(a.Added, b) && a.Have[b] == nil {
			return a.Answer, &PutError{Cause: "write-failed", Path: a.Path, Unsure: true, Said: "its answer is incomplete"}
		}
	}
	return a.Answer, nil
}

// pieceSize is what one command brings of a file: a Runner may keep no more
// than the last MiB of its output.
const pieceSize = 1_000_000

// maxRead bounds the file that Read takes.
const maxRead = 64 << 20

// Read fetches the file in pieces, and starts over if it changes meanwhile.
func (s shell) Read(ctx context.Context) (path string, data []byte, err error) {
	for range 5 {
		var was string
		data = nil
		for n := 0; ; n++ {
			p := put{path: s.path, piece: strconv.Itoa(n), mark: mark()}
			stdout, stderr, status, err := s.run(ctx, p.command())
			if err != nil {
				return path, nil, err
			}
			a, err := readAnswer(p.mark, stdout, stderr, status)
			path = a.Path
			if err != nil {
				return path, nil, err
			}
			if n == 0 {
				was = a.was
			}
			if a.was != was {
				break
			}
			if was == "" {
				return path, nil, nil
			}
			data = append(data, a.data...)
			if len(a.data) < pieceSize {
				return path, append([]byte{}, data...), nil // never nil
			}
			if len(data) > maxRead {
				return path, nil, &PutError{Cause: "keys-unreadable", Path: path,
					Said: fmt.Sprintf("it is larger than %d MiB, which no sshd reads in time", maxRead>>20)}
			}
		}
	}
	return path, nil, &PutError{Cause: "busy", Path: path, Said: "it keeps changing"}
}

// A scriptAnswer is what the script answered.
type scriptAnswer struct {
	Answer
	was  string // what ls says of the file, in a read
	data []byte // a piece of it
}

func readAnswer(mark string, stdout, stderr []byte, status int) (scriptAnswer, error) {
	a := scriptAnswer{}
	a.Have = map[string][]Numbered{}
	_, ours, began := bytes.Cut(stderr, []byte(mark+"\n"))
	if began {
		stderr = ours
	}
	for rest := stdout; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		rest = after
		text, marked := strings.CutPrefix(string(line), mark+" ")
		if !marked {
			continue
		}
		word, operand, _ := strings.Cut(text, " ")
		switch word {
		case "file": // also when it starts anew
			a.Path, a.Added, a.Backup, a.Unsynced = operand, nil, "", ""
			clear(a.Have)
		case "add":
			a.Added = append(a.Added, operand)
		case "have":
			blob, found, _ := strings.Cut(operand, " ")
			number, line, _ := strings.Cut(found, ":")
			n, _ := strconv.Atoi(number)
			a.Have[blob] = append(a.Have[blob], Numbered{n, line})
		case "kept":
			a.Backup = operand
		case "overlay":
			a.Unsynced = onOverlay
		case "data":
			length, was, _ := strings.Cut(operand, " ")
			n, err := strconv.Atoi(length)
			if err != nil || n < 0 || n >= len(rest) || rest[n] != '\n' {
				return a, &PutError{Cause: "busy", Path: a.Path, Said: "it became shorter while it was read"}
			}
			a.was, a.data, rest = was, rest[:n], rest[n+1:]
		case "fail":
			cause, path, _ := strings.Cut(operand, " ")
			return a, putError(cause, path, stderr)
		case "unsure":
			cause, path, _ := strings.Cut(operand, " ")
			err := putError(cause, path, stderr)
			err.Unsure = true
			return a, err
		case "done":
			return a, nil
		}
	}
	if !began && !bytes.Contains(stdout, []byte(mark)) {
		return a, noShell(stdout, stderr, status)
	}
	err := putError("write-failed", a.Path, stderr)
	err.Unsure = true
	if err.Said == "" {
		err.Said = "the program there ended before it reported its result"
	}
	return a, err
}

// noShell names why the script was not run, by what was said in its place.
func noShell(stdout, stderr []byte, status int) error {
	said := lastWords(stdout, stderr)
	cause := diagnose.NoCommand(said, status)
	if cause == "session-failed" && said != "" { // which may be the message of the day
		said = "sshd started no session, and said last: " + said
	}
	return &PutError{Cause: cause, Said: said, noShell: true}
}

// errnoCauses are the far system's words (LC_ALL=C) for why a file could not
// be written.
var errnoCauses = []struct{ words, cause string }{
	{"No space left on device", "disk-full"},
	{"Disk quota exceeded", "disk-full"},
	{"Read-only file system", "read-only-fs"},
	{"Operation not permitted", "immutable"},
}

func putError(cause, path string, stderr []byte) *PutError {
	e := &PutError{Cause: cause, Path: path, Said: lastWords(nil, stderr)}
	e.denied = strings.HasSuffix(e.Said, "Permission denied")
	if cause == "write-failed" {
		for _, c := range errnoCauses {
			if strings.HasSuffix(e.Said, c.words) {
				e.Cause = c.cause
			}
		}
	}
	if cause == "busy" && e.Said == "" {
		e.Said = hostfs.ErrBusy.Error()
	}
	return e
}

// lastWords is the last line that somebody who cannot run the script said,
// such as nologin's "This account is currently not available."
func lastWords(stdout, stderr []byte) string {
	for _, b := range [][]byte{stderr, stdout} {
		if lines := strings.Split(strings.TrimSpace(string(b)), "\n"); lines[len(lines)-1] != "" {
			// Why it went wrong comes last.
			last := strings.TrimSpace(lines[len(lines)-1])
			if len(last) > 300 {
				last = "..." + last[len(last)-300:]
			}
			return last
		}
	}
	return ""
}
