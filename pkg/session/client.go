package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/bounded"
)

// A Client is a connection that is logged in.
type Client struct {
	ssh    ssh.Client
	stop   func() bool
	turned <-chan struct{} // closed when the host key changes
	server string          // its version
	spoke  <-chan bool     // tells once whether the server has spoken since the login, rather than ended it
	opened atomic.Bool     // a session
}

// serve refuses what the server asks for on its own account. heard tells once
// whether there was a request before the connection ended.
func serve(requests <-chan *ssh.Request, channels <-chan ssh.NewChannel) (heard <-chan bool) {
	spoke := make(chan bool, 1)
	go func() {
		for first := true; ; {
			select {
			case r, any := <-requests:
				if first {
					spoke <- any
					first = false
				}
				if !any {
					return
				}
				_ = r.Reply(false, nil) // a connection that is lost is known to those who use it
			case c, any := <-channels:
				if any {
					_ = c.Reject(ssh.UnknownChannelType, "")
				} else {
					channels = nil
				}
			}
		}
	}()
	return spoke
}

// near is how long a connection takes at most to a network that is ours, and
// nearPatience how long a server there may take to set a session up.
const (
	near         = 20 * time.Millisecond
	nearPatience = 250 * time.Millisecond
)

// stays reports whether the connection outlives the login. sshd may end it once it
// has let the user in: where PermitRootLogin is forced-commands-only, its monitor
// does not share the opinion of the process that has said so; and where a user's
// ChrootDirectory is no good. Of root that is asked, by one more round trip. Of
// others it shows without one, if the server is near, by what OpenSSH has had to
// tell since 6.8 once the session is set up (PROTOCOL, 2.5 hostkeys-00@openssh.com).
func (c *Client) stays(ctx context.Context, user string, rep *Report) bool {
	version, openSSH := rep.OpenSSH()
	switch {
	case user == "root":
		return c.Alive(ctx)
	case !openSSH || slices.Compare(version[:], []int{6, 8}) < 0 || rep.Connect > near:
		return true
	}
	select {
	case spoke := <-c.spoke:
		return spoke
	case <-time.After(nearPatience):
	case <-ctx.Done():
	}
	return true
}

// cutOff is why no session was opened: ErrCutOff too, if none was before, and the
// server has ended the connection.
func (c *Client) cutOff(err error) error {
	if c.opened.Load() || !errors.Is(err, io.EOF) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCutOff, err)
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
// tinyssh is taken to be: it answers UNIMPLEMENTED, for which x/crypto gives the
// connection up.
func (c *Client) Alive(ctx context.Context) bool {
	if strings.Contains(c.server, "tinyssh") {
		return true
	}
	_, err := bounded.Await(ctx, func() (bool, error) {
		yes, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		return yes, err
	})
	return err == nil
}

// DialTCP opens a connection from the far side, as a jump host does.
func (c *Client) DialTCP(ctx context.Context, address string) (net.Conn, error) {
	return c.ssh.DialContext(ctx, "tcp", address)
}
