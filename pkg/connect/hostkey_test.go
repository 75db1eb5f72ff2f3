package connect

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// line is a line of known_hosts.
func line(name string, key ssh.PublicKey) string {
	return name + " " + string(ssh.MarshalAuthorizedKey(key))
}

// verdict is what became of a host key check: "known" if the server got to
// refuse us, the status of a HostKeyError, or another error.
func verdict(err error) string {
	var hostKey *HostKeyError
	var revocation *RevocationError
	switch {
	case err == nil, errors.Is(err, session.ErrDenied):
		return "known"
	case errors.As(err, &hostKey):
		return map[knownhosts.Status]string{knownhosts.Unknown: "unknown", knownhosts.Changed: "changed", knownhosts.Revoked: "revoked"}[hostKey.Status]
	case errors.As(err, &revocation):
		return "no revocation list"
	}
	return err.Error()
}

// What the known_hosts files say of a host, and ssh as the judge of it. The
// host has keys of three types, E, C and R; X and Y are others of the types of
// E and C.
func TestHostKeysAgreeWithSSH(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh", "ssh-keygen")
	s := newSide(t)
	var keys []ssh.Signer
	for _, keyType := range []string{"ed25519", "ecdsa", "rsa"} {
		keys = append(keys, sshtest.NewKey(t, t.TempDir(), keyType).Signer)
	}
	server := sshtest.StartPi(t, sshtest.PiConfig{HostKeys: keys})
	e, c, r := server.HostKeys[0], server.HostKeys[1], server.HostKeys[2]
	x := sshtest.NewKey(t, t.TempDir(), "ed25519").Signer.PublicKey()
	y := sshtest.NewKey(t, t.TempDir(), "ecdsa").Signer.PublicKey()
	name := fmt.Sprintf("[localhost]:%d", server.Port)
	missing, listed := filepath.Join(s.home, "missing"), s.file("listed", line("", x)[1:]+line("", e)[1:])
	folder := t.TempDir()
	global := s.file("global", line(name, e))
	s.env["HOME"] = s.home
	// What ssh and we call it with is kept, and is to be the same.
	command := func(name, script string) string {
		path := s.file(name, "#!/bin/sh\nprintf '%s\\n' \"$*\" >>"+filepath.Join(s.home, name)+".calls\n"+script+"\n")
		if err := os.Chmod(path, 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tells := func(name, lines string) string { return command(name, "cat "+s.file(name+".lines", lines)) }

	for i, tt := range []struct {
		name   string
		known  string
		config string // more of ssh_config
		want   string
		hash   bool // once more with ssh-keygen -H
	}{
		{"nothing", "", "", "unknown", false},
		{"E", line(name, e), "", "known", true},
		{"C alone is no change", line(name, c), "", "known", true},
		{"R alone is no change", line(name, r), "", "known", false},
		{"X", line(name, x), "", "changed", true},
		{"Y", line(name, y), "", "changed", false},
		{"X and E", line(name, x) + line(name, e), "", "known", true},
		{"X and C", line(name, x) + line(name, c), "", "changed", false},
		{"E without a newline", strings.TrimSpace(line(name, e)), "", "known", false},
		{"E with CR LF", strings.ReplaceAll(line(name, e), "\n", "\r\n"), "", "known", false},
		{"E after what cannot be read", "garbage\n\x00\n" + name + " ssh-ed25519 AAAA\n" + name + " ssh-mldsa44-ed25519 AAAA\n" + line(name, e), "", "known", false},
		{"E under upper case", line(strings.ToUpper(name), e), "", "known", false},
		{"E under a pattern", line("[local*]:*", e), "", "known", false},
		{"E but not here", line("[*]:*,!"+name, e), "", "unknown", false},
		{"E everywhere but at the port", line("*,!"+name, e), "", "known", false},
		{"E without the port", line("localhost", e), "", "known", true},
		{"X without the port", line("localhost", x), "", "unknown", false},
		{"E without the port, X with it", line("localhost", e) + line(name, x), "", "changed", false},
		{"E revoked", "@revoked " + line(name, e), "", "revoked", false},
		{"E known and revoked", line(name, e) + "@revoked " + line("*", e), "", "revoked", true},
		{"E revoked, C known", line(name, c) + "@revoked " + line(name, e), "", "known", false},
		{"another is revoked", line(name, e) + "@revoked " + line(name, x), "", "known", false},
		{"E revoked without the port", "@revoked " + line("localhost", e), "", "revoked", false},
		{"E without the port, with an alias", line("localhost", e), "HostKeyAlias pi-at-home", "unknown", false},
		{"E in the global file", "", "GlobalKnownHostsFile " + global, "known", false},
		{"X, E in the global file", line(name, x), "GlobalKnownHostsFile " + global, "known", false},
		{"a folder, E in the global file", "", "UserKnownHostsFile " + folder + "\nGlobalKnownHostsFile " + global, "known", false},
		{"no file, E in the global file", "", "UserKnownHostsFile " + missing + "\nGlobalKnownHostsFile " + global, "known", false},
		{"E under the alias", line("pi-at-home", e), "HostKeyAlias Pi-At-Home", "known", true},
		{"E under the name, with an alias", line(name, e), "HostKeyAlias pi-at-home", "unknown", false},
		{"X under the alias", line("pi-at-home", x) + line(name, e), "HostKeyAlias pi-at-home", "changed", false},
		{"E, asked for C", line(name, e), "HostKeyAlgorithms ecdsa-sha2-nistp256", "changed", false},
		{"E in RevokedHostKeys", line(name, e), "RevokedHostKeys " + listed, "revoked", false},
		{"no RevokedHostKeys", line(name, e), "RevokedHostKeys " + missing, "no revocation list", false},
		{"the key of an authority, as its own", "@cert-authority " + line(name, e), "", "unknown", false},
		{"E by a command", "", `KnownHostsCommand ` + tells("tells-e", line(name, e)) + ` %H "%I %t" %f %K %h %p %r '%%' ${HOME} # no comment`, "known", false},
		{"C by a command", "", `KnownHostsCommand ` + tells("tells-c", line(name, c)+line("localhost", c)) + ` %I %t`, "known", false},
		{"X by a command", "", "KnownHostsCommand " + tells("tells-x", line(name, x)), "changed", false},
		{"X in the file, E by a command", line(name, x), "KnownHostsCommand " + tells("tells-e2", line(name, e)), "known", false},
		{"E in the file, revoked by a command", line(name, e), "KnownHostsCommand " + tells("tells-r", "@revoked "+line(name, e)), "revoked", false},
		{"E by a command for another name", "", "KnownHostsCommand " + tells("tells-o", line("other", e)), "unknown", false},
		{"E without the port by a command", "", "KnownHostsCommand " + tells("tells-p", line("localhost", e)), "known", false},
		{"a command that fails", line(name, e), "KnownHostsCommand " + command("fails", "echo no >&2; exit 3"), "KnownHostsCommand failed: exit status 3: no", false},
		{"a command that fails at the key", line(name, e), "KnownHostsCommand " + command("fails-late", `test "$1" = ORDER`) + " %I", "KnownHostsCommand failed: exit status 1", false},
		{"a command that is not there", line(name, e), "KnownHostsCommand " + missing, "known", false},
		{"a command without its path", line(name, e), "KnownHostsCommand true", "known", false},
		{"a command that may not be run", line(name, e), "KnownHostsCommand " + listed, "KnownHostsCommand failed", false},
		{"a command with a bad token", line(name, e), "KnownHostsCommand " + command("bad", "true") + " %x", "unknown token", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &side{t: t, home: s.home, key: s.key, env: s.env} // the tests share all files but these
			known := s.file(fmt.Sprintf("known-%d", i), tt.known)
			config := s.file(fmt.Sprintf("config-%d", i), strings.Join([]string{tt.config, "Host pi", "HostName localhost",
				fmt.Sprint("Port ", server.Port), "UserKnownHostsFile " + known, "GlobalKnownHostsFile none", "AddressFamily inet", ""}, "\n"))
			judge := func(pass string) {
				c := s.connector(Options{})
				c.opt.ConfigFile = config
				_, _, err := s.resolve(c, "pi").Login(t.Context(), Plan{})
				got := verdict(err)
				calls := s.calls(tt.config)
				if got != tt.want && !strings.Contains(got, tt.want) {
					t.Errorf("%s: %s, want %s: %v", pass, got, tt.want, err)
				}
				if out := s.sshVerdict(config); (got == "known") != (out == "known") || (got == "changed") != (out == "changed") {
					t.Errorf("%s: we say %s, ssh says %s", pass, got, out)
				}
				// Before 9.6, ssh forgot the port where it asked for the order.
				if ssh := strings.ReplaceAll(s.calls(tt.config), "localhost ORDER", name+" ORDER"); ssh != calls {
					t.Errorf("%s: our calls of the command\n%s\nand ssh's\n%s", pass, calls, ssh)
				}
			}
			judge("as it is")
			if tt.want == "known" && strings.Contains(tt.config, folder) && !strings.Contains(s.noted(), folder) {
				t.Errorf("nothing is said of a file that cannot be read: %q", s.noted())
			}
			if !tt.hash {
				return
			}
			if out, err := sshtest.Command(t, s.home, "ssh-keygen", "-H", "-f", known).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			} else if data := s.read(filepath.Base(known)); !strings.Contains(data, "|1|") {
				t.Fatalf("not hashed: %s%s", out, data)
			}
			judge("hashed")
		})
	}
}

