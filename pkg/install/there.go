package install

import (
	"context"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/session"
)

// There returns the Engine of a file of the account that client is logged in
// to, by the shell there or, where no shell answers or none is wanted, by sftp.
// version is the server's version line, path is as for Shell. The caller calls
// end.
func There(client *session.Client, version, path string, shell bool) (e Engine, end func()) {
	t := &there{client: client, version: version, path: path, shell: shell}
	return t, func() {
		if t.files != nil {
			t.files.Close()
		}
	}
}

type there struct {
	client        *session.Client
	version, path string
	shell         bool         // is asked first
	files         *sftp.Client // nil if it was not needed yet
}

// by does work by one of the two ways.
func (t *there) by(ctx context.Context, work func(Engine) error) error {
	files := func(client *sftp.Client) error {
		t.files = client
		return work(SFTP(client, t.version, t.path))
	}
	switch {
	case t.files != nil:
		return files(t.files)
	case t.shell:
		return session.ByShell(ctx, t.client, func(run hostfs.Runner) error { return work(Shell(run, t.path)) }, files)
	}
	client, err := t.client.SFTP(ctx)
	if err != nil {
		return err
	}
	return files(client)
}

func (t *there) Edit(ctx context.Context, c Change) (a Answer, err error) {
	err = t.by(ctx, func(e Engine) (err error) {
		a, err = e.Edit(ctx, c)
		return err
	})
	return a, err
}

func (t *there) Read(ctx context.Context) (path string, data []byte, err error) {
	err = t.by(ctx, func(e Engine) (err error) {
		path, data, err = e.Read(ctx)
		return err
	})
	return path, data, err
}
