// Package secret gets passwords and passphrases the way ssh does: from a file
// the user names, from SSH_ASKPASS, or from the terminal. It never takes them
// from argv or the environment, or gives them to a log, an error or a child.
package secret

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

// ErrNobody means that there is nobody to ask: no file, no askpass, no
// terminal, or BatchMode.
var ErrNobody = errors.New("there is nobody to ask for it: no file, no askpass program and no terminal")

// ErrDeclined means that somebody was asked and gave nothing: ^D at the
// terminal, or an askpass program that failed, as it does on "Cancel".
var ErrDeclined = errors.New("no secret was given")

// A Source provides one secret. It is safe for concurrent use, and must not be
// copied after Get has been called.
type Source struct {
	File   string              // --password-file: any path, first line; "" for none
	Batch  bool                // BatchMode yes: askpass and terminal are not asked
	Getenv func(string) string // SSH_ASKPASS, SSH_ASKPASS_REQUIRE, DISPLAY, WAYLAND_DISPLAY
	// Hold, if set, is called before a person is asked, and release afterwards:
	// nothing else may write to the terminal meanwhile.
	Hold func() (release func())

	once sync.Once
	read chan struct{} // closed once line and err are those of the file
	line []byte
	err  error
}

// Get returns the secret, which the caller wipes. prompt is what the askpass
// program and the terminal show, such as "pi@raspberrypi's password: ", with
// everything escaped that a terminal would obey. Prompts of all sources take
// turns; an empty answer is an empty secret. An error may be ErrNobody,
// ErrDeclined or ctx's.
//
// A file is read once and remembered, since it may be a pipe; one that others
// may read is refused (*RefusedError). Its errors name the file and never
// include its content.
func (s *Source) Get(ctx context.Context, prompt string) ([]byte, error) {
	switch {
	case s.File != "":
		return s.fromFile(ctx)
	case s.Batch:
		return nil, ErrNobody
	}
	select {
	case asking <- struct{}{}:
		defer func() { <-asking }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.Hold != nil {
		defer s.Hold()()
	}
	return s.ask(ctx, record.Escape(prompt))
}

// asking is held by whoever prompts: a process has one terminal and its user
// one attention. It is a channel so that waiting for it ends with a context.
var asking = make(chan struct{}, 1)

// ask decides whom to ask. Source: readpass.c read_passphrase() of OpenSSH
// 9.9, which looks at WAYLAND_DISPLAY too; ssh(1) ENVIRONMENT.
func (s *Source) ask(ctx context.Context, prompt string) ([]byte, error) {
	allowed := s.Getenv("DISPLAY") != "" || s.Getenv("WAYLAND_DISPLAY") != ""
	preferred := false
	switch strings.ToLower(s.Getenv("SSH_ASKPASS_REQUIRE")) {
	case "force":
		allowed, preferred = true, true
	case "prefer":
		preferred = allowed
	case "never":
		allowed = false
	}
	tty, err := openTerminal()
	if err == nil {
		defer tty.close()
		if !preferred {
			return tty.ask(ctx, prompt)
		}
	}
	if !allowed {
		return nil, ErrNobody
	}
	return askpass(ctx, s.Getenv("SSH_ASKPASS"), prompt, err == nil)
}

// Tries opens a private key with the passphrase that s gives, up to n times while
// it is the wrong one and somebody can give another.
func (s *Source) Tries(n int, open func() error) error {
	for {
		err := open()
		if n--; n < 1 || s.File != "" || !errors.Is(err, sshkey.ErrPassphraseWrong) {
			return err
		}
	}
}

// Settle stops all prompting and restores the terminal, for a caller that ends
// the process in the middle of its work and has cancelled the contexts of Get.
// It waits for at most a second.
func Settle() {
	select {
	case asking <- struct{}{}: // and keeps it
	case <-time.After(time.Second):
	}
}

// Forget wipes what was read from the file. Get must not be called any more.
func (s *Source) Forget() {
	select {
	case <-s.read: // never, if nothing was
		Wipe(s.line)
	default:
	}
}

// Wipe overwrites a secret.
func Wipe(secret []byte) { clear(secret) }
