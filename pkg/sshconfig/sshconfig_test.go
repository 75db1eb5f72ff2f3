package sshconfig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestSystemFile is about the two files that ssh reads without -F.
func TestSystemFile(t *testing.T) {
	w := newWorld(t)
	w.write(t, ".ssh/config", "Host pi\nUser from-user\nInclude more\n")
	w.write(t, ".ssh/more", "IdentityFile /a\n")
	system := w.write(t, "etc/ssh_config", "User from-system\nPort 24\nInclude d/*.conf\nIdentityFile /a\nHashKnownHosts yes\n")
	w.write(t, "etc/d/1.conf", "Port 23\nConnectTimeout 3\n")
	r := &Resolver{Home: w.home, Getenv: w.getenv, SystemFile: system}

	h, err := r.Resolve(context.Background(), Request{Host: "pi"})
	if err != nil {
		t.Fatal(err)
	}
	// ssh keeps a file that both name twice.
	if h.User != "from-user" || h.Port != 24 || h.ConnectTimeout != 3*time.Second || !h.HashKnownHosts ||
		!slices.Equal(h.IdentityFiles, []string{"/a", "/a"}) {
		t.Errorf("got %+v", h)
	}
	wantSources := map[string]string{
		"user":           w.home + "/.ssh/config:2",
		"identityfile":   w.home + "/.ssh/more:1",
		"port":           system + ":2",
		"connecttimeout": w.home + "/etc/d/1.conf:2",
		"hashknownhosts": system + ":5",
	}
	if fmt.Sprint(h.Sources) != fmt.Sprint(wantSources) {
		t.Errorf("sources: %v, want %v", h.Sources, wantSources)
	}

	h, err = r.Resolve(context.Background(), Request{Host: "web", ConfigFile: "none", Port: 5, Options: []string{"HashKnownHosts=yes"}})
	if err != nil {
		t.Fatal(err)
	}
	wantSources = map[string]string{"port": "command line", "hashknownhosts": "command line -o"}
	if h.User == "from-system" || fmt.Sprint(h.Sources) != fmt.Sprint(wantSources) {
		t.Errorf("-F none: %+v", h)
	}

	if _, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: w.home + "/missing"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing -F: %v", err)
	}
	// Nobody needs to have a configuration.
	none := &Resolver{Home: w.home + "/nowhere", Getenv: w.getenv, SystemFile: w.home + "/missing"}
	if h, err := none.Resolve(context.Background(), Request{Host: "pi"}); err != nil || h.Port != 22 {
		t.Errorf("without files: %+v, %v", h, err)
	}
	// The system's file may not look into homes.
	tilde := &Resolver{Home: w.home, Getenv: w.getenv, SystemFile: w.write(t, "etc/tilde", "Include ~/.ssh/more\n")}
	var syntax *SyntaxError
	if _, err := tilde.Resolve(context.Background(), Request{Host: "web"}); !errors.As(err, &syntax) || syntax.At != w.home+"/etc/tilde:1" {
		t.Errorf("Include ~ in the system's file: %v", err)
	}
}

