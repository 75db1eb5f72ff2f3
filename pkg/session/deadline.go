package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Deadline returns a context that ends after d, not counting the time between
// pause and resume: a person typing a password does not use up the machine's
// time. The cause of its end is ErrTooSlow.
func Deadline(parent context.Context, d time.Duration) (ctx context.Context, pause, resume, cancel func()) {
	ctx, cancelCause := context.WithCancelCause(parent)
	var mu sync.Mutex
	left, since := d, time.Now()
	timer := time.AfterFunc(d, func() { cancelCause(ErrTooSlow) })
	pause = func() {
		mu.Lock()
		defer mu.Unlock()
		if timer.Stop() {
			left -= time.Since(since)
		}
	}
	resume = func() {
		mu.Lock()
		defer mu.Unlock()
		since = time.Now()
		timer.Reset(max(left, time.Millisecond))
	}
	return ctx, pause, resume, func() { timer.Stop(); cancelCause(nil) }
}

// ErrTooSlow is the cause of a context whose time for one target is up.
var ErrTooSlow = errors.New("the time for this target is up")
