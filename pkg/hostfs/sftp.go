package hostfs

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/strictmodes"
)

// SFTP is the files of a far machine by requests of sftp alone (version 3, with
// OpenSSH's extensions), for an account that runs no shell. user is who logged
// in. Whoever made the client ends it; its requests know no context, and end
// with the connection.
//
// It tells and does less than Far, which is to be preferred where there is a
// shell:
//
//   - Hard links and access lists cannot be seen: Nlink is 0. So the mode of
//     another's file is not changed, and no file is given away.
//   - Who we are is said nowhere. It is read from /etc/passwd, or else taken to
//     be the owner of the folder that sftp starts in. Groups are those of
//     /etc/group; others, as of LDAP, are unknown.
//   - In an account that is shut into a folder (ChrootDirectory) all of this is
//     of that folder, and sshd reads its keys outside. Where sftp starts in /,
//     Account fails with ErrNoHome.
//   - What can be opened is changed by its handle, and is what was looked at as
//     far as type, mode, owner, group, size and time tell. What we may not read
//     is changed by name, which follows a link that was put there since.
//   - Nothing is renamed, made or copied where the server lacks
//     fsync@openssh.com: the error is errors.ErrUnsupported then. A folder, or
//     a file that is another's, is renamed after a look whether its new name is
//     free (sftp-server.c process_rename); only a link put there since would be
//     replaced.
//
// What was looked at is remembered as by Far.
func SFTP(client *sftp.Client, user string) FS { return &overSFTP{client: client, user: user} }

type overSFTP struct {
	client *sftp.Client
	user   string

	mu   sync.Mutex
	seen map[string]looked // nil before the first look, and after a change
	text map[string][]byte // /etc/passwd and /etc/group, once they were read
}

type looked struct {
	st  strictmodes.Stat
	err error
}

// sftpStat returns what a server told of a file.
func sftpStat(info fs.FileInfo) strictmodes.Stat {
	sys := info.Sys().(*sftp.FileStat)
	return strictmodes.Stat{Mode: info.Mode(), UID: int(sys.UID), GID: int(sys.GID)}
}

// errEmpty is for a server that says yes where something was asked for: the
// client takes that for an answer without anything in it.
var errEmpty = errors.New("the server answers with nothing in it")

// Given turns an answer of sftp.Client's Stat and Lstat, and of sftp.File's
// Stat, that has nothing in it into an error.
func Given(info fs.FileInfo, err error) (fs.FileInfo, error) {
	if err != nil {
		return nil, err
	}
	if info == nil {
		return nil, errEmpty
	}
	if st, ok := info.Sys().(*sftp.FileStat); !ok || st == nil {
		return nil, errEmpty
	}
	return info, nil
}

func (s *overSFTP) lstat(p string) (fs.FileInfo, error) { return Given(s.client.Lstat(p)) }
func (s *overSFTP) stat(p string) (fs.FileInfo, error)  { return Given(s.client.Stat(p)) }

func (s *overSFTP) realPath(p string) (string, error) {
	real, err := s.client.RealPath(p)
	if err == nil && !path.IsAbs(real) {
		err = errEmpty
	}
	return real, err
}

func (s *overSFTP) openFile(p string, flags int) (*sftp.File, error) {
	return GivenFile(s.client.OpenFile(p, flags))
}

// GivenFile does for sftp.Client's Open and OpenFile what Given does for Stat.
func GivenFile(f *sftp.File, err error) (*sftp.File, error) {
	if err == nil && f == nil {
		err = errEmpty
	}
	return f, err
}

// tell names what was done and the path, and takes the end of the context for
// the cause of whatever happened after it.
func tell(ctx context.Context, op, p string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return &fs.PathError{Op: op, Path: p, Err: err}
}

// usual are the files that every judgement looks at, relative to the home.
var usual = []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}

