package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// A Mounted is the Engine of an account of a root file system that is mounted
// here, such as an SD card.
type Mounted struct {
	// Note is what a person should know of where the card's sshd looks for
	// keys; "" for nothing.
	Note string

	dir  string
	who  strictmodes.Account
	file string
}

// Root is the Engine of a user of the card that is mounted at dir. The user is
// looked up in the card's own passwd(5); file is a path on the card, relative
// to the user's home; "" for where the card's sshd_config says, or else
// .ssh/authorized_keys. What holds for the writing is said at
// hostfs.Card.Replace.
//
// Only root can make files for another user. Whoever is not root can work on
// what has his own uid and one of his groups; anything else is refused here,
// before anything is written.
//
// An SELinux label is kept, and none is made for what is new.
func Root(dir, user, file string) (*Mounted, error) {
	card, err := hostfs.OpenCard(dir)
	if err != nil {
		return nil, err
	}
	defer card.Close()
	ctx := context.Background() // which nothing here waits for
	who, err := card.Lookup(ctx, user)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := mayWriteFor(who); err != nil {
		return nil, err
	}
	m := &Mounted{dir: dir, who: who, file: file}
	if file == "" {
		groups, err := card.GroupNames(ctx, who)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		m.file, m.Note = keysFileOf(card, who, groups)
	}
	return m, nil
}

func mayWriteFor(who strictmodes.Account) error {
	uid := os.Geteuid()
	if uid == 0 {
		return nil
	}
	groups, err := os.Getgroups()
	if err != nil {
		return err
	}
	if uid != who.UID || !slices.Contains(append(groups, os.Getegid()), who.Groups[0]) {
		return fmt.Errorf("%s is uid %d, gid %d on the card, and only root can make files for it: run this with sudo", who.Name, who.UID, who.Groups[0])
	}
	return nil
}

// Edit is Engine's.
func (m *Mounted) Edit(ctx context.Context, c Change) (a Answer, err error) {
	card, err := hostfs.OpenCard(m.dir)
	if err != nil {
		return a, err
	}
	defer card.Close()
	var keep func(file string, n int) string
	if c.Backup {
		keep = backupName
	}
	backup, err := card.Replace(ctx, m.who, m.file, keep, func(file string, old []byte) (edited []byte, err error) {
		edited, a, err = c.apply(file, old)
		switch {
		case err != nil || c.DryRun || bytes.Equal(edited, old):
			return nil, err
		case edited == nil: // the last line went
			return []byte{}, nil
		}
		return edited, nil
	})
	if err != nil {
		return Answer{Path: a.Path}, m.failure(ctx, err)
	}
	a.Backup = backup
	return a, nil
}

// Read is Engine's.
func (m *Mounted) Read(ctx context.Context) (string, []byte, error) {
	card, err := hostfs.OpenCard(m.dir)
	if err != nil {
		return "", nil, err
	}
	defer card.Close()
	file, data, err := card.ReadKeys(ctx, m.who, m.file)
	return file, data, m.failure(ctx, err)
}

// Findings is what the card's server would refuse of the way to the file.
func (m *Mounted) Findings(ctx context.Context) ([]strictmodes.Finding, error) {
	card, err := hostfs.OpenCard(m.dir)
	if err != nil {
		return nil, err
	}
	defer card.Close()
	file := m.file
	if !path.IsAbs(file) {
		file = path.Join(m.who.Home, file)
	}
	return strictmodes.Judge(ctx, card, m.who, []string{file}, diagnose.ServerOn(ctx, card))
}

// failure names the cause of an error of the card's.
func (m *Mounted) failure(ctx context.Context, err error) error {
	var put *PutError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hostfs.ErrUnsure):
		why := strings.TrimPrefix(err.Error(), hostfs.ErrUnsure.Error()+": ")
		return &PutError{Cause: "write-failed", Path: m.file, Said: why, Unsure: true}
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.As(err, &put):
		return put
	}
	put = &PutError{Cause: causeOf(err), Path: m.file, Said: err.Error(), denied: errors.Is(err, fs.ErrPermission)}
	var where *fs.PathError
	if errors.As(err, &where) {
		put.Path = where.Path
	}
	if put.Cause == "" {
		put.Cause = "write-failed"
	}
	return put
}

// keysFileOf returns where the sshd of the card looks for a user's keys, and
// what there is to know about that.
func keysFileOf(card *hostfs.Card, who strictmodes.Account, groups []string) (file, note string) {
	ctx := context.Background() // which nothing here waits for
	files, err := sshdconfig.Load(ctx, card, sshdconfig.DefaultFile)
	if err != nil {
		return defaultFile, err.Error()
	}
	if len(files[sshdconfig.DefaultFile]) == 0 {
		if _, err := card.ReadFile(ctx, "/etc/openwrt_release"); err == nil && who.UID == 0 {
			return "/etc/dropbear/authorized_keys", "" // OpenWrt's dropbear has root's there
		}
		return defaultFile, ""
	}
	config := sshdconfig.Evaluate(nil, sshdconfig.DefaultFile, files, sshdconfig.Connection{User: who.Name, Groups: groups})
	named, setting := config.KeysFiles(who.Home, who.UID)
	byDefault := path.Join(who.Home, defaultFile)
	file = byDefault
	switch {
	case len(named) == 0:
		note = setting.At() + " says AuthorizedKeysFile none: the card's sshd reads no file of keys"
	case !slices.Contains(named, byDefault):
		file = named[0]
	}
	if maybe := config.Possible("AuthorizedKeysFile"); len(maybe) > 0 && note == "" {
		note = fmt.Sprintf("a Match block (%s) may have the card's sshd read %s instead", maybe[0].At(), strings.Join(maybe[0].Args, " "))
	}
	if len(config.Unread) > 0 && note == "" {
		note = fmt.Sprintf("the card's %s could not be read, and may name another file", config.Unread[0])
	}
	return file, note
}
