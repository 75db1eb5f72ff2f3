package sshconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

// maxDepth is READCONF_MAX_DEPTH of readconf.c.
const maxDepth = 16

// A file is a configuration file with all that it includes.
type file struct {
	user  bool // the user's or -F, not the system's: decides what its identity files count as
	lines []*directive
}

// load returns the files that hold for a Request.ConfigFile, and reads them
// when it is first asked for: the time of that target is all they get.
func (r *Resolver) load(ctx context.Context, config string, here local) ([]*file, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.files[config]; ok {
		return known.files, known.err
	}
	var list []*file
	read := func(f *file, err error) error {
		if err == nil {
			list = append(list, f)
		}
		return err
	}
	l := loader{ctx: ctx, home: here.home, systemDir: filepath.Dir(r.systemFile())}
	var err error
	switch {
	case isNone(config):
	case config != "":
		if err = read(l.file(config, true, false, 0)); err != nil {
			err = fmt.Errorf("-F %w", err)
		}
	default:
		// ssh passes over either file when it cannot open it.
		var cannotOpen *fs.PathError
		err = read(l.file(filepath.Join(here.home, ".ssh", "config"), true, true, 0))
		if err == nil || errors.As(err, &cannotOpen) {
			err = read(l.file(r.systemFile(), false, false, 0))
		}
		if errors.As(err, &cannotOpen) {
			err = nil
		}
	}
	if r.files == nil {
		r.files = make(map[string]configFiles)
	}
	r.files[config] = configFiles{list, err}
	return list, err
}

func (r *Resolver) systemFile() string {
	if r.SystemFile != "" {
		return r.SystemFile
	}
	return systemFile()
}

// A loader reads one set of files.
type loader struct {
	ctx             context.Context
	home, systemDir string
}

var errDepth = errors.New("too many recursive configuration includes")

// file reads a file and, line by line, what it includes. An error is that of
// opening it, a *PermissionError, a *WaitError, or errDepth, which ssh never gets
// past wherever it comes across it.
func (l loader) file(path string, user, checked bool, depth int) (*file, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: %w", path, errDepth)
	}
	data, err := l.read(path, checked)
	if err != nil {
		return nil, err
	}
	f := &file{user: user, lines: parse(path, data)}
	for _, d := range f.lines {
		if d.keyword == nil || d.keyword.kind != isInclude || d.err != nil {
			continue
		}
		for _, pattern := range d.args {
			l.include(d, pattern, user, depth+1)
			if d.err != nil {
				break
			}
		}
		if errors.Is(d.err, errDepth) || errors.As(d.err, new(*WaitError)) {
			return nil, d.err
		}
	}
	return f, nil
}

// include reads the files that one argument of an Include line names.
func (l loader) include(d *directive, pattern string, user bool, depth int) {
	if strings.Contains(pattern, "%") || strings.Contains(pattern, "${") {
		d.unsure = "an Include whose path changes with the target in some versions of ssh"
		return
	}
	var err error
	switch {
	case strings.HasPrefix(pattern, "~") && !user:
		d.refuse("bad include path %s", pattern)
		return
	case strings.HasPrefix(pattern, "~"):
		if pattern, err = expandTilde(pattern, l.home); err != nil {
			return // glob(3) takes it as it is, and finds nothing
		}
	case filepath.IsAbs(pattern):
	case user:
		pattern = filepath.ToSlash(l.home) + "/.ssh/" + pattern
	default:
		pattern = filepath.ToSlash(l.systemDir) + "/" + pattern
	}
	for _, path := range glob(pattern) {
		f, err := l.file(path, user, true, depth)
		switch {
		case err == nil:
			d.include = append(d.include, f)
		case errors.Is(err, fs.ErrNotExist):
			// A dangling link, or gone since.
		case errors.Is(err, errDepth):
			d.err = err
			return
		default:
			d.err = fmt.Errorf("%s: %w", d.at, err)
			return
		}
	}
}

// glob is glob(3) as Include has it: in the order of the bytes, and a wildcard
// does not stand for a dot at the beginning of a name.
func glob(pattern string) []string {
	// "[!a]" is glob(3)'s, "[^a]" Go's.
	found, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil { // not a pattern, then, but perhaps a name
		if _, err := os.Lstat(pattern); err == nil {
			found = []string{pattern}
		}
	}
	names := func(path string) []string {
		return strings.FieldsFunc(path, func(c rune) bool { return c == '/' || c == filepath.Separator })
	}
	wanted := names(pattern)
	found = slices.DeleteFunc(found, func(path string) bool {
		for i, name := range names(path) {
			if strings.HasPrefix(name, ".") && i < len(wanted) && !strings.HasPrefix(wanted[i], ".") {
				return true
			}
		}
		return false
	})
	slices.Sort(found)
	return found
}

// read is the function read, which may wait for a pipe, within the time there is.
func (l loader) read(path string, checked bool) ([]byte, error) {
	data, err := bounded.Await(l.ctx, func() ([]byte, error) { return read(path, checked) })
	if cause := context.Cause(l.ctx); cause != nil && errors.Is(err, cause) {
		return nil, &WaitError{path}
	}
	return data, err
}

// read returns what is in a file; nothing for a directory, as fopen(3) and
// getline(3) have it.
func read(path string, checked bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if checked {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if err := checkOwner(path, info); err != nil {
			return nil, err
		}
	}
	data, err := bounded.ReadOpen(f)
	if errors.Is(err, syscall.EISDIR) {
		return nil, nil
	}
	return data, err
}

// checkOwner is the check of readconf.c read_config_file_depth(), in Debian's
// ssh with its patch user-group-modes. What cannot be judged is refused.
func checkOwner(path string, info fs.FileInfo) error {
	client := strictmodes.OpenSSH
	if _, err := os.Stat("/etc/debian_version"); err == nil {
		client = strictmodes.Debian
	}
	st := hostfs.StatOf(info)
	_, refused, err := strictmodes.JudgeConfig(context.Background(), hostfs.Local(), path, st, os.Getuid(), client)
	switch {
	case st.Mode&fs.ModeDevice != 0 && refused: // such as /dev/zero: to take the modes away would be no cure
		return fmt.Errorf("%s: %w", path, hostfs.ErrNotRegular)
	case refused || err != nil:
		return &PermissionError{Path: path, Mode: st.Mode, UID: st.UID}
	}
	return nil
}
