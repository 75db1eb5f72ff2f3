//go:build unix

package diagnose

import "syscall"

const connRefused = syscall.ECONNREFUSED
