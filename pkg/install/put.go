// Package install puts public keys into a far authorized_keys, and proves that
// they log in.
package install

import (
	"context"
	"fmt"
	"slices"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/sshkey"
)

// A Placed is what became of one key.
type Placed struct {
	Key   sshkey.Public
	Added bool                  // by this call; or would be, in a dry run
	Entry *authorizedkeys.Entry // the live line that has it, if it was there
	// Unsynced is why it is not known to be on the disk; see Answer.
	Unsynced string
}

// Put adds the keys that no live line of the file has, with the options given.
// It returns the path of the file. The change is on the disk, and has been
// read back, when err is nil; of keys in several batches, those that come back
// with an error are in their place.
func Put(ctx context.Context, engine Engine, lines []Line, force, dryRun bool) (path string, placed []Placed, err error) {
	first, err := engine.Edit(ctx, Change{Add: lines, Force: force, DryRun: dryRun})
	// A line that holds the blob and that sshd passes by (commented out, with
	// an option it does not know) does not count: then add the key after all.
	var dead []Line
	for _, l := range lines {
		p := Placed{Key: l.Key, Added: slices.Contains(first.Added, blob(l.Key)), Unsynced: first.Unsynced}
		if !p.Added {
			if p.Entry = first.live(l.Key); p.Entry == nil {
				dead = append(dead, l)
				continue
			}
		}
		placed = append(placed, p)
	}
	if err != nil || len(dead) == 0 {
		return first.Path, placed, err
	}
	second, err := engine.Edit(ctx, Change{Add: dead, Force: true, DryRun: dryRun})
	for _, l := range dead {
		if slices.Contains(second.Added, blob(l.Key)) {
			placed = append(placed, Placed{Key: l.Key, Added: true, Unsynced: second.Unsynced})
		}
	}
	return first.Path, placed, err
}

// live returns the entry by which sshd would let the key in, the least
// restricted one if there are several.
func (a Answer) live(key sshkey.Public) *authorizedkeys.Entry {
	var best *authorizedkeys.Entry
	for _, found := range a.Have[blob(key)] {
		e, ok := authorizedkeys.ParseLine([]byte(found.Text))
		authority := func(o authorizedkeys.Option) bool { return o.Name == "cert-authority" }
		if !ok || e.Dead != "" || !e.Key.Equal(key) || slices.ContainsFunc(e.Options, authority) {
			continue // sshd does not let the key itself in by this line
		}
		e.Line = found.Number
		if best == nil || (best.Restricts() && !e.Restricts()) {
			best = &e
		}
	}
	return best
}

// describe says which line of the file has a key, and what restricts it.
func describe(e *authorizedkeys.Entry) string {
	text := fmt.Sprintf("line %d", e.Line)
	if !e.Restricts() {
		return text
	}
	return text + ", with " + options(*e)
}