// calls are those of the KnownHostsCommand in a configuration, since it was
// last asked.
func (s *side) calls(config string) string {
	config, ok := strings.CutPrefix(config, "KnownHostsCommand /")
	if !ok {
		return ""
	}
	path, _, _ := strings.Cut(config, " ")
	path = "/" + path + ".calls"
	data, _ := os.ReadFile(path) // it may never have been called
	_ = os.Remove(path)
	return string(data)
}

// sshVerdict is what ssh makes of the host key of pi: "known" or "changed",
// or its words. It does not log in.
func (s *side) sshVerdict(config string, first ...string) string {
	s.t.Helper()
	cmd := sshtest.Command(s.t, s.home, "ssh", append(first, "-F", config, "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no",
		"-o", "BatchMode=yes", "-o", "PreferredAuthentications=none", "-o", "KexAlgorithms=curve25519-sha256", "pi", "true")...)
	out, err := cmd.CombinedOutput()
	switch text := string(out); {
	case err == nil:
		s.t.Fatal("ssh logs in by nothing")
	case strings.Contains(text, "Permission denied ("):
		return "known"
	case strings.Contains(text, "IDENTIFICATION HAS CHANGED"):
		return "changed"
	}
	return string(out)
}

// A real sshd with a host certificate, and ssh as the judge.
func TestHostCertificatesAgreeWithSSH(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh", "ssh-keygen", "sshd")
	s := newSide(t)
	ca, other := sshtest.NewKey(t, t.TempDir(), "ed25519"), sshtest.NewKey(t, t.TempDir(), "ed25519")
	authority, stranger := ca.Signer.PublicKey(), other.Signer.PublicKey()
	for _, tt := range []struct {
		name       string
		sign       []string // arguments of ssh-keygen -s
		principal  string
		known      func(name string, plain ssh.PublicKey) string
		config     string
		want       string
		wantReason string // in the trace
	}{
		{name: "good", principal: "localhost", want: "known",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, authority) }},
		{name: "good for all", principal: "localhost", want: "known",
			known: func(string, ssh.PublicKey) string { return "@cert-authority " + line("*", authority) }},
		{name: "one of several names", principal: "pi.local,localhost", want: "known",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, authority) }},
		{name: "another authority", principal: "localhost", want: "unknown",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, stranger) }},
		{name: "for another name", principal: "pi.local", want: "unknown", wantReason: "principal",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, authority) }},
		{name: "expired", principal: "localhost", sign: []string{"-V", "20200101:20200102"}, want: "unknown", wantReason: "expired",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, authority) }},
		{name: "not yet valid", principal: "localhost", sign: []string{"-V", "20400101:20400102"}, want: "unknown", wantReason: "not yet valid",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, authority) }},
		{name: "expired, the key inside known", principal: "localhost", sign: []string{"-V", "20200101:20200102"}, want: "known",
			known: func(name string, plain ssh.PublicKey) string {
				return "@cert-authority " + line(name, authority) + line(name, plain)
			}},
		{name: "no authority, the key inside known", principal: "localhost", want: "known",
			known: func(name string, plain ssh.PublicKey) string { return line(name, plain) }},
		{name: "authority revoked", principal: "localhost", want: "revoked",
			known: func(name string, _ ssh.PublicKey) string {
				return "@cert-authority " + line(name, authority) + "@revoked " + line("*", authority)
			}},
		{name: "key inside revoked", principal: "localhost", want: "revoked",
			known: func(name string, plain ssh.PublicKey) string {
				return "@cert-authority " + line(name, authority) + "@revoked " + line("*", plain)
			}},
		{name: "an alias", principal: "pi-at-home", config: "HostKeyAlias pi-at-home", want: "known",
			known: func(string, ssh.PublicKey) string { return "@cert-authority " + line("pi-at-home", authority) }},
		{name: "an alias, named by its address", principal: "localhost", config: "HostKeyAlias pi-at-home", want: "unknown", wantReason: "principal",
			known: func(string, ssh.PublicKey) string { return "@cert-authority " + line("pi-at-home", authority) }},
		{name: "a pattern", principal: "local*", want: "unknown", wantReason: "principal",
			known: func(name string, _ ssh.PublicKey) string { return "@cert-authority " + line(name, authority) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &side{t: t, home: t.TempDir(), key: s.key, env: s.env}
			if err := os.Mkdir(filepath.Join(s.home, ".ssh"), 0o700); err != nil {
				t.Fatal(err)
			}
			host := sshtest.NewKey(t, t.TempDir(), "ecdsa")
			args := append([]string{"-q", "-s", ca.File, "-h", "-I", "host", "-n", tt.principal}, tt.sign...)
			sshtest.Keygen(t, append(args, host.File+".pub")...)
			// Endpoint knows nothing of this host key; the lines here do.
			server := s.startSSHD(sshtest.SSHDConfig{Config: []string{"HostKey " + host.File, "HostCertificate " + host.File + "-cert.pub"}})
			known := tt.known(fmt.Sprintf("[localhost]:%d", server.Port), host.Signer.PublicKey())
			s.file(".ssh/known_hosts", known)
			s.config(strings.Replace(s.host("pi", server.Endpoint, "AddressFamily inet", tt.config), "127.0.0.1", "localhost", 1))
			_, _, err := s.resolve(s.connector(Options{}), "pi").Login(t.Context(), Plan{})
			got := verdict(err)
			if got != tt.want {
				t.Errorf("%s, want %s: %v", got, tt.want, err)
			}
			if out := s.sshVerdict(filepath.Join(s.home, ".ssh", "config")); (got == "known") != (out == "known") {
				t.Errorf("we say %s, ssh says %s", got, out)
			}
			if traces := strings.Join(s.traces, "\n"); !strings.Contains(traces, tt.wantReason) {
				t.Errorf("no %q in %s", tt.wantReason, traces)
			}
			if got := s.read(".ssh/known_hosts"); got != known {
				t.Errorf("known_hosts became %q", got)
			}
		})
	}
}

