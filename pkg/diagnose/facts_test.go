//go:build unix

package diagnose

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// Every POSIX shell tells the same.
func TestScriptInShells(t *testing.T) {
	dir := t.TempDir()
	key := sshtest.NewKey(t, dir, "ed25519")
	other := sshtest.NewKey(t, t.TempDir(), "ed25519")
	keys := write(t, filepath.Join(dir, "it's $HOME `keys`"), "# x\n"+other.Line+"\nfrom=\"10.*\" "+key.Line+"\r\nglued "+key.Line+"\na\x00b "+key.Line, 0o600)
	write(t, filepath.Join(dir, "a.conf"), "AuthorizedKeysFile \\\n", 0o600)
	write(t, filepath.Join(dir, "b.conf"), "no newline at the end", 0o600)
	if err := os.Symlink(keys, filepath.Join(dir, "same")); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("mark=M\naccount=yes\ncame=yes\nkeys=%s\nkey='%s\nssh-rsa AAAAnobody'\nfiles='%s/*.conf\n%[3]s/none'\nrevoked=%[3]s/gone\ndump=\n%s",
		`"$KEYS"`, strings.Join(strings.Fields(key.Line)[:2], " "), dir, insideScript())
	n := 0
	for _, shell := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "sh"}, {"zsh", "--emulate", "sh"}, {"ksh"}, {"mksh"}} {
		if _, err := exec.LookPath(shell[0]); err != nil {
			continue
		}
		n++
		cmd := sshtest.Command(t, dir, shell[0], append(shell[1:], "-c", "printf 'M | not ours\\n'\n"+script)...)
		cmd.Env = append(cmd.Env, "KEYS="+keys+"\n"+dir+"/sa*\n"+dir+"/a.conf\n"+dir+"/gone", "SSH_CONNECTION=fe80::1%eth0 50000 ::ffff:192.168.1.2 2222")
		out, err := cmd.Output()
		var f facts
		if !f.read("M", string(out)) || err != nil {
			t.Errorf("%s: %v: %q", shell, err, out)
			continue
		}
		if f.conn.Address != "fe80::1" || f.conn.LocalAddress != "192.168.1.2" || f.conn.LocalPort != 2222 {
			t.Errorf("%s: %+v", shell, f.conn)
		}
		if f.account.UID != os.Getuid() || f.account.Name == "" || f.account.Home == "" || len(f.account.Groups) == 0 || len(f.conn.Groups) == 0 {
			t.Errorf("%s: %+v %+v", shell, f.account, f.conn)
		}
		want := []numbered{{3, `from="10.*" ` + key.Line + "\r"}, {4, "glued " + key.Line}, {5, "a\x00b " + key.Line}}
		if shell[0] == "busybox" && len(f.held[keys]) == 2 {
			want = want[:2] // where it runs its own grep, which looks at a line as far as its first NUL
		}
		if len(f.held) != 3 || !slices.Equal(f.held[keys], want) || !slices.Equal(f.held[dir+"/same"], want) || f.held[dir+"/a.conf"] != nil {
			t.Errorf("%s: lines %s", shell, fmt.Sprintf("%q, want %q", fmt.Sprint(f.held), fmt.Sprint(want)))
		}
		if want := []sshdconfig.File{{Path: dir + "/a.conf", Text: "AuthorizedKeysFile \\\n"}, {Path: dir + "/b.conf", Text: "no newline at the end\n"}}; !slices.Equal(f.files[dir+"/*.conf"], want) {
			t.Errorf("%s: files %v", shell, f.files)
		}
		if none, asked := f.files[dir+"/none"]; none != nil || !asked {
			t.Errorf("%s: files %v", shell, f.files)
		}
		if f.revokedIs != listAbsent {
			t.Errorf("%s: revoked %v", shell, f.revokedIs)
		}
		if len(f.parents) == 0 || len(f.utc) != 14 || len(f.local) != 14 {
			t.Errorf("%s: parents %q, clock %q %q", shell, f.parents, f.utc, f.local)
		}
	}
	if n == 0 {
		t.Skip("no POSIX shell here")
	}
}

// The longest key that OpenSSH takes still goes into a command for dropbear.
func TestScriptFitsDropbear(t *testing.T) {
	variables := "key='ssh-rsa " + strings.Repeat("A", 2800) + "'\nkeys=" + strings.Repeat("/long", 50) + "\nmark=" + strings.Repeat("x", 40)
	if n := len(sh.Command(variables + insideScript())); n > 9000-500 {
		t.Errorf("%d bytes", n)
	}
}

