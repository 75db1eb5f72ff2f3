package connect

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// What ssh_config lets protect a connection is offered, in its order, and nothing
// else: a real sshd tells what it was offered by us, and by ssh.
func TestAlgorithmsAgreeWithSSH(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh")
	s := newSide(t)
	server := s.startSSHD(sshtest.SSHDConfig{HostKeys: []string{"ed25519", "ecdsa"}, Config: []string{"LogLevel DEBUG2",
		"KexAlgorithms +diffie-hellman-group14-sha1", "Ciphers +aes128-cbc", "MACs +hmac-sha1"}})
	s.knows(server.Endpoint)
	for _, config := range [][]string{
		{"KexAlgorithms ecdh-sha2-nistp384,sntrup761x25519-sha512@openssh.com,ecdh-sha2-nistp256", "Ciphers aes256-gcm@openssh.com,aes128-ctr",
			"MACs umac-64@openssh.com,hmac-sha2-512,hmac-sha2-256"},
		{"KexAlgorithms -curve*,sntrup*,mlkem*", "Ciphers -chacha*,*gcm*", "MACs ^hmac-sha2-512"},
		{"KexAlgorithms ^diffie-hellman-group14-sha1", "Ciphers aes128-cbc", "MACs hmac-sha1", "HostKeyAlgorithms ecdsa-sha2-nistp256"},
		{"KexAlgorithms curve25519-sha256@libssh.org", "MACs umac-64@openssh.com", "HostKeyAlgorithms -ssh-ed25519*,sk*,*cert*"},
	} {
		s.config(s.host("pi", server.Endpoint, config...))
		c := s.connector(Options{})
		h := s.resolve(c, "pi")
		before := len(server.Log())
		_, rep, err := h.Login(t.Context(), Plan{Keys: h.Keys(t.Context()).Offers(), Proof: true})
		wantLogin(t, rep, err)
		ours := offered(server.Log()[before:])
		cmd := sshtest.Command(t, s.home, "ssh", "-F", filepath.Join(s.home, ".ssh", "config"), "-o", "BatchMode=yes", "pi", "true")
		before = len(server.Log())
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: ssh: %v: %s", config, err, out)
		}
		for list, want := range offered(server.Log()[before:]) {
			have := map[string][]string{"KEX algorithms": everyAlgorithm().KeyExchanges, "host key algorithms": everyAlgorithm().HostKeys,
				"ciphers ctos": everyAlgorithm().Ciphers, "MACs ctos": everyAlgorithm().MACs}[list]
			possible := slices.DeleteFunc(slices.Clone(want), func(a string) bool { return !slices.Contains(have, a) })
			// Certificates are asked for where an authority is known; an older ssh lacks ML-KEM.
			possible = slices.DeleteFunc(possible, sshkey.IsCertificate)
			ours[list] = slices.DeleteFunc(ours[list], func(a string) bool { return strings.HasPrefix(a, "mlkem") && !slices.Contains(want, a) })
			if list == "ciphers ctos" && strings.HasPrefix(config[1], "MACs umac") { // those that need none of its MACs
				possible = slices.DeleteFunc(possible, func(a string) bool { return strings.HasSuffix(a, "-ctr") })
				slices.Sort(possible) // an older ssh has its default in another order
				slices.Sort(ours[list])
			}
			if !slices.Equal(ours[list], possible) {
				t.Errorf("%q: %s: %q, ssh offers %q", config, list, ours[list], possible)
			}
		}
	}
	for config, keyword := range map[string]string{
		"KexAlgorithms sntrup761x25519-sha512@openssh.com,diffie-hellman-group18-sha512": "KexAlgorithms",
		"KexAlgorithms -*": "KexAlgorithms",
		"Ciphers -*":       "Ciphers",
		"Ciphers aes128-ctr\nMACs umac-64@openssh.com": "MACs",
		"HostKeyAlgorithms sk-ssh-ed25519@openssh.com": "HostKeyAlgorithms",
	} {
		s.config(s.host("pi", server.Endpoint, config))
		before := len(server.Log())
		_, err := s.login(Options{}, "pi")
		var none *AlgorithmsError
		if !errors.As(err, &none) || none.Keyword != keyword || strings.HasSuffix(err.Error(), ": ") || strings.Contains(server.Log()[before:], "Connection from") {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// offered are the lists of the last client in sshd's log.
func offered(log string) map[string][]string {
	log = log[strings.LastIndex(log, "peer client KEXINIT proposal"):]
	lists := map[string][]string{}
	for line := range strings.Lines(log) {
		name, list, ok := strings.Cut(strings.TrimPrefix(line, "debug2: "), ": ")
		if _, again := lists[name]; !ok || again || !slices.Contains([]string{"KEX algorithms", "host key algorithms", "ciphers ctos", "MACs ctos"}, name) {
			continue
		}
		list = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(list), "[preauth]"))
		lists[name] = slices.DeleteFunc(strings.Split(list, ","), func(a string) bool {
			return a == "" || strings.HasPrefix(a, "ext-info-") || strings.HasPrefix(a, "kex-strict-") // which stand for no algorithm
		})
	}
	return lists
}
