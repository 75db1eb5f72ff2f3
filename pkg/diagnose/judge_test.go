//go:build unix

package diagnose

import (
	"context"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// A machine is the files of one with the account pi, by their paths: of each its
// text, or "-> " and where it leads. What root owns with mode 0600 is closed.
type machine struct {
	hostfs.FS // of which nothing else is asked
	files     map[string]string
	stats     map[string]strictmodes.Stat // where they are unusual
}

const homeDir, keysFile = "/home/pi", "/home/pi/.ssh/authorized_keys"

func (m machine) Account(context.Context) (strictmodes.Account, error) {
	return strictmodes.Account{Name: "pi", UID: 1000, Groups: []int{1000}, Home: homeDir}, nil
}

func (m machine) Lstat(_ context.Context, p string) (strictmodes.Stat, error) {
	st := strictmodes.Stat{Mode: 0o644, Nlink: 1}
	if strings.HasPrefix(p, homeDir) {
		st.UID, st.GID = 1000, 1000
	}
	switch text, file := m.files[p]; {
	case strings.HasPrefix(text, "-> "):
		st.Mode = fs.ModeSymlink | 0o777
	case file:
	case p == "/", slices.ContainsFunc(slices.Collect(maps.Keys(m.files)), func(name string) bool { return strings.HasPrefix(name, p+"/") }):
		st.Mode = fs.ModeDir | 0o755
	default:
		return st, fs.ErrNotExist
	}
	if unusual, ok := m.stats[p]; ok {
		return unusual, nil
	}
	return st, nil
}

func (m machine) Readlink(_ context.Context, p string) (string, error) {
	if to, ok := strings.CutPrefix(m.files[p], "-> "); ok {
		return to, nil
	}
	return "", fs.ErrInvalid
}

func (m machine) PrivateGroup(context.Context, int, int, int) (bool, error) { return false, nil }

func (m machine) Attributes(context.Context, string) (a strictmodes.Attributes, err error) {
	return a, nil
}

func (m machine) ReadFile(_ context.Context, p string) ([]byte, error) {
	text, ok := m.files[p]
	switch st := m.stats[p]; {
	case !ok, strings.HasPrefix(text, "-> "):
		return nil, fs.ErrNotExist
	case st.Mode.IsDir():
		return nil, hostfs.ErrNotRegular
	case st.Mode == 0o600 && st.UID == 0:
		return nil, fs.ErrPermission
	}
	return []byte(text), nil
}

func (m machine) Glob(_ context.Context, pattern string) (found []string, err error) {
	for name := range m.files {
		if ok, _ := path.Match(pattern, name); ok {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found, nil
}

// What is said of what is there. That the servers refuse the key then, and that
// the cure cures it, cmd's table of causes shows with real ones.
func TestJudge(t *testing.T) {
	dir := t.TempDir()
	key, rsa := sshtest.NewKey(t, dir, "ed25519").Line, sshtest.NewKey(t, dir, "rsa").Line
	// Types that nobody makes keys of here.
	dsa := sshkey.Public{Type: "ssh-dss", Blob: dsaBlob()}.Line()
	mldsa := sshkey.Public{Type: "ssh-mldsa44-ed25519@openssh.com", Blob: wire("ssh-mldsa44-ed25519@openssh.com", strings.Repeat("x", 1312+32))}.Line()
	host := target(t, sshtest.Endpoint{Addr: "127.0.0.1:1", Port: 1}, &sshtest.User{Name: "pi"})
	const dropbear = "SSH-2.0-dropbear_2022.83"
	roots := strictmodes.Stat{Mode: 0o600, Nlink: 1}
	stat := func(mode fs.FileMode, uid int) strictmodes.Stat {
		return strictmodes.Stat{Mode: mode, UID: uid, GID: 1000, Nlink: 1}
	}
	type files = map[string]string
	type stats = map[string]strictmodes.Stat
	for _, c := range []struct {
		name   string
		config []string // of sshd; nil: of a dropbear
		keys   []string // lines of authorized_keys; nil: all keys
		key    string   // the one that is refused; "" for the ed25519 one
		files  files    // and others
		stats  stats
		path   string // where the key was put; "" for authorized_keys
		want   want
	}{
		{name: "elsewhere", config: []string{"AuthorizedKeysFile /etc/ssh/keys/%u"},
			want: want{"keys-file-elsewhere", "sshd_config:1", "seen: the server reads /etc/ssh/keys/pi", "sudo tee -a /etc/ssh/keys/pi"}},
		{name: "elsewhere in the home", config: []string{"AuthorizedKeysFile .keys"},
			want: want{"keys-file-elsewhere", "sshd_config:1", "seen: ", "-t " + homeDir + "/.keys"}},
		{name: "tilde", config: []string{"AuthorizedKeysFile ~/.ssh/authorized_keys"},
			want: want{"keys-file-elsewhere", "sshd_config:1", "~ for root's home", "sudo sed -i '1s/^/#/'"}},
		{name: "none", config: []string{"AuthorizedKeysFile none"},
			want: want{"keys-file-elsewhere", "sshd_config:1", "seen: AuthorizedKeysFile is none", "sed -i '1s/^/#/'"}},
		{name: "in a Match of the user", config: []string{"Match User someone", "AuthorizedKeysFile x", "Match User pi", "AuthorizedKeysFile %h/.other"},
			want: want{"keys-file-elsewhere", "sshd_config:4", "seen: the server reads " + homeDir + "/.other", ""}},
		{name: "in a Match of group and address", config: []string{"Match Group pi Address 127.0.0.0/8", "AuthorizedKeysFile none"},
			want: want{"keys-file-elsewhere", "sshd_config:2", "seen: ", ""}},
		{name: "in a Match that is unlike us", config: []string{"Match Address 10.0.0.0/8", "AuthorizedKeysFile none", "Match all", "PubkeyAcceptedAlgorithms ecdsa-*"},
			want: want{"key-type-refused", "sshd_config:4", "seen: ", ""}},
		{name: "in a drop-in", config: []string{"Include d/7*.conf"}, files: files{"/etc/ssh/d/70-x.conf": "# a drop-in\nAuthorizedKeysFile /etc/keys/%u\n"},
			want: want{"keys-file-elsewhere", "/etc/ssh/d/70-x.conf:2", "seen: ", "sudo tee -a /etc/keys/pi"}},
		{name: "in a drop-in of root's", config: []string{"Include d/hidden"}, files: files{"/etc/ssh/d/hidden": ""}, stats: stats{"/etc/ssh/d/hidden": roots},
			want: want{"key-refused", "SHA256:", "/etc/ssh/d/hidden", "sudo sshd -T"}},
		{name: "beside a drop-in of root's", config: []string{"Include d/hidden", "AuthorizedKeysFile none"}, files: files{"/etc/ssh/d/hidden": ""}, stats: stats{"/etc/ssh/d/hidden": roots},
			want: want{"keys-file-elsewhere", "sshd_config:2", "unless /etc/ssh/d/hidden", ""}},
		{name: "a configuration that is root's", config: []string{""}, stats: stats{sshdconfig.DefaultFile: roots},
			want: want{"key-refused", "SHA256:", "sshd_config (which pi may not read)", "sudo sshd -T"}},
		{name: "a configuration that is no longer in force", config: []string{"AuthorizedKeysFile .ssh/*_keys"},
			want: want{"key-refused", "SHA256:", "an older configuration", "journalctl"}},
		{name: "keys-command", config: []string{"AuthorizedKeysFile none", "AuthorizedKeysCommand /bin/true"},
			want: want{"keys-command", "sshd_config:2", "seen: ", "/bin/true"}},
		{name: "algorithms", config: []string{"PubkeyAcceptedAlgorithms rsa-sha2-512,ecdsa-sha2-*"},
			want: want{"key-type-refused", "sshd_config:1", "without ssh-ed25519", "pikeygen -t ecdsa -f"}},
		{name: "algorithms taken away", config: []string{"PubkeyAcceptedKeyTypes -ssh-ed25519"},
			want: want{"key-type-refused", "sshd_config:1", "without ssh-ed25519", ""}},
		{name: "rsa by SHA-1 only", config: []string{"PubkeyAcceptedAlgorithms ssh-rsa,ssh-ed25519"}, key: rsa,
			want: want{"key-type-refused", "sshd_config:1", "without rsa-sha2-512 or rsa-sha2-256", "pikeygen -t ed25519 -f"}},
		{name: "rsa too short", config: []string{"RequiredRSASize 3072"}, key: rsa,
			want: want{"key-type-refused", "sshd_config:1", "3072, and the key has 2048", ""}},
		{name: "dsa", config: []string{""}, key: dsa,
			want: want{"key-type-refused", "SHA256:", "likely: OpenSSH has not accepted DSA", "pikeygen"}},
		{name: "mldsa", config: []string{""}, key: mldsa,
			want: want{"key-type-refused", "SHA256:", "OpenSSH 9.2 does not support keys of type MLDSA44-ED25519", "pikeygen"}},
		{name: "revoked", config: []string{"RevokedKeys /etc/ssh/revoked_keys"}, files: files{"/etc/ssh/revoked_keys": rsa + "\n" + key + "\n"},
			want: want{"key-revoked", "/etc/ssh/revoked_keys", "seen: the key is in the list", ""}},
		{name: "a list that is not there", config: []string{"RevokedKeys /etc/ssh/revoked_keys"},
			want: want{"key-revoked", "/etc/ssh/revoked_keys", "refuses every key as revoked", "touch"}},
		{name: "a list that is root's", config: []string{"RevokedKeys /etc/ssh/revoked_keys"}, files: files{"/etc/ssh/revoked_keys": key}, stats: stats{"/etc/ssh/revoked_keys": roots},
			want: want{"key-refused", "SHA256:", "likely: ", ""}},
		{name: "off", config: []string{"PubkeyAuthentication no"},
			want: want{"pubkey-disabled", "sshd_config:1", "seen: ", "sed"}},
		{name: "password first", config: []string{"Match User pi", "AuthenticationMethods password"},
			want: want{"pubkey-disabled", "sshd_config:2", "AuthenticationMethods is password: keys are not among them", "sudoedit"}},

		{name: "home-writable", config: []string{""}, stats: stats{homeDir: stat(fs.ModeDir|0o777, 1000)},
			want: want{"home-writable", homeDir, "seen: mode 0777", "pikeyfix -o "}},
		{name: "wrong-owner", config: []string{""}, stats: stats{homeDir + "/.ssh": stat(fs.ModeDir|0o755, 4242)},
			want: want{"wrong-owner", "/.ssh", "seen: it belongs to uid 4242", "pikeyfix"}},
		{name: "keys-unreadable, and any mode goes", config: []string{"StrictModes no"}, stats: stats{homeDir: stat(fs.ModeDir|0o777, 1000), keysFile: roots},
			want: want{"keys-unreadable", keysFile, "seen: ", "pikeyfix"}},
		{name: "keys-not-a-file", config: []string{""}, stats: stats{keysFile: stat(fs.ModeDir|0o700, 1000)},
			want: want{"keys-not-a-file", keysFile, "seen: ", ""}},
		{name: "keys-symlink", config: []string{""}, files: files{keysFile: "-> /nowhere/keys"},
			want: want{"keys-symlink", keysFile, "seen: it is a dangling link", "authorized_keys.aside\nhint: then: echo "}},
		{name: "keys-symlink of the directory", config: []string{""}, keys: []string{}, files: files{homeDir + "/.ssh": "-> /nowhere"},
			want: want{"keys-symlink", "/.ssh", "seen: it is a dangling link", ".aside\nhint: then: echo "}},
		{name: "gone", config: []string{""}, keys: []string{rsa},
			want: want{"key-not-installed", keysFile, "seen: ", "pikeycopy"}},
		{name: "comment", config: []string{""}, keys: []string{"# " + key, rsa},
			want: want{"key-not-installed", keysFile + ":1", "it is a comment", "pikeycopy"}},
		{name: "option", config: []string{""}, keys: []string{rsa, "no-such-option " + key},
			want: want{"entry-options-bad", keysFile + ":2", "", "pikeycopy -f"}},
		{name: "cert-authority", config: []string{""}, keys: []string{"cert-authority " + key},
			want: want{"key-not-installed", keysFile + ":1", "cert-authority", ""}},
		{name: "from", config: []string{""}, keys: []string{`from="10.0.0.0/8,!127.0.0.1,192.168.*" ` + key},
			want: want{"entry-from", keysFile + ":1", `seen: from="10.0.0.0/8,!127.0.0.1,192.168.*", and the server sees us as 127.0.0.1`, `from="127.0.0.1"`}},
		{name: "from a name", config: []string{""}, keys: []string{`from="pi.example.org" ` + key},
			want: want{"entry-from", keysFile + ":1", "seen: ", ""}},
		{name: "expired", config: []string{""}, keys: []string{`expiry-time="20200101" ` + key},
			want: want{"entry-expired", keysFile + ":1", `expiry-time="20200101" has passed: the clock there says 20`, "--expires"}},
		{name: "expired and from", config: []string{""}, keys: []string{`expiry-time="203001010000Z" ,restrict`, `from="10.0.0.1" ` + key, `expiry-time="202001010000Z" ` + key},
			want: want{"entry-from", keysFile + ":2", "seen: ", ""}},
		{name: "put elsewhere", config: []string{""}, keys: []string{rsa}, files: files{homeDir + "/authorized_keys": key}, path: homeDir + "/authorized_keys",
			want: want{"keys-file-elsewhere", keysFile, "seen: ", "pikeycopy -i - -t "}},

		{name: "dropbear, group-writable home", stats: stats{homeDir: stat(fs.ModeDir|0o775, 1000)},
			want: want{"home-writable", homeDir, "seen: ", "pikeyfix"}},
		{name: "dropbear, from", keys: []string{`from="127.0.0.1" ` + key},
			want: want{"dropbear-limits", keysFile + ":1", "does not know the option from", "pikeycopy"}},
		{name: "dropbear, long", keys: []string{rsa, key + strings.Repeat(" long", 850)},
			want: want{"dropbear-limits", keysFile + ":2", "4200 are the most", ""}},
		{name: "dropbear, put elsewhere", keys: []string{rsa}, files: files{homeDir + "/authorized_keys": key}, path: homeDir + "/authorized_keys",
			want: want{"keys-file-elsewhere", keysFile, "seen: ", "pikeycopy -i - -t "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.keys == nil {
				c.keys = []string{key, rsa, dsa, mldsa}
			}
			if c.key == "" {
				c.key = key
			}
			if c.path == "" {
				c.path = keysFile
			}
			m := machine{files: files{"/etc/group": "pi:x:1000:\n"}, stats: c.stats}
			if len(c.keys) > 0 {
				m.files[keysFile] = strings.Join(c.keys, "\n") + "\n"
			}
			maps.Copy(m.files, c.files)
			refused := session.Key{Public: public(t, c.key)}
			rep := &session.Report{ServerVersion: dropbear, Methods: []string{"publickey", "password"}, By: "password", Offers: []session.Offer{{Key: refused, Answer: session.Refused}}}
			if c.config != nil {
				rep.ServerVersion = sshtest.Bookworm
				m.files[sshdconfig.DefaultFile] = strings.Join(c.config, "\n") + "\n"
			}
			if c.want.cause == "pubkey-disabled" {
				rep.Methods, rep.Offers = []string{"password"}, nil
			}
			in := &inside{facts: factsOf(rep, []sshkey.Public{refused.Public}, c.path), host: host, tree: m}
			in.conn.Address, in.utc = "127.0.0.1", time.Now().UTC().Format("20060102150405")
			in.local = in.utc
			if err := in.gatherFiles(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			in.filesAlone = false
			if err := in.judge(t.Context()); err != nil {
				t.Fatal(err)
			}
			records := append(in.seen, in.likely...)
			if len(records) == 0 {
				records = []record.Record{in.unexplained()}
			}
			c.want.check(t, records)
			for i, r := range records {
				if slices.Contains(records[:i], r) {
					t.Errorf("told twice: %v", r)
				}
			}
		})
	}
}

func wire(fields ...string) []byte {
	var b []byte
	for _, f := range fields {
		b = append(append(b, byte(len(f)>>24), byte(len(f)>>16), byte(len(f)>>8), byte(len(f))), f...)
	}
	return b
}

func dsaBlob() []byte {
	number := func(n int) string { return "\x00" + strings.Repeat("\xff", n) }
	return wire("ssh-dss", number(128), number(20), number(127), number(127))
}
