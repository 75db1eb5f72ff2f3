package hostfs

import (
	"errors"
	"fmt"
	"io/fs"

	"pi-key-tools/pkg/strictmodes"
)

func statOf(info fs.FileInfo) strictmodes.Stat {
	return strictmodes.Stat{Mode: info.Mode(), Nlink: 1}
}

// A handle is never open here: modes are not how Windows guards its files.
type handle struct{}

var errModes = fmt.Errorf("access lists guard files on Windows, not modes: see icacls: %w", errors.ErrUnsupported)

func open(string) (handle, error)              { return handle{}, errModes }
func (handle) stat() (strictmodes.Stat, error) { return strictmodes.Stat{}, errModes }
func (handle) chmod(fs.FileMode) error         { return errModes }
func (handle) chown(int) error                 { return errModes }
func (handle) close()                          {}
