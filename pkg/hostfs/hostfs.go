// Package hostfs is one small interface to the files of a machine: this one, a
// far one through any login that has a POSIX shell or sftp, or a mounted card. It
// also has the durable writes that the toolkit uses on this machine.
package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/strictmodes"
)

// An FS is the files of one machine. Paths are absolute. No method follows a
// link in the last component of a path. System errors are reported as on this
// machine: fs.ErrPermission, syscall.EROFS.
type FS interface {
	strictmodes.Tree
	// Account returns the account that we act as.
	Account(ctx context.Context) (strictmodes.Account, error)
	// Chmod changes the permissions of a file or directory that is still as was
	// says, by type, permissions, owner and group, and checks that the change
	// took effect. path holds no link. The error may be ErrChanged, ErrLinked
	// or ErrModesIgnored.
	Chmod(ctx context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error
	// Chown changes the owner likewise, and keeps the group; only root can.
	Chown(ctx context.Context, path string, was strictmodes.Stat, uid int) error
	// Attributes returns what the Stat of a file or directory does not tell.
	Attributes(ctx context.Context, path string) (strictmodes.Attributes, error)
	// ReadFile reads a regular file of at most 4 MiB, through links. The error
	// may be fs.ErrNotExist, fs.ErrPermission, ErrNotRegular or bounded.ErrTooLarge.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// Glob returns the sorted matches of a pattern of sshd_config's Include;
	// none is no error. The error may be ErrTooMany if more than 10,000 names
	// would have to be looked at.
	Glob(ctx context.Context, pattern string) ([]string, error)
	// Rename durably renames what is still as was says, within its
	// directory. It never replaces anything: the error is fs.ErrExist then.
	Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error
	// Mkdir durably makes a directory of ours, with exactly that mode. The
	// error is fs.ErrExist if anything is there.
	Mkdir(ctx context.Context, path string, mode fs.FileMode) error
	// Copy durably makes a new file of ours with the content of a regular one
	// of at most 4 MiB. The error is fs.ErrExist if anything is there.
	Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error
}

// A Machine is an FS that knows all accounts of its machine: this machine, or a
// card.
type Machine interface {
	FS
	// Lookup returns an account by name, with all of its groups. The error is
	// ErrNoAccount if there is none.
	Lookup(ctx context.Context, name string) (strictmodes.Account, error)
	// Accounts returns those that a person or a program can log in to, in the
	// order of passwd(5): with an absolute home other than /nonexistent, and a
	// shell that is not named nologin, false, true, sync, halt or shutdown,
	// whatever its directory. An empty shell is sh. The list is read on as it is
	// gone through, so that thousands need not be waited for.
	Accounts(ctx context.Context) (iter.Seq[strictmodes.Account], error)
	// GroupNames returns the names of an account's groups, for Match Group and
	// AllowGroups of sshd_config. Those of our own account are asked for anew.
	GroupNames(ctx context.Context, who strictmodes.Account) ([]string, error)
}

// ErrChanged means that a file is no longer what it was judged to be, or is now
// reached through a link; nothing was changed.
var ErrChanged = errors.New("it has changed underneath")

// ErrLinked means that a file has further hard links, and so may be somebody
// else's under another name; nothing was changed.
var ErrLinked = errors.New("it has further hard links")

// ErrModesIgnored means that the file system reported success but kept its own
// mode or owner, as FAT and some network file systems do.
var ErrModesIgnored = errors.New("the file system does not keep modes")

// ErrNotRegular means that what should be a regular file is not one.
var ErrNotRegular = errors.New("it is not a regular file")

// ErrNoShell means that a login works but no POSIX shell answers there. The
// error that wraps it shows, escaped and shortened, what came instead.
var ErrNoShell = errors.New("the login shell there ran no command")

// ErrNoSession is ErrNoShell where sshd has not even started the login shell.
var ErrNoSession = fmt.Errorf("%w, since sshd started no session", ErrNoShell)

// NotStarted is the exit status of sshd in place of a command's where PAM opens
// no session, or /etc/nologin forbids one (session.c do_child()).
const NotStarted = 254

// NoShell is ErrNoShell with what came instead of an answer.
func NoShell(status int, said string) error {
	err := ErrNoShell
	if status == NotStarted {
		err = ErrNoSession
	}
	if said = strings.TrimSpace(said); said == "" {
		return fmt.Errorf("%w: status %d, and it said nothing", err, status)
	}
	return fmt.Errorf("%w: status %d, and it said \"%s\"", err, status, record.Escape(cut(said)))
}

// ErrNoHome means that the home directory of an account does not exist.
var ErrNoHome = errors.New("there is no such home")

// ErrOwner means that a file belongs to somebody other than it should, or
// cannot be given to its proper owner.
var ErrOwner = errors.New("it belongs to another")

// ErrTooMany means that a pattern matches more files than are looked at.
var ErrTooMany = errors.New("it leads to too many files")

// ErrUnsure means that the new file may or may not have replaced the old one.
var ErrUnsure = errors.New("whether it was written is not known")
