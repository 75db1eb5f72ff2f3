package install

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
)

// SFTP returns the Engine of an account without a shell, by sftp requests
// alone. version is the server's version line. file is the keys file, relative
// to where sftp starts, which is the home; "" means .ssh/authorized_keys. Links
// are written at their target, and must not lead out of the home, or out of the
// directory of a file that is named elsewhere.
//
// What sftp (version 3, with OpenSSH's extensions) cannot do:
//
//   - Without fsync@openssh.com nothing can be flushed to disk; nor can the new
//     name where the server does not open directories. Answer.Unsynced says so.
//   - Without posix-rename@openssh.com a file cannot be replaced in one step:
//     then nothing is written.
//   - Hard links and access lists cannot be seen. The new file has the old
//     one's owner, group and mode, or nothing is written; an access list stays
//     with the old file.
//   - There are no locks. Writers by sftp and by Shell take turns by means of a
//     directory (see hostfs.TakeTurn), and lose nothing. Another, such as an editor, is
//     noticed unless it writes between our last look and our rename, a round
//     trip.
//   - In an account confined to a directory (ChrootDirectory), that file may
//     not be the one that sshd reads. The login that follows tells.
//
// On OpenSSH for Windows files have access lists instead of modes, which a new
// file takes from its directory: right in an ordinary user's .ssh. For an
// administrator sshd reads one file in ProgramData, whose list sftp cannot set;
// that is refused. None of this has been tried on Windows.
func SFTP(client *sftp.Client, version, file string) Engine {
	return sftpEngine{client, file, strings.Contains(version, "OpenSSH_for_Windows"), hostfs.TurnPatience}
}

type sftpEngine struct {
	client   *sftp.Client
	file     string
	windows  bool
	patience time.Duration // with other writers
}

// Extensions of OpenSSH's PROTOCOL, section 4, that decide what can be
// promised.
const (
	extRename = "posix-rename@openssh.com"
	extFsync  = "fsync@openssh.com"
)

// errOvertaken means that another writer came first: look again.
var errOvertaken = fmt.Errorf("%w: another program writes it", hostfs.ErrChanged)

func (e sftpEngine) Read(ctx context.Context) (string, []byte, error) {
	at, err := e.find(ctx)
	if err != nil {
		return at.path, nil, e.failure(ctx, at, err)
	}
	data, _, err := e.read(at.path)
	if err != nil {
		return at.path, nil, e.failure(ctx, at, err)
	}
	return at.path, data, nil
}

func (e sftpEngine) Edit(ctx context.Context, c Change) (Answer, error) {
	for deadline := time.Now().Add(hostfs.TurnWait); ; {
		at, err := e.find(ctx)
		if err != nil {
			return Answer{Path: at.path}, e.failure(ctx, at, err)
		}
		a, err := e.edit(ctx, at, c, deadline)
		switch {
		case err == nil:
			return a, nil
		case !errors.Is(err, hostfs.ErrChanged) || time.Now().After(deadline):
			return Answer{Path: at.path}, e.failure(ctx, at, err)
		}
	}
}

// A place is where the keys file is, or will be.
type place struct {
	base  string // the directory that links must not leave, most often the home
	dir   string // of the file
	path  string // of the file; no link
	noDir bool   // the directory is missing
	out   bool   // the file is not in the home
}

func (e sftpEngine) find(ctx context.Context) (place, error) {
	home, err := e.client.RealPath(".")
	if err != nil {
		return place{}, fmt.Errorf("asking for the home: %w", err)
	}
	p := place{base: home}
	name := e.file
	if name == "" {
		name = defaultFile
	}
	p.path = path.Join(home, name)
	if path.IsAbs(name) {
		p.path = path.Clean(name)
		if inside, ok := strings.CutPrefix(p.path, strings.TrimSuffix(home, "/")+"/"); ok {
			name = inside
		} else {
			p.base, name = path.Split(p.path)
			p.out = true
		}
	}
	if e.windows {
		if err := e.administrator(p.path); err != nil {
			return p, err
		}
	}
	at, err := hostfs.Follow(ctx, hostfs.SFTP(e.client, ""), p.base, name)
	if err != nil {
		return p, err
	}
	p.dir, p.noDir = path.Join(p.base, at.Dir), at.NoDir
	p.path = path.Join(p.dir, at.Name)
	switch {
	case at.Stat != nil && !at.Stat.Mode.IsRegular():
		return p, hostfs.ErrNotRegular
	case at.NoDir && home == "/":
		// sshd starts in / for want of a home, and so does an account that is
		// shut into a directory: keys there would be nobody's.
		return p, &PutError{Cause: "home-missing", Path: p.dir,
			Said: "sftp starts in /: there is no home, or the account is confined to a directory that is not it"}
	}
	return p, nil
}

