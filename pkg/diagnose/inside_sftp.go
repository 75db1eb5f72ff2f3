package diagnose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
)

// gatherFiles is gather for an account that runs no shell: by its files alone.
func (in *inside) gatherFiles(ctx context.Context) error {
	fsys := in.fsys
	who, err := fsys.Account(ctx)
	if err != nil {
		return err
	}
	in.account, in.conn.User = who, who.Name
	in.remains = append(in.remains, "what sftp cannot show, since this account runs no shell: "+
		"how the server was started, the address it sees us at, whether the account is locked, and SELinux")
	if group, err := fsys.ReadFile(ctx, "/etc/group"); err == nil {
		names := hostfs.GroupNames(string(group))
		for _, gid := range who.Groups {
			if name, ok := names[gid]; ok {
				in.conn.Groups = append(in.conn.Groups, name)
			}
		}
	}
	if !in.openSSH() {
		return in.readKeys(ctx)
	}
	if in.files, err = sshdconfig.Load(ctx, fsys, sshdconfig.DefaultFile); err != nil {
		return err
	}
	if len(in.files[sshdconfig.DefaultFile]) == 0 { // sshd does not start without: it is elsewhere
		in.files[sshdconfig.DefaultFile] = []sshdconfig.File{{Path: sshdconfig.DefaultFile, Unread: true}}
	}
	in.config = sshdconfig.Evaluate(nil, sshdconfig.DefaultFile, in.files, in.conn)
	if list, ok := in.config.Get("RevokedKeys"); ok && list.Args[0] != "none" {
		data, err := fsys.ReadFile(ctx, list.Args[0])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			in.revokedIs = listAbsent
		case err != nil:
			in.revokedIs = listUnread
		case bytes.HasPrefix(data, []byte("SSHKRL")):
			in.remains = append(in.remains, "the revocation list "+list.Args[0])
		default:
			in.revokedIs, in.revoked = listRead, string(data)
		}
	}
	return in.readKeys(ctx)
}

// readKeys reads the keys files.
func (in *inside) readKeys(ctx context.Context) error {
	in.held = map[string][]numbered{}
	for _, place := range in.places() {
		files := []string{place}
		if strings.ContainsAny(place, "*?[") {
			found, err := in.fsys.Glob(ctx, place)
			if err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
			files = found
		}
		for _, file := range files {
			data, err := in.fsys.ReadFile(ctx, file)
			switch {
			case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, hostfs.ErrNotRegular): // which modes explains
				continue
			case err != nil:
				return err
			}
			in.held[file] = nil
			number := 0
			for line := range strings.Lines(string(data)) {
				number++
				n := numbered{number, strings.TrimSuffix(line, "\n")}
				if slices.ContainsFunc(in.sought(), func(k sshkey.Public) bool { return len(linesWith([]numbered{n}, k)) > 0 }) {
					in.held[file] = append(in.held[file], n)
				}
			}
		}
	}
	return nil
}

// undecided notes an option of a line whose test needs what is not known. It is
// the likeliest of what remains.
func (in *inside) undecided(at, option, value string) {
	in.remains = slices.Insert(in.remains, 0, fmt.Sprintf(`%s="%s" at %s`, option, value, at))
}
