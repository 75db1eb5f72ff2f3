// Package strictmodes judges the files of a login by key as sshd's StrictModes
// does, and knows the least change that satisfies it.
// Source: misc.c safe_path(), Debian's user-group-modes.patch, dropbear's
// svr-authpubkey.c, and for private keys authfile.c sshkey_perm_ok().
package strictmodes

import (
	"context"
	"io/fs"
)

// A Server is whose rules hold.
type Server int

// The servers whose rules differ.
const (
	All      Server = iota // unknown: what satisfies every server
	OpenSSH                // upstream, and every distribution that does not patch it
	Debian                 // Debian, Ubuntu, Raspberry Pi OS: a private group may write
	Dropbear               //
)

func (s Server) String() string { panic("unwritten") }

// ServerOf returns the server that a version line such as
// "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10" comes from.
func ServerOf(version string) Server { panic("unwritten") }

// A Stat is what lstat(2) tells of a path.
type Stat struct {
	Mode  fs.FileMode // type and permissions, setuid, setgid and sticky bits
	UID   int
	GID   int
	Nlink int
}

// A Tree answers for the files of the machine in question. Lstat's error
// is fs.ErrNotExist or fs.ErrPermission, by errors.Is, where it is that.
type Tree interface {
	Lstat(ctx context.Context, path string) (Stat, error)
	Readlink(ctx context.Context, path string) (string, error)
	// PrivateGroup reports whether only the user owner can act by the group,
	// by the rule of Debian's secure_permissions().
	PrivateGroup(ctx context.Context, gid, owner int) (bool, error)
}

// An Account is who logs in.
type Account struct {
	Name string
	UID  int
	Home string // absolute
}

// A Finding is one thing that the server, or ssh for its own files, refuses.
type Finding struct {
	Cause  string      // home-writable, dir-writable, keys-writable, parent-writable, wrong-owner, keys-not-a-file, keys-unreadable, home-missing, key-not-installed, key-mode …
	Path   string      // of the real file, not of a link to it
	Stat   Stat        // as it is
	Mode   fs.FileMode // the mode that cures it, if Repair is Chmod
	Repair Repair
	Detail string // "mode 0775: the group may write", for a person
}

// A Repair is the kind of change that cures a finding.
type Repair int

// The kinds of change, from the least.
const (
	None  Repair = iota // nothing that a mode or an owner would cure
	Chmod               // to Finding.Mode, which never has a bit more than before, but for what the owner needs to read his own
	Chown               // to the account
)

// Judge walks from home to the keys file as the server does and returns every
// finding, in the order in which repairing them never locks anybody out.
// keysFile is absolute; "" means ~/.ssh/authorized_keys. A missing keys file
// is no finding of modes, and not reported.
func Judge(ctx context.Context, tree Tree, who Account, keysFile string, server Server) ([]Finding, error) {
	panic("unwritten")
}

// JudgePrivateKey says whether ssh would ignore a private key for its mode.
func JudgePrivateKey(path string, st Stat, uid int) (Finding, bool) { panic("unwritten") }
