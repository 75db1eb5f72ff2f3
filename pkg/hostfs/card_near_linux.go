package hostfs

import (
	"context"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"pi-key-tools/pkg/strictmodes"
)

// A nearCard keeps the folders open that were looked into last. What is in one
// takes a single call of the kernel then, in place of three.
type nearCard struct {
	card *Card
	open []openFolder // the latest at the end
}

type openFolder struct {
	path string
	handle
}

// mostOpen is a home, its .ssh, what homes are in, and one to spare.
const mostOpen = 4

func (c *Card) near() nearby { return &nearCard{card: c} }

func (n *nearCard) lstat(name string) (strictmodes.Stat, error) {
	dir, base := path.Split(name)
	if base == "" || base == "." || base == ".." { // which would lead out of a folder
		return n.card.Lstat(context.Background(), name)
	}
	h, err := n.folder(dir)
	if err == nil {
		var st unix.Stat_t
		if err = unix.Fstatat(int(h), base, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			return statOf(&st), nil
		}
	}
	return strictmodes.Stat{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
}

// folder returns an open folder, and closes the one that was longest not looked
// into.
func (n *nearCard) folder(dir string) (handle, error) {
	if i := slices.IndexFunc(n.open, func(f openFolder) bool { return f.path == dir }); i >= 0 {
		f := n.open[i]
		n.open = append(slices.Delete(n.open, i, i+1), f)
		return f.handle, nil
	}
	h, err := n.card.look(dir, unix.O_DIRECTORY)
	if err != nil {
		return h, err
	}
	if len(n.open) == mostOpen {
		n.open[0].close()
		n.open = slices.Delete(n.open, 0, 1)
	}
	n.open = append(n.open, openFolder{dir, h})
	return h, nil
}

func (n *nearCard) forget() {
	for _, f := range n.open {
		f.close()
	}
	n.open = n.open[:0]
}
