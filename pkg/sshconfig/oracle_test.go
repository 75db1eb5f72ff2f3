package sshconfig

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// needSSH skips the test where there is no ssh, or fails it where there must
// be one.
func needSSH(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		if os.Getenv("PIKEY_TEST_REQUIRE") == "1" {
			t.Fatal("ssh is missing")
		}
		t.Skip("no ssh here to compare with")
	}
}

// A world is a home with files in it, and the environment of ssh there.
type world struct {
	home   string
	passwd *user.User
	env    map[string]string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{home: t.TempDir(), passwd: u}
	w.env = map[string]string{"HOME": w.home, "SSH_AUTH_SOCK": "/run/agent", "WHERE": "/else/where", "PATH": os.Getenv("PATH")}
	if err := os.Mkdir(filepath.Join(w.home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(w.home, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (w *world) getenv(name string) string { return w.env[name] }

// resolver counts how often it asks ssh.
func (w *world) resolver(asked *atomic.Int32) *Resolver {
	return &Resolver{Home: w.home, Getenv: w.getenv, Trace: func(format string, args ...any) {
		if strings.Contains(format, "asking ssh -G") {
			asked.Add(1)
		}
	}}
}

// ssh is what `ssh -G` prints: each keyword with its lines.
func (w *world) ssh(req Request) (map[string][]string, error) {
	cmd := exec.Command("ssh", req.arguments()...)
	for k, v := range w.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return sshSays(cmd)
}

func sshSays(cmd *exec.Cmd) (map[string][]string, error) {
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, stderr.String())
	}
	says := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		k, v, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		k = strings.ToLower(k)
		says[k] = append(says[k], v)
	}
	return says, nil
}

// host is the Host that follows from what ssh -G prints.
//
// Differs on purpose, and is made alike here:
//   - -G prints identity and certificate files, ProxyCommand and the global
//     known_hosts files unexpanded; they are expanded here, by other means than
//     in the package.
//   - ~ in ssh is passwd's home whatever $HOME says; in the package it is
//     Resolver.Home.
//   - id_xmss and id_dsa, the last of ssh's default identities, are left out.
//   - -G prints all defaults; an unset list of algorithms is nil in Host.
//
// Differs on purpose, and is tested on its own: %j, and the jump host in %C, are
// those of OpenSSH 9.6; a bad token in a file or in ProxyCommand is an error
// here, and in ssh, but not in ssh -G; a keyword that only newer or patched
// versions of ssh know is taken; a name that is set but empty in ${} is not set.
func (w *world) host(req Request, says map[string][]string, home string) *Host {
	one := func(k string) string {
		if len(says[k]) == 0 {
			return ""
		}
		return says[k][0]
	}
	yes := func(k string) bool { return slices.Contains([]string{"yes", "true", "unbound", "host-bound"}, one(k)) }
	list := func(k, sep, none string) []string {
		if one(k) == "" || one(k) == none {
			return nil
		}
		return strings.Split(one(k), sep)
	}
	h := &Host{
		Alias:                    req.Host,
		HostName:                 one("hostname"),
		User:                     one("user"),
		IdentitiesOnly:           yes("identitiesonly"),
		ProxyJump:                one("proxyjump"),
		HostKeyAlias:             one("hostkeyalias"),
		KnownHostsCommand:        one("knownhostscommand"),
		HashKnownHosts:           yes("hashknownhosts"),
		BatchMode:                yes("batchmode"),
		PubkeyAuthentication:     yes("pubkeyauthentication"),
		PasswordAuthentication:   yes("passwordauthentication"),
		KbdInteractive:           yes("kbdinteractiveauthentication"),
		AddressFamily:            one("addressfamily"),
		BindAddress:              one("bindaddress"),
		BindInterface:            one("bindinterface"),
		PreferredAuthentications: list("preferredauthentications", ",", ""),
	}
	h.Port, _ = strconv.Atoi(one("port"))
	h.StrictHostKeyChecking = map[string]string{"true": "yes", "false": "no", "ask": "ask", "accept-new": "accept-new"}[one("stricthostkeychecking")]
	h.PasswordPrompts, _ = strconv.Atoi(one("numberofpasswordprompts"))
	if n, err := strconv.Atoi(one("connecttimeout")); err == nil {
		h.ConnectTimeout = time.Duration(n) * time.Second
	}

	alias := h.HostKeyAlias
	if alias == "" {
		alias = req.Host
	}
	hostname, _ := os.Hostname()
	short, _, _ := strings.Cut(hostname, ".")
	tokens := []string{"%%", "%", "%h", h.HostName, "%n", req.Host, "%p", one("port"), "%r", h.User, "%k", alias}
	proxyTokens := strings.NewReplacer(tokens...)
	tokens = append(tokens, "%u", w.passwd.Username, "%d", home, "%i", w.passwd.Uid, "%l", hostname, "%L", short)
	for k, v := range w.env {
		tokens = append(tokens, "${"+k+"}", v)
	}
	allTokens := strings.NewReplacer(tokens...)
	tilde := func(s string) string {
		if s == "~" || strings.HasPrefix(s, "~/") {
			s = home + "/" + strings.TrimLeft(s[1:], "/")
		}
		return s
	}

	const defaults = "~/.ssh/id_rsa ~/.ssh/id_ecdsa ~/.ssh/id_ecdsa_sk ~/.ssh/id_ed25519 ~/.ssh/id_ed25519_sk"
	identities := says["identityfile"]
	set := !strings.HasPrefix(strings.Join(identities, " "), defaults)
	for _, f := range identities {
		if strings.ToLower(f) != "none" && (set || !strings.HasSuffix(f, "_xmss") && !strings.HasSuffix(f, "_dsa")) {
			h.IdentityFiles = append(h.IdentityFiles, allTokens.Replace(tilde(f)))
		}
	}
	for _, f := range says["certificatefile"] {
		h.CertificateFiles = append(h.CertificateFiles, allTokens.Replace(tilde(f)))
	}
	for _, f := range list("userknownhostsfile", " ", "none") {
		if rest, ok := strings.CutPrefix(f, w.passwd.HomeDir+"/"); ok {
			f = home + "/" + rest
		}
		h.UserKnownHostsFiles = append(h.UserKnownHostsFiles, f)
	}
	for _, f := range list("globalknownhostsfile", " ", "none") {
		h.GlobalKnownHostsFiles = append(h.GlobalKnownHostsFiles, tilde(f))
	}
	for _, f := range list("revokedhostkeys", " ", "none") {
		h.RevokedHostKeys = append(h.RevokedHostKeys, allTokens.Replace(tilde(f)))
	}
	if h.RequiredRSASize = 1024; one("requiredrsasize") != "" { // before OpenSSH 9.1 there was none
		h.RequiredRSASize, _ = strconv.Atoi(one("requiredrsasize"))
	}
	if c := one("proxycommand"); c != "" && c != "none" {
		h.ProxyCommand = proxyTokens.Replace(c)
	}
	switch agent := one("identityagent"); {
	case agent == "" || agent == "SSH_AUTH_SOCK":
		h.IdentityAgent = w.env["SSH_AUTH_SOCK"]
	case agent == "none":
	case agent[0] == '$':
		h.IdentityAgent = w.env[agent[1:]]
	case strings.HasPrefix(agent, w.passwd.HomeDir+"/"):
		h.IdentityAgent = home + strings.TrimPrefix(agent, w.passwd.HomeDir)
	default:
		h.IdentityAgent = agent
	}
	algorithms := func(k string) []string {
		if one(k) == sshDefaults(k) {
			return nil
		}
		if one(k) == "" {
			return []string{}
		}
		return strings.Split(one(k), ",")
	}
	h.HostKeyAlgorithms = algorithms("hostkeyalgorithms")
	h.PubkeyAcceptedAlgorithms = algorithms("pubkeyacceptedalgorithms")
	h.KexAlgorithms, h.Ciphers, h.MACs = algorithms("kexalgorithms"), algorithms("ciphers"), algorithms("macs")
	return h
}

// sshDefaults is what ssh -G prints for a list that nobody has set.
func sshDefaults(keyword string) string {
	return strings.Join(plainSSH()[keyword], "")
}

var plainSSH = sync.OnceValue(func() map[string][]string {
	says, _ := sshSays(exec.Command("ssh", "-T", "-G", "-F", "none", "pi"))
	return says
})

// alike are two lists of algorithms, ours without those that the ssh here
// lacks. Where all its default ciphers are in a list, their order is that of its
// version.
func alike(k *keyword, ours, theirs []string) ([]string, []string) {
	defaults := strings.Split(sshDefaults(k.name), ",")
	if ours == nil { // the same as the default may be written down
		ours = k.algorithms.defaults
	}
	if theirs == nil {
		theirs = defaults
	}
	ours = slices.DeleteFunc(slices.Clone(ours), func(a string) bool {
		return slices.Contains(k.algorithms.newer, a) && !slices.Contains(defaults, a)
	})
	if k.name == "ciphers" && !slices.ContainsFunc(defaults, func(a string) bool { return !slices.Contains(theirs, a) }) {
		ours, theirs = slices.Sorted(slices.Values(ours)), slices.Sorted(slices.Values(theirs))
	}
	return ours, theirs
}

// differences lists the fields that are not alike.
func differences(got, want *Host) []string {
	var list []string
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		name := g.Type().Field(i).Name
		if !g.Type().Field(i).IsExported() {
			continue
		}
		a, b := g.Field(i).Interface(), w.Field(i).Interface()
		switch {
		case name == "Sources", name == "SetTwice":
		case keywords()[strings.ToLower(name)] != nil && keywords()[strings.ToLower(name)].kind == takesAlgorithms:
			if ours, theirs := alike(keywords()[strings.ToLower(name)], a.([]string), b.([]string)); !slices.Equal(ours, theirs) {
				list = append(list, fmt.Sprintf("%s: %q, ssh has %q", name, a, b))
			}
		case fmt.Sprintf("%q", a) != fmt.Sprintf("%q", b):
			list = append(list, fmt.Sprintf("%s: %q, ssh has %q", name, a, b))
		}
	}
	return list
}