// defaultFile is where sshd looks by default, relative to the home.
const defaultFile = ".ssh/authorized_keys"

// administrator refuses the account of an administrator of Windows, for whom
// sshd by default reads only a file of ProgramData. Nobody else may read that.
func (e sftpEngine) administrator(file string) error {
	const keys = "/C:/ProgramData/ssh/administrators_authorized_keys"
	refused := &PutError{Cause: "keys-file-elsewhere", Path: keys,
		Said: "for administrators, OpenSSH for Windows reads only this file, and sftp cannot set the ACL that it must have; " +
			"add the key on that machine as administrator, then run: icacls administrators_authorized_keys /inheritance:r /grant *S-1-5-32-544:F /grant *S-1-5-18:F"}
	if strings.EqualFold(file, keys) {
		return refused
	}
	f, err := hostfs.GivenFile(e.client.Open(keys))
	switch {
	case err == nil:
		f.Close()
		return refused
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return nil
	}
	return err
}

// edit takes a turn, if there is something to change.
func (e sftpEngine) edit(ctx context.Context, at place, c Change, deadline time.Time) (Answer, error) {
	old, _, err := e.read(at.path)
	if err != nil {
		return Answer{Path: at.path}, err
	}
	edited, a, err := c.apply(at.path, old)
	if err != nil || c.DryRun || bytes.Equal(edited, old) {
		return a, err
	}
	if _, ok := e.client.HasExtension(extRename); !ok {
		return a, &PutError{Cause: "write-failed", Path: at.path, Said: "the sftp server there cannot replace a file in one step (" + extRename + ")"}
	}
	if at.noDir {
		if a.Unsynced, err = e.makeDir(at); err != nil {
			return a, err
		}
	}
	w, err := e.take(ctx, at.dir, deadline)
	if err != nil {
		return a, err
	}
	defer w.leave()
	unsynced := a.Unsynced
	a, err = w.edit(at, c)
	if on, _ := hostfs.SFTP(e.client, "").Attributes(ctx, at.dir); on.FS == "overlay" {
		a.Unsynced = onOverlay
	}
	a.Unsynced = cmp.Or(a.Unsynced, unsynced)
	return a, err
}

// check reads the file back. Others may have written since, so that it is the
// lines that count: those added are there, and those taken out were not put back.
func (e sftpEngine) check(file string, edited []byte, c Change, a Answer) error {
	now, _, err := e.read(file)
	if err != nil {
		return &unsure{fmt.Errorf("reading back %s: %w", file, err)}
	}
	if bytes.Equal(now, edited) {
		return nil
	}
	if rest, ok := strings.CutPrefix(string(now), string(edited)); len(c.Drop) > 0 &&
		(!ok || slices.ContainsFunc(c.Drop, func(d Numbered) bool { return slices.Contains(strings.Split(rest, "\n"), d.Text) })) {
		return &unsure{fmt.Errorf("%s was written, and another program has written it since", file)}
	}
	lines := strings.Split(string(now), "\n")
	for _, l := range c.Add {
		if slices.Contains(a.Added, l.Key.Base64()) && !slices.Contains(lines, l.Text()) {
			return &unsure{fmt.Errorf("%s was written, and then read back without the new line", file)}
		}
	}
	return nil
}

// unsure is an error after the file was, or may have been, replaced.
type unsure struct{ err error }

func (u *unsure) Error() string { return u.err.Error() }
func (u *unsure) Unwrap() error { return u.err }

