// Package sshdconfig determines what sshd_config(5) means for one login, from
// as much of the files as could be read. It does no I/O: the caller brings it
// the files, most often those of a far machine, some of which only root may
// read. What depends on an unreadable file, or on a Match that cannot be
// decided, is marked so rather than guessed.
// Source: servconf.c, match.c, addrmatch.c, and auth.c allowed_user().
package sshdconfig

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"pi-key-tools/pkg/pattern"
	"pi-key-tools/pkg/unixpath"
)

// Dir is the directory that a relative Include refers to.
const Dir = "/etc/ssh"

// DefaultFile is what sshd reads unless -f names another file.
const DefaultFile = Dir + "/sshd_config"

// A File is one file of a configuration.
type File struct {
	Path string
	Text string
	// Unread means that the file exists, or may, but could not be read. Path is
	// then a pattern if it is the directory that could not be read.
	Unread bool
}

// Files maps a name or pattern to its files, in the order of glob(3). A pattern
// that matches nothing has an empty entry.
type Files map[string][]File

// Missing returns the Include patterns still to be looked up, and main if that
// is missing: add what they match and call it again until none are returned.
func (f Files) Missing(main string) []string {
	found, known := f[main]
	if !known {
		return []string{main}
	}
	var missing []string
	seen := map[string]bool{main: true}
	for len(found) > 0 {
		file := found[0]
		found = found[1:]
		for _, l := range parse(file) {
			if l.keyword != "include" {
				continue
			}
			for _, pattern := range l.includes() {
				if included, known := f[pattern]; !known && !seen[pattern] {
					missing = append(missing, pattern)
				} else if !seen[pattern] {
					found = append(found, included...)
				}
				seen[pattern] = true
			}
		}
	}
	return missing
}

// A Connection says who connects from where, which is what Match looks at.
type Connection struct {
	User         string
	Groups       []string // names; nil if unknown
	Address      string   // of the client, as the server sees it; "" if unknown
	LocalAddress string   // of the server; "" if unknown
	LocalPort    int      // 0 if unknown

	// Homes are those of accounts by name, for what begins with ~NAME/, and with ~/,
	// which is root's. What is not there is unknown, but that of root is /root then.
	Homes map[string]string
}

// A Setting is a keyword and its value.
type Setting struct {
	Keyword string   // as sshd_config(5) spells it
	Args    []string // never empty
	File    string   // or its other origin: an option of sshd, "sshd -T"
	Line    int      // of the first line, where several add up; 0 if not from a file
	Matched bool     // by a Match block
}

// At returns "FILE:LINE", or the setting's other origin.
func (s Setting) At() string {
	if s.Line == 0 {
		return s.File
	}
	return s.File + ":" + strconv.Itoa(s.Line)
}

// A Config is the configuration for one connection.
type Config struct {
	conn     Connection
	settings map[string]Setting
	possible map[string][]Setting
	// Unread are the files that could say otherwise.
	Unread []string
}

// Get returns the setting of a keyword, as far as was read; false means that it
// has its default. The case of keyword does not matter.
func (c *Config) Get(keyword string) (Setting, bool) {
	s, ok := c.settings[canonical(keyword)]
	return s, ok
}

// Is reports whether a keyword is set to a word, ignoring case.
func (c *Config) Is(keyword, word string) bool {
	s, ok := c.Get(keyword)
	return ok && strings.EqualFold(s.Args[0], word)
}

// Named is Get for a setting that names a file or a command, which "none" is not. A
// nil Config has none.
func (c *Config) Named(keyword string) (Setting, bool) {
	if c == nil {
		return Setting{}, false
	}
	s, ok := c.Get(keyword)
	return s, ok && !c.Is(keyword, "none")
}

// MayName reports whether a keyword names a file or a command, or may by a Match block
// that cannot be decided. A nil Config has none.
func (c *Config) MayName(keyword string) bool {
	_, ok := c.Named(keyword)
	return ok || c != nil && len(c.Possible(keyword)) > 0
}

