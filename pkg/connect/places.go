package connect

import (
	"context"
	"sync"
)

// atOnce is how many targets at one address are worked on at a time. sshd
// drops connections at random from the eleventh on that has not logged in
// (sshd_config(5) MaxStartups, 10:30:100): of 32 at once more than half fail,
// of 8 none.
const atOnce = 8

// places keeps a run from overrunning a server that is behind many targets. The
// zero value is ready.
type places struct {
	mu sync.Mutex
	at map[string]chan struct{} // by the address that is dialled
}

// take waits for one of an address's places. The target's clock stands still
// meanwhile.
func (p *places) take(ctx context.Context, address string) (leave func(), err error) {
	p.mu.Lock()
	if p.at == nil {
		p.at = make(map[string]chan struct{})
	}
	room, ok := p.at[address]
	if !ok {
		room = make(chan struct{}, atOnce)
		p.at[address] = room
	}
	p.mu.Unlock()
	leave = sync.OnceFunc(func() { <-room })
	select {
	case room <- struct{}{}:
		return leave, nil
	default:
	}
	if k, ok := ctx.Value(clockKey{}).(clock); ok {
		k.pause()
		defer k.resume()
	}
	select {
	case room <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// arrive takes a place at the host's address, unless it has one: both
// connections of a copy share it.
func (h *Host) arrive(ctx context.Context) error {
	if h.leave != nil {
		return nil
	}
	leave, err := h.c.places.take(ctx, h.Config.HostName)
	if err == nil {
		h.leave = leave
	}
	return err
}

// depart gives the place back.
func (h *Host) depart() {
	if h.leave != nil {
		h.leave()
		h.leave = nil
	}
}
