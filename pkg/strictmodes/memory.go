package strictmodes

import (
	"context"
)

// A Memory is a Tree that looks at nothing twice until Forget: each look at a
// far one is a round trip, and many accounts' homes are in the same
// directories. What it says may be out of date. It is for one goroutine.
//
// A Tree with a Memory method is judged by the Memory that it returns, so that
// what was seen for one account is known for the next.
type Memory struct {
	Tree
	trail []node                // the directories of the last straight way, from the root on
	seen  map[string]statAnswer // what else was looked at
	stats []Stat                // those of the last descent
	lists map[string][]Grant    // the access lists that were asked for
}

// A Descender is a Tree that can look at all components of a path faster than
// one by one.
type Descender interface {
	// Descend looks at each component of path, clean and absolute, after its
	// first from bytes, which are a real directory or empty. It returns into
	// with the Stats appended as long as they are directories, and Lstat's
	// error for the next component; nil also where Lstat is to be asked.
	Descend(ctx context.Context, path string, from int, into []Stat) ([]Stat, error)
}

// NewMemory returns a Memory of tree that knows nothing yet.
func NewMemory(tree Tree) *Memory {
	return &Memory{Tree: tree, seen: make(map[string]statAnswer), lists: make(map[string][]Grant)}
}

type statAnswer struct {
	st  Stat
	err error
}

// mostSeen bounds what is remembered beside the trail: more than what one
// account has, and few enough to be found and forgotten quickly.
const mostSeen = 100

// Forget discards what was seen, so that it is looked at again.
func (m *Memory) Forget() {
	m.leave(0)
	clear(m.seen)
	clear(m.lists)
}

// Lstat implements Tree.
func (m *Memory) Lstat(ctx context.Context, p string) (Stat, error) {
	for _, n := range m.trail {
		if n.path == p {
			return n.Stat, nil
		}
	}
	l := m.lstat(ctx, p)
	m.keep(p, l)
	return l.st, l.err
}

// lstat looks at what is not on the trail.
func (m *Memory) lstat(ctx context.Context, p string) statAnswer {
	l, ok := m.seen[p]
	if !ok {
		l.st, l.err = m.Tree.Lstat(ctx, p)
	}
	return l
}

func (m *Memory) keep(p string, l statAnswer) {
	if len(m.seen) >= mostSeen {
		clear(m.seen)
	}
	m.seen[p] = l
}

func (m *Memory) remember(p string, list []Grant) {
	if len(m.lists) >= mostSeen {
		clear(m.lists)
	}
	m.lists[p] = list
}

// leave ends the trail after so many directories.
func (m *Memory) leave(known int) {
	for _, n := range m.trail[known:] {
		m.keep(n.path, statAnswer{st: n.Stat})
	}
	m.trail = m.trail[:known]
}

// A descent is what a Descender has said of the next components.
type descent struct {
	stats []Stat
	err   error // of the one behind those; nil if nothing is said of it
}

func (d *descent) next() (l statAnswer, ok bool) {
	if len(d.stats) > 0 {
		l.st, d.stats = d.stats[0], d.stats[1:]
		return l, true
	}
	l.err, d.err = d.err, nil
	return l, l.err != nil
}

// descend asks a Descender, if there is one and the next component is unknown.
func (m *Memory) descend(ctx context.Context, name string, from int) (d descent) {
	tree, ok := m.Tree.(Descender)
	if !ok {
		return d
	}
	if _, ok := m.seen[name[:next(name, from)]]; ok {
		return d
	}
	m.stats, d.err = tree.Descend(ctx, name, from, m.stats[:0])
	d.stats = m.stats
	return d
}
