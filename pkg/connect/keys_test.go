package connect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

var attempt = regexp.MustCompile(`(?m)^debug1: Will attempt key: .* (\S+ SHA256:\S+)`)

// sshOrder is the order in which ssh says that it will try its keys.
func (s *side) sshOrder(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := sshtest.Command(t, s.home, "ssh", append([]string{"-v", "-F", filepath.Join(s.home, ".ssh", "config"), "-o", "BatchMode=yes",
		"-o", "PreferredAuthentications=publickey", "-o", "StrictHostKeyChecking=yes", "-o", "KexAlgorithms=curve25519-sha256"}, args...)...)
	for name, value := range s.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, _ := cmd.CombinedOutput() // no key logs in
	if !strings.Contains(string(out), "Will attempt key: ") && !strings.Contains(string(out), "No more authentication methods") {
		t.Fatalf("ssh: %s", out)
	}
	var order []string
	for _, m := range attempt.FindAllStringSubmatch(string(out), -1) {
		order = append(order, m[1])
	}
	return order
}

// The keys that ssh offers, in its order, and ssh as the judge of it. The names
// are those of four pairs.
func TestKeyOrderAgreesWithSSH(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh", "ssh-agent", "ssh-add", "ssh-keygen")
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	pairs := map[string]sshtest.Key{}
	for name, keyType := range map[string]string{"a": "ed25519", "b": "ecdsa", "c": "ed25519", "d": "rsa"} {
		pairs[name] = sshtest.NewKey(t, t.TempDir(), keyType)
	}
	certs := map[string]sshkey.Public{}
	ca := sshtest.NewKey(t, t.TempDir(), "ed25519")
	for name, k := range pairs {
		sshtest.Keygen(t, "-q", "-s", ca.File, "-I", name, "-n", "pi", k.File+".pub")
		cert, err := identity.LoadCertificate(k.File + "-cert.pub")
		if err != nil {
			t.Fatal(err)
		}
		certs[name] = identity.PublicOf(cert)
	}
	describe := func(k sshkey.Public) string { return k.Name() + " " + k.Fingerprint() }
	for _, tt := range []struct {
		name   string
		files  string // IdentityFile lines: a pair, "x+" with its certificate, "x.pub" for its public half alone, "X.pub" for the same named with its .pub
		agent  string // its keys in order, "x+" with the certificate; "-" for no agent
		config string // "%h/x-cert.pub" is the certificate of a pair
		want   string // "X" is the certificate of the pair x
		spoil  string // "NAME: TEXT" is what a file holds; KEY is the line of the pair d
	}{
		{"files only", "a d b", "-", "", "adb", ""},
		{"files, an empty agent", "a d b", "", "", "adb", ""},
		{"agent only", "none", "d a b", "", "dab", ""},
		{"both, apart", "a b", "c d", "", "cdab", ""},
		{"both, shared", "a b c", "d b a", "", "badc", ""},
		{"IdentitiesOnly", "a b", "c b", "IdentitiesOnly yes", "ba", ""},
		{"IdentitiesOnly, no file", "none", "c b", "IdentitiesOnly yes", "", ""},
		{"one file", "c", "a b c d", "", "cabd", ""},
		{"one file alone", "c", "a b c d", "IdentitiesOnly yes", "c", ""},
		{"a public half, the agent has the other", "b.pub a", "c b", "IdentitiesOnly yes", "ba", ""},
		{"the same by its own name", "B.pub a", "c b", "IdentitiesOnly yes", "ba", ""},
		{"a public half that nobody can use", "b.pub a", "", "", "ba", ""},
		{"files that are not there", "x a y", "b", "", "ba", ""},
		{"no agent by IdentityAgent", "a b", "b c", "IdentityAgent none", "ab", ""},
		{"types kept back", "a b", "c d", "PubkeyAcceptedAlgorithms -ssh-ed25519", "db", ""},
		{"RSA by its signatures", "a d", "", "PubkeyAcceptedAlgorithms rsa-sha2-256", "d", ""},
		{"RSA too short for this side", "a d", "", "RequiredRSASize 16384", "a", ""},
		{"a certificate beside a key", "b+ a", "", "", "bBa", ""},
		{"beside one that the agent holds", "b+ a", "a b", "", "abB", ""},
		{"in the agent", "b a", "c b+", "", "bcBa", ""},
		{"in the agent and beside", "b+", "c b+", "", "bBc", ""},
		{"named", "a b", "c", "CertificateFile %h/b-cert.pub", "Bcab", ""},
		{"named, and others are beside", "a+ b", "a", "CertificateFile %h/b-cert.pub", "Bab", ""},
		{"named, and the agent has the key", "a", "b", "IdentitiesOnly yes\nCertificateFile %h/b-cert.pub", "Ba", ""},
		{"certificates kept back", "a+ b", "", "PubkeyAcceptedAlgorithms -*-cert-*", "ab", ""},
		{"the .pub of another key", "a b", "", "", "db", "a.pub: KEY\n"},
		{"the same, and the agent has the private half's", "a b", "a", "IdentitiesOnly yes", "db", "a.pub: KEY\n"},
		{"the same, and the agent has that of the .pub", "a b", "d", "IdentitiesOnly yes", "db", "a.pub: KEY\n"},
		{"a .pub of nothing", "a b", "", "", "ab", "a.pub: nothing\n"},
		{"a .pub of no bytes", "a b", "", "", "ab", "a.pub: "},
		{"a .pub that is a private key", "a b", "", "", "ab", "a.pub: -----BEGIN OPENSSH PRIVATE KEY-----\nKEY\n"},
		{"a .pub with more above the key", "a b", "", "", "db", "a.pub: nothing\n# mine\n\n\t KEY\r\n"},
		{"a .pub of RFC 4716, of another key", "a b", "", "", "ab", "a.pub: ---- BEGIN SSH2 PUBLIC KEY ----\nBLOB\n---- END SSH2 PUBLIC KEY ----\n"},
		{"a .pub with options", "a b", "", "", "ab", "a.pub: no-pty KEY\n"},
		{"a .pub in UTF-16", "a b", "", "", "ab", "a.pub: \xff\xfes\x00s\x00h\x00"},
		{"a public key under the private name", "a b", "", "", "db", "a: KEY\n"},
		{"the same, and the agent has the other half", "a b", "c d", "IdentitiesOnly yes", "db", "a: KEY\n"},
		{"a damaged private key", "a b", "", "", "ab", "a: -----BEGIN OPENSSH PRIVATE KEY-----\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSide(t)
			lines := []string{fmt.Sprintf("Host pi\nHostName 127.0.0.1\nPort %d\nUser nobody-here", pi.Port), tt.config, "GlobalKnownHostsFile none",
				"UserKnownHostsFile " + pi.KnownHostsFile(t)}
			for name := range strings.FieldsSeq(tt.files) {
				name, certified := strings.CutSuffix(name, "+")
				path := name
				if name != "none" {
					path = filepath.Join(s.home, name)
					key, ok := pairs[strings.ToLower(name[:1])]
					half, isHalf := strings.CutSuffix(path, ".pub")
					switch {
					case !ok:
					case isHalf:
						s.file(name, key.Line+"\n")
						if name == strings.ToLower(name) {
							path = half
						}
					default:
						copyFile(t, key.File, path)
						copyFile(t, key.File+".pub", path+".pub")
						if certified {
							copyFile(t, key.File+"-cert.pub", path+"-cert.pub")
						}
					}
				}
				lines = append(lines, "IdentityFile "+path)
			}
			if name, text, spoilt := strings.Cut(tt.spoil, ": "); spoilt {
				line := pairs["d"].Line
				s.file(name, strings.NewReplacer("KEY", line, "BLOB", strings.Fields(line)[1]).Replace(text))
			}
			for name, k := range pairs {
				if named := "%h/" + name + "-cert.pub"; strings.Contains(tt.config, named) {
					lines[1] = strings.ReplaceAll(tt.config, named, k.File+"-cert.pub")
				}
			}
			s.file(".ssh/config", strings.Join(append(lines, ""), "\n"))
			if tt.agent != "-" {
				s.env["SSH_AUTH_SOCK"] = sshtest.StartAgent(t)
				for name := range strings.FieldsSeq(tt.agent) {
					name, certified := strings.CutSuffix(name, "+")
					file := filepath.Join(t.TempDir(), "k")
					copyFile(t, pairs[name].File, file)
					if certified {
						copyFile(t, pairs[name].File+"-cert.pub", file+"-cert.pub")
					}
					sshtest.AddToAgent(t, s.env["SSH_AUTH_SOCK"], file)
				}
			}
			keys := s.resolve(s.connector(Options{}), "pi").Keys(t.Context())
			var got, want []string
			for _, c := range keys.Candidates {
				got = append(got, describe(c.Public))
			}
			for _, name := range tt.want {
				if cert, ok := certs[strings.ToLower(string(name))]; ok && name < 'a' {
					want = append(want, describe(cert))
				} else {
					want = append(want, describe(identity.PublicOf(pairs[string(name)].Signer.PublicKey())))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("we offer\n%q, want\n%q", got, want)
			}
			if order := s.sshOrder(t, "pi"); !slices.Equal(got, order) {
				t.Errorf("we offer\n%q, ssh\n%q", got, order)
			}
			held := -1
			if tt.agent != "-" && tt.config != "IdentityAgent none" {
				held = len(strings.Fields(tt.agent)) + strings.Count(tt.agent, "+")
			}
			if keys.AgentKeys != held || (keys.AgentErr != nil) != (held < 0) {
				t.Errorf("the agent holds %d, %v; want %d", keys.AgentKeys, keys.AgentErr, held)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is known of each key besides its place.
func TestKeys(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh-agent", "ssh-add", "ssh-keygen")
	s := newSide(t)
	inAgent := sshtest.NewKey(t, t.TempDir(), "ed25519")
	locked := sshtest.NewKey(t, t.TempDir(), "ecdsa")
	sshtest.Keygen(t, "-q", "-p", "-a", "1", "-P", "", "-N", "secret", "-f", locked.File)
	half := s.file("half.pub", inAgent.Line+"\n")
	broken := s.file("broken", "no key\n")
	missing := filepath.Join(s.home, "missing")
	s.env["SSH_AUTH_SOCK"] = sshtest.StartAgent(t)
	sshtest.AddToAgent(t, s.env["SSH_AUTH_SOCK"], inAgent.File)
	s.file(".ssh/config", strings.Join([]string{"IdentityFile " + missing, "IdentityFile " + strings.TrimSuffix(half, ".pub"),
		"IdentityFile " + locked.File, "IdentityFile " + broken, "IdentityFile " + s.key.File, "IdentitiesOnly yes", ""}, "\n"))
	h := s.resolve(s.connector(Options{PassphraseFile: s.file("passphrase", "secret\n")}), "pi@host.invalid")
	keys := h.Keys(t.Context(), s.key.File) // as by -i, and named twice
	var got []string
	for _, c := range keys.Candidates {
		got = append(got, fmt.Sprintf("%s private=%v agent=%v pair=%v", c.Name, c.HasPrivate(), c.Agent, c.Pair != nil))
	}
	want := []string{
		strings.TrimSuffix(half, ".pub") + " (agent) private=true agent=true pair=true",
		s.key.File + " private=true agent=false pair=true",
		locked.File + " private=true agent=false pair=true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("candidates\n%q, want\n%q", got, want)
	}
	if len(keys.Broken) != 1 || keys.Broken[0].Path != broken {
		t.Errorf("broken: %v", keys.Broken)
	}
	if !slices.Contains(keys.Looked, missing) || len(keys.Looked) != 6 {
		t.Errorf("looked at %q", keys.Looked)
	}
	for _, c := range keys.Candidates {
		if found, ok := keys.Find(c.Public); !ok || found.Name != c.Name {
			t.Errorf("Find(%s): %v, %v", c.Name, found.Name, ok)
		}
		signer, err := c.Signer(t.Context(), session.Exchange{})
		if err != nil {
			t.Errorf("%s: %v", c.Name, err)
			continue
		}
		if !identity.PublicOf(signer.PublicKey()).Equal(c.Public) {
			t.Errorf("%s signs as another", c.Name)
		}
	}
	if _, ok := keys.Find(sshkey.Public{Type: "ssh-ed25519", Blob: []byte("x")}); ok {
		t.Error("found what is not there")
	}
}

// A private half that ssh would not read is not read here either.
func TestFaultsKeepAKeyFromSigning(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	for name, spoil := range map[string]func(path string){
		"key-mode":          func(path string) { os.Chmod(path, 0o644) },
		"key-missing":       func(path string) { os.Remove(path) },
		"key-pair-mismatch": func(path string) { copyFile(t, s.key.File+".pub", path+".pub") },
	} {
		key := sshtest.NewKey(t, t.TempDir(), "ed25519")
		spoil(key.File)
		s.file(".ssh/config", "IdentityFile "+key.File+"\n")
		keys := s.resolve(s.connector(Options{}), "host.invalid").Keys(t.Context())
		if len(keys.Candidates) != 1 {
			t.Errorf("%s: %d candidates", name, len(keys.Candidates))
			continue
		}
		_, err := keys.Candidates[0].Signer(t.Context(), session.Exchange{})
		fault, ok := err.(identity.Fault)
		if !ok || fault.Cause != name || strings.TrimSuffix(fault.Path, ".pub") != key.File {
			t.Errorf("%s: %v", name, err)
		}
		if has := keys.Candidates[0].HasPrivate(); has != (name != "key-missing") {
			t.Errorf("%s: HasPrivate is %v", name, has)
		}
	}
}

// A public half that IdentityFile names is for choosing a key of the agent.
func TestPublicHalfNamed(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.file(".ssh/config", "IdentityFile "+s.key.File+".pub\nIdentitiesOnly yes\n")
	s.file("keys/"+filepath.Base(s.key.File)+".pub", s.key.Line+"\n")
	keys := s.resolve(s.connector(Options{}), "host.invalid").Keys(t.Context())
	if len(keys.Candidates) != 1 || keys.Candidates[0].HasPrivate() {
		t.Fatalf("%+v", keys.Candidates)
	}
	var fault identity.Fault
	if _, err := keys.Candidates[0].Signer(t.Context(), session.Exchange{}); !errors.As(err, &fault) || fault.Cause != "key-missing" {
		t.Errorf("%v", err)
	}
	if keys := s.resolve(s.connector(Options{}), "host.invalid").Keys(t.Context(), s.key.File); !keys.Candidates[0].HasPrivate() {
		t.Error("the private half that was given is not used")
	}
}

// The agents that are none.
func TestAgentStates(t *testing.T) {
	t.Parallel()
	s := newSide(t)
	s.config()
	for _, tt := range []struct {
		socket string
		want   error
	}{
		{"", identity.ErrNoSocket},
		{filepath.Join(s.home, "gone"), os.ErrNotExist},
		{s.file("regular", ""), identity.ErrNotSocket},
	} {
		s.env["SSH_AUTH_SOCK"] = tt.socket
		keys := s.resolve(s.connector(Options{}), "host.invalid").Keys(t.Context())
		if keys.AgentErr == nil || keys.AgentErr.Socket != tt.socket || !errors.Is(keys.AgentErr, tt.want) || keys.AgentKeys != -1 {
			t.Errorf("%q: %v, %d keys", tt.socket, keys.AgentErr, keys.AgentKeys)
		}
		if len(keys.Candidates) != 1 {
			t.Errorf("%q: %d candidates: the files count without an agent", tt.socket, len(keys.Candidates))
		}
	}
}
