package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
)

// dial reaches the host as its configuration says.
func (h *Host) dial(ctx context.Context) (net.Conn, error) {
	address := net.JoinHostPort(h.Config.HostName, strconv.Itoa(h.Config.Port))
	switch {
	case h.Config.ProxyCommand != "":
		h.c.opt.Trace(1, h.Target, "proxy command: %s", h.Config.ProxyCommand)
		return dialCommand(ctx, h.Config.ProxyCommand)
	case h.Config.ProxyJump != "":
		return h.dialJump(ctx, address)
	}
	dialer := net.Dialer{Timeout: h.Config.ConnectTimeout}
	network := map[string]string{"inet": "tcp4", "inet6": "tcp6"}[h.Config.AddressFamily]
	if network == "" {
		network = "tcp"
	}
	var firstErr error
	for _, host := range h.addresses(ctx) {
		address := net.JoinHostPort(host, strconv.Itoa(h.Config.Port))
		h.c.opt.Trace(1, h.Target, "connecting to %s", address)
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil {
			return conn, nil
		}
		if firstErr == nil {
			firstErr = err
		}
	}
	return nil, firstErr
}

// addresses returns what to dial for the host's name. A static Go program
// knows no NSS, so it cannot see the .local names of avahi by itself;
// getent(1) asks as ssh would. Everything else is Go's resolver's.
func (h *Host) addresses(ctx context.Context) []string {
	name := h.Config.HostName
	if !strings.HasSuffix(strings.TrimSuffix(strings.ToLower(name), "."), ".local") {
		return []string{name}
	}
	cmd := exec.CommandContext(ctx, "getent", "ahosts", "--", name)
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	var found []string
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) >= 2 && f[1] == "STREAM" {
			found = append(found, f[0])
		}
	}
	if err != nil || len(found) == 0 {
		return []string{name}
	}
	return found
}

// JumpError is a failure on the way, at a jump host.
type JumpError struct {
	Host   *Host
	Report *session.Report
	Keys   Keys
	Err    error
}

func (e *JumpError) Error() string { return fmt.Sprintf("jump host %s: %v", e.Host.Target, e.Err) }
func (e *JumpError) Unwrap() error { return e.Err }

// dialJump goes through the last host of ProxyJump, which is itself reached
// through those before it (ssh(1) -J). A jump host gets keys only: a password
// that was given is the target's.
func (h *Host) dialJump(ctx context.Context, address string) (net.Conn, error) {
	hops := strings.Split(h.Config.ProxyJump, ",")
	last := hops[len(hops)-1]
	d, err := destination.Parse(last)
	if err != nil {
		return nil, fmt.Errorf("jump host %s: %w", last, err)
	}
	before := strings.Join(hops[:len(hops)-1], ",")
	jump, err := h.c.resolve(ctx, last, sshconfig.Request{Host: d.Host, User: d.User, Port: d.Port,
		Jump: before, ConfigFile: h.c.opt.ConfigFile})
	if err != nil {
		return nil, fmt.Errorf("jump host %s: %w", last, err)
	}
	if depth, _ := ctx.Value(jumpKey{}).(int); depth >= maxJumps {
		return nil, fmt.Errorf("jump host %s: more than %d jumps: the configuration goes in a circle", last, maxJumps)
	} else {
		ctx = context.WithValue(ctx, jumpKey{}, depth+1)
	}
	keys := jump.Keys(ctx)
	client, rep, err := jump.Login(ctx, Plan{Keys: keys.Offers()})
	if err != nil {
		return nil, &JumpError{jump, rep, keys, err}
	}
	conn, err := client.DialTCP(ctx, address)
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("jump host %s cannot reach %s: %w", last, address, err)
	}
	return &jumpConn{conn, client}, nil
}

type jumpKey struct{}

const maxJumps = 16

// jumpConn ends the jump host's connection with its own.
type jumpConn struct {
	net.Conn
	client *session.Client
}

func (c *jumpConn) Close() error {
	return errors.Join(c.Conn.Close(), c.client.Close())
}

// dialCommand makes a connection of a command's standard input and output.
// What it says on its standard error is kept for the error: a peer's words may
// be in it, which must not reach the terminal raw.
func dialCommand(ctx context.Context, command string) (net.Conn, error) {
	cmd := shellCommand(command)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c := &commandConn{cmd: cmd, in: in, out: out, command: command}
	cmd.Stderr = &c.stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	return c, nil
}

// A commandConn is a net.Conn without deadlines: whoever wants it to end
// closes it.
type commandConn struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     io.ReadCloser
	stderr  head
	command string
}

// Read tells, at the end, what the command said of it.
func (c *commandConn) Read(b []byte) (int, error) {
	n, err := c.out.Read(b)
	if err != nil && n == 0 {
		if said := strings.TrimSpace(c.stderr.text()); said != "" {
			err = fmt.Errorf("%w: proxy command: %s", io.ErrUnexpectedEOF, said)
		}
	}
	return n, err
}

func (c *commandConn) Write(b []byte) (int, error) { return c.in.Write(b) }

// Close ends the command and everything it started.
func (c *commandConn) Close() error {
	c.in.Close()
	killGroup(c.cmd)
	err := c.out.Close()
	_ = c.cmd.Wait() // killed: its status says nothing
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
