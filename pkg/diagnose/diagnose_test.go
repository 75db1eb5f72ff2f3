package diagnose

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"pi-key-tools/pkg/cause"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/knownhosts"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/sshtest"
)

// connector is a run that knows no file of anybody's.
func connector(t *testing.T, opt connect.Options) *connect.Connector {
	t.Helper()
	if opt.Home == "" {
		opt.Home = t.TempDir()
	}
	if opt.ConfigFile == "" {
		opt.ConfigFile = "none"
	}
	if opt.Getenv == nil {
		opt.Getenv = func(string) string { return "" }
	}
	if opt.Timeout == 0 {
		opt.Timeout = 20 * time.Second
	}
	opt.Note = func(string, string, ...any) {}
	opt.Trace = func(int, string, string, ...any) {}
	c := connect.New(opt)
	t.Cleanup(c.Close)
	return c
}

func resolve(t *testing.T, c *connect.Connector, target string) *connect.Host {
	t.Helper()
	d, err := destination.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	h, err := c.Host(t.Context(), target, d)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// put writes a file that is for its owner alone, and returns its path.
func put(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two keys, by what ssh-keygen -l says of them.
var (
	keyA = parse("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdHoMsdSfvnY8q6BaPOSTabqSYfQX+niyfBn0bJJJaY a@test")
	keyB = parse("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBA6oFVpnK77ZPT7JMmJYokkDB4pRueTHTa+1o5ZUhehzhH++OKgpa8YgQDc85h4gIPTvj1DBbkNpPxNZqAUJIa0= b@test")
)

const (
	printA = "SHA256:YbR0NZ+YDZgQ+l6vb/wMPN/VGOfmgq3WqG1Uk1BnD4M"
	printB = "SHA256:XzXRmwzN4xvtghjUaoUC8zN3/nAgPGcfLlQgFO78AUE"
)

func parse(line string) sshkey.Public {
	k, err := sshkey.ParsePublic(line)
	if err != nil {
		panic(err)
	}
	return k
}

func offerA(answer session.Answer, err error) session.Offer {
	return session.Offer{Key: session.Key{Public: keyA, Name: "/home/me/.ssh/id a"}, Answer: answer, Err: err}
}

func offerB(answer session.Answer) session.Offer {
	return session.Offer{Key: session.Key{Public: keyB, Name: "agent"}, Answer: answer}
}

// at is what session.Login makes of an error.
func at(rep session.Report, err error) error { return fmt.Errorf("%s: %w", rep.Stage, err) }

// Each word that Login can say, from reports made by hand.
func TestLoginWords(t *testing.T) {
	const inTheLog = "look in the log there: sudo journalctl -u ssh --since -10min"
	const cutShort = "too many connections (MaxStartups), fail2ban or a firewall may cut it: " + inTheLog + "\nhint: see whether ssh gets further: ssh -v -F none pi@pi.local"
	t.Parallel()
	const version = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10"
	both := []string{"publickey", "password"}
	auth := func(change func(*session.Report)) session.Report {
		r := session.Report{Stage: session.Auth, Start: []byte(version + "\r\n"), ServerVersion: version, Methods: both,
			Offers: []session.Offer{offerA(session.Refused, nil)}}
		change(&r)
		return r
	}
	nothing := func(r *session.Report) { r.Offers = nil }
	none := connect.Keys{AgentKeys: -1, Looked: []string{"/h/id_rsa", "/h/id_ed25519"}, AgentErr: &identity.AgentError{Err: identity.ErrNoSocket}}
	encrypted := connect.Keys{Candidates: []connect.Candidate{{Key: session.Key{Public: keyA}, Pair: &identity.Pair{Path: "/home/me/.ssh/id a", Private: sshkey.Envelope{Encrypted: true}}}}}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", connRefused)}
	const couldBe = "not installed there, or its file, its line or the account is at fault"
	const inHint = "install the key: pikeycopy -F none pi@pi.local\nhint: if it is there already, repair the modes: pikeyfix -F none pi@pi.local\nhint: or see which it is: pikeycheck --inside -F none pi@pi.local"

	for _, tt := range []struct {
		name string
		opt  connect.Options
		keys connect.Keys
		rep  session.Report
		err  error
		want record.Record // Verdict is fail unless it says otherwise
		user string        // pi unless it says otherwise
	}{
		{name: "a login", rep: auth(func(r *session.Report) {
			r.Stage, r.By = session.LoggedIn, "publickey"
			r.Offers = append(r.Offers, offerB(session.LogsIn))
		}), want: record.Record{Verdict: record.OK, Cause: "login", Subject: printB, Detail: "ECDSA agent, OpenSSH_9.2p1 Debian-2+deb12u10"}},
		{name: "and the password has expired", rep: auth(func(r *session.Report) {
			r.Stage, r.By = session.LoggedIn, "publickey"
			r.Offers = append(r.Offers, offerB(session.LogsIn))
			r.Banner = "Authorized use only\nYou are required to change your password immediately (password expired).\n"
		}), want: record.Record{Verdict: record.OK, Cause: "login", Subject: printB,
			Detail: "ECDSA agent, OpenSSH_9.2p1 Debian-2+deb12u10; the server says: You are required to change your password immediately (password expired)."}},
		{name: "a login by nothing", rep: auth(func(r *session.Report) { r.Stage, r.By = session.LoggedIn, "none" }),
			want: record.Record{Cause: "key-refused", Detail: "logged in by none, not by a key"}},

		{name: "no such name", rep: session.Report{Stage: session.Dialling}, err: &net.DNSError{Name: "pi.local", Err: "no such host"},
			want: record.Record{Cause: "name-unknown", Detail: "pi.local: no such host", Hint: "use its address, or check the name: getent ahosts pi.local"}},
		{name: "refused", rep: session.Report{Stage: session.Dialling}, err: refused,
			want: record.Record{Cause: "connection-refused", Detail: "nothing is listening on pi.local port 22", Hint: enableSSH}},
		{name: "no answer", rep: session.Report{Stage: session.Dialling}, err: &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded},
			want: record.Record{Cause: "timeout", Detail: "no answer from pi.local port 22", Hint: "is it switched on, and on this network? a firewall may be dropping the packets"}},
		{name: "no way", rep: session.Report{Stage: session.Dialling}, err: errors.New("no route to host"),
			want: record.Record{Cause: "host-unreachable", Detail: "pi.local port 22: connect: no route to host", Hint: "is it switched on, and on this network?"}},
		{name: "refused behind a jump host", rep: session.Report{Stage: session.Dialling},
			err:  fmt.Errorf("jump host gate cannot reach pi.local:22: %w", &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "Connection refused"}),
			want: record.Record{Cause: "connection-refused", Detail: `connect: jump host gate cannot reach pi.local:22: ssh: rejected: connect failed ("Connection refused")`, Hint: enableSSH}},
		{name: "no way behind a jump host", rep: session.Report{Stage: session.Dialling},
			err: fmt.Errorf("jump host gate cannot reach pi.local:22: %w", &ssh.OpenChannelError{Reason: ssh.ConnectionFailed, Message: "No route to host"}),
			want: record.Record{Cause: "host-unreachable", Detail: `connect: jump host gate cannot reach pi.local:22: ssh: rejected: connect failed ("No route to host")`,
				Hint: "is it switched on, and on this network?"}},
		{name: "a jump host that passes nothing on", rep: session.Report{Stage: session.Dialling},
			err: fmt.Errorf("jump host gate cannot reach pi.local:22: %w", &ssh.OpenChannelError{Reason: ssh.Prohibited, Message: "open failed"}),
			want: record.Record{Cause: "host-unreachable", Detail: `connect: jump host gate cannot reach pi.local:22: ssh: rejected: administratively prohibited ("open failed")`,
				Hint: "AllowTcpForwarding and PermitOpen in sshd_config there must allow the forwarding"}},
		{name: "a command that leads nowhere", opt: connect.Options{Options: []string{"ProxyCommand=nc %h %p"}}, rep: session.Report{Stage: session.Versions},
			err:  &connect.CommandError{Said: "nc: no route", Err: errors.New("exit status 1")},
			want: record.Record{Cause: "host-unreachable", Detail: "the proxy command: nc: no route (exit status 1)", Hint: "try it by hand: nc pi.local 22"}},

		{name: "silence", rep: session.Report{Stage: session.Versions}, err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "closed before the server said anything",
				Hint: "sshd may be starting, out of connections (MaxStartups), or have no host keys (sudo ssh-keygen -A there); a ban by fail2ban looks like this too"}},
		{name: "MaxStartups", rep: session.Report{Stage: session.Versions, Start: []byte("Exceeded MaxStartups\r\n")}, err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "the server says: Exceeded MaxStartups", Hint: "try again in a moment, or with fewer at once: -j 8"}},
		{name: "penalised", rep: session.Report{Stage: session.Versions, Start: []byte("Not allowed at this time\r\n")}, err: io.EOF,
			want: record.Record{Cause: "penalised", Detail: "the server says: Not allowed at this time",
				Hint: "wait before the next try: the server shuts this address out for a few seconds up to ten minutes, longer with each failed login"}},
		{name: "half a version", rep: session.Report{Stage: session.Versions, Start: []byte("SSH-2.0-Open")}, err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "closed after the server sent its version SSH-2.0-Open", Hint: cutShort}},
		{name: "HTTP", rep: session.Report{Stage: session.Versions, Start: []byte("HTTP/1.1 400 Bad Request\r\nServer: x\r\n")}, err: io.EOF,
			want: record.Record{Cause: "not-ssh", Detail: "it says: HTTP/1.1 400 Bad Request", Hint: "what listens on port 22 is not an SSH server: another port? -p PORT"}},
		{name: "a long line", rep: session.Report{Stage: session.Versions, Start: []byte(strings.Repeat("x", 4096))}, err: io.EOF,
			want: record.Record{Cause: "not-ssh", Detail: "it says: " + strings.Repeat("x", 200), Hint: "what listens on port 22 is not an SSH server: another port? -p PORT"}},
		{name: "SSH 1", rep: session.Report{Stage: session.Versions, Start: []byte("SSH-1.5-old\n"), ServerVersion: "SSH-1.5-old"}, err: session.ErrNotSSH2,
			want: record.Record{Cause: "not-ssh", Detail: "it speaks SSH-1.5-old, not SSH 2"}},
		{name: "cut in the key exchange", rep: session.Report{Stage: session.KeyExchange, ServerVersion: "SSH-1.99-old"}, err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "the connection ended during the key exchange with SSH-1.99-old: key exchange: EOF", Hint: cutShort}},
		{name: "nothing in common", rep: session.Report{Stage: session.KeyExchange, ServerVersion: version},
			err: &ssh.AlgorithmNegotiationError{What: "key exchange", SupportedAlgorithms: []string{"a"}, RequestedAlgorithms: []string{"b"}},
			want: record.Record{Cause: "no-common-algorithm", Detail: `ssh: no common algorithm for key exchange; we offered: ["a"], peer offered: ["b"]`,
				Hint: "update the SSH server there; or let KexAlgorithms in its sshd_config have one of ours"}},
		{name: "no MAC in common", rep: session.Report{Stage: session.KeyExchange, ServerVersion: version},
			err: &ssh.AlgorithmNegotiationError{What: "client to server MAC", SupportedAlgorithms: []string{"a"}, RequestedAlgorithms: []string{"b"}},
			want: record.Record{Cause: "no-common-algorithm", Detail: `ssh: no common algorithm for client to server MAC; we offered: ["a"], peer offered: ["b"]`,
				Hint: "update the SSH server there; or let MACs in its sshd_config have one of ours"}},
		{name: "HostKeyAlgorithms of none", rep: session.Report{Stage: session.Dialling}, err: fmt.Errorf("connect: %w", &connect.AlgorithmsError{Keyword: "HostKeyAlgorithms", List: []string{"x", "y"}}),
			want: record.Record{Cause: "no-common-algorithm", Detail: "none of HostKeyAlgorithms is known here: x,y",
				Hint: "add one that the server has, such as ssh-ed25519, to HostKeyAlgorithms (ssh_config), or leave that out"}},

		{name: "host key unknown", rep: session.Report{Stage: session.HostKey}, err: &connect.HostKeyError{Status: knownhosts.Unknown, Name: "pi.local", Shown: keyA},
			want: record.Record{Cause: "host-key-unknown", Subject: printA, Detail: "it presents ED25519 " + printA + ", but no known_hosts file has pi.local",
				Hint: "compare the fingerprint with the one on the machine's own console, then trust this key: pikeycheck --host-key " + printA + " -F none pi@pi.local\n" +
					"hint: or trust whatever key an unknown host presents first: pikeycheck -o StrictHostKeyChecking=accept-new -F none pi@pi.local"}},
		{name: "host key changed", rep: session.Report{Stage: session.HostKey}, err: &connect.HostKeyError{Status: knownhosts.Changed, Name: "pi.local", Shown: keyA,
			Lines: []knownhosts.Line{{Path: "/h/known_hosts", Number: 7, Key: keyB}}},
			want: record.Record{Cause: "host-key-changed", Subject: printA, Detail: "it presents ED25519 " + printA + ", but the known key is ECDSA " + printB + " (/h/known_hosts:7)",
				Hint: "if the machine was reinstalled, compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` there, then trust this key: pikeycheck --host-key " + printA + " -F none pi@pi.local"}},
		{name: "host key revoked", rep: session.Report{Stage: session.HostKey}, err: &connect.HostKeyError{Status: knownhosts.Revoked, Name: "pi.local", Shown: keyA,
			Lines: []knownhosts.Line{{Path: "/h/known_hosts", Number: 7, Key: keyA}}},
			want: record.Record{Cause: "host-key-revoked", Subject: printA, Detail: "it presents ED25519 " + printA + ", revoked by ED25519 " + printA + " (/h/known_hosts:7)",
				Hint: "a revoked host key is never trusted: give the machine a new one (sudo ssh-keygen -A there, after removing /etc/ssh/ssh_host_*)"}},
		{name: "not the key that was asked for", rep: session.Report{Stage: session.HostKey}, err: &connect.HostKeyError{Status: knownhosts.Known, Name: "pi.local", Shown: keyB, Wanted: printA},
			want: record.Record{Cause: "host-key-changed", Subject: printB, Detail: "it presents ECDSA " + printB + ", but --host-key asks for " + printA,
				Hint: "compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ecdsa_key.pub` on the machine's own console"}},
		{name: "no list of revoked keys", rep: session.Report{Stage: session.HostKey}, err: &connect.RevocationError{Err: errors.New("open /r: permission denied")},
			want: record.Record{Cause: "config-bad", Detail: "RevokedHostKeys: open /r: permission denied"}},
		{name: "the host key cannot be kept", rep: session.Report{Stage: session.HostKey}, err: errors.New("remembering the host key: no space left on device"),
			want: record.Record{Cause: "write-failed", Detail: "host key check: remembering the host key: no space left on device"}},
		{name: "a host key that is not proven", rep: session.Report{Stage: session.KeyExchange, ServerVersion: version}, err: session.ErrHostKey,
			want: record.Record{Cause: "host-key-unproven", Detail: "the server presents a host key but cannot sign with it",
				Hint: "another machine may be answering in its place: do not log in; compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console"}},
		{name: "a host key that turned", rep: auth(nothing), err: session.ErrHostKeyTurned,
			want: record.Record{Cause: "host-key-changed", Detail: "the server changed its host key during the connection",
				Hint: "another machine may be answering in its place: do not log in; compare the fingerprint with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` on the machine's own console"}},

		{name: "no user yet", rep: auth(func(r *session.Report) {
			r.Banner = "SSH may not work until a valid user has been set up\n\nSee http://rptl.io/newuser"
		}), err: session.ErrDenied, want: record.Record{Cause: "no-user-yet", Detail: "the Pi has no user yet: SSH may not work until a valid user has been set up\n\nSee http://rptl.io/newuser",
			Hint: "put userconf.txt (NAME:HASH) on the boot partition, or set the user in Raspberry Pi Imager"}},
		{name: "booting", rep: auth(func(r *session.Report) {
			r.Banner = "\"System is booting up. Unprivileged users are not permitted to log in yet.\"\n"
		}), err: session.ErrDenied,
			want: record.Record{Cause: "booting", Detail: "the server says: \"System is booting up. Unprivileged users are not permitted to log in yet.\"", Hint: "wait for it: --wait 5m"}},
		{name: "one try", rep: auth(func(r *session.Report) { r.Disconnect = "Too many authentication failures" }), err: io.EOF,
			want: record.Record{Cause: "too-many-tries", Detail: "the server hung up after 1 key: Too many authentication failures",
				Hint: inHint}},
		{name: "one try, and more keys", keys: connect.Keys{Candidates: make([]connect.Candidate, 3)},
			rep: auth(func(r *session.Report) { r.Disconnect = "Too many authentication failures" }), err: io.EOF,
			want: record.Record{Cause: "too-many-tries", Detail: "the server hung up after 1 key: Too many authentication failures",
				Hint: "offer only the right key: pikeycheck -o IdentitiesOnly=yes -i KEY -F none pi@pi.local"}},
		{name: "too many tries", rep: auth(func(r *session.Report) {
			r.Disconnect, r.Offers = "Too many authentication failures", append(r.Offers, offerB(session.Refused))
		}), err: io.EOF,
			want: record.Record{Cause: "too-many-tries", Detail: "the server hung up after 2 keys: Too many authentication failures",
				Hint: "offer only the right key: pikeycheck -o IdentitiesOnly=yes -i KEY -F none pi@pi.local"}},
		{name: "too many files", opt: connect.Options{Options: []string{"IdentitiesOnly=yes"}}, rep: auth(func(r *session.Report) {
			r.Disconnect, r.Offers = "Too many authentication failures", append(r.Offers, offerB(session.Refused))
		}), err: io.EOF,
			want: record.Record{Cause: "too-many-tries", Detail: "the server hung up after 2 keys: Too many authentication failures",
				Hint: "the server allows 2 tries (MaxAuthTries): name fewer files as IdentityFile, the right one first"}},
		{name: "an account that has expired", rep: auth(func(r *session.Report) {
			r.Banner = "Your account has expired; please contact your system administrator.\n"
		}), err: io.EOF,
			want: record.Record{Cause: "account-expired", Detail: "the server says: Your account has expired; please contact your system administrator.",
				Hint: "there: sudo chage -E -1 pi"}},
		{name: "keys off", opt: connect.Options{Options: []string{"PubkeyAuthentication=no"}}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "config-elsewhere", Detail: "login by key is disabled on this side: PubkeyAuthentication no, command line -o"}},
		{name: "keys not preferred", opt: connect.Options{Options: []string{"PreferredAuthentications=password"}}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "config-elsewhere", Detail: "login by key is disabled on this side: PreferredAuthentications without publickey, command line -o"}},

		{name: "a private key that ssh would not read", rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, identity.Fault{Cause: "key-mode", Path: "/h/id", Detail: "mode 0644", Hint: "pikeyfix"})
		}), err: session.ErrDenied, want: record.Record{Cause: "key-mode", Subject: "/h/id", Detail: "the server would accept the key, but mode 0644", Hint: "pikeyfix"}},
		{name: "the agent refuses", keys: encrypted, rep: auth(func(r *session.Report) {
			o := offerA(session.SignFailed, fmt.Errorf("%w: agent: failure", identity.ErrAgentRefused))
			o.Key.Name += "-cert.pub (agent)" // of which ssh-add takes the private half's
			r.Offers[0] = o
		}), err: session.ErrDenied, want: record.Record{Cause: "agent-refused", Subject: printA,
			Detail: "the server would accept the key, but the agent holds the key and refuses to sign with it: agent: failure",
			Hint:   "add it again: ssh-add -d '/home/me/.ssh/id a'; ssh-add '/home/me/.ssh/id a' (and ssh-add -X if the agent is locked)"}},
		{name: "the agent alone has it, and refuses", rep: auth(func(r *session.Report) {
			r.Offers = append(r.Offers, session.Offer{Key: session.Key{Public: keyB, Name: "agent"}, Answer: session.SignFailed, Err: identity.ErrAgentRefused})
		}), err: session.ErrDenied, want: record.Record{Cause: "agent-refused", Subject: printB, Detail: "the server would accept the key, but the agent holds the key and refuses to sign with it",
			Hint: "add it again: ssh-add -d KEY; ssh-add KEY (and ssh-add -X if the agent is locked)"}},
		{name: "the agent knows the server, and refuses", rep: auth(func(r *session.Report) {
			r.Offers = append(r.Offers, session.Offer{Key: session.Key{Public: keyB, Name: "agent"}, Answer: session.SignFailed,
				Err: fmt.Errorf("%w: agent: failure; %w", identity.ErrAgentRefused, identity.ErrPerhapsOthers)})
		}), err: session.ErrDenied, want: record.Record{Cause: "agent-refused", Subject: printB,
			Detail: "the server would accept the key, but the agent holds the key and refuses to sign with it: agent: failure; perhaps it is for other users there",
			Hint:   "add it again: ssh-add -d KEY; ssh-add KEY (and ssh-add -X if the agent is locked; if it was added with -h: ssh-add -h USER@HOST, with every user that it is for)"}},
		{name: "the agent keeps it for others", rep: auth(func(r *session.Report) {
			r.Offers = append(r.Offers, session.Offer{Key: session.Key{Public: keyB, Name: "agent"}, Answer: session.SignFailed,
				Err: fmt.Errorf("%w: %w", identity.ErrAgentRefused, identity.ErrRestricted)})
		}), err: session.ErrDenied, want: record.Record{Cause: "agent-restricted", Subject: printB, Detail: "the server would accept the key, but the agent holds it for other destinations only",
			Hint: "add it for this host too: ssh-add -d KEY; ssh-add -h HOST KEY, with every HOST that it is for"}},
		{name: "nobody to ask for the passphrase", keys: encrypted, rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, fmt.Errorf("x: %w", secret.ErrNobody))
		}),
			err: session.ErrDenied, want: record.Record{Cause: "key-encrypted", Subject: "/home/me/.ssh/id a",
				Detail: "the server would accept the key, but it has a passphrase, no agent holds it, and there is nobody to ask",
				Hint:   "pikeycheck -a '/home/me/.ssh/id a'\nhint: or --passphrase-file FILE"}},
		{name: "the wrong passphrase", keys: encrypted, rep: auth(func(r *session.Report) { r.Offers[0] = offerA(session.SignFailed, identity.ErrPassphraseWrong) }),
			err: session.ErrDenied, want: record.Record{Cause: "key-encrypted", Subject: "/home/me/.ssh/id a", Detail: "the server would accept the key, but the passphrase is wrong",
				Hint: "pikeycheck -a '/home/me/.ssh/id a'\nhint: or --passphrase-file FILE"}},
		{name: "the wrong passphrase, and a public half", keys: encrypted, rep: auth(func(r *session.Report) {
			r.Offers = []session.Offer{{Key: session.Key{Public: keyB, Name: "/h/id"}, Answer: session.SignFailed,
				Err: identity.Fault{Cause: "key-missing", Path: "/h/id"}}, offerA(session.SignFailed, identity.ErrPassphraseWrong)}
		}),
			err: session.ErrDenied, want: record.Record{Cause: "key-encrypted", Subject: "/home/me/.ssh/id a", Detail: "the server would accept the key, but the passphrase is wrong",
				Hint: "pikeycheck -a '/home/me/.ssh/id a'\nhint: or --passphrase-file FILE"}},
		{name: "no passphrase after all", keys: encrypted, rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, fmt.Errorf("%w: %w", identity.ErrPassphraseNeeded, secret.ErrDeclined))
		}),
			err: session.ErrDenied, want: record.Record{Cause: "key-encrypted", Subject: "/home/me/.ssh/id a", Detail: "the server would accept the key, but the private key is encrypted and no passphrase was given: no secret was given",
				Hint: "pikeycheck -a '/home/me/.ssh/id a'\nhint: or --passphrase-file FILE"}},
		{name: "a key that only the agent could use", rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, &identity.UnsupportedError{Path: "/h/id", Reason: "its cipher x is not supported", Rewrap: true})
		}), err: session.ErrDenied, want: record.Record{Cause: "key-format", Subject: "/h/id", Detail: "the server would accept the key, but its cipher x is not supported",
			Hint: "load it into the agent: ssh-add /h/id; or encrypt it again: ssh-keygen -p -Z aes256-ctr -f /h/id"}},
		{name: "a damaged key with a passphrase", keys: encrypted, rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, errors.New("/h/id: halves do not fit"))
		}),
			err: session.ErrDenied, want: record.Record{Cause: "key-damaged", Subject: "/home/me/.ssh/id a", Detail: "the server would accept the key, but /h/id: halves do not fit"}},
		{name: "a damaged key", rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, errors.New("/h/id: halves do not fit"))
		}),
			err: session.ErrDenied, want: record.Record{Cause: "key-damaged", Subject: "/home/me/.ssh/id a", Detail: "the server would accept the key, but /h/id: halves do not fit"}},
		{name: "a wrong signature", rep: auth(func(r *session.Report) {
			r.Offers[0] = offerA(session.SignFailed, fmt.Errorf("%w: ssh: signature did not verify", session.ErrSignature))
		}),
			err: session.ErrDenied, want: record.Record{Cause: "key-damaged", Subject: "/home/me/.ssh/id a",
				Detail: "the server would accept the key, but its signature is wrong: the private key in the file does not belong to the public key in it",
				Hint:   "restore the file from a copy, or make a new pair: pikeygen -f FILE"}},
		{name: "a wrong signature of the agent", keys: connect.Keys{Candidates: []connect.Candidate{{Key: session.Key{Public: keyB, Name: "agent"}, Agent: true}}},
			rep: auth(func(r *session.Report) {
				r.Offers = append(r.Offers, session.Offer{Key: session.Key{Public: keyB, Name: "agent"}, Answer: session.SignFailed, Err: session.ErrSignature})
			}),
			err: session.ErrDenied, want: record.Record{Cause: "agent-refused", Subject: printB,
				Detail: "the server would accept the key, but its signature is wrong: the agent signs with another key", Hint: "add it again: ssh-add -d KEY; ssh-add KEY"}},

		{name: "nobody to ask for the password", rep: auth(func(r *session.Report) { r.PasswordErr = secret.ErrNobody }), err: session.ErrDenied,
			want: record.Record{Cause: "password-needed", Detail: "no key lets pi@pi.local in, so it takes the password, and there is nobody to ask for it: no file, no askpass program and no terminal",
				Hint: "--password-file FILE, or run it where it can ask"}},
		{name: "no password after all", rep: auth(func(r *session.Report) { r.PasswordErr = secret.ErrDeclined }), err: session.ErrDenied,
			want: record.Record{Cause: "password-needed", Detail: "no key lets pi@pi.local in, and no secret was given"}},
		{name: "the wrong password", rep: auth(func(r *session.Report) { r.PasswordSent, r.Password = true, session.Refused }), err: session.ErrDenied,
			want: record.Record{Cause: "password-wrong", Detail: "the server refused the password of pi@pi.local; it was tried once",
				Hint: "is the user right? Raspberry Pi OS has no user pi of its own, only the one that was chosen in Raspberry Pi Imager"}},
		{name: "the wrong password of another user", user: "ann", rep: auth(func(r *session.Report) { r.PasswordSent, r.Password = true, session.Refused }), err: session.ErrDenied,
			want: record.Record{Cause: "password-wrong", Detail: "the server refused the password of ann@pi.local; it was tried once",
				Hint: "try the user and the password by hand: ssh -o PubkeyAuthentication=no -F none ann@pi.local"}},
		{name: "the wrong password, and MaxAuthTries", rep: auth(func(r *session.Report) {
			r.PasswordSent, r.Passwords, r.Password, r.Disconnect = true, 2, session.Unanswered, "Too many authentication failures"
		}), err: io.EOF,
			want: record.Record{Cause: "password-wrong", Detail: "the server refused the password of pi@pi.local; 2 were tried",
				Hint: "is the user right? Raspberry Pi OS has no user pi of its own, only the one that was chosen in Raspberry Pi Imager"}},
		{name: "asked again", rep: auth(func(r *session.Report) {
			r.PasswordSent, r.PasswordErr = true, &session.PromptError{Questions: []string{"Password: "}, Again: true}
		}), err: session.ErrDenied, want: record.Record{Cause: "password-wrong", Detail: "after the password the server asks: Password: ",
			Hint: "is the user right? Raspberry Pi OS has no user pi of its own, only the one that was chosen in Raspberry Pi Imager"}},
		{name: "asked for a code after the password", rep: auth(func(r *session.Report) {
			r.PasswordSent, r.Password, r.PasswordErr = true, session.Refused, &session.PromptError{Questions: []string{"Verification code: "}}
		}), err: session.ErrDenied, want: record.Record{Cause: "prompt-unknown", Detail: "after the password of pi@pi.local the server asks: Verification code:",
			Hint: "log in with ssh on a terminal to see what it wants: ssh -F none pi@pi.local"}},
		{name: "a new password", rep: auth(func(r *session.Report) {
			r.PasswordSent, r.PasswordErr = true, &session.PromptError{Questions: []string{"New password: "}, New: true}
		}), err: session.ErrDenied, want: record.Record{Cause: "password-expired", Detail: "after the password of pi@pi.local the server asks: New password:",
			Hint: "log in with ssh on a terminal and change it: ssh -F none pi@pi.local"}},
		{name: "another question", rep: auth(func(r *session.Report) { r.PasswordErr = &session.PromptError{Questions: []string{"Code: "}} }), err: session.ErrDenied,
			want: record.Record{Cause: "prompt-unknown", Detail: "no key lets pi@pi.local in, and the server asks: Code:",
				Hint: "log in with ssh on a terminal to see what it wants: ssh -F none pi@pi.local"}},
		{name: "a password that failed elsewhere", rep: auth(func(r *session.Report) { r.PasswordErr = connect.ErrSpent }), err: session.ErrDenied,
			want: record.Record{Cause: "password-unsent", Detail: "no key lets pi@pi.local in, and the password was not sent: it failed on three targets in a row",
				Hint: "check that it is the right one, then run it again for the remaining targets"}},

		{name: "cut while logging in", rep: auth(func(r *session.Report) { r.Methods = nil }), err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "the connection ended during authentication: authentication: EOF", Hint: cutShort}},
		{name: "cut after a key", rep: auth(func(r *session.Report) { r.Offers[0].Answer = session.Unanswered }), err: io.ErrUnexpectedEOF,
			want: record.Record{Cause: "connection-dropped", Detail: "the connection ended during authentication: authentication: unexpected EOF", Hint: cutShort}},
		{name: "hung up in place of an answer", rep: auth(func(r *session.Report) { r.Offers[0].Answer = session.HungUp }), err: io.ErrUnexpectedEOF,
			want: record.Record{Cause: "pam-refused", Subject: printA, Detail: "likely: the server hangs up in place of an answer to the key, as sshd does where it is right and PAM refuses the account; unless the connection broke just then",
				Hint: "look in the log there: sudo journalctl -u ssh --since -10min"}},
		{name: "hung up in place of root's answer", user: "root", rep: auth(func(r *session.Report) { r.Offers[0].Answer = session.HungUp }), err: io.ErrUnexpectedEOF,
			want: record.Record{Cause: "root-refused", Subject: printA, Detail: "likely: the server hangs up in place of an answer to the key, as sshd does where PermitRootLogin is forced-commands-only and the key has no command=; " +
				"unless PAM refuses the account, or the connection broke just then",
				Hint: "log in as another user and use sudo, or set PermitRootLogin prohibit-password there, or give the key's line a command=\nhint: there: sudo sshd -T -C user=root | grep -i -e permitrootlogin"}},
		{name: "a network that breaks in place of an answer", rep: auth(func(r *session.Report) { r.PasswordSent, r.Password = true, session.Unanswered }), err: syscall.ECONNRESET,
			want: record.Record{Cause: "connection-dropped", Detail: "the connection ended during authentication: authentication: connection reset by peer", Hint: cutShort}},
		{name: "hung up with a word", rep: auth(func(r *session.Report) { r.Disconnect = "no more\x1b[2J" }), err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "the server hung up during authentication: no more\x1b[2J", Hint: inTheLog}},
		{name: "the key is half of it", rep: auth(func(r *session.Report) {
			r.Offers[0].Answer, r.Methods = session.Partial, []string{"password", "keyboard-interactive"}
		}), err: session.ErrDenied, want: record.Record{Cause: "more-needed", Subject: printA, Detail: "the key was accepted, but the server requires password, keyboard-interactive too",
			Hint: "there: sudo sshd -T -C user=pi | grep -i -e authenticationmethods"}},
		{name: "the password is half of it", rep: auth(func(r *session.Report) {
			r.Password, r.PasswordSent, r.Methods = session.Partial, true, []string{"publickey"}
		}),
			err: session.ErrDenied, want: record.Record{Cause: "more-needed", Detail: "the password was accepted, but the server requires publickey too"}},
		{name: "no keys there", rep: auth(func(r *session.Report) { r.Methods, r.Offers = []string{"password"}, nil }), err: session.ErrDenied,
			want: record.Record{Cause: "pubkey-disabled", Detail: "the server accepts password, and no keys, or keys only after that (AuthenticationMethods)",
				Hint: "set PubkeyAuthentication yes there in /etc/ssh/sshd_config (or a file in sshd_config.d; the first value wins)"}},

		{name: "no key at all", keys: none, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "key-missing", Detail: "no key to offer: none of /h/id_rsa, /h/id_ed25519 exists, and there is no agent", Hint: "pikeygen | pikeycopy -i - -F none pi@pi.local"}},
		{name: "no key wanted", keys: connect.Keys{AgentKeys: -1, AgentErr: none.AgentErr}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "key-missing", Detail: "no key to offer: IdentityFile is none, and there is no agent", Hint: "name the key: -o IdentityFile=KEY"}},
		{name: "an agent with nothing", keys: connect.Keys{AgentKeys: 0}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "agent-empty", Detail: "there is no key file, and the agent holds none", Hint: "make a key: pikeygen; or add one: ssh-add KEY; or, if it is locked: pikeycheck -X"}},
		{name: "an agent that is gone", keys: connect.Keys{AgentKeys: -1, AgentErr: &identity.AgentError{Socket: "/s", Err: os.ErrNotExist}}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "agent-absent", Subject: "/s", Detail: "there is no key file, and no agent at /s: there is no such socket",
				Hint: `make a key: pikeygen; or start an agent, and add one to it: eval "$(ssh-agent -s)" && pikeycheck -a FILE`}},
		{name: "an agent that is not asked", keys: connect.Keys{AgentKeys: 3}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "key-not-offered", Detail: "there is no key file, and the agent's 3 are not offered (IdentitiesOnly)", Hint: "name the key: -o IdentityFile=KEY"}},
		{name: "a broken key alone", keys: connect.Keys{AgentKeys: -1, Broken: []*identity.Pair{{Path: "/h/id", Faults: []identity.Fault{{Cause: "key-damaged", Path: "/h/id", Detail: "it is empty", Hint: "pikeygen"}}}}},
			rep: auth(nothing), err: session.ErrDenied, want: record.Record{Cause: "key-damaged", Subject: "/h/id", Detail: "it is empty; there is no agent", Hint: "pikeygen"}},
		{name: "a key that is kept back", opt: connect.Options{Options: []string{"PubkeyAcceptedAlgorithms=-ssh-ed25519"}},
			keys: connect.Keys{AgentKeys: -1, Unaccepted: []connect.Candidate{{Key: session.Key{Public: keyA}}}}, rep: auth(nothing), err: session.ErrDenied,
			want: record.Record{Cause: "config-elsewhere", Subject: printA, Detail: "PubkeyAcceptedAlgorithms excludes ED25519: command line -o"}},
		{name: "no signature in common", rep: auth(func(r *session.Report) { r.Offers[0].Answer = session.Unasked }), err: session.ErrDenied,
			want: record.Record{Cause: "key-type-refused", Subject: printA, Detail: "the server accepts no signature that a key of type ED25519 can make here (its server-sig-algs)",
				Hint: "make a key that it accepts: pikeygen -t ed25519 -f FILE"}},

		{name: "an RSA key that signs with SHA-1", opt: connect.Options{Options: []string{"PubkeyAcceptedAlgorithms=^ssh-rsa"}},
			rep: auth(func(r *session.Report) { r.Offers[0].Key.Public.Type = ssh.KeyAlgoRSA }), err: session.ErrDenied,
			want: record.Record{Cause: "config-elsewhere", Subject: printA, Detail: "likely: PubkeyAcceptedAlgorithms has the key sign with SHA-1, which OpenSSH refuses since 8.8: command line -o",
				Hint: "have rsa-sha2-512 before ssh-rsa there: +ssh-rsa"}},
		{name: "the same at a server that takes SHA-1", opt: connect.Options{Options: []string{"PubkeyAcceptedAlgorithms=^ssh-rsa"}},
			rep: auth(func(r *session.Report) {
				r.Offers[0].Key.Public.Type, r.ServerVersion = ssh.KeyAlgoRSA, "SSH-2.0-OpenSSH_7.4"
			}), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Subject: printA, Detail: "1 key refused for user pi (ED25519): " + couldBe, Hint: inHint}},
		{name: "one key refused", rep: auth(func(*session.Report) {}), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Subject: printA, Detail: "1 key refused for user pi (ED25519): " + couldBe, Hint: inHint}},
		{name: "many keys refused", rep: auth(func(r *session.Report) {
			r.Offers = slices.Repeat(r.Offers, 5)
		}), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Detail: "5 keys refused for user pi (ED25519 " + printA + ", ED25519 " + printA + ", ED25519 " + printA + ", 2 more): " + couldBe, Hint: inHint}},
		{name: "a right signature refused", rep: auth(func(r *session.Report) { r.Offers[0].Answer = session.SignatureRefused }), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Subject: printA, Hint: "look in the log there: sudo journalctl -u ssh --since -10min",
				Detail: "the server would accept the key, but refuses its signature, which is correct, as where PermitRootLogin is no and the user has uid 0"}},
		{name: "two keys refused", rep: auth(func(r *session.Report) { r.Offers = append(r.Offers, offerB(session.Refused)) }), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Detail: "2 keys refused for user pi (ED25519 " + printA + ", ECDSA " + printB + "): " + couldBe, Hint: inHint}},
		{name: "a key refused, by dropbear", rep: auth(func(r *session.Report) {
			r.ServerVersion, r.Methods = "SSH-2.0-dropbear_2022.83", []string{"publickey"}
		}), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Subject: printA, Detail: "1 key refused for user pi (ED25519): " + couldBe,
				Hint: "the server accepts no password either: install the key on the Pi's own console, or repair the files there: pikeyfix\nhint: its log may say which it is: sudo journalctl -t dropbear"}},
		{name: "a key refused, and dropbear hangs up", rep: auth(func(r *session.Report) { r.ServerVersion = "SSH-2.0-dropbear_2022.83" }), err: io.EOF,
			want: record.Record{Cause: "connection-dropped", Detail: "the connection ended during authentication: authentication: EOF",
				Hint: "dropbear hangs up like this after too many tries (-T), and if the shell is not in /etc/shells; look in the log there: logread | grep dropbear, or sudo journalctl -t dropbear --since -10min"}},
		{name: "a key refused, and no password", rep: auth(func(r *session.Report) { r.Methods = []string{"publickey"} }), err: session.ErrDenied,
			want: record.Record{Cause: "key-refused", Subject: printA, Detail: "1 key refused for user pi (ED25519): " + couldBe,
				Hint: "the server accepts no password either: install the key on the Pi's own console, or repair the files there: pikeyfix\nhint: its log may say which it is: sudo journalctl -u ssh"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := resolve(t, connector(t, tt.opt), cmp.Or(tt.user, "pi")+"@pi.local")
			if tt.want.Verdict == "" {
				tt.want.Verdict = record.Fail
			}
			for _, o := range tt.opt.Options { // told again in each hint
				tt.want.Hint = strings.ReplaceAll(tt.want.Hint, "-F none ", "-F none -o '"+o+"' ")
			}
			var err error
			if tt.err != nil {
				err = at(tt.rep, tt.err)
			}
			got := Login(t.Context(), host, tt.keys, &tt.rep, err)
			if got != tt.want {
				t.Errorf("got\n%+v, want\n%+v", got, tt.want)
			}
			if _, ok := cause.Lookup(got.Cause); !ok {
				t.Errorf("%s is no cause of the catalogue", got.Cause)
			}
		})
	}
}

