//go:build unix

package identity

import (
	"context"
	"io"
	"io/fs"
	"net"
	"os"
)

func dialAgent(ctx context.Context, socket string) (io.ReadWriteCloser, error) {
	if socket == "" {
		return nil, ErrNoSocket
	}
	// Linux says ECONNREFUSED of a regular file too, as if an agent had ended.
	if info, err := os.Stat(socket); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, ErrNotSocket
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
