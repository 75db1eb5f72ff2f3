package connect

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
)

// A HostsCommandError means that KnownHostsCommand failed. As with ssh, no host
// key is accepted then.
type HostsCommandError struct {
	Err  error
	Said string // on its standard error
}

func (e *HostsCommandError) Error() string {
	text := "KnownHostsCommand failed: " + e.Err.Error()
	if e.Said != "" {
		text += ": " + e.Said
	}
	return text
}

func (e *HostsCommandError) Unwrap() error { return e.Err }

// maxTold is how much of what KnownHostsCommand says is read.
const maxTold = 16 << 20

// hostKeysTold are the lines that KnownHostsCommand has of a name: for the order
// in which to ask for keys, and once more for the key that the host shows.
func (h *Host) hostKeysTold(ctx context.Context, name string, key ssh.PublicKey) ([]knownhosts.Line, error) {
	if h.Config.KnownHostsCommand == "" {
		return nil, nil
	}
	tokens := map[byte]string{'H': name, 'I': "ORDER", 't': "NONE", 'f': "NONE", 'K': "NONE"}
	if key != nil {
		blob := identity.PublicOf(key)
		tokens['I'], tokens['t'], tokens['f'], tokens['K'] = "HOSTNAME", blob.Type, blob.Plain().Fingerprint(), blob.Base64()
	}
	argv, err := h.Config.KnownHostsArguments(tokens)
	if err != nil {
		return nil, &HostsCommandError{Err: err}
	}
	// Of what cannot be run at all ssh says so, and goes on.
	if len(argv) == 0 || !filepath.IsAbs(argv[0]) {
		h.c.opt.Note(h.Target, "KnownHostsCommand %s: needs an absolute path, and quotes in pairs", h.Config.KnownHostsCommand)
		return nil, nil
	}
	if _, err := os.Stat(argv[0]); err != nil {
		h.c.opt.Note(h.Target, "KnownHostsCommand: %v", err)
		return nil, nil
	}
	h.c.opt.Trace(1, h.Target, "known hosts command: %s", strings.Join(argv, " "))
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	setApart(cmd)
	cmd.Cancel = func() error { signalCommand(cmd, true); return nil }
	cmd.WaitDelay = time.Second // for what it may have set apart itself
	var said head
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, &HostsCommandError{Err: err}
	}
	data, err := bounded.ReadAll(out, maxTold)
	if errors.Is(err, bounded.ErrTooLarge) {
		err = fmt.Errorf("it says more than %d MiB", maxTold>>20)
		signalCommand(cmd, true)
	}
	ended := cmd.Wait()
	if err = cmp.Or(context.Cause(ctx), err, ended); err != nil {
		return nil, &HostsCommandError{err, strings.TrimSpace(said.text())}
	}
	return knownhosts.LookupOnce(knownhosts.File{Path: "KnownHostsCommand", Data: data}, name), nil
}
