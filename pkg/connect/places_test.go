package connect

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
)

// No more than eight targets are at one address; waiting costs them no time of
// their own, and other addresses nothing.
func TestPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Timeout: 5 * time.Second})
		var now, most atomic.Int32
		var all sync.WaitGroup
		start := time.Now()
		work := func(address string, count bool) {
			all.Go(func() {
				ctx, cancel := c.Deadline(t.Context())
				defer cancel()
				h := &Host{c: c, Config: &sshconfig.Host{HostName: address}}
				for range 2 { // both connections
					if err := h.arrive(ctx); err != nil {
						t.Error(err)
						return
					}
				}
				defer h.depart()
				if count {
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					defer now.Add(-1)
				}
				time.Sleep(4 * time.Second)
				if ctx.Err() != nil {
					t.Errorf("%v after %v", context.Cause(ctx), time.Since(start))
				}
			})
		}
		for range 40 {
			work("one", true)
		}
		for _, other := range []string{"a", "b", "c"} {
			work(other, false)
		}
		all.Wait()
		if m := most.Load(); m != atOnce {
			t.Errorf("%d at once", m)
		}
		if took := time.Since(start); took != 5*4*time.Second {
			t.Errorf("took %v", took)
		}
		if n := len(c.places.at); n > 0 {
			t.Errorf("%d addresses are kept", n)
		}
	})
}

func TestPlacesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p places
		var leave []func()
		for range atOnce {
			l, err := p.take(t.Context(), "one")
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(session.ErrTooSlow) })
		if _, err := p.take(ctx, "one"); !errors.Is(err, session.ErrTooSlow) {
			t.Error(err)
		}
		for _, l := range leave {
			l()
		}
		if n := len(p.at); n > 0 {
			t.Errorf("%d addresses are kept", n)
		}
	})
}
