package sshdlog

import (
	"bytes"
	"math/bits"
)

// tallies are the groups of a Counter, as it was at some time.
type tallies map[string]tally

// A tally has the users whom a group counts events of that name no file and no
// key. When it is full, such an event of another user is left out.
type tally struct {
	users *users
	full  bool
}

// users are names that a line has as they are, and what their events are counted
// as. Those of up to two words are found without a map.
type users struct {
	all   map[string]int
	short [512]struct { // more than twice perCause
		shortName
		count int
		taken bool
	}
}

// encoded reports whether a name may stand for another one, by strnvis(3) or by
// syslogd.
func encoded(name []byte) bool {
	return bytes.IndexByte(name, '\\') >= 0 || bytes.IndexByte(name, '#') >= 0
}

// A shortName has 0 behind its end.
type shortName struct {
	first, second uint64
	size          int
}

// shorten takes a name of up to two words, with room for them.
func shorten(name []byte) shortName {
	n, b := len(name), name[:2*wordSize]
	return shortName{load(b) & lowest(n), load(b[wordSize:]) & lowest(n-wordSize), n}
}

// lowest has the bits of the first n bytes of a word.
func lowest(n int) uint64 { return ^uint64(0) >> (64 - 8*max(0, min(n, wordSize))) }

// place returns where a short name stands, or is to stand.
func (u *users) place(n shortName) int {
	at := int((n.first ^ bits.RotateLeft64(n.second, 29)) * mix >> 55)
	for u.short[at].taken && u.short[at].shortName != n {
		at = (at + 1) % len(u.short)
	}
	return at
}

func (u *users) add(name string, count int) {
	u.all[name] = count
	if len(name) <= 2*wordSize {
		n := shorten(append(make([]byte, 0, 2*wordSize), name...))
		s := &u.short[u.place(n)]
		s.shortName, s.count, s.taken = n, count, true
	}
}

func (u *users) find(name []byte) (count int, ok bool) {
	if len(name) > 2*wordSize || cap(name) < 2*wordSize {
		count, ok = u.all[string(name)]
		return count, ok
	}
	s := &u.short[u.place(shorten(name))]
	return s.count, s.taken
}
