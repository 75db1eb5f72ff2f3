package connect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/destination"
	"pi-key-tools/pkg/secret"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
)

// JumpError is a failure at a jump host. All targets behind it get the same
// one.
type JumpError struct {
	Target string // of ProxyJump
	Host   *Host  // nil if its configuration is unavailable, for the reason in Err
	Report *session.Report
	Keys   Keys
	Err    error
}

func (e *JumpError) Error() string { return fmt.Sprintf("jump host %s: %v", e.Target, e.Err) }
func (e *JumpError) Unwrap() error { return e.Err }

// ErrJumpEnded means that the connection to a jump host ended while in use.
var ErrJumpEnded = errors.New("the connection to it ended")

// jumps are the connections of a run to jump hosts: one for each value of
// ProxyJump, which all targets behind it share, and which lives as long as the run.
type jumps struct {
	life context.Context
	end  func()
	mu   sync.Mutex
	by   map[string]*jump
}

// A jump is one connection to a jump host, or the attempt at one.
type jump struct {
	target string // the last of ProxyJump
	mayAsk bool   // for its password
	done   chan struct{}
	// When done is closed, either these are there,
	client *session.Client
	ended  chan struct{} // closed when the connection has ended
	failed func() error  // what to tell then
	// or this is, and is told to all who come before retry.
	err   error
	retry time.Time

	asking sync.Mutex // held by who asks whether the connection is alive

	// Under the lock of jumps.
	behind *jump // through which it is reached; nil if there is none, or it is not known yet
}

// jumpPeace is for how long a jump host that could not be reached is not tried
// again. One that lets us not in is tried no more.
const jumpPeace = 5 * time.Second

// over reports whether another attempt may be made, which may ask or not.
func (j *jump) over(now time.Time, mayAsk bool) bool {
	select {
	case <-j.done:
	default:
		return false
	}
	if j.err != nil {
		return mayAsk && !j.mayAsk || !j.retry.IsZero() && now.After(j.retry)
	}
	select {
	case <-j.ended:
		return true
	default:
		return false
	}
}

// close ends the connections, the attempts too.
func (s *jumps) close() {
	s.end()
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.by))
	s.mu.Unlock()
	for _, j := range all {
		<-j.done
		if j.client != nil {
			j.client.Close()
		}
	}
}

// jumpKey is for the jump that a connection is made for; there is none for a target's.
type jumpKey struct{}

// dialJump goes through the last host of ProxyJump, which is itself reached
// through those before it (ssh(1) -J).
func (h *Host) dialJump(ctx context.Context, j *jump) (net.Conn, error) {
	address := net.JoinHostPort(h.Config.HostName, strconv.Itoa(h.Config.Port))
	for again := false; ; again = true {
		h.c.opt.Trace(1, h.Target, "connecting to %s through %s", address, j.target)
		conn, err := j.client.DialTCP(ctx, address)
		if err == nil {
			return &jumpConn{conn, j}, nil
		}
		if ctx.Err() != nil {
			go j.check(h.c.jumps.life)
		} else if refused := (*ssh.OpenChannelError)(nil); !errors.As(err, &refused) && !again {
			// It has ended, perhaps long ago. x/crypto tells that to those who
			// open a channel before it tells those who wait for the end.
			j.client.Close()
			<-j.ended
			if j, err = h.c.jump(ctx, h.Config.ProxyJump, false); err != nil {
				return nil, err
			}
			continue
		}
		return nil, fmt.Errorf("jump host %s cannot reach %s: %w", j.target, address, err)
	}
}

// check ends a connection that answers nothing: that a target is not reached
// in time may be its own doing. As ssh does with ServerAliveInterval.
func (j *jump) check(ctx context.Context) {
	if !j.asking.TryLock() {
		return
	}
	defer j.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, jumpPeace)
	defer cancel()
	if !j.client.Alive(ctx) {
		j.client.Close()
	}
}

