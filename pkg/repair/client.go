package repair

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/confline"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
	"pi-key-tools/pkg/unixpath"
)

// client repairs what ssh itself refuses, for the account who, in ~/.ssh: every
// private key that others may read, and one or a known_hosts that cannot be read, by
// ssh's rule for the real file, and a config, or what it includes, that others
// may write, by the rule of that client. The records are as home's, but none
// where nothing is refused or there is no ~/.ssh.
func (j *Job) client(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, client strictmodes.Server) ([]record.Record, error) {
	r, err := j.repairer(ctx, fsys, who)
	if err != nil {
		return nil, err
	}
	for {
		findings, err := j.refused(ctx, fsys, who, client)
		if err != nil {
			return r.records, err
		}
		if changed := r.round(findings); !changed {
			return r.records, context.Cause(ctx)
		}
	}
}

// refused returns what ssh refuses in ~/.ssh.
func (j *Job) refused(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, client strictmodes.Server) ([]strictmodes.Finding, error) {
	dir, st, err := strictmodes.RealPath(ctx, fsys, path.Join(who.Home, ".ssh"))
	if errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode.IsDir() {
		return nil, nil
	}
	var files []string
	if err == nil {
		files, err = glob(ctx, fsys, dir, "*")
	}
	var home string
	if err == nil {
		home, _, err = strictmodes.RealPath(ctx, fsys, who.Home)
	}
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil { // root's, in a home of ours, or behind a circle of links: ssh cannot read it either
		j.trace("what is in %s cannot be looked at: %v", path.Join(who.Home, ".ssh"), err)
		return nil, nil
	}
	l := looked{fsys: fsys, who: who, client: client, files: files, config: path.Join(dir, "config"), configs: make(map[string]bool)}
	if slices.Contains(files, l.config) {
		l.configs[l.config] = true
		include(ctx, fsys, who.Home, l.config, l.configs, maxIncludes)
		l.files = append(files, slices.DeleteFunc(slices.Sorted(maps.Keys(l.configs)), func(p string) bool { return p == l.config })...)
	}
	var findings []strictmodes.Finding
	for _, name := range l.files {
		f, refused, err := l.judge(ctx, name)
		if err != nil {
			return nil, err
		}
		if !refused {
			continue
		}
		if !unixpath.Within(home, f.Path) {
			f.Repair, f.Detail = strictmodes.None, f.Detail+"; it is outside the home"
		}
		findings = append(findings, f)
	}
	return findings, context.Cause(ctx)
}

// looked is what there is to be judged by ssh's rules.
type looked struct {
	fsys    hostfs.FS
	who     strictmodes.Account
	client  strictmodes.Server
	files   []string        // in ~/.ssh, and what its config includes
	config  string          // that one, which ssh does without if it cannot read it
	configs map[string]bool // which of them are configuration
}

// judge returns what ssh refuses of a file, if it does. What it cannot use anyhow,
// it does not refuse.
func (l looked) judge(ctx context.Context, name string) (f strictmodes.Finding, refused bool, err error) {
	file, st, err := strictmodes.RealPath(ctx, l.fsys, name)
	if err != nil || !st.Mode.IsRegular() {
		return f, false, nil
	}
	switch {
	case l.configs[name] && !strictmodes.MayRead(st, l.who):
		f, refused = strictmodes.JudgeIncluded(file, st, l.who)
		return f, refused && name != l.config, nil
	case l.configs[name]:
		return strictmodes.JudgeConfig(ctx, l.fsys, file, st, l.who.UID, l.client)
	case path.Base(name) == "known_hosts":
		f, refused = strictmodes.JudgeKnownHosts(file, st, l.who)
		return f, refused, nil
	}
	// Most files need no look into them.
	if f, refused = strictmodes.JudgeKeyReadable(file, st, l.who); !refused {
		f, refused = strictmodes.JudgePrivateKey(file, st, l.who.UID)
	}
	if !refused {
		return f, false, nil
	}
	is, err := isPrivateKey(ctx, l.fsys, file)
	// What cannot be looked into is one by its name.
	byName := slices.Contains(sshkey.DefaultNames, path.Base(name)) || slices.Contains(l.files, name+".pub")
	return f, is || errors.Is(err, fs.ErrPermission) && f.Cause == "key-unreadable" && byName, nil
}

// maxIncludes is how deep ssh follows them, readconf.c READCONF_MAX_DEPTH.
const maxIncludes = 16

// include adds to configs what a configuration file of the user's includes, in
// whatever block: ssh judges all of it. What changes with the target or the
// environment is left out, and what is nested deeper than left.
func include(ctx context.Context, fsys hostfs.FS, home, file string, configs map[string]bool, left int) {
	data, err := fsys.ReadFile(ctx, file)
	if err != nil || left == 0 {
		return
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		end := strings.IndexAny(line, " \t=")
		if end < 0 || !strings.EqualFold(line[:end], "include") {
			continue
		}
		patterns, _ := confline.Split(strings.TrimLeft(line[end:], " \t="))
		for _, p := range patterns {
			var found []string
			switch inHome, ok := strings.CutPrefix(p, "~/"); {
			case ok:
				found, err = glob(ctx, fsys, home, inHome)
			case path.IsAbs(p):
				found, err = fsys.Glob(ctx, p)
			default:
				found, err = glob(ctx, fsys, path.Join(home, ".ssh"), p)
			}
			if err != nil {
				continue // ssh cannot read it either, or would read for ever
			}
			for _, f := range found {
				if !configs[f] {
					configs[f] = true
					include(ctx, fsys, home, f, configs, left-1)
				}
			}
		}
	}
}

// isPrivateKey reports whether a file starts as one does that ssh can read.
func isPrivateKey(ctx context.Context, fsys hostfs.FS, file string) (bool, error) {
	data, err := fsys.ReadFile(ctx, file)
	if err != nil {
		return false, err
	}
	line, _, _ := bytes.Cut(data[:min(len(data), 64)], []byte("\n"))
	return bytes.HasPrefix(line, []byte("-----BEGIN ")) && bytes.Contains(line, []byte("PRIVATE KEY-----")), nil
}

// glob returns what a pattern leads to in a directory, whose name may hold what
// patterns are made of.
func glob(ctx context.Context, fsys hostfs.FS, dir, pattern string) ([]string, error) {
	return fsys.Glob(ctx, path.Join(plain.Replace(dir), pattern))
}

var plain = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// list returns what is in a directory.
func list(ctx context.Context, fsys hostfs.FS, dir string) ([]entry, error) {
	var entries []entry
	for _, pattern := range []string{"*", ".*"} {
		found, err := glob(ctx, fsys, dir, pattern)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			name := path.Base(p)
			if path.Dir(p) != dir || name == "." || name == ".." { // which ".*" leads to as well
				continue
			}
			st, err := fsys.Lstat(ctx, p)
			if err != nil {
				return nil, err
			}
			entries = append(entries, entry{name, st})
		}
	}
	return entries, nil
}
