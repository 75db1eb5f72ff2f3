//go:build !linux

package hostfs

import (
	"errors"
	"io/fs"
)

// createUnnamed is Linux's.
func createUnnamed(string, []byte, fs.FileMode, fs.FileInfo) error { return errors.ErrUnsupported }