// What an authority has signed for another purpose, or with SHA-1, is no certificate of
// a host: whoever may log in would be a host to others. ssh is the judge here too.
func TestHostCertificatesOfNoHost(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh")
	key := func(keyType string) ssh.Signer { return sshtest.NewKey(t, t.TempDir(), keyType).Signer }
	sha1, err := ssh.NewSignerWithAlgorithms(key("rsa").(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		authority ssh.Signer
		kind      uint32
		names     []string
		want      string
	}{
		"a host":       {key("ed25519"), ssh.HostCert, []string{"localhost"}, "known"},
		"a user":       {key("ed25519"), ssh.UserCert, []string{"localhost"}, "unknown"},
		"SHA-1":        {sha1, ssh.HostCert, []string{"localhost"}, "unknown"},
		"RSA":          {key("rsa"), ssh.HostCert, []string{"localhost"}, "known"},
		"another host": {key("ed25519"), ssh.HostCert, []string{"nas"}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			host := key("ed25519")
			cert := &ssh.Certificate{Key: host.PublicKey(), CertType: tt.kind, ValidPrincipals: tt.names, ValidBefore: ssh.CertTimeInfinity}
			if err := cert.SignCert(rand.Reader, tt.authority); err != nil {
				t.Fatal(err)
			}
			signer, err := ssh.NewCertSigner(cert, host)
			if err != nil {
				t.Fatal(err)
			}
			pi := sshtest.StartPi(t, sshtest.PiConfig{HostKeys: []ssh.Signer{signer, host}})
			s := newSide(t)
			s.config(fmt.Sprintf("Host pi\nHostName localhost\nAddressFamily inet\nPort %d\nUser pi", pi.Port))
			s.file(".ssh/known_hosts", "@cert-authority "+line("*", tt.authority.PublicKey()))
			_, _, err = s.resolve(s.connector(Options{}), "pi").Login(t.Context(), Plan{})
			if got := verdict(err); got != tt.want {
				t.Errorf("%s, want %s: %v", got, tt.want, err)
			}
			if out := s.sshVerdict(filepath.Join(s.home, ".ssh", "config")); (out == "known") != (tt.want == "known") {
				t.Errorf("ssh says %s", out)
			}
		})
	}
}

