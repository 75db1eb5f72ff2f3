package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshconfig"
	"pi-key-tools/pkg/sshtest"
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
		var seats []*seat
		for range atOnce {
			s, err := p.take(t.Context(), "one", time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			seats = append(seats, s)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(session.ErrTooSlow) })
		if _, err := p.take(ctx, "one", time.Minute); !errors.Is(err, session.ErrTooSlow) {
			t.Error(err)
		}
		for _, s := range seats {
			s.leave()
		}
		if n := len(p.at); n > 0 {
			t.Errorf("%d addresses are kept", n)
		}
	})
}

// Of a server that turns targets away all come back, in time, with few more
// knocks than there are targets; where it lets nobody in, they give up together.
func TestPlacesOfServerThatTurnsAway(t *testing.T) {
	const targets, timeout = 60, 30 * time.Second
	for _, tt := range []struct {
		name   string
		said   string
		room   int           // at once, from when it is open on
		opens  time.Duration // 0: it is
		served int
		knocks int // at most
		within time.Duration
	}{
		{"MaxStartups", session.MaxStartups, 2, 0, targets, targets + 12, 45 * time.Second},
		{"MaxStartups of 9.8", session.Penalised, 2, 0, targets, targets + 12, 45 * time.Second},
		{"dropbear, without a word", "", 2, 0, targets, targets + 12, 45 * time.Second},
		{"one at a time", session.MaxStartups, 1, 0, targets, targets + 12, 80 * time.Second},
		{"shut out", session.Penalised, 8, 17 * time.Second, targets, targets + 8 + 3, 90 * time.Second},
		{"shut out for long", session.Penalised, 8, time.Hour, 0, 8 + 5, timeout + time.Second},
		{"full for long", session.MaxStartups, 8, time.Hour, 0, 8 + 6, timeout + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{Timeout: timeout, Note: func(_, format string, args ...any) {
					if note := fmt.Sprintf(format, args...); strings.Contains(note, "()") || !strings.Contains(note, tt.said) {
						t.Error(note)
					}
				}})
				begin := time.Now()
				var mu sync.Mutex
				inside, knocks, served := 0, 0, 0
				visit := func() (*session.Report, error) { // of the server
					mu.Lock()
					knocks++
					full := time.Since(begin) < tt.opens || inside >= tt.room
					if !full {
						inside++
					}
					mu.Unlock()
					if full {
						start := []byte(tt.said + "\r\n")
						return &session.Report{Stage: session.Versions, Start: start[:len(start)*min(1, len(tt.said))]}, io.EOF
					}
					time.Sleep(time.Second)
					mu.Lock()
					defer mu.Unlock()
					inside--
					served++
					return &session.Report{Stage: session.LoggedIn, ServerVersion: "SSH-2.0-x"}, nil
				}
				var all sync.WaitGroup
				for range targets {
					all.Go(func() {
						ctx, cancel := c.Deadline(t.Context())
						defer cancel()
						h := &Host{c: c, Config: &sshconfig.Host{HostName: "one"}}
						defer h.depart()
						for {
							if err := h.arrive(ctx); err != nil {
								if away := (*awayError)(nil); !errors.As(err, &away) || !strings.HasPrefix(string(away.said), tt.said) {
									t.Error(err)
								}
								return
							}
							if rep, err := visit(); !h.turnedAway(ctx, rep, err) {
								return
							}
						}
					})
				}
				all.Wait()
				if took := time.Since(begin); served != tt.served || knocks > tt.knocks || took > tt.within {
					t.Errorf("%d served, %d knocks, after %v", served, knocks, took)
				}
			})
		})
	}
}

// Sixty names of one real server that takes few at the door all log in in one run.
// PIKEY_TEST_SSHD10 is the path of an sshd that punishes addresses too.
func TestPlacesOfSSHD(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"", os.Getenv("PIKEY_TEST_SSHD10")} {
		for _, config := range []string{"MaxStartups 10:30:100", "MaxStartups 2:100:4"} {
			s := newSide(t)
			server := s.startSSHD(sshtest.SSHDConfig{Program: program, Config: []string{config}})
			s.knows(server.Endpoint)
			var hosts []string
			for i := range 60 {
				hosts = append(hosts, s.host(fmt.Sprint("t", i), server.Endpoint))
			}
			s.config(hosts...)
			for i, err := range s.loginAll(s.connector(Options{}), 60, Plan{}) {
				if err != nil {
					t.Errorf("%s: t%d: %v", config, i, err)
				}
			}
			if n := accepted(server); n != 60 {
				t.Errorf("%s: %d logins", config, n)
			}
		}
		if os.Getenv("PIKEY_TEST_SSHD10") == "" {
			break
		}
	}
}