// Possible returns the settings of Match blocks that may or may not apply to
// the connection, and that would take precedence over what Get returns.
func (c *Config) Possible(keyword string) []Setting { return c.possible[canonical(keyword)] }

// additive are the keywords whose lines add up.
var additive = []string{"allowusers", "denyusers", "allowgroups", "denygroups"}

// Evaluate returns the configuration that the files give a connection. options
// are those given to sshd by -o, which come first; main is the file that it was
// started with.
func Evaluate(options []string, main string, files Files, conn Connection) *Config {
	e := &evaluation{conn: conn, files: files, global: true, settings: map[string]Setting{}, possible: map[string][]Setting{}}
	for _, o := range options {
		if l, ok := parseLine(o); ok {
			l.file = "the command line of sshd"
			e.set(l, yes)
		}
	}
	// Two rounds, as in servconf.c: what stands before the first Match, and
	// then what the Match blocks say, which wins.
	e.include(main, yes, normal, 0)
	global := e.settings
	if usesDNS := global["usedns"]; usesDNS.Args == nil || !strings.EqualFold(usesDNS.Args[0], "yes") {
		e.host = conn.Address
	}
	e.global, e.settings = false, map[string]Setting{}
	e.include(main, no, onlyMatch, 0)
	for keyword, s := range global {
		if _, ok := e.settings[keyword]; !ok {
			e.settings[keyword] = s
		}
	}
	return &Config{conn: conn, settings: e.settings, possible: e.possible, Unread: e.unread}
}

// Confirm replaces the files' settings by those of dump, the unambiguous output
// of "sshd -T -C user=…,addr=…". FILE:LINE stays where both agree.
func (c *Config) Confirm(dump string) {
	confirmed := map[string]Setting{}
	for text := range strings.Lines(dump) {
		l, ok := parseLine(text)
		if !ok {
			continue
		}
		s, again := confirmed[l.keyword]
		if !again {
			s = Setting{Keyword: spelling(l.keyword)}
		}
		s.Args = append(s.Args, l.args...)
		confirmed[l.keyword] = s
	}
	if len(confirmed) == 0 {
		return
	}
	for keyword, s := range confirmed {
		s.File = "sshd -T"
		if ours, ok := c.settings[keyword]; ok {
			// A list of changes to the default is shown as what it comes to.
			changes := strings.ContainsAny(ours.Args[0][:1], "+-^")
			if changes || strings.EqualFold(strings.Join(ours.Args, " "), strings.Join(s.Args, " ")) {
				s.File, s.Line, s.Matched = ours.File, ours.Line, ours.Matched
			}
		}
		c.settings[keyword] = s
	}
	c.possible, c.Unread = nil, nil
}

// An evaluation is one walk through the files.
type evaluation struct {
	conn     Connection
	files    Files
	host     string // the client's name to sshd; "" if it is unknown
	global   bool   // the first round
	settings map[string]Setting
	possible map[string][]Setting
	unread   []string
	reads    int
}

// maxDepth is SERVCONF_MAX_DEPTH. maxReads bounds how often files are read in
// all, since those that include each other in a circle multiply.
const (
	maxDepth = 16
	maxReads = 200
)

// A scope is what a file is read for (the flags of
// parse_server_config_depth()).
type scope int

const (
	normal    scope = iota
	onlyMatch       // what stands before its first Match has been read already
	never           // nothing: it is included in a block that does not hold
)

// include reads the files that a pattern led to. active says whether their
// lines hold up to the first Match.
func (e *evaluation) include(pattern string, active truth, why scope, depth int) {
	for _, f := range e.files[pattern] {
		switch {
		case !f.Unread:
			if e.reads++; e.reads <= maxReads {
				e.file(f, active, why, depth)
			}
		case why != never && !slices.Contains(e.unread, f.Path):
			e.unread = append(e.unread, f.Path)
		}
	}
}

