package install

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// An Engine edits one authorized_keys file. There is one for a far shell
// (Shell), one for sftp where there is no shell, and one for a mounted card.
type Engine interface {
	// Edit makes a change: the file is the complete old or the complete new one
	// at every moment, and when err is nil the change is on disk (but see
	// Answer.Unsynced) and has been read back. A *PutError means that the file
	// is as it was, unless it is Unsure; after any other error, that is unknown
	// too. What an Answer lists as Added beside an error is in place all the
	// same, from an earlier part of the change.
	Edit(ctx context.Context, c Change) (Answer, error)
	// Read returns the whole file; nil data if there is none.
	Read(ctx context.Context) (path string, data []byte, err error)
}

// A Change is a change to make to an authorized_keys file.
type Change struct {
	Add   []Line     // each unless a line holds its key's blob already
	Force bool       // add them all the same
	Drop  []Numbered // lines to take out, if they are still what they were
	// With holds the lines that replace a dropped one, by its number, without
	// NULs and without newlines; each gets one.
	With   map[int][]string
	Backup bool // keep a copy of the old file if it changes; see Answer.Backup
	DryRun bool // change nothing; say what would be
}

// A Line is an entry to add.
type Line struct {
	Key     sshkey.Public
	Options string // before the key, as sshd reads them; "" for none
}

// Text is the line without a newline.
func (l Line) Text() string {
	if l.Options == "" {
		return l.Key.Line()
	}
	return l.Options + " " + l.Key.Line()
}

// A Numbered is a line of the file, counted from 1, without its newline.
type Numbered struct {
	Number int
	Text   string
}

// An Answer is what was done, or would be.
type Answer struct {
	Path  string
	Added []string              // blobs, in base64, of the lines added
	Have  map[string][]Numbered // lines that held a blob already, live or not
	// Backup is the path of the copy of the old file kept beside it: FILE.old,
	// or FILE.old2 and so on, since no copy replaces another. It has the file's
	// owner and mode, and is on disk before the new file gets the name. "" if
	// none was asked for or there was nothing to keep.
	Backup string
	// Unsynced is why the change, though made and read back, is not known to be
	// on disk; "" if it is.
	Unsynced string
}

// onOverlay is an Unsynced: what is on an overlay may be in the memory alone, as
// with that of raspi-config.
const onOverlay = "it is on an overlay"

// mayBeUndone tells of what was done that it may not last.
func mayBeUndone(r *record.Record, unsynced string) {
	switch unsynced {
	case "":
	case onOverlay:
		r.Detail += "; " + onOverlay + ", which may lose it at a reboot"
		r.Hint = "an overlay may lose this at a reboot; to keep it, disable the overlay and run this again; there: sudo raspi-config nonint do_overlayfs 1 && sudo reboot"
	default:
		r.Detail += "; a power cut may still undo it: " + unsynced
	}
}

// A PutError says why the file could not be changed.
type PutError struct {
	Cause string // a word of pi-key-causes(7)
	Path  string // "" if it was not yet known
	Said  string // the system's own words

	// Unsure means that the new file may be in place after all, but is not
	// known to be on disk. Otherwise the file is as it was.
	Unsure bool

	denied  bool // EACCES: an owner or a mode is in the way
	noShell bool // hostfs.ErrNoShell
}

func (e *PutError) Error() string {
	text := "authorized_keys is unchanged"
	if e.Unsure {
		text = "it is not known whether authorized_keys is the old or the new file"
	}
	switch {
	case e.Said != "":
		return text + ": " + e.Said
	case e.Cause == "keys-not-a-file": // by put.sh, which no error of the system told
		return text + ": something else is where a file or a directory belongs"
	}
	return text
}

// Is tells session.ByShell that there is the other way.
func (e *PutError) Is(target error) bool { return e.noShell && target == hostfs.ErrNoShell }

// apply is the change of a file that is at hand. It never touches old.
func (c Change) apply(path string, old []byte) (edited []byte, a Answer, err error) {
	a = Answer{Path: path, Have: map[string][]Numbered{}}
	var lines []string
	for _, l := range c.Add {
		b := l.Key.Base64()
		if slices.Contains(a.Added, b) {
			continue
		}
		if found := holding(old, b); len(found) > 0 && !c.Force {
			a.Have[b] = found
			continue
		}
		a.Added = append(a.Added, b)
		lines = append(lines, l.Text())
	}
	edited = old
	if len(c.Drop) > 0 {
		if edited, err = without(old, c.Drop, c.With); err != nil {
			return nil, a, &PutError{Cause: "busy", Path: path, Said: err.Error()}
		}
	}
	return authorizedkeys.Append(edited, lines...), a, nil
}

// holding returns the lines that hold a blob.
func holding(data []byte, blob string) []Numbered {
	// For its end alone, first, in all of the file at once: that is as fast as
	// grep, and with all of it much slower (bytes.Index).
	if !bytes.Contains(data, []byte(blob[max(0, len(blob)-16):])) {
		return nil
	}
	var found []Numbered
	n := 0
	for line := range bytes.Lines(data) {
		n++
		if bytes.Contains(line, []byte(blob)) {
			found = append(found, Numbered{n, string(bytes.TrimSuffix(line, []byte("\n")))})
		}
	}
	return found
}

// without returns the data without the lines to drop, and with those that take
// their place.
func without(data []byte, drop []Numbered, with map[int][]string) ([]byte, error) {
	var kept []byte
	n, dropped := 0, 0
	for line := range bytes.Lines(data) {
		n++
		i := slices.IndexFunc(drop, func(d Numbered) bool { return d.Number == n })
		switch {
		case i < 0:
			kept = append(kept, line...)
		case strings.TrimSuffix(string(line), "\n") != drop[i].Text:
			return nil, fmt.Errorf("line %d has changed in the meantime", n)
		case len(with[n]) == 1 && with[n][0] == drop[i].Text: // it stays as it is
			dropped++
			kept = append(kept, line...)
		default:
			dropped++
			for _, text := range with[n] {
				kept = append(append(kept, text...), '\n')
			}
		}
	}
	if dropped < len(drop) {
		return nil, fmt.Errorf("a line to be removed is already gone")
	}
	return kept, nil
}
