package diagnose

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
)

// gatherFiles is gather for an account that runs no shell: by its files alone.
func (f *facts) gatherFiles(ctx context.Context, fsys hostfs.FS) error {
	who, err := fsys.Account(ctx)
	if err != nil {
		return err
	}
	f.filesAlone, f.account, f.conn.User = true, who, who.Name
	if group, err := fsys.ReadFile(ctx, "/etc/group"); err == nil {
		names := hostfs.GroupNames(string(group))
		for _, gid := range who.Groups {
			if name, ok := names[gid]; ok {
				f.conn.Groups = append(f.conn.Groups, name)
			}
		}
	}
	if !f.openSSH() {
		return f.readKeys(ctx, fsys)
	}
	if f.files, err = sshdconfig.Load(ctx, fsys, sshdconfig.DefaultFile); err != nil {
		return err
	}
	f.evaluate(nil, sshdconfig.DefaultFile)
	if lists, _ := f.config.RevokedKeys(); len(lists) > 0 {
		data, err := fsys.ReadFile(ctx, lists[0])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			f.revokedIs = listAbsent
		case err != nil:
			f.revokedIs = listUnread
		case bytes.HasPrefix(data, []byte("SSHKRL")):
			f.revokedIs = listKRL
		default:
			f.revokedIs, f.revoked = listRead, string(data)
		}
	}
	return f.readKeys(ctx, fsys)
}

// readKeys reads the keys files.
func (f *facts) readKeys(ctx context.Context, fsys hostfs.FS) error {
	f.held = map[string][]numbered{}
	for _, place := range f.places() {
		files := []string{place}
		if strings.ContainsAny(place, "*?[") {
			found, err := fsys.Glob(ctx, place)
			if err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
			files = found
		}
		for _, file := range files {
			data, err := fsys.ReadFile(ctx, file)
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, hostfs.ErrNotRegular): // which modes explains
				continue
			case err != nil:
				return err
			}
			f.held[file] = nil
			number := 0
			for line := range strings.Lines(string(data)) {
				number++
				n := numbered{number, strings.TrimSuffix(line, "\n")}
				if slices.ContainsFunc(f.sought(), func(k sshkey.Public) bool { return len(linesWith([]numbered{n}, k)) > 0 }) {
					f.held[file] = append(f.held[file], n)
				}
			}
		}
	}
	return nil
}
