package sshdconfig

import (
	"context"
	"errors"
	"io/fs"
)

// A Reader reads the files of the machine that a configuration belongs to.
type Reader interface {
	// ReadFile's error wraps fs.ErrNotExist if there is no such file.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// Glob returns the sorted matches of a pattern; none is no error.
	Glob(ctx context.Context, pattern string) ([]string, error)
}

// maxLoaded and maxText bound what a configuration can make its reader read:
// how many patterns of Include, how many files, and how many bytes of those.
// Whoever made a card may wish to tire us.
const (
	maxLoaded = 200
	maxText   = 16 << 20
)

// Load reads main and everything that it includes. What cannot be read is
// marked Unread; a main that does not exist has no file. The only error is the
// context's.
func Load(ctx context.Context, r Reader, main string) (Files, error) {
	files := Files{}
	if data, err := r.ReadFile(ctx, main); !errors.Is(err, fs.ErrNotExist) {
		files[main] = []File{{Path: main, Text: string(data), Unread: err != nil}}
	} else {
		files[main] = nil
	}
	l := loader{r, maxLoaded, maxText}
	for missing := files.Missing(main); len(missing) > 0; missing = files.Missing(main) {
		for _, pattern := range missing {
			files[pattern] = []File{{Path: pattern, Unread: true}}
			if len(files) <= maxLoaded+1 {
				files[pattern] = l.lookUp(ctx, pattern)
			}
			if err := context.Cause(ctx); err != nil {
				return nil, err
			}
		}
	}
	return files, context.Cause(ctx)
}

// A loader reads as long as something is left of what may be read.
type loader struct {
	Reader
	files, bytes int // that are left
}

// lookUp reads the files that a pattern of Include leads to.
func (l *loader) lookUp(ctx context.Context, pattern string) []File {
	names, err := l.Glob(ctx, pattern)
	if err != nil || len(names) > l.files {
		return []File{{Path: pattern, Unread: true}}
	}
	l.files -= len(names)
	var files []File
	for _, name := range names {
		f := File{Path: name, Unread: true}
		if l.bytes > 0 {
			data, err := l.ReadFile(ctx, name)
			f.Text, f.Unread = string(data), err != nil
			l.bytes -= len(data)
		}
		files = append(files, f)
	}
	return files
}
