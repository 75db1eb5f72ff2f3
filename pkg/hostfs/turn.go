package hostfs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	mathrand "math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"
)

// All writers of an authorized_keys file take turns: far shells (put.sh of package
// install), those by sftp (there too), and Card, which may be the root of a machine
// that runs.
//
// There is one name for the turn, TurnName beside the file, and whoever is alone in
// the directory of that name has it. A writer makes a directory of its own, with its
// new file in it, and takes the turn by renaming that: rename(2) does it only over
// nothing or over an empty directory. A shell, which has no such rename, makes the
// directory of the turn where there is none, and in it one that names its process,
// with its new file in that; it has the turn if nothing else is there.
//
// The new file goes to its place from there, by the name of the turn, which ends
// with the last that is in it.
//
// A writer that died leaves its turn behind. Whoever has watched it for so long that
// nothing moved evicts it (a shell, one that is no process any more, at once), and
// need not be sure: a writer that lives after all has lost its new file with its
// directory, cannot put it in its place, and begins anew. So a turn that is
// taken away too early costs time, and never a line.
const TurnName = ".authorized_keys.turn"

const (
	// TurnWait is how long is waited for the turn.
	TurnWait = 20 * time.Second
	// TurnPatience is how long a writer may keep it without a sign of life before
	// it is taken for dead.
	TurnPatience = 10 * time.Second
)

// ErrBusy means that the turn did not come in time.
var ErrBusy = errors.New("another writer did not finish in time")

// errEvicted means that our turn, with the new file in it, is gone.
var errEvicted = fmt.Errorf("%w: another writer took this one for dead", ErrChanged)

// A TurnDir is the directory of a keys file as far as taking turns goes; so is an
// sftp.Client.
type TurnDir interface {
	ReadDir(name string) ([]fs.FileInfo, error)
	// PosixRename is rename(2).
	PosixRename(from, to string) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
}

// AwaitedTurn returns a name in dir for the directory of a writer until TakeTurn.
func AwaitedTurn(dir string) string { return path.Join(dir, ".authorized_keys."+rand.Text()) }

// TakeTurn makes a directory of a writer, which is called AwaitedTurn and not empty,
// that of the turn, and returns its new name. The error may be ErrBusy or ErrChanged.
func TakeTurn(ctx context.Context, d TurnDir, own string, patience time.Duration, deadline time.Time) (string, error) {
	turn := path.Join(path.Dir(own), TurnName)
	var seen string
	since, free := time.Now(), 0
	for {
		refused := d.PosixRename(own, turn)
		if refused == nil {
			return turn, nil
		}
		there, err := others(d, turn)
		switch {
		case ctx.Err() != nil:
			return "", context.Cause(ctx)
		case errors.Is(err, fs.ErrNotExist): // it was given back just now, or something else is in the way
			if _, err := d.ReadDir(own); errors.Is(err, fs.ErrNotExist) {
				return "", errEvicted
			}
			if free++; free > 10 {
				return "", &fs.PathError{Op: "taking", Path: turn, Err: refused}
			}
		case err != nil:
			return "", &fs.PathError{Op: "looking at", Path: turn, Err: err}
		case time.Now().After(deadline):
			return "", ErrBusy
		case there == "": // over, and this file system renames over no directory
			d.Remove(turn)
		case there != seen:
			seen, since = there, time.Now()
		case time.Since(since) > patience:
			evict(d, turn)
		}
		if err == nil {
			free = 0
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(20+mathrand.IntN(80)) * time.Millisecond):
		}
	}
}

// others tells who is in the turn, and how that looks; "" if nobody is.
func others(d TurnDir, turn string) (string, error) {
	entries, err := d.ReadDir(turn)
	var signs []string
	for _, f := range entries {
		signs = append(signs, fmt.Sprintf("%s/%d/%d", f.Name(), f.Size(), f.ModTime().UnixNano()))
	}
	slices.Sort(signs)
	return strings.Join(signs, "/"), err
}

// evict takes a turn away, and removes it as far as it is what a writer makes: a
// directory with files, or with a directory with files. What stays of it stands in
// nobody's way.
func evict(d TurnDir, turn string) {
	aside := AwaitedTurn(path.Dir(turn))
	if d.PosixRename(turn, aside) == nil {
		empty(d, aside, 1)
	}
}

// empty removes a directory with what is in it, to a depth.
func empty(d TurnDir, dir string, depth int) {
	entries, _ := d.ReadDir(dir)
	for _, f := range entries {
		if name := path.Join(dir, f.Name()); f.IsDir() && depth > 0 {
			empty(d, name, depth-1)
		} else {
			d.Remove(name)
		}
	}
	d.Remove(dir)
}
