package connect

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/session"
)

// atOnce is how many targets at one address are worked on at a time. sshd
// drops connections at random from the eleventh on that has not logged in
// (sshd_config(5) MaxStartups, 10:30:100): of 32 at once more than half fail,
// of 8 none.
const atOnce = 8

// places keeps a run from overrunning a server that is behind many targets, and
// leaves one in peace that turns us away. The zero value is ready. It knows the
// addresses that somebody is at or waits for, and those that have turned us
// away, and no others, however many there are in a run.
type places struct {
	mu sync.Mutex
	at map[string]*place // by the address that is dialled
}

type place struct {
	room chan struct{}

	// Under the lock of places.
	who    int       // are there or wait
	lost   int       // of the places: who is turned away loses the one that he had
	shut   time.Time // nobody goes there before
	said   []byte    // to the last whom it turned away, for those who do not go
	first  time.Time // when it did that first, since somebody was let in
	pauses int       // since then
}

// A seat is one place at an address.
type seat struct {
	places  *places
	address string
	at      *place
}

// An awayError means that the host's address was not dialled, since it turned
// others away and cannot be expected to let us in in time.
type awayError struct{ said []byte }

func (e *awayError) Error() string { return "the server turns us away" }

// take waits for one of an address's places, and until it is not shut; but not
// for one that will have turned us away for longer than patience. The target's
// clock stands still meanwhile.
func (p *places) take(ctx context.Context, address string, patience time.Duration) (*seat, error) {
	s := &seat{p, address, p.come(address)}
	select {
	case s.at.room <- struct{}{}:
		if wait, err := s.wait(patience); err != nil || wait <= 0 {
			return s.taken(err)
		}
		<-s.at.room
	default:
	}
	defer stopClock(ctx)()
	select {
	case s.at.room <- struct{}{}:
	case <-ctx.Done():
		s.gone()
		return nil, context.Cause(ctx)
	}
	for {
		wait, err := s.wait(patience)
		if err != nil || wait <= 0 {
			return s.taken(err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			s.leave()
			return nil, context.Cause(ctx)
		}
	}
}

func (s *seat) taken(err error) (*seat, error) {
	if err != nil {
		s.leave()
		return nil, err
	}
	return s, nil
}

// wait says how long the address is shut.
func (s *seat) wait(patience time.Duration) (time.Duration, error) {
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	wait := time.Until(s.at.shut)
	if wait > 0 && s.at.shut.Sub(s.at.first) > patience {
		return 0, &awayError{s.at.said}
	}
	return wait, nil
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

func (s *seat) gone() {
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	if s.at.who--; s.at.who == 0 && s.at.lost == 0 {
		delete(s.places.at, s.address)
	}
}

// leave gives the place back.
func (s *seat) leave() {
	<-s.at.room
	s.gone()
}

// letIn tells that the server talks to us.
func (s *seat) letIn() {
	s.places.mu.Lock()
	defer s.places.mu.Unlock()
	s.at.shut, s.at.first, s.at.pauses = time.Time{}, time.Time{}, 0
}

// turnedAway gives up the place, with what the server said, and returns how long
// it is shut from now, if that is news. As many are left as the server has let
// in, or one.
func (s *seat) turnedAway(said []byte) (wait time.Duration) {
	s.places.mu.Lock()
	now, at := time.Now(), s.at
	if at.first.IsZero() {
		at.first = now
	}
	if !now.Before(at.shut) { // else others came at the same time
		wait = pause(at.pauses, said)
		at.shut, at.said = now.Add(wait), said
		at.pauses++
	}
	alone := at.lost == atOnce-1
	if !alone {
		at.lost++
	}
	s.places.mu.Unlock()
	if alone {
		<-at.room
	}
	s.gone()
	return wait
}

// pause is how long to leave a server in peace that has turned us away for the
// nth time. sshd, since 9.8, says the same where it has too many at the door
// (MaxStartups), which may be over in a moment, and where an address is shut out
// (PerSourcePenalties), which takes more than 15 seconds from when it begins. A
// second try tells them apart, and neither makes it worse (sshd.c
// drop_connection()). Not all at once, where names are many for one server.
func pause(n int, said []byte) time.Duration {
	d := time.Second << min(n, 3)
	if n > 0 && bytes.Contains(said, []byte(session.Penalised)) {
		d = 5 * time.Second
		if n == 1 {
			d = 15 * time.Second
		}
	}
	return d + rand.N(d/4+time.Second/2)
}

// away reports whether the server has turned a connection away that it may let
// in later. One that closes without a word, as dropbear does when it has too
// many at the door, may have other reasons; they do not depend on who else is
// there.
func (s *seat) away(rep *session.Report) bool {
	switch {
	case rep.Stage != session.Versions:
		return false
	case len(rep.Start) == 0:
		s.places.mu.Lock()
		defer s.places.mu.Unlock()
		return s.at.lost > 0 || len(s.at.room) > 1
	}
	return bytes.Contains(rep.Start, []byte(session.Penalised)) || bytes.HasPrefix(rep.Start, []byte(session.MaxStartups))
}

// arrive takes a place at the host's address, unless it has one: both
// connections of a copy share it.
func (h *Host) arrive(ctx context.Context) error {
	if h.seat != nil {
		return nil
	}
	seat, err := h.c.places.take(ctx, h.Config.HostName+" "+h.way(), h.c.opt.Timeout)
	if err == nil {
		h.seat = seat
	}
	return err
}

// way is what leads to the host; "" if it is dialled directly. Behind another
// one the same name may be another machine.
func (h *Host) way() string { return h.Config.ProxyJump + h.Config.ProxyCommand }

// depart gives the place back.
func (h *Host) depart() {
	if h.seat != nil {
		h.seat.leave()
		h.seat = nil
	}
}

// turnedAway reports whether a login is to be begun once more because the server
// had no room for it. Then the place is gone.
func (h *Host) turnedAway(ctx context.Context, rep *session.Report, err error) bool {
	var jump *JumpError
	switch {
	case h.seat == nil || errors.As(err, &jump):
	case rep.ServerVersion != "":
		h.seat.letIn()
	case err != nil && ctx.Err() == nil && !errors.Is(err, session.ErrSilent) && h.seat.away(rep):
		if wait := h.seat.turnedAway(rep.Start); wait > 0 {
			how := "without saying why"
			if said, _, _ := strings.Cut(string(rep.Start), "\n"); said != "" {
				how = "(" + strings.TrimSpace(said) + ")"
			}
			h.c.opt.Note(h.Target, "the server turns us away %s: trying again in %v", how, wait.Round(time.Second))
		}
		h.seat = nil
		return true
	}
	return false
}
