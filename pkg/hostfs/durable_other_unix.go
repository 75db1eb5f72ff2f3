//go:build unix && !linux

package hostfs

import (
	"errors"
	"io/fs"
)

var publishers = []publisher{link}

// createUnnamed is Linux's.
func createUnnamed(string, []byte, fs.FileMode, fs.FileInfo) error { return errors.ErrUnsupported }
