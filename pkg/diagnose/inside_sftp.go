package diagnose

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// gatherFiles is gather for an account that runs no shell: by its files alone.
func (in *inside) gatherFiles(ctx context.Context, fsys hostfs.FS) error {
	who, err := fsys.Account(ctx)
	if err != nil {
		return err
	}
	in.account, in.conn.User = who, who.Name
	in.remains = append(in.remains, "what sftp does not tell, and this account runs no shell: "+
		"how the server was started, the address that it sees us at, whether the account is locked, and SELinux")
	if group, err := fsys.ReadFile(ctx, "/etc/group"); err == nil {
		in.conn.Groups = namesOf(string(group), who.Groups)
	}
	data, err := fsys.ReadFile(ctx, in.path)
	switch {
	case err == nil:
		in.readable = true
		in.lines = linesWith(data, base64.StdEncoding.EncodeToString(in.key.Blob))
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, hostfs.ErrNotRegular): // which modes explains
		return err
	}
	if in.server == strictmodes.Dropbear {
		name, _ := in.dropbearFile()
		in.sameFiles(ctx, fsys, name)
		return nil
	}
	if !in.openSSH() {
		return nil
	}
	if in.files, err = sshdconfig.Load(ctx, fsys, sshdconfig.DefaultFile); err != nil {
		return err
	}
	if len(in.files[sshdconfig.DefaultFile]) == 0 { // sshd does not start without: it is elsewhere
		in.files[sshdconfig.DefaultFile] = []sshdconfig.File{{Path: sshdconfig.DefaultFile, Unread: true}}
	}
	in.config = sshdconfig.Evaluate(nil, sshdconfig.DefaultFile, in.files, in.conn)
	names, _ := in.config.KeysFiles(in.account.Home, in.account.UID)
	in.sameFiles(ctx, fsys, names...)
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
	return nil
}

// sameFiles finds other names of the keys file.
func (in *inside) sameFiles(ctx context.Context, fsys hostfs.FS, names ...string) {
	ours, _, err := strictmodes.RealPath(ctx, fsys, in.path)
	if err != nil {
		return
	}
	for _, name := range names {
		if real, _, err := strictmodes.RealPath(ctx, fsys, name); err == nil && real == ours {
			in.same = append(in.same, name)
		}
	}
}

// linesWith returns the lines of a keys file that hold a text.
func linesWith(data []byte, text string) []numbered {
	var found []numbered
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if bytes.Contains(line, []byte(text)) {
			found = append(found, numbered{number, string(bytes.TrimSuffix(line, []byte("\n")))})
		}
	}
	return found
}

// namesOf returns the names of groups, by the lines of group(5).
func namesOf(group string, gids []int) []string {
	var names []string
	for line := range strings.Lines(group) {
		if f := strings.Split(line, ":"); len(f) == 4 {
			if gid, err := strconv.Atoi(f[2]); err == nil && slices.Contains(gids, gid) {
				names = append(names, f[0])
			}
		}
	}
	return names
}

// undecided notes an option of a line whose test needs what is not known. It is
// the likeliest of what remains.
func (in *inside) undecided(at, option, value string) {
	in.remains = slices.Insert(in.remains, 0, fmt.Sprintf(`%s="%s" at %s`, option, value, at))
}
