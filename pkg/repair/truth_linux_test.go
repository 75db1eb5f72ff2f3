package repair

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// A situation is a state of a home with the key in its authorized_keys.
// home, ssh, keys and the others are "MODE [OWNER [GROUP]]", as places.owner
// and places.group know them; "" leaves what every server takes.
type situation struct {
	home, ssh, keys string
	parent          string             // the directory that the home is in
	dot             string             // the directory that links lead to: ~/dot
	arrange         func(*place) error // before the modes are set
	last            func(*place) error // after
	left            bool               // what is wrong is nothing to change unasked
	hangs           bool               // dropbear of before 2026 would wait for ever
}

func (s situation) String() string {
	return fmt.Sprintf("home %q, ssh %q, keys %q, parent %q, dot %q", s.home, s.ssh, s.keys, s.parent, s.dot)
}

// A place is where a situation is set up: the home of one user, alone in a
// directory of root's.
type place struct {
	u                       *sshtest.User
	only                    int      // a group whose only member is the user, and not by passwd(5)
	outside                 string   // a directory of root's that everybody may pass, up to the root
	line                    string   // of the key
	keysFiles               []string // where the server looks for keys; nil for its default
	home, ssh, keys, parent string   // real paths
}

func (p *place) owner(word string) int {
	return map[string]int{"": p.u.UID, "user": p.u.UID, "root": 0, "third": third, "nobody": 65534}[word]
}

func (p *place) group(word string) int {
	return map[string]int{"": p.u.GID, "private": p.u.GID, "root": 0, "shared": shared, "only": p.only, "empty": empty, "none": third}[word]
}

// empty is Debian's group operator, which has no members.
const empty = 37

// set sets a situation up, whatever was there before.
func (p *place) set(s situation) error {
	p.parent = filepath.Dir(p.u.Home)
	p.home, p.ssh, p.keys = p.u.Home, p.u.Home+"/.ssh", p.u.Home+"/.ssh/authorized_keys"
	_ = syscall.Removexattr(p.parent, "system.posix_acl_access") // of the last one
	err := errors.Join(clear(p.parent), clear(p.outside), p.mode(p.parent, "0755 root root"),
		os.Mkdir(p.home, 0o755), os.Mkdir(p.ssh, 0o755), os.WriteFile(p.keys, []byte(p.line+"\n"), 0o644),
		os.WriteFile(p.home+"/notes", []byte("mine"), 0o644), os.WriteFile(p.ssh+"/known_hosts", []byte("none\n"), 0o666),
		p.mode(p.home, "0755"), p.mode(p.ssh, "0700"), p.mode(p.keys, "0600"), p.mode(p.home+"/notes", "0666 root shared"))
	if err != nil {
		return err
	}
	if s.arrange != nil {
		if err := s.arrange(p); err != nil {
			return err
		}
	}
	// From the inside out, while the way is still open.
	if err := errors.Join(p.mode(p.keys, s.keys), p.mode(p.ssh, s.ssh), p.mode(p.home+"/dot", s.dot), p.mode(p.home, s.home), p.mode(p.parent, s.parent)); err != nil {
		return err
	}
	if s.last != nil {
		return s.last(p)
	}
	return nil
}

func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// mode sets what "MODE [OWNER [GROUP]]" says.
func (p *place) mode(path, words string) error {
	if words == "" {
		return nil
	}
	w := append(strings.Fields(words), "", "")
	mode, err := strconv.ParseUint(w[0], 8, 32)
	if err != nil {
		return err
	}
	return errors.Join(os.Chown(path, p.owner(w[1]), p.group(w[2])), syscall.Chmod(path, uint32(mode)))
}

// linkKeys moves the keys file to where a link in its place leads.
func linkKeys(target string) func(*place) error {
	return func(p *place) error {
		to := target
		if !filepath.IsAbs(to) {
			to = filepath.Join(p.ssh, target)
		}
		if err := p.folder(filepath.Dir(to)); err != nil {
			return err
		}
		name := p.keys
		p.keys = to
		return errors.Join(os.Rename(name, to), os.Symlink(target, name))
	}
}

