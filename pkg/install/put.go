// Package install puts public keys into an authorized_keys, proves that they log
// in, and lists, rewrites and removes what is there: of a host, through a login,
// or of a mounted card. Job.Boot has a boot partition let them in.
package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/sshkey"
)

// A placement is what became of one key.
type placement struct {
	Key   sshkey.Public
	Added bool                  // by this call; or would be, in a dry run
	Entry *authorizedkeys.Entry // the live line that has it, if it was there
	// Beside is a live line through which it admits the holders of other
	// certificates, if it was added beside one.
	Beside *authorizedkeys.Entry
	// Unsynced is why it is not known to be on the disk; see Answer.
	Unsynced string
	// Unseen is why its line could not be looked at, if it was there and that failed.
	Unseen error
}

// putLines adds the keys that no live line of the file has, with the options given.
// With force the new line takes the place of the live ones, since sshd goes by
// the first that it finds. It returns the path of the file. The change is on
// the disk, and has been read back, when err is nil; of keys in several
// batches, those that come back with an error are in their place.
func putLines(ctx context.Context, engine Engine, lines []Line, force, dryRun bool) (path string, placed []placement, err error) {
	first, err := engine.Edit(ctx, Change{Add: lines, DryRun: dryRun || force})
	// A line that holds the blob and that sshd passes by (commented out, with
	// an option it does not know) does not count: then add the key after all.
	var again Change
	for _, l := range lines {
		p := placement{Key: l.Key, Added: slices.Contains(first.Added, l.Key.Base64()), Unsynced: first.Unsynced}
		live := first.live(l)
		switch {
		case p.Added && !force:
		case len(live) > 0 && (!force || len(live) == 1 && live[0].text == l.Text()):
			p.Entry = &live[0].entry
		default:
			again.Add = append(again.Add, l)
			for _, have := range live {
				again.Drop = append(again.Drop, Numbered{have.entry.Line, have.text})
			}
			continue
		}
		placed = append(placed, p)
	}
	if err != nil || len(again.Add) == 0 {
		return first.Path, placed, err
	}
	slices.SortFunc(again.Drop, func(a, b Numbered) int { return a.Number - b.Number })
	again.Force, again.DryRun = true, dryRun
	second, err := engine.Edit(ctx, again)
	for _, l := range again.Add {
		if slices.Contains(second.Added, l.Key.Base64()) {
			placed = append(placed, placement{Key: l.Key, Added: true, Beside: first.otherwise(l), Unsynced: second.Unsynced})
		}
	}
	return first.Path, placed, err
}

// A liveEntry is a live line that has a key.
type liveEntry struct {
	entry authorizedkeys.Entry
	text  string
}

// live returns the entries by which sshd would let the key of a line in, or,
// if that is to be an authority, what it has signed for the same principals; the
// least restricted one first.
func (a Answer) live(l Line) []liveEntry {
	wanted := l.entry()
	var all []liveEntry
	for _, found := range a.Have[l.Key.Base64()] {
		e, ok := authorizedkeys.ParseLine([]byte(found.Text))
		if !ok || e.Dead != "" || !e.Key.Equal(l.Key) || !alike(e, wanted) {
			continue
		}
		e.Line = found.Number
		all = append(all, liveEntry{e, found.Text})
	}
	slices.SortStableFunc(all, func(a, b liveEntry) int {
		switch {
		case a.entry.Restricts() == b.entry.Restricts():
			return 0
		case b.entry.Restricts():
			return -1
		}
		return 1
	})
	return all
}

// otherwise returns a live entry of the authority of a line for other
// principals. sshd looks at both, and either lets in.
func (a Answer) otherwise(l Line) *authorizedkeys.Entry {
	wanted := l.entry()
	for _, found := range a.Have[l.Key.Base64()] {
		e, ok := authorizedkeys.ParseLine([]byte(found.Text))
		if ok && e.Dead == "" && e.Key.Equal(l.Key) && e.IsAuthority() && wanted.IsAuthority() && !alike(e, wanted) {
			e.Line = found.Number
			return &e
		}
	}
	return nil
}

// alike reports whether two entries of a key are for the same: for the key
// itself, or as an authority for the same principals.
func alike(a, b authorizedkeys.Entry) bool {
	return a.IsAuthority() == b.IsAuthority() && slices.Equal(principals(a), principals(b))
}

// principals returns the names of principals=, in order; nil if there is none.
func principals(e authorizedkeys.Entry) []string {
	names, ok := e.Value("principals")
	if !ok {
		return nil
	}
	return slices.Sorted(strings.SplitSeq(names, ","))
}

// sameOptions reports whether two lists of options say the same. The principals
// may be in another order.
func sameOptions(a, b authorizedkeys.Entry) bool {
	return slices.EqualFunc(a.Options, b.Options, func(x, y authorizedkeys.Option) bool {
		return x == y || x.Name == "principals" && y.Name == x.Name && alike(a, b)
	})
}

// entry is how sshd reads the line.
func (l Line) entry() authorizedkeys.Entry {
	e, _ := authorizedkeys.ParseLine([]byte(l.Text()))
	return e
}

// describe says which line of the file has a key, and what restricts it.
func describe(e *authorizedkeys.Entry) string {
	text := fmt.Sprintf("line %d", e.Line)
	if !e.Restricts() {
		return text
	}
	return text + ", with " + options(*e)
}
