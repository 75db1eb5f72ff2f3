package connect

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// quick has the kernel acknowledge what arrives at once. OpenSSH up to 10.0
// leaves Nagle's algorithm on until the session starts (tcp(7) TCP_NODELAY),
// so that it holds the second packet of a flight until the first is
// acknowledged, and an acknowledgement with nothing to ride on is late by 40 ms.
func quick(conn net.Conn) net.Conn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return conn
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return conn
	}
	return &quickConn{tcp, raw}
}

type quickConn struct {
	*net.TCPConn
	raw syscall.RawConn
}

// Read sets it again each time: the kernel clears it (tcp(7) TCP_QUICKACK).
func (c *quickConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	// An acknowledgement that is late does no harm but to our patience.
	_ = c.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 1)
	})
	return n, err
}
