//go:build unix

package repair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// PrivateKeys repairs, for the user uid of this machine, what ssh itself
// refuses in dir, which is ~/.ssh: every private key that others may read, by
// ssh's rule for the real file, and a config that others may write, by the rule
// of the ssh that is installed. fsys is hostfs.Local. The records are as
// Home's, but none where nothing is refused or there is no dir.
func PrivateKeys(ctx context.Context, fsys hostfs.FS, dir string, uid int, dryRun bool) ([]record.Record, error) {
	me, err := fsys.Account(ctx)
	if err != nil {
		return nil, err
	}
	real, _, err := strictmodes.RealPath(ctx, fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for private keys: %w", err)
	}
	entries, err := os.ReadDir(real)
	if err != nil {
		return nil, fmt.Errorf("looking for private keys: %w", err)
	}
	who := strictmodes.Account{UID: uid, Home: filepath.Dir(real)}
	r := repairer{ctx: ctx, fsys: fsys, me: me, who: who, dryRun: dryRun, seen: make(map[string]bool)}
	var findings []strictmodes.Finding
	for _, e := range entries {
		path, st, err := strictmodes.RealPath(ctx, fsys, filepath.Join(real, e.Name()))
		if err != nil || !st.Mode.IsRegular() {
			continue // ssh cannot use it either
		}
		var f strictmodes.Finding
		var refused bool
		if e.Name() == "config" {
			if f, refused, err = strictmodes.JudgeConfig(ctx, fsys, path, st, uid, client(ctx)); err != nil {
				return nil, err
			}
		} else if isPrivateKey(path) {
			f, refused = strictmodes.JudgePrivateKey(path, st, uid)
		}
		if !refused {
			continue
		}
		if !strings.HasPrefix(path, who.Home+"/") {
			f.Repair, f.Detail = strictmodes.None, f.Detail+"; it is outside the home"
		}
		findings = append(findings, f)
	}
	r.round(findings)
	return r.records, ctx.Err()
}

// client returns which ssh is installed here, by what "ssh -V" says.
func client(ctx context.Context) strictmodes.Server {
	version, _ := exec.CommandContext(ctx, "ssh", "-V").CombinedOutput() // no ssh, no word: All
	return strictmodes.ServerOf(string(version))
}

// isPrivateKey reports whether a file starts as one does that ssh can read.
func isPrivateKey(path string) bool {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() { // it may have been swapped
		return false
	}
	line := make([]byte, 64)
	n, _ := io.ReadFull(f, line)
	line, _, _ = bytes.Cut(line[:n], []byte("\n"))
	return bytes.HasPrefix(line, []byte("-----BEGIN ")) && bytes.Contains(line, []byte("PRIVATE KEY-----"))
}
