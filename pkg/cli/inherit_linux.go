package cli

import (
	"math"

	"golang.org/x/sys/unix"
)

// keepAll is all of keepFiles in one step, where the kernel knows it (5.11).
func keepAll() bool { return unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil }
