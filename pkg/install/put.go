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
}

// Put adds the keys that no live line of the file has, with the options given.
// It returns the path of the file. The change is on the disk, and has been
// read back, when err is nil.
func Put(ctx context.Context, engine Engine, lines []Line, force, dryRun bool) (path string, placed []Placed, err error) {
	first, err := engine.Edit(ctx, Change{Add: lines, Force: force, DryRun: dryRun})
	if err != nil {
		return first.Path, nil, err
	}
	// A line that holds the blob and that sshd passes by (commented out, with
	// an option it does not know) does not count: then add the key after all.
	var dead []Line
	placed = make([]Placed, len(lines))
	for i, l := range lines {
		placed[i] = Placed{Key: l.Key, Added: slices.Contains(first.Added, blob(l.Key))}
		if placed[i].Added {
			continue
		}
		if placed[i].Entry = first.live(l.Key); placed[i].Entry == nil {
			placed[i].Added = true
			dead = append(dead, l)
		}
	}
	if len(dead) > 0 {
		if _, err := engine.Edit(ctx, Change{Add: dead, Force: true, DryRun: dryRun}); err != nil {
			return first.Path, nil, err
		}
	}
	return first.Path, placed, nil
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