// A hint that a password is needed for takes back what keeps this run from one.
func TestHintsWithoutAPassword(t *testing.T) {
	t.Parallel()
	put := func(text string) string { return put(t, filepath.Join(t.TempDir(), "config"), text) }
	password := put("secret\n")
	for _, tt := range []struct {
		opt     connect.Options
		methods string
		want    string // between program and target
	}{
		{connect.Options{}, "password", ""},
		{connect.Options{Options: []string{"PasswordAuthentication=no", "StrictHostKeyChecking=yes"}}, "password", "-o 'StrictHostKeyChecking=yes' "},
		{connect.Options{Options: []string{"PasswordAuthentication=no"}}, "keyboard-interactive", "-o 'PasswordAuthentication=no' "}, // which is in nobody's way
		{connect.Options{Options: []string{"passwordauthentication no", "challengeresponseauthentication = no"}}, "keyboard-interactive password", ""},
		{connect.Options{Options: []string{"PreferredAuthentications=publickey"}}, "password", ""},
		{connect.Options{Options: []string{"BatchMode=yes"}}, "password", ""},
		{connect.Options{Options: []string{"BatchMode=yes"}, PasswordFile: password}, "password", "-o 'BatchMode=yes' --password-file " + password + " "},
		{connect.Options{ConfigFile: put("BatchMode yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPreferredAuthentications publickey\n")}, "password",
			"-o 'BatchMode=no' -o 'PasswordAuthentication=yes' -o 'PreferredAuthentications=publickey,keyboard-interactive,password' "},
	} {
		if tt.opt.ConfigFile == "" {
			tt.opt.ConfigFile = "none"
		}
		host := resolve(t, connector(t, tt.opt), "pi@pi.local")
		rep := session.Report{Stage: session.Auth, ServerVersion: "SSH-2.0-OpenSSH_9.2p1", Methods: append(strings.Fields(tt.methods), "publickey"),
			Offers: []session.Offer{offerA(session.Refused, nil)}}
		for name, r := range map[string]record.Record{
			"refused":        Login(t.Context(), host, connect.Keys{}, &rep, at(rep, session.ErrDenied)),
			"no key":         nothingOffered(host, connect.Keys{AgentKeys: -1, Looked: []string{"/h/id_rsa"}}, &rep),
			"too many tries": tooManyTries(host, connect.Keys{}, &rep),
		} {
			wanted := []string{"pikeycopy ", "pikeyfix "}
			if name == "no key" {
				wanted = []string{"pikeycopy -i - "}
			}
			for _, want := range wanted {
				if want += "-F " + tt.opt.ConfigFile + " " + tt.want + "pi@pi.local"; !strings.Contains(r.Hint, want) {
					t.Errorf("%v, %s: no %q in %s", tt.opt.Options, name, want, r.Hint)
				}
			}
		}
	}
}

