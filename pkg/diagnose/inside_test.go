//go:build unix

package diagnose

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

// newUser adds an account whose password is quickly checked: the usual hash
// costs more than everything else in a login.
func newUser(t *testing.T) *sshtest.User {
	t.Helper()
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	cmd := sshtest.Command(t, "/", "chpasswd", "-c", "MD5")
	cmd.Stdin = strings.NewReader(user.Name + ":" + user.Password + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("chpasswd: %v: %s", err, out)
	}
	return user
}

// target is a user at a server, as the commands see it.
func target(t *testing.T, server sshtest.Endpoint, user *sshtest.User) *connect.Host {
	t.Helper()
	home := t.TempDir()
	password := filepath.Join(home, "password")
	if err := os.WriteFile(password, []byte(user.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := connect.New(connect.Options{
		Home: home, PasswordFile: password, Timeout: 20 * time.Second,
		Options: []string{"UserKnownHostsFile=" + server.KnownHostsFile(t), "GlobalKnownHostsFile=" + os.DevNull},
		Getenv:  func(string) string { return "" },
		Note:    func(string, string, ...any) {},
		Trace:   func(int, string, string, ...any) {},
	})
	t.Cleanup(c.Close)
	h, err := c.Host(t.Context(), server.Addr, destination.Destination{User: user.Name, Host: "127.0.0.1", Port: server.Port})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func public(t *testing.T, line string) sshkey.Public {
	t.Helper()
	key, err := sshkey.ParsePublic(line)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func offer(t *testing.T, key sshtest.Key) session.Key {
	t.Helper()
	return session.Key{Public: public(t, key.Line), Name: "key",
		Signer: func(context.Context, session.Exchange) (ssh.Signer, error) { return key.Signer, nil }}
}

// look logs in by password (or by another key, in), lets something happen, is
// refused with the key on a fresh connection, and looks inside.
func look(t *testing.T, server sshtest.Endpoint, user *sshtest.User, in *sshtest.Key, key session.Key, path string, meanwhile func()) []record.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	host := target(t, server, user)
	plan := connect.Plan{Password: in == nil}
	if in != nil {
		plan.Keys = []session.Key{offer(t, *in)}
	}
	acting, _, err := host.Login(ctx, plan)
	if err != nil {
		t.Fatal("the first login: ", err)
	}
	defer acting.Close()
	if meanwhile != nil {
		meanwhile()
	}
	plan.Keys = append([]session.Key{key}, plan.Keys...)
	client, rep, err := host.Login(ctx, plan)
	if err == nil {
		client.Close()
	}
	if a := rep.Answer(key.Public); a != session.Refused && a != session.SignatureRefused && (a != "" || slices.Contains(rep.Methods, "publickey")) {
		t.Fatalf("the key is not refused: %q, %v", a, err)
	}
	counted := &counting{Ways: acting}
	records := Inside(ctx, counted, host, Refusal{Report: rep, Keys: []sshkey.Public{key.Public}, Path: path})
	t.Logf("%d commands", counted.commands)
	for _, r := range records {
		t.Logf("%s %s: %s\nhint: %s", r.Cause, r.Subject, r.Detail, r.Hint)
	}
	return records
}

// counting counts the commands of a session.
type counting struct {
	session.Ways
	commands int
}

func (c *counting) Run(ctx context.Context, command string) ([]byte, []byte, int, error) {
	c.commands++
	return c.Ways.Run(ctx, command)
}

// running is a session that runs commands in its own way, and has no sftp.
type running func(ctx context.Context, command string) ([]byte, []byte, int, error)

func (r running) Run(ctx context.Context, command string) ([]byte, []byte, int, error) {
	return r(ctx, command)
}

func (running) SFTP(context.Context) (*sftp.Client, error) { return nil, session.ErrNoSFTP }

// A want is a cause and what its subject, detail and hint hold.
type want struct{ cause, subject, detail, hint string }

func (w want) check(t *testing.T, records []record.Record) {
	t.Helper()
	if len(records) == 0 {
		t.Fatal("no record")
	}
	r := records[0]
	if r.Cause != w.cause || !strings.Contains(r.Subject, w.subject) || !strings.Contains(r.Detail, w.detail) || !strings.Contains(r.Hint, w.hint) {
		t.Errorf("got %s %s: %s\nhint: %s\nwant %q", r.Cause, r.Subject, r.Detail, r.Hint, w)
	}
	for _, r := range records {
		if r.Verdict != record.Fail || r.Hint == "" {
			t.Errorf("%+v", r)
		}
	}
}

// configuration finds the file that a server was started with.
func configuration(t *testing.T, port int) (path string, pid int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range lines {
		data, _ := os.ReadFile(name) // of a process that may be gone
		words := strings.Fields(strings.ReplaceAll(string(data), "\x00", " "))
		if !slices.Contains(words, fmt.Sprint("ListenAddress=127.0.0.1:", port)) {
			continue
		}
		if i := slices.Index(words, "-f"); i >= 0 && strings.Contains(string(data), "sshd") {
			pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(name)))
			return words[i+1], pid
		}
	}
	t.Fatal("the server's command line is not there")
	return "", 0
}

// open makes the configuration readable for everybody, as /etc/ssh/sshd_config
// is, and returns its path.
func open(t *testing.T, d *sshtest.Daemon) string {
	t.Helper()
	path, _ := configuration(t, d.Port)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := sshtest.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// publicDir is a directory that every user may pass.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "in")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// What sshd's configuration is found by, through the shell of the account.
func TestInsideConfiguration(t *testing.T) {
	t.Parallel()
	user := newUser(t)
	key := sshtest.NewKey(t, t.TempDir(), "ed25519")
	path := user.Authorize(t, key.Line)
	dir := publicDir(t)
	harmless := write(t, filepath.Join(dir, "60-hidden.conf"), "X11Forwarding no\n", 0o600)
	elsewhere := write(t, filepath.Join(dir, "70-elsewhere.conf"), "# a drop-in\nAuthorizedKeysFile "+dir+"/keys/%u\n", 0o644)
	revoked := write(t, filepath.Join(dir, "revoked"), key.Line+"\n", 0o644)
	closed := write(t, filepath.Join(dir, "closed"), key.Line+"\n", 0o600)
	krl := filepath.Join(dir, "krl")
	sshtest.Keygen(t, "-q", "-k", "-f", krl, key.File+".pub")
	if err := os.Chmod(krl, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config []string
		want   want
	}{
		{"in a Match of group and address", []string{"Match Group " + user.Name + " Address 127.0.0.0/8", "AuthorizedKeysFile none"},
			want{"keys-file-elsewhere", "sshd_config:", "seen: ", ""}},
		{"in a drop-in", []string{"Include " + dir + "/7*.conf"},
			want{"keys-file-elsewhere", elsewhere + ":2", "seen: ", "sudo tee -a " + dir + "/keys/" + user.Name}},
		{"beside a drop-in of root's", []string{"Include " + harmless, "AuthorizedKeysFile none"},
			want{"keys-file-elsewhere", "sshd_config:2", "unless " + harmless, ""}},
		{"revoked", []string{"RevokedKeys " + revoked},
			want{"key-revoked", revoked, "seen: the key is in the list", ""}},
		{"revoked by a KRL", []string{"RevokedKeys " + krl},
			want{"key-revoked", krl, "seen: ssh-keygen -Q", ""}},
		{"a list that is root's", []string{"RevokedKeys " + closed},
			want{"key-refused", "SHA256:", "likely: ", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: c.config})
			open(t, server)
			c.want.check(t, look(t, server.Endpoint, user, nil, offer(t, key), path, nil))
		})
	}
}

