package connect

import (
	"crypto/sha256"
	"net"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/session"
)

// machines are those of a run, by half a SHA-256 of their host keys: to notice a
// card that was copied, whose machines answer at different addresses with the
// same key, and one account that is named in several ways. Both get a note, and
// each target is worked on as it was given. The zero value is ready.
type machines struct {
	mu   sync.Mutex
	seen map[[16]byte]*machine
}

// A machine is known by the first target that showed its key.
type machine struct {
	target, user string
	address      string // where it was dialled, or its name behind a proxy
	port         int
	way          string // through what proxy; "" if directly
	copied, same bool   // has been said, and what is more of it is the same news
}

const cloned = "if they are two machines with a copied card, on one of them: sudo rm /etc/ssh/ssh_host_*_key* && sudo ssh-keygen -A && sudo systemctl restart ssh"

// meet looks at one more login to a target, whatever came of it.
func (m *machines) meet(h *Host, rep *session.Report) {
	if h.alone != nil || rep.HostKey == nil || rep.Remote == nil {
		return
	}
	now := machine{target: strings.Clone(h.Target), user: h.Config.User}
	if now.way = h.way(); now.way != "" {
		now.address, now.port = h.Config.HostName, h.Config.Port // the other is of this end
	} else if ip, port, err := net.SplitHostPort(rep.Remote.String()); err == nil {
		now.address = ip
		now.port, _ = strconv.Atoi(port)
	}
	sum := sha256.Sum256(rep.HostKey.Marshal())
	m.mu.Lock()
	defer m.mu.Unlock()
	first, known := m.seen[[16]byte(sum[:])]
	if !known {
		if m.seen == nil {
			m.seen = make(map[[16]byte]*machine)
		}
		m.seen[[16]byte(sum[:])] = &now
		return
	}
	if (first.way == "") != (now.way == "") || first.target == now.target {
		return
	}
	elsewhere := first.where() != now.where()
	switch {
	case elsewhere && !first.copied:
		first.copied = true
		h.c.opt.Note(now.target, "host-key-shared: %s is the host key of %s too, at %s and not %s\nhint: %s",
			ssh.FingerprintSHA256(rep.HostKey), first.target, first.where(), now.where(), cloned)
	case !elsewhere && !first.same && first.way == now.way && first.port == now.port && first.user == now.user:
		first.same = true
		h.c.opt.Note(now.target, "it is %s too, by its host key, address and user", first.target)
	}
}

// where is the address; of this machine the port too, since other ports may lead
// to other machines.
func (s *machine) where() string {
	if net.ParseIP(s.address).IsLoopback() {
		return net.JoinHostPort(s.address, strconv.Itoa(s.port))
	}
	return s.address
}