// compare lets the package and ssh -G answer the same request; both must
// refuse it or both give the same Host. It reports whether ssh was asked.
func (w *world) compare(t *testing.T, r *Resolver, req Request, home string) {
	t.Helper()
	got, err := r.Resolve(context.Background(), req)
	says, sshErr := w.ssh(req)
	if (err != nil) != (sshErr != nil) {
		t.Errorf("%s: our error: %v\nssh's error: %v", req.Host, err, sshErr)
		return
	}
	if err != nil {
		return
	}
	for _, d := range differences(got, w.host(req, says, home)) {
		t.Errorf("%s: %s", req.Host, d)
	}
}

// corpus are configurations that ssh and the package must take alike. Lists of
// algorithms are those of OpenSSH 9.2; 10.0 has no DSA any more.
var corpus = []struct {
	name   string
	config string
	hosts  string  // "pi web" if empty
	req    Request // what else is on the command line
	asks   bool    // ssh must be asked
}{
	{name: "nothing", config: ""},
	{name: "comments", config: "# a\n\n   # b\n\t\nPort 23 # c\nUser \"#x\" # d\n"},
	{name: "case of keywords", config: "hOsT pi\n  POrt 23\n  uSER x\n"},
	{name: "case of hosts", config: "Host PI\n Port 23\nHost pi\n Port 24\nHost *\n HostName %h.EXAMPLE.org", hosts: "pi PI Pi"},
	{name: "first wins", config: "Port 1\nPort 2\nUser a\nUser b\nHost pi\nPort 3\n"},
	{name: "equals", config: "Port=23\nUser = x\nHostName =y\nConnectTimeout= 5"},
	{name: "two equals", config: "User == x\n"},
	{name: "equals in a value", config: "IdentityFile a=b\nUser a=b"},
	{name: "leading equals", config: "= Port 23"},
	{name: "quoted keyword", config: "\"Port\" 23\n\"User\" \"x\"\n"},
	{name: "half quoted keyword", config: "Po\"rt\" 23\n"},
	{name: "keyword with open quote", config: "\"Port 23\nUser x\n"},
	{name: "quotes", config: "IdentityFile \"a b\"\nIdentityFile 'c d'\nIdentityFile a\\ b\nIdentityFile \"a\\\"b\"\nIdentityFile e\\\\f\nIdentityFile g\\h\nIdentityFile i\"j k\"l\n"},
	{name: "open quote", config: "User \"x\n"},
	{name: "open single quote", config: "User it's\n"},
	{name: "quote in comment", config: "User x # it's\n"},
	{name: "hash in a word", config: "User a#b\n"},
	{name: "CRLF", config: "Port 23\r\nUser x\r\nHost pi\r\n  HostName y\r\n"},
	{name: "CR in the middle", config: "User a\rb\n"},
	{name: "form feed at the end", config: "Port 23\f\nUser x \f \n"},
	{name: "form feed at the start", config: "\fPort 23\n"},
	{name: "NUL", config: "Port 23\x00 24\nUs\x00er x\n"},
	{name: "BOM", config: "\xef\xbb\xbfPort 23\n"},
	{name: "no newline at the end", config: "Port 23\nUser x"},
	{name: "tabs", config: "\tHost\tpi\tweb\n\t\tPort\t\t23\t\n"},
	{name: "not UTF-8", config: "User \xff\xfe\nHost \xc4\nPort 3"},
	{name: "patterns", config: "Host p?\nPort 23\nHost *.example.org\nPort 24\nHost w*b\nPort 25\nHost ***\nUser z\n", hosts: "pi web a.example.org example.org wb ppi"},
	{name: "negation", config: "Host * !web\nPort 23\nHost !pi\nPort 24\nHost !pi *\nUser notpi\n"},
	{name: "negation goes on", config: "Host !web web\nPort 23\nHost pi !web\nPort 24\n"},
	{name: "host without argument", config: "Host\nPort 23\n"},
	{name: "host with empty argument", config: "Host \"\"\nPort 23\n"},
	{name: "host with only a comment", config: "Port 22\nHost # pi\nUser x\n"},
	{name: "comma in host", config: "Host pi,web\nPort 23\n"},
	{name: "match all", config: "Match all\nPort 23\nMatch !all\nUser x\n"},
	{name: "match host", config: "Match host pi\nPort 23\nMatch host web,p*\nUser x\nMatch !host pi\nHostName other\n"},
	{name: "match host with a negated pattern", config: "Match host *,!pi\nPort 23\n"},
	{name: "match host ignores case", config: "Match host PI\nPort 23\nMatch originalhost Pi\nUser x\n", hosts: "pi PI"},
	{name: "match host sees HostName", config: "HostName real-%h\nMatch host real-pi\nPort 23\nMatch originalhost pi\nUser x\n"},
	{name: "match user", config: "Match user bob\nPort 23\nMatch user !root,*\nPort 24\n"},
	{name: "match user of the command line", config: "Match user bob\nPort 23\n", req: Request{User: "bob"}},
	{name: "match user set before", config: "User bob\nMatch user bob\nPort 23\n"},
	{name: "match localuser", config: "Match localuser root\nPort 23\nMatch !localuser root\nPort 24\n"},
	{name: "match several", config: "Match host pi user bob\nPort 23\nMatch user bob originalhost pi !host web\nUser x\nMatch host pi !user alice\nPort 24"},
	{name: "match with equals", config: "Match host=pi user=root\nPort 23\n"},
	{name: "match with a comment", config: "Match host pi # not web\nPort 23\nMatch all # yes\nUser x\n"},
	{name: "match with quotes", config: "Match host \"pi\"\nPort 23\nMatch \"host\" \"pi,web\"\nUser x\n"},
	{name: "match nothing", config: "Match\nPort 23\n"},
	{name: "match nothing but a comment", config: "Match # x\nPort 23\n"},
	{name: "match unknown", config: "Match hosts pi\nPort 23\n"},
	{name: "match without argument", config: "Match host\nPort 23\n"},
	{name: "match all with others", config: "Match all host pi\nPort 23\n"},
	{name: "match others with all", config: "Match host pi all\nPort 23\n"},
	{name: "match many with all", config: "Match host pi user x all\nPort 23\n"},
	{name: "match final", config: "Host real\nPort 24\nHost pi\nHostName real\nMatch final host real\nUser x\nMatch final\nConnectTimeout 5\n"},
	{name: "match final adds files", config: "IdentityFile a\nHostName Real\nHost real\nIdentityFile b\nMatch final\nIdentityFile c\nHostName other\nIdentityFile a"},
	{name: "match canonical", config: "Match canonical\nPort 23\nMatch !canonical\nUser x\n"},
	{name: "match canonical in a final pass", config: "Match final all\nUser y\nMatch canonical\nPort 23\n"},
	{name: "match canonical all", config: "Match canonical all\nPort 23\n"},
	{name: "match not final", config: "Match !final\nPort 23\n", asks: true},
	{name: "match exec", config: "Match exec true\nPort 23\nMatch exec false\nUser x\nMatch exec \"test %h = pi\"\nUser y\n", asks: true},
	{name: "match exec elsewhere", config: "Match host nowhere exec \"touch /nowhere\"\nPort 23\nMatch user nobody-here exec false\nPort 24\n"},
	{name: "match exec not", config: "Match !exec false\nPort 23\n", asks: true},
	{name: "match exec sets files", config: "Match exec true\nIdentityFile ~/x%%y\nCertificateFile c-%h\nProxyJump u@j:2\nIdentityAgent ~/a\nStrictHostKeyChecking no\nUserKnownHostsFile /k-%h /l\nGlobalKnownHostsFile none\nHostKeyAlgorithms ^ssh-rsa\nConnectTimeout 9\nHostKeyAlias ALIAS\nPreferredAuthentications publickey\n", asks: true},
	{name: "match version", config: "Match version OpenSSH*\nPort 23\n", asks: true},
	{name: "match with single quotes", config: "Match host 'pi'\nPort 23\n", asks: true},
	{name: "canonicalize", config: "CanonicalizeHostname yes\nCanonicalDomains invalid\nMatch canonical\nPort 23\n", asks: true},
	{name: "canonicalize, but there is a proxy", config: "CanonicalizeHostname yes\nProxyCommand x\nMatch canonical\nPort 23\n", asks: true},
	{name: "canonicalize no", config: "CanonicalizeHostname no\nCanonicalDomains example.org\nCanonicalizeMaxDots 2\nCanonicalizeFallbackLocal no\n"},
	{name: "hostname", config: "Host pi\nHostName %h.Example.ORG\nHost web\nHostName 100%%.x\n"},
	{name: "hostname with a bad token", config: "HostName %x\n"},
	{name: "hostname with a bad token in match", config: "HostName %x\nMatch host pi\n"},
	{name: "hostname with % at the end", config: "HostName a%\n"},
	{name: "addresses", config: "", hosts: "127.0.0.1 127.1 0x7f.1 0177.0.0.1 1 10 1.2.3.4.5 256.1.1.1 08.1.1.1 ::1 0:0:0:0:0:0:0:1 2001:DB8::A 2001:DB8:0::A ::ffff:1.2.3.4 a:b fe80::1 0xAg 1. 4294967295 4294967296"},
	{name: "addresses, inet", config: "AddressFamily inet\n", hosts: "127.1 ::1 0:0:0:0:0:0:0:1 A.b"},
	{name: "addresses, inet6", config: "AddressFamily inet6\n", hosts: "127.1 0X7f.1 ::1 0:0:0:0:0:0:0:1 A.b"},
	{name: "hostname is an address", config: "HostName 127.1\nIdentityFile %h-%n\n"},
	{name: "ports", config: "Host pi\nPort +2200\nHost web\nPort \" 22\"\nHost a\nPort ssh\n", hosts: "pi web a"},
	{name: "port 0", config: "Port 0\n"},
	{name: "port too large", config: "Port 65536\n"},
	{name: "port no number", config: "Port no-such-service\n"},
	{name: "bad value in another block", config: "Host other\nPort x\n"},
	{name: "port of the command line", config: "Port 1\n", req: Request{Port: 2}},
	{name: "missing argument", config: "User\n"},
	{name: "missing argument after equals", config: "User =\n"},
	{name: "empty argument", config: "User \"\"\n"},
	{name: "argument in a comment", config: "User # x\n"},
	{name: "two arguments", config: "User a b\n"},
	{name: "unknown keyword", config: "Colour red\n"},
	{name: "unknown keyword elsewhere", config: "Host other\nColour red\n"},
	{name: "unknown keyword ignored", config: "IgnoreUnknown c*,d*\nColour red green\nDrink \"wine\nPort 23\n"},
	{name: "unknown keyword ignored 2", config: "IgnoreUnknown C*,use*\nColour red green\nUseKeychain yes\nPort 23\n", asks: true},
	{name: "unknown keyword ignored too late", config: "Colour red\nIgnoreUnknown *\n"},
	{name: "unknown keyword ignored for others", config: "Host other\nIgnoreUnknown *\nHost *\nColour red\n", hosts: "pi other"},
	{name: "unknown keyword ignored on the command line", config: "Colour red\n", req: Request{Options: []string{"IgnoreUnknown=colour"}}},
	{name: "passed by", config: "Protocol 2\nCipher x\nSendEnv LANG LC_*\nHashKnownHosts yes\nForwardAgent yes\nLocalForward 1 a:2\nKbdInteractiveDevices x\nSetEnv A=b\nUseRoaming no\nRSAAuthentication yes\n"},
	{name: "passed by, if ssh takes it", config: "ForwardAgent ~/x\nIPQoS af21 cs1\nRekeyLimit 1G 1h\n", asks: true},
	{name: "passed by, if ssh took it", config: "Host other\nIPQoS x\n", asks: true},
	{name: "flags", config: "IdentitiesOnly TRUE\nBatchMode yes\nHashKnownHosts True\nPasswordAuthentication false\nKbdInteractiveAuthentication No\nPubkeyAuthentication unbound\n"},
	{name: "old names", config: "ChallengeResponseAuthentication no\nDSAAuthentication no\nPubkeyAcceptedKeyTypes ssh-ed25519\nIdentityFile2 x\nKeepAlive no\nSkeyAuthentication yes"},
	{name: "bad flag", config: "BatchMode maybe\n"},
	{name: "bad flag of another's", config: "ForwardX11 maybe\n"},
	{name: "bad number of another's", config: "ServerAliveCountMax x\n"},
	{name: "strict", config: "Host a\nStrictHostKeyChecking yes\nHost b\nStrictHostKeyChecking off\nHost c\nStrictHostKeyChecking Accept-New\nHost d\nStrictHostKeyChecking ask\nHost e\nStrictHostKeyChecking true\n", hosts: "a b c d e f"},
	{name: "timeouts", config: "Host a\nConnectTimeout 1h30m\nHost b\nConnectTimeout 1w2d3h4m5s\nHost c\nConnectTimeout 0\nHost d\nConnectTimeout none\nHost e\nConnectTimeout \"1m 5\"\nHost f\nConnectTimeout +5S\nHost *\nConnectTimeout 77\n", hosts: "a b c d e f g"},
	{name: "timeout without sense", config: "ConnectTimeout 5x\n"},
	{name: "timeout too large", config: "ConnectTimeout 2147483648\n"},
	{name: "timeout too large with unit", config: "ConnectTimeout 4000w\n"},
	{name: "timeout negative", config: "ConnectTimeout -1\n"},
	{name: "identity files", config: "IdentityFile ~/.ssh/a\nIdentityFile b\nIdentityFile ~/.ssh/a\nHost pi\nIdentityFile /c\n"},
	{name: "identity file none", config: "IdentityFile None\n"},
	{name: "identity file none and another", config: "IdentityFile none\nIdentityFile x\n"},
	{name: "identity file two arguments", config: "IdentityFile a b\n"},
	{name: "identity files of the command line", config: "IdentityFile b\n", req: Request{Options: []string{"IdentityFile=a", "IdentityFile ~/c", "identityfile=b", "identityfile=a"}}},
	{name: "many identity files", config: strings.Repeat("IdentityFile x\n", 200) + many("IdentityFile", 100)},
	{name: "too many identity files", config: many("IdentityFile", 101)},
	{name: "certificate files", config: "CertificateFile ~/a-%r\nCertificateFile none\n"},
	{name: "tokens", config: "HostName real\nPort 23\nUser bob\nHostKeyAlias Ali\nIdentityFile %d/%h-%n-%p-%r-%u-%i-%k-%%-%l-%L\nCertificateFile ${WHERE}/%h\nUserKnownHostsFile ~/k-%h-%n-%p-%r-%u-%i-%k-%%-%L ${WHERE}/x\nIdentityAgent ${WHERE}/%h-%r\nProxyCommand nc %h %p %n %r %k %%\n"},
	{name: "tilde", config: "IdentityFile ~\nIdentityFile ~/\nIdentityFile ~//a\nIdentityFile x~\nGlobalKnownHostsFile ~/g /h\nRevokedHostKeys /revoked\n"},
	{name: "known hosts files", config: "UserKnownHostsFile ~/a /b \"c\"\nUserKnownHostsFile d\nGlobalKnownHostsFile None\n"},
	{name: "bind", config: "Host pi\nBindAddress 127.0.0.2\nHost *\nBindAddress ::1\nBindInterface lo\n"},
	{name: "known hosts command", config: "Host pi\nKnownHostsCommand = /bin/cmd \"a b\" %H # no comment\nHost web\nKnownHostsCommand None\nHost *\nKnownHostsCommand cmd %x\n", hosts: "pi web other"},
	{name: "known hosts none", config: "UserKnownHostsFile none\nGlobalKnownHostsFile /a /b\n"},
	{name: "known hosts none and others", config: "UserKnownHostsFile none a\n"},
	{name: "known hosts others and none", config: "UserKnownHostsFile a none\n"},
	{name: "known hosts in a comment", config: "UserKnownHostsFile # a\nUserKnownHostsFile b\n"},
	{name: "too many known hosts", config: "UserKnownHostsFile " + strings.Repeat("a ", 33) + "\n"},
	{name: "too many known hosts elsewhere", config: "Host other\nUserKnownHostsFile " + strings.Repeat("a ", 33) + "\n"},
	{name: "agent", config: "Host a\nIdentityAgent none\nHost b\nIdentityAgent SSH_AUTH_SOCK\nHost c\nIdentityAgent $WHERE\nHost d\nIdentityAgent ~/sock\nHost e\nIdentityAgent ${WHERE}/s-%h\nHost f\nIdentityAgent \"/a b\"\nHost g\nIdentityAgent NONE\n", hosts: "a b c d e f g h"},
	{name: "agent in a variable that is not set", config: "IdentityAgent ${NOT_SET}/x\n"},
	{name: "agent in a variable that is not set, elsewhere", config: "Host other\nIdentityAgent ${NOT_SET}/x\n"},
	{name: "agent in a bad variable", config: "IdentityAgent $a-b\n"},
	{name: "agent in an open variable", config: "IdentityAgent ${a\n"},
	{name: "proxy command", config: "ProxyCommand   ssh -W \"%h\":%p 'gw' # not a comment\n"},
	{name: "proxy command with equals", config: "ProxyCommand = =nc %h %p\n"},
	{name: "proxy command none", config: "Host pi\nProxyCommand NONE\nHost *\nProxyCommand x\n"},
	{name: "proxy command with open quote", config: "ProxyCommand echo it's\n"},
	{name: "proxy jump", config: "Host a\nProxyJump gw\nHost b\nProxyJump u@gw:2222\nHost c\nProxyJump u@a:1,ssh://v@b:2,c\nHost d\nProxyJump ssh://u%40x@gw:22\nHost e\nProxyJump [::1]:22\nHost f\nProxyJump 10.0.0.1\nHost g\nProxyJump gw # comment\nHost h\nProxyJump gw:\n", hosts: "a b c d e f g h"},
	{name: "proxy jump none", config: "Host pi\nProxyJump none\nHost *\nProxyJump gw\n"},
	{name: "proxy jump none with a comment", config: "ProxyJump none # really\n"},
	{name: "proxy jump with blanks", config: "ProxyJump a, b\n"},
	{name: "proxy jump with a bad hop", config: "ProxyJump a,@b\n"},
	{name: "proxy jump with a bad port", config: "ProxyJump a:x\n"},
	{name: "proxy jump with a bad port elsewhere", config: "Host other\nProxyJump a:x\n"},
	{name: "proxy jump with a path", config: "ProxyJump ssh://a/b\n"},
	{name: "proxy jump with an open bracket", config: "ProxyJump [::1\n"},
	{name: "proxy jump without host", config: "ProxyJump u@\n"},
	{name: "proxy jump and slash", config: "ProxyJump a/b\n"},
	{name: "proxy jump uri address", config: "ProxyJump ssh://[::1]:22\n"},
	{name: "proxy jump uri with dot", config: "ProxyJump ssh://gw.:22/\n"},
	{name: "jump loop", config: "ProxyJump pi\n"},
	{name: "jump loop with port", config: "Port 23\nProxyJump pi:23\n"},
	{name: "no jump loop", config: "Port 23\nProxyJump pi\n"},
	{name: "no jump loop, another user", config: "ProxyJump someone@pi\n"},
	{name: "jump before command", config: "ProxyJump gw\nProxyCommand x\n"},
	{name: "command before jump", config: "ProxyCommand x\nProxyJump gw\n"},
	{name: "no command before jump", config: "ProxyCommand none\nProxyJump gw\n"},
	{name: "no jump before command", config: "ProxyJump none\nProxyCommand x\n", asks: true},
	{name: "jump of the command line", config: "ProxyCommand x\n", req: Request{Jump: "gw,u@gw2:7"}},
	{name: "no jump of the command line", config: "ProxyJump gw\nProxyCommand x\n", req: Request{Jump: "none"}, asks: true},
	{name: "algorithms added", config: "HostKeyAlgorithms +ssh-rsa,webauthn*\nPubkeyAcceptedAlgorithms +ssh-rsa*\n"},
	{name: "algorithms taken away", config: "HostKeyAlgorithms -*cert*,ecdsa*\nPubkeyAcceptedAlgorithms -*,!ssh-ed25519\n"},
	{name: "algorithms first", config: "HostKeyAlgorithms ^ssh-ed25519,rsa-sha2-512\nPubkeyAcceptedAlgorithms ^ssh-rsa,*nistp*\n"},
	{name: "algorithms replaced", config: "HostKeyAlgorithms ssh-ed25519,ssh-ed25519\nPubkeyAcceptedAlgorithms *ed25519*,*\n"},
	{name: "algorithms with an empty one", config: "HostKeyAlgorithms ssh-ed25519,,x\n"},
	{name: "algorithms negated", config: "HostKeyAlgorithms !ssh-dss,*\n"},
	{name: "algorithms unknown", config: "HostKeyAlgorithms ssh-ed25519,x\n", asks: true},
	{name: "algorithms unknown to take away", config: "HostKeyAlgorithms -x\n"},
	{name: "algorithms by their short name", config: "HostKeyAlgorithms ED25519,ssh-rsa\n", asks: true},
	{name: "algorithms unknown elsewhere", config: "Host other\nHostKeyAlgorithms x\n", asks: true},
	{name: "ciphers", config: "Host pi\nCiphers aes256-gcm@openssh.com,aes128-cbc,aes256-gcm@openssh.com\nHost *\nCiphers +3des-cbc\n"},
	{name: "ciphers unknown elsewhere", config: "Host other\nCiphers x\n", asks: true},
	{name: "ciphers without wildcards", config: "Ciphers aes*\n", asks: true},
	{name: "ciphers taken away", config: "Ciphers -aes*,!aes128-ctr\n"},
	{name: "ciphers first", config: "Ciphers ^aes256-ctr\n"},
	{name: "key exchanges", config: "KexAlgorithms diffie-hellman-group14-sha1,curve25519-sha256,,x\n"},
	{name: "key exchanges added", config: "KexAlgorithms +diffie-hellman-group1-sha1\nKexAlgorithms curve25519-sha256\n"},
	{name: "key exchanges taken away", config: "KexAlgorithms -sntrup*,ecdh*,diffie*\n"},
	{name: "key exchanges first", config: "KexAlgorithms ^ecdh-sha2-nistp521,curve25519-sha256\n"},
	{name: "key exchanges all taken away", config: "KexAlgorithms -*\n"},
	{name: "key exchanges of OpenSSH 9.9", config: "Host other\nKexAlgorithms mlkem768x25519-sha256\n", asks: true},
	{name: "MACs", config: "Host pi\nMACs hmac-sha2-512,umac-64@openssh.com\nHost *\nMACs ^hmac-sha2-512\n"},
	{name: "MACs added and taken away", config: "Host pi\nMACs +hmac-md5\nHost *\nMACs -*etm*,hmac-sha1\n"},
	{name: "MACs of the command line", config: "MACs hmac-sha1\n", req: Request{Options: []string{"MACs=hmac-sha2-256"}}},
	{name: "algorithms beside what ssh is asked", config: "Match exec true\nKexAlgorithms curve25519-sha256\nCiphers -aes*\n", asks: true},
	{name: "user with tokens", config: "User a%%b\n", asks: true},
	{name: "user of options", config: "User a\n", req: Request{Options: []string{"user=b", "User c"}, User: "d"}},
	{name: "options", config: "Port 1\nBatchMode no\nStrictHostKeyChecking no", req: Request{Options: []string{"Port=2", "BatchMode yes", "StrictHostKeyChecking = accept-new", "ProxyCommand=nc -x %h %p", "ConnectTimeout=9"}}},
	{name: "options with blanks", config: "", req: Request{Options: []string{" Port 2 ", "identityfile = \"a b\"", ""}}},
	{name: "fdpass with a jump", config: "ProxyUseFdpass yes\nProxyJump gw\n"},
	{name: "fdpass alone", config: "ProxyUseFdpass yes\n"},
	{name: "include", config: "Include inc/a\nPort 23\n"},
	{name: "include later", config: "Port 23\nInclude inc/a\n"},
	{name: "include with wildcards", config: "Include inc/d/*.conf\n"},
	{name: "include with classes", config: "Include inc/d/[!2]*.conf inc/d/[2-3]*\n"},
	{name: "include nothing", config: "Include nowhere/* nowhere\nPort 23\n"},
	{name: "include in a host block", config: "Host pi\nInclude inc/a\nHost web\nInclude inc/d/*\n"},
	{name: "include with host blocks in a host block", config: "Host pi\nInclude inc/hosts\nUser after\n"},
	{name: "include with hosts", config: "Include inc/hosts\nUser after\n"},
	{name: "include in a match block", config: "Match host web\nInclude inc/hosts\nPort 99\n"},
	{name: "include with an error elsewhere", config: "Host other\nInclude inc/bad\n"},
	{name: "include itself", config: "Include inc/loop\n"},
	{name: "include itself elsewhere", config: "Host other\nInclude inc/loop\n"},
	{name: "include deep", config: "Include inc/deep/1\n"},
	{name: "include a folder", config: "Include inc\nPort 23\n"},
	{name: "include a dangling link", config: "Include inc/dangling\nPort 23\n"},
	{name: "include what others may write", config: "Include inc/open\nPort 23\n"},
	{name: "include what others may write, elsewhere", config: "Host other\nInclude inc/open\nPort 23\n"},
	{name: "include nothing at all", config: "Include \"\"\n"},
	{name: "include with ~", config: "Include ~/.ssh/inc/a ~nobody-here/x\n"},
	{name: "include sets IgnoreUnknown", config: "Include inc/ignore\nColour red\n"},
}

