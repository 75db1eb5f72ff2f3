// Package hostfs is one small interface to the files of a machine: this one,
// or a far one through any login that runs a POSIX shell. It also holds the
// durable ways of writing that the toolkit uses here.
package hostfs

import (
	"context"
	"errors"
	"io/fs"

	"pi-key-tools/pkg/strictmodes"
)

// An FS is the files of one machine. Paths are absolute. No method follows a
// link in the last component of a path. The errors of the system are told as on
// this machine: fs.ErrPermission, syscall.EROFS.
type FS interface {
	strictmodes.Tree
	// Account is who we are there.
	Account(ctx context.Context) (strictmodes.Account, error)
	// Chmod changes the permissions of what is a file or a folder as was says,
	// by type, permissions, owner and group, and looks whether it took. path
	// holds no link. The error is ErrChanged, ErrLinked or ErrModesIgnored
	// where it is that.
	Chmod(ctx context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error
	// Chown changes the owner likewise, and keeps the group; only root can.
	Chown(ctx context.Context, path string, was strictmodes.Stat, uid int) error
	// Attributes tells of a file or a folder what its Stat does not.
	Attributes(ctx context.Context, path string) (strictmodes.Attributes, error)
	// ReadFile reads a regular file of 4 MiB at most, through links. The error
	// is fs.ErrNotExist, fs.ErrPermission, ErrNotRegular or ErrTooLarge where
	// it is that.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// Glob returns what a pattern of sshd_config's Include leads to, sorted;
	// one without a match is no error. One that makes it look at more than
	// 10,000 names may be ErrTooMany.
	Glob(ctx context.Context, pattern string) ([]string, error)
	// Rename gives what is as was says another name in the same folder, and is
	// durable. It never replaces anything: the error is fs.ErrExist then.
	Rename(ctx context.Context, from string, was strictmodes.Stat, to string) error
	// Mkdir makes a folder of ours, of exactly that mode, durably. The error
	// is fs.ErrExist if anything is there.
	Mkdir(ctx context.Context, path string, mode fs.FileMode) error
	// Copy makes a new file of ours with the content of a regular one, of
	// 4 MiB at most, durably. The error is fs.ErrExist if anything is there.
	Copy(ctx context.Context, from string, was strictmodes.Stat, to string, mode fs.FileMode) error
}

// A Machine is an FS that knows everybody who has an account there: this
// machine, or a card.
type Machine interface {
	FS
	// Lookup returns an account by its name, with all of its groups. The error
	// is ErrNoAccount if nobody has it.
	Lookup(ctx context.Context, name string) (strictmodes.Account, error)
	// Accounts returns those that a person or a program can log in to, in the
	// order of passwd(5): with an absolute home other than /nonexistent, and a
	// shell that is neither nologin, false, true, sync, halt nor shutdown, in
	// whatever folder; none at all is sh.
	Accounts(ctx context.Context) ([]strictmodes.Account, error)
	// GroupNames returns the names of an account's groups, for Match Group of
	// sshd_config.
	GroupNames(ctx context.Context, who strictmodes.Account) ([]string, error)
}

// ErrChanged means that a file is no longer what it was judged to be, or is
// reached through a link by now; nothing was changed.
var ErrChanged = errors.New("it has changed underneath")

// ErrLinked means that a file has further hard links, and so may be somebody
// else's under another name; nothing was changed.
var ErrLinked = errors.New("it has further hard links")

// ErrModesIgnored means that the file system said yes and kept its own mode or
// owner, as FAT and some network file systems do.
var ErrModesIgnored = errors.New("the file system does not keep modes")

// ErrNotRegular means that what should be a regular file is none.
var ErrNotRegular = errors.New("it is not a regular file")

// ErrNoShell means that a login works and no POSIX shell answers there. The
// error around it shows, escaped and cut, what came instead.
var ErrNoShell = errors.New("the login shell there ran no command")

// ErrNoHome means that the home of an account is not there.
var ErrNoHome = errors.New("there is no such home")

// ErrOwner means that a file belongs to somebody else than it should, or cannot
// be given to whom it should belong.
var ErrOwner = errors.New("it belongs to another")

// ErrTooLarge means that a file is larger than what is read of its kind.
var ErrTooLarge = errors.New("it is too large")

// ErrTooMany means that a pattern leads to more files than are looked at.
var ErrTooMany = errors.New("it leads to too many files")

// ErrUnsure comes after a new file may have taken the old one's place.
var ErrUnsure = errors.New("whether it was written is not known")
