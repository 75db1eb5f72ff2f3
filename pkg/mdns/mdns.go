// Package mdns asks the local network which machines have a name that ends in
// .local, for systems where nothing else does: one-shot queries of RFC 6762,
// section 5.1.
package mdns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
)

// A Machine is a machine that answered.
type Machine struct {
	From      netip.Addr   // who sent the answer
	Addresses []netip.Addr // that it gave for the name, in its order; link-local ones have a zone
}

// ErrNobody means that no machine answered in time.
var ErrNobody = errors.New("nobody in the local network answers for it")

// patience is how long others are waited for once somebody has answered: a
// machine that is not alone in answering waits 20 to 120 ms (section 6).
const patience = 250 * time.Millisecond

// total is how long anybody is waited for; the question is asked again after
// the first and the third second, as section 5.2 has it.
const total = 4 * time.Second

// maxMachines is how many are told apart; who floods the network with answers is
// not waited for.
const maxMachines = 64

// maxAddresses is how many of a machine's addresses are worth a try.
const maxAddresses = 16

// group is where questions are sent.
var group = netip.MustParseAddrPort("224.0.0.251:5353")

// Query asks on every interface for machines with a name such as
// "raspberrypi.local", and returns all that answer, each once. It takes less
// than half a second if one does. Its error is ErrNobody, ctx's, or why nothing
// was sent.
func Query(ctx context.Context, name string) ([]Machine, error) {
	return query(ctx, name, group, interfaces())
}

// interfaces are those on which there can be neighbours.
func interfaces() []net.Interface {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	const need = net.FlagUp | net.FlagMulticast
	return slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&need != need || i.Flags&net.FlagLoopback != 0 })
}

func query(ctx context.Context, name string, to netip.AddrPort, on []net.Interface) ([]Machine, error) {
	question, err := ask(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, total, ErrNobody)
	defer cancel()
	packets := make(chan packet)
	sent := 0
	for _, i := range on {
		conn, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		p := ipv4.NewPacketConn(conn)
		if p.SetMulticastInterface(&i) != nil || p.SetMulticastTTL(255) != nil {
			continue
		}
		if _, err := conn.WriteToUDPAddrPort(question, to); err != nil {
			continue // an interface without an address
		}
		sent++
		for _, later := range []time.Duration{time.Second, 3 * time.Second} {
			again := time.AfterFunc(later, func() { _, _ = conn.WriteToUDPAddrPort(question, to) })
			defer again.Stop()
		}
		go receive(ctx, conn, i.Name, packets)
	}
	if sent == 0 {
		return nil, errors.New("no interface to ask on")
	}
	return collect(ctx, name, packets)
}

// A packet is what came by an interface.
type packet struct {
	from netip.Addr
	zone string // the interface
	data []byte
}

// receive passes on what comes, until the connection is closed or ctx ends.
func receive(ctx context.Context, conn *net.UDPConn, zone string, packets chan<- packet) {
	buf := make([]byte, 9000) // section 17
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return // closed
		}
		select {
		case packets <- packet{from.Addr().Unmap(), zone, slices.Clone(buf[:n])}:
		case <-ctx.Done():
			return
		}
	}
}

// collect waits for the machines that answer for a name.
func collect(ctx context.Context, name string, packets <-chan packet) ([]Machine, error) {
	var machines []Machine
	var enough <-chan time.Time
	for {
		select {
		case p := <-packets:
			if addresses := answers(p.data, name, p.zone); len(addresses) > 0 {
				machines = add(machines, Machine{p.from, addresses})
				if enough == nil {
					enough = time.After(patience)
				}
				if len(machines) == maxMachines {
					return machines, nil
				}
			}
		case <-enough:
			return machines, nil
		case <-ctx.Done():
			if len(machines) > 0 {
				return machines, nil
			}
			return nil, context.Cause(ctx)
		}
	}
}

// ask is the question for both kinds of address. Since it does not come from
// port 5353, the answer comes to us alone.
func ask(name string) ([]byte, error) {
	n, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return nil, err
	}
	m := dnsmessage.Message{Questions: []dnsmessage.Question{
		{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET},
		{Name: n, Type: dnsmessage.TypeAAAA, Class: dnsmessage.ClassINET},
	}}
	return m.Pack()
}

// cacheFlush is the bit in the class of a record that its owner alone sends,
// section 10.2.
const cacheFlush = 1 << 15

// answers returns the addresses that a packet has for a name. zone is the
// interface that it came by.
func answers(data []byte, name, zone string) []netip.Addr {
	var m dnsmessage.Message
	if m.Unpack(data) != nil || !m.Response {
		return nil
	}
	var found []netip.Addr
	for _, r := range slices.Concat(m.Answers, m.Additionals) {
		if r.Header.Class&^cacheFlush != dnsmessage.ClassINET || !strings.EqualFold(strings.TrimSuffix(r.Header.Name.String(), "."), strings.TrimSuffix(name, ".")) {
			continue
		}
		var a netip.Addr
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			a = netip.AddrFrom4(body.A)
		case *dnsmessage.AAAAResource:
			a = netip.AddrFrom16(body.AAAA)
		default:
			continue
		}
		if a.Is6() && a.IsLinkLocalUnicast() {
			a = a.WithZone(zone)
		}
		// A neighbour has no loopback address; one that says so means this machine.
		if usable := a.IsGlobalUnicast() || a.IsLinkLocalUnicast(); usable && len(found) < maxAddresses && !slices.Contains(found, a) {
			found = append(found, a)
		}
	}
	return found
}

// add merges what one machine says on several interfaces, or twice.
func add(machines []Machine, m Machine) []Machine {
	for i, known := range machines {
		same := known.From == m.From || slices.Contains(known.Addresses, m.From) || slices.Contains(m.Addresses, known.From) ||
			slices.ContainsFunc(m.Addresses, func(a netip.Addr) bool { return slices.Contains(known.Addresses, a) })
		if same {
			for _, a := range m.Addresses {
				if len(machines[i].Addresses) < maxAddresses && !slices.Contains(known.Addresses, a) {
					machines[i].Addresses = append(machines[i].Addresses, a)
				}
			}
			return machines
		}
	}
	return append(machines, m)
}