func (e *evaluation) file(f File, active truth, why scope, depth int) {
	around := active
	if why == onlyMatch {
		around = yes
	}
	for _, l := range parse(f) {
		switch l.keyword {
		case "include":
			inner := why
			if why == normal && active == no {
				inner = never
			}
			for _, pattern := range l.includes() {
				if depth < maxDepth {
					e.include(pattern, active, inner, depth+1)
				}
			}
		case "match":
			switch {
			case why == never:
			case e.global: // servconf.c looks at nobody yet, and "all" is everybody
				active = truthOf(strings.EqualFold(l.args[0], "all"))
			default:
				active = min(around, e.match(l.args))
			}
			if why == onlyMatch {
				why = normal
			}
		default:
			e.set(l, active)
		}
	}
}

// set notes a line that holds, or may hold.
func (e *evaluation) set(l line, active truth) {
	s, set := e.settings[l.keyword]
	adds := slices.Contains(additive, l.keyword)
	now := Setting{spelling(l.keyword), l.args, l.file, l.number, !e.global}
	switch {
	case active == no || set && !adds:
	case active == maybe:
		e.possible[l.keyword] = append(e.possible[l.keyword], now)
	case set:
		s.Args = append(slices.Clip(s.Args), l.args...)
		e.settings[l.keyword] = s
	default:
		e.settings[l.keyword] = now
	}
}

// A truth is what can be said of a condition.
type truth int

const (
	no truth = iota
	maybe
	yes
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// KeysFiles returns where the server looks for the authorized keys of an
// account, in order, and the setting that says so (zero for the default). Every
// path is absolute; "none" is left out.
func (c *Config) KeysFiles(home string, uid int) ([]string, Setting) {
	s, ok := c.Get("AuthorizedKeysFile")
	words := s.Args
	if !ok {
		words = []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}
	}
	var files []string
	for _, w := range words {
		if strings.EqualFold(w, "none") {
			continue
		}
		files = append(files, c.Expand(w, home, uid))
	}
	return files, s
}

// Expand returns the path of a file of the account, as AuthorizedKeysFile and
// AuthorizedPrincipalsFile name it (auth.c expand_authorized_keys()).
func (c *Config) Expand(name, home string, uid int) string {
	name = c.tilde(name)
	if strings.Contains(name, "%") {
		name = strings.NewReplacer("%%", "%", "%h", home, "%u", c.conn.User, "%U", strconv.Itoa(uid)).Replace(name)
	}
	return absolute(name, home)
}

// tilde replaces ~ and ~NAME, which sshd does when it reads the configuration, as
// root (misc.c tilde_expand()).
func (c *Config) tilde(name string) string {
	rest, ok := strings.CutPrefix(name, "~")
	if !ok {
		return name
	}
	who, rest, _ := strings.Cut(rest, "/")
	who = cmp.Or(who, "root")
	home, known := c.conn.Homes[who]
	switch {
	case !known && who != "root":
		return name
	case !known:
		home = "/root"
	}
	return strings.TrimSuffix(home, "/") + "/" + strings.TrimLeft(rest, "/")
}

func absolute(name, dir string) string {
	if !path.IsAbs(name) {
		name = dir + "/" + name
	}
	return unixpath.Clean(name)
}

// RevokedKeys returns the lists of revoked keys, and the setting that names them. If one
// of them cannot be read, sshd takes every key for revoked (auth.c
// auth_key_is_revoked()). In a Match block, none is the name of a file as any other; a
// name is relative to the root, which sshd works in.
func (c *Config) RevokedKeys() (lists []string, s Setting) {
	s, ok := c.Get("RevokedKeys")
	if !ok || !s.Matched && c.Is("RevokedKeys", "none") {
		return nil, s
	}
	for _, name := range s.Args {
		lists = append(lists, absolute(c.tilde(name), "/"))
	}
	return lists, s
}

// Refuses returns the setting that keeps the account out whatever the method
// (auth.c allowed_user()).
func (c *Config) Refuses() (Setting, bool) { return c.refusal(yes) }

// MayRefuse is Refuses of one that keeps it out from some addresses, where that of the
// connection is not known.
func (c *Config) MayRefuse() (Setting, bool) { return c.refusal(maybe) }

