package diagnose

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/session"
)

// enableSSH says how to enable SSH on a Raspberry Pi.
const enableSSH = "SSH is off on a new Raspberry Pi; enable it there: sudo raspi-config nonint do_ssh 0\n" +
	"hint: or put an empty file named ssh on the boot partition of its card, or enable it in Raspberry Pi Imager\n" +
	"hint: during its first boot a Pi refuses connections for some minutes: --wait 5m"

func unreachable(host *connect.Host, cause, format string, args ...any) record.Record {
	hints := map[string]string{
		"name-unknown":       fmt.Sprintf("use its address, or check the name: getent ahosts %s", host.Config.HostName),
		"timeout":            "is it switched on, and on this network? a firewall may be dropping the packets",
		"host-unreachable":   "is it switched on, and on this network?",
		"connection-refused": enableSSH,
	}
	hint, c := hints[cause], host.Config
	switch {
	case cause == "name-unknown" && !strings.ContainsAny(c.HostName, ".:"):
		hint += fmt.Sprintf("\nhint: or, on its own network, a Pi by its name with .local: %s.local", c.HostName)
	case cause == "connection-refused" && c.Port != 22:
		hint = fmt.Sprintf("is %d the right port? sshd listens on 22 unless Port of its sshd_config says otherwise\nhint: %s", c.Port, hint)
	}
	return failure(cause, "", hint, "%s%s", fmt.Sprintf(format, args...), sent(host))
}

// sent says which lines of ssh_config make another machine of what was named.
func sent(host *connect.Host) (text string) {
	c := host.Config
	if at := c.Sources["hostname"]; at != "" && !strings.EqualFold(c.HostName, c.Alias) {
		text = fmt.Sprintf("; %s is %s, set by HostName, %s", c.Alias, c.HostName, at)
	}
	if at := c.Sources["port"]; at != "" && !strings.HasPrefix(at, "command line") {
		text += fmt.Sprintf("; port %d is set by Port, %s", c.Port, at)
	}
	return text
}

func dialling(host *connect.Host, err error) record.Record {
	where := fmt.Sprintf("%s port %d", host.Config.HostName, host.Config.Port)
	var dns *net.DNSError
	var timeout net.Error
	var bind *connect.BindError
	var far *ssh.OpenChannelError // what a jump host says, RFC 4254 section 5.1
	switch {
	case errors.As(err, &far) && far.Reason == ssh.Prohibited:
		return failure("host-unreachable", "", "AllowTcpForwarding and PermitOpen in sshd_config there must allow the forwarding", "%v", err)
	case errors.As(err, &far) && strings.HasSuffix(far.Message, "Connection refused"): // as sshd says it
		return unreachable(host, "connection-refused", "%v", err)
	case errors.As(err, &far):
		return unreachable(host, "host-unreachable", "%v", err)
	case errors.As(err, &bind):
		return failure("host-unreachable", "", "it must be an address or an interface of this machine: ip addr", "%v", bind)
	case errors.As(err, &dns):
		return unreachable(host, "name-unknown", "%s: %s", dns.Name, dns.Err)
	case errors.Is(err, connRefused):
		return unreachable(host, "connection-refused", "nothing is listening on %s", where)
	case errors.As(err, &timeout) && timeout.Timeout():
		return unreachable(host, "timeout", "no answer from %s", where)
	}
	return unreachable(host, "host-unreachable", "%s: %v", where, err)
}

// versions names what answered in place of an SSH server. sshd says why it
// hangs up in a line before the version (sshd.c, PerSourcePenalties and
// MaxStartups).
func versions(host *connect.Host, rep *session.Report) record.Record {
	said, _, _ := strings.Cut(string(rep.Start), "\n")
	said = strings.TrimSpace(said)
	words := cut(said)
	switch {
	case strings.Contains(said, session.Penalised):
		return failure("penalised", "", "wait before the next try: the server shuts this address out for a few seconds up to ten minutes, longer with each failed login",
			"the server says: %s", words)
	case said == "":
		return failure("connection-dropped", "", "sshd may be starting, out of connections (MaxStartups), or have no host keys (sudo ssh-keygen -A there); a ban by fail2ban looks like this too",
			"closed before the server said anything")
	case strings.HasPrefix(said, session.MaxStartups):
		return failure("connection-dropped", "", "try again in a moment, or with fewer at once: -j 8", "the server says: %s", words)
	case strings.HasPrefix(said, "SSH-") && len(said) < maxVersion:
		return failure("connection-dropped", "", cutShort(host, rep), "closed after the server sent its version %s", said)
	}
	hint := fmt.Sprintf("what listens on port %d is not an SSH server: another port? -p PORT", host.Config.Port)
	if host.Config.ProxyCommand != "" {
		hint = "try it by hand: " + host.Config.ProxyCommand
	}
	return failure("not-ssh", "", hint, "it says: %s", words)
}

// ownAlgorithms is for a list of our own that leaves out what would do.
func ownAlgorithms(host *connect.Host, keyword string) string {
	at := host.Config.Sources[strings.ToLower(keyword)]
	if at == "" {
		at = "ssh_config"
	}
	such := map[string]string{"KexAlgorithms": "curve25519-sha256", "Ciphers": "aes256-gcm@openssh.com", "MACs": "hmac-sha2-256"}[keyword]
	if such == "" {
		such = "ssh-ed25519"
	}
	return "add one that the server has, such as " + such + ", to " + keyword + " (" + at + "), or leave that out"
}

// maxVersion is how long a version line may be with its end, RFC 4253 section
// 4.2, and where reading of one without an end is given up.
const maxVersion = 255

// cutShort is how to go on where a connection ended and nobody said why.
func cutShort(host *connect.Host, rep *session.Report) string {
	return "too many connections (MaxStartups), fail2ban or a firewall may cut it: " + inLog(rep) +
		"\nhint: see whether ssh gets further: " + strings.Replace(host.SSH(), "ssh ", "ssh -v ", 1)
}

func keyExchange(host *connect.Host, rep *session.Report, err error) record.Record {
	if negotiation, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok {
		keyword, there, ours := "Ciphers", "", host.Config.Ciphers
		switch what := negotiation.What; {
		case what == "host key":
			keyword, there, ours = "HostKeyAlgorithms", " and HostKey", host.Config.HostKeyAlgorithms
		case what == "key exchange":
			keyword, ours = "KexAlgorithms", host.Config.KexAlgorithms
		case strings.HasSuffix(what, "MAC"):
			keyword, ours = "MACs", host.Config.MACs
		}
		hint := "update the SSH server there; or let " + keyword + there + " in its sshd_config have one of ours"
		if ours != nil {
			hint = ownAlgorithms(host, keyword)
		}
		return failure("no-common-algorithm", "", hint, "%v", negotiation)
	}
	return failure("connection-dropped", "", cutShort(host, rep), "the connection ended during the key exchange with %s: %v", cut(rep.ServerVersion), err)
}
