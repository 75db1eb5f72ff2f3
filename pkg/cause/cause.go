// Package cause is the catalogue of why a login by key works or fails: each
// stable word that a record may carry, what it means, how it is known, and what
// cures it. pi-key-causes(7) says the same in full.
package cause

import (
	"cmp"
	"slices"
	"sync"
)

// An Entry is one cause.
type Entry struct {
	Word     string // stable, lower case with hyphens
	Meaning  string // one sentence
	Evidence string // how it is known
	Example  string // a record with the word; for a word used only in a note on standard error, the note
	Cure     string // what to do; "" for a good outcome
}

// Lookup returns the entry for a word.
func Lookup(word string) (Entry, bool) {
	all := sorted()
	i, found := slices.BinarySearchFunc(all, word, func(e Entry, w string) int {
		return cmp.Compare(e.Word, w)
	})
	if !found {
		return Entry{}, false
	}
	return all[i], true
}

// All returns every entry, sorted by word.
func All() []Entry { return slices.Clone(sorted()) }

// sorted is made when it is first asked for: most runs never ask.
var sorted = sync.OnceValue(func() []Entry {
	return slices.SortedFunc(slices.Values(slices.Concat(
		outcomes, theRun, thisSide, theNetwork, theAccount, farFiles,
	)), func(a, b Entry) int { return cmp.Compare(a.Word, b.Word) })
})