// What happens to an account between two logins.
func TestInsideAccount(t *testing.T) {
	t.Parallel()
	key := sshtest.NewKey(t, t.TempDir(), "ed25519")
	shared := newUser(t)
	sharedPath := shared.Authorize(t, key.Line)
	for _, c := range []struct {
		name      string
		own       bool // it needs a user of its own
		meanwhile func(t *testing.T, user *sshtest.User, reload func(config string))
		want      want
	}{
		{"AllowUsers", false, func(_ *testing.T, _ *sshtest.User, reload func(string)) { reload("AllowUsers alice bob@10.*") },
			want{"user-not-allowed", ".conf:1", "seen: AllowUsers is alice bob@10.*", "sed -i '1s/^[[:space:]]*[[:alpha:]]*[[:space:]=]*/&" + shared.Name + " /' "}},
		{"DenyUsers", false, func(_ *testing.T, u *sshtest.User, reload func(string)) { reload("DenyUsers " + u.Name + "@127.0.0.*") },
			want{"user-not-allowed", ".conf:1", "seen: DenyUsers", "sudoedit "}},
		{"AllowGroups", false, func(_ *testing.T, _ *sshtest.User, reload func(string)) { reload("AllowGroups ssh-users wheel") },
			want{"user-not-allowed", ".conf:1", "seen: AllowGroups is ssh-users wheel, and ", "gpasswd -a " + shared.Name + " ssh-users"}},
		{"DenyGroups", false, func(_ *testing.T, u *sshtest.User, reload func(string)) {
			reload("DenyGroups nobody " + u.Name[:5] + "*")
		},
			want{"user-not-allowed", ".conf:1", "seen: DenyGroups", "sudoedit "}},
		{"locked", true, func(t *testing.T, u *sshtest.User, _ func(string)) {
			account(t, "usermod", "-L", u.Name)
		}, want{"account-locked", "", "likely: UsePAM is not on, and passwd -S says", "usermod -p"}},
		{"shell", true, func(t *testing.T, u *sshtest.User, _ func(string)) {
			account(t, "usermod", "-s", "/bin/no-such-shell", u.Name)
		}, want{"shell-missing", "/bin/no-such-shell", "seen: ", "chsh"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			user, path := shared, sharedPath
			if c.own {
				user = newUser(t)
				path = user.Authorize(t, key.Line)
			}
			included := write(t, filepath.Join(publicDir(t), "x.conf"), "", 0o644)
			server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"Include " + included}})
			open(t, server)
			reload := func(config string) {
				write(t, included, config+"\n", 0o644)
				restart(t, server)
			}
			c.want.check(t, look(t, server.Endpoint, user, nil, offer(t, key), path, func() { c.meanwhile(t, user, reload) }))
		})
	}
}