func many(keyword string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s f%d\n", keyword, i)
	}
	return b.String()
}

// includes are the files that the corpus includes.
func (w *world) includes(t testing.TB) {
	for name, text := range map[string]string{
		"a":           "User from-a\nPort 7\nIdentityFile a\n",
		"d/2.conf":    "User from-2\nIdentityFile 2\n",
		"d/10.conf":   "User from-10\nIdentityFile 10\n",
		"d/3.conf":    "Host web\nIdentityFile 3\n",
		"d/.9.conf":   "IdentityFile hidden\n",
		"d/4.txt":     "IdentityFile 4\n",
		"hosts":       "Host web\nPort 80\nUser web\nHost pi\nPort 31\nMatch all\nIdentityFile all\nMatch host other\n",
		"bad":         "Port x\n",
		"loop":        "Include inc/loop\n",
		"open":        "User open\n",
		"ignore":      "IgnoreUnknown col*\n",
		"deep/16":     "User deep\n",
		"deep/unused": "",
	} {
		w.write(t, ".ssh/inc/"+name, text)
	}
	for i := 1; i < 16; i++ {
		w.write(t, fmt.Sprintf(".ssh/inc/deep/%d", i), fmt.Sprintf("Include inc/deep/%d\nIdentityFile deep%d\n", i+1, i))
	}
	if err := os.Symlink("nowhere", filepath.Join(w.home, ".ssh/inc/dangling")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(w.home, ".ssh/inc/open"), 0o602); err != nil {
		t.Fatal(err)
	}
}

