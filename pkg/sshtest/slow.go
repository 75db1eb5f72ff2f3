package sshtest

import (
	"net"
	"sync"
	"time"
)

// A slowConn hands out what arrives only after a delay. With the delay at one
// end of the connection alone, that is the time that a round trip takes.
type slowConn struct {
	net.Conn
	arrived chan chunk
	rest    chunk
	close   func() error
	closed  chan struct{}
}

type chunk struct {
	data []byte
	err  error
	due  time.Time
}

// Slow returns conn with its round trip lengthened by delay.
func Slow(conn net.Conn, delay time.Duration) net.Conn {
	c := &slowConn{Conn: conn, arrived: make(chan chunk, 64), closed: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return conn.Close()
	})
	go func() {
		for {
			buf := make([]byte, 32<<10)
			n, err := conn.Read(buf)
			select {
			case c.arrived <- chunk{buf[:n], err, time.Now().Add(delay)}:
			case <-c.closed:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *slowConn) Close() error { return c.close() }

func (c *slowConn) Read(b []byte) (int, error) {
	if len(c.rest.data) == 0 {
		if c.rest.err != nil {
			return 0, c.rest.err
		}
		select {
		case c.rest = <-c.arrived:
			time.Sleep(time.Until(c.rest.due))
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(b, c.rest.data)
	c.rest.data = c.rest.data[n:]
	if n == 0 {
		return 0, c.rest.err
	}
	return n, nil
}
