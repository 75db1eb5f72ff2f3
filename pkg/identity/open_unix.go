//go:build unix

package identity

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"pi-key-tools/pkg/strictmodes"
)

// judgesModes says whether ssh judges the mode of a private key here.
const judgesModes = true

// open opens for reading without waiting for the other end of a fifo.
func open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
}

func statOf(info fs.FileInfo) strictmodes.Stat {
	sys := info.Sys().(*syscall.Stat_t)
	return strictmodes.Stat{Mode: info.Mode(), UID: int(sys.Uid), GID: int(sys.Gid), Nlink: int(sys.Nlink)}
}

// syncFolder brings the entries of a folder to the disk.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}
