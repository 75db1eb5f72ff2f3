//go:build !linux

package repair

import (
	"fmt"
	"runtime"

	"pi-key-tools/pkg/hostfs"
)

// OpenCard needs Linux: no other system reads the card's file system natively
// and follows its links without leaving it.
func OpenCard(dir string) (card hostfs.Machine, root string, end func(), err error) {
	return nil, "", nil, fmt.Errorf("--root %s: the root file system of a card can be changed only on Linux, not on %s", dir, runtime.GOOS)
}
