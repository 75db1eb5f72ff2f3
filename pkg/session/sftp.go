package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/pkg/sftp"
)

// ErrNoSFTP means that the connection works but the server does not start sftp.
var ErrNoSFTP = errors.New("the server does not start sftp")

// SFTP starts the sftp subsystem there. Its requests take no context: when ctx
// ends, so does the connection, since nothing less wakes a request that the
// server never answers. Closing the connection ends the subsystem.
func (c *Client) SFTP(ctx context.Context) (*sftp.Client, error) {
	stop := context.AfterFunc(ctx, func() { c.ssh.Close() })
	client, err := sftp.NewClient(&c.ssh)
	if err == nil {
		c.opened.Store(true)
		go func() {
			client.Wait()
			stop()
		}()
		return client, nil
	}
	defer stop()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	} else if c.Alive(ctx) {
		// It can be refused; or a program that is missing has ended at once, or
		// another runs in its place and says something else.
		err = fmt.Errorf("%w: %w", ErrNoSFTP, err)
	} else {
		err = c.cutOff(err)
	}
	return nil, fmt.Errorf("starting sftp there: %w", err)
}