// read returns a whole file, and nil if there is none. OpenSSH says that there
// is none for a path through a file and for links in a circle too, but find
// has seen that it is neither.
func (e sftpEngine) read(file string) ([]byte, *sftp.FileStat, error) {
	f, err := hostfs.GivenFile(e.client.Open(file))
	if errors.Is(err, fs.ErrNotExist) {
		// Not every "no": a directory that may not be passed says so as well.
		if _, err := hostfs.Given(e.client.Lstat(file)); !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, &unreadable{cmp.Or(err, errOvertaken)}
		}
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, &unreadable{err}
	}
	defer f.Close()
	data, st, err := hostfs.ReadOpen(f, bounded.MaxFile)
	if err != nil {
		return nil, nil, &unreadable{fmt.Errorf("reading %s: %w", file, err)}
	}
	return data, st, nil
}

// unreadable is an error of reading the keys file.
type unreadable struct{ err error }

func (u *unreadable) Error() string { return u.err.Error() }
func (u *unreadable) Unwrap() error { return u.err }

// makeDir makes the directory of the keys file, closed to others.
func (e sftpEngine) makeDir(at place) (unsynced string, err error) {
	if err := e.client.Mkdir(at.dir); err != nil {
		if st, lerr := hostfs.Given(e.client.Lstat(at.dir)); lerr == nil && st.IsDir() {
			return "", nil // another writer was faster
		}
		return "", fmt.Errorf("making %s: %w", at.dir, err)
	}
	if !e.windows {
		if err := e.close(at.dir); err != nil {
			return "", err
		}
	}
	return e.sync(path.Dir(at.dir)), nil
}

// close gives a directory that we have just made the mode 0700. Setting a mode by
// path follows links, hence the look: only who may write the directory above could
// have put one there.
func (e sftpEngine) close(dir string) error {
	if st, err := hostfs.Given(e.client.Lstat(dir)); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	} else if !st.IsDir() {
		return fmt.Errorf("making %s: %w", dir, hostfs.ErrNotDirectory)
	}
	if err := e.client.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("closing %s to others: %w", dir, err)
	}
	if st, err := hostfs.Given(e.client.Lstat(dir)); err != nil {
		return fmt.Errorf("making %s: %w", dir, err)
	} else if st.Mode() != fs.ModeDir|0o700 && st.Mode() != fs.ModeDir|fs.ModeSetgid|0o700 {
		return &PutError{Cause: "modes-unsupported", Path: dir, Said: fmt.Sprintf("mode 0700 was requested, and the result is %v", st.Mode())}
	}
	return nil
}

// sync brings a directory to the disk. It says why it could not.
func (e sftpEngine) sync(dir string) (unsynced string) {
	if _, ok := e.client.HasExtension(extFsync); !ok {
		return "the sftp server there cannot sync a file to disk (" + extFsync + ")"
	}
	d, err := hostfs.GivenFile(e.client.Open(dir))
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return fmt.Sprintf("the new name could not be synced to disk there: %v", err)
	}
	return ""
}

// lost reports whether an error is that of a connection that has ended.
func lost(err error) bool {
	for _, end := range []error{sftp.ErrSSHFxConnectionLost, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// answered reports whether an error is what the server said, rather than that
// it said nothing.
func answered(err error) bool {
	var status *sftp.StatusError
	return errors.As(err, &status) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// failure tells what an error means for the file.
func (e sftpEngine) failure(ctx context.Context, at place, err error) error {
	var put *PutError
	var after *unsure
	var reading *unreadable
	switch cause := context.Cause(ctx); {
	case cause != nil:
		return fmt.Errorf("over sftp: %w", cause)
	case errors.As(err, &after):
		return err
	case errors.As(err, &put):
		if put.Path == "" {
			put.Path = at.path
		}
		return put
	}
	put = &PutError{Cause: causeOf(err), Path: at.path, Said: record.Words(err), denied: errors.Is(err, fs.ErrPermission)}
	var status *sftp.StatusError
	switch {
	case put.Cause != "":
	case errors.As(err, &status):
		put.Cause = e.causeAt(at)
	case lost(err):
		put.Cause = "connection-dropped"
	default:
		put.Cause = "write-failed"
	}
	if put.Cause == "write-failed" && errors.As(err, &reading) && answered(err) {
		put.Cause = "keys-unreadable"
	}
	return put
}

// causeAt asks the file system why it may have refused.
func (e sftpEngine) causeAt(at place) string {
	dir := at.dir
	if at.noDir {
		dir = path.Dir(dir)
	}
	return cmp.Or(causeOf(hostfs.TakesNothing(e.client, dir)), "write-failed")
}
