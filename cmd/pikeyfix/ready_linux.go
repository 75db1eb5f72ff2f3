package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// ready waits a moment for data of a file, or its end, and reports whether there
// is any, if the system can tell.
func ready(f *os.File) (yes, known bool) {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}, 100)
	return n > 0, err == nil || err == unix.EINTR
}