// TestAgainstBothFiles lets ssh read a user's and a system's file of ours, in a
// mount namespace where they lie over the real ones.
func TestAgainstBothFiles(t *testing.T) {
	needSSH(t)
	w := newWorld(t)
	system := w.write(t, "etc/ssh_config", "")
	over := func(command ...string) *exec.Cmd {
		script := `mount --bind "$1" "$2" && mount --bind "$3" /etc/ssh/ssh_config && shift 3 && exec "$@"`
		cmd := exec.Command("unshare", append([]string{"-m", "sh", "-c", script, "sh", w.home, w.passwd.HomeDir, system}, command...)...)
		cmd.Env = []string{"HOME=" + w.passwd.HomeDir, "PATH=" + os.Getenv("PATH"), "SSH_AUTH_SOCK=/run/agent"}
		return cmd
	}
	if err := over("true").Run(); err != nil {
		t.Skipf("no mount namespaces here: %v", err)
	}
	for _, c := range []struct{ name, user, system string }{
		{"precedence", "Host pi\nUser a\nIdentityFile ~/x\n", "User b\nPort 24\nIdentityFile ~/x\nIdentityFile ~/y\n"},
		{"final pass", "HostName real\nHost real\nPort 2\n", "Match final host real\nUser b\nConnectTimeout 4\n"},
		{"unknown in the system's", "User a\n", "Colour red\n"},
		{"ignored in the user's", "IgnoreUnknown colour\n", "Colour red\n"},
		{"include ~", "Include ~/.ssh/config2\n", "Include ~/.ssh/config2\n"},
		{"relative include", "Include config2\n", "Port 3\n"},
	} {
		w.write(t, ".ssh/config", c.user)
		w.write(t, ".ssh/config2", "User c\n")
		w.write(t, "etc/ssh_config", c.system)
		for _, mode := range []os.FileMode{0o600, 0o644, 0o620, 0o602, 0o666} {
			if err := os.Chmod(filepath.Join(w.home, ".ssh/config"), mode); err != nil {
				t.Fatal(err)
			}
			r := &Resolver{Home: w.home, Getenv: w.getenv, SystemFile: system}
			got, err := r.Resolve(context.Background(), Request{Host: "pi"})
			says, sshErr := sshSays(over("ssh", "-T", "-G", "--", "pi"))
			if (err != nil) != (sshErr != nil) {
				t.Errorf("%s, mode %o:\nour error: %v\nssh's: %v", c.name, mode, err, sshErr)
			}
			if err != nil || sshErr != nil {
				continue
			}
			for _, d := range differences(got, w.host(Request{Host: "pi"}, says, w.home)) {
				t.Errorf("%s: %s", c.name, d)
			}
		}
	}
}

func TestPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	w := newWorld(t)
	system := w.write(t, "etc/ssh_config", "")
	config := w.write(t, ".ssh/config", "Host other\nInclude more\n")
	more := w.write(t, ".ssh/more", "User x\n")
	for _, c := range []struct {
		path string
		mode os.FileMode
		bad  bool
	}{
		{config, 0o600, false}, {config, 0o644, false}, {config, 0o444, false}, {config, 0o777, true}, {config, 0o602, true},
		{more, 0o644, false}, {more, 0o646, true}, {system, 0o666, false},
	} {
		if err := os.Chmod(c.path, c.mode); err != nil {
			t.Fatal(err)
		}
		r := &Resolver{Home: w.home, Getenv: w.getenv, SystemFile: system}
		_, err := r.Resolve(context.Background(), Request{Host: "pi"})
		var refused *PermissionError
		if errors.As(err, &refused) != c.bad || c.bad && (refused.Path != c.path || refused.Mode.Perm() != c.mode || refused.UID != os.Getuid()) {
			t.Errorf("%s with mode %o: %v", c.path, c.mode, err)
		}
		// -F is not checked.
		r = &Resolver{Home: w.home, Getenv: w.getenv}
		if _, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: config}); c.path == config && err != nil {
			t.Errorf("-F with mode %o: %v", c.mode, err)
		}
		if err := os.Chmod(c.path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(config, 12345, -1); err != nil {
		t.Fatal(err)
	}
	r := &Resolver{Home: w.home, Getenv: w.getenv}
	var refused *PermissionError
	if _, err := r.Resolve(context.Background(), Request{Host: "pi"}); !errors.As(err, &refused) || refused.UID != 12345 {
		t.Errorf("a stranger's file: %v", err)
	}
}

