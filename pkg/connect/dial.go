package connect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// approach does what there is to wait for, on others' account, before the host
// is dialled: it takes a place, and finds the connection to the jump host, if
// there is one. mayAsk is for the password of that.
func (h *Host) approach(ctx context.Context, mayAsk bool) (*jump, error) {
	if err := h.arrive(ctx); err != nil || h.Config.ProxyCommand != "" || h.Config.ProxyJump == "" {
		return nil, err
	}
	return h.c.jump(ctx, h.Config.ProxyJump, mayAsk)
}

// dial reaches the host as its configuration says, through gate where there is a
// jump host.
func (h *Host) dial(ctx context.Context, gate *jump) (net.Conn, error) {
	switch {
	case h.Config.ProxyCommand != "":
		h.c.opt.Trace(1, h.Target, "proxy command: %s", h.Config.ProxyCommand)
		return dialCommand(h.Config.ProxyCommand)
	case h.Config.ProxyJump != "":
		return h.dialJump(ctx, gate)
	}
	dialer := net.Dialer{Timeout: h.Config.ConnectTimeout}
	network := map[string]string{"inet": "tcp4", "inet6": "tcp6"}[h.Config.AddressFamily]
	if network == "" {
		network = "tcp"
	}
	from, err := h.from(ctx, strings.Replace(network, "tcp", "ip", 1))
	if err != nil {
		return nil, err
	}
	if from.IsValid() { // of a family, and so are the addresses that are tried
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	var firstErr error
	addresses := h.addresses(ctx)
	for i, host := range addresses {
		dialer := dialer
		if i < len(addresses)-1 && (dialer.Timeout == 0 || dialer.Timeout > dialPatience) {
			dialer.Timeout = dialPatience // one that never answers must not cost the others their turn
		}
		address := net.JoinHostPort(host, strconv.Itoa(h.Config.Port))
		h.c.opt.Trace(1, h.Target, "connecting to %s", address)
		dial := dialer.DialContext
		if h.c.opt.Dial != nil {
			dial = h.c.opt.Dial
		}
		conn, err := dial(ctx, network, address)
		if err == nil {
			return quick(conn), nil
		}
		if errors.Is(err, syscall.EADDRNOTAVAIL) && from.IsValid() {
			err = &BindError{h.bind(), err}
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return nil, firstErr
}

// A BindError means that this machine has no such BindAddress or BindInterface.
type BindError struct {
	Setting string
	Err     error
}

func (e *BindError) Error() string { return fmt.Sprintf("%s: %v", e.Setting, e.Err) }

// bind is the setting by which from goes, and where it is.
func (h *Host) bind() string {
	keyword, value := "BindAddress", h.Config.BindAddress
	if value == "" {
		keyword, value = "BindInterface", h.Config.BindInterface
	}
	return fmt.Sprintf("%s %s, %s", keyword, value, h.Config.Sources[strings.ToLower(keyword)])
}

// from is the address to connect from, by BindAddress or else by BindInterface,
// of which the addresses of the link alone come last (sshconnect.c
// check_ifaddrs()); invalid for any.
func (h *Host) from(ctx context.Context, network string) (netip.Addr, error) {
	if name := h.Config.BindAddress; name != "" {
		found, err := net.DefaultResolver.LookupNetIP(ctx, network, name)
		if err != nil {
			return netip.Addr{}, &BindError{h.bind(), err}
		}
		return found[0].Unmap(), nil
	}
	name := h.Config.BindInterface
	if name == "" {
		return netip.Addr{}, nil
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, &BindError{h.bind(), err}
	}
	all, _ := i.Addrs() // none is an error below
	var found []netip.Addr
	for _, a := range all {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || network == "ip4" && !p.Addr().Is4() || network == "ip6" && p.Addr().Is4() {
			continue
		}
		if a := p.Addr(); a.Is6() && a.IsLinkLocalUnicast() {
			found = append(found, a.WithZone(name))
		} else {
			found = append(found, a)
		}
	}
	slices.SortStableFunc(found, func(a, b netip.Addr) int { return len(a.Zone()) - len(b.Zone()) })
	if len(found) == 0 {
		return netip.Addr{}, &BindError{h.bind(), errors.New("it has no address")}
	}
	return found[0], nil
}

// dialPatience is for each of several addresses but the last.
const dialPatience = 5 * time.Second

// addresses returns what to dial for the host's name. A static Go program
// knows no NSS, so it cannot see the .local names of avahi by itself: getent(1)
// asks as ssh would, and where that finds nobody the local network is asked.
// Everything else is Go's resolver's, which on macOS and Windows is the
// system's and knows .local names.
func (h *Host) addresses(ctx context.Context) []string {
	name := h.Config.HostName
	if !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(name), "."), ".local") {
		return []string{name}
	}
	if found := h.getent(ctx, name); len(found) > 0 {
		return found
	}
	if runtime.GOOS != "darwin" && runtime.GOOS != "windows" {
		if found := h.neighbours(ctx, name); len(found) > 0 {
			return found
		}
	}
	return []string{name}
}

func (h *Host) getent(ctx context.Context, name string) (found []string) {
	database := "ahosts" + map[string]string{"inet": "v4", "inet6": "v6"}[h.Config.AddressFamily]
	cmd := exec.CommandContext(ctx, "getent", database, "--", name)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 2 && f[1] == "STREAM" {
			found = append(found, f[0])
		}
	}
	return found
}

// neighbours asks the local network. Whoever answers, its host key decides.
func (h *Host) neighbours(ctx context.Context, name string) (found []string) {
	machines, err := h.c.neighbours(ctx, name)
	if err != nil {
		h.c.opt.Trace(1, h.Target, "multicast DNS: %v", err)
		return nil
	}
	var from []string
	for _, m := range machines {
		from = append(from, m.From.String())
		for _, a := range m.Addresses {
			if family := h.Config.AddressFamily; family == "inet" && !a.Is4() || family == "inet6" && !a.Is6() {
				continue
			}
			found = append(found, a.String())
		}
	}
	h.c.opt.Trace(1, h.Target, "multicast DNS: %s answers; ssh itself needs libnss-mdns for the name", strings.Join(from, ", "))
	if len(machines) > 1 {
		h.c.opt.Note(h.Target, "name-ambiguous: %d machines answer for %s: %s; the first is used", len(machines), name, strings.Join(from, ", "))
	}
	return found
}
