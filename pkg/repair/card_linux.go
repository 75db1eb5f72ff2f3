package repair

import (
	"fmt"
	"path/filepath"

	"pi-key-tools/pkg/hostfs"
)

// OpenCard opens the root file system mounted at dir, and also returns its real
// path. The caller calls end.
func OpenCard(dir string) (card hostfs.Machine, root string, end func(), err error) {
	c, err := hostfs.OpenCard(dir) // which says best what is wrong with it
	if err != nil {
		return nil, "", nil, fmt.Errorf("--root %w", err)
	}
	if root, err = filepath.Abs(dir); err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if err != nil {
		c.Close()
		return nil, "", nil, fmt.Errorf("--root %s: %w", dir, err)
	}
	if root == "/" {
		root = ""
	}
	return c, root, c.Close, nil
}