func (c *Config) refusal(least truth) (Setting, bool) {
	matchesUser := func(p string) truth {
		user, host, atHost := strings.Cut(p, "@")
		switch {
		case !pattern.Match(c.conn.User, user):
			return no
		case !atHost:
			return yes
		}
		return c.matchHost(host)
	}
	inGroup := func(p string) truth {
		if c.conn.Groups == nil {
			return maybe
		}
		return truthOf(slices.ContainsFunc(c.conn.Groups, func(g string) bool { return pattern.Match(g, p) }))
	}
	for _, rule := range []struct {
		keyword string
		matches func(string) truth
		allows  bool
	}{
		{"DenyUsers", matchesUser, false}, {"AllowUsers", matchesUser, true},
		{"DenyGroups", inGroup, false}, {"AllowGroups", inGroup, true},
	} {
		s, ok := c.Get(rule.keyword)
		if !ok {
			continue
		}
		best := no
		for _, p := range s.Args {
			best = max(best, rule.matches(p))
		}
		if rule.allows {
			best = yes - best
		}
		if best >= least {
			return s, true
		}
	}
	return Setting{}, false
}

// Permits reports whether the patterns of a from= match the connection's
// address; sure is false if that depends on a name that only the server knows.
func (c *Config) Permits(patterns string) (permits, sure bool) {
	switch c.matchHost(patterns) {
	case yes:
		return true, true
	case no:
		return false, c.conn.Address != ""
	}
	return false, false
}

// matchHost looks a client up in the patterns of from= of authorized_keys and
// of what follows an "@" in AllowUsers (match.c match_host_and_ip()).
func (c *Config) matchHost(patterns string) truth {
	host := c.conn.Address
	if c.Is("UseDNS", "yes") {
		host = ""
	}
	byAddress := matchAddress(c.conn.Address, patterns)
	byName := matchName(host, patterns)
	switch {
	case byAddress == refused || byName == refused:
		return no
	case byAddress == matched || byName == matched:
		return yes
	case byName == undecided:
		return maybe
	}
	return no
}

// Accepts reports whether PubkeyAcceptedAlgorithms allows a key that signs by
// one of the algorithms. Where it takes everything out of the default, sshd has
// that again (kex-names.c kex_assemble_names()).
func (c *Config) Accepts(algorithms ...string) bool {
	list := "+"
	if s, ok := c.Get("PubkeyAcceptedAlgorithms"); ok {
		list = s.Args[0]
	}
	leaves := func(algorithm string) bool { return matchList(algorithm, list[1:]) != matched }
	if list[0] == '-' && !slices.ContainsFunc(usual, leaves) {
		list = "+"
	}
	return slices.ContainsFunc(algorithms, func(algorithm string) bool {
		byDefault := algorithm != "ssh-dss" // since OpenSSH 7.0
		switch list[0] {
		case '+', '^':
			return byDefault || matchList(algorithm, list[1:]) == matched
		case '-':
			return byDefault && leaves(algorithm)
		}
		return matchList(algorithm, list) == matched
	})
}

// usual are the algorithms that PubkeyAcceptedAlgorithms has by default.
var usual = []string{
	"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
	"ssh-ed25519-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp384-cert-v01@openssh.com",
	"ecdsa-sha2-nistp521-cert-v01@openssh.com", "rsa-sha2-512-cert-v01@openssh.com", "rsa-sha2-256-cert-v01@openssh.com",
	"sk-ssh-ed25519-cert-v01@openssh.com", "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
}

// StartsWithKey reports whether AuthenticationMethods allows a login to begin
// with a public key.
func (c *Config) StartsWithKey() bool {
	s, ok := c.Get("AuthenticationMethods")
	return !ok || slices.ContainsFunc(s.Args, func(list string) bool {
		first, _, _ := strings.Cut(list, ",")
		method, _, _ := strings.Cut(first, ":")
		return method == "any" || method == "publickey"
	})
}