func TestCorpus(t *testing.T) {
	needSSH(t)
	w := newWorld(t)
	w.includes(t)
	for i, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.hosts == "" {
				c.hosts = "pi web"
			}
			var asked atomic.Int32
			r, home := w.resolver(&asked), w.home
			if c.asks { // ssh takes passwd's home for ~
				r.Home, home = "", w.passwd.HomeDir
			}
			for host := range strings.FieldsSeq(c.hosts) {
				req := c.req
				req.Host, req.ConfigFile = host, w.write(t, fmt.Sprintf("config%d", i), c.config)
				w.compare(t, r, req, home)
			}
			if c.asks != (asked.Load() > 0) {
				t.Errorf("asked ssh: %v, want %v", asked.Load() > 0, c.asks)
			}
			if t.Failed() {
				t.Logf("config:\n%s", c.config)
			}
		})
	}
}

// odd are files of few lines that ssh and the package must take, or refuse, alike.
var odd = []string{
	"Host\tpi\t# x\nPort 23", "Host pi #web\nPort 23", "Host=pi\nPort 23", "Host = pi web\nPort 23", "Host \"pi\"\nPort 23", "Host 'pi web'\nPort 23", "Host \"pi\"web\nPort 23", "Host pi\"web\nPort 23",
	"Host !pi\nPort 23", "Host ! pi\nPort 23", "Host pi !\nPort 23", "Host !\nPort 23", "Host !* *\nPort 23", "Host *?\nPort 23", "Host [p]i\nPort 23", "Host p\\i\nPort 23", "Host \\pi\nPort 23",
	"Match host pi,\nPort 23", "Match host ,pi\nPort 23", "Match host \"\"\nPort 23", "Match host !web\nPort 23", "Match host pi,!pi\nPort 23", "Match !host !pi\nPort 23", "Match host pi originalhost pi\nPort 23",
	"Match HOST pi\nPort 23", "Match Host=pi\nPort 23", "Match host = pi\nPort 23", "Match host= pi\nPort 23", "Match  host   pi  \nPort 23", "Match host pi,web user root\nPort 23", "Match user=root,bob\nPort 23",
	"Match all all\nPort 23", "Match final all\nPort 23", "Match all final\nPort 23", "Match canonical final\nPort 23", "Match !all\nPort 23", "Match ! all\nPort 23", "Match !!all\nPort 23", "Match host\tpi\nPort 23",
	"Match localuser root,!root\nPort 23", "Match localuser \"root\"\nPort 23", "Match user\nPort 23", "Match localnetwork 127.0.0.0/8\nPort 23", "Match localnetwork 10.0.0.0/8\nPort 23", "Match tagged x\nPort 23", "Match tagged \"\"\nPort 23", "Match sessiontype shell\nPort 23", "Match command x\nPort 23", "Match exec\nPort 23", "Match exec \"\nPort 23",
	"Match host pi#x\nPort 23", "Match host #pi\nPort 23", "Match host pi #x\nPort 23", "Match#x\nPort 23", "Match all#x\nPort 23",
	"Port 0x16", "Port 022", "Port 22 ", "Port 22#x", "Port \"22\"", "Port '22'", "Port 2 2", "Port -22", "Port 22.", "Port 99999999999999999999", "Port http", "Port HTTP",
	"User", "User ''", "User ' '", "User a b", "User 'a b'", "User a\\ b", "User \"a'b\"", "User ~", "User a@b", "User -x", "User a\tb", "User é",
	"HostName", "HostName ''", "HostName a b", "HostName %%", "HostName %n", "HostName [::1]", "HostName ::1", "HostName 1.2.3.4:22", "HostName -x", "HostName a/b", "HostName A.B.", "HostName %h%h", "HostName *",
	"IdentityFile", "IdentityFile ''", "IdentityFile ~", "IdentityFile $HOME/x", "IdentityFile ${HOME}", "IdentityFile ${HOME}/${WHERE}", "IdentityFile %d/%%d", "IdentityFile none\nIdentityFile none", "IdentityFile NONE\nIdentityFile a", "IdentityFile a\nIdentityFile none", "IdentityFile a # b", "IdentityFile a#b", "IdentityFile \"a\" \"b\"",
	"CertificateFile a b", "CertificateFile", "CertificateFile none",
	"IdentityAgent", "IdentityAgent ''", "IdentityAgent $", "IdentityAgent $1", "IdentityAgent $A_B", "IdentityAgent ${A_B}", "IdentityAgent none # x", "IdentityAgent a b", "IdentityAgent %d/x", "IdentityAgent ~/%u", "IdentityAgent ssh_auth_sock",
	"UserKnownHostsFile", "UserKnownHostsFile ''", "UserKnownHostsFile ~", "UserKnownHostsFile /dev/null", "UserKnownHostsFile %%", "UserKnownHostsFile %z", "UserKnownHostsFile ${WHERE}/%h x", "UserKnownHostsFile ${NOPE}", "UserKnownHostsFile NONE", "GlobalKnownHostsFile %h", "GlobalKnownHostsFile /dev/null",
	"ProxyCommand", "ProxyCommand ", "ProxyCommand none none", "ProxyCommand None", "ProxyCommand \"none\"", "ProxyCommand nc %h:%p # %r", "ProxyCommand a\nProxyCommand b", "ProxyCommand a\nProxyJump none", "ProxyJump a\nProxyCommand none",
	"ProxyJump", "ProxyJump ''", "ProxyJump a,", "ProxyJump ,a", "ProxyJump a,,b", "ProxyJump a b", "ProxyJump NONE", "ProxyJump none,a", "ProxyJump a,none", "ProxyJump -x", "ProxyJump a:0", "ProxyJump a:70000", "ProxyJump u:p@a", "ProxyJump u@v@a", "ProxyJump \"a\"", "ProxyJump ssh://a:22", "ProxyJump ssh://", "ProxyJump ssh://u@a/", "ProxyJump SSH://a", "ProxyJump scp://a", "ProxyJump [a]:2", "ProxyJump ::1", "ProxyJump [::1]", "ProxyJump ssh://[::1]", "ProxyJump pi:22", "ProxyJump root@pi", "ProxyJump %h", "ProxyJump a;b", "ProxyJump a$b",
	"HostKeyAlias", "HostKeyAlias A%h", "HostKeyAlias none", "HostKeyAlias \"a b\"",
	"ConnectTimeout", "ConnectTimeout ''", "ConnectTimeout none", "ConnectTimeout NONE", "ConnectTimeout 1.5", "ConnectTimeout 10 s", "ConnectTimeout 1s1s", "ConnectTimeout 5m5", "ConnectTimeout 1D", "ConnectTimeout +5", "ConnectTimeout 0s", "ConnectTimeout s", "ConnectTimeout 2147483647",
	"StrictHostKeyChecking", "StrictHostKeyChecking YES", "StrictHostKeyChecking Off", "StrictHostKeyChecking on", "StrictHostKeyChecking accept-New", "StrictHostKeyChecking yes no",
	"BatchMode", "BatchMode true", "BatchMode 1", "BatchMode on", "BatchMode yes # x", "BatchMode \"yes\"", "IdentitiesOnly maybe", "PubkeyAuthentication host-bound", "PubkeyAuthentication Unbound", "KbdInteractiveAuthentication yes\nChallengeResponseAuthentication no", "PasswordAuthentication",
	"PreferredAuthentications", "PreferredAuthentications ''", "PreferredAuthentications publickey,", "PreferredAuthentications publickey password", "PreferredAuthentications none",
	"PubkeyAcceptedAlgorithms", "PubkeyAcceptedAlgorithms ''", "PubkeyAcceptedAlgorithms +", "PubkeyAcceptedAlgorithms -", "PubkeyAcceptedAlgorithms ^", "PubkeyAcceptedAlgorithms *", "PubkeyAcceptedAlgorithms -*", "PubkeyAcceptedAlgorithms +*", "PubkeyAcceptedAlgorithms ssh-rsa,ssh-rsa", "PubkeyAcceptedAlgorithms SSH-RSA", "PubkeyAcceptedAlgorithms ssh-rsa ssh-dss", "HostKeyAlgorithms +ssh-ed25519", "HostKeyAlgorithms ^*", "HostKeyAlgorithms -ssh-ed25519,rsa*", "HostKeyAlgorithms ++ssh-rsa",
	"RequiredRSASize 2048", "RequiredRSASize x", "RequiredRSASize -1", "RequiredRSASize 99999999999", "RSAMinSize 3000",
	"AddressFamily INET", "AddressFamily inet4", "AddressFamily any any", "CanonicalizeHostname no\nCanonicalDomains", "CanonicalizeMaxDots x", "CanonicalizeHostname none", "CanonicalDomains a b c",
	"Include", "Include ''", "Include inc/a inc/d/2.conf", "Include inc/*", "Include \"inc/a\"", "Include inc/a # x", "Include ./inc/a", "Include ../x", "Include ~/x", "Include $WHERE/x", "Include inc/{a,b}", "Include inc/a\nInclude inc/a", "Include=inc/a",
	"IgnoreUnknown", "IgnoreUnknown *\nFoo", "IgnoreUnknown Foo,Bar\nfoo x\nBAR y", "IgnoreUnknown foo bar\nfoo x", "IgnoreUnknown !foo,*\nfoo x", "IgnoreUnknown f?o\nfoo \"x", "Foo", "Foo\nIgnoreUnknown foo", "IgnoreUnknown foo\nIgnoreUnknown bar\nbar 1", "Match host nope\nFoo", "Host nope\nIgnoreUnknown foo\nHost pi\nFoo 1",
	"Port\u00a022", "Port 22\v", "\vPort 22", "Port\v22", "Port 23\\\nUser x", "  \"Port\"  =  23  ", "Port==23", "Port= =23", "=Port 23", "Port,23", "Port;23", "Port:23", "port 23\rUser x", "\r\nPort 23\r\n\r\n", "Port 23\n\x00User x", "Port 23 \x00", "#\nPort 23\n#", "# \"\nPort 23", "Port 23 # \"", "Port 23 '#", "\xef\xbb\xbf# c\nPort 23", strings.Repeat("x", 5000), "User " + strings.Repeat("x", 3000), "#" + strings.Repeat("x", 9000) + "\nPort 23",
	"GSSAPIAuthentication maybe", "GSSAPIAuthentication yes", "VerifyHostKeyDNS maybe", "UpdateHostKeys ask", "ForwardAgent maybe", "ForwardAgent", "LocalForward x", "LocalForward 80", "DynamicForward x y", "RemoteForward 80", "SendEnv", "SetEnv x", "SetEnv A=b A=c", "Ciphers none", "Ciphers x", "Ciphers +x", "MACs hmac-sha2-256", "KexAlgorithms -*", "KexAlgorithms x", "RekeyLimit x", "RekeyLimit 1K", "EscapeChar xx", "EscapeChar none", "LogLevel LOUD", "IPQoS x", "ControlPersist x", "ControlPersist yes", "ControlMaster maybe", "Tunnel maybe", "TunnelDevice x", "RequestTTY maybe", "SessionType x", "Compression maybe", "Compression true", "ServerAliveInterval 5x", "NumberOfPasswordPrompts x", "NumberOfPasswordPrompts 1", "NumberOfPasswordPrompts 0", "NumberOfPasswordPrompts -1", "FingerprintHash x", "FingerprintHash md5", "PKCS11Provider", "AddKeysToAgent maybe", "AddKeysToAgent 5m", "AddKeysToAgent confirm 1h", "LogVerbose x", "CASignatureAlgorithms x", "CASignatureAlgorithms -x", "HostbasedAcceptedAlgorithms x", "StreamLocalBindMask 9", "PermitRemoteOpen x", "PermitRemoteOpen any", "EnableEscapeCommandline maybe", "ObscureKeystrokeTiming maybe", "ChannelTimeout x", "Tag x y", "RemoteCommand", "LocalCommand", "KnownHostsCommand", "KnownHostsCommand /x \"", "KnownHostsCommand none x", "CheckHostIP maybe", "NoHostAuthenticationForLocalhost yes", "Protocol 1", "Cipher", "UseKeychain yes", "XAuthLocation a b", "BindAddress", "BindAddress a b", "BindInterface lo",
}