// linkSSH does so with ~/.ssh.
func linkSSH(target string) func(*place) error {
	return func(p *place) error {
		to := filepath.Join(p.home, target)
		if err := p.folder(filepath.Dir(to)); err != nil {
			return err
		}
		name := p.ssh
		p.ssh, p.keys = to, to+"/authorized_keys"
		return errors.Join(os.Rename(name, to), os.Symlink(target, name))
	}
}

// linkHome does so with the home.
func linkHome(p *place) error {
	real := filepath.Join(p.parent, "disk")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Rename(p.home, real+"/home"), os.Symlink("disk/home", p.home)); err != nil {
		return err
	}
	p.home = real + "/home"
	p.ssh, p.keys = p.home+"/.ssh", p.home+"/.ssh/authorized_keys"
	return nil
}

// directory makes a directory of the user's, if there is none.
func (p *place) folder(path string) error {
	if err := os.Mkdir(path, 0o755); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	return p.mode(path, "0755")
}

// outKeys is linkKeys to a directory outside of the home.
func outKeys(words string) func(*place) error {
	return func(p *place) error {
		dir := filepath.Join(p.outside, "d")
		return errors.Join(p.folder(dir), linkKeys(dir+"/keys")(p), p.mode(dir, words))
	}
}

// instead puts something else in the place of the keys file.
func instead(make func(path string) error) func(*place) error {
	return func(p *place) error { return errors.Join(os.Remove(p.keys), make(p.keys)) }
}

func socket(path string) error {
	// Through the directory, since the name of a socket must be short.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return err
	}
	l.SetUnlinkOnClose(false)
	return l.Close()
}

// named gives the keys file another name, from ~/.ssh.
func named(name string) func(*place) error {
	return func(p *place) error {
		to := filepath.Join(p.ssh, name)
		from := p.keys
		p.keys = to
		return os.Rename(from, to)
	}
}

// acl changes the access list of what of names.
func acl(of func(*place) string, entry func(*place) string) func(*place) error {
	return func(p *place) error {
		if out, err := exec.Command("setfacl", "-m", entry(p), of(p)).CombinedOutput(); err != nil {
			return fmt.Errorf("setfacl: %w: %s", err, out)
		}
		return nil
	}
}

