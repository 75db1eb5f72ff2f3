package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"pi-key-tools/pkg/strictmodes"
)

// StatOf returns only the type, as if the file were the caller's and closed to
// others: the modes that Go makes up on Windows are no reason to refuse one.
func StatOf(info fs.FileInfo) strictmodes.Stat {
	return strictmodes.Stat{Mode: info.Mode().Type() | 0700, UID: os.Getuid(), GID: os.Getgid(), Nlink: 1}
}

func look(path string) (strictmodes.Stat, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return strictmodes.Stat{}, err
	}
	return StatOf(info), nil
}

func openRegular(path string) (*os.File, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	return os.Open(path)
}

func openDir(path string) (*os.File, error) { return os.Open(path) }

// files has nothing here: modes are not how Windows guards its files.
type files struct{}

var (
	here     files
	errModes = fmt.Errorf("access lists guard files on Windows, not modes: see icacls: %w", errors.ErrUnsupported)
)

func (files) Chmod(context.Context, string, strictmodes.Stat, fs.FileMode) error { return errModes }
func (files) Chown(context.Context, string, strictmodes.Stat, int) error         { return errModes }
func (files) Rename(context.Context, string, strictmodes.Stat, string) error     { return errModes }
func (files) Mkdir(context.Context, string, fs.FileMode) error                   { return errModes }
func (files) Copy(context.Context, string, strictmodes.Stat, string, fs.FileMode) error {
	return errModes
}
func (files) Attributes(context.Context, string) (strictmodes.Attributes, error) {
	return strictmodes.Attributes{}, errModes
}
