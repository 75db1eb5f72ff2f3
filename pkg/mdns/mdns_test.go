package mdns

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// reply answers a question for name with addresses, as avahi does.
func reply(t testing.TB, name string, addresses ...string) []byte {
	t.Helper()
	n := dnsmessage.MustNewName(name)
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true, Authoritative: true}}
	for _, text := range addresses {
		a := netip.MustParseAddr(text)
		h := dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET | cacheFlush, TTL: 10}
		if a.Is4() {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		} else {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	data, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// neighbour answers questions at a port of this machine, in place of the group.
func neighbour(t *testing.T, answers ...func(question dnsmessage.Message) []byte) netip.AddrPort {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if err := m.Unpack(buf[:n]); err != nil {
				t.Errorf("the question: %v", err)
				return
			}
			for _, answer := range answers {
				if data := answer(m); data != nil {
					_, _ = conn.WriteToUDPAddrPort(data, from)
				}
			}
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort()
}

func loopback(t *testing.T) []net.Interface {
	t.Helper()
	all, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	return slices.DeleteFunc(all, func(i net.Interface) bool { return i.Flags&net.FlagLoopback == 0 || i.Flags&net.FlagUp == 0 })[:1]
}

func TestQuery(t *testing.T) {
	to := neighbour(t,
		func(dnsmessage.Message) []byte { return []byte("no packet") },
		func(q dnsmessage.Message) []byte { m, _ := q.Pack(); return m }, // the question itself
		func(dnsmessage.Message) []byte { return reply(t, "other.local.", "10.0.0.9") },
		func(q dnsmessage.Message) []byte {
			if q.Questions[0].Name.String() != "Pi.local." || len(q.Questions) != 2 {
				t.Errorf("asked %v", q.Questions)
			}
			return reply(t, "pi.local.", "10.0.0.1", "0.0.0.0", "127.0.0.1", "fe80::1", "224.0.0.1", "::1", "10.0.0.1")
		})
	start := time.Now()
	machines, err := query(t.Context(), "Pi.local", to, loopback(t))
	zone := loopback(t)[0].Name
	want := []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%" + zone)}
	if err != nil || len(machines) != 1 || !slices.Equal(machines[0].Addresses, want) || machines[0].From != to.Addr() {
		t.Errorf("%v, %v", machines, err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
}

// Whoever answers more than a network has machines is not listened to for ever.
func TestQueryFlood(t *testing.T) {
	t.Parallel()
	many := func(net byte) []string {
		var all []string
		for i := range byte(100) {
			all = append(all, netip.AddrFrom4([4]byte{10, 0, net, i + 1}).String())
		}
		return all
	}
	machines, err := query(t.Context(), "pi.local", neighbour(t,
		func(dnsmessage.Message) []byte { return reply(t, "pi.local.", many(0)[:3]...) },
		func(dnsmessage.Message) []byte { return reply(t, "pi.local.", many(1)...) }), loopback(t))
	if err != nil || len(machines) != 1 || len(machines[0].Addresses) != maxAddresses {
		t.Errorf("%v, %v", machines, err)
	}

	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Skip(err)
	}
	defer conn.Close()
	go func() {
		_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 1500))
		if err != nil {
			return
		}
		for i := range byte(2 * maxMachines) {
			one, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 2, i+1)})
			if err != nil {
				return // not on this system
			}
			_, _ = one.WriteToUDPAddrPort(reply(t, "pi.local.", many(0)[i%100]), from)
			one.Close()
		}
	}()
	machines, err = query(t.Context(), "pi.local", conn.LocalAddr().(*net.UDPAddr).AddrPort(), loopback(t))
	if len(machines) > maxMachines {
		t.Errorf("%d machines, %v", len(machines), err)
	}
	t.Logf("%d machines, %v", len(machines), err)
}

func TestQueryNobody(t *testing.T) {
	t.Parallel()
	asked := make(chan bool, 10)
	to := neighbour(t, func(dnsmessage.Message) []byte { asked <- true; return nil })
	if machines, err := query(t.Context(), "pi.local", to, loopback(t)); !errors.Is(err, ErrNobody) {
		t.Errorf("%v, %v", machines, err)
	}
	if len(asked) != 3 {
		t.Errorf("asked %d times, want 3", len(asked))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	if _, err := query(ctx, "pi.local", to, loopback(t)); !errors.Is(err, stop) {
		t.Errorf("%v, want the context's", err)
	}
	ctx, stopLater := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, stop)
	defer stopLater()
	if _, err := query(ctx, "pi.local", to, loopback(t)); !errors.Is(err, stop) {
		t.Errorf("%v, want the context's", err)
	}
	if _, err := query(t.Context(), "pi.local", to, nil); err == nil {
		t.Error("no interface is no error")
	}
	if _, err := query(t.Context(), string(make([]byte, 300)), to, loopback(t)); err == nil {
		t.Error("a name that cannot be one is no error")
	}
}

// One machine may answer by several ways; two are two.
func TestAdd(t *testing.T) {
	m := func(from string, addresses ...string) Machine {
		machine := Machine{From: netip.MustParseAddr(from)}
		for _, a := range addresses {
			machine.Addresses = append(machine.Addresses, netip.MustParseAddr(a))
		}
		return machine
	}
	for name, tt := range map[string]struct {
		machines []Machine
		want     int
	}{
		"twice":                 {[]Machine{m("10.0.0.1", "10.0.0.1"), m("10.0.0.1", "10.0.0.1")}, 1},
		"two":                   {[]Machine{m("10.0.0.1", "10.0.0.1"), m("10.0.0.2", "10.0.0.2")}, 2},
		"by cable and by radio": {[]Machine{m("10.0.0.1", "10.0.0.1"), m("10.0.0.7", "10.0.0.7", "10.0.0.1")}, 1},
		"the other way round":   {[]Machine{m("10.0.0.1", "10.0.0.1", "10.0.0.7"), m("10.0.0.7", "10.0.0.7")}, 1},
	} {
		var got []Machine
		for _, machine := range tt.machines {
			got = add(got, machine)
		}
		if len(got) != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(reply(f, "pi.local.", "10.0.0.1", "fe80::1"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, a := range answers(data, "pi.local", "eth0") {
			if !a.IsValid() || a.IsMulticast() || a.IsUnspecified() {
				t.Errorf("%v", a)
			}
		}
	})
}