// The two ways to trust a key: both write one line that ssh takes, and leave
// what is not theirs.
func TestTrust(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	key := pi.HostKeys[0]
	fp := identity.PublicOf(key).Fingerprint()
	wrong := sshtest.NewKey(t, t.TempDir(), "ed25519").Signer.PublicKey()
	name, address := fmt.Sprintf("[localhost]:%d", pi.Port), fmt.Sprintf("[127.0.0.1]:%d", pi.Port)
	acceptNew := []string{"StrictHostKeyChecking=accept-new"}
	const others = "# the household\n\nbad line\nnas ssh-ed25519 AAAA\r\n|1|x|y z\n@revoked * ssh-rsa AAAA\n"
	for _, tt := range []struct {
		name   string
		known  string
		opt    Options
		config string
		want   string // verdict
		after  string // of known_hosts; "+" for one line more than before
	}{
		{"accept-new", others, Options{Options: acceptNew}, "", "known", "+"},
		{"accept-new, no file yet", "", Options{Options: acceptNew}, "", "known", "+"},
		{"accept-new, the last line torn", others + "torn", Options{Options: acceptNew}, "", "known", others + "torn\n" + line(name, key)},
		{"accept-new, known", line(name, key), Options{Options: acceptNew}, "", "known", line(name, key)},
		{"accept-new, changed", others + line(name, wrong), Options{Options: acceptNew}, "", "changed", others + line(name, wrong)},
		{"accept-new, revoked", "@revoked " + line("*", key), Options{Options: acceptNew}, "", "revoked", "@revoked " + line("*", key)},
		{"accept-new, an alias", others, Options{Options: acceptNew}, "HostKeyAlias pi-at-home", "known", others + line("pi-at-home", key)},
		{"no, changed", line(name, wrong), Options{Options: []string{"StrictHostKeyChecking=no"}}, "", "changed", line(name, wrong)},
		{"right", others, Options{HostKey: fp}, "", "known", "+"},
		{"right and known", line(name, key), Options{HostKey: fp}, "", "known", line(name, key)},
		{"wrong", others, Options{HostKey: identity.PublicOf(wrong).Fingerprint()}, "", "unknown", others},
		{"wrong, and the one shown is known", line(name, key), Options{HostKey: identity.PublicOf(wrong).Fingerprint()}, "", "", line(name, key)},
		{"wrong beats accept-new", others, Options{HostKey: identity.PublicOf(wrong).Fingerprint(), Options: acceptNew}, "", "unknown", others},
		{"right, but revoked", "@revoked " + line("*", key), Options{HostKey: fp}, "", "revoked", "@revoked " + line("*", key)},
		{"right, changed", others + line(name, wrong) + line("nas", wrong), Options{HostKey: fp}, "", "known", others + line("nas", wrong) + line(name, key)},
		{"right, changed by name and address", line(name+","+address, wrong) + others, Options{HostKey: fp}, "", "known", others + line(name, key) + line(address, key)},
		{"right, changed on a line with others", line("nas,"+name, wrong), Options{HostKey: fp}, "", "known", line("nas", wrong) + line(name, key)},
		{"right, another key for the address alone", line(address, wrong), Options{HostKey: fp}, "", "known", line(name, key) + line(address, key)},
		{"right, known by address", line(address, key), Options{HostKey: fp}, "", "known", line(address, key) + line(name, key)},
	} {
		for _, hash := range []string{"no", "yes"} {
			if hash == "yes" && tt.after == tt.known {
				continue // nothing is written
			}
			t.Run(tt.name+", hash "+hash, func(t *testing.T) {
				t.Parallel()
				s := newSide(t)
				s.config(fmt.Sprintf("Host pi\nHostName localhost\nAddressFamily inet\nPort %d\nUser pi\nHashKnownHosts %s", pi.Port, hash), tt.config)
				path := filepath.Join(s.home, ".ssh", "known_hosts")
				if tt.known != "" {
					s.file(".ssh/known_hosts", tt.known)
				}
				_, _, err := s.resolve(s.connector(tt.opt), "pi").Login(t.Context(), Plan{})
				if got := verdict(err); got != tt.want {
					t.Fatalf("%s, want %s: %v", got, tt.want, err)
				}
				data, err := os.ReadFile(path)
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
				after := tt.after
				if after == "+" {
					after = tt.known + line(name, key)
				}
				if hash == "no" || after == tt.known {
					if string(data) != after {
						t.Fatalf("known_hosts is\n%q, want\n%q", data, after)
					}
				} else {
					// The lines that are not new stand as they were.
					for l := range strings.Lines(after) {
						if !strings.Contains(l, string(ssh.MarshalAuthorizedKey(key))) && !strings.Contains(string(data), l) {
							t.Errorf("%q is gone from %q", l, data)
						}
					}
					if n := strings.Count(after, "\n"); strings.Count(string(data), "\n") != n || strings.Contains(strings.TrimPrefix(string(data), tt.known), "localhost") {
						t.Errorf("known_hosts is\n%q, want %d lines", data, n)
					}
				}
				if tt.want != "known" {
					return
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%v, %v", info.Mode(), err)
				}
				if tt.after == tt.known {
					return // TestHostKeysAgreeWithSSH asks of the like
				}
				if out := s.sshVerdict(filepath.Join(s.home, ".ssh", "config")); out != "known" {
					t.Errorf("ssh does not take the line: %s", out)
				}
			})
		}
	}
}

