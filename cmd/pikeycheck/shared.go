package main

import (
	"net"
	"sync"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/identity"
	"pi-key-tools/pkg/session"
)

// hostKeys are those of the run, to notice a card that was copied: its machines
// answer at different addresses with the same key.
type hostKeys struct {
	mu   sync.Mutex
	seen map[string]shown // by fingerprint; the first that showed it
}

type shown struct {
	target, address string
	byName          bool // the address is a name, behind a proxy
	noted           bool // and what is more of it is the same news
}

const cloned = "if they are two machines with a copied card, on one of them: sudo rm /etc/ssh/ssh_host_*_key* && sudo ssh-keygen -A && sudo systemctl restart ssh"

// note looks at one more login, whatever came of it.
func (k *hostKeys) note(env *cli.Env, host *connect.Host, rep *session.Report) {
	if rep == nil || rep.HostKey == nil || rep.Remote == nil {
		return
	}
	target, address := host.Target, rep.Remote.String()
	byName := false
	switch ip, _, _ := net.SplitHostPort(address); {
	case host.Config.ProxyJump != "" || host.Config.ProxyCommand != "":
		address, byName = host.Config.HostName, true // the other is of this end
	case !net.ParseIP(ip).IsLoopback(): // there, other ports may be other machines
		address = ip
	}
	fp := identity.PublicOf(rep.HostKey).Fingerprint()
	k.mu.Lock()
	if k.seen == nil {
		k.seen = make(map[string]shown)
	}
	first, known := k.seen[fp]
	news := known && !first.noted && first.byName == byName && first.address != address && first.target != target
	if !known {
		first = shown{target: target, address: address, byName: byName}
	}
	first.noted = first.noted || news
	k.seen[fp] = first
	k.mu.Unlock()
	if news {
		env.Notef(target, "host-key-shared: %s is the host key of %s too, at %s and not %s", fp, first.target, first.address, address)
		if !env.Quiet {
			env.Hintf(cloned)
		}
	}
}
