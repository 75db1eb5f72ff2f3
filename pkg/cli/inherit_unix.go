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
	open, _ := os.ReadDir("/dev/fd")
	for _, file := range open {
		if fd, err := strconv.Atoi(file.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
