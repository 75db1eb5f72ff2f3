package diagnose

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// facts are what is known before anything is judged: what the login was refused,
// and what the machine there tells of its account, its server and its files.
type facts struct {
	// Of the login.
	rep    *session.Report
	keys   []sshkey.Public
	certs  []refusedCert
	path   string // that the keys were put in; "" if nobody says
	server strictmodes.Server

	// Of the account: of what runs no shell, sftp tells little.
	filesAlone bool                // it runs no shell
	account    strictmodes.Account // its home is that of passwd(5), else the one that the server says
	conn       sshdconfig.Connection
	port       string   // of ours, that the server sees
	utc, local string   // the clock there, YYYYMMDDHHMMSS
	password   string   // what passwd -S says; "" if nothing
	noShell    string   // the login shell, if it cannot be executed
	selinux    string   // what getenforce says; "" if there is no SELinux
	openwrt    bool     //
	parents    []string // the command lines of the session's parents, the nearest first

	// Of the server, and of the files of keys.
	files          sshdconfig.Files
	config         *sshdconfig.Config    // nil of a server other than OpenSSH
	dump           string                // what sshd -T says; "" where we are not root
	held           map[string][]numbered // by the keys files that could be read: the lines that hold a key
	labels         map[string]string     // SELinux's, of the keys files
	revoked        string                // the text of the list of revoked keys
	revokedIs      listState
	revokedAnswers []string // what ssh-keygen -Q says of each key, if the list is a KRL
}

// factsOf are the facts of a login; the rest is asked for.
func factsOf(rep *session.Report, keys []sshkey.Public, path string) facts {
	return facts{rep: rep, keys: plainKeys(keys), certs: refusedCerts(rep), path: path, server: strictmodes.ServerOf(rep.ServerVersion)}
}

// A numbered is a line of a keys file that holds a key.
type numbered struct {
	number int
	text   string
}

// A listState is what became of reading the list of revoked keys.
type listState int

const (
	listNotAsked listState = iota
	listRead
	listUnread
	listKRL // which only ssh-keygen can ask
	listAbsent
)

// A refusedCert is a certificate that the server did not take.
type refusedCert struct {
	sshkey.Certificate
	key session.Key
}

// refusedCerts are those among the offers.
func refusedCerts(rep *session.Report) []refusedCert {
	var certs []refusedCert
	for _, o := range rep.Offers {
		cert, certified, err := o.Key.Public.Certificate()
		if certified && err == nil && o.Answer != session.LogsIn && o.Answer != session.Accepted && o.Answer != session.Partial {
			certs = append(certs, refusedCert{cert, o.Key})
		}
	}
	return certs
}

// openSSH reports whether the server goes by sshd_config.
func (f *facts) openSSH() bool {
	return f.server == strictmodes.OpenSSH || f.server == strictmodes.Debian
}

// sought are the keys to look for there: those that were refused, and those of
// the authorities of certificates that were.
func (f *facts) sought() []sshkey.Public {
	keys := slices.Clone(f.keys)
	for _, c := range f.certs {
		if !slices.ContainsFunc(keys, c.CA.Equal) {
			keys = append(keys, c.CA)
		}
	}
	return keys
}

// evaluate reads sshd's configuration out of its files.
func (f *facts) evaluate(options []string, main string) {
	if len(f.files[main]) == 0 { // sshd does not start without: it is elsewhere
		f.files[main] = []sshdconfig.File{{Path: main, Unread: true}}
	}
	f.config = sshdconfig.Evaluate(options, main, f.files, f.conn)
}

// unless says what could set a keyword otherwise than what was read.
func (f *facts) unless(keyword string) string {
	var others []string
	for _, s := range f.config.Possible(keyword) {
		others = append(others, "the Match block around "+s.At()+" applies here")
	}
	if len(f.config.Unread) > 0 {
		others = append(others, f.unread()+" says otherwise")
	}
	return strings.Join(others, ", or ")
}

func (f *facts) unread() string {
	return fmt.Sprintf("%s (which %s may not read)", strings.Join(f.config.Unread, ", "), f.account.Name)
}

const keysFileKeyword = "AuthorizedKeysFile"

// reads returns the files that the server reads, as far as is known, and what
// could make that untrue.
func (f *facts) reads() (names []string, unless string) {
	switch {
	case f.server.IsDropbear():
		name, unless := f.dropbearFile()
		return []string{name}, unless
	case f.config != nil:
		names, _ := f.config.KeysFiles(f.account.Home, f.account.UID)
		return names, f.unless(keysFileKeyword)
	case f.path != "":
		return []string{f.path}, ""
	}
	return []string{f.account.Home + "/.ssh/authorized_keys"}, ""
}

// dropbearFile returns the file that dropbear reads, as far as its arguments
// tell, and what could make that untrue.
func (f *facts) dropbearFile() (name, unless string) {
	if given := values(arguments(f.parents, "dropbear"), dropbearTakes, 'D'); len(given) > 0 {
		dir := given[0]
		if rest, ok := strings.CutPrefix(dir, "~/"); ok {
			dir = f.account.Home + "/" + rest
		}
		return path.Join(dir, "authorized_keys"), ""
	}
	if f.openwrt && f.account.UID == 0 {
		return "/etc/dropbear/authorized_keys", "this OpenWrt reads both"
	}
	return f.account.Home + "/.ssh/authorized_keys", ""
}

// places are the files to look for the keys in, or patterns for them: those
// that the server reads, and others in which keys end up by mistake.
func (f *facts) places() []string {
	names, _ := f.reads()
	home := f.account.Home
	places := append(slices.Clone(names), home+"/.ssh/authori[sz]ed*", home+"/authorized_keys", "/etc/dropbear/authorized_keys")
	if f.path != "" {
		places = append(places, f.path)
	}
	return places
}

// expand puts the files that were found in the place of patterns, which
// AuthorizedKeysFile may have from OpenSSH 10.0 on.
func (f *facts) expand(names []string) []string {
	var files []string
	for _, name := range names {
		files = append(files, name)
		for _, file := range slices.Sorted(maps.Keys(f.held)) {
			if match, _ := path.Match(name, file); match && file != name {
				files = append(files, file)
			}
		}
	}
	return files
}

// holders returns those of the files that hold a key, by their text.
func (f *facts) holders(files []string, key sshkey.Public) []string {
	return slices.DeleteFunc(slices.Clone(files), func(file string) bool { return len(linesWith(f.held[file], key)) == 0 })
}

// linesWith returns the lines that hold the base64 of a key.
func linesWith(lines []numbered, key sshkey.Public) []numbered {
	text := key.Base64()
	return slices.DeleteFunc(slices.Clone(lines), func(n numbered) bool { return !strings.Contains(n.text, text) })
}

// spokenOf are the keys that are in a file that the server reads, or else those
// in another file, or else the first that was refused.
func (f *facts) spokenOf() []sshkey.Public {
	names, _ := f.reads()
	for _, files := range [][]string{f.expand(names), slices.Collect(maps.Keys(f.held))} {
		installed := slices.DeleteFunc(slices.Clone(f.keys), func(k sshkey.Public) bool { return len(f.holders(files, k)) == 0 })
		if len(installed) > 0 {
			return installed
		}
	}
	return f.keys[:1]
}

func isDropbear(rep *session.Report) bool {
	return strictmodes.ServerOf(rep.ServerVersion).IsDropbear()
}
