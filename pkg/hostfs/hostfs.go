// Package hostfs is one small interface to the files of a machine: this one,
// or a far one through any login that runs a POSIX shell. It also holds the
// durable ways of writing that the toolkit uses here.
package hostfs

import (
	"context"
	"io/fs"

	"pi-key-tools/pkg/strictmodes"
)

// An FS is the files of one machine. Paths are absolute. No method follows a
// link in the last component of a path.
type FS interface {
	strictmodes.Tree
	// Account is who we are there.
	Account(ctx context.Context) (strictmodes.Account, error)
	// Chmod changes the permissions of what is a file or a folder as was says,
	// and refuses if it is anything else by now.
	Chmod(ctx context.Context, path string, was strictmodes.Stat, mode fs.FileMode) error
	// Chown changes the owner likewise; only root can.
	Chown(ctx context.Context, path string, was strictmodes.Stat, uid int) error
}

// Local is the files of this machine.
func Local() FS { panic("unwritten") }

// A Runner runs a command line in the far login shell and returns what it
// wrote to its standard output and error. err is of the connection, or of a
// command that could not be started; status is its exit status.
type Runner func(ctx context.Context, command string) (stdout, stderr []byte, status int, err error)

// Far is the files of the machine at the other end of run.
func Far(run Runner) FS { panic("unwritten") }

// ShellCommand wraps a POSIX sh script into one command line that every login
// shell in use (sh, bash, dash, zsh, fish, tcsh, BusyBox ash) hands to
// /bin/sh unchanged: one line, single-quoted, with every byte that one of them
// might touch written in octal for printf(1).
func ShellCommand(script string) string { panic("unwritten") }

// Quote returns s as one word of a POSIX shell.
func Quote(s string) string { panic("unwritten") }

// CreateNew writes a new file durably: complete or absent at every moment,
// never over anything that is there (fs.ErrExist), with exactly this mode, on
// the disk, folder and all, when it returns nil. Missing parents are not made.
func CreateNew(path string, data []byte, mode fs.FileMode) error { panic("unwritten") }

// Replace writes a file durably: the complete old or the complete new content
// at every moment, owner and mode kept, a link written at its target. edit
// gets the old content (nil if there is no file; the new one then gets mode)
// and returns the new; a nil result changes nothing. Writers that all use
// Replace take turns.
func Replace(path string, mode fs.FileMode, edit func(old []byte) ([]byte, error)) error {
	panic("unwritten")
}
