package sshdconfig

import (
	"bytes"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshtest"
)

// The keywords that a login by key depends on, and what they are without a
// line; nothing where the tables of sshd differ by version.
var defaults = map[string]string{
	"allowusers": "", "denyusers": "", "allowgroups": "", "denygroups": "",
	"authenticationmethods": "any", "authorizedkeyscommand": "none", "permitrootlogin": "without-password",
	"pubkeyauthentication": "yes", "requiredrsasize": "1024", "revokedkeys": "none", "strictmodes": "yes", "usedns": "no",
	"authorizedkeysfile": ".ssh/authorized_keys .ssh/authorized_keys2",
}

// sshd itself says what a configuration means for whom.
func TestAgreesWithSSHD(t *testing.T) {
	sshtest.Need(t, "sshd")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	var groups []string
	ids, err := me.GroupIds()
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			groups = append(groups, g.Name)
		}
	}
	dir := t.TempDir()
	hostKey := filepath.Join(dir, "hostkey")
	sshtest.Keygen(t, "-q", "-t", "ed25519", "-N", "", "-f", hostKey)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("10-first.conf", "AuthorizedKeysFile first\nMatch User "+me.Username+"\nDenyUsers alice\nAuthorizedKeysFile matched\n")
	write("20-second.conf", "AuthorizedKeysFile second\nPermitRootLogin no\n")
	write("30-all.conf", "Match all\nRequiredRSASize 3072\nStrictModes no\n")
	write("40-nested.conf", "Include "+dir+"/20-*.conf\nMatch Address 10.0.0.0/8\nInclude "+dir+"/50-late\n")
	write("50-late", "PubkeyAuthentication no\nMatch User *\nRevokedKeys /late\n")

	configs := []string{
		"",
		"# only a comment\n\n  \t \n",
		"AuthorizedKeysFile a\nAuthorizedKeysFile b\n",
		"authorizedKEYSfile=a b # c\n",
		"AuthorizedKeysFile = \"a b\" 'c' d\\ e\n",
		"\tStrictModes   no  \r\n",
		"AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/true %u\nAuthorizedKeysCommandUser nobody\n",
		"AllowUsers alice bob\nAllowUsers carol@10.*\nDenyGroups x y\nDenyGroups z\nAllowGroups \"a b\"\n",
		"Match User ME\nAuthorizedKeysFile a\nMatch User ME\nAuthorizedKeysFile b\n",
		"AuthorizedKeysFile x\nMatch User ME,!alice\nAuthorizedKeysFile a\n",
		"Match User !ME,*\nAuthorizedKeysFile a\n",
		"Match Group GROUP\nPubkeyAuthentication no\n",
		"Match Group !GROUP,*\nPubkeyAuthentication no\n",
		"Match User \"ME\" Address 127.0.0.0/8,10.1.2.0/24\nPermitRootLogin forced-commands-only\n",
		"Match Address !10.0.0.5,10.0.0.0/24\nRevokedKeys /a\nMatch Address fe80::/10,2001:db8::1\nRevokedKeys /b\nMatch Address 192.168.?.*\nRevokedKeys /c\n",
		"Match Address !10.0.0.0/24,*\nRevokedKeys /b\n",
		"Match Host pi.example.org,*.local\nRevokedKeys /a\n",
		"Match LocalPort 2222\nRevokedKeys /a\nMatch LocalAddress 127.0.0.1\nRevokedKeys /b\n",
		"Match User nobody-at-all\nRevokedKeys /a\nMatch all\nRevokedKeys /b\n",
		"AllowUsers alice\nMatch User ME\nAllowUsers ME\nAllowUsers root\n",
		"Include DIR/*.conf\nAuthorizedKeysFile main\n",
		"Include DIR/none-*.conf DIR/20-*.conf\nMatch User ME\nInclude DIR/10-*.conf\nRequiredRSASize 2048\n",
		"Match Address 10.0.0.0/8\nInclude DIR/10-*.conf\nMatch User ME\nRequiredRSASize 4096\n",
		"AuthorizedKeysFile x\nInclude DIR/30-*.conf\nRequiredRSASize 2048\n",
		"Include DIR/40-*.conf\n",
		"AuthenticationMethods publickey,password publickey,keyboard-interactive\nAuthenticationMethods publickey\n",
		"PubkeyAcceptedKeyTypes ssh-ed25519\nPubkeyAcceptedAlgorithms rsa-sha2-512\n",
	}
	connections := []Connection{
		{Address: "127.0.0.1", LocalAddress: "127.0.0.1", LocalPort: 22},
		{Address: "10.0.0.5", LocalAddress: "10.0.0.1", LocalPort: 2222},
		{Address: "10.1.2.3", LocalAddress: "127.0.0.1", LocalPort: 2222},
		{Address: "192.168.7.20", LocalAddress: "192.168.7.1", LocalPort: 22},
		{Address: "fe80::1", LocalAddress: "::1", LocalPort: 22},
		{Address: "2001:db8::1", LocalAddress: "::1", LocalPort: 22},
	}
	for n, text := range configs {
		text = strings.NewReplacer("ME", me.Username, "GROUP", groups[0], "DIR", dir).Replace(text)
		main := write("main"+strconv.Itoa(n), text)
		files := load(main)
		for _, c := range connections {
			c.User, c.Groups = me.Username, groups
			out, err := sshtest.Command(t, dir, "sshd", "-T", "-f", main, "-h", hostKey, "-C", "user="+c.User+",host="+c.Address+",addr="+c.Address+
				",laddr="+c.LocalAddress+",lport="+strconv.Itoa(c.LocalPort)).Output()
			if err != nil {
				t.Fatalf("%q: sshd -T: %v", text, err)
			}
			got, want := Evaluate(nil, main, files, c), Evaluate(nil, main, files, c)
			want.Confirm(string(out))
			if len(got.Unread) > 0 {
				t.Errorf("%q: unread: %q", text, got.Unread)
			}
			for keyword, value := range defaults {
				if s, ok := got.Get(keyword); ok {
					value = strings.Join(s.Args, " ")
				}
				if len(got.Possible(keyword)) > 0 {
					t.Errorf("%q for %+v: %s is in doubt", text, c, keyword)
				}
				s, _ := want.Get(keyword)
				if w := strings.Join(s.Args, " "); w != value {
					t.Errorf("%q for %+v: %s is %q, sshd says %q", text, c, keyword, value, w)
				}
			}
			ours, _ := got.Get("PubkeyAcceptedAlgorithms")
			theirs, _ := want.Get("PubkeyAcceptedAlgorithms")
			if ours.Args != nil && strings.Join(ours.Args, " ") != strings.Join(theirs.Args, " ") {
				t.Errorf("%q: algorithms %q, sshd says %q", text, ours.Args, theirs.Args)
			}
		}
	}
}

// load reads what a configuration includes, as its reader does.
func load(main string) Files {
	files := Files{}
	for {
		missing := files.Missing(main)
		if len(missing) == 0 {
			return files
		}
		for _, pattern := range missing {
			files[pattern] = nil
			names, _ := filepath.Glob(pattern) // the patterns are good
			for _, name := range names {
				if data, err := os.ReadFile(name); err == nil {
					files[pattern] = append(files[pattern], File{Path: name, Text: string(bytes.ToValidUTF8(data, nil))})
				}
			}
		}
	}
}
