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
// zero value is ready. It knows the addresses that somebody is at or waits for,
// and no others, however many there are in a run.
type places struct {
	mu sync.Mutex
	at map[string]*place // by the address that is dialled
}

type place struct {
	room chan struct{}
	who  int // are there or wait
}

// take waits for one of an address's places. The target's clock stands still
// meanwhile.
func (p *places) take(ctx context.Context, address string) (leave func(), err error) {
	at := p.come(address)
	leave = sync.OnceFunc(func() {
		<-at.room
		p.gone(address, at)
	})
	select {
	case at.room <- struct{}{}:
		return leave, nil
	default:
	}
	if k, ok := ctx.Value(clockKey{}).(clock); ok {
		k.pause()
		defer k.resume()
	}
	select {
	case at.room <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		p.gone(address, at)
		return nil, context.Cause(ctx)
	}
}

// come counts one more who is there or waits, until gone is called.
func (p *places) come(address string) *place {
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := p.at[address]
	if !ok {
		if p.at == nil {
			p.at = make(map[string]*place)
		}
		at = &place{room: make(chan struct{}, atOnce)}
		p.at[address] = at
	}
	at.who++
	return at
}

func (p *places) gone(address string, at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.who--; at.who == 0 {
		delete(p.at, address)
	}
}

// arrive takes a place at the host's address, unless it has one: both
// connections of a copy share it.
func (h *Host) arrive(ctx context.Context) error {
	if h.leave != nil {
		return nil
	}
	// Behind another way the same name may be another machine.
	leave, err := h.c.places.take(ctx, h.Config.HostName+" "+h.Config.ProxyJump+h.Config.ProxyCommand)
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
