package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
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

// A BindError means that BindAddress or BindInterface is none of this machine's.
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
		h.c.opt.Note(h.Target, "name-ambiguous: %d machines answer for %s: %s; the first is taken", len(machines), name, strings.Join(from, ", "))
	}
	return found
}

// dialCommand makes a connection of a command's standard input and output.
func dialCommand(command string) (net.Conn, error) {
	cmd := shellCommand(command)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	// Pipes of our own: those of exec would have Wait wait for, or cut short,
	// whoever the command has left behind.
	out, outWriter, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	errOut, errWriter, err := os.Pipe()
	if err != nil {
		out.Close()
		outWriter.Close()
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	cmd.Stdout, cmd.Stderr = outWriter, errWriter
	err = cmd.Start()
	outWriter.Close()
	errWriter.Close()
	if err != nil {
		out.Close()
		errOut.Close()
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	c := &commandConn{command: command, cmd: cmd, in: in, out: out, errOut: errOut, told: make(chan struct{})}
	c.end = sync.OnceValue(c.kill)
	go func() {
		io.Copy(&c.stderr, errOut)
		close(c.told)
	}()
	return c, nil
}

// A commandConn is a net.Conn without deadlines: whoever wants it to end
// closes it.
type commandConn struct {
	command string
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *os.File
	errOut  *os.File
	stderr  head
	told    chan struct{} // closed when no more comes on standard error
	end     func() error  // kill, once; its error is how the command ended
	reading atomic.Bool   // somebody has begun to
	early   []byte        // that it said before
}

// A CommandError is a ProxyCommand that ended the connection.
type CommandError struct {
	Said string // on its standard error, at most 4 KiB; a peer's words may be among them
	Err  error  // its exit status; nil for 0
}

func (e *CommandError) Error() string {
	text := "proxy command"
	if e.Said != "" {
		text += ": " + e.Said
	}
	switch {
	case e.Err != nil:
		text += " (" + e.Err.Error() + ")"
	case e.Said == "":
		text += " ended without a word"
	}
	return text
}

func (e *CommandError) Unwrap() error { return io.ErrUnexpectedEOF }

// grace is how long a command has to end, once it is asked to, and to tell why
// it did.
const grace = 500 * time.Millisecond

// Read tells, at the end, what the command said of it; and so does Write, since
// a command that fails at once is first seen by who writes to it.
func (c *commandConn) Read(b []byte) (int, error) {
	c.reading.Store(true)
	if len(c.early) > 0 {
		n := copy(b, c.early)
		c.early = c.early[n:]
		return n, nil
	}
	n, err := c.out.Read(b)
	if n == 0 && errors.Is(err, io.EOF) {
		err = c.why()
	}
	return n, err
}

func (c *commandConn) Write(b []byte) (int, error) {
	n, err := c.in.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		if c.overhear() {
			return len(b), nil
		}
		err = c.why()
	}
	return n, err
}

// overhear keeps, for Read, what a command has said that takes nothing. Whoever
// speaks before reading would never hear it.
func (c *commandConn) overhear() bool {
	if c.reading.Load() || c.out.SetReadDeadline(time.Now().Add(grace)) != nil {
		return false
	}
	defer c.out.SetReadDeadline(time.Time{})
	b := make([]byte, 4096)
	n, _ := c.out.Read(b) // nothing, or what it said last
	c.early = b[:n]
	return n > 0
}

// why waits for the command's last words, which come beside its end.
func (c *commandConn) why() error {
	select {
	case <-c.told:
	case <-time.After(grace):
	}
	err := c.end()
	return &CommandError{strings.TrimSpace(c.stderr.text()), err}
}

// Close ends the command and everything that it started in its process group.
func (c *commandConn) Close() error {
	_ = c.end() // how it ended says nothing, since it was told to
	return nil
}

// kill asks the command to end, and sees to it.
func (c *commandConn) kill() error {
	c.in.Close()
	signalCommand(c.cmd, false)
	// While one of them holds the pipe, they have not all ended.
	if c.out.SetReadDeadline(time.Now().Add(grace)) == nil {
		_, _ = io.Copy(io.Discard, c.out)
	}
	signalCommand(c.cmd, true) // before Wait, while nothing else can have its number
	err := c.cmd.Wait()
	c.out.Close()
	c.errOut.Close()
	return err
}

func (c *commandConn) LocalAddr() net.Addr              { return commandAddr(c.command) }
func (c *commandConn) RemoteAddr() net.Addr             { return commandAddr(c.command) }
func (c *commandConn) SetDeadline(time.Time) error      { return nil }
func (c *commandConn) SetReadDeadline(time.Time) error  { return nil }
func (c *commandConn) SetWriteDeadline(time.Time) error { return nil }

type commandAddr string

func (commandAddr) Network() string  { return "proxy" }
func (a commandAddr) String() string { return string(a) }

// head keeps the first 4 KiB written.
type head struct {
	mu sync.Mutex
	b  []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, p[:min(len(p), 4096-len(h.b))]...)
	return len(p), nil
}

func (h *head) text() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return string(h.b)
}
