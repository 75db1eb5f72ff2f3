package strictmodes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pi-key-tools/pkg/unixpath"
)

// A tree is a machine that is one string a file: "d0755 1000 1000",
// "f0644 0 0", "f0644 0 0 2" with two hard links, "-> target", "denied".
type tree map[string]string

// private are gid, owner and uid: 1003 is uid 1000's by group(5) alone.
var private = map[[3]int]bool{{1000, 1000, 1000}: true, {1000, 0, 1000}: true, {1001, 1001, 1001}: true, {1003, 1000, 1000}: true}

func (t tree) Lstat(_ context.Context, p string) (Stat, error) {
	if p != "/" {
		// A directory that is not there, or that denies us, hides what is in it.
		switch parent, ok := t[path.Dir(p)]; {
		case path.Dir(p) == "/":
		case !ok:
			return Stat{}, fs.ErrNotExist
		case strings.Contains(parent, " denied"):
			return Stat{}, fs.ErrPermission
		}
	}
	s, ok := t[p]
	if !ok {
		if p == "/" || p == "/home" {
			return parse("d0755 0 0"), nil
		}
		return Stat{}, fmt.Errorf("lstat %s: %w", p, fs.ErrNotExist)
	}
	return parse(s), nil
}

func (t tree) Readlink(_ context.Context, p string) (string, error) {
	target, ok := strings.CutPrefix(t[p], "-> ")
	if !ok {
		return "", errors.New("no link")
	}
	return target, nil
}

func (t tree) PrivateGroup(_ context.Context, gid, owner, uid int) (bool, error) {
	if gid == unlisted {
		return false, ErrUnlisted
	}
	return private[[3]int{gid, owner, uid}], nil
}

const unlisted = 5000 // a group of which nobody knows anything

func parse(s string) Stat {
	if strings.HasPrefix(s, "-> ") {
		return Stat{Mode: fs.ModeSymlink | 0777, Nlink: 1}
	}
	f := strings.Fields(strings.TrimSuffix(s, " denied"))
	n, err := strconv.ParseUint(f[0][1:], 8, 32)
	if err != nil {
		panic(err)
	}
	mode := fs.FileMode(n & 0777)
	for value, bit := range map[uint64]fs.FileMode{04000: fs.ModeSetuid, 02000: fs.ModeSetgid, 01000: fs.ModeSticky} {
		if n&value != 0 {
			mode |= bit
		}
	}
	switch f[0][0] {
	case 'd':
		mode |= fs.ModeDir
	case 'p':
		mode |= fs.ModeNamedPipe
	case 'c':
		mode |= fs.ModeDevice | fs.ModeCharDevice
	}
	st := Stat{Mode: mode, Nlink: 1}
	st.UID, _ = strconv.Atoi(f[1])
	st.GID, _ = strconv.Atoi(f[2])
	if len(f) > 3 {
		st.Nlink, _ = strconv.Atoi(f[3])
	}
	return st
}

const (
	home = "/home/pi"
	dir  = "/home/pi/.ssh"
	keys = "/home/pi/.ssh/authorized_keys"
)

// good is a home that every server takes, with changes.
func good(changes ...string) tree {
	t := tree{"/": "d0755 0 0", "/home": "d0755 0 0",
		home: "d0755 1000 1000", dir: "d0700 1000 1000", keys: "f0600 1000 1000"}
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			delete(t, changes[i])
			continue
		}
		t[changes[i]] = changes[i+1]
	}
	return t
}

var pi = Account{Name: "pi", UID: 1000, Home: home, Groups: []int{1000, 44}}

// brief is a finding in a word: "home-writable /home/pi 0755", "wrong-owner
// PATH chown", "keys-not-a-file PATH none".
func brief(f Finding) string {
	switch f.Repair {
	case Chmod:
		return f.Cause + " " + f.Path + " " + Octal(f.Mode)
	case Chown:
		return f.Cause + " " + f.Path + " chown"
	case Rename:
		return f.Cause + " " + f.Path + " to " + f.To
	case Aside:
		return f.Cause + " " + f.Path + " aside"
	}
	return f.Cause + " " + f.Path + " none"
}