func (s *overSFTP) Lstat(ctx context.Context, p string) (strictmodes.Stat, error) {
	if !path.IsAbs(p) {
		return strictmodes.Stat{}, fmt.Errorf("%q is not an absolute path", p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.seen[p]
	if !ok {
		ways := []string{p}
		if s.seen == nil {
			s.seen = make(map[string]looked)
			if home, err := s.realPath("."); err == nil {
				for _, name := range usual {
					ways = append(ways, path.Join(home, name))
				}
			}
		}
		s.walk(ways)
		if l, ok = s.seen[p]; !ok {
			return strictmodes.Stat{}, tell(ctx, "lstat", p, sftp.ErrSSHFxConnectionLost)
		}
	}
	if settled(l.err) {
		return l.st, tell(ctx, "lstat", p, l.err)
	}
	delete(s.seen, p)
	return strictmodes.Stat{}, tell(ctx, "lstat", p, l.err)
}

// settled reports whether an error is an answer.
func settled(err error) bool {
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// walk looks at every component of the paths that was not looked at yet, at
// once: it takes one round trip.
func (s *overSFTP) walk(paths []string) {
	var todo []string
	for _, p := range paths {
		for {
			if _, ok := s.seen[p]; !ok && !slices.Contains(todo, p) {
				todo = append(todo, p)
			}
			if p == "/" {
				break
			}
			p = path.Dir(p)
		}
	}
	found := make([]looked, len(todo))
	var wait sync.WaitGroup
	for i, p := range todo {
		wait.Go(func() {
			info, err := s.lstat(p)
			if err == nil {
				found[i].st = sftpStat(info)
			}
			found[i].err = err
		})
	}
	wait.Wait()
	for i, p := range todo {
		s.seen[p] = found[i]
	}
}

func (s *overSFTP) forget() {
	s.mu.Lock()
	s.seen = nil
	s.mu.Unlock()
}

func (s *overSFTP) Readlink(ctx context.Context, p string) (string, error) {
	target, err := s.client.ReadLink(p)
	return target, tell(ctx, "readlink", p, err)
}

// database returns /etc/passwd or /etc/group.
func (s *overSFTP) database(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.text[name]
	if !ok {
		var err error
		if data, err = s.ReadFile(ctx, "/etc/"+name); err != nil {
			return "", err
		}
		if s.text == nil {
			s.text = make(map[string][]byte)
		}
		s.text[name] = data
	}
	return string(data), nil
}

func (s *overSFTP) PrivateGroup(ctx context.Context, gid, owner int) (bool, error) {
	passwd, err := s.database(ctx, "passwd")
	if err != nil {
		return false, err
	}
	group, err := s.database(ctx, "group")
	if err != nil {
		return false, err
	}
	return privateGroup(passwd, group, gid, owner), nil
}

func (s *overSFTP) Account(ctx context.Context) (strictmodes.Account, error) {
	who := strictmodes.Account{Name: s.user}
	start, err := s.realPath(".")
	if err != nil {
		return who, fmt.Errorf("asking where sftp starts: %w", tell(ctx, "realpath", ".", err))
	}
	passwd, err := s.database(ctx, "passwd")
	if err != nil && !settled(err) {
		return who, err
	}
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 7 || f[0] != s.user {
			continue
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if err1 != nil || err2 != nil {
			continue
		}
		who.UID, who.Groups, who.Home = uid, s.groups(ctx, gid), start
		// sftp-server -d starts elsewhere.
		if st, err := s.stat(f[5]); err == nil && st.IsDir() && path.IsAbs(f[5]) {
			who.Home = f[5]
		} else if start == "/" {
			return who, fmt.Errorf("%w: %s", ErrNoHome, f[5])
		}
		return who, nil
	}
	st, err := s.Lstat(ctx, start)
	switch {
	case err != nil:
		return who, err
	case start == "/":
		return who, fmt.Errorf("%w: sftp starts in /, so it is missing, or the account is shut into a folder", ErrNoHome)
	case st.UID == 0 && s.user != "root":
		return who, fmt.Errorf("%w: %s, where sftp starts, is root's, and /etc/passwd does not tell who we are", ErrOwner, start)
	}
	who.UID, who.Home = st.UID, start
	return who, nil
}

// groups are those of the user, the primary first; nil if they cannot be read.
func (s *overSFTP) groups(ctx context.Context, primary int) []int {
	text, err := s.database(ctx, "group")
	if err != nil {
		return nil
	}
	groups := []int{primary}
	for line := range strings.Lines(text) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 4 || !slices.Contains(strings.Split(f[3], ","), s.user) {
			continue
		}
		if gid, err := strconv.Atoi(f[2]); err == nil {
			groups = append(groups, gid)
		}
	}
	return groups
}

// now looks again at what is to be changed, which no link may lead to.
func (s *overSFTP) now(p string, was strictmodes.Stat) (fs.FileInfo, error) {
	dir := path.Dir(p)
	if real, err := s.realPath(dir); err != nil {
		return nil, err
	} else if real != path.Clean(dir) {
		return nil, fmt.Errorf("%w: a link leads to %s", ErrChanged, real)
	}
	info, err := s.lstat(p)
	if err != nil {
		return nil, err
	}
	if is := sftpStat(info); is.Mode != was.Mode || is.UID != was.UID || is.GID != was.GID {
		return nil, fmt.Errorf("%w: it is %v of uid %d, gid %d now", ErrChanged, is.Mode, is.UID, is.GID)
	}
	return info, nil
}

// open opens what is still as it was. The error is fs.ErrPermission for what we
// may not read.
func (s *overSFTP) open(p string, was strictmodes.Stat) (*sftp.File, error) {
	before, err := s.now(p, was)
	if err != nil {
		return nil, err
	}
	f, err := s.openFile(p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	is, err := Given(f.Stat())
	if err == nil && (sftpStat(is) != sftpStat(before) || is.Size() != before.Size() || !is.ModTime().Equal(before.ModTime())) {
		err = fmt.Errorf("%w: it is %v now", ErrChanged, is.Mode())
	}
	if err == nil {
		_, err = s.now(p, was)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// errUnseen is why more is not done to a file that may be known by other names.
var errUnseen = fmt.Errorf("%w: whether it has further hard links cannot be seen by sftp", errors.ErrUnsupported)

func (s *overSFTP) Chmod(ctx context.Context, p string, was strictmodes.Stat, mode fs.FileMode) error {
	mode = strictmodes.Permissions(mode)
	err := changeable(was)
	if err == nil && was.Mode.IsRegular() {
		var me strictmodes.Account
		if me, err = s.Account(ctx); err == nil && me.UID != was.UID {
			err = errUnseen
		}
	}
	if err == nil {
		err = s.change(p, was, func(f *sftp.File) error { return f.Chmod(mode) }, func() error { return s.client.Chmod(p, mode) })
	}
	if err == nil {
		var now strictmodes.Stat
		if now, err = s.Lstat(ctx, p); err == nil && strictmodes.Permissions(now.Mode) != mode {
			err = fmt.Errorf("%w: the mode is %s", ErrModesIgnored, strictmodes.Octal(now.Mode))
		}
	}
	return s.failed(ctx, "changing the mode of "+p+" to "+strictmodes.Octal(mode), p, err)
}

func (s *overSFTP) Chown(ctx context.Context, p string, was strictmodes.Stat, uid int) error {
	err := changeable(was)
	if err == nil && was.Mode.IsRegular() {
		err = errUnseen
	}
	if err == nil {
		err = s.change(p, was, func(f *sftp.File) error { return f.Chown(uid, was.GID) }, nil)
	}
	if err == nil {
		var now strictmodes.Stat
		if now, err = s.Lstat(ctx, p); err == nil && now.UID != uid {
			err = fmt.Errorf("%w: the owner is uid %d", ErrModesIgnored, now.UID)
		}
	}
	return s.failed(ctx, fmt.Sprintf("changing the owner of %s to uid %d", p, uid), p, err)
}

// change does something to what is still as it was: by its handle, or by name
// if it cannot be opened and there is a way.
func (s *overSFTP) change(p string, was strictmodes.Stat, do func(*sftp.File) error, byName func() error) error {
	defer s.forget()
	f, err := s.open(p, was)
	if errors.Is(err, fs.ErrPermission) && byName != nil {
		if _, err := s.now(p, was); err != nil {
			return err
		}
		return byName()
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return do(f)
}

// failed says what an error was of. "Failure" is all that a server says of a
// file system that is read-only or full.
func (s *overSFTP) failed(ctx context.Context, doing, p string, err error) error {
	if err == nil {
		return nil
	}
	var status *sftp.StatusError
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	} else if errors.As(err, &status) {
		if st, ok := s.fileSystem(path.Dir(p)); ok && st.Flag&readOnly != 0 {
			err = syscall.EROFS
		} else if ok && st.Bavail == 0 {
			err = syscall.ENOSPC
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// readOnly is SSH2_FXE_STATVFS_ST_RDONLY of OpenSSH's PROTOCOL.
const readOnly = 1

func (s *overSFTP) fileSystem(p string) (*sftp.StatVFS, bool) {
	if _, ok := s.client.HasExtension("statvfs@openssh.com"); !ok {
		return nil, false
	}
	st, err := s.client.StatVFS(p)
	return st, err == nil && st != nil
}

func (s *overSFTP) Attributes(ctx context.Context, p string) (strictmodes.Attributes, error) {
	if _, err := s.Lstat(ctx, p); err != nil {
		return strictmodes.Attributes{}, err
	}
	a := attributesOf(mountOf(s.mounts(), p))
	if st, ok := s.fileSystem(p); ok {
		a.ReadOnly = st.Flag&readOnly != 0
	}
	return a, nil
}

// mounts returns /proc/mounts, whose size is 0, or "".
func (s *overSFTP) mounts() string {
	f, err := s.openFile("/proc/mounts", os.O_RDONLY)
	if err != nil {
		return ""
	}
	defer f.Close()
	var text []byte
	b := make([]byte, 32<<10)
	for len(text) < 1<<20 {
		n, err := f.ReadAt(b, int64(len(text)))
		text = append(text, b[:n]...)
		if n == 0 || err != nil && err != io.EOF {
			break
		}
	}
	return string(text)
}

func (s *overSFTP) ReadFile(ctx context.Context, p string) ([]byte, error) {
	data, err := s.read(p)
	return data, tell(ctx, "read", p, err)
}

func (s *overSFTP) read(p string) ([]byte, error) {
	// Opening a pipe would wait for its other end.
	if info, err := s.stat(p); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	f, err := s.openFile(p, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, _, err := ReadOpen(f, maxRead)
	return data, err
}

// ReadOpen reads a regular file of at most so many bytes: as many as it says to
// have, where it expects the end. A read may come short anywhere, and only one
// that brings nothing is at the end: File.WriteTo would leave a hole unseen. The
// error is ErrNotRegular, ErrTooLarge or ErrChanged where it is that.
func ReadOpen(f *sftp.File, most int64) ([]byte, *sftp.FileStat, error) {
	info, err := Given(f.Stat())
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, ErrNotRegular
	case info.Size() < 0 || info.Size() > most:
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrTooLarge, uint64(info.Size()))
	}
	data := make([]byte, info.Size()+1)
	n := 0
	for n < len(data) {
		m, err := f.ReadAt(data[n:], int64(n))
		n += m
		if err == io.EOF && (m == 0 || n == len(data)-1) {
			break
		}
		if err != nil && err != io.EOF {
			return nil, nil, err
		}
	}
	if n != len(data)-1 {
		return nil, nil, fmt.Errorf("%w while it was read", ErrChanged)
	}
	return data[:n], info.Sys().(*sftp.FileStat), nil
}

func (s *overSFTP) Glob(ctx context.Context, pattern string) ([]string, error) {
	if !path.IsAbs(pattern) {
		return nil, fmt.Errorf("%q is not an absolute path", pattern)
	}
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			names, err := s.match(ctx, dir, part)
			if err != nil {
				return nil, fmt.Errorf("looking for %s: %w", pattern, err)
			}
			next = append(next, names...)
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// match returns what is in a folder by a pattern of its name, as glob(7) has it.
func (s *overSFTP) match(ctx context.Context, dir, pattern string) ([]string, error) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		p := path.Join(dir, pattern)
		if _, err := s.lstat(p); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return nil, tell(ctx, "lstat", p, err)
		}
		return []string{p}, nil
	}
	if info, err := s.stat(dir); err != nil || !info.IsDir() {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return nil, tell(ctx, "stat", dir, err)
	}
	entries, err := s.client.ReadDir(dir)
	if err != nil {
		return nil, tell(ctx, "readdir", dir, err)
	}
	var found []string
	for _, e := range entries {
		hidden := strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(pattern, ".")
		if ok, _ := path.Match(pattern, e.Name()); ok && !hidden {
			found = append(found, path.Join(dir, e.Name()))
		}
	}
	return found, nil
}

// durable says whether what we are about to do can be brought to the disk.
func (s *overSFTP) durable() error {
	if _, ok := s.client.HasExtension("fsync@openssh.com"); !ok {
		return fmt.Errorf("%w: the sftp server there cannot bring a change to the disk (fsync@openssh.com)", errors.ErrUnsupported)
	}
	return nil
}

// sync brings the names in a folder to the disk.
func (s *overSFTP) sync(dir string) error {
	d, err := s.openFile(dir, os.O_RDONLY)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	if err != nil {
		return fmt.Errorf("%w: bringing it to the disk: %w", ErrUnsure, err)
	}
	return nil
}

// free fails if there is anything.
func (s *overSFTP) free(p string) error {
	switch _, err := s.lstat(p); {
	case err == nil:
		return fs.ErrExist
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// orExists gives an error that says no more than "failure" its usual reason.
func (s *overSFTP) orExists(p string, err error) error {
	if err != nil && errors.Is(s.free(p), fs.ErrExist) {
		return fs.ErrExist
	}
	return err
}

func (s *overSFTP) Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error {
	defer s.forget()
	err := func() error {
		if path.Dir(from) != path.Dir(to) {
			return fmt.Errorf("%s is not in the same folder", to)
		}
		if err := s.durable(); err != nil {
			return err
		}
		if _, err := s.now(from, was); err != nil {
			return err
		}
		if err := s.free(to); err != nil {
			return err
		}
		if err := s.client.Rename(from, to); err != nil {
			return s.orExists(to, err)
		}
		if _, err := s.now(to, was); err != nil {
			return fmt.Errorf("%w: something else was put there meanwhile: %w", ErrUnsure, err)
		}
		return s.sync(path.Dir(to))
	}()
	return s.failed(ctx, "renaming "+from+" to "+path.Base(to), to, err)
}

func (s *overSFTP) Mkdir(ctx context.Context, p string, mode fs.FileMode) error {
	mode = strictmodes.Permissions(mode)
	defer s.forget()
	err := func() error {
		if err := s.durable(); err != nil {
			return err
		}
		if err := s.free(p); err != nil {
			return err
		}
		if err := s.client.Mkdir(p); err != nil { // with the mode that the umask there leaves
			return s.orExists(p, err)
		}
		info, err := s.lstat(p)
		if err != nil {
			return err
		}
		d, err := s.open(p, sftpStat(info))
		if err != nil {
			return err
		}
		defer d.Close()
		if err := setMode(d, fs.ModeDir|mode); err != nil {
			return err
		}
		if err := d.Sync(); err != nil {
			return fmt.Errorf("%w: bringing it to the disk: %w", ErrUnsure, err)
		}
		return s.sync(path.Dir(p))
	}()
	return s.failed(ctx, "making the folder "+p, p, err)
}

// setMode sets a mode and looks whether it took.
func setMode(f *sftp.File, mode fs.FileMode) error {
	if err := f.Chmod(strictmodes.Permissions(mode)); err != nil {
		return err
	}
	if is, err := Given(f.Stat()); err != nil {
		return err
	} else if is.Mode() != mode {
		return fmt.Errorf("%w: it is %v", ErrModesIgnored, is.Mode())
	}
	return nil
}

func (s *overSFTP) Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error {
	defer s.forget()
	err := func() error {
		if !was.Mode.IsRegular() {
			return ErrNotRegular
		}
		if err := s.durable(); err != nil {
			return err
		}
		f, err := s.open(from, was)
		if err != nil {
			return err
		}
		data, _, err := ReadOpen(f, maxRead)
		f.Close()
		if err != nil {
			return err
		}
		if real, err := s.realPath(path.Dir(to)); err != nil {
			return err
		} else if real != path.Clean(path.Dir(to)) {
			return fmt.Errorf("%w: a link leads to %s", ErrChanged, real)
		}
		if err := s.free(to); err != nil {
			return err
		}
		temp := path.Join(path.Dir(to), ".new-"+rand.Text())
		if err := s.write(temp, data, strictmodes.Permissions(mode)); err != nil {
			s.client.Remove(temp)
			return err
		}
		if err := s.client.Rename(temp, to); err != nil {
			s.client.Remove(temp)
			return s.orExists(to, err)
		}
		return s.sync(path.Dir(to))
	}()
	return s.failed(ctx, "copying "+from+" to "+to, to, err)
}

// write makes a new file, brings it to the disk and reads it back.
func (s *overSFTP) write(p string, data []byte, mode fs.FileMode) error {
	f, err := s.openFile(p, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := setMode(f, mode&^0077); err != nil { // before there is anything to read
		return err
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	back, _, err := ReadOpen(f, maxRead)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, data) {
		return errors.New("the server gives other bytes than it was given")
	}
	if err := setMode(f, mode); err != nil {
		return err
	}
	return f.Sync()
}