// What the system's file says of a key is not ours to change, and where the user keeps
// none, none is kept.
func TestTrustElsewhere(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	key, wrong := pi.HostKeys[0], sshtest.NewKey(t, t.TempDir(), "ed25519").Signer.PublicKey()
	name := fmt.Sprintf("[localhost]:%d", pi.Port)
	for _, tt := range []struct{ name, global, files, after string }{
		{"changed in the global file", line(name, wrong), "~/known ~/more", line(name, key)},
		{"no file", "", "none", ""},
	} {
		s := newSide(t)
		global := s.file("global", tt.global)
		s.file("known", "")
		files := strings.ReplaceAll(tt.files, "~", s.home)
		s.config(fmt.Sprintf("Host pi\nHostName localhost\nAddressFamily inet\nPort %d\nUser pi\nUserKnownHostsFile %s\nGlobalKnownHostsFile %s", pi.Port, files, global))
		_, _, err := s.resolve(s.connector(Options{HostKey: identity.PublicOf(key).Fingerprint()}), "pi").Login(t.Context(), Plan{})
		if got := verdict(err); got != "known" {
			t.Errorf("%s: %s", tt.name, got)
		}
		if g, k := s.read("global"), s.read("known"); g != tt.global || k != tt.after {
			t.Errorf("%s: %q and %q", tt.name, g, k)
		}
		if said := strings.Contains(s.noted(), global+":1 has another key"); said != (tt.global != "") {
			t.Errorf("%s: %s", tt.name, s.noted())
		}
	}
}