// The end of a context is told with the step that it ended at.
func TestEnds(t *testing.T) {
	t.Parallel()
	host := resolve(t, connector(t, connect.Options{}), "pi@pi.local")
	slow, cancel := context.WithCancelCause(t.Context())
	cancel(session.ErrTooSlow)
	cut, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("interrupted"))
	for _, tt := range []struct {
		ctx   context.Context
		stage session.Stage
		want  string
	}{
		{slow, session.Dialling, "timeout: no answer from pi.local port 22 within the time for this target"},
		{slow, session.Versions, "too-slow: not finished in the time for this target; last step: version exchange"},
		{slow, session.Auth, "too-slow: not finished in the time for this target; last step: authentication"},
		{cut, session.Dialling, "interrupted: last step: connect"},
		{cut, session.Auth, "interrupted: last step: authentication"},
		{slow, "", "config-bad: KnownHostsCommand failed: the time for this target is up: "},
		{cut, "", "interrupted: last step: "},
	} {
		err := context.Cause(tt.ctx)
		if tt.stage == "" { // before there was a connection
			err = &connect.HostsCommandError{Err: err}
		}
		r := Login(tt.ctx, host, connect.Keys{}, &session.Report{Stage: tt.stage}, err)
		if got := r.Cause + ": " + r.Detail; got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	silent := &session.Report{Stage: session.Auth, Offers: []session.Offer{offerA(session.SignFailed, fmt.Errorf("%w: %w", identity.ErrAgentRefused, identity.ErrAgentSilent))}}
	if r := Login(slow, host, connect.Keys{}, silent, session.ErrTooSlow); r.Cause != "too-slow" || !strings.HasSuffix(r.Detail, "; last step: the agent's signature, for which it may have asked somebody") {
		t.Error(r)
	}
	for _, tt := range []struct {
		ctx  context.Context
		err  error
		want string
	}{
		{t.Context(), errors.New("a:1: bad"), "config-bad  a:1: bad"},
		{t.Context(), &sshconfig.PermissionError{Path: "/c", Mode: 0o666}, "config-writable /c bad owner"},
		{slow, errors.New("x"), "too-slow  not finished in the time for this target; last step: reading the configuration"},
		{cut, errors.New("x"), "interrupted  last step: reading the configuration"},
	} {
		r := Config(tt.ctx, tt.err)
		if got := r.Cause + " " + r.Subject + " " + r.Detail; !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// IdentityFile may name the public half of a pair of which ssh could not read the
// private one, which then does not matter: the key has been offered.
func TestPublicHalfNamed(t *testing.T) {
	t.Parallel()
	key := sshtest.NewKey(t, t.TempDir(), "ed25519")
	for _, mode := range []os.FileMode{0o644, 0o600} {
		if err := os.Chmod(key.File, mode); err != nil {
			t.Fatal(err)
		}
		host := resolve(t, connector(t, connect.Options{Options: []string{"IdentityFile=" + key.File + ".pub"}}), "pi@pi.local")
		keys := host.Keys(t.Context())
		rep := session.Report{Stage: session.Auth, ServerVersion: "SSH-2.0-OpenSSH_9.2p1", Methods: []string{"publickey"}}
		for _, k := range keys.Offers() {
			rep.Offers = append(rep.Offers, session.Offer{Key: k, Answer: session.Refused})
		}
		r := Login(t.Context(), host, keys, &rep, at(rep, session.ErrDenied))
		if len(rep.Offers) != 1 || r.Cause != "key-refused" || strings.Contains(r.Hint, "was not offered") {
			t.Errorf("%o: %d offers, %+v", mode, len(rep.Offers), r)
		}
	}
}

// What happens at a jump host is told of the jump host, and its way on is for
// it alone.
func TestJumpHosts(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	key := sshtest.NewKey(t, home, "ed25519")
	gate := sshtest.StartPi(t, sshtest.PiConfig{})
	silent := sshtest.StartHostile(t, sshtest.Silent)
	known := filepath.Join(home, "known_hosts")
	config := filepath.Join(home, "config")
	put(t, known, gate.KnownHosts())
	put(t, config, strings.Join([]string{"IdentityFile " + key.File, "UserKnownHostsFile " + known, "GlobalKnownHostsFile none",
		"Host a", "ProxyJump b", "Host b", "ProxyJump a", ""}, "\n"))
	for _, tt := range []struct {
		name, jump, known string
		want              []string // cause, start of the detail, part of the hint
	}{
		{"refused", "pi@" + gate.Addr, gate.KnownHosts(), []string{"key-refused", "jump host pi@" + gate.Addr + ": 1 key refused for user pi (", "pikeycopy -F " + config + " pi@" + gate.Addr + "\n"}},
		{"unknown", "pi@" + gate.Addr, "", []string{"host-key-unknown", "jump host pi@" + gate.Addr + ": it presents ",
			"pikeycheck --host-key " + ssh.FingerprintSHA256(gate.HostKeys[0]) + " -F " + config + " pi@" + gate.Addr + "\n"}},
		{"not there", "pi@127.0.0.1:1", "", []string{"connection-refused", "jump host pi@127.0.0.1:1: nothing is listening on 127.0.0.1 port 1", "SSH is off"}},
		{"silent", "pi@" + silent.Addr, "", []string{"too-slow", "jump host pi@" + silent.Addr + ": not finished in the time for this target; last step: version exchange", "--timeout"}},
		{"the first of two", "pi@127.0.0.1:1,pi@" + gate.Addr, "", []string{"connection-refused", "jump host pi@" + gate.Addr + ": jump host pi@127.0.0.1:1: nothing is listening", "SSH is off"}},
		{"a circle", "a", "", []string{"config-bad", "jump host a: jump host b: ", ""}},
	} {
		put(t, known, tt.known)
		timeout := 10 * time.Second
		if tt.name == "silent" {
			timeout = time.Second // which a busy machine has done with connecting
		}
		c := connector(t, connect.Options{ConfigFile: config, Home: home, Jump: tt.jump, Timeout: timeout})
		host := resolve(t, c, "pi@pi.local")
		ctx, cancel := c.Deadline(t.Context())
		_, rep, err := host.Login(ctx, connect.Plan{})
		r := Login(ctx, host, connect.Keys{}, rep, err)
		cancel()
		if r.Cause != tt.want[0] || !strings.HasPrefix(r.Detail, tt.want[1]) || !strings.Contains(r.Hint, tt.want[2]) {
			t.Errorf("%s:\n%+v, want\n%q", tt.name, r, tt.want)
		}
	}
}

// A user whom a configuration names that ssh alone can read is none's own.
func TestLoginNameThatSSHTells(t *testing.T) {
	sshtest.Need(t, "ssh")
	t.Parallel()
	file := put(t, filepath.Join(t.TempDir(), "config"), "Match exec true\n\tUser somebody\n")
	host := resolve(t, connector(t, connect.Options{ConfigFile: file}), "pi.local")
	rep := session.Report{Stage: session.Auth, Methods: []string{"publickey"}, Offers: []session.Offer{offerA(session.Refused, nil)}}
	if r := Login(t.Context(), host, connect.Keys{}, &rep, at(rep, session.ErrDenied)); !strings.Contains(r.Detail, "for user somebody (") {
		t.Errorf("%s", r.Detail)
	}
}

// What a target that is only a name, or with a port of its own, is told.
func TestLoginNames(t *testing.T) {
	t.Parallel()
	c := connector(t, connect.Options{ConfigFile: "none", Home: t.TempDir(), Timeout: 10 * time.Second})
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", connRefused)}
	denied := session.Report{Stage: session.Auth, Methods: []string{"publickey"}, Offers: []session.Offer{offerA(session.Refused, nil)}}
	for _, tt := range []struct {
		target string
		rep    session.Report
		err    error
		want   string // part of the detail or the hint
		not    string
	}{
		{"pi", session.Report{Stage: session.Dialling}, &net.DNSError{Name: "pi", Err: "no such host"}, "by its name with .local: pi.local", ""},
		{"pi.lan", session.Report{Stage: session.Dialling}, &net.DNSError{Name: "pi.lan", Err: "no such host"}, "getent ahosts pi.lan", "pi.lan.local"},
		{"pi@pi:2222", session.Report{Stage: session.Dialling}, refused, "is 2222 the right port? ", ""},
		{"pi@pi", session.Report{Stage: session.Dialling}, refused, "SSH is off", "right port"},
		{"pi", denied, session.ErrDenied, ", which is your name here (", ""},
		{"pi@pi", denied, session.ErrDenied, "for user pi (", "your name"},
	} {
		r := Login(t.Context(), resolve(t, c, tt.target), connect.Keys{}, &tt.rep, at(tt.rep, tt.err))
		text := r.Detail + "\n" + r.Hint
		if !strings.Contains(text, tt.want) || tt.not != "" && strings.Contains(text, tt.not) {
			t.Errorf("%s: %+v, want %q, not %q", tt.target, r, tt.want, tt.not)
		}
	}
}

// To act on a host a password does as well; where none is taken, that is what
// is in the way.
func TestEnter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		config   sshtest.PiConfig
		password string // "right", "wrong" or "" for none
		want     string // the cause; "" for a way in
	}{
		{"by password", sshtest.PiConfig{}, "right", ""},
		{"by a wrong one", sshtest.PiConfig{}, "wrong", "password-wrong"},
		{"by none", sshtest.PiConfig{}, "", "password-needed"},
		{"where none is taken", sshtest.PiConfig{Methods: []string{sshtest.PublicKey}}, "right", "password-disabled"},
		{"where none is taken, with no key", sshtest.PiConfig{Methods: []string{sshtest.PublicKey}}, "", "password-disabled"},
	} {
		pi := sshtest.StartPi(t, tt.config)
		home := t.TempDir()
		opt := connect.Options{Home: home, Options: []string{"UserKnownHostsFile=" + pi.KnownHostsFile(t), "BatchMode=yes"}}
		if tt.password != "" {
			opt.PasswordFile = put(t, filepath.Join(home, "password"), map[string]string{"right": pi.Password, "wrong": "x"}[tt.password]+"\n")
		}
		key := sshtest.NewKey(t, home, "ed25519")
		host := resolve(t, connector(t, opt), "pi@"+pi.Addr)
		var keys connect.Keys
		if tt.name != "where none is taken, with no key" {
			keys = host.Keys(t.Context(), key.File)
		}
		client, _, failed := Enter(t.Context(), host, keys, keys.Offers())
		if client != nil {
			client.Close()
		}
		got := ""
		if failed != nil {
			got = failed.Cause
		}
		if got != tt.want || (client != nil) != (tt.want == "") {
			t.Errorf("%s: %q, want %q: %+v", tt.name, got, tt.want, failed)
		}
	}
}

