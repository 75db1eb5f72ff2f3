package hostfs

import (
	"fmt"
	"io/fs"

	"pi-key-tools/pkg/strictmodes"
)

// changeMode has a mode set, of what is still as was says, and looks whether it
// took: do returns how the thing is then.
func changeMode(path string, was strictmodes.Stat, mode fs.FileMode, do func(fs.FileMode) (strictmodes.Stat, error)) error {
	mode = strictmodes.Permissions(mode)
	err := changeable(was)
	var now strictmodes.Stat
	if err == nil {
		now, err = do(mode)
	}
	if err == nil && strictmodes.Permissions(now.Mode) != mode {
		err = fmt.Errorf("%w: the mode is %s", ErrModesIgnored, strictmodes.Octal(now.Mode))
	}
	if err != nil {
		return fmt.Errorf("changing the mode of %s to %s: %w", path, strictmodes.Octal(mode), plain(err))
	}
	return nil
}

// changeOwner does the same for an owner.
func changeOwner(path string, was strictmodes.Stat, uid int, do func() (strictmodes.Stat, error)) error {
	err := changeable(was)
	var now strictmodes.Stat
	if err == nil {
		now, err = do()
	}
	if err == nil && now.UID != uid {
		err = fmt.Errorf("%w: the owner is uid %d", ErrModesIgnored, now.UID)
	}
	if err != nil {
		return fmt.Errorf("changing the owner of %s to uid %d: %w", path, uid, plain(err))
	}
	return nil
}

// changeable says whether mode and owner of a thing are for us to change.
func changeable(was strictmodes.Stat) error {
	switch {
	case !was.Mode.IsDir() && !was.Mode.IsRegular():
		return fmt.Errorf("%w: it is neither a file nor a directory", ErrChanged)
	case was.Mode.IsRegular() && was.Nlink > 1:
		return ErrLinked
	}
	return nil
}

// same says whether what is there may be changed as what was judged.
func same(was, is strictmodes.Stat) error {
	switch {
	case was.Mode != is.Mode || was.UID != is.UID || was.GID != is.GID:
		return fmt.Errorf("%w: it is %v of uid %d, gid %d now", ErrChanged, is.Mode, is.UID, is.GID)
	case !is.Mode.IsDir() && is.Nlink > 1:
		return ErrLinked
	}
	return nil
}
