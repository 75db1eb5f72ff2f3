package hostfs

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/windows"
)

var publishers = []publisher{move}

// move renames without replacing, and waits for the disk.
func move(temp, path string) error {
	from, err := windows.UTF16PtrFromString(temp)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

func noLinks(error) bool { return false }

// chownLike does nothing: a file inherits its access list from the directory.
func chownLike(*os.File, fs.FileInfo) error { return nil }

// syncDir does nothing: Windows cannot, and NTFS keeps a journal of names.
func syncDir(string) error { return nil }

// lock waits for its turn to replace path: for the handle of a file beside it
// that nobody else may open meanwhile, and that is gone with the process.
func lock(path string) (unlock func(), err error) {
	name, err := windows.UTF16PtrFromString(path + ".lock")
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		h, err := windows.CreateFile(name, windows.GENERIC_WRITE, 0, nil, windows.OPEN_ALWAYS,
			windows.FILE_ATTRIBUTE_TEMPORARY|windows.FILE_ATTRIBUTE_HIDDEN|windows.FILE_FLAG_DELETE_ON_CLOSE, 0)
		if err == nil {
			return func() { windows.CloseHandle(h) }, nil
		}
		// While the last holder's is being deleted, access is denied.
		busy := errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
		if !busy || time.Now().After(deadline) {
			return nil, err
		}
	}
}