// situations are all of them.
func situations() []situation {
	list := []situation{{}}
	// Each component alone: owner, group and mode.
	folders := map[string][]string{
		"":              {"0700", "0711", "0500", "0100", "0775", "0770", "0730", "0757", "0777", "0722", "1755", "1775", "2775", "1777", "0600", "0000", "0677"},
		"user shared":   {"0755", "0775", "2775", "0720"},
		"user root":     {"0750", "2775"},
		"user only":     {"0775", "0777"},
		"user empty":    {"0755", "0775"},
		"user none":     {"0755", "0775"},
		"root root":     {"0755", "0711", "0700", "0777", "0775"},
		"root private":  {"0755", "0775", "0770", "0750", "0730"},
		"root shared":   {"0775", "0750"},
		"root only":     {"0775", "0750"},
		"third private": {"0755", "0700", "0775"},
		"nobody shared": {"0755", "0777"},
	}
	files := map[string][]string{
		"":              {"0644", "0640", "0400", "0444", "0664", "0660", "0646", "0666", "0622", "0000", "0200", "0266", "0755", "1644", "4755", "2666", "0620"},
		"user shared":   {"0644", "0664", "0060"},
		"user root":     {"0640", "0660"},
		"user only":     {"0664", "0666"},
		"user empty":    {"0664"},
		"user none":     {"0664"},
		"root root":     {"0644", "0600", "0666", "0664"},
		"root private":  {"0644", "0640", "0660", "0664"},
		"root shared":   {"0640", "0664"},
		"root only":     {"0640", "0664"},
		"third private": {"0644", "0666", "0600", "0640"},
		"nobody shared": {"0644", "4755"},
	}
	for _, owner := range slices.Sorted(maps.Keys(folders)) {
		for _, mode := range folders[owner] {
			words := strings.TrimSpace(mode + " " + owner)
			list = append(list, situation{home: words, left: homeIsLeft(mode, owner)}, situation{ssh: words})
		}
		for _, mode := range files[owner] {
			suid := mode[0] == '4' || mode[0] == '2'
			list = append(list, situation{keys: strings.TrimSpace(mode + " " + owner), left: suid})
		}
	}
	// Together.
	for _, home := range []string{"0775", "0755 root root", "0777"} {
		for _, dir := range []string{"2770", "0777", "0775 root root", "0700 third"} {
			for _, keys := range []string{"0664", "0666", "0600 root root"} {
				list = append(list, situation{home: home, ssh: dir, keys: keys})
			}
		}
	}
	// The parents of a home are only passed.
	for _, parent := range []string{"0777 root root", "0777 third third", "1777 root root", "0711 root root"} {
		list = append(list, situation{parent: parent}, situation{parent: parent, home: "0777"})
	}
	list = append(list, situation{parent: "0700 root root", left: true}, situation{parent: "0750 root shared", left: true}, situation{parent: "0750 root private"})
	// Links.
	for _, target := range []string{"../dot/keys", "../dot/../dot/keys"} {
		list = append(list,
			situation{arrange: linkKeys(target)},
			situation{arrange: linkKeys(target), ssh: "0777"},
			situation{arrange: linkKeys(target), ssh: "0755 third"},
			situation{arrange: linkKeys(target), ssh: "0600"},
			situation{arrange: linkKeys(target), home: "0777"},
			situation{arrange: linkKeys(target), keys: "0666"},
			situation{arrange: linkKeys(target), keys: "0644 third"},
			situation{arrange: linkKeys(target), dot: "0777"},
			situation{arrange: linkKeys(target), dot: "0775 user shared"},
			situation{arrange: linkKeys(target), dot: "0700 root root"},
			situation{arrange: linkKeys(target), dot: "1777", left: true},
		)
	}
	for _, arrange := range []func(*place) error{linkSSH("dot/ssh"), linkHome} {
		list = append(list,
			situation{arrange: arrange},
			situation{arrange: arrange, home: "0777"},
			situation{arrange: arrange, ssh: "0777"},
			situation{arrange: arrange, ssh: "0700 root root"},
			situation{arrange: arrange, keys: "0666"},
			situation{arrange: arrange, keys: "0644 third"},
			situation{arrange: arrange, home: "0711", ssh: "0711", keys: "0644"},
		)
	}
	list = append(list,
		situation{arrange: linkSSH("dot/ssh"), dot: "0777"},
		situation{arrange: linkHome, last: func(p *place) error { return os.Chmod(filepath.Dir(p.home), 0o777) }},
		situation{arrange: outKeys("0755 root root")},
		situation{arrange: outKeys("0755 root root"), home: "0777", ssh: "0777"},
		situation{arrange: outKeys("0755 root root"), keys: "0644 root root"},
		situation{arrange: outKeys("0755")},
		situation{arrange: outKeys("0755"), keys: "0666", left: true},
		situation{arrange: outKeys("0777 root root"), left: true},
		situation{arrange: outKeys("1777 root root"), left: true},
		situation{arrange: outKeys("0755 third third"), left: true},
		situation{arrange: outKeys("0700 root root"), left: true},
		situation{arrange: outKeys("0755 root root"), keys: "0600 root root", left: true},
		situation{arrange: instead(func(path string) error { return os.Symlink("authorized_keys", path) }), left: true},
		situation{arrange: instead(func(path string) error { return os.Symlink("/dev/null", path) }), left: true},
		situation{arrange: instead(func(path string) error {
			return errors.Join(os.Mkdir(filepath.Dir(filepath.Dir(path))+"/docs", 0o755), os.Symlink("../docs", path))
		}), left: true},
		situation{arrange: instead(func(path string) error { return os.Symlink("..", path) }), left: true},
		situation{arrange: func(p *place) error { // a chain, whose links belong to others
			return errors.Join(linkKeys("../dot/keys")(p), os.Symlink("authorized_keys", p.ssh+"/2"), os.Rename(p.ssh+"/authorized_keys", p.ssh+"/1"),
				os.Symlink("1", p.ssh+"/authorized_keys"), os.Lchown(p.ssh+"/authorized_keys", third, third))
		}},
	)
	// Types.
	for _, mode := range []string{"", "0777"} {
		list = append(list,
			situation{arrange: instead(func(path string) error { return os.Mkdir(path, 0o755) }), ssh: mode, left: true},
			situation{arrange: instead(func(path string) error { return syscall.Mkfifo(path, 0o644) }), ssh: mode, left: true, hangs: true},
			situation{arrange: instead(socket), ssh: mode, left: true},
			situation{arrange: instead(func(path string) error { return syscall.Mknod(path, syscall.S_IFCHR|0o644, 1<<8|3) }), ssh: mode, left: true},
		)
	}
	list = append(list, situation{left: true, arrange: func(p *place) error { // ~/.ssh is a file
		p.keys = p.ssh
		return errors.Join(os.RemoveAll(p.ssh), os.WriteFile(p.ssh, []byte(p.line+"\n"), 0o600))
	}})
	// Second names.
	for _, keys := range []string{"0644", "0666", "0644 third"} {
		list = append(list, situation{arrange: func(p *place) error { return os.Link(p.keys, p.home+"/second") }, keys: keys, left: true})
	}
	// Other names.
	for _, name := range []string{"authorised_keys", "authorized_keys.pub", "authorized-keys", "authorized_key", "authorized_keys.txt"} {
		list = append(list, situation{arrange: named(name)}, situation{arrange: named(name), keys: "0644", ssh: "0777"})
	}
	list = append(list,
		situation{arrange: named("../authorized_keys"), left: true},
		situation{arrange: named("authorised_keys"), keys: "0644 third", left: true},
		situation{arrange: named("authorised_keys"), keys: "0666", left: true},
		situation{arrange: named("authorized_keys2")},
		situation{arrange: named("authorized_keys2"), ssh: "0777"},
	)
	return list
}

