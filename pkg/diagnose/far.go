package diagnose

import (
	"context"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
)

// Far returns the files of the machine that user is logged in to, by the one of
// its ways that works. Where neither does, the error is hostfs.ErrNoShell or
// session.ErrNoCommand. Only the session needs closing.
func Far(ctx context.Context, s session.Ways, user string) (fsys hostfs.FS, err error) {
	err = session.ByShell(ctx, s, func(run hostfs.Runner) error {
		fsys = hostfs.Far(run)
		_, err := fsys.Account(ctx)
		return err
	}, func(client *sftp.Client) error {
		fsys = hostfs.SFTP(client, user)
		return nil
	})
	return fsys, err
}
