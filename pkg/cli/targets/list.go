package targets

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"
	"time"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/sh"
)

// all is the operands, then the lines of the list. When a signal has ended ctx,
// the lines that are left are still taken, so that each can be reported as not
// begun: of a file all of them, of a pipe those that come at once, since it may
// have no end.
func all(ctx context.Context, operands []Target, list io.Reader, readErr *error) iter.Seq[destination.Line] {
	return func(yield func(destination.Line) bool) {
		for _, t := range operands {
			if !yield(destination.Line{Text: t.Text, Destination: t.Destination}) {
				return
			}
		}
		if list == nil {
			return
		}
		read := make(chan listLine)
		go func() {
			defer close(read)
			for line, err := range destination.Lines(list) {
				read <- listLine{line, err} // received, or the process is about to end
			}
		}()
		lines := listReader{ctx: ctx, read: read, endless: !hasEnd(list)}
		for {
			l, ok := lines.next()
			if l.err != nil {
				*readErr = l.err
			}
			if !ok || l.err != nil || !yield(l.line) {
				return
			}
		}
	}
}

// A listLine is a line of the list, or why it cannot be read any further.
type listLine struct {
	line destination.Line
	err  error
}

// A listReader takes the lines of a list that somebody else reads, since that
// may wait for ever.
type listReader struct {
	ctx     context.Context
	read    <-chan listLine
	endless bool             // the list may be
	over    <-chan time.Time // when no more is taken of one that is; nil before the end of ctx
}

// next waits for the next line. ok is false if there is none, or none is to be
// waited for any more.
func (r *listReader) next() (l listLine, ok bool) {
	if r.ctx.Err() == nil {
		select {
		case l, ok = <-r.read:
			return l, ok
		case <-r.ctx.Done():
		}
	}
	if _, signal := errors.AsType[cli.SignalError](context.Cause(r.ctx)); !signal {
		return listLine{}, false // nobody reads what could be said of the rest
	}
	if !r.endless {
		l, ok = <-r.read
		return l, ok
	}
	if r.over == nil {
		r.over = time.After(time.Second)
	}
	select {
	case l, ok = <-r.read:
		return l, ok
	case <-time.After(100 * time.Millisecond):
	case <-r.over:
	}
	return listLine{}, false
}

// hasEnd reports whether a list is a file on a disk, which nobody else's
// quickness decides about.
func hasEnd(list io.Reader) bool {
	f, ok := list.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// otherForm is a hint for a list most of which is no list, by the first line that
// is no target; "" if there is none, or that is a record of ours.
func (o *Options) otherForm(env *cli.Env, line destination.Line) string {
	if line.Record != nil {
		return ""
	}
	text := line.Text
	form := destination.FormOf(text)
	file, again, way := sh.Quote(o.Hosts), " | "+env.Name+" --hosts -", ""
	if file == "-" {
		file = "FILE"
	}
	switch form {
	case destination.Table:
		way = "to use its first column: tr -d '\"' <" + file + " | cut -d, -f1" + again
		if !strings.Contains(text, ",") {
			way = strings.Replace(way, "-d,", "-d';'", 1)
		}
	case destination.Spreadsheet:
		way = "save the column of the targets as text"
	case destination.Inventory:
		way = "scripts/hosts-from makes a list of it: ansible-inventory -i " + file + " --list | hosts-from ansible" + again
		if strings.HasPrefix(text, "{") { // it has been listed
			way = "scripts/hosts-from makes a list of it: hosts-from ansible <" + file + again
		}
	case destination.Accounts:
		way = "targets are machines, and not the accounts of one"
	default:
		return ""
	}
	return fmt.Sprintf("a list has one target a line, [user@]host[:port]; this looks like %s: %s", form, way)
}

func (o *Options) passes(line destination.Line) bool {
	return o.Pass != nil && line.Record != nil && o.Pass(*line.Record)
}

// once leaves out what names a target again, for which there is a note unless
// it is one of several records of the target. Records that are passed on, and
// lines that name none, are left in. Of the targets so far half a SHA-256 each is
// kept: of a list without end, the memory grows with the targets in it, but by
// thirty to forty bytes, and two texts that have the same are not to be met with.
func (o *Options) once(env *cli.Env, p *progress, lines iter.Seq[destination.Line]) iter.Seq[destination.Line] {
	noted := map[[16]byte]bool{} // by target: that it was named again has been said
	again := func(line destination.Line) bool {
		sum := sha256.Sum256([]byte(line.Text))
		target := [16]byte(sum[:])
		said, again := noted[target]
		noted[target] = said || again && line.Record == nil
		if noted[target] && !said {
			env.Notef(line.Text, "listed more than once; worked on once")
		}
		return again
	}
	return func(yield func(destination.Line) bool) {
		for line := range lines {
			if line.Err == nil && !o.passes(line) && again(line) {
				p.of(func(total int) int { return max(0, total-1) })
			} else if !yield(line) {
				return
			}
		}
	}
}

func (o *Options) open(ctx context.Context, env *cli.Env) (io.Reader, func(), error) {
	switch o.Hosts {
	case "":
		return nil, func() {}, nil
	case "-":
		return env.Stdin, func() {}, nil
	}
	f, err := bounded.Open(ctx, o.Hosts)
	if err != nil {
		return nil, nil, fmt.Errorf("--hosts %w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		f.Close()
		return nil, nil, fmt.Errorf("--hosts %s: a directory, not a list", o.Hosts)
	}
	return f, func() { f.Close() }, nil
}

// targetsIn counts the targets in a list, without taking any of it. It is 0 where
// that cannot be known: what is no file on a disk may have no end.
func targetsIn(list io.Reader) (n int) {
	f, ok := list.(*os.File)
	if !ok || !hasEnd(list) {
		return 0
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	lines := bufio.NewReader(io.NewSectionReader(f, at, 1<<62))
	for {
		line, more, err := lines.ReadLine()
		if err != nil {
			return n
		}
		if line = bytes.TrimLeft(line, " \t"); len(line) > 0 && line[0] != '#' {
			n++
		}
		for more && err == nil { // the rest of a long one
			_, more, err = lines.ReadLine()
		}
	}
}
