// Package secret gets passwords and passphrases the way ssh does: from a file
// that the user names, from SSH_ASKPASS, or from the terminal. Never from argv
// or the environment; and never into a log, an error or a child.
package secret

import (
	"context"
	"errors"
)

// ErrNobody means that there is nobody to ask: no file, no askpass, no
// terminal, or BatchMode.
var ErrNobody = errors.New("nobody can be asked for it: no file, no askpass program and no terminal")

// A Source is where one secret comes from.
type Source struct {
	File   string              // --password-file: any path, first line; "" for none
	Batch  bool                // BatchMode yes: askpass and terminal are not asked
	Getenv func(string) string // SSH_ASKPASS, SSH_ASKPASS_REQUIRE, DISPLAY
}

// Get returns the secret, which the caller wipes. prompt is what the askpass
// program and the terminal show, such as "pi@raspberrypi's password: ".
// A file is read once and remembered, since it may be a pipe; it is refused
// when others may read it. Its errors name the file and never the content.
func (s *Source) Get(ctx context.Context, prompt string) ([]byte, error) { panic("unwritten") }

// Wipe overwrites a secret.
func Wipe(secret []byte) { clear(secret) }
