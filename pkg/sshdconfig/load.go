package sshdconfig

import (
	"context"
	"errors"
	"io/fs"
)

// A Reader reads the files of the machine that a configuration is of.
type Reader interface {
	// ReadFile's error is fs.ErrNotExist, by errors.Is, where it is that.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// Glob returns what a pattern leads to, sorted; one without a match is no
	// error.
	Glob(ctx context.Context, pattern string) ([]string, error)
}

// maxLoaded bounds what a configuration can make its reader read: the patterns
// of Include, and the files of each. Whoever made a card may wish to tire us.
const maxLoaded = 200

// Load reads main, and all that it includes. What cannot be read is marked
// Unread; a main that is not there has no file. The error is the context's,
// and there is none else.
func Load(ctx context.Context, r Reader, main string) (Files, error) {
	files := Files{}
	if data, err := r.ReadFile(ctx, main); !errors.Is(err, fs.ErrNotExist) {
		files[main] = []File{{Path: main, Text: string(data), Unread: err != nil}}
	} else {
		files[main] = nil
	}
	for missing := files.Missing(main); len(missing) > 0; missing = files.Missing(main) {
		for _, pattern := range missing {
			if len(files) > maxLoaded {
				files[pattern] = []File{{Path: pattern, Unread: true}}
				continue
			}
			files[pattern] = lookUp(ctx, r, pattern)
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
	}
	return files, context.Cause(ctx)
}

// lookUp reads the files that a pattern of Include leads to.
func lookUp(ctx context.Context, r Reader, pattern string) []File {
	names, err := r.Glob(ctx, pattern)
	if err != nil || len(names) > maxLoaded {
		return []File{{Path: pattern, Unread: true}}
	}
	var files []File
	for _, name := range names {
		data, err := r.ReadFile(ctx, name)
		files = append(files, File{Path: name, Text: string(data), Unread: err != nil})
	}
	return files
}