var everywhere = []Server{All, OpenSSH, Debian, Dropbear}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name    string
		tree    tree
		servers []Server
		want    []string
	}{
		{"good", good(), everywhere, nil},
		{"readable by all", good(dir, "d0755 1000 1000", keys, "f0644 1000 1000"), everywhere, nil},
		{"executable, setgid and sticky", good(home, "d3755 1000 1000", keys, "f0755 1000 1000"), everywhere, nil},
		{"root owns all", good(home, "d0755 0 0", dir, "d0755 0 0", keys, "f0644 0 0"), everywhere, nil},
		{"no keys file", good(keys, ""), everywhere, nil},
		{"no .ssh", good(keys, "", dir, ""), everywhere, nil},
		{"no .ssh in a bad home", good(keys, "", dir, "", home, "d0777 1000 1000"), everywhere, []string{"home-writable /home/pi 0755"}},
		{"parents of home are not judged", good("/home", "d0777 7 7", "/", "d0777 7 7"), everywhere, nil},

		{"group writes home", good(home, "d0775 1000 1000"), []Server{All, OpenSSH, Dropbear}, []string{"home-writable /home/pi 0755"}},
		{"private group writes all", good(home, "d0775 1000 1000", dir, "d0770 1000 1000", keys, "f0664 1000 1000"), []Server{Debian}, nil},
		{"group writes all", good(home, "d0775 1000 1000", dir, "d2770 1000 1000", keys, "f0664 1000 1000"), []Server{All, OpenSSH, Dropbear},
			[]string{"home-writable /home/pi 0755", "dir-writable /home/pi/.ssh 2750", "keys-writable /home/pi/.ssh/authorized_keys 0644"}},
		{"private, by group(5) alone", good(home, "d0775 1000 1003"), []Server{Debian}, nil},
		{"root's, for the private group", good(home, "d0775 0 1000"), []Server{Debian}, nil},
		{"root's, for a group that is private by group(5) alone", good(home, "d0775 0 1003"), []Server{Debian}, []string{"home-writable /home/pi 0755"}},
		{"shared group", good(home, "d0775 1000 44"), everywhere, []string{"home-writable /home/pi 0755"}},
		{"private group of another", good(home, "d0775 1000 1001"), everywhere, []string{"home-writable /home/pi 0755"}},
		{"others write", good(home, "d0757 1000 1000"), everywhere, []string{"home-writable /home/pi 0755"}},
		{"private group and others", good(home, "d0777 1000 1000"), everywhere, []string{"home-writable /home/pi 0755"}},
		{"never wider", good(dir, "d0720 1000 44", keys, "f0602 1000 1000"), everywhere,
			[]string{"dir-writable /home/pi/.ssh 0700", "keys-writable /home/pi/.ssh/authorized_keys 0600"}},
		{"sticky .ssh for all", good(dir, "d1777 1000 1000"), everywhere, []string{"dir-writable /home/pi/.ssh 1755"}},
		{"sticky home for a group", good(home, "d1775 1000 44"), everywhere, []string{"home-writable /home/pi 1755"}},
		{"a folder with others in it", good(home, "d0777 1000 1000 3"), everywhere, []string{"home-writable /home/pi 0755"}},
		{"setuid", good(keys, "f4666 1000 1000"), everywhere, []string{"keys-writable /home/pi/.ssh/authorized_keys none"}},
		{"setuid, another's", good(keys, "f4755 7 7"), everywhere, []string{"wrong-owner /home/pi/.ssh/authorized_keys none"}},
		{"dropbear's later rules", good(home, "d0775 1000 1000", dir, "d0770 7 7", keys, "f0666 7 7"), []Server{Dropbear2025},
			[]string{"home-writable /home/pi 0755", "wrong-owner /home/pi/.ssh chown", "dir-writable /home/pi/.ssh 0750"}},
		{"dropbear's later rules", good(keys, "f0600 0 0"), []Server{Dropbear2025}, []string{"keys-unreadable /home/pi/.ssh/authorized_keys chown"}},
		{"not strict", good(home, "d1777 7 7", dir, "d0775 0 44", keys, "f0666 7 7 2"), []Server{Lax}, nil},
		{"not strict, and closed", good(dir, "d0077 1000 1000", keys, "f0620 0 44"), []Server{Lax},
			[]string{"keys-unreadable /home/pi/.ssh 0177", "keys-unreadable /home/pi/.ssh/authorized_keys chown"}},
		{"sticky home for all", good(home, "d1777 1000 1000"), everywhere, []string{"home-writable /home/pi none"}},
		{"hard links", good(keys, "f0666 1000 1000 2"), everywhere, []string{"keys-writable /home/pi/.ssh/authorized_keys none"}},

		{"another's file", good(keys, "f0644 7 7"), everywhere, []string{"wrong-owner /home/pi/.ssh/authorized_keys chown"}},
		{"another's writable folder", good(dir, "d0775 7 7"), everywhere,
			[]string{"wrong-owner /home/pi/.ssh chown", "dir-writable /home/pi/.ssh 0755"}},
		{"another's, for a group that is the account's own once it is the account's", good(keys, "f0660 7 1003"), []Server{Debian}, []string{"wrong-owner /home/pi/.ssh/authorized_keys chown"}},
		{"another's linked file", good(keys, "f0644 7 7 2"), everywhere, []string{"wrong-owner /home/pi/.ssh/authorized_keys none"}},
		{"another's home", good(home, "d0755 7 7"), everywhere, []string{"wrong-owner /home/pi none"}},

		{"keys closed to the owner", good(keys, "f0266 1000 1000"), everywhere, []string{"keys-writable /home/pi/.ssh/authorized_keys 0644"}},
		{"keys of mode 0", good(keys, "f0000 1000 1000"), everywhere, []string{"keys-unreadable /home/pi/.ssh/authorized_keys 0400"}},
		{"home without x, seen by pi", good(home, "d0600 1000 1000 denied"), everywhere, []string{"keys-unreadable /home/pi 0700"}},
		{"home without x, seen by root", good(home, "d0600 1000 1000"), everywhere, []string{"keys-unreadable /home/pi 0700"}},
		{"the owner's bits count, not the others'", good(dir, "d0011 1000 1000"), everywhere, []string{"keys-unreadable /home/pi/.ssh 0111"}},
		{"sudo mkdir .ssh", good(dir, "d0700 0 0 denied"), everywhere, []string{"keys-unreadable /home/pi/.ssh chown"}},
		{"sudo tee keys", good(keys, "f0600 0 0"), everywhere, []string{"keys-unreadable /home/pi/.ssh/authorized_keys chown"}},
		{"root's, for the private group", good(keys, "f0640 0 1000"), everywhere, nil},
		{"root's, for a further group", good(keys, "f0640 0 44"), []Server{OpenSSH, Debian}, nil},
		{"root's, for a further group, no initgroups", good(keys, "f0640 0 44"), []Server{All, Dropbear}, []string{"keys-unreadable /home/pi/.ssh/authorized_keys chown"}},
		{"root's home", good(home, "d0700 0 0"), everywhere, []string{"keys-unreadable /home/pi none"}},
		{"written by others and closed to pi", good(dir, "d0677 1000 1000 denied"), everywhere, []string{"dir-writable /home/pi/.ssh 0755"}},
		{"closed parent", good("/home", "d0700 0 0 denied"), everywhere, []string{"keys-unreadable /home none"}},
		{"denied for no visible reason", good(dir, "d0700 1000 1000 denied"), everywhere, []string{"keys-unreadable /home/pi/.ssh/authorized_keys none"}},

		{"denied for no visible reason, in a bad home", good(home, "d0777 1000 1000", dir, "d0700 1000 1000 denied"), everywhere,
			[]string{"home-writable /home/pi 0755", "keys-unreadable /home/pi/.ssh/authorized_keys none"}},
		{"denied in another's .ssh", good(dir, "d0755 7 7 denied"), everywhere, []string{"wrong-owner /home/pi/.ssh chown"}},

		{"keys is a folder", good(keys, "d0755 1000 1000"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys aside"}},
		{"keys is a pipe", good(keys, "p0644 1000 1000"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys aside"}},
		{"keys is a pipe with two names", good(keys, "p0644 1000 1000 2"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys none"}},
		{".ssh is a file", good(dir, "f0644 1000 1000", keys, ""), everywhere, []string{"keys-not-a-file /home/pi/.ssh aside"}},
		{"keys is a device", good(keys, "c0644 1000 1000"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys none"}},
		{"links in a circle", good(keys, "-> a", dir+"/a", "-> authorized_keys"), everywhere, []string{"keys-symlink /home/pi/.ssh/authorized_keys none"}},
		{"dangling link", good(keys, "-> none"), everywhere, []string{"keys-symlink /home/pi/.ssh/authorized_keys none"}},
		{"dangling link to a link", good(keys, "-> ../dot/keys", home+"/dot", "-> /mnt/dot"), everywhere, []string{"keys-symlink /home/pi/.ssh/authorized_keys none"}},
		{".ssh is a dangling link", good(keys, "", dir, "-> /mnt/ssh"), everywhere, []string{"keys-symlink /home/pi/.ssh none"}},
		{"missing where a link leads", good(keys, "", dir, "-> dot", home+"/dot", "d0755 1000 1000"), everywhere, nil},
		{"dangling link beside the second", good(keys, "-> none", keys+"2", "f0644 1000 1000"), []Server{OpenSSH, Debian}, nil},
		{"dangling second", good(keys+"2", "-> none"), everywhere, nil},

		{"two files", good(dir, "d0777 1000 1000", keys+"2", "f0666 1000 1000"), []Server{OpenSSH, Debian, All},
			[]string{"dir-writable /home/pi/.ssh 0755", "keys-writable /home/pi/.ssh/authorized_keys2 0644"}},
		{"two files", good(keys+"2", "f0666 1000 1000"), []Server{Dropbear, Dropbear2025}, nil},
		{"a circle in the second's place", good(keys+"2", "-> authorized_keys2"), []Server{OpenSSH, Debian, All}, []string{"keys-symlink /home/pi/.ssh/authorized_keys2 none"}},
		{"the second beyond a closed directory", good(keys+"2", "-> /srv/d/k", "/srv", "d0755 0 0", "/srv/d", "d0700 7 7 denied"), []Server{OpenSSH, Debian}, []string{"wrong-owner /srv/d none"}},
		{"the second only", good(keys, "", keys+"2", "f0644 1000 1000"), []Server{OpenSSH, Debian}, nil},
		{"the second only", good(keys, "", keys+"2", "f0644 1000 1000"), []Server{Dropbear}, []string{"keys-misnamed /home/pi/.ssh/authorized_keys2 to /home/pi/.ssh/authorized_keys"}},
		{"British", good(keys, "", dir+"/authorised_keys", "f0644 1000 1000"), everywhere, []string{"keys-misnamed /home/pi/.ssh/authorised_keys to /home/pi/.ssh/authorized_keys"}},
		{"copied with its name", good(dir, "d0770 1000 44", keys, "", keys+".pub", "f0644 1000 1000"), everywhere,
			[]string{"dir-writable /home/pi/.ssh 0750", "keys-misnamed /home/pi/.ssh/authorized_keys.pub to /home/pi/.ssh/authorized_keys"}},
		{"misnamed, but another has the name", good(dir+"/authorised_keys", "f0644 1000 1000"), everywhere, nil},
		{"misnamed, a folder", good(keys, "", dir+"/authorised_keys", "d0755 1000 1000"), everywhere, nil},
		{"misnamed, and another's", good(keys, "", dir+"/authorised_keys", "f0644 0 0"), everywhere, []string{"keys-misnamed /home/pi/.ssh/authorised_keys none"}},
		{"misnamed, and others may write", good(keys, "", dir+"/authorised_keys", "f0646 1000 1000"), everywhere, []string{"keys-misnamed /home/pi/.ssh/authorised_keys none"}},
		{"misnamed, and linked", good(keys, "", dir+"/authorised_keys", "f0644 1000 1000 2"), everywhere, []string{"keys-misnamed /home/pi/.ssh/authorised_keys none"}},
		{"misnamed twice", good(keys, "", dir+"/authorised_keys", "f0644 1000 1000", dir+"/authorized-keys", "f0644 1000 1000"), everywhere,
			[]string{"keys-misnamed /home/pi/.ssh/authorised_keys none", "keys-misnamed /home/pi/.ssh/authorized-keys none"}},
		{"keys in the home", good(keys, "", home+"/authorized_keys", "f0644 1000 1000"), everywhere, []string{"keys-misnamed /home/pi/authorized_keys none"}},
		{"a dangling link to where they are misnamed", good(keys, "-> ../dot/authorized_keys", home+"/dot", "d0755 1000 1000", home+"/dot/authorised_keys", "f0644 1000 1000"),
			everywhere, []string{"keys-misnamed /home/pi/dot/authorised_keys to /home/pi/dot/authorized_keys"}},
		{"killed before .ssh was there again", good(dir, "", keys, "", dir+".new", "d0700 1000 1000", dir+".new/authorized_keys", "f0600 1000 1000"),
			everywhere, []string{"keys-misnamed /home/pi/.ssh.new to /home/pi/.ssh"}},
		{"a copy without keys", good(dir, "", keys, "", dir+".new", "d0700 1000 1000"), everywhere, nil},
		{"a copy beside .ssh", good(keys, "", dir+".new", "d0700 1000 1000", dir+".new/authorized_keys", "f0600 1000 1000"), everywhere, nil},
		{"killed before the keys were there again", good(keys, "", keys+".new", "f0600 1000 1000"), everywhere,
			[]string{"keys-misnamed /home/pi/.ssh/authorized_keys.new to /home/pi/.ssh/authorized_keys"}},
		{"misnamed where a link leads", good(keys, "", dir, "-> /srv/s", "/srv", "d0755 0 0", "/srv/s", "d0755 1000 1000", "/srv/s/authorised_keys", "f0644 1000 1000"),
			everywhere, []string{"keys-misnamed /srv/s/authorised_keys none"}},
		{"ecryptfs", good(dir, "", keys, "", home, "d0500 1000 1000", home+"/Access-Your-Private-Data.desktop", "-> /usr/share/x"), everywhere, []string{"home-encrypted /home/pi none"}},
		{"homed", good(home, "", dir, "", keys, "", home+".home", "f0600 0 0"), everywhere, []string{"home-encrypted /home/pi none"}},
		{"no home", good(home, "", dir, "", keys, ""), everywhere, []string{"home-missing /home/pi none"}},
		{"home is a file", good(home, "f0644 0 0"), everywhere, []string{"home-missing /home/pi none"}},
		{"home is a dangling link", good(home, "-> /mnt/pi"), everywhere, []string{"home-missing /mnt/pi none"}},

		// The link's own directory counts for dropbear only, the target's for OpenSSH only.
		{"keys linked into a good folder", good(dir, "d0777 1000 1000", keys, "-> ../dot/keys", home+"/dot", "d0755 1000 1000", home+"/dot/keys", "f0644 1000 1000"),
			[]Server{OpenSSH, Debian}, nil},
		{"keys linked into a good folder", good(dir, "d0777 1000 1000", keys, "-> ../dot/keys", home+"/dot", "d0755 1000 1000", home+"/dot/keys", "f0644 1000 1000"),
			[]Server{Dropbear, All}, []string{"dir-writable /home/pi/.ssh 0755"}},
		{"the second linked into a good folder, the first missing", good(dir, "d0777 1000 1000", keys, "", keys+"2", "-> ../dot/keys", home+"/dot", "d0755 1000 1000", home+"/dot/keys", "f0644 1000 1000"),
			[]Server{OpenSSH, Debian}, nil},
		{"keys linked into a bad folder", good(keys, "-> ../dot/a/keys", home+"/dot", "d0777 1000 1000", home+"/dot/a", "d0755 1000 1000", home+"/dot/a/keys", "f0644 1000 1000"),
			[]Server{OpenSSH, Debian, All}, []string{"parent-writable /home/pi/dot 0755"}},
		{"keys linked into a bad folder", good(keys, "-> ../dot/a/keys", home+"/dot", "d0777 1000 1000", home+"/dot/a", "d0755 1000 1000", home+"/dot/a/keys", "f0644 1000 1000"),
			[]Server{Dropbear}, nil},
		{".ssh linked", good(keys, "", dir, "-> ./dot/ssh/", home+"/dot", "d0755 1000 1000", home+"/dot/ssh", "d0777 1000 1000", home+"/dot/ssh/authorized_keys", "f0666 1000 1000"),
			everywhere, []string{"dir-writable /home/pi/dot/ssh 0755", "keys-writable /home/pi/dot/ssh/authorized_keys 0644"}},
		{"keys linked out", good(keys, "-> /tmp/k", "/tmp", "d1777 0 0", "/tmp/k", "f0666 1000 1000"), []Server{OpenSSH, Debian, All},
			[]string{"dir-writable /tmp none", "keys-writable /tmp/k none"}},
		{"keys linked to a device", good(keys, "-> /null", "/null", "p0666 0 0"), everywhere, []string{"keys-not-a-file /null none"}},
		{"keys linked to a directory on the way", good(keys, "-> ../"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys none"}},
		{"keys linked to a directory", good(keys, "-> ../d", home+"/d", "d0755 1000 1000"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys none"}},
		{".ssh linked to a file", good(keys, "", dir, "-> f", home+"/f", "f0644 1000 1000"), everywhere, []string{"keys-not-a-file /home/pi/.ssh/authorized_keys none"}},
		{".ssh linked, and keys is a directory", good(keys, "", dir, "-> d", home+"/d", "d0755 1000 1000", home+"/d/authorized_keys", "d0755 1000 1000"), everywhere,
			[]string{"keys-not-a-file /home/pi/d/authorized_keys aside"}},
		{"linked home, and .ssh is a file", good(home, "-> p", dir, "", keys, "", "/home/p", "d0755 1000 1000", "/home/p/.ssh", "f0600 1000 1000"), everywhere,
			[]string{"keys-not-a-file /home/p/.ssh aside"}},
		{"linked home, and keys is a directory", good(home, "-> p", dir, "", keys, "", "/home/p", "d0755 1000 1000", "/home/p/.ssh", "d0700 1000 1000", "/home/p/.ssh/authorized_keys", "d0700 1000 1000"),
			everywhere, []string{"keys-not-a-file /home/p/.ssh/authorized_keys aside"}},
		{"linked home", good(home, "-> /srv/pi", dir, "", keys, "", "/srv", "d0777 0 0", "/srv/pi", "d0777 1000 1000", "/srv/pi/.ssh", "d0777 1000 1000",
			"/srv/pi/.ssh/authorized_keys", "f0644 1000 1000"), everywhere, []string{"home-writable /srv/pi 0755", "dir-writable /srv/pi/.ssh 0755"}},
	} {
		for _, server := range c.servers {
			findings, err := Judge(t.Context(), c.tree, pi, nil, server)
			if err != nil {
				t.Errorf("%s, %v: %v", c.name, server, err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, brief(f))
				if f.Detail == "" {
					t.Errorf("%s, %v: %s has no detail", c.name, server, brief(f))
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, %v:\n got %q\nwant %q", c.name, server, got, c.want)
			}
		}
	}
}

func TestJudgeElsewhere(t *testing.T) {
	etc := good("/etc", "d0755 0 0", "/etc/ssh", "d0775 0 0", "/etc/ssh/keys", "d0755 0 0", "/etc/ssh/keys/pi", "f0644 0 0", home, "d0777 1000 1000")
	for _, server := range everywhere {
		findings, err := Judge(t.Context(), etc, pi, []string{"/etc/ssh/keys/pi"}, server)
		if err != nil || len(findings) != 1 || brief(findings[0]) != "parent-writable /etc/ssh none" {
			t.Errorf("%v: %v, %v", server, findings, err)
		}
	}
	// What a link before ".." leads to decides.
	linked := good("/l", "-> /srv/a", "/srv", "d0755 0 0", "/srv/a", "d0755 0 0", "/srv/k", "f0666 0 0", "/k", "f0644 0 0", home+"/l", "-> d/e", home+"/d", "d0777 1000 1000",
		home+"/d/e", "d0755 1000 1000", home+"/d/k", "f0644 1000 1000")
	for name, want := range map[string]string{"/l/../k": "keys-writable /srv/k none", "/srv/../k": "", home + "/l/../k": "dir-writable /home/pi/d 0755"} {
		findings, err := Judge(t.Context(), linked, pi, []string{name}, OpenSSH)
		got := ""
		for _, f := range findings {
			got += brief(f)
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", name, got, err, want)
		}
	}
	// A directory that is more than what is in the way of a keys file stays.
	for name, want := range map[string]string{home: "none", dir: "none", dir + "/../.ssh/": "none", dir + "/d": "aside"} {
		findings, err := Judge(t.Context(), good(dir+"/d", "d0700 1000 1000"), pi, []string{name}, OpenSSH)
		if err != nil || len(findings) != 1 || !strings.HasPrefix(brief(findings[0]), "keys-not-a-file ") || !strings.HasSuffix(brief(findings[0]), want) {
			t.Errorf("%s: %+v, %v; want %s", name, findings, err, want)
		}
	}
	// What is missing elsewhere, or under another name, is nobody's misspelt file.
	spare := good(keys+".pub", "f0644 1000 1000", "/etc", "d0755 0 0", "/etc/ssh", "d0755 0 0", "/etc/ssh/authorized_keys.pub", "f0644 0 0")
	for _, name := range []string{dir + "/keys", "/etc/ssh/authorized_keys", "/etc/ssh/pi"} {
		if findings, err := Judge(t.Context(), spare, pi, []string{name}, OpenSSH); err != nil || findings != nil {
			t.Errorf("%s: %+v, %v", name, findings, err)
		}
	}
	// Without groups a mode that may be fine is no finding.
	unknown := pi
	unknown.Groups = nil
	for mode, want := range map[string]int{"f0640 0 44": 0, "f0600 0 0": 1} {
		findings, err := Judge(t.Context(), good(keys, mode), unknown, nil, OpenSSH)
		if err != nil || len(findings) != want {
			t.Errorf("groups unknown, %s: %v, %v", mode, findings, err)
		}
	}
	root := Account{Name: "root", UID: 0, Home: home}
	if findings, err := Judge(t.Context(), good(home, "d0000 0 0", dir, "d0000 0 0", keys, "f0000 0 0"), root, nil, All); err != nil || findings != nil {
		t.Errorf("root reads everything, but: %v, %v", findings, err)
	}
	// Several files: what is on the way to both comes once, what is missing does not matter.
	many := []string{"/etc/ssh/keys/pi", "/etc/ssh/keys/both", keys, home + "/.ssh/more"}
	findings, err := Judge(t.Context(), good("/etc", "d0755 0 0", "/etc/ssh", "d0775 0 0", "/etc/ssh/keys", "d0755 0 0", "/etc/ssh/keys/pi", "f0644 0 0",
		"/etc/ssh/keys/both", "f0646 0 0", dir, "d0777 1000 1000", dir+"/more", "f0622 1000 1000"), pi, many, OpenSSH)
	var got []string
	for _, f := range findings {
		got = append(got, brief(f))
	}
	if want := []string{"parent-writable /etc/ssh none", "keys-writable /etc/ssh/keys/both none", "dir-writable /home/pi/.ssh 0755",
		"keys-writable /home/pi/.ssh/more 0600"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("several files: %q, %v; want %q", got, err, want)
	}
	if findings, err := Judge(t.Context(), good(home, "", "/etc", "d0755 0 0", "/etc/pi", "f0644 0 0"), pi, []string{keys, "/etc/pi"}, All); err != nil || findings != nil {
		t.Errorf("no home, and keys elsewhere: %v, %v", findings, err)
	}
	// The administrator's directory may hold none, which the account cannot see.
	closed := good("/root", "d0700 0 0 denied")
	if findings, err := Judge(t.Context(), closed, pi, []string{keys, "/root/keys"}, All); err != nil || findings != nil {
		t.Errorf("a second file that cannot be seen: %v, %v", err, findings)
	}
	if findings, err := Judge(t.Context(), closed, pi, []string{dir + "/none", "/root/keys"}, All); err != nil || len(findings) != 1 || brief(findings[0]) != "keys-unreadable /root none" {
		t.Errorf("the only file that may be there cannot be seen: %v, %v", err, findings)
	}
	if findings, err := Judge(t.Context(), good(home, "d0777 1000 1000"), pi, []string{}, All); err != nil || findings != nil {
		t.Errorf("no file at all: %v, %v", findings, err)
	}
	for _, bad := range []Account{{Name: "x", Home: ""}, {Name: "x", Home: "home/pi"}} {
		if _, err := Judge(t.Context(), good(), bad, nil, All); err == nil {
			t.Errorf("home %q was taken", bad.Home)
		}
	}
	if _, err := Judge(t.Context(), good(), pi, []string{".ssh/authorized_keys"}, All); err == nil {
		t.Error("a relative keys file was taken")
	}
}

// Whatever the modes: a repair adds no bit that was not there, but for the
// owner's own reading, and after it nothing is left to find.
func FuzzRepairHolds(f *testing.F) {
	for _, m := range []uint32{0775, 0777, 0002, 0000, 02775, 04677, 0600, 0711} {
		f.Add(m, uint32(0700), uint32(0600), byte(0))
		f.Add(uint32(0755), m, m, byte(2))
	}
	f.Fuzz(func(t *testing.T, h, d, k uint32, server byte) {
		h, d, k = h&06777, d&06777, k&0777 // a sticky home and a setuid file are not repaired
		tr := good(home, fmt.Sprintf("d%04o 1000 1000", h), dir, fmt.Sprintf("d%04o 1000 1000", d), keys, fmt.Sprintf("f%04o 1000 1000", k))
		s := everywhere[int(server)%len(everywhere)]
		findings, err := Judge(t.Context(), tr, pi, nil, s)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range findings {
			if x.Repair != Chmod {
				t.Fatalf("%s", brief(x))
			}
			if wider := x.Mode &^ Permissions(x.Stat.Mode); wider&^0500 != 0 || x.Mode&0022 != 0 && s != Debian {
				t.Errorf("%s from %s", brief(x), Octal(x.Stat.Mode))
			}
			letter := map[bool]string{true: "d", false: "f"}[x.Stat.Mode.IsDir()]
			tr[x.Path] = letter + Octal(x.Mode) + " 1000 1000"
		}
		for _, s := range []Server{s, Debian} {
			if left, err := Judge(t.Context(), tr, pi, nil, s); err != nil || len(left) > 0 {
				t.Errorf("after the repair %v finds %v, %v", s, left, err)
			}
		}
	})
}

func TestJudgePrivateKey(t *testing.T) {
	for mode, want := range map[string]string{
		"f0600 1000 1000":   "",
		"f0400 1000 1000":   "",
		"f0700 1000 1000":   "",
		"f0644 1000 1000":   "0600",
		"f0601 1000 1000":   "0600",
		"f0440 1000 1000":   "0400",
		"f0777 0 0":         "", // another's key is not judged
		"f0644 1000 1000 2": "0000",
	} {
		f, bad := JudgePrivateKey("/k", parse(mode), 1000)
		if bad != (want != "") || bad && Octal(f.Mode) != want || bad && (f.Repair == None) != (want == "0000") {
			t.Errorf("%s: %v, %+v; want %q", mode, bad, f, want)
		}
	}
}

func TestJudgeConfig(t *testing.T) {
	for _, c := range []struct {
		mode   string
		client Server
		want   string
	}{
		{"f0644 1000 1000", OpenSSH, ""},
		{"f0664 0 1000", Debian, ""},
		{"f0664 1000 1000", Debian, ""},
		{"f0664 1000 1000", OpenSSH, "config-writable /c 0644"},
		{"f0664 1000 44", Debian, "config-writable /c 0644"},
		{"f0602 1000 1000", Debian, "config-writable /c 0600"},
		{"f0600 7 7", Debian, "config-writable /c chown"},
		{"f0666 1000 1000 2", All, "config-writable /c none"},
	} {
		f, bad, err := JudgeConfig(t.Context(), tree{}, "/c", parse(c.mode), 1000, c.client)
		if err != nil || bad != (c.want != "") || bad && brief(f) != c.want {
			t.Errorf("%s, %v: %v %s, %v; want %q", c.mode, c.client, bad, brief(f), err, c.want)
		}
	}
}

// Of a group that only the server may know, that is said.
func TestJudgeUnlisted(t *testing.T) {
	tree := good(home, "d0775 1000 5000")
	for server, want := range map[Server]string{Debian: ErrUnlisted.Error(), OpenSSH: ""} {
		got, err := Judge(t.Context(), tree, pi, nil, server)
		if err != nil || len(got) != 1 || brief(got[0]) != "home-writable /home/pi 0755" || got[0].Note != want || strings.Contains(got[0].Detail, ErrUnlisted.Error()) != (want != "") {
			t.Errorf("%v: %+v, %v", server, got, err)
		}
	}
	f, bad, err := JudgeConfig(t.Context(), tree, "/c", parse("f0664 1000 5000"), 1000, Debian)
	if err != nil || !bad || f.Note != ErrUnlisted.Error() {
		t.Errorf("%+v, %v", f, err)
	}
}

// An examined tree is one whose every file has these attributes, but for the root.
type examined struct {
	tree
	a     Attributes
	only  string // unless "", the one that has them
	err   error
	asked []string // of the account's own
}

func (e *examined) Attributes(_ context.Context, p string) (Attributes, error) {
	if p == "/" || e.only != "" && p != e.only {
		return Attributes{}, nil
	}
	if unixpath.Within(home, p) {
		e.asked = append(e.asked, p)
	}
	return e.a, e.err
}

// A listless is an examined whose Lstat sees no access list.
type listless struct{ examined }

func (*listless) Listless(string) bool { return true }

func TestExamine(t *testing.T) {
	open := good(dir, "d0770 1000 44", keys, "p0644 1000 1000")
	others := []Grant{{ID: 7, Mode: 7}}
	closed := good("/home", "d0770 0 7")
	plain := []string{"dir-writable /home/pi/.ssh 0750", "keys-not-a-file /home/pi/.ssh/authorized_keys aside"}
	for _, c := range []struct {
		name string
		tree tree
		a    Attributes
		err  error
		want []string
	}{
		{"nothing found, nothing asked", good(), Attributes{Granted: others, Immutable: true}, nil, nil},
		{"nothing to repair, nothing asked", good(home, "d1777 1000 1000"), Attributes{Immutable: true}, nil, []string{"home-writable /home/pi none"}},
		{"nothing special", open, Attributes{FS: "ext4"}, nil, plain},
		{"an error", open, Attributes{Immutable: true}, errors.New("no lsattr"), plain},
		{"ACL", open, Attributes{Granted: others}, nil, []string{"acl-writable /home/pi/.ssh 0750", plain[1]}},
		{"closed", closed, Attributes{Granted: []Grant{{ID: 7, Mode: 7}, {ID: 1000, Mode: 6}, {Group: true, ID: 1000, Mode: 1}}}, nil, []string{"keys-unreadable /home none"}},
		{"closed, but the user is let in", closed, Attributes{Granted: []Grant{{ID: 1000, Mode: 1}, {Group: true, ID: 1000}}}, nil, nil},
		{"closed, but a group is let in", closed, Attributes{Granted: []Grant{{Group: true, ID: 7}, {Group: true, ID: 1000, Mode: 5}}}, nil, nil},
		{"closed, and a group that counts for sshd alone is let in", closed, Attributes{Granted: []Grant{{Group: true, ID: 44, Mode: 7}}}, nil, []string{"keys-unreadable /home none"}},
		{"open, but the user is shut out", good(), Attributes{Granted: []Grant{{ID: 1000, Mode: 6}, {Group: true, ID: 1000, Mode: 7}}}, nil, []string{"keys-unreadable /home none"}},
		{"open, but the group is shut out", good(), Attributes{Granted: []Grant{{Group: true, ID: 1000}, {Group: true, ID: 7, Mode: 7}}}, nil, []string{"keys-unreadable /home none"}},
		{"open, and another's group is shut out", good(), Attributes{Granted: []Grant{{ID: 7}, {Group: true, ID: 7}, {Group: true, ID: OwningGroup}}}, nil, nil},
		{"open by the mask, but not to the owning group", good("/home", "d0710 0 1000"), Attributes{Granted: []Grant{{ID: 7, Mode: 1}, {Group: true, ID: OwningGroup}}}, nil,
			[]string{"keys-unreadable /home none"}},
		{"open to one of two groups", good("/home", "d0710 0 1000"), Attributes{Granted: []Grant{{Group: true, ID: 1000}, {Group: true, ID: OwningGroup, Mode: 1}}}, nil, nil},
		{"open to the owning group", good("/home", "d0710 0 1000"), Attributes{Granted: []Grant{{ID: 7}, {Group: true, ID: OwningGroup, Mode: 1}}}, nil, nil},
		{"ACL, but what is wrong is another thing", good(keys, "p0660 1000 1000"), Attributes{Granted: others}, nil, plain[1:]},
		{"ACL that lets others read", open, Attributes{Granted: []Grant{{ID: 7, Mode: 5}}}, nil, plain},
		{"ACL of those who may anyway", open, Attributes{Granted: []Grant{{Mode: 7}, {ID: 1000, Mode: 7}, {Group: true, ID: OwningGroup, Mode: 7}}}, nil, plain},
		{"ACL of the owning group, by its number", good(dir, "d0770 1000 44"), Attributes{Granted: []Grant{{Group: true, ID: 44, Mode: 7}}}, nil, plain[:1]},
		{"ACL of a group", open, Attributes{Granted: []Grant{{Group: true, ID: 7, Mode: 7}}}, nil, []string{"acl-writable /home/pi/.ssh 0750", plain[1]}},
		{"ACL, and others may write", good(home, "d0777 1000 1000"), Attributes{Granted: others}, nil, []string{"home-writable /home/pi 0755"}},
		{"read-only", open, Attributes{ReadOnly: true, Granted: others, FS: "vfat"}, nil, []string{"read-only-fs /home/pi/.ssh none", "read-only-fs /home/pi/.ssh/authorized_keys none"}},
		{"immutable", open, Attributes{Immutable: true}, nil, []string{"immutable /home/pi/.ssh none", "immutable /home/pi/.ssh/authorized_keys none"}},
		{"a card for cameras", open, Attributes{FS: "vfat"}, nil, []string{"modes-unsupported /home/pi/.ssh none", plain[1]}},
		{"a card for cameras, another's", good(dir, "d0755 7 7"), Attributes{FS: "vfat"}, nil, []string{"modes-unsupported /home/pi/.ssh none"}},
		{"overlay", open, Attributes{FS: "overlay"}, nil, plain},
	} {
		x := &examined{tree: c.tree, a: c.a, err: c.err}
		findings, err := Judge(t.Context(), x, pi, nil, All)
		var got []string
		for _, f := range findings {
			got = append(got, brief(f))
			if (f.Note != "") != (c.a.FS == "overlay") || f.ACL != strings.HasPrefix(c.name, "open") {
				t.Errorf("%s: note %q, ACL %v", c.name, f.Note, f.ACL)
			}
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
		if strings.Contains(c.name, "nothing asked") && x.asked != nil {
			t.Errorf("%s: %q", c.name, x.asked)
		}
	}
	// What is in an immutable directory can be changed, but neither renamed nor moved aside.
	misspelt := dir + "/authorised_keys"
	for name, c := range map[string]struct {
		tree tree
		want string
	}{
		"rename": {good(keys, "", misspelt, "f0644 1000 1000"), "immutable " + misspelt + " none"},
		"aside":  {good(keys, "d0755 1000 1000"), "immutable " + keys + " none"},
		"chmod":  {good(keys, "f0666 1000 1000"), "keys-writable " + keys + " 0644"},
	} {
		x := &examined{tree: c.tree, a: Attributes{Immutable: true}, only: dir}
		if findings, err := Judge(t.Context(), x, pi, nil, All); err != nil || len(findings) != 1 || brief(findings[0]) != c.want {
			t.Errorf("%s in an immutable directory: %+v, %v; want %s", name, findings, err, c.want)
		}
	}
	// A slow one is asked where there is a sign of a list, or the mode says no.
	for want, c := range map[int]examined{0: {tree: good(), a: Attributes{Granted: []Grant{{ID: 1000}}}}, 1: {tree: closed, a: Attributes{Granted: []Grant{{ID: 7}}}}} {
		if findings, err := Judge(t.Context(), &listless{c}, pi, nil, All); err != nil || len(findings) != want {
			t.Errorf("listless: %v, %v, want %d", findings, err, want)
		}
	}
}

// A mounted tree has fstab(5) and what is mounted.
type mounted struct {
	tree
	files map[string]string
}

func (m mounted) ReadFile(_ context.Context, p string) ([]byte, error) {
	if s, ok := m.files[p]; ok {
		return []byte(s), nil
	}
	return nil, fs.ErrNotExist
}

func TestNotMounted(t *testing.T) {
	const fstab, mounts = "/etc/fstab", "/proc/self/mounts"
	const table = "# what goes where\n/dev/sda1 / ext4 defaults 0 1\nUUID=1 /home/ ext4 defaults 0 2\nUUID=2 none swap sw 0 0\n\nUUID=3 /ho ext4\n#UUID=4 /home/pi ext4 defaults 0 2\n"
	empty, noHome := good(dir, "", keys, ""), good(home, "", dir, "", keys, "")
	for _, c := range []struct {
		name  string
		tree  tree
		files map[string]string
		want  string
	}{
		{"not mounted", noHome, map[string]string{fstab: table, mounts: "/dev/sda1 / ext4 rw 0 0\n"}, "home-not-mounted /home none"},
		{"not mounted, and a bare home", empty, map[string]string{fstab: table, mounts: "/dev/sda1 / ext4 rw 0 0\n"}, "home-not-mounted /home none"},
		{"mounted", noHome, map[string]string{fstab: table, mounts: "/dev/sda1 / ext4 rw 0 0\n/dev/sdb /home ext4 rw 0 0\n"}, "home-missing /home/pi none"},
		{"the home itself", empty, map[string]string{fstab: "a /home/pi nfs\n", mounts: ""}, "home-not-mounted /home/pi none"},
		{"elsewhere", empty, map[string]string{fstab: "a /home/pi/usb vfat\nb /home/p\\040i ext4\n", mounts: ""}, ""},
		{"nobody knows what is mounted", noHome, map[string]string{fstab: table}, "home-missing /home/pi none"},
		{"keys are there", good(), map[string]string{fstab: table, mounts: ""}, ""},
	} {
		findings, err := Judge(t.Context(), mounted{c.tree, c.files}, pi, nil, All)
		var got []string
		for _, f := range findings {
			got = append(got, brief(f))
		}
		if err != nil || strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %q, %v; want %q", c.name, got, err, c.want)
		}
	}
}

func TestJudgeKnownHosts(t *testing.T) {
	for mode, want := range map[string]string{
		"f0644 1000 1000":   "",
		"f0666 7 7":         "",
		"f0640 0 44":        "",
		"f0600 0 0":         "known-hosts-unreadable /k chown",
		"f0044 1000 1000":   "known-hosts-unreadable /k 0444",
		"f0044 1000 1000 2": "known-hosts-unreadable /k none",
	} {
		if f, refused := JudgeKnownHosts("/k", parse(mode), pi); refused != (want != "") || refused && brief(f) != want {
			t.Errorf("%s: %v %s; want %q", mode, refused, brief(f), want)
		}
	}
}

func TestJudgeKeyReadable(t *testing.T) {
	for mode, want := range map[string]string{
		"f0600 1000 1000":   "",
		"f0644 0 0":         "", // ssh looks at the mode of a key of the user's own alone
		"f0600 0 0":         "key-unreadable /k none",
		"f0000 1000 1000":   "key-unreadable /k 0400",
		"f0244 1000 1000":   "key-unreadable /k 0600",
		"f0000 1000 1000 2": "key-unreadable /k none",
	} {
		if f, refused := JudgeKeyReadable("/k", parse(mode), pi); refused != (want != "") || refused && brief(f) != want {
			t.Errorf("%s: %v %s; want %q", mode, refused, brief(f), want)
		}
	}
}

func TestServerOf(t *testing.T) {
	for version, want := range map[string]Server{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10":               Debian,
		"SSH-2.0-OpenSSH_8.9p1 Ubuntu-3ubuntu0.10":              Debian,
		"SSH-2.0-OpenSSH_8.4p1 Raspbian-5+deb11u3":              Debian,
		"OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.20":       Debian,
		"SSH-2.0-OpenSSH_10.0":                                  OpenSSH,
		"SSH-2.0-OpenSSH_for_Windows_9.5":                       OpenSSH,
		"SSH-2.0-dropbear_2022.83":                              Dropbear,
		"SSH-2.0-dropbear_2024.86":                              Dropbear,
		"SSH-2.0-dropbear":                                      Dropbear,
		"SSH-2.0-dropbear_2025.87":                              Dropbear2025,
		"SSH-2.0-dropbear_2026.94":                              Dropbear2025,
		"Dropbear v2025.89":                                     Dropbear2025,
		"SSH-2.0-Go":                                            All,
		"":                                                      All,
		"SSH-2.0-AsyncSSH_2.14 (a Debian package, says nobody)": All,
	} {
		if got := ServerOf(version); got != want {
			t.Errorf("ServerOf(%q) = %v, want %v", version, got, want)
		}
	}
}

func TestParseServer(t *testing.T) {
	for _, s := range everywhere {
		if got, known, err := ParseServer(s.String()); got != s || !known || err != nil {
			t.Errorf("ParseServer(%q) = %v, %v, %v", s, got, known, err)
		}
	}
	if s, known, err := ParseServer(""); s != All || known || err != nil {
		t.Errorf("nothing is %v, %v, %v", s, known, err)
	}
	if _, _, err := ParseServer("Debian 12"); err == nil {
		t.Error("a wrong word was taken")
	}
}

func TestOctal(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0644: "0644", fs.ModeDir | fs.ModeSticky | 0777: "1777", fs.ModeSetuid | fs.ModeSetgid: "6000",
	} {
		if got := Octal(mode); got != want {
			t.Errorf("Octal(%v) = %s, want %s", mode, got, want)
		}
	}
}

// A countedTree counts the looks at it.
type countedTree struct {
	tree
	looks int
}

func (c *countedTree) Lstat(ctx context.Context, p string) (Stat, error) {
	c.looks++
	return c.tree.Lstat(ctx, p)
}

// What is walked straight is what following the links finds, and costs no look
// more.
func TestStraight(t *testing.T) {
	all := good("/l", "-> /home/pi", "/home/pi/up", "-> ..", "/home/pi/shut", "d0700 0 0 denied", "/home/pi/shut/in", "f0600 0 0",
		"/home/pi/.ssh/loop", "-> loop", "/home/pip", "d0755 7 7")
	names := []string{"/", "/home", home, keys, dir, keys + "2", keys + "/x", "/home/pip", "/home/pip/.ssh", "/l", "/l/.ssh/authorized_keys",
		"/home/pi/up/pi", "/home/pi/shut/in", "/home/pi/.ssh/loop", "/none/at/all", "/home/pi/../pi", home + "/", dir}
	look := func(list []string, walk func(walker, string) (way, error)) (ways []way, looks int) {
		counted := &countedTree{tree: all}
		w := newWalker(t.Context(), counted)
		for _, name := range list {
			r, err := walk(w, name)
			if err != nil {
				t.Fatal(name, err)
			}
			r.passed = slices.Clone(r.passed)
			ways = append(ways, r)
		}
		return ways, counted.looks
	}
	for i := range names {
		list := slices.Concat(names[i:], names[:i])
		straight, looks := look(list, walker.walk)
		followed, most := look(list, walker.follow)
		if looks != most {
			t.Errorf("from %s: %d looks, %d by following", names[i], looks, most)
		}
		for k, name := range list {
			a, b := straight[k], followed[k]
			if !slices.Equal(a.passed, b.passed) || a.last != b.last || a.real != b.real || a.end != b.end {
				t.Errorf("%s after %q: %+v, by following %+v", name, list[:k], a, b)
			}
		}
	}
}

// However much it looks at, it remembers little.
func TestMemory(t *testing.T) {
	c := &countedTree{tree: good()}
	m := NewMemory(c)
	for i := range 3 * mostSeen {
		if _, err := m.Lstat(t.Context(), fmt.Sprint("/none", i)); err == nil {
			t.Fatal("it is there")
		}
		if len(m.seen) > mostSeen {
			t.Fatalf("%d paths are remembered", len(m.seen))
		}
	}
	c.looks = 0
	for range 2 {
		for range 2 {
			for _, p := range []string{home, keys, "/none"} {
				want, werr := good().Lstat(t.Context(), p)
				if st, err := m.Lstat(t.Context(), p); st != want || (err == nil) != (werr == nil) {
					t.Errorf("%s: %+v, %v", p, st, err)
				}
			}
		}
		m.Forget()
	}
	if c.looks != 6 {
		t.Errorf("%d looks, want 6", c.looks)
	}
}

// A failing tree answers so many questions, and no more.
type failing struct {
	tree
	left int
}

var errDisk = errors.New("input/output error")

func (f *failing) answers() bool { f.left--; return f.left >= 0 }

func (f *failing) Lstat(ctx context.Context, p string) (Stat, error) {
	if !f.answers() {
		return Stat{}, fmt.Errorf("looking at %s: %w", p, errDisk)
	}
	return f.tree.Lstat(ctx, p)
}

func (f *failing) Readlink(ctx context.Context, p string) (string, error) {
	if !f.answers() {
		return "", errDisk
	}
	return f.tree.Readlink(ctx, p)
}

func (f *failing) PrivateGroup(ctx context.Context, gid, owner, uid int) (bool, error) {
	if !f.answers() {
		return false, errDisk
	}
	return f.tree.PrivateGroup(ctx, gid, owner, uid)
}

// Whichever question has no answer, nothing is called good that was not looked at.
func TestUnanswered(t *testing.T) {
	for name, tr := range map[string]tree{
		"good":      good(),
		"links":     good(home, "-> /srv/pi", "/srv", "d0755 0 0", "/srv/pi", "d0755 1000 1000", "/srv/pi/.ssh", "-> ssh", "/srv/pi/ssh", "d0700 1000 1000", "/srv/pi/ssh/authorized_keys", "f0600 1000 1000"),
		"groups":    good(home, "d0775 1000 1000", dir, "d0775 1000 44", keys, "f0664 1000 1000"),
		"no keys":   good(keys, ""),
		"misspelt":  good(keys, "", dir+"/authorized_keys.pub", "f0664 1000 1000"),
		"second":    good(keys, "", keys+"2", "f0600 1000 1000"),
		"no home":   good(home, "", dir, "", keys, ""),
		"encrypted": good(keys, "", home+"/Access-Your-Private-Data.desktop", "f0600 1000 1000"),
	} {
		for _, server := range []Server{All, OpenSSH, Debian, Dropbear, Dropbear2025} {
			for _, names := range [][]string{nil, {keys, "/etc/ssh/keys/pi"}} {
				for n := 0; ; n++ {
					f := &failing{tree: tr, left: n}
					found, err := Judge(t.Context(), f, pi, names, server)
					if f.left >= 0 {
						break // it has asked all
					}
					if !errors.Is(err, errDisk) || strings.Count(err.Error(), "looking at") > 1 {
						t.Errorf("%s, %v, %v: without an answer to question %d: %v, %v", name, server, names, n+1, found, err)
					}
				}
			}
		}
	}
	if _, _, err := JudgeConfig(t.Context(), &failing{}, "/c", parse("f0664 1000 1000"), 1000, Debian); !errors.Is(err, errDisk) {
		t.Errorf("config: %v", err)
	}
}

func TestRealPath(t *testing.T) {
	linked := good("/l", "-> /home/pi", "/loop", "-> loop", "/home/pi/shut", "d0700 0 0 denied")
	if real, st, err := RealPath(t.Context(), linked, "/l/.ssh"); err != nil || real != dir || st != parse(linked[dir]) {
		t.Errorf("%s, %+v, %v", real, st, err)
	}
	for name, want := range map[string]error{"/l/none": fs.ErrNotExist, "/l/shut/in": fs.ErrPermission, "/loop": nil, keys + "/in": nil, "l": nil} {
		if real, _, err := RealPath(t.Context(), linked, name); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %s, %v; want %v", name, real, err, want)
		}
	}
	if _, _, err := RealPath(t.Context(), &failing{}, "/l"); !errors.Is(err, errDisk) {
		t.Error(err)
	}
}

// What is sound at first sight is what a whole judgement finds nothing in,
// whosever the files are.
func FuzzSound(f *testing.F) {
	owners := []int{1000, 0, 1001}                // the account, root, another
	groups := [][]int{{1000, 44}, {1000, 0}, nil} // nil: unknown
	gids := []int{0, 1000, 44}
	// A good home, then whose group is judged apart from others, then all of root's.
	f.Add(uint32(0755), uint32(0755), uint32(0700), uint32(0600), byte(0), byte(0), byte(0))
	f.Add(uint32(0701), uint32(0755), uint32(0700), uint32(0600), byte(0), byte(0), byte(1))
	f.Add(uint32(0701), uint32(0755), uint32(0700), uint32(0600), byte(0), byte(0), byte(4))
	f.Add(uint32(0655), uint32(0755), uint32(0700), uint32(0600), byte(1), byte(0), byte(0))
	f.Add(uint32(0755), uint32(0755), uint32(0701), uint32(0600), byte(0), byte(3), byte(3))
	f.Add(uint32(0755), uint32(0755), uint32(0755), uint32(0604), byte(0), byte(9), byte(9))
	f.Add(uint32(0755), uint32(0770), uint32(0700), uint32(0600), byte(0), byte(0), byte(27))
	f.Add(uint32(0755), uint32(0755), uint32(0700), uint32(0640), byte(1), byte(18), byte(0))
	f.Fuzz(func(t *testing.T, above, h, d, k uint32, parent, whose, group byte) {
		owner := func(n byte) int { return owners[int(n)%len(owners)] }
		gid := func(n byte) int { return gids[int(n)%len(gids)] }
		tr := good(
			"/home", fmt.Sprintf("d%04o %d %d", above&07777, owner(parent), gid(group)),
			home, fmt.Sprintf("d%04o %d %d", h&07777, owner(whose), gid(group)),
			dir, fmt.Sprintf("d%04o %d %d", d&07777, owner(whose/3), gid(group/3)),
			keys, fmt.Sprintf("f%04o %d %d", k&07777, owner(whose/9), gid(group/9)))
		for _, server := range []Server{All, OpenSSH, Debian, Dropbear, Dropbear2025} {
			for _, in := range groups {
				for _, uid := range owners[:2] {
					who := Account{Name: "pi", UID: uid, Home: home, Groups: in}
					for _, names := range [][]string{nil, {keys}, {keys + "2", keys}, {home + "/keys", keys}, {keys, "/etc/keys"}} {
						whole := judge{ctx: t.Context(), tree: tr, walker: newWalker(t.Context(), tr), who: who, server: server}
						files := names
						if files == nil {
							files = []string{keys}
						}
						found, err := whole.judge(home, files, false)
						if err != nil {
							t.Fatal(err)
						}
						short, err := Judge(t.Context(), tr, who, names, server)
						if err != nil || len(short) != len(found) {
							t.Errorf("%v, uid %d of groups %v, %v in %v:\n finds %v, %v; want %v", server, uid, in, names, tr, short, err, found)
						}
					}
				}
			}
		}
	})
}

// To see that a home is not sound costs no look: far away each is a round trip.
func TestSoundLooks(t *testing.T) {
	for _, tr := range []tree{good(), good(home, "d0777 1000 1000"), good(home, "-> /srv/pi"), good(keys, ""), good(keys+"2", "f0600 1000 1000")} {
		looks := func(judgeIt func(*judge) error) int {
			c := &countedTree{tree: tr}
			if err := judgeIt(&judge{ctx: t.Context(), tree: c, walker: newWalker(t.Context(), c), who: pi, server: OpenSSH}); err != nil {
				t.Fatal(err)
			}
			return c.looks
		}
		whole := func(j *judge) error { _, err := j.judge(home, DefaultFiles(home, OpenSSH), true); return err }
		got := looks(func(j *judge) error {
			if j.sound(home, DefaultFiles(home, OpenSSH)) {
				return nil
			}
			return whole(j)
		})
		if want := looks(whole); got > want {
			t.Errorf("%v: %d looks, %d where it is judged whole", tr, got, want)
		}
	}
}
