package session

import (
	"context"
	"net"

	"golang.org/x/crypto/ssh"
)

// A Client is a connection that is logged in.
type Client struct {
	ssh    *ssh.Client
	stop   func() bool
	turned <-chan struct{} // closed when the host key changes
	server string          // its version
}

// Close ends the connection.
func (c *Client) Close() error {
	c.stop()
	return c.ssh.Close()
}

// Wait waits for the connection to end, and releases what it held.
func (c *Client) Wait() {
	_ = c.ssh.Wait() // what ended it is told to those who use it
	c.stop()
}

// Alive asks the server for a sign of life: a server answers even requests that
// it does not know (OpenSSH's PROTOCOL, 2.8).
func (c *Client) Alive(ctx context.Context) bool {
	_, err := within(ctx, func() (bool, error) {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		return true, err
	})
	return err == nil
}

// DialTCP opens a connection from the far side, as a jump host does.
func (c *Client) DialTCP(ctx context.Context, address string) (net.Conn, error) {
	return c.ssh.DialContext(ctx, "tcp", address)
}

// within bounds what x/crypto does for as long as ctx lasts. Opening a channel
// waits for ever if the connection ends at just that moment: mux.go loop() tells
// the channels that it knows of, and then closes the connection, between which
// one more can be opened.
func within[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}
