package diagnose

import (
	"context"
	"errors"
	"fmt"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
)

// A Session is a logged-in connection; *session.Client is one.
type Session interface {
	Run(ctx context.Context, command string) (stdout, stderr []byte, status int, err error)
	SFTP(ctx context.Context) (*sftp.Client, error)
}

// Far returns the files of the machine that user is logged in to: through its
// shell, which sees more, or by sftp where the account runs no shell. Where it
// runs neither, the error is hostfs.ErrNoShell or session.ErrNoCommand. Only the
// session needs closing.
func Far(ctx context.Context, s Session, user string) (hostfs.FS, error) {
	fsys := hostfs.Far(s.Run)
	if _, err := fsys.Account(ctx); noShell(err) {
		return farBySFTP(ctx, s, user, err)
	}
	return fsys, nil // other errors come again, to whoever asks
}

// noShell reports whether an error says that a login runs no commands of ours.
func noShell(err error) bool {
	return errors.Is(err, hostfs.ErrNoShell) || errors.Is(err, session.ErrNoCommand)
}

// farBySFTP is the second way, after the first has failed with err.
func farBySFTP(ctx context.Context, s Session, user string, err error) (hostfs.FS, error) {
	client, sftpErr := s.SFTP(ctx)
	if sftpErr != nil {
		return nil, fmt.Errorf("%w; and by sftp: %w", err, sftpErr)
	}
	return hostfs.SFTP(client, user), nil
}
