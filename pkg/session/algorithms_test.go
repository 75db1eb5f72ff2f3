package session_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshtest"
)

// lacking are the algorithms of ssh's defaults that x/crypto does not have.
var lacking = []string{
	"sntrup761x25519-sha512", "sntrup761x25519-sha512@openssh.com", "diffie-hellman-group18-sha512",
	"umac-64-etm@openssh.com", "umac-128-etm@openssh.com", "hmac-sha1-etm@openssh.com", "umac-64@openssh.com", "umac-128@openssh.com",
}

// sshDefaults are the lists of an ssh without any configuration, by the keyword
// of ssh_config.
func sshDefaults(t *testing.T) map[string][]string {
	t.Helper()
	sshtest.Need(t, "ssh")
	cmd := exec.Command("ssh", "-G", "-F", "none", "pi")
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		switch keyword, value, _ := strings.Cut(strings.TrimSpace(line), " "); keyword {
		case "kexalgorithms", "ciphers", "macs":
			lists[keyword] = strings.Split(value, ",")
		}
	}
	return lists
}

// A server that has one algorithm only lets us in wherever it lets ssh in. Where
// x/crypto lacks it, the error has both lists.
func TestOneAlgorithm(t *testing.T) {
	t.Parallel()
	lists := sshDefaults(t)
	if len(lists) != 3 {
		t.Fatalf("ssh -G shows %v", lists)
	}
	test := func(name, program, keyword, algorithm string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oneAlgorithm(t, program, keyword, algorithm)
		})
	}
	for keyword, list := range lists {
		for _, algorithm := range list {
			test(algorithm, "", keyword, algorithm)
		}
	}
	if newer := os.Getenv("PIKEY_TEST_SSHD10"); newer != "" {
		test("newer", newer, "KexAlgorithms", ssh.KeyExchangeMLKEM768X25519)
	}
}

func oneAlgorithm(t *testing.T, program, keyword, algorithm string) {
	restricted := []string{keyword + " " + algorithm}
	if keyword == "macs" { // the other ciphers need none
		restricted = append(restricted, "Ciphers aes128-ctr")
	}
	server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Program: program, Config: restricted})
	// That nothing is offered ends it, after all that is looked for here.
	_, rep, err := session.Login(timeLimit(t, 10*time.Second), config(server.Addr, trusts(server.Endpoint)))
	if !slices.Contains(lacking, algorithm) {
		if rep.Stage != session.Auth || !errors.Is(err, session.ErrDenied) {
			t.Errorf("it came to the %s: %v", rep.Stage, err)
		}
		return
	}
	var negotiation *ssh.AlgorithmNegotiationError
	if !errors.As(err, &negotiation) || len(negotiation.SupportedAlgorithms) == 0 || !slices.Contains(negotiation.RequestedAlgorithms, algorithm) {
		t.Errorf("%v", err)
	}
	if text := err.Error(); !strings.Contains(text, "peer offered: ["+`"`+algorithm) || !strings.Contains(text, "we offered: [") {
		t.Errorf("%s: it does not show both lists", text)
	}
}

// What ssh does not offer is not offered, and its order is ours.
func TestAlgorithmsAreThoseOfSSH(t *testing.T) {
	t.Parallel()
	lists := sshDefaults(t)
	for keyword, ours := range map[string][]string{"kexalgorithms": session.Algorithms.KeyExchanges, "ciphers": session.Algorithms.Ciphers, "macs": session.Algorithms.MACs} {
		at := -1
		for _, algorithm := range ours {
			// OpenSSH 9.9 has made the one its first, and moved the others up.
			if algorithm == ssh.KeyExchangeMLKEM768X25519 || strings.HasSuffix(algorithm, "-gcm@openssh.com") {
				continue
			}
			next := slices.Index(lists[keyword], algorithm)
			if next < 0 || next < at {
				t.Errorf("%s: %s stands elsewhere, or nowhere, in ssh's list %q", keyword, algorithm, lists[keyword])
			}
			at = next
		}
	}
}

// What proves a login has the same, in another order, and never sends a password.
func TestProve(t *testing.T) {
	t.Parallel()
	ours, proof := slices.Sorted(slices.Values(session.Algorithms.KeyExchanges)), slices.Sorted(slices.Values(session.ProofAlgorithms.KeyExchanges))
	if !slices.Equal(ours, proof) {
		t.Errorf("it offers %q, want %q", proof, ours)
	}
	pi := sshtest.StartPi(t, sshtest.PiConfig{})
	key := sshtest.NewKey(t, t.TempDir(), "ed25519")
	cfg := config(pi.Addr, trusts(pi.Endpoint))
	cfg.Keys = []session.Key{offer(t, key)}
	cfg.Password = password(pi.Password)
	if rep, err := session.Prove(timeLimit(t, 10*time.Second), cfg); !errors.Is(err, session.ErrDenied) || rep.PasswordSent {
		t.Errorf("%v, password sent: %v", err, rep.PasswordSent)
	}
	pi.Authorize(t, key.Line)
	if rep, err := session.Prove(timeLimit(t, 10*time.Second), cfg); err != nil || rep.By != "publickey" {
		t.Errorf("%v, by %s", err, rep.By)
	}
	c := pi.Counts()
	for i := 0; i < 100 && c.Logins == 0; i++ { // it may be counted after we are in
		time.Sleep(10 * time.Millisecond)
		c = pi.Counts()
	}
	if c.Passwords != 0 || !slices.Equal(c.Exchanges, []string{ssh.KeyExchangeECDHP256}) {
		t.Errorf("%+v", c)
	}
}
