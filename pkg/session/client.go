package session

import (
	"context"
	"net"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
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
// it does not know (OpenSSH's PROTOCOL, 2.8). ctx may end before the connection.
func (c *Client) Alive(ctx context.Context) bool {
	_, err := hostfs.Await(ctx, func() (bool, error) {
		yes, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		return yes, err
	})
	return err == nil
}

// DialTCP opens a connection from the far side, as a jump host does.
func (c *Client) DialTCP(ctx context.Context, address string) (net.Conn, error) {
	return c.ssh.DialContext(ctx, "tcp", address)
}
