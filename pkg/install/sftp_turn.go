package install

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/strictmodes"
)

// take waits for our turn to write a file of dir; see hostfs.TakeTurn.
func (e sftpEngine) take(ctx context.Context, dir string, deadline time.Time) (*writer, error) {
	w, err := e.prepare(hostfs.AwaitedTurn(dir))
	if err != nil {
		return nil, err
	}
	turn, err := hostfs.TakeTurn(ctx, e.client, w.folder, e.patience, deadline)
	if err != nil {
		w.leave()
	}
	switch {
	case errors.Is(err, hostfs.ErrBusy):
		return nil, &PutError{Cause: "busy", Path: path.Join(dir, hostfs.TurnName), Said: err.Error()}
	case err != nil:
		return nil, err
	}
	w.folder = turn
	return w, nil
}

// prepare makes a directory with an empty new file in it. The directory is closed to
// others first: a file is made with the mode that the server's umask leaves.
func (e sftpEngine) prepare(folder string) (*writer, error) {
	if err := e.client.Mkdir(folder); err != nil {
		return nil, fmt.Errorf("making %s: %w", folder, err)
	}
	w := &writer{e: e, folder: folder, name: rand.Text()}
	err := func() error {
		if !e.windows {
			if err := e.close(folder); err != nil {
				return err
			}
		}
		return w.create()
	}()
	if err != nil {
		w.leave()
		return nil, err
	}
	return w, nil
}

// A writer is a new file in a directory of its own, which is ours or, by now, the
// one whose name stands for the turn.
type writer struct {
	e      sftpEngine
	folder string
	name   string
	file   *sftp.File // nil once it is closed
}

func (w *writer) temp() string { return path.Join(w.folder, w.name) }

// edit makes the change, of the file as it is now that it is our turn.
func (w *writer) edit(at place, c Change) (a Answer, err error) {
	if at.out && !w.e.windows {
		if err := w.safe(at.dir); err != nil {
			return a, err
		}
	}
	old, st, err := w.e.read(at.path)
	if err != nil {
		return a, err
	}
	edited, a, err := c.apply(at.path, old)
	if err != nil || bytes.Equal(edited, old) {
		return a, err
	}
	if err := w.fill(edited, st); err != nil {
		return a, err
	}
	switch again, _, err := w.e.read(at.path); {
	case err != nil:
		return a, err
	case !bytes.Equal(again, old), (again == nil) != (old == nil):
		return a, errOvertaken
	}
	if c.Backup && old != nil {
		if a.Backup, a.Unsynced, err = w.preserve(at, old, st); err != nil {
			return a, err
		}
	}
	if err := w.publish(at.path); err != nil {
		if after := (*unsure)(nil); a.Backup != "" && !errors.As(err, &after) { // a copy of what still is there
			w.e.client.Remove(a.Backup)
		}
		return a, err
	}
	if why := w.e.sync(at.dir); why != "" {
		a.Unsynced = why
	}
	return a, w.e.check(at.path, edited, c, a)
}

// create makes its file, which is new.
func (w *writer) create() (err error) {
	if w.file, err = hostfs.GivenFile(w.e.client.OpenFile(w.temp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL)); err != nil {
		return fmt.Errorf("making %s: %w", w.temp(), err)
	}
	return nil
}

// preserve keeps a copy of the old file under the first name that is free.
// unsynced is why that is not known to be on the disk.
func (w *writer) preserve(at place, old []byte, st *sftp.FileStat) (name, unsynced string, err error) {
	b := &writer{e: w.e, folder: w.folder, name: rand.Text()}
	if err := b.create(); err != nil {
		return "", "", err
	}
	defer b.leave()
	if err := b.fill(old, st); err != nil {
		return "", "", err
	}
	for n := 1; ; n++ {
		name = hostfs.BackupName(at.path, n)
		if _, err := hostfs.Given(w.e.client.Lstat(name)); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", "", fmt.Errorf("looking at %s: %w", name, err)
		}
		// Unlike posix-rename, this takes the place of nothing.
		if err := w.e.client.Rename(b.temp(), name); err != nil {
			return "", "", fmt.Errorf("renaming to %s: %w", name, err)
		}
		return name, w.e.sync(at.dir), nil
	}
}