func TestOdd(t *testing.T) {
	t.Parallel()
	needSSH(t)
	w := newWorld(t)
	w.includes(t)
	var asked atomic.Int32
	for i, config := range odd {
		t.Run(strconv.Quote(config[:min(len(config), 40)]), func(t *testing.T) {
			t.Parallel()
			w.compare(t, w.resolver(&asked), Request{Host: "pi", ConfigFile: w.write(t, fmt.Sprintf("odd%d", i), config+"\n")}, w.home)
		})
	}
}

// TestGenerated compares random configurations, made from pieces that meet
// each other: blocks that overlap, keywords that exclude each other.
func TestGenerated(t *testing.T) {
	t.Parallel()
	needSSH(t)
	w := newWorld(t)
	w.includes(t)
	random := rand.New(rand.NewPCG(9, 2))
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	pattern := func() string {
		return pick("pi", "web", "*", "p*", "?i", "!pi", "!web", "*.example.org", "real*", "PI")
	}
	criterion := func() string {
		return pick("", "!") + pick("host ", "originalhost ", "host=") + pick("pi", "web,p*", "*,!web", "\"real*\"", "PI")
	}
	line := func() string {
		switch random.IntN(24) {
		case 0:
			return "Port" + pick(" ", "=", " = ", "\t") + pick("22", "23", "2222", "\"24\"")
		case 1:
			return "User " + pick("bob", "\"a b\"", "root", "x#y", "z # w")
		case 2:
			return "HostName " + pick("real-%h", "%h.example.org", "Real", "10.0.0.1", "127.1")
		case 3, 4:
			return "IdentityFile " + pick("~/.ssh/%h", "none", "/k/%r@%n:%p", "'a b'", "${WHERE}/k", "~/.ssh/id_rsa")
		case 5:
			return "CertificateFile " + pick("~/c-%k", "d\\ e")
		case 6:
			return "ProxyJump " + pick("gw", "none", "u@gw:2,v@gw2", "[::1]:7", "ssh://w@gw", "pi", "real-pi")
		case 7:
			return "ProxyCommand " + pick("nc %h %p", "none", "x \"%n\" # %r")
		case 8:
			return "UserKnownHostsFile " + pick("~/k", "none", "/a-%h /b", "~/.ssh/known_hosts")
		case 9:
			return "GlobalKnownHostsFile " + pick("/g", "none", "~/g /h")
		case 10:
			return "StrictHostKeyChecking " + pick("yes", "no", "ask", "accept-new", "off", "true")
		case 11:
			return "ConnectTimeout " + pick("5", "none", "1m", "0", "1h5")
		case 12:
			return pick("BatchMode ", "IdentitiesOnly ", "HashKnownHosts ", "PubkeyAuthentication ", "PasswordAuthentication ", "KbdInteractiveAuthentication ") + pick("yes", "no", "TRUE")
		case 13:
			return "HostKeyAlgorithms " + pick("+ssh-rsa", "-ecdsa*", "^ssh-ed25519", "ssh-ed25519,rsa*", "*cert*")
		case 14:
			return "PubkeyAcceptedAlgorithms " + pick("+ssh-dss", "-*", "^rsa*", "ssh-ed25519")
		case 15:
			return "IdentityAgent " + pick("none", "SSH_AUTH_SOCK", "$WHERE", "~/s", "${WHERE}/%u")
		case 16:
			return "HostKeyAlias " + pick("Ali", "x")
		case 17:
			return "PreferredAuthentications " + pick("publickey", "publickey,password")
		case 18:
			return "AddressFamily " + pick("any", "inet", "inet6")
		case 19:
			return "Include " + pick("inc/a", "inc/hosts", "inc/d/*.conf", "nowhere")
		case 20, 21:
			return "Host " + pattern() + " " + pattern()
		case 22:
			return "Match " + pick("all", criterion(), criterion()+" "+criterion(), criterion()+" user bob", "user "+pick("root", "bob,!root"), "final", "final "+criterion(), "canonical", "!localuser nobody")
		default:
			return pick("# c", "", "IgnoreUnknown col*", "SendEnv LANG", "  \t", "ForwardX11 yes", "Colour red", "Port x", "User \"a", "Compression yes", "LocalForward 80 a:80")
		}
	}
	refused, asked := 0, atomic.Int32{}
	for i := range 150 {
		var config strings.Builder
		for range 3 + random.IntN(14) {
			l := line()
			// Mistakes end everything; most configurations have none.
			if random.IntN(4) > 0 && slices.Contains([]string{"Colour red", "Port x", "User \"a"}, l) {
				continue
			}
			config.WriteString(l + "\n")
		}
		req := Request{
			Host:       pick("pi", "web", "PI", "a.example.org", "real-pi", "127.1"),
			ConfigFile: w.write(t, fmt.Sprintf("config%d", i), config.String()),
		}
		switch random.IntN(6) {
		case 0:
			req.User = "bob"
		case 1:
			req.Port = 2022
		case 2:
			req.Jump = "u@first,second:3"
		case 3:
			req.Options = []string{pick("Port=9", "IdentityFile ~/o", "ProxyCommand=o %h", "HostName=real-%h", "User=o")}
		}
		r := w.resolver(&asked)
		before := asked.Load()
		got, err := r.Resolve(context.Background(), req)
		says, sshErr := w.ssh(req)
		if (err != nil) != (sshErr != nil) {
			t.Errorf("%+v:\n%sour error: %v\nssh's error: %v", req, config.String(), err, sshErr)
			continue
		}
		if err != nil {
			refused++
			continue
		}
		if asked.Load() > before {
			continue
		}
		for _, d := range differences(got, w.host(req, says, w.home)) {
			t.Errorf("%+v:\n%s%s", req, config.String(), d)
		}
	}
	// ProxyCommand after "ProxyJump none" is the one thing here to ask about.
	if refused > 50 || asked.Load() > 10 {
		t.Errorf("of 150, %d were refused and %d asked: too few are left to show anything", refused, asked.Load())
	}
}
