package repair

import (
	"cmp"
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
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// serverRules are what the server of one machine judges by, for all of its accounts.
type serverRules struct {
	server strictmodes.Server

	serving diagnose.Serving
	files   sshdconfig.Files                   // nil if it reads none
	groups  func(strictmodes.Account) []string // their names; nil if nothing asks for them
	root    string                             // the keys file of root alone; "" for that of all
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
	main := cmp.Or(j.Serving.Main, sshdconfig.DefaultFile)
	var err error
	if rules.files, err = sshdconfig.Load(ctx, fsys, main); err != nil {
		return nil, err
	}
	if main != sshdconfig.DefaultFile && len(rules.files[main]) == 0 { // sshd has not started without
		rules.files[main] = []sshdconfig.File{{Path: main, Unread: true}}
	}
	rules.serving = j.Serving
	rules.serving.Main = main
	config := sshdconfig.Evaluate(j.Serving.Options, main, rules.files, sshdconfig.Connection{})
	for _, p := range config.Unread {
		j.trace("%s cannot be read, so the server is taken to look for keys in its default files", p)
	}
	if server != strictmodes.All && config.Is("StrictModes", "no") {
		j.trace("StrictModes is no: owners and modes are not judged, so others may be able to take over an account")
		rules.server = strictmodes.Lax
	}
	texts := slices.Clone(j.Serving.Options)
	for _, files := range rules.files {
		for _, f := range files {
			texts = append(texts, f.Text)
		}
	}
	if slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(t, "~") }) {
		passwd, _ := fsys.ReadFile(ctx, "/etc/passwd") // without it no home is known
		rules.serving.Conn.Homes = hostfs.Homes(string(passwd))
	}
	if slices.ContainsFunc(texts, byGroup().MatchString) {
		rules.groups = groupNames(ctx, fsys)
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

// ten reports whether the server is known to be OpenSSH 10.0 or later.
func (rules *serverRules) ten() bool {
	version, known := rules.serving.OpenSSH()
	return known && version[0] >= 10
}

// config returns the configuration of an account; nil if there is none.
func (rules *serverRules) config(who strictmodes.Account) *sshdconfig.Config {
	if rules.files == nil {
		return nil
	}
	conn := rules.serving.Conn
	conn.User = who.Name
	if rules.groups != nil {
		conn.Groups = rules.groups(who)
	}
	return sshdconfig.Evaluate(rules.serving.Options, rules.serving.Main, rules.files, conn)
}

// keysFiles returns where the server looks for the keys of an account; nil for
// its default. From OpenSSH 10.0 on, those are what a pattern leads to; before, and where
// the version is not known, its name comes first.
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
	_, known := rules.serving.OpenSSH()
	globs := rules.ten()
	const magic = `*?[\`
	files, setting := config.KeysFiles(who.Home, who.UID)
	if setting.Args == nil && (!globs || !strings.ContainsAny(who.Home, magic)) {
		return nil
	}
	if setting.Args != nil {
		j.trace("%s says where the keys of %s are: %s", setting.At(), who.Name, strings.Join(files, " "))
	}
	all := []string{} // none is not the default
	for _, f := range files {
		pattern := strings.ContainsAny(f, magic)
		if !pattern || !globs {
			all = append(all, f)
		}
		if !pattern || known && !globs {
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
