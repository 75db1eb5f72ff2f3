//go:build unix

package targets

import "syscall"

// openFiles is how many files the process may have open: the Go runtime has
// raised that to what getrlimit(2) allows at most.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}