// seconds are situations in which the keys are in OpenSSH's second file.
func seconds() []situation {
	return []situation{
		{arrange: named("authorized_keys2"), keys: "0666"},
		{arrange: named("authorized_keys2"), keys: "0664"},
		{arrange: named("authorized_keys2"), keys: "0664 user shared"},
		{arrange: named("authorized_keys2"), keys: "0644 third"},
		{arrange: named("authorized_keys2"), keys: "0600 root root"},
		{arrange: func(p *place) error { return errors.Join(named("authorized_keys2")(p), linkKeys("../dot/keys")(p)) }, ssh: "0777"},
	}
}

// aclSituations need setfacl.
func aclSituations() []situation {
	list := []situation{}
	for _, of := range []func(*place) string{
		func(p *place) string { return p.home }, func(p *place) string { return p.ssh }, func(p *place) string { return p.keys },
	} {
		for _, entry := range []string{"u:nobody:rwx", "u:nobody:r-x", "g:100:rw-", "m::rwx"} {
			list = append(list, situation{last: acl(of, func(*place) string { return entry })})
			list = append(list, situation{last: func(p *place) error {
				return errors.Join(p.mode(of(p), "0755 user shared"), acl(of, func(*place) string { return entry })(p))
			}})
		}
	}
	// What is root's, and opened or closed to the user.
	parent := func(p *place) string { return p.parent }
	keys := func(p *place) string { return p.keys }
	user := func(mode string) func(*place) string {
		return func(p *place) string { return "u:" + p.u.Name + ":" + mode }
	}
	private := func(mode string) func(*place) string {
		return func(p *place) string { return fmt.Sprintf("g:%d:%s", p.u.GID, mode) }
	}
	only := func(p *place) string { return fmt.Sprintf("g:%d:--x,g:%d:---", p.only, p.u.GID) }
	masked := func(*place) string { return "g::---,m::r--" }
	return append(list,
		situation{parent: "0755 root root", last: acl(parent, user("---")), left: true},
		situation{parent: "0755 root root", last: acl(parent, private("rw-")), left: true},
		situation{parent: "0700 root root", last: acl(parent, user("--x"))},
		situation{parent: "0700 root root", last: acl(parent, private("--x"))},
		situation{parent: "0700 root root", last: acl(parent, only), left: true}, // which dropbear does not look at
		situation{parent: "0750 root private", last: acl(parent, func(*place) string { return "g::---,m::r-x" }), left: true},
		situation{keys: "0644 root root", last: acl(keys, user("---"))},
		situation{keys: "0640 root private", last: acl(keys, masked)},
		situation{keys: "0600 root root", last: acl(keys, user("r--"))},
	)
}

