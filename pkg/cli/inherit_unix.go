//go:build unix

package cli

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepFiles keeps what a shell has opened for this process, "<(pass show pi)" or
// "3<password", from a ProxyCommand and all other children, which could read it
// there; ssh.c main() closes it for the same reason. Where /dev/fd is not, no
// option can name it either.
func keepFiles() {
	if keepAll() {
		return
	}
	open, _ := os.ReadDir("/dev/fd")
	for _, file := range open {
		if fd, err := strconv.Atoi(file.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// withoutSignal returns a file that is standard output or error, or what is to be
// used in its place: a write to a closed pipe by descriptor 1 or 2 ends a Go
// program by SIGPIPE, by any other it is an error (os/signal), which is reported.
// Unlike an ignored signal, this is not inherited by children.
// Its Fd would make it wait for others too that share it.
func withoutSignal(f *os.File, fd uintptr) *os.File {
	other, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return f
	}
	return os.NewFile(uintptr(other), f.Name())
}
