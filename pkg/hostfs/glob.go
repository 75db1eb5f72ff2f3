package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"pi-key-tools/pkg/strictmodes"
)

// maxNames bounds what a pattern may make us look at: a user's may lead anywhere.
const maxNames = 10_000

// glob returns what a pattern of an absolute path leads to, sorted, by the
// rules of glob(3): a leading dot is matched by a dot alone, and what has no
// special character need not be in a directory that can be read. names lists one.
// The error is ErrTooMany rather than that the whole disk is searched.
func glob(ctx context.Context, tree strictmodes.Tree, pattern string, names func(dir string) ([]string, error)) ([]string, error) {
	if !path.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path", pattern)
	}
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }
	found, looked := []string{""}, 0
	parts := components(strings.ReplaceAll(pattern, "[!", "[^"))
	for i, c := range parts {
		var next []string
		for _, dir := range found {
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
			if !strings.ContainsAny(c, `*?[\`) {
				if i == len(parts)-1 { // of any other, what is in it will tell
					_, err := tree.Lstat(ctx, dir+"/"+c)
					if missing(err) {
						continue
					}
					if err != nil {
						return nil, err
					}
				}
				next = append(next, dir+"/"+c)
				continue
			}
			all, err := names(dir + "/")
			if err != nil && !missing(err) {
				return nil, err
			}
			if looked += len(all); looked > maxNames {
				return nil, fmt.Errorf("%s: %w", pattern, ErrTooMany)
			}
			matching, err := match(c, all)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", pattern, err)
			}
			for _, name := range matching {
				next = append(next, dir+"/"+name)
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// match returns those of the names in a directory that a component matches.
func match(component string, names []string) ([]string, error) {
	var matching []string
	for _, name := range names {
		ok, err := path.Match(component, name)
		if err != nil {
			return nil, err
		}
		if ok && (component[0] == '.' || name[0] != '.') {
			matching = append(matching, name)
		}
	}
	return matching, nil
}