// elsewhere are those of a keys file that AuthorizedKeysFile has outside of
// the home, where nothing is changed unasked.
func elsewhere() []situation {
	var list []situation
	for _, s := range []struct{ dir, keys string }{
		{"0755 root root", "0644 root root"}, {"0755 root root", "0600"}, {"0755 root root", "0600 root root"}, {"0755 root root", "0666"},
		{"0755 root root", "0664"}, {"0755 root root", "0664 user shared"}, {"0755 root root", "0644 third"}, {"0755", "0600"},
		{"0777 root root", "0600"}, {"1777 root root", "0600"}, {"0775 root shared", "0600"}, {"0775 root private", "0600"},
		{"0775 root only", "0600"}, {"0700 root root", "0600"}, {"0711 root root", "0640 root private"}, {"0755 third", "0600"},
	} {
		for _, home := range []string{"", "0777", "0755 third"} {
			list = append(list, situation{home: home, keys: s.keys, left: true, arrange: func(p *place) error {
				p.ssh, p.keys = filepath.Dir(p.keysFiles[0]), p.keysFiles[0]
				from := p.home + "/.ssh/authorized_keys"
				if home == "0777" { // the second: out/l/.. is out/e
					p.ssh, p.keys = p.outside+"/e", p.outside+"/e/"+p.u.Name
					return errors.Join(os.MkdirAll(p.ssh+"/x", 0o755), os.Symlink("e/x", p.outside+"/l"), os.Rename(from, p.keys))
				}
				return errors.Join(os.Mkdir(p.ssh, 0o755), os.Rename(from, p.keys))
			}, ssh: s.dir})
		}
	}
	return list
}

// homeIsLeft reports whether a home of that mode and owner is refused and yet
// nothing to change unasked.
func homeIsLeft(mode, owner string) bool {
	switch owner {
	case "third private", "nobody shared":
		return true
	case "root shared", "root only": // dropbear does not look at further groups
		return mode == "0750"
	case "root root":
		return mode == "0700"
	}
	return mode == "1777"
}

// A state is a file as it is, beside its name.
type state struct {
	st   strictmodes.Stat
	held string // a digest of its content, or what the link leads to
	time time.Time
}

