package strictmodes

import (
	"context"
	"errors"
	"io/fs"
)

// sound reports whether the default keys files of an account are such that no
// server refuses them, as those of most accounts are: no link is on the way, and
// nothing that a rule of any server could be about. It is quick, and says
// nothing of the others. home is clean and absolute.
func sound(ctx context.Context, tree Tree, who Account, home string, server Server) bool {
	if home == "/" {
		return false
	}
	for end := next(home, 0); end < len(home); end = next(home, end) {
		if st, err := tree.Lstat(ctx, home[:end]); err != nil || !st.Mode.IsDir() || st.Mode&0001 == 0 {
			return false
		}
	}
	keys := home + "/.ssh/authorized_keys2"
	dir, first := keys[:len(home)+len("/.ssh")], keys[:len(keys)-1]
	if !soundAt(ctx, tree, who, home, fs.ModeDir, 1) || !soundAt(ctx, tree, who, dir, fs.ModeDir, 1) || !soundAt(ctx, tree, who, first, 0, 4) {
		return false
	}
	if server.IsDropbear() {
		return true
	}
	_, err := tree.Lstat(ctx, keys)
	return errors.Is(err, fs.ErrNotExist)
}

// soundAt judges one path: its type, that only the account and root have it, and
// that the account may do with it what the bit says.
func soundAt(ctx context.Context, tree Tree, who Account, p string, kind fs.FileMode, bit fs.FileMode) bool {
	st, err := tree.Lstat(ctx, p)
	if err != nil || st.Mode.Type() != kind || st.Mode&0022 != 0 {
		return false
	}
	switch st.UID {
	case who.UID:
		return st.Mode&(bit<<6) != 0
	case 0:
		return st.Mode&bit != 0 // of groups others know more
	}
	return false
}