// This side alone, with a real agent in each of its states.
func TestLocal(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "ssh-agent", "ssh-add", "ssh-keygen")
	plain := func(t *testing.T, home string) { sshtest.NewKey(t, filepath.Join(home, ".ssh"), "ed25519") }
	encrypted := func(t *testing.T, home string) {
		plain(t, home)
		sshtest.Keygen(t, "-q", "-p", "-a", "1", "-P", "", "-N", "secret", "-f", filepath.Join(home, ".ssh", "id_ed25519"))
	}
	holding := func(t *testing.T, home string, more ...string) string {
		socket := sshtest.StartAgent(t)
		sshtest.AddToAgent(t, socket, sshtest.NewKey(t, t.TempDir(), "ecdsa").File, more...)
		return socket
	}
	for _, tt := range []struct {
		name  string
		files func(t *testing.T, home string)
		agent func(t *testing.T, home string) string
		want  []string // verdict, cause, subject and part of the detail; HOME for the home
	}{
		{"nothing", nil, nil, []string{"fail key-missing HOME/.ssh none of ssh's key files exists"}},
		{"a pair", plain, nil, []string{"ok key SHA256: 256 ED25519 HOME/.ssh/id_ed25519"}},
		{"a pair with a passphrase, no agent", encrypted, nil, []string{"ok key SHA256: , with a passphrase", "fail agent-absent - no agent: SSH_AUTH_SOCK is not set"}},
		{"a pair with a passphrase, an empty agent", encrypted, func(t *testing.T, _ string) string { return sshtest.StartAgent(t) },
			[]string{"ok key SHA256: , with a passphrase", "fail agent-empty SOCKET a key here has a passphrase"}},
		{"a pair, an empty agent", plain, func(t *testing.T, _ string) string { return sshtest.StartAgent(t) }, []string{"ok key SHA256: ED25519"}},
		{"an agent that holds a key", nil, func(t *testing.T, home string) string { return holding(t, home) }, []string{"ok agent SHA256: ECDSA test@ecdsa signs"}},
		{"an agent that would ask", nil, func(t *testing.T, home string) string { return holding(t, home, "-c") }, []string{"fail agent-refused SHA256: ECDSA test@ecdsa: the agent holds the key and refuses"}},
		{"an agent that holds a key for one destination", nil, func(t *testing.T, home string) string {
			known := put(t, filepath.Join(home, "known"), "pi.invalid "+sshtest.NewKey(t, t.TempDir(), "ed25519").Line+"\n")
			return holding(t, home, "-h", "pi.invalid", "-H", known)
		}, []string{"ok agent-restricted SHA256: ECDSA test@ecdsa is for some destinations only"}},
		{"a locked agent", plain, func(t *testing.T, home string) string {
			socket := holding(t, home)
			lock(t, home, socket)
			return socket
		}, []string{"ok key SHA256: ED25519"}},
		{"no socket", plain, func(_ *testing.T, home string) string { return filepath.Join(home, "gone") },
			[]string{"ok key SHA256: ED25519", "fail agent-absent HOME/gone there is no such socket"}},
		{"a socket that was left", plain, func(t *testing.T, home string) string {
			path := filepath.Join(home, "left")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			l.(*net.UnixListener).SetUnlinkOnClose(false)
			l.Close()
			return path
		}, []string{"ok key SHA256: ED25519", "fail agent-absent HOME/left it has ended and left its socket behind"}},
		{"what is no socket", plain, func(t *testing.T, home string) string { return put(t, filepath.Join(home, "file"), "") },
			[]string{"ok key SHA256: ED25519", "fail agent-absent HOME/file it is not a socket"}},
		{"a pair that others read", func(t *testing.T, home string) {
			plain(t, home)
			if err := os.Chmod(filepath.Join(home, ".ssh", "id_ed25519"), 0o644); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"fail key-mode HOME/.ssh/id_ed25519 0644"}},
		{"an empty file", func(t *testing.T, home string) { put(t, filepath.Join(home, ".ssh", "id_ed25519"), "") }, nil,
			[]string{"fail key-damaged HOME/.ssh/id_ed25519 empty"}},
		{"a configuration", func(t *testing.T, home string) {
			plain(t, home)
			put(t, filepath.Join(home, ".ssh", "config"), "")
		}, nil, []string{"ok config HOME/.ssh/config ssh reads it", "ok key SHA256: ED25519"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			home, err := os.MkdirTemp("", "pk") // short enough for a socket's name
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(home)
			if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
				t.Fatal(err)
			}
			if tt.files != nil {
				tt.files(t, home)
			}
			socket := ""
			if tt.agent != nil {
				socket = tt.agent(t, home)
			}
			host := resolve(t, connector(t, connect.Options{Home: home,
				Getenv: func(name string) string { return map[string]string{"SSH_AUTH_SOCK": socket}[name] }}), "host.invalid")
			records := Local(t.Context(), host, home, func(string) string { return t.TempDir() })
			if len(records) != len(tt.want) {
				t.Fatalf("%d records, want %d: %+v", len(records), len(tt.want), records)
			}
			for i, r := range records {
				want := strings.SplitN(strings.NewReplacer("HOME", home, "SOCKET", socket).Replace(tt.want[i]), " ", 4)
				subject := want[2]
				if subject == "-" {
					subject = ""
				}
				if string(r.Verdict) != want[0] || r.Cause != want[1] || !strings.HasPrefix(r.Subject, subject) || subject == "" && r.Subject != "" || !strings.Contains(r.Detail, want[3]) {
					t.Errorf("%+v, want %q", r, want)
				}
				if (r.Verdict == record.Fail) != (r.Hint != "") {
					t.Errorf("hint %q of %s", r.Hint, r.Cause)
				}
				if _, ok := cause.Lookup(r.Cause); !ok {
					t.Errorf("%s is no cause of the catalogue", r.Cause)
				}
			}
		})
	}
}

