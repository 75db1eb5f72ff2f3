package sshtest

import (
	"context"
	"net"
	"sync"
)

// Pipes is a network within this process: all dials reach its one listener.
// Nothing on it waits for the system, so a testing/synctest bubble in which it
// is made can count round trips by its clock.
type Pipes struct {
	arrived chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

// NewPipes returns a network without connections, to be listened on.
func NewPipes() *Pipes {
	return &Pipes{arrived: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to the listener, whatever the address.
func (p *Pipes) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.arrived <- piped{far, p.Addr()}:
		return piped{near, p.Addr()}, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// piped is one of the ends, with an address at both as TCP has it.
type piped struct {
	net.Conn
	addr net.Addr
}

func (c piped) LocalAddr() net.Addr  { return c.addr }
func (c piped) RemoteAddr() net.Addr { return c.addr }

// Accept returns the next connection.
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.arrived:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener.
func (p *Pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address that ssh could dial.
func (p *Pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22} }
