package secret

import "golang.org/x/sys/unix"

const (
	getTermios   = unix.TCGETS
	flushTermios = unix.TCSETSF // set, and throw away what was typed
	disabled     = 0            // _POSIX_VDISABLE
)

var stopChars = []int{unix.VSUSP}