// leave leaves nothing behind. What is another's is not empty, or is nothing.
func (w *writer) leave() {
	if w.file != nil {
		w.file.Close()
	}
	w.e.client.Remove(w.temp())
	w.e.client.RemoveDirectory(w.folder)
}

// fill gives the new file what the old one has, and what is new in it, brings
// it to the disk and reads it back. old is nil if there is none.
func (w *writer) fill(data []byte, old *sftp.FileStat) error {
	if !w.e.windows {
		if err := w.own(old); err != nil {
			return err
		}
	}
	if _, err := w.file.ReadFromWithConcurrency(bytes.NewReader(data), 0); err != nil {
		return fmt.Errorf("writing %s: %w", w.temp(), err)
	}
	if _, ok := w.e.client.HasExtension(extFsync); ok {
		if err := w.file.Sync(); err != nil {
			return fmt.Errorf("syncing %s to disk: %w", w.temp(), err)
		}
	}
	err := w.file.Close()
	w.file = nil
	if err != nil {
		return fmt.Errorf("closing %s: %w", w.temp(), err)
	}
	back, _, err := w.e.read(w.temp())
	switch {
	case err != nil:
		return err
	case back == nil:
		return errOvertaken
	case !bytes.Equal(back, data):
		return fmt.Errorf("reading back %s: the server returns other bytes than were written", w.temp())
	}
	return nil
}

// safe refuses a directory to root where another may move things, as put.sh does. Who
// we are tells our file.
func (w *writer) safe(dir string) error {
	if st, err := w.stat(); err != nil || st.UID != 0 {
		return err
	}
	real, err := w.e.client.RealPath(dir)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	for on := real; ; on = path.Dir(on) {
		info, err := hostfs.Given(w.e.client.Lstat(on))
		if err != nil {
			return fmt.Errorf("looking at %s: %w", on, err)
		}
		closed := info.Mode().Perm()&0o022 == 0 || on != real && info.Mode()&fs.ModeSticky != 0
		if st, ok := info.Sys().(*sftp.FileStat); !ok || st.UID != 0 || !closed {
			return &PutError{Cause: "wrong-owner", Path: dir, Said: "root must not write where another may move things: log in as the owner"}
		}
		if on == "/" {
			return nil
		}
	}
}

// own sets owner and mode, and looks whether they took.
func (w *writer) own(old *sftp.FileStat) error {
	mode := fs.FileMode(0o600)
	if old != nil {
		mode = strictmodes.Permissions(old.FileMode())
		st, err := w.stat()
		if err != nil {
			return err
		}
		if st.UID != old.UID || st.GID != old.GID {
			w.file.Chown(int(old.UID), int(old.GID)) // whether it could is seen below
		}
	}
	if err := w.file.Chmod(mode); err != nil {
		return fmt.Errorf("setting the mode of %s: %w", w.temp(), err)
	}
	st, err := w.stat()
	switch {
	case err != nil:
		return err
	case old != nil && (st.UID != old.UID || st.GID != old.GID):
		return &PutError{Cause: "wrong-owner", Said: fmt.Sprintf("the file belongs to uid %d, gid %d, and over sftp we can only make one of uid %d, gid %d",
			old.UID, old.GID, st.UID, st.GID)}
	case strictmodes.Permissions(st.FileMode()) != mode:
		return &PutError{Cause: "modes-unsupported", Said: fmt.Sprintf("mode %s was requested, and the result is %s",
			strictmodes.Octal(mode), strictmodes.Octal(st.FileMode()))}
	}
	return nil
}

func (w *writer) stat() (*sftp.FileStat, error) {
	info, err := hostfs.Given(w.file.Stat())
	if err != nil {
		return nil, fmt.Errorf("looking at %s: %w", w.temp(), err)
	}
	return info.Sys().(*sftp.FileStat), nil
}

// publish puts the new file in its place and ends the turn.
func (w *writer) publish(file string) error {
	err := w.e.client.PosixRename(w.temp(), file)
	switch {
	case errors.Is(err, fs.ErrNotExist): // our turn was taken away
		return errOvertaken
	case err != nil && answered(err):
		return fmt.Errorf("renaming to %s: %w", file, err)
	case err != nil:
		return &unsure{fmt.Errorf("renaming to %s: %w", file, err)}
	}
	return nil
}
