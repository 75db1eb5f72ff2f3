package connect

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// dialCommand makes a connection of a command's standard input and output.
func dialCommand(command string) (net.Conn, error) {
	c := &commandConn{command: command, cmd: shellCommand(command), told: make(chan struct{}), grace: grace}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("proxy command: %w", err)
	}
	c.end = sync.OnceValue(c.kill)
	go func() {
		io.Copy(&c.stderr, c.errOut)
		close(c.told)
	}()
	return c, nil
}

// start starts the command. It leaves nothing open where that fails.
func (c *commandConn) start() (err error) {
	// Pipes of our own: those of exec would have Wait wait for, or cut short,
	// whoever the command has left behind.
	var ours, theirs [3]*os.File
	for i := range ours {
		if ours[i], theirs[i], err = os.Pipe(); err != nil {
			break
		}
	}
	ours[0], theirs[0] = theirs[0], ours[0] // we write to its standard input
	if err == nil {
		c.in, c.out, c.errOut = ours[0], ours[1], ours[2]
		c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs[0], theirs[1], theirs[2]
		err = c.cmd.Start()
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		for _, f := range ours {
			f.Close()
		}
	}
	return err
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
	grace   time.Duration // for its last words
	end     func() error  // kill, once; its error is how the command ended
	reading atomic.Bool   // somebody has begun to
	early   []byte        // that it said before
}

// A CommandError means that a ProxyCommand ended the connection.
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
		text += " ended without a message"
	}
	return text
}

func (e *CommandError) Unwrap() error { return io.ErrUnexpectedEOF }

// grace is how long a command has to end, once it is asked to, and to tell why
// it did.
const grace = 500 * time.Millisecond

// Read returns, at the end, what the command said about it; so does Write,
// since the first to see that a command failed at once may be a writer.
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
	case <-time.After(c.grace):
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