// What lets the account in lets in nobody else, and sed makes of the line what
// sshd reads.
func TestAllow(t *testing.T) {
	sshtest.Need(t, "sed")
	file := filepath.Join(t.TempDir(), "x.conf")
	bin := t.TempDir()
	write(t, filepath.Join(bin, "sudo"), "#!/bin/sh\nexec \"$@\"\n", 0o755)
	write(t, filepath.Join(bin, "systemctl"), "#!/bin/sh\ntouch reloaded\n", 0o755)
	for _, c := range []struct{ name, line, hint, want string }{
		{"pi", "AllowUsers alice # of ours", "sed -i", "AllowUsers pi alice # of ours"},
		{"pi", "\tallowusers=alice", "sed -i", "\tallowusers=pi alice"},
		{`DOM\bob`, "AllowUsers alice", "sudoedit", ""},
		{"a'b", "AllowUsers alice", "sudoedit", ""},
		{"pi", "DenyUsers pi", "sed -i", "#DenyUsers pi"},
		{"pi", "DenyUsers pi mallory", "sudoedit", ""},
		{"pi", "DenyUsers p*", "sudoedit", ""},
		{"pi", "AllowGroups ssh-users", "gpasswd -a pi ssh-users", ""},
		{"pi", "AllowGroups ssh-*", "sudoedit", ""},
		{"pi", "DenyGroups pi", "sudoedit", ""},
	} {
		write(t, file, c.line+"\n", 0o644)
		words := strings.FieldsFunc(strings.TrimSpace(strings.Split(c.line, "#")[0]), func(r rune) bool { return r == ' ' || r == '=' })
		keyword := map[string]string{"allowusers": "AllowUsers"}[words[0]]
		if keyword == "" {
			keyword = words[0]
		}
		in := &inside{}
		in.account.Name = c.name
		hint := in.allow(sshdconfig.Setting{Keyword: keyword, Args: words[1:], File: file, Line: 1})
		if !strings.Contains(hint, c.hint) {
			t.Errorf("%s, %s: %s", c.line, c.name, hint)
		}
		if c.want == "" {
			continue
		}
		for _, takes := range []bool{false, true} {
			write(t, filepath.Join(bin, "sshd"), fmt.Sprintf("#!/bin/sh\n%v\n", takes), 0o755)
			home, want := t.TempDir(), c.line
			if takes {
				want = c.want
			}
			cmd := sshtest.Command(t, home, "sh", "-c", strings.TrimPrefix(hint, "there: "))
			cmd.Dir, cmd.Env = home, append(cmd.Env, "PATH="+bin+":/usr/bin:/bin")
			out, err := cmd.CombinedOutput()
			if _, reloaded := os.Stat(filepath.Join(home, "reloaded")); (err == nil) != takes || (reloaded == nil) != takes {
				t.Errorf("%s: sshd takes it: %v; %v: %s", hint, takes, err, out)
			}
			if data, err := os.ReadFile(file); err != nil || string(data) != want+"\n" {
				t.Errorf("%s made %q, want %q", hint, data, want)
			}
		}
	}
}

