package identity

import (
	"io/fs"
	"os"

	"pi-key-tools/pkg/strictmodes"
)

// judgesModes says whether ssh judges the mode of a private key here. Windows
// has access control lists instead, which are not looked at.
const judgesModes = false

func open(path string) (*os.File, error) { return os.Open(path) }

func statOf(info fs.FileInfo) strictmodes.Stat { return strictmodes.Stat{Mode: info.Mode()} }

// syncFolder does nothing: a folder cannot be synced here, and NTFS keeps a
// journal of its entries.
func syncFolder(string) error { return nil }