// A key that accept-new trusts and that cannot be kept is trusted all the same, as by
// ssh; --host-key says that it is remembered.
func TestTrustUnkept(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	known := filepath.Join(s.home, "known_hosts")
	if err := os.Symlink(filepath.Join("not", "there"), known); err != nil {
		t.Fatal(err)
	}
	s.config(fmt.Sprintf("Host pi\nHostName localhost\nAddressFamily inet\nPort %d\nUser pi\nUserKnownHostsFile %s", pi.Port, known))
	for want, opt := range map[string]Options{
		"known":                    {Options: []string{"StrictHostKeyChecking=accept-new"}},
		"remembering the host key": {HostKey: identity.PublicOf(pi.HostKeys[0]).Fingerprint()},
	} {
		_, _, err := s.resolve(s.connector(opt), "pi").Login(t.Context(), Plan{})
		if got := verdict(err); !strings.Contains(got, want) || want == "known" && !strings.Contains(s.noted(), "remembering the host key: ") {
			t.Errorf("%s, want %s; %s", got, want, s.noted())
		}
	}
	if out := s.sshVerdict(filepath.Join(s.home, ".ssh", "config"), "-o", "StrictHostKeyChecking=accept-new"); out != "known" {
		t.Errorf("ssh says %s", out)
	}
	// A file that cannot be read may have another key of the host: that is not known.
	if err := cmp.Or(os.Remove(known), os.Mkdir(known, 0o700)); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.resolve(s.connector(Options{Options: []string{"StrictHostKeyChecking=accept-new"}}), "pi").Login(t.Context(), Plan{})
	if got := verdict(err); !strings.Contains(got, "remembering the host key") {
		t.Errorf("unread: %s; %s", got, s.noted())
	}
}

