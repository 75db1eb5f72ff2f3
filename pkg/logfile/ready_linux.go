package logfile

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

// widen lets the writer of a pipe be a megabyte ahead, as much as every user may
// ask for. With the usual 64 KiB both ends spend more time on falling asleep and
// waking up than on the data. What is not a pipe refuses, and stays as it is.
func widen(f *os.File) {
	_, _ = unix.FcntlInt(f.Fd(), unix.F_SETPIPE_SZ, 1<<20)
}
