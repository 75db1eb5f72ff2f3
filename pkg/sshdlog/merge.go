package sshdlog

import (
	"io"
	"runtime"
	"sync"
	"sync/atomic"
)

// mostWorkers bounds the memory, whatever the machine: each has two windows.
const mostWorkers = 8

// AddLog counts the events of a log of severity want and above: those that a
// Scanner yields, in its order, but using all processors and in much less time.
// It reads to the end, returns any error other than io.EOF, and holds a bounded
// part of the log. A Mapper is not copied.
func (c *Counter) AddLog(r io.Reader, want Severity) (Stats, error) {
	prepare()
	workers := min(runtime.GOMAXPROCS(0), mostWorkers)
	c.init()
	m := merger{counter: c, scanner: Scanner{want: want}, last: make(map[int]int)}
	m.tallies.Store(&tallies{})
	l := newCutter(r, 2*workers)
	free := make(chan *piece, cap(l.queue))
	for range cap(free) {
		free <- &piece{sifted: make(chan struct{}, 1)}
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			v := sieve{want: want}
			for p := range free {
				if !l.next(p) {
					return
				}
				v.tallies, v.last = *m.tallies.Load(), nil
				if !p.guarded(func() { v.sift(p) }) {
					v = sieve{want: want, tallies: v.tallies} // it may have learned half of something
					l.copied(p)
					v.sift(p)
				}
				p.sifted <- struct{}{}
			}
		})
	}
	go func() {
		running.Wait()
		close(l.queue)
	}()
	var left []io.Reader // what is not for the sieve
	for p := range l.queue {
		<-p.sifted
		if left != nil {
			left = append(left, l.from(p, 0))
			continue
		}
		m.merge(p)
		if p.records < 0 {
			p.release()
			free <- p
			continue
		}
		left = append(left, l.from(p, p.records))
		l.stop()
		close(free)
	}
	s := &m.scanner
	s.r, s.buf = io.MultiReader(append(left, l)...), make([]byte, bufferSize)
	for s.Scan() {
		c.Add(s.Event())
	}
	return s.Stats(), s.Err()
}

// A merger puts together what the pieces say, in their order.
type merger struct {
	counter *Counter
	scanner Scanner
	tallies atomic.Pointer[tallies] // as the sieves may read them
	slow    int                     // events since, that they did not help with
	mark    int                     // where it is in a piece
	line    []byte                  // a copy, whatever becomes of the file
	last    map[int]int             // the mark at which what is counted was counted last in it, but for what is again
}

// merge takes the next piece.
func (m *merger) merge(p *piece) {
	s := &m.scanner
	s.stats.Lines += len(p.marks) + p.unknown + p.foreign
	s.stats.Known += len(p.marks)
	s.stats.Unknown += p.unknown
	s.stats.Foreign += p.foreign
	for _, miss := range p.misses {
		m.counter.leftOut[miss.cause] += miss.times
	}
	clear(m.last)
	m.mark = 0
	for _, mark := range p.wanted {
		m.tell(p, mark)
		t := m.text(p, p.marks[mark])
		if pattern := t.match(s.want, &s.found); pattern != nil {
			s.understood(&t, pattern)
			m.flush()
		}
		m.mark++
		m.slow++
	}
	m.tell(p, len(p.marks))
	for i, a := range p.again {
		if a.times == 0 {
			continue
		}
		count := &m.counter.counts[i]
		count.Times += a.times
		if m.last[i] <= a.mark {
			count.Last = a.last
		}
	}
	if m.slow > len(m.counter.counts) {
		t := m.counter.tallies()
		m.tallies.Store(&t)
		m.slow = 0
	}
}

// tell gives the events that wait what lines of their connections know, up to a
// mark.
func (m *merger) tell(p *piece, to int) {
	s := &m.scanner
	for ; m.mark < to && len(s.waiting.events) > 0; m.mark++ {
		if k := p.marks[m.mark]; s.waiting.processes[k.process] > 0 {
			t := m.text(p, k)
			s.tell(&t, &unwanted)
			m.flush()
		}
	}
	m.mark = to
}

// text returns the text of a line.
func (m *merger) text(p *piece, k mark) text {
	t := text{times: 1}
	if !p.guarded(func() {
		var line []byte
		line, t.cut, _ = p.line(k.at)
		m.line = append(m.line[:0], line...)
	}) {
		m.line = m.line[:0]
	}
	t.read(m.line)
	t.clean()
	return t
}

// flush counts what is ready.
func (m *merger) flush() {
	for i := range m.scanner.ready {
		e := &m.scanner.ready[i]
		e.settle()
		if i := m.counter.add(*e); i >= 0 {
			m.last[i] = m.mark
		}
	}
	m.scanner.ready = m.scanner.ready[:0]
}
