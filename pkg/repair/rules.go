package repair

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"

	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// serverRules are what the server of one machine judges by, for all of its accounts.
type serverRules struct {
	server strictmodes.Server

	files  sshdconfig.Files                   // nil if it reads none
	groups func(strictmodes.Account) []string // their names; nil if nothing asks for them
	root   string                             // the keys file of root alone; "" for that of all
}

// readRules reads the configuration of a machine's server. What of it cannot be
// read, or is not there, is taken to have its default, and traced. The error is
// the context's, and there is none else.
func (j *Job) readRules(ctx context.Context, fsys hostfs.FS, server strictmodes.Server) (*serverRules, error) {
	rules := &serverRules{server: server}
	if server.IsDropbear() {
		// OpenWrt's dropbear has root's keys where its own configuration is.
		if _, err := fsys.ReadFile(ctx, "/etc/openwrt_release"); err == nil {
			rules.root = "/etc/dropbear/authorized_keys"
		}
		return rules, context.Cause(ctx)
	}
	var err error
	if rules.files, err = sshdconfig.Load(ctx, fsys, sshdconfig.DefaultFile); err != nil {
		return nil, err
	}
	config := sshdconfig.Evaluate(nil, sshdconfig.DefaultFile, rules.files, sshdconfig.Connection{})
	for _, p := range config.Unread {
		j.trace("%s cannot be read, so the server is taken to look for keys in its default files", p)
	}
	if server != strictmodes.All && config.Is("StrictModes", "no") {
		j.trace("StrictModes is no: owners and modes are not judged, so others may be able to take over an account")
		rules.server = strictmodes.Lax
	}
	for _, files := range rules.files {
		for _, f := range files {
			if byGroup().MatchString(f.Text) {
				rules.groups = groupNames(ctx, fsys)
			}
		}
	}
	return rules, context.Cause(ctx)
}

// byGroup finds a line that looks at groups.
var byGroup = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?im)^[ \t]*(match[ \t=].*group|(allow|deny)groups)`)
})

// groupNames returns a function that names the groups of an account, and
// returns nil where one has no name: it may be the one that matters.
func groupNames(ctx context.Context, fsys hostfs.FS) func(strictmodes.Account) []string {
	if m, ok := fsys.(hostfs.Machine); ok {
		return func(who strictmodes.Account) []string {
			names, err := m.GroupNames(ctx, who)
			if err != nil {
				return nil
			}
			return names
		}
	}
	data, _ := fsys.ReadFile(ctx, "/etc/group") // without it no name is known
	known := hostfs.GroupNames(string(data))
	return func(who strictmodes.Account) []string {
		var names []string
		for _, gid := range who.Groups {
			if known[gid] == "" {
				return nil
			}
			names = append(names, known[gid])
		}
		return names
	}
}

// config returns the configuration of an account; nil if there is none.
func (rules *serverRules) config(who strictmodes.Account) *sshdconfig.Config {
	if rules.files == nil {
		return nil
	}
	conn := sshdconfig.Connection{User: who.Name}
	if rules.groups != nil {
		conn.Groups = rules.groups(who)
	}
	return sshdconfig.Evaluate(nil, sshdconfig.DefaultFile, rules.files, conn)
}

// forbidden says what keeps the account out whatever its files.
func (j *Job) forbidden(ctx context.Context, fsys hostfs.FS, rules *serverRules, who strictmodes.Account) (records []record.Record) {
	config := rules.config(who)
	chroot := config.MayName("ChrootDirectory") // where the shell is another
	if _, st, err := strictmodes.RealPath(ctx, fsys, who.Shell); who.Shell != "" && !chroot &&
		(j.missing(ctx, fsys, who.Shell, err) || err == nil && (!st.Mode.IsRegular() || st.Mode&0o111 == 0)) {
		hint := "chsh -s /bin/sh " + sh.QuoteLine(who.Name)
		if me, err := fsys.Account(ctx); err != nil || me.UID != 0 {
			hint = "sudo " + hint
		}
		if j.Root != "" {
			hint = "name a shell that is there, such as /bin/sh, in " + sh.QuoteLine(j.Root+"/etc/passwd")
		}
		records = append(records, record.Record{Verdict: record.Fail, Cause: "shell-missing", Subject: who.Shell,
			Detail: "the login shell of " + who.Name + " does not exist, or cannot be executed", Hint: hint})
	}
	list := diagnose.Forbids(config, who)
	if s, ok := config.Named("RevokedKeys"); ok && len(config.Possible(s.Keyword)) == 0 && len(config.Unread) == 0 {
		if _, _, err := strictmodes.RealPath(ctx, fsys, s.Args[0]); j.missing(ctx, fsys, s.Args[0], err) {
			list = append(list, diagnose.Forbidden{Cause: "key-revoked", Setting: s, Detail: "RevokedKeys names " + s.Args[0] + ", which does not exist: every key is taken for revoked"})
		}
	}
	for _, f := range list {
		r := f.Record(j.Root)
		r.Hint = j.at + r.Hint
		records = append(records, r)
	}
	return records
}

// missing reports whether err, of RealPath, says that p is not there. On a card, whose
// other file systems and /run are not mounted, its directory has to be.
func (j *Job) missing(ctx context.Context, fsys hostfs.FS, p string, err error) bool {
	if errors.Is(err, fs.ErrNotExist) && j.Root != "" {
		var dir string
		if dir, _, err = strictmodes.RealPath(ctx, fsys, path.Dir(p)); err != nil {
			return false
		}
		_, err = fsys.Lstat(ctx, path.Join(dir, path.Base(p))) // a link may lead there
	}
	return errors.Is(err, fs.ErrNotExist)
}

// keysFiles returns where the server looks for the keys of an account; nil for
// its default. What a pattern leads to, as OpenSSH has it from 10.0 on, comes
// after it, since to others it is a name.
func (j *Job) keysFiles(ctx context.Context, fsys hostfs.FS, rules *serverRules, who strictmodes.Account) []string {
	if rules.root != "" && who.UID == 0 {
		return []string{rules.root}
	}
	config := rules.config(who)
	if config == nil {
		return nil
	}
	for _, s := range config.Possible("AuthorizedKeysFile") {
		j.trace("%s may say that the keys of %s are in %s: it depends on the connection", s.At(), who.Name, strings.Join(s.Args, " "))
	}
	files, setting := config.KeysFiles(who.Home, who.UID)
	if setting.Args == nil {
		return nil
	}
	j.trace("%s says where the keys of %s are: %s", setting.At(), who.Name, strings.Join(files, " "))
	all := []string{} // none is not the default
	for _, f := range files {
		all = append(all, f)
		if !strings.ContainsAny(f, `*?[\`) {
			continue
		}
		found, err := fsys.Glob(ctx, f)
		if err != nil {
			j.trace("what %s leads to cannot be looked at: %v", f, err)
		}
		for _, p := range found {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// hasKeys reports whether there may be something for the server to look at: a
// keys file, or the directory of one in the home.
func hasKeys(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, keysFiles []string) (bool, error) {
	look := []string{path.Join(who.Home, ".ssh")}
	for _, f := range keysFiles {
		if path.Dir(f) != look[0] {
			look = append(look, f)
		}
	}
	for _, p := range look {
		_, _, err := strictmodes.RealPath(ctx, fsys, p) // whose way the judgement begins with
		if err != nil {
			_, err = fsys.Lstat(ctx, p) // a link that leads nowhere is there
		}
		if cause := context.Cause(ctx); cause != nil {
			return false, cause
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) { // as below /dev/null
			return true, nil
		}
	}
	return false, nil
}
