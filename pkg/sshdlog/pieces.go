package sshdlog

import (
	"bytes"
	"io"
	"sync"
)

// pieceSize is how much of a log is read at once. It is more than a line may
// have, and less than the nearer caches of a processor.
const pieceSize = 2 * bufferSize

// A piece is a part of a log, of whole lines, but for one that is too long.
type piece struct {
	buf    []byte // with room behind it that may be read
	to     int    // where it ends in buf
	inside bool   // it starts in a line of which no more is wanted

	sifted  chan struct{} // receives once what is below holds
	marks   []mark
	unknown int     // lines of programs that we know, but without a mark
	foreign int     // lines of others
	wanted  []int   // the marks of lines of which there is an event that is not counted here
	again   []again // those that are, by what they are counted as
	misses  []miss
	export  int // where it goes on as journalctl -o export, or -1
}

// A mark is a line that was recognized.
type mark struct {
	at      int
	process process
}

// What is again is met as often in a piece as this says.
type again struct {
	times int
	mark  int    // of the last line
	time  []byte // of that
}

// A miss is how many events of a cause are counted as left out.
type miss struct {
	cause string
	times int
}

// line returns the line at a place, as Scanner.line does, and where the next
// one is.
func (p *piece) line(at int) (line []byte, cut bool, next int) {
	line, next = p.buf[at:p.to], p.to
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line, next = line[:end], at+end+1
	}
	if len(line) >= bufferSize {
		return line[:keptOfLong], true, next
	}
	return line, false, next
}

// miss counts an event as left out.
func (p *piece) miss(cause string, times int) {
	for i := range p.misses {
		if p.misses[i].cause == cause {
			p.misses[i].times += times
			return
		}
	}
	p.misses = append(p.misses, miss{cause, times})
}

// A cutter cuts a log into pieces.
type cutter struct {
	mu     sync.Mutex
	r      io.Reader
	err    error  // of r
	rest   []byte // of a line that is not whole yet
	inside bool   // what comes next belongs to a line that was too long
	queue  chan *piece

	stopped bool
}

// next reads a piece and puts it into the queue, before anyone reads the one
// that follows. It reports whether there was any.
func (l *cutter) next(p *piece) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.err != nil {
		return false
	}
	if p.buf == nil {
		p.buf = make([]byte, pieceSize+slack)
	}
	p.inside, p.to = l.inside, copy(p.buf, l.rest)
	l.rest = l.rest[:0]
	for l.err == nil && p.to < pieceSize {
		var n int
		n, l.err = readSome(l.r, p.buf[p.to:pieceSize])
		p.to += n
	}
	if p.to == 0 {
		return false
	}
	if l.err == nil {
		end := bytes.LastIndexByte(p.buf[:p.to], '\n') + 1
		if l.inside = end == 0; !l.inside {
			l.rest = append(l.rest, p.buf[end:p.to]...)
			p.to = end
		}
	}
	l.queue <- p
	return true
}

// stop ends the cutting. What is left can be read then.
func (l *cutter) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
}

// Read reads what no piece has.
func (l *cutter) Read(b []byte) (int, error) {
	if len(l.rest) > 0 {
		n := copy(b, l.rest)
		l.rest = l.rest[n:]
		return n, nil
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.r.Read(b)
}
