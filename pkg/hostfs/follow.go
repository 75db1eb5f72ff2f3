package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"pi-key-tools/pkg/strictmodes"
)

// ErrLeadsOut means that a link leads out of the directory it must stay in.
var ErrLeadsOut = errors.New("a link leads out")

// ErrLinks means that links form a cycle, or are too many to follow.
var ErrLinks = errors.New("too many links")

// ErrNotDirectory means that there is something else where a directory should be.
var ErrNotDirectory = errors.New("it is not a directory")

// A Location is where a name leads once its links are followed.
type Location struct {
	Dir   string            // the directory, below the base: "." or ".ssh"
	Name  string            // in the directory; not a link
	Stat  *strictmodes.Stat // nil if nothing is there
	NoDir bool              // the directory is missing too, but nothing above it
}

// Follow resolves name, relative to the directory base, as long as it stays
// there: a link that does not lead to somewhere below base is ErrLeadsOut. base
// itself is taken as it is, through links or not. Other errors are ErrLinks,
// ErrNotDirectory and the tree's, such as fs.ErrNotExist if more than the last
// directory is missing. Each is a *fs.PathError.
//
// The result may be out of date a moment later, so open it without following
// any further link.
func Follow(ctx context.Context, tree strictmodes.Tree, base, name string) (Location, error) {
	var dir []string // real names below base
	links := 0
	todo := components(name)
	for len(todo) > 0 {
		next := todo[0]
		todo = todo[1:]
		if next == ".." {
			if len(dir) == 0 {
				return Location{}, &fs.PathError{Op: "following", Path: path.Join(base, name), Err: ErrLeadsOut}
			}
			dir = dir[:len(dir)-1]
			continue
		}
		at := path.Join(append(append([]string{base}, dir...), next)...)
		st, err := tree.Lstat(ctx, at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && len(todo) == 0:
			return Location{Dir: path.Join(append([]string{"."}, dir...)...), Name: next}, nil
		case errors.Is(err, fs.ErrNotExist) && len(todo) == 1 && todo[0] != "..":
			return Location{Dir: path.Join(append(dir, next)...), Name: todo[0], NoDir: true}, nil
		case err != nil:
			return Location{}, &fs.PathError{Op: "looking at", Path: at, Err: plain(err)}
		case st.Mode&fs.ModeSymlink != 0:
			if links++; links > 40 { // as many as Linux follows
				return Location{}, &fs.PathError{Op: "following", Path: at, Err: ErrLinks}
			}
			target, err := tree.Readlink(ctx, at)
			if err != nil {
				return Location{}, &fs.PathError{Op: "reading the link", Path: at, Err: plain(err)}
			}
			if path.IsAbs(target) {
				if target, err = below(ctx, tree, base, target); err != nil {
					return Location{}, &fs.PathError{Op: "following", Path: at, Err: err}
				}
				dir = nil
			}
			todo = append(components(target), todo...)
		case len(todo) == 0:
			return Location{Dir: path.Join(append([]string{"."}, dir...)...), Name: next, Stat: &st}, nil
		case !st.Mode.IsDir():
			return Location{}, &fs.PathError{Op: "following", Path: at, Err: ErrNotDirectory}
		default:
			dir = append(dir, next)
		}
	}
	return Location{}, &fs.PathError{Op: "following", Path: path.Join(base, name), Err: fmt.Errorf("%w: it is a directory", ErrNotRegular)}
}

// components splits a path. It does not clean it: "link/.." is not nothing.
func components(name string) []string {
	return strings.FieldsFunc(strings.ReplaceAll("/"+name+"/", "/./", "//"), func(r rune) bool { return r == '/' })
}

// below returns an absolute target relative to base: by its name, or else, if
// base has another name too, by the real names of both.
func below(ctx context.Context, tree strictmodes.Tree, base, target string) (string, error) {
	if rest, ok := strings.CutPrefix(target, strings.TrimSuffix(base, "/")+"/"); ok {
		return rest, nil
	}
	realBase, _, err := strictmodes.RealPath(ctx, tree, base)
	if err != nil {
		return "", fmt.Errorf("%w, to %s", ErrLeadsOut, target)
	}
	realDir, _, err := strictmodes.RealPath(ctx, tree, path.Dir(target))
	if rest, ok := strings.CutPrefix(realDir+"/", strings.TrimSuffix(realBase, "/")+"/"); err == nil && ok {
		return path.Join(rest, path.Base(target)), nil
	}
	return "", fmt.Errorf("%w, to %s", ErrLeadsOut, target)
}