// waiting is an agent that asks somebody before it signs.
type waiting struct {
	sshagent.Agent
	answer <-chan struct{}
}

func (w waiting) Sign(ssh.PublicKey, []byte) (*ssh.Signature, error) {
	<-w.answer
	return nil, errors.New("nobody said yes")
}

func TestLocalAgentWaits(t *testing.T) {
	t.Parallel()
	home, err := os.MkdirTemp("", "pk") // short enough for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(home)
	listener, err := net.Listen("unix", filepath.Join(home, "agent"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	keyring := sshagent.NewKeyring()
	_, private, _ := ed25519.GenerateKey(nil)
	if err := keyring.Add(sshagent.AddedKey{PrivateKey: private, Comment: "mine"}); err != nil {
		t.Fatal(err)
	}
	answer := make(chan struct{})
	defer close(answer)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() { _ = sshagent.ServeAgent(waiting{keyring, answer}, conn) }()
		}
	}()
	getenv := func(name string) string { return map[string]string{"SSH_AUTH_SOCK": listener.Addr().String()}[name] }
	host := resolve(t, connector(t, connect.Options{Home: home, Getenv: getenv}), "host.invalid")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	records := Local(ctx, host, home, getenv)
	if len(records) != 1 || records[0].Cause != "agent-refused" || records[0].Detail != "ED25519 mine: the agent did not answer in time" || !strings.Contains(records[0].Hint, "--timeout") {
		t.Errorf("%+v", records)
	}
}

