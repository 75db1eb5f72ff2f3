package hostfs

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sync"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/strictmodes"
)

// SFTP returns the files of a far machine by sftp requests alone (version 3,
// with OpenSSH's extensions), for an account that runs no shell. user is who
// logged in. The caller closes client; its requests ignore contexts, and end
// with the connection.
//
// It can tell and do less than Far, which is preferable where there is a shell:
//
//   - Hard links and access lists cannot be seen: Nlink is 0. So the mode of
//     another user's file is not changed, and no file is given away.
//   - The protocol does not say who we are. It is read from /etc/passwd, or
//     else taken to be the owner of the directory that sftp starts in. Groups
//     are those of /etc/group; others, such as LDAP's, are unknown.
//   - In an account confined to a directory (ChrootDirectory) all of this is of
//     that directory, while sshd reads its keys outside. Where sftp starts in
//     /, Account fails with ErrNoHome.
//   - What can be opened is changed by its handle, and is what was looked at as
//     far as type, mode, owner, group, size and time tell. What we may not read
//     is changed by name, which follows a link put there since.
//   - Nothing is renamed, made or copied where the server lacks
//     fsync@openssh.com: the error is errors.ErrUnsupported then. Before a
//     directory, or another user's file, is renamed, a look tells whether the
//     new name is free (sftp-server.c process_rename); only a link put there
//     since would be replaced.
//
// What was looked at is remembered as by Far.
func SFTP(client *sftp.Client, user string) FS { return &sftpFS{client: client, user: user} }

type sftpFS struct {
	client *sftp.Client
	user   string

	mu   sync.Mutex
	seen map[string]lstatResult // nil before the first look, and after a change
	text map[string][]byte      // /etc/passwd and /etc/group, once they were read
}

type lstatResult struct {
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

// Given returns an error for an empty answer of sftp.Client's Stat and Lstat,
// or of sftp.File's Stat.
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

func (s *sftpFS) lstat(p string) (fs.FileInfo, error) { return Given(s.client.Lstat(p)) }
func (s *sftpFS) stat(p string) (fs.FileInfo, error)  { return Given(s.client.Stat(p)) }

func (s *sftpFS) realPath(p string) (string, error) {
	real, err := s.client.RealPath(p)
	if err == nil && !path.IsAbs(real) {
		err = errEmpty
	}
	return real, err
}

func (s *sftpFS) openFile(p string, flags int) (*sftp.File, error) {
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