// TestRefused is what ssh -G does not find out, but ssh does, and what these
// commands do not do; and that the message says where.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ config, want string }{
		{"Port 22\n\nColour red\n", ":3: bad configuration option: colour"},
		{"Port x\n", `:1: port: bad port "x"`},
		{"User \"a\n", ":1: invalid quotes"},
		{"IdentityFile a\nIdentityFile %x\n", ":2: identityfile: unknown token %x"},
		{"IdentityFile ${NOT_SET}\n", ":1: identityfile: environment variable NOT_SET is not set"},
		{"CertificateFile %\n", ":1: certificatefile: single %"},
		{"ProxyCommand nc %d\n", ":1: proxycommand: unknown token %d"},
		{"IdentityFile ~no-such-user/x\n", ":1: identityfile: expanding ~no-such-user/x"},
		{"ProxyUseFdpass yes\nProxyCommand nc -F %h %p\n", ":1: proxyusefdpass: ProxyUseFdpass is not supported"},
		{"RefuseConnection \"not from here\"\n", ":1: refuseconnection: not from here"},
		{"Include loop\n", "too many recursive configuration includes"},
	} {
		r := &Resolver{Home: w.home, Getenv: w.getenv}
		w.write(t, ".ssh/loop", "Include loop\n")
		config := w.write(t, "config", c.config)
		_, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: config})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), w.home) {
			t.Errorf("%q: %v, want %s", c.config, err, c.want)
		}
	}
	for _, req := range []Request{
		{Host: ""}, {Host: "-oProxyCommand=x"}, {Host: "a@b"}, {Host: "ssh://a"}, {Host: "a", Port: 65536}, {Host: "a", Port: -1},
		{Host: "a", Jump: "u@"}, {Host: "a", Jump: "b", Options: []string{"ProxyJump=c"}}, {Host: "a", Jump: "b", Options: []string{"ProxyCommand=c"}},
		{Host: "a", Options: []string{"Colour=red"}},
	} {
		req.ConfigFile = "none"
		if h, err := new(Resolver).Resolve(context.Background(), req); err == nil {
			t.Errorf("%+v: %+v", req, h)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := new(Resolver).Resolve(ctx, Request{Host: "pi", ConfigFile: "none"}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

// TestJumpToken is on its own because OpenSSH 9.2 does not know %j.
func TestJumpToken(t *testing.T) {
	w := newWorld(t)
	r := &Resolver{Home: w.home, Getenv: w.getenv}
	for config, want := range map[string]string{
		"IdentityFile k-%j\n":                     "k-",
		"IdentityFile k-%j\nProxyJump u@gw:1,b:2": "k-b",
	} {
		h, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: w.write(t, fmt.Sprint(len(config)), config)})
		if err != nil || h.IdentityFiles[0] != want {
			t.Errorf("%q: %+v, %v", config, h, err)
		}
	}
}

// TestConnectionHash compares %C with ssh's, which shows it in a file of
// known hosts.
func TestConnectionHash(t *testing.T) {
	needSSH(t)
	w := newWorld(t)
	r := &Resolver{Home: w.home, Getenv: w.getenv}
	config := w.write(t, "config", "UserKnownHostsFile /%C\nHostName Real\nPort 23\nUser bob\n")
	w.compare(t, r, Request{Host: "pi", ConfigFile: config}, w.home)
}

// spy puts a program called ssh in front of all others that only leaves a mark
// and says what it is told to.
func spy(t *testing.T, script string) (mark string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("needs a shell script")
	}
	folder := t.TempDir()
	mark = filepath.Join(folder, "mark")
	text := "#!/bin/sh\necho \"$@\" >>" + mark + "\n" + script + "\n"
	if err := os.WriteFile(filepath.Join(folder, "ssh"), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	return mark
}

func TestPlainStartsNoProcess(t *testing.T) {
	mark := spy(t, "exit 1")
	w := newWorld(t)
	w.includes(t)
	for _, config := range []string{
		"", "Host pi\nPort 23\nInclude inc/hosts\nMatch host web exec false\nPort 3\nMatch final all\nIdentityFile ~/%h\nProxyJump gw\n",
	} {
		r := &Resolver{Getenv: w.getenv}
		if _, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: w.write(t, "config", config)}); err != nil {
			t.Error(err)
		}
	}
	if asked, err := os.ReadFile(mark); err == nil {
		t.Errorf("ssh was started: %s", asked)
	}
	// The spy does see what is asked.
	r := &Resolver{Getenv: w.getenv}
	if _, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: w.write(t, "config", "Match exec true\n")}); err == nil {
		t.Error("an ssh that fails was believed")
	}
	if _, err := os.Stat(mark); err != nil {
		t.Errorf("ssh was not started where it must be: %v", err)
	}
}

func TestWithoutSSH(t *testing.T) {
	w := newWorld(t)
	t.Setenv("PATH", w.home)
	var mu sync.Mutex
	var said []string
	r := &Resolver{Home: w.home, Getenv: w.getenv, Trace: func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if s := fmt.Sprintf(format, args...); strings.Contains(s, "skipped") {
			said = append(said, s)
		}
	}}
	config := w.write(t, "config", "Match exec true\nPort 23\nMatch all\nUser x\nCanonicalizeHostname yes\n")
	for range 3 {
		h, err := r.Resolve(context.Background(), Request{Host: "pi", ConfigFile: config})
		if err != nil || h.Port != 22 || h.User != "x" {
			t.Fatalf("%+v, %v", h, err)
		}
	}
	want := []string{
		config + ":1: Match exec: skipped, there is no ssh here that could be asked",
		config + ":5: CanonicalizeHostname: skipped, there is no ssh here that could be asked",
	}
	if !slices.Equal(said, want) {
		t.Errorf("trace: %q, want %q", said, want)
	}
}

