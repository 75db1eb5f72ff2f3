package identity

import (
	"context"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
)

// pipe is where the agent of Windows' own OpenSSH listens.
const pipe = `\\.\pipe\openssh-ssh-agent`

func dialAgent(ctx context.Context, socket string) (io.ReadWriteCloser, error) {
	if socket == "" {
		socket = pipe
	}
	if strings.HasPrefix(strings.ReplaceAll(socket, "/", `\`), `\\.\pipe\`) {
		// Overlapped, so that a read that waits holds up neither a write nor Close.
		return os.OpenFile(socket, os.O_RDWR|syscall.FILE_FLAG_OVERLAPPED, 0)
	}
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
