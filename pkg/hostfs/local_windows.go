package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"pi-key-tools/pkg/strictmodes"
)

// StatOf returns the type alone, as of a file that is the caller's and closed
// to others: the modes that Go makes up for Windows are no ground to refuse one.
func StatOf(info fs.FileInfo) strictmodes.Stat {
	return strictmodes.Stat{Mode: info.Mode().Type() | 0700, UID: os.Getuid(), GID: os.Getgid(), Nlink: 1}
}

// A handle is never open here: modes are not how Windows guards its files.
type handle struct{}

var errModes = fmt.Errorf("access lists guard files on Windows, not modes: see icacls: %w", errors.ErrUnsupported)

func open(string) (handle, error)              { return handle{}, errModes }
func (handle) stat() (strictmodes.Stat, error) { return strictmodes.Stat{}, errModes }
func (handle) chmod(fs.FileMode) error         { return errModes }
func (handle) chown(int) error                 { return errModes }
func (handle) close()                          {}
