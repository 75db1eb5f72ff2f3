//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package secret

import "golang.org/x/sys/unix"

const (
	getTermios   = unix.TIOCGETA
	flushTermios = unix.TIOCSETAF // set, and throw away what was typed
	disabled     = 0xff           // _POSIX_VDISABLE
)

var stopChars = []int{unix.VSUSP, unix.VDSUSP}