// What a server calls the account ends no quoting of a hint.
func TestUnexplainedQuotes(t *testing.T) {
	const name = "pi;reboot"
	in := &inside{installed: []string{"/home/pi/.ssh/authorized_keys"},
		facts: facts{rep: new(session.Report), server: strictmodes.OpenSSH, keys: []sshkey.Public{{Type: "ssh-ed25519", Blob: []byte("key")}}}}
	in.account.Name = name
	in.config = sshdconfig.Evaluate(nil, sshdconfig.DefaultFile,
		sshdconfig.Files{sshdconfig.DefaultFile: {{Path: sshdconfig.DefaultFile, Unread: true}}}, in.conn)
	if hint := in.unexplained().Hint; !strings.Contains(hint, "-C 'user="+name+",") {
		t.Error(hint)
	}
}

// account changes an account; other tests may hold the lock for a moment.
func account(t *testing.T, name string, args ...string) {
	t.Helper()
	for try := 1; ; try++ {
		out, err := sshtest.Command(t, "/", name, args...).CombinedOutput()
		if err == nil {
			return
		}
		if try == 20 {
			t.Fatalf("%s %q: %v: %s", name, args, err, out)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// restart makes sshd read its configuration again.
func restart(t *testing.T, d *sshtest.Daemon) {
	t.Helper()
	_, pid := configuration(t, d.Port)
	before := strings.Count(d.Log(), "Server listening on")
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Count(d.Log(), "Server listening on") > before {
			return
		}
	}
	t.Fatal("sshd does not start again: ", d.Log())
}

// Of a server that nobody knows, no configuration is believed.
func TestInsideUnknownServer(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	path := write(t, filepath.Join(home, "keys"), "", 0o600)
	run := func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		out, err := sshtest.Command(t, home, "sh", "-c", command).Output()
		return out, nil, 0, err
	}
	key := offer(t, sshtest.NewKey(t, t.TempDir(), "ed25519"))
	rep := &session.Report{ServerVersion: "SSH-2.0-Tailscale", Methods: []string{"publickey"}}
	host := target(t, sshtest.Endpoint{Addr: "127.0.0.1:1", Port: 1}, &sshtest.User{Name: "pi"})
	for _, r := range Inside(t.Context(), running(run), host, Refusal{Report: rep, Keys: []sshkey.Public{key.Public}, Path: path}) {
		if r.Cause != "key-refused" && !strings.HasPrefix(r.Detail, "likely: ") || !strings.Contains(r.Detail, "SSH-2.0-Tailscale") {
			t.Errorf("%s: %s", r.Cause, r.Detail)
		}
	}
	none := func(context.Context, string) ([]byte, []byte, int, error) {
		return nil, []byte("sftp only\x1b[2J"), 1, nil
	}
	rep.ServerVersion = "SSH-2.0-OpenSSH_10.0"
	records := Inside(t.Context(), running(none), host, Refusal{Report: rep, Keys: []sshkey.Public{key.Public}, Path: path})
	if len(records) != 1 || records[0].Cause != "key-refused" || !strings.Contains(records[0].Detail, "looking for the cause failed") {
		t.Errorf("%+v", records)
	}
}

// Root is judged by what sshd -T says.
func TestInsideRoot(t *testing.T) {
	sshtest.NeedRoot(t)
	t.Parallel()
	keys := t.TempDir()
	in, key := sshtest.NewKey(t, keys, "ed25519"), sshtest.NewKey(t, keys, "ecdsa")
	dir := publicDir(t)
	path := write(t, filepath.Join(dir, "keys"), in.Line+"\n"+key.Line+"\n", 0o600)
	root := &sshtest.User{Name: "root"}
	lines := []string{"StrictModes no", "PermitRootLogin yes", "AuthorizedKeysFile " + path}
	for _, c := range []struct {
		name   string
		config []string
		later  string
		want   want
	}{
		{"a Match that only the server decides", slices.Concat(lines, []string{"UseDNS yes", "Match Host *", "PubkeyAcceptedAlgorithms -ecdsa*"}), "",
			want{"key-type-refused", "sshd_config:", "seen: PubkeyAcceptedAlgorithms is ssh-ed25519", ""}},
		{"nothing against it in the configuration", slices.Concat(lines, []string{"PubkeyAcceptedAlgorithms ssh-ed25519"}), "",
			want{"key-type-refused", "sshd_config:4", "seen: ", "sed -i '4s"}},
		{"root refused", append([]string{"Include " + dir + "/*.conf"}, lines...), "PermitRootLogin no",
			want{"root-refused", "x.conf:1", "seen: PermitRootLogin is no", "sed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: c.config})
			var meanwhile func()
			if c.later != "" {
				meanwhile = func() {
					write(t, filepath.Join(dir, "x.conf"), c.later+"\n", 0o644)
					restart(t, server)
				}
			}
			c.want.check(t, look(t, server.Endpoint, root, &in, offer(t, key), path, meanwhile))
		})
	}
}

// The key is in a file that the server does not read, or reads by another name.
func TestInsideFile(t *testing.T) {
	t.Parallel()
	user := newUser(t)
	keys := t.TempDir()
	key, rsa := sshtest.NewKey(t, keys, "ed25519"), sshtest.NewKey(t, keys, "rsa")
	servers := map[string]*sshtest.Daemon{"sshd": sshtest.StartSSHD(t, sshtest.SSHDConfig{}), "dropbear": sshtest.StartDropbear(t)}
	open(t, servers["sshd"])
	t.Run("put elsewhere", func(t *testing.T) { // $HOME, or -t, led astray
		user.Authorize(t, rsa.Line)
		user.Own(t, user.Home, 0o755)
		astray := write(t, filepath.Join(user.Home, "authorized_keys"), key.Line+"\n", 0o600)
		user.Own(t, astray, 0o600)
		for _, server := range servers {
			want{"keys-file-elsewhere", user.Home + "/.ssh/authorized_keys", "seen: ", "pikeycopy -i - -t "}.check(t,
				look(t, server.Endpoint, user, nil, offer(t, key), astray, nil))
		}
	})
	t.Run("by another name of the file", func(t *testing.T) {
		path := user.Authorize(t, `from="10.0.0.1" `+key.Line)
		dotfile := filepath.Join(user.Home, "dotfiles", "keys")
		if err := os.Mkdir(filepath.Dir(dotfile), 0o755); err != nil {
			t.Fatal(err)
		}
		user.Own(t, filepath.Dir(dotfile), 0o755)
		if err := os.Rename(path, dotfile); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("../dotfiles/keys", path); err != nil {
			t.Fatal(err)
		}
		for name, cause := range map[string]string{"sshd": "entry-from", "dropbear": "dropbear-limits"} {
			want{cause, path + ":1", "seen: ", ""}.check(t, look(t, servers[name].Endpoint, user, nil, offer(t, key), dotfile, nil))
		}
	})
}

// An account without a shell may have no session to spare; its sshd is taken to have
// been started as usual.
func TestServingWithoutShell(t *testing.T) {
	none := running(func(context.Context, string) ([]byte, []byte, int, error) { return nil, nil, 0, session.ErrNoCommand })
	got, err := ServingThere(t.Context(), none, "SSH-2.0-OpenSSH_9.2")
	if err != nil || got.Main != sshdconfig.DefaultFile || got.Version != "SSH-2.0-OpenSSH_9.2" {
		t.Errorf("%+v, %v", got, err)
	}
}

// An account that runs no shell tells by sftp what its files tell.
func TestInsideSFTP(t *testing.T) {
	t.Parallel()
	keys := t.TempDir()
	key, rsa := sshtest.NewKey(t, keys, "ed25519"), sshtest.NewKey(t, keys, "rsa")
	user := newUser(t)
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"ForceCommand internal-sftp"}})
	open(t, server)
	shut := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"ForceCommand internal-sftp", "ChrootDirectory /run"}})
	for _, c := range []struct {
		name   string
		server *sshtest.Daemon
		lines  []string
		change func(path string)
		want   want
	}{
		{"home-writable", server, []string{key.Line}, func(string) { os.Chmod(user.Home, 0o777) },
			want{"home-writable", user.Home, "seen: mode 0777", "pikeyfix -o "}},
		{"gone", server, []string{rsa.Line}, nil,
			want{"key-not-installed", "/authorized_keys", "seen: ", "pikeycopy"}},
		{"comment", server, []string{rsa.Line, "# " + key.Line}, nil,
			want{"key-not-installed", "/authorized_keys:2", "it is a comment", "pikeycopy"}},
		{"from", server, []string{`from="10.0.0.0/8" ` + key.Line}, nil,
			want{"key-refused", "SHA256:", `from="10.0.0.0/8" at ` + user.Home + "/.ssh/authorized_keys:1", ""}},
		{"expired", server, []string{`expiry-time="20200101" ` + key.Line}, nil,
			want{"key-refused", "SHA256:", `expiry-time="20200101" at `, ""}},
		{"shut in", shut, []string{`from="10.0.0.0/8" ` + key.Line}, nil,
			want{"key-refused", "", "sftp starts in /", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			user.Own(t, user.Home, 0o755)
			path := user.Authorize(t, c.lines...)
			if c.change != nil {
				c.change(path)
			}
			records := look(t, c.server.Endpoint, user, nil, offer(t, key), path, nil)
			c.want.check(t, records)
			for _, r := range records {
				if strings.Contains(r.Detail, "status") {
					t.Errorf("of the shell that there is not: %s", r.Detail)
				}
			}
		})
	}
}