// Who waits for what ssh says of lines in doubt, which it is asked once for all,
// need not wait for longer than its own context.
func TestConfirmEnds(t *testing.T) {
	mark := spy(t, "exec sleep 600")
	w := newWorld(t)
	req := Request{Host: "pi", ConfigFile: w.write(t, "config", "EscapeChar x\n")}
	r := &Resolver{Getenv: w.getenv}
	first, cancel := context.WithCancel(t.Context())
	asking := make(chan error, 1)
	go func() {
		_, err := r.Resolve(first, req)
		asking <- err
	}()
	for range 1000 {
		if _, err := os.Stat(mark); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	second, giveUp := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, giveUp)
	waiting := make(chan error, 1)
	go func() {
		_, err := r.Resolve(second, req)
		waiting <- err
	}()
	select {
	case err := <-waiting:
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits on")
	}
	if cancel(); !errors.Is(<-asking, context.Canceled) {
		t.Error("who asked did not end")
	}
}

// TestAskWhatSSHCannotSee: a home or a system file that ssh would not take must
// not be asked about.
func TestAskWhatSSHCannotSee(t *testing.T) {
	mark := spy(t, "exit 1")
	w := newWorld(t)
	w.write(t, ".ssh/config", "Match exec true\nPort 23\n")
	r := &Resolver{Home: w.home, Getenv: w.getenv, SystemFile: w.home + "/missing"}
	if h, err := r.Resolve(context.Background(), Request{Host: "pi"}); err != nil || h.Port != 22 {
		t.Errorf("%+v, %v", h, err)
	}
	if asked, err := os.ReadFile(mark); err == nil {
		t.Errorf("ssh was asked: %s", asked)
	}
}

// ssh -G prints paths without quotes.
func TestAskKeepsBlanksInPaths(t *testing.T) {
	needSSH(t)
	w := newWorld(t)
	config := w.write(t, "config", "UserKnownHostsFile \"/a b\" /c\nGlobalKnownHostsFile \"/d  e\"\nMatch exec true\n\tHostName lab\n")
	r := &Resolver{Getenv: w.getenv}
	h, err := r.Resolve(t.Context(), Request{Host: "pi", ConfigFile: config})
	if err != nil || h.HostName != "lab" || !slices.Equal(h.UserKnownHostsFiles, []string{"/a b", "/c"}) || !slices.Equal(h.GlobalKnownHostsFiles, []string{"/d  e"}) {
		t.Errorf("%+v, %v", h, err)
	}
}

func TestAskPassesTheRequestOn(t *testing.T) {
	mark := spy(t, `printf 'hostname real\nuser u\nport 7\nstricthostkeychecking false\nproxyjump a@b\n'`)
	w := newWorld(t)
	config := w.write(t, "config", "Match exec true\n")
	r := &Resolver{Getenv: w.getenv}
	h, err := r.Resolve(context.Background(), Request{
		Host: "pi", User: "bob", Port: 9, Jump: "c", ConfigFile: config, Options: []string{"BatchMode=yes", "LogLevel quiet"},
	})
	if err != nil || h.Alias != "pi" || h.HostName != "real" || h.User != "u" || h.Port != 7 || h.StrictHostKeyChecking != "no" || h.ProxyJump != "a@b" {
		t.Errorf("%+v, %v", h, err)
	}
	want := "-T -G -F " + config + " -o BatchMode=yes -o LogLevel quiet -l bob -p 9 -J c -- pi\n"
	if got, err := os.ReadFile(mark); string(got) != want {
		t.Errorf("asked %q, %v, want %q", got, err, want)
	}
}

