package sshdlog

import (
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
)

// pieceSize is how much of a log is read at once. It is more than a line may
// have, and less than the nearer caches of a processor.
const pieceSize = 2 * bufferSize

// windowSize is about how much of a file is mapped at once: a few large pages of
// the kernel.
const windowSize = 4 << 20

// firstWindow is the size of the first one, a variable for tests.
var firstWindow = pieceSize

// A Mapper is a log that is a file, of which parts can be had in memory without
// copying them. Its Read is that of what it would read first.
type Mapper interface {
	io.Reader
	io.ReaderAt // any part; 0 is where Read starts
	// Size returns how much there was at first.
	Size() int64
	// Map returns size bytes at off, all of them below Size, until unmap is
	// called. Whoever reads them faults where the file was cut short meanwhile,
	// or the disk fails, and may see them change.
	Map(off int64, size int) (part []byte, unmap func(), err error)
}

// A piece is a part of a log, of whole lines, but for one that is too long.
type piece struct {
	buf    []byte // with room behind it that may be read
	to     int    // where it ends in buf
	inside bool   // it starts in a line of which no more is wanted
	own    []byte // memory for what is read
	at     int64  // where it starts in a Mapper
	unmap  func() // nil if buf is not of a Mapper

	sifted  chan struct{} // receives once what is below holds
	marks   []mark
	unknown int     // lines of programs that we know, but without a mark
	foreign int     // lines of others
	wanted  []int   // the marks of lines of which there is an event that is not counted here
	again   []again // those that are, by what they are counted as
	misses  []miss
	records int // where it goes on with records over several lines, or -1
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
	last  string // the same, once the piece is sifted
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

// release gives back what is mapped.
func (p *piece) release() {
	if p.unmap != nil {
		p.unmap()
		p.buf, p.unmap = nil, nil
	}
}

// guarded runs f, which reads the piece, and reports whether it came to its end.
// It does not where what is mapped is not there any more, or has changed while f
// was looking at it.
func (p *piece) guarded(f func()) (ended bool) {
	if p.unmap == nil {
		f()
		return true
	}
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if ended {
			return
		}
		if e := recover(); e != nil {
			if _, ok := e.(runtime.Error); !ok {
				panic(e)
			}
		}
	}()
	f()
	return true
}

// A cutter cuts a log into pieces.
type cutter struct {
	mu     sync.Mutex
	log    Mapper // nil if it is none
	mapped bool   // pieces are mapped, from at on
	at     int64
	window int // the size of the next one
	r      io.Reader
	err    error  // of r
	rest   []byte // of a line that is not whole yet
	inside bool   // what comes next belongs to a line that was too long
	queue  chan *piece

	stopped bool
}

// newCutter returns a cutter with a queue that holds n pieces.
func newCutter(r io.Reader, n int) *cutter {
	l := &cutter{r: r, queue: make(chan *piece, n), window: firstWindow}
	l.log, l.mapped = r.(Mapper)
	return l
}

// next puts a piece into the queue, before anyone has the one that follows. It
// reports whether there was any.
func (l *cutter) next(p *piece) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.err != nil || !l.mapNext(p) && !l.read(p) {
		return false
	}
	l.queue <- p
	return true
}

// mapNext maps a piece, if it can. It starts small, since the first pieces tell
// what to count in those that follow. Windows end at multiples of their size,
// where large pages do too: only whole ones are mapped at once.
func (l *cutter) mapNext(p *piece) bool {
	if !l.mapped {
		return false
	}
	window := int64(l.window)
	size := int((l.at+window/2)/window*window + window - l.at) // half of it to half as much again
	if l.log.Size()-l.at >= int64(size+slack) {
		if part, unmap, err := l.log.Map(l.at, size+slack); err == nil {
			p.buf, p.inside, p.at, p.unmap = part, false, l.at, unmap
			if p.guarded(func() { p.to = bytes.LastIndexByte(part[:size], '\n') + 1 }) && p.to > 0 {
				l.at += int64(p.to)
				l.window = min(2*l.window, windowSize)
				return true
			}
			p.release()
		}
	}
	l.readOn()
	return false
}

// readOn goes over to reading, at the end or if something cannot be mapped.
func (l *cutter) readOn() {
	if l.mapped {
		l.r, l.mapped = io.NewSectionReader(l.log, l.at, math.MaxInt64-l.at), false
	}
}

// copied reads a mapped piece once more, as far as it is there.
func (l *cutter) copied(p *piece) {
	own := make([]byte, p.to+slack)
	n, err := l.log.ReadAt(own[:p.to], p.at)
	if err != nil && !errors.Is(err, io.EOF) {
		l.mu.Lock()
		l.err = err
		l.mu.Unlock()
	}
	p.release()
	p.buf, p.to = own, n
}

// read reads a piece, if there is any.
func (l *cutter) read(p *piece) bool {
	if p.own == nil {
		p.own = make([]byte, pieceSize+slack)
	}
	p.buf = p.own
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
	return true
}

// from returns the rest of a piece, to be read.
func (l *cutter) from(p *piece, at int) io.Reader {
	if p.unmap == nil {
		return bytes.NewReader(p.buf[at:p.to])
	}
	p.release()
	return io.NewSectionReader(l.log, p.at+int64(at), int64(p.to-at))
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
	l.readOn()
	return l.r.Read(b)
}
