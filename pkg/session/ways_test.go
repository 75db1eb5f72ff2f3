package session_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
)

// ways are those of an account that starts sftp or not.
type ways struct{ sftp error }

func (ways) Run(context.Context, string) (stdout, stderr []byte, status int, err error) {
	return nil, nil, 0, nil
}
func (w ways) SFTP(context.Context) (*sftp.Client, error) { return nil, w.sftp }

func TestByShell(t *testing.T) {
	lost, byFiles := errors.New("lost"), errors.New("by its files")
	for _, c := range []struct {
		shell, sftp error
		want        []error // none: it worked
	}{
		{nil, session.ErrNoSFTP, nil},
		{lost, nil, []error{lost}},
		{hostfs.NoShell(hostfs.NotStarted, "no"), nil, []error{byFiles}},
		{fmt.Errorf("x: %w", session.ErrNoCommand), nil, []error{byFiles}},
		{session.ErrNoCommand, session.ErrNoSFTP, []error{session.ErrNoCommand, session.ErrNoSFTP}},
	} {
		err := session.ByShell(t.Context(), ways{c.sftp}, func(run hostfs.Runner) error { return c.shell }, func(*sftp.Client) error { return byFiles })
		if (err == nil) != (c.want == nil) {
			t.Errorf("%v: %v", c.shell, err)
		}
		for _, want := range c.want {
			if !errors.Is(err, want) {
				t.Errorf("%v: %v, want %v", c.shell, err, want)
			}
		}
	}
}