// TestManyAtOnce: one reading of the files for all, also at the same time.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var lines atomic.Int32
	config := w.write(t, "config", "Host h1*\nPort 23\nMatch host *9\nUser nine\nHost *\nIdentityFile ~/%h\nIdentityFile b\nHost *7\nIdentityFile c")
	r := &Resolver{Home: w.home, Getenv: w.getenv, Trace: func(string, ...any) { lines.Add(1) }}
	if _, err := r.Resolve(context.Background(), Request{Host: "x", ConfigFile: config}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(config); err != nil { // nothing is read again
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 1000 {
		wg.Go(func() {
			name := fmt.Sprintf("h%d", i)
			h, err := r.Resolve(context.Background(), Request{Host: name, ConfigFile: config})
			if err != nil {
				t.Error(err)
				return
			}
			want := []string{w.home + "/" + name, "b"}
			if strings.HasSuffix(name, "7") {
				want = append(want, "c")
			}
			if !slices.Equal(h.IdentityFiles, want) || (h.Port == 23) != strings.HasPrefix(name, "h1") || (h.User == "nine") != strings.HasSuffix(name, "9") {
				t.Errorf("%+v", h)
			}
		})
	}
	wg.Wait()
	if lines.Load() == 0 {
		t.Error("nothing was traced")
	}
}

func TestCheckOption(t *testing.T) {
	for option, want := range map[string]string{
		"Port=22": "", "port 22": "", "PORT = 22": "", "IdentityFile=~/a b": "extra arguments", `IdentityFile="~/a b"`: "",
		"BatchMode=yes": "", "BatchMode=maybe": "unsupported option", "BatchMode": "no argument", "BatchMode=": "no argument",
		"StrictHostKeyChecking=accept-new": "", "StrictHostKeyChecking=never": "unsupported",
		"ConnectTimeout=1m": "", "ConnectTimeout=x": "invalid time", "Port=0": "bad port",
		"ProxyJump=a,b": "", "ProxyJump=@": "bad jump host", "ProxyCommand=x": "", "ProxyUseFdpass=yes": "not supported", "ProxyUseFdpass=no": "",
		"HostKeyAlgorithms=+ssh-rsa": "", "HostKeyAlgorithms=rsa": "unknown algorithm", "PubkeyAcceptedKeyTypes=+ssh-rsa": "",
		"IgnoreUnknown=x": "", "CanonicalizeHostname=yes": "", "RevokedHostKeys=/x": "",
		"LogLevel=QUIET": "", "LogLevel=loud": "unsupported", "RequestTTY=no": "", "ServerAliveInterval=5": "", "ServerAliveInterval=x": "invalid time",
		"ForwardAgent=no": "", "ForwardAgent=yes": `forwardagent is not honoured here, but for "no"`, "ControlPath=none": "", "ControlPath=/x": "not honoured",
		"NumberOfPasswordPrompts=1": "", "NumberOfPasswordPrompts=3": "", "ForwardX11=False": "", "GSSAPIAuthentication=no": "", "GSSAPIAuthentication=yes": "not honoured",
		"Ciphers=aes128-ctr": "", "Ciphers=aes*": "unknown algorithm", "KexAlgorithms=^curve25519-sha256": "", "MACs=-umac*": "", "CASignatureAlgorithms=-x": "not honoured", "BindAddress=1.2.3.4": "", "KnownHostsCommand=x": "",
		"Colour=red": "bad configuration option: colour", "Host=x": "command line", "Match=all": "command line", "Include=x": "command line", "Include=\"": "invalid quotes",
		"": "", "  ": "", "# x": "",
	} {
		err := CheckOption(option)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", option, err, want)
		}
		if _, resolveErr := new(Resolver).Resolve(context.Background(), Request{Host: "x", ConfigFile: "none", Options: []string{option}}); err != nil && resolveErr == nil {
			t.Errorf("%q: Resolve takes what CheckOption refuses", option)
		}
	}
	for name := range harmless {
		if k := keywords()[name]; k == nil || k.decides {
			t.Errorf("harmless %q is no keyword that is passed by", name)
		}
	}
	for name := range overlooked {
		if k := keywords()[name]; k == nil || k.decides || harmless[name] != "" {
			t.Errorf("overlooked %q is no keyword that is passed by", name)
		}
	}
}

func BenchmarkResolve(b *testing.B) {
	w := newWorld(b)
	config := w.write(b, "config", "Host pi*\nUser x\n"+strings.Repeat("Host other*\nPort 23\nIdentityFile a\n", 100)+"Host *\nIdentityFile ~/%h\n")
	r := &Resolver{Home: w.home, Getenv: w.getenv}
	for b.Loop() {
		if _, err := r.Resolve(context.Background(), Request{Host: "pi1", ConfigFile: config}); err != nil {
			b.Fatal(err)
		}
	}
}