// An answer that lies or stops is no answer.
func TestReadHostileAnswers(t *testing.T) {
	for _, answer := range []string{
		"", "M", "M user pi", "x M end\n", "M  end\n", "N end\n", "M user pi\nM file /x\nM | x\n",
		strings.Repeat("M | x\n", 100), "M file\nM unread\nM pattern\nM ids x y\nM connection\nM passwd\nM lines\nM | x\nM | 99999999999999999999:x\n",
	} {
		var f facts
		if f.read("M", answer) {
			t.Errorf("%q has an end", answer)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		parents []string
		name    string
		f       string
		o       string
	}{
		{[]string{"sshd: pi@notty", "sshd: pi [priv]", "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups", "/sbin/init"}, "sshd", "", ""},
		{[]string{"sshd-session: pi@notty", "sshd: /usr/sbin/sshd -D -f /etc/x -o Port=22 -oUsePAM=no [listener] 0 of 10-100 startups"}, "sshd", "/etc/x", "Port=22; UsePAM=no"},
		{[]string{"sshd: pi@notty", "sshd: /usr/sbin/sshd -f /inner [listener] 1 of 2", "sshd: /usr/sbin/sshd -f /outer [listener] 1 of 2"}, "sshd", "/inner", ""},
		{[]string{"sshd: /usr/sbin/sshd -eDf /etc/a b -o AllowUsers pi  ann -o StrictModes no [listener] 0 of 10-100 startups"}, "sshd", "/etc/a b", "AllowUsers pi ann; StrictModes no"},
		{[]string{"/usr/sbin/sshd -D -g"}, "sshd", "", ""},
		{[]string{"/opt/sshd -f/etc/x"}, "sshd", "/etc/x", ""},
		{[]string{"vim sshd -f x", "", "sshd: -f x"}, "sshd", "", ""},
		{[]string{"dropbear -F -f x"}, "sshd", "", ""},
	} {
		args := arguments(c.parents, c.name)
		if file, o := strings.Join(values(args, sshdTakes, 'f'), " "), strings.Join(values(args, sshdTakes, 'o'), "; "); file != c.f || o != c.o {
			t.Errorf("%q: -f %q -o %q", c.parents, file, o)
		}
	}
}

func TestExpired(t *testing.T) {
	const utc, local = "20261122120000", "20261122130000"
	for until, over := range map[string]bool{
		"20261121": true, "20261122": true, "20261123": false,
		"202611221230": true, "202611221230Z": false, "202611221159z": true, "20261122115959UTC": true,
		"20261122130000": false, "20261122125959": true, "99991231": false,
	} {
		if _, got := expired(until, utc, local); got != over {
			t.Errorf("%s: %v", until, got)
		}
	}
	if _, over := expired("20200101", "", ""); over {
		t.Error("over without a clock")
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for there, wrong := range map[string]bool{"20261122110000": false, "20261125120000": true, "19700101000000": true, "": false} {
		if wrongClock(there, now) != wrong {
			t.Errorf("the clock at %q", there)
		}
	}
}

func TestRefusedBySELinux(t *testing.T) {
	for _, c := range []struct {
		mode, label string
		want        bool
	}{
		{"Enforcing", "unconfined_u:object_r:ssh_home_t:s0", false},
		{"Enforcing", "unconfined_u:object_r:default_t:s0", true},
		{"Enforcing", "system_u:object_r:admin_home_t:s0:c1.c2", true},
		{"Permissive", "unconfined_u:object_r:default_t:s0", false},
		{"Enforcing", "?", false}, {"Enforcing", "", false}, {"", "", false},
	} {
		if got := refusedBySELinux(c.mode, c.label); got != c.want {
			t.Errorf("%s %s: %v", c.mode, c.label, got)
		}
	}
}

// Of a line that is damaged, the beginning tells whose it was.
func TestBelongs(t *testing.T) {
	dir := t.TempDir()
	key, ecdsa := sshtest.NewKey(t, dir, "ed25519"), sshtest.NewKey(t, dir, "ecdsa")
	others := []string{sshtest.NewKey(t, t.TempDir(), "ed25519").Line, sshtest.NewKey(t, t.TempDir(), "ecdsa").Line}
	in := &inside{facts: facts{keys: []sshkey.Public{public(t, key.Line), public(t, ecdsa.Line)}}}
	whole := func(line string) string { return strings.Join(strings.Fields(line)[:2], " ") }
	half := func(line string) string { line = whole(line); return line[:len(line)-len(line)/4] }
	for text, want := range map[string]belonging{
		half(key.Line):                     ours,
		half(ecdsa.Line):                   ours,
		half(others[0]):                    foreign,
		half(others[1]):                    foreign,
		key.Line[:30]:                      perhaps, // no more than the type
		strings.Repeat("\x00", 80):         perhaps,
		half(others[0]) + half(key.Line):   ours,
		"from=\"10.*\" " + half(key.Line):  ours,
		strings.ToLower(half(key.Line)):    perhaps,
		"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5": perhaps,
	} {
		if got := in.belongs(authorizedkeys.Fault{First: 2, Last: 2}, []byte("# x\n"+text+"\n"+whole(key.Line)+"\n")); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	f := authorizedkeys.Fault{First: 1, Last: 1, Keys: in.keys[1:]}
	if in.belongs(f, []byte(others[0])) != ours {
		t.Error("a fault that names the key is not its fault")
	}
	in.keys = in.keys[:1]
	if in.belongs(f, []byte(key.Line)) != foreign {
		t.Error("a fault that names another key is taken for ours")
	}
}

// The key that was put in the wrong file is the one to put in the right one.
func TestSpokenOf(t *testing.T) {
	refused := []sshkey.Public{{Type: "ssh-ed25519", Blob: []byte("first")}, {Type: "ssh-ed25519", Blob: []byte("second")}}
	line := func(k sshkey.Public) []numbered { return []numbered{{1, base64.StdEncoding.EncodeToString(k.Blob)}} }
	const read, other = "/home/pi/.ssh/authorized_keys", "/home/pi/authorized_keys"
	for _, c := range []struct {
		name string
		held map[string][]numbered
		want sshkey.Public
	}{
		{"nowhere", nil, refused[0]},
		{"in the file that is read", map[string][]numbered{read: line(refused[1]), other: line(refused[0])}, refused[1]},
		{"in another", map[string][]numbered{other: line(refused[1])}, refused[1]},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := facts{keys: refused, held: c.held, account: strictmodes.Account{Home: "/home/pi"}}
			if got := f.spokenOf(); !got[0].Equal(c.want) {
				t.Errorf("spokenOf is %s, want %s", got[0].Blob, c.want.Blob)
			}
		})
	}
}
