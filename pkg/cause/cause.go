// Package cause is the catalogue of why a login by key works or not: each
// stable word that a record may carry, what it means, how it is known, and
// what cures it. pi-key-causes(7) says the same in full.
package cause

// An Entry is one cause.
type Entry struct {
	Word     string // stable, lower case with hyphens
	Meaning  string // one sentence
	Evidence string // how it is known
	Cure     string // what to do; "" for a good outcome
}

// Lookup returns the entry of a word.
func Lookup(word string) (Entry, bool) { panic("unwritten") }

// All returns every entry, sorted by word.
func All() []Entry { panic("unwritten") }
