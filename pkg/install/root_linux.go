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

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// A Mounted is the Engine of an account on a root file system mounted here,
// such as an SD card.
type Mounted struct {
	// Note tells a person about where the card's sshd looks for keys; "" for
	// nothing.
	Note string

	dir    string
	who    strictmodes.Account
	file   string
	config *sshdconfig.Config // of the card's sshd for the user; nil for none
}

// Root returns the Engine of a user of the card mounted at dir. The user is
// looked up in the card's own passwd(5). file is a path on the card, relative
// to the user's home; "" means where the card's sshd_config says, or else
// .ssh/authorized_keys. Files are written as by hostfs.Card.Replace.
//
// Only root can make files for another user. Anybody else can work on what has
// their own uid and one of their groups; anything else is refused here, before
// anything is written.
//
// An SELinux label is kept, but none is made for a new file.
func Root(dir, user, file string) (*Mounted, error) {
	card, err := hostfs.OpenCard(dir)
	if err != nil {
		return nil, fmt.Errorf("--root %w", err)
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
	groups, err := card.GroupNames(ctx, who)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	m := &Mounted{dir: dir, who: who, file: file}
	if m.config, err = configOf(ctx, card, who, groups); err != nil {
		m.Note = err.Error()
	}
	if file == "" {
		m.findFile(ctx, card)
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
		return fmt.Errorf("%s is uid %d, gid %d on the card, and only root can work on its files: run this with sudo", who.Name, who.UID, who.Groups[0])
	}
	return nil
}

// Edit implements Engine.
func (m *Mounted) Edit(ctx context.Context, c Change) (a Answer, err error) {
	card, err := hostfs.OpenCard(m.dir)
	if err != nil {
		return a, err
	}
	defer card.Close()
	backup, err := card.Replace(ctx, m.who, m.file, c.Backup, func(file string, old []byte) (edited []byte, err error) {
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

// Read implements Engine.
func (m *Mounted) Read(ctx context.Context) (string, []byte, error) {
	card, err := hostfs.OpenCard(m.dir)
	if err != nil {
		return "", nil, err
	}
	defer card.Close()
	file, data, err := card.ReadKeys(ctx, m.who, m.file)
	return file, data, m.failure(ctx, err)
}

// path is where the file is on the card.
func (m *Mounted) path() string {
	if path.IsAbs(m.file) {
		return m.file
	}
	return path.Join(m.who.Home, m.file)
}

// Refusals returns what is known, in the place of a proof, to keep out whoever
// has a key of the file: lines of the configuration of the card's server, and
// modes and owners for which it would pass the file by.
func (m *Mounted) Refusals(ctx context.Context) []record.Record {
	findings, err := m.findings(ctx)
	if err != nil {
		return []record.Record{{Verdict: record.Fail, Cause: "keys-unreadable", Detail: "whether the server there takes the file is not known: " + record.Words(err)}}
	}
	records := m.configured()
	for _, f := range findings {
		r := record.Record{Verdict: record.Fail, Cause: f.Cause, Subject: f.Path, Detail: f.Detail}
		if f.Repair != strictmodes.None {
			r.Hint = fmt.Sprintf("pikeyfix --root %s -u %s", sh.Quote(m.dir), sh.Quote(m.who.Name))
		}
		records = append(records, r)
	}
	return records
}

// findings are what the card's server would refuse on the way to the file.
func (m *Mounted) findings(ctx context.Context) ([]strictmodes.Finding, error) {
	card, err := hostfs.OpenCard(m.dir)
	if err != nil {
		return nil, err
	}
	defer card.Close()
	return strictmodes.Judge(ctx, card, m.who, []string{m.path()}, diagnose.ServerOn(ctx, card))
}

// failure names the cause of an error of the card's.
func (m *Mounted) failure(ctx context.Context, err error) error {
	var put *PutError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, hostfs.ErrUnsure):
		why := strings.TrimPrefix(record.Words(err), hostfs.ErrUnsure.Error()+": ")
		return &PutError{Cause: "write-failed", Path: m.file, Said: why, Unsure: true}
	case context.Cause(ctx) != nil:
		return context.Cause(ctx)
	case errors.As(err, &put):
		return put
	}
	put = &PutError{Cause: causeOf(err), Path: m.file, Said: record.Words(err), denied: errors.Is(err, fs.ErrPermission)}
	if where, ok := errors.AsType[*fs.PathError](err); ok {
		put.Path = where.Path
	}
	if put.Cause == "" {
		put.Cause = "write-failed"
	}
	return put
}

// configOf is what the card's sshd_config(5) says for a user; nil if there is
// none.
func configOf(ctx context.Context, card *hostfs.Card, who strictmodes.Account, groups []string) (*sshdconfig.Config, error) {
	files, err := sshdconfig.Load(ctx, card, sshdconfig.DefaultFile)
	if err != nil || len(files[sshdconfig.DefaultFile]) == 0 {
		return nil, err
	}
	return sshdconfig.Evaluate(nil, sshdconfig.DefaultFile, files, sshdconfig.Connection{User: who.Name, Groups: groups}), nil
}

// findFile says where the sshd of the card looks for the user's keys, and what
// there is to know about that.
func (m *Mounted) findFile(ctx context.Context, card *hostfs.Card) {
	m.file = defaultFile
	if m.config == nil {
		if _, err := card.ReadFile(ctx, "/etc/openwrt_release"); err == nil && m.who.UID == 0 {
			m.file = "/etc/dropbear/authorized_keys" // OpenWrt's dropbear has root's there
		}
		return
	}
	named, setting := m.config.KeysFiles(m.who.Home, m.who.UID)
	m.file = path.Join(m.who.Home, defaultFile)
	switch {
	case len(named) == 0:
		m.Note = setting.At() + " says AuthorizedKeysFile none: the card's sshd reads no keys file"
	case !slices.Contains(named, m.file):
		m.file = named[0]
	}
	if maybe := m.config.Possible("AuthorizedKeysFile"); len(maybe) > 0 && m.Note == "" {
		m.Note = fmt.Sprintf("a Match block (%s) may have the card's sshd read %s instead", maybe[0].At(), strings.Join(maybe[0].Args, " "))
	}
	if len(m.config.Unread) > 0 && m.Note == "" {
		m.Note = fmt.Sprintf("the card's %s could not be read, and may name another file", m.config.Unread[0])
	}
}

// configured are the lines of the card's sshd_config(5) that keep the file from
// letting anybody in, whatever its modes. A line that another file or a Match may
// override is left out.
func (m *Mounted) configured() []record.Record {
	if m.config == nil || len(m.config.Unread) > 0 {
		return nil
	}
	forbidden := diagnose.Forbids(m.config, m.who, func() ([]authorizedkeys.Entry, bool) { return nil, false })
	named, s := m.config.KeysFiles(m.who.Home, m.who.UID)
	reads := func(pattern string) bool { // sshd 10 has it as a pattern
		matches, _ := path.Match(pattern, m.path())
		return matches || pattern == m.path()
	}
	if len(named) > 0 && s.Line > 0 && !slices.ContainsFunc(named, reads) && !m.config.MayName("AuthorizedKeysCommand") && len(m.config.Possible(s.Keyword)) == 0 {
		forbidden = append(forbidden, diagnose.Forbidden{Cause: "keys-file-elsewhere", Setting: s,
			Detail: fmt.Sprintf("%s is %s, but the key is in %s", s.Keyword, strings.Join(s.Args, " "), m.file)})
	}
	var records []record.Record
	for _, f := range forbidden {
		records = append(records, f.Record(m.dir))
	}
	return records
}