// jump returns the connection to a jump host that is shared, and makes it if
// need be. The clock of a target that waits for that stands still: the jump
// host has one of its own.
func (c *Connector) jump(ctx context.Context, way string, mayAsk bool) (*jump, error) {
	before, last := "", way
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		before, last = last[:i], last[i+1:]
	}
	maker, _ := ctx.Value(jumpKey{}).(*jump)
	c.jumps.mu.Lock()
	j := c.jumps.by[way]
	if j != nil {
		mayAsk = mayAsk || j.mayAsk // as it was for the one before
	}
	if j == nil || j.over(time.Now(), mayAsk) {
		j = &jump{target: last, mayAsk: mayAsk, done: make(chan struct{}), ended: make(chan struct{})}
		c.jumps.by[way] = j
		go func() {
			defer close(j.done)
			c.makeJump(context.WithValue(c.jumps.life, jumpKey{}, j), j, before)
		}()
	}
	circle := maker != nil && j.leadsTo(maker)
	if maker != nil && !circle {
		maker.behind = j
	}
	c.jumps.mu.Unlock()
	if circle { // they would wait for each other
		return nil, &JumpError{Target: last, Err: errors.New("ProxyJump leads in a circle")}
	}

	defer stopClock(ctx)()
	select {
	case <-j.done:
		return j, j.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// leadsTo reports whether a jump is another one, or is reached through it. The
// caller holds the lock of jumps.
func (j *jump) leadsTo(other *jump) bool {
	for ; j != nil; j = j.behind {
		if j == other {
			return true
		}
	}
	return false
}

func (c *Connector) makeJump(ctx context.Context, j *jump, before string) {
	ctx, cancel := c.Deadline(ctx)
	host, err := c.jumpHost(ctx, j.target, before)
	if err != nil {
		cancel()
		j.err = &JumpError{Target: j.target, Err: err}
		return
	}
	keys := host.Keys(ctx)
	client, rep, err := host.Login(ctx, Plan{Keys: keys.Offers(), Password: j.mayAsk})
	host.Forget() // its place too: it is past what sshd counts
	if err != nil {
		cancel()
		if errors.Is(rep.PasswordErr, secret.ErrNobody) { // then keys are what counts, as for whoever may not ask
			rep.PasswordErr, err = nil, session.ErrDenied
		}
		j.err = &JumpError{host.Target, host, rep, keys, err}
		denied := rep.Stage == session.HostKey || errors.Is(err, session.ErrDenied) || rep.Disconnect != "" || rep.PasswordErr != nil
		if !denied || rep.Booting() {
			j.retry = time.Now().Add(jumpPeace)
		}
		return
	}
	stopClock(ctx) // from here on it has all the time of the run
	j.client = client
	j.failed = func() error { return &JumpError{host.Target, host, rep, keys, ErrJumpEnded} }
	go func() {
		client.Wait()
		cancel()
		close(j.ended)
	}()
}

// jumpHost resolves a jump host, which is reached through those before it, or,
// if there are none, as its own configuration says. As with ssh, of the
// command line it gets -F alone.
func (c *Connector) jumpHost(ctx context.Context, target, before string) (*Host, error) {
	d, err := destination.Parse(target)
	if err != nil {
		return nil, err
	}
	// ssh_config writes an address as "[192.0.2.1]:22", which nobody types.
	h, err := c.resolve(ctx, d.String(), sshconfig.Request{Host: d.Host, User: d.User, Port: d.Port,
		Jump: before, ConfigFile: c.opt.ConfigFile})
	if err != nil {
		return nil, err
	}
	h.named = d
	h.alone = &Options{ConfigFile: c.opt.ConfigFile, Jump: before, PassphraseFile: c.opt.PassphraseFile}
	return h, nil
}

// A jumpConn is a connection through a jump host.
type jumpConn struct {
	net.Conn
	jump *jump
}

// why returns what ended the connection, if that was the jump host's.
func (c *jumpConn) why() error {
	select {
	case <-c.jump.ended:
		return c.jump.failed()
	case <-time.After(jumpGrace): // the end of all comes after the end of each
		return nil
	}
}

// jumpGrace is how much later.
const jumpGrace = 50 * time.Millisecond