// Two runs, and several targets in each, that meet new hosts at the same time:
// no line is lost, and none is there twice.
func TestTrustAtOnce(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.config("User pi", "StrictHostKeyChecking accept-new")
	var pis []*sshtest.Pi
	for range 6 {
		pis = append(pis, sshtest.StartPi(t, sshtest.PiConfig{}))
	}
	const mine = "nas ssh-ed25519 AAAA\n"
	s.file(".ssh/known_hosts", mine)
	var all sync.WaitGroup
	for range 2 {
		c := s.connector(Options{})
		for _, pi := range pis {
			h := s.resolve(c, pi.Addr)
			all.Go(func() {
				_, _, err := h.Login(t.Context(), Plan{})
				if _, ok := errors.AsType[*HostKeyError](err); ok {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	// The next connection of the run knows what this one has learnt.
	c := s.connector(Options{})
	fresh := sshtest.StartPi(t, sshtest.PiConfig{})
	pis = append(pis, fresh)
	before := strings.Count(s.noted(), "added")
	for range 2 {
		if _, _, err := s.resolve(c, fresh.Addr).Login(t.Context(), Plan{}); verdict(err) != "known" {
			t.Error(err)
		}
	}
	if n := strings.Count(s.noted(), "added") - before; n != 1 {
		t.Errorf("told %d times that a key was added", n)
	}

	data := s.read(".ssh/known_hosts")
	if !strings.HasPrefix(data, mine) || strings.Count(data, "\n") != 1+len(pis) {
		t.Errorf("known_hosts is %q", data)
	}
	for _, pi := range pis {
		if strings.Count(data, pi.KnownHosts()) != 1 {
			t.Errorf("not once in %q: %s", data, pi.KnownHosts())
		}
	}
}

func TestHostKeyErrorWords(t *testing.T) {
	t.Parallel()
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	s := newSide(t)
	s.config("User pi")
	shown := identity.PublicOf(pi.HostKeys[0])
	wrong := identity.PublicOf(sshtest.NewKey(t, t.TempDir(), "ed25519").Signer.PublicKey())
	name := fmt.Sprintf("[127.0.0.1]:%d", pi.Port)
	path := filepath.Join(s.home, ".ssh", "known_hosts")
	again := fmt.Sprintf(" -F %s -o 'BatchMode=yes' %s\n", filepath.Join(s.home, ".ssh", "config"), pi.Addr) // no secret is needed
	nowhere := []string{"BatchMode=yes", "UserKnownHostsFile=none"}
	wrongLine := name + " " + wrong.Line() + "\n"
	for _, tt := range []struct {
		known, hostKey string
		want           string
		hints          []string
		options        []string // BatchMode=yes alone, if nil
	}{
		{"", "", "it presents ED25519 " + shown.Fingerprint() + ", but no known_hosts file has " + name,
			[]string{"trust this key: pikeycheck --host-key " + shown.Fingerprint() + again, "first: pikeycheck -o StrictHostKeyChecking=accept-new" + again}, nil},
		{"", "", "it presents ED25519 " + shown.Fingerprint() + ", but no known_hosts file has " + name, []string{"trust this key: add --host-key " + shown.Fingerprint() + " to the command, each time: UserKnownHostsFile (command line -o) keeps no key\n",
			"first: add -o StrictHostKeyChecking=accept-new\n"}, nowhere},
		{"#\n" + wrongLine, "", "it presents ED25519 " + shown.Fingerprint() + ", but the known key is ED25519 " + wrong.Fingerprint() + " (" + path + ":2)",
			[]string{"trust this key: pikeycheck --host-key " + shown.Fingerprint() + again}, nil},
		{"@revoked " + name + " " + shown.Line() + "\n", "", "it presents ED25519 " + shown.Fingerprint() + ", revoked by ED25519 " + shown.Fingerprint() + " (" + path + ":1)",
			[]string{"never trusted"}, nil},
		{"", wrong.Fingerprint(), "it presents ED25519 " + shown.Fingerprint() + ", but --host-key asks for " + wrong.Fingerprint(), []string{"ssh-keygen -lf"}, nil},
	} {
		s.file(".ssh/known_hosts", tt.known)
		opt := Options{HostKey: tt.hostKey, Options: tt.options, PasswordFile: "secret"}
		if opt.Options == nil {
			opt.Options = []string{"BatchMode=yes"}
		}
		_, err := s.login(opt, pi.Addr)
		var e *HostKeyError
		if !errors.As(err, &e) || e.Error() != tt.want || e.Name != name {
			t.Errorf("%v\nwant %s", err, tt.want)
			continue
		}
		hint := e.Hint(s.resolve(s.connector(opt), pi.Addr))
		for _, want := range tt.hints {
			if !strings.Contains(hint+"\n", want) {
				t.Errorf("no %q in %q", want, hint)
			}
		}
		if tt.want != "" && strings.Contains(hint, "accept-new") != (tt.known == "" && tt.hostKey == "") {
			t.Errorf("accept-new is no way on here: %q", hint)
		}
	}
	if pi.Counts().Keys+pi.Counts().Passwords > 0 {
		t.Error("something was sent to a host that is not trusted")
	}
}