// lock locks an agent by a passphrase of the moment.
func lock(t *testing.T, home, socket string) {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// SSH_AGENTC_LOCK, string "x": PROTOCOL.agent.
	if _, err := conn.Write([]byte{0, 0, 0, 6, 22, 0, 0, 0, 1, 'x'}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 5)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[4] != 6 {
		t.Fatalf("%v, %v", answer, err)
	}
}

// Where ssh_config makes another machine, or another user, of what was named, it
// is said which line does.
func TestSentElsewhere(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("Host pi.local\n\tHostName other.example\n\tPort 2222\n\tUser root\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"pi.local":      "nothing is listening on other.example port 2222; pi.local is other.example, set by HostName, " + config + ":2; port 2222 is set by Port, " + config + ":3",
		"pi@pi.local:1": "nothing is listening on other.example port 1; pi.local is other.example, set by HostName, " + config + ":2",
		"pi.example":    "nothing is listening on pi.example port 22",
	} {
		host := resolve(t, connector(t, connect.Options{ConfigFile: config}), target)
		rep := &session.Report{Stage: session.Dialling}
		if r := Login(t.Context(), host, connect.Keys{}, rep, fmt.Errorf("connect: %w", connRefused)); r.Cause != "connection-refused" || r.Detail != want {
			t.Errorf("%s: %s %q, want %q", target, r.Cause, r.Detail, want)
		}
	}
	host := resolve(t, connector(t, connect.Options{ConfigFile: config}), "pi.local")
	rep := &session.Report{Stage: session.Auth, Methods: []string{"publickey"}, Offers: []session.Offer{offerA(session.Refused, nil)}}
	if r := Login(t.Context(), host, connect.Keys{}, rep, session.ErrDenied); !strings.Contains(r.Detail, "for user root, set by User, "+config+":4") {
		t.Errorf("%s %q", r.Cause, r.Detail)
	}
}

func TestEnded(t *testing.T) {
	for want, err := range map[string]error{
		"no-sftp":            fmt.Errorf("looking: %w", session.ErrNoSFTP),
		"no-shell":           errors.Join(session.ErrNoSFTP, session.ErrNoCommand),
		"session-failed":     session.ErrCutOff,
		"connection-dropped": io.EOF,
	} {
		if r := Ended(t.Context(), "looking", err); r.Cause != want || r.Hint == "" {
			t.Errorf("%v: %+v, want %s", err, r, want)
		}
	}
}
