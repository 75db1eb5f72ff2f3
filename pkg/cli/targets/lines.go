package targets

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/destination"
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