// snapshot returns the state of all that is below some directories. A directory's own
// time is left out: it changes with the names in it.
func snapshot(dirs ...string) (map[string]state, error) {
	all := make(map[string]state)
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			s := state{st: hostfs.StatOf(info)}
			switch info.Mode().Type() {
			case 0:
				data, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				s.held = fmt.Sprintf("%x", sha256.Sum256(data))
			case fs.ModeSymlink:
				s.held, err = os.Readlink(path)
				if err != nil {
					return err
				}
			}
			if info.IsDir() {
				s.st.Nlink = 0
			} else {
				s.time = info.ModTime()
			}
			all[path] = s
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// compare returns what differs though no record names it.
func compare(before, after map[string]state, records []record.Record) []string {
	var names []string // and what is below
	for _, r := range records {
		if r.Verdict == record.Done {
			names = append(names, r.Subject)
		}
	}
	var differ []string
	for path, was := range before {
		if is, ok := after[path]; slices.Contains(names, path) {
			if ok && (is.held != was.held || is.time != was.time || is.st.GID != was.st.GID) {
				differ = append(differ, path+" has another content, time or group")
			}
		} else if !slices.ContainsFunc(names, func(n string) bool { return before[n].st.Mode.IsDir() && strings.HasPrefix(path, n+"/") && !ok }) && is != was {
			differ = append(differ, fmt.Sprintf("%s is %+v, was %+v", path, is, was))
		}
	}
	for path, is := range after {
		if _, ok := before[path]; ok {
			continue
		}
		// What was set aside or named anew is where it was, and is what it was.
		if !slices.ContainsFunc(names, func(n string) bool {
			return filepath.Dir(n) == filepath.Dir(path) && before[n] == is ||
				before[n].st.Mode.IsDir() && strings.HasPrefix(path, filepath.Dir(n)+"/")
		}) {
			differ = append(differ, path+" is new")
		}
	}
	return differ
}

// A tally counts what a table came to.
type tally struct {
	sync.Mutex
	cases, refused, differ, tried, repaired, left int
	upstream, upstreamDiffer                      int
}

// A court is a server and its rules.
type court struct {
	server   strictmodes.Server
	daemon   *sshtest.Daemon
	upstream *sshtest.Daemon // a server of upstream's beside it; nil for none
	fsys     hostfs.FS
	key      ssh.Signer
	tally    tally
}

// try sets a situation up and holds our verdicts against the server's.
func (c *court) try(t *testing.T, p *place, s situation) {
	t.Helper()
	fatal := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v: %v", s, err)
		}
	}
	fatal(p.set(s))
	who := strictmodes.Account{Name: p.u.Name, UID: p.u.UID, Home: p.u.Home, Groups: []int{p.u.GID, p.only}}
	judge := func(server strictmodes.Server) []strictmodes.Finding {
		findings, err := strictmodes.Judge(t.Context(), c.fsys, who, p.keysFiles, server)
		fatal(err)
		return findings
	}
	findings := judge(c.server)
	before, err := logsIn(c.daemon, p.u.Name, c.key)
	fatal(err)
	c.tally.Lock()
	c.tally.cases++
	if !before {
		c.tally.refused++
	}
	c.tally.Unlock()
	if before != (len(findings) == 0) {
		c.tally.Lock()
		c.tally.differ++
		c.tally.Unlock()
		t.Errorf("%v: login works: %v, but we say: %+v", s, before, findings)
		return
	}
	c.tryUpstream(t, p, s, before, judge(strictmodes.OpenSSH))

	was, err := snapshot(p.parent, p.outside)
	fatal(err)
	_, err = (&Job{DryRun: true}).home(t.Context(), c.fsys, who, c.server, p.keysFiles)
	fatal(err)
	is, err := snapshot(p.parent, p.outside)
	fatal(err)
	if differ := compare(was, is, nil); differ != nil {
		t.Errorf("%v: the dry run changed: %s", s, strings.Join(differ, "; "))
	}
	records, err := new(Job).home(t.Context(), c.fsys, who, c.server, p.keysFiles)
	fatal(err)
	is, err = snapshot(p.parent, p.outside)
	fatal(err)
	if differ := compare(was, is, records); differ != nil {
		t.Errorf("%v: changed without a record: %s; records: %+v", s, strings.Join(differ, "; "), records)
	}
	if before {
		return
	}
	after, err := logsIn(c.daemon, p.u.Name, c.key)
	fatal(err)
	c.tally.Lock()
	defer c.tally.Unlock()
	switch c.tally.tried++; {
	case after:
		c.tally.repaired++
	case s.left && slices.ContainsFunc(records, func(r record.Record) bool { return r.Verdict == record.Fail || r.Cause == "keys-not-a-file" }):
		c.tally.left++ // in the last case, the key must be put there anew
	default:
		t.Errorf("%v: no login after the repair: %+v", s, records)
	}
}

// tryUpstream asks whether upstream's rule is Debian's without its exception
// for private groups, and, if it is here, upstream's server itself.
func (c *court) tryUpstream(t *testing.T, p *place, s situation, debian bool, findings []strictmodes.Finding) {
	t.Helper()
	if c.server != strictmodes.Debian {
		return
	}
	want := debian
	if c.upstream != nil {
		var err error
		if want, err = logsIn(c.upstream, p.u.Name, c.key); err != nil {
			t.Fatalf("%v: %v", s, err)
		}
	} else if debian && groupWrites(p) {
		want = false
	}
	c.tally.Lock()
	defer c.tally.Unlock()
	c.tally.upstream++
	if want != (len(findings) == 0) {
		c.tally.upstreamDiffer++
		t.Errorf("%v: upstream lets in: %v, but we say: %+v", s, want, findings)
	}
}

// groupWrites reports whether the group may write what upstream's safe_path()
// looks at.
func groupWrites(p *place) bool {
	for path := p.keys; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err == nil && info.Mode()&0o020 != 0 {
			return true
		}
		if path == p.home || path == "/" {
			return false
		}
	}
}

