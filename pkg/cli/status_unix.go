//go:build unix

package cli

import "golang.org/x/sys/unix"

// foreground reports whether the terminal is ours now, as far as there are jobs
// on it.
func foreground(fd int) bool {
	group, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp()
}
