package diagnose

import "golang.org/x/sys/windows"

// Winsock has numbers of its own; syscall.ECONNREFUSED is one of Go's.
const connRefused = windows.WSAECONNREFUSED