// newPlaces makes some, each with a user of its own.
func newPlaces(t *testing.T, n int, shell, line string) []*place {
	var places []*place
	for range n {
		p := &place{u: sshtest.AddUser(t, sshtest.UserConfig{Shell: shell}), line: line}
		group := p.u.Name + "o"
		for try := 1; ; try++ { // others may be changing the accounts too
			out, err := exec.Command("groupadd", "-f", "-U", p.u.Name, group).CombinedOutput()
			if err == nil {
				break
			}
			if try == 10 {
				t.Fatalf("groupadd: %v: %s", err, out)
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Cleanup(func() {
			for range 10 {
				if exec.Command("groupdel", group).Run() == nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			t.Errorf("the group %s stays", group)
		})
		data, err := os.ReadFile("/etc/group")
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(data)) {
			if f := strings.Split(l, ":"); f[0] == group {
				p.only, _ = strconv.Atoi(f[2])
			}
		}
		// Not in /tmp, which everybody may write.
		if p.outside, err = os.MkdirTemp("/run", "pk"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(p.outside) })
		if err := os.Chmod(p.outside, 0o755); err != nil {
			t.Fatal(err)
		}
		places = append(places, p)
	}
	return places
}

// log tells what came of it, when all is tried.
func (c *court) log(t *testing.T) {
	t.Cleanup(func() {
		n := &c.tally
		t.Logf("%v: %d cases, %d refused, %d differ; %d repairs, %d log in, %d left on purpose; upstream's rule: %d cases, %d differ",
			c.server, n.cases, n.refused, n.differ, n.tried, n.repaired, n.left, n.upstream, n.upstreamDiffer)
	})
}

// hold tries all the situations, several at a time.
func (c *court) hold(t *testing.T, places []*place, list []situation) {
	for i, p := range places {
		t.Run(p.u.Name, func(t *testing.T) {
			t.Parallel()
			for n := i; n < len(list); n += len(places) {
				c.try(t, p, list[n])
			}
		})
	}
}

// Our verdict is that of Debian's sshd, and what we repair logs in.
func TestTruthOfDebian(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "sshd", "ssh", "setfacl")
	if version, _ := exec.Command("ssh", "-V").CombinedOutput(); strictmodes.ServerOf(string(version)) != strictmodes.Debian {
		t.Skipf("not Debian's OpenSSH: %s", version)
	}
	k := sshtest.NewKey(t, t.TempDir(), "ed25519")
	places := newPlaces(t, 4, "/bin/sh", k.Line)
	c := &court{server: strictmodes.Debian, fsys: hostfs.Local(), key: k.Signer}
	c.log(t)
	// The last user's keys are elsewhere.
	out := places[len(places)-1]
	out.keysFiles = []string{out.outside + "/d/" + out.u.Name, out.outside + "/l/../" + out.u.Name}
	config := []string{"MaxStartups 100", "Match User " + out.u.Name, "AuthorizedKeysFile " + out.outside + "/d/%u " + out.outside + "/l/../%u"}
	c.daemon = sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: config})
	if program := os.Getenv("PIKEY_TEST_SSHD10"); program != "" {
		c.upstream = sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: program, Config: append([]string{"PerSourcePenalties no"}, config...)})
	}
	list := slices.Concat(situations(), seconds(), aclSituations())
	if len(list) < 150 {
		t.Errorf("only %d cases", len(list))
	}
	c.hold(t, places[:len(places)-1], list)
	c.hold(t, places[len(places)-1:], elsewhere())
}

// And so it is with dropbear.
func TestTruthOfDropbear(t *testing.T) {
	t.Parallel()
	sshtest.NeedRoot(t)
	sshtest.Need(t, "dropbear", "setfacl")
	version, _ := exec.Command("dropbear", "-V").CombinedOutput()
	k := sshtest.NewKey(t, t.TempDir(), "ed25519")
	c := &court{server: strictmodes.ServerOf(string(version)), fsys: hostfs.Local(), key: k.Signer}
	c.log(t)
	places := newPlaces(t, 4, "/bin/sh", k.Line)
	c.daemon = sshtest.StartDropbear(t)
	c.hold(t, places, slices.DeleteFunc(slices.Concat(situations(), aclSituations()), func(s situation) bool { return s.hangs }))
}
