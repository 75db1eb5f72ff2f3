package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/hostfs"
)

// Ways are the two ways to work in an account that was logged in to. A *Client
// has them.
type Ways interface {
	Run(ctx context.Context, command string) (stdout, stderr []byte, status int, err error)
	SFTP(ctx context.Context) (*sftp.Client, error)
}

// ByShell has work done by commands, which see more, or where the account runs
// none of ours, by sftp: shell's error is hostfs.ErrNoShell or ErrNoCommand then.
// The client of sftp ends with the connection, if files does not close it.
func ByShell(ctx context.Context, w Ways, shell func(hostfs.Runner) error, files func(*sftp.Client) error) error {
	err := shell(w.Run)
	if !errors.Is(err, hostfs.ErrNoShell) && !errors.Is(err, ErrNoCommand) {
		return err
	}
	client, sftpErr := w.SFTP(ctx)
	if sftpErr != nil {
		return fmt.Errorf("%w; and by sftp: %w", err, sftpErr)
	}
	return files(client)
}
