package connect

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"sync"

	"pi-key-tools/pkg/session"
)

// ErrSpent means that a password was not sent, since it has failed on maxWrong
// targets in a row and succeeded on none. Such a password is mistyped, and
// fail2ban counts.
var ErrSpent = errors.New("the password was not sent: it failed on three targets in a row")

// ErrRefused means that a password was not sent again to a target that has
// already refused it.
var ErrRefused = errors.New("the server has refused the password before")

// maxWrong is how many targets may refuse a password that none has taken.
const maxWrong = 3

// triesOf are the tries of each password of a run, by half a SHA-256 of it with
// some salt, which tells nothing of it. The zero value is ready.
type triesOf struct {
	mu   sync.Mutex
	salt [16]byte
	by   map[[16]byte]*tries
}

func (o *triesOf) password(secret []byte) *tries {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.by == nil {
		o.by = make(map[[16]byte]*tries)
		rand.Read(o.salt[:]) // never fails (crypto/rand)
	}
	hash := sha256.New()
	hash.Write(o.salt[:])
	hash.Write(secret)
	sum := [16]byte(hash.Sum(nil))
	t, ok := o.by[sum]
	if !ok {
		t = &tries{}
		o.by[sum] = t
	}
	return t
}

// tries keeps a wrong password from every target of a run. As long as nobody
// has taken it, no more than maxWrong targets have refused it or are being
// asked; the others wait for what becomes of those. The zero value is ready.
type tries struct {
	mu      sync.Mutex
	right   bool
	wrong   int
	asking  int
	settled chan struct{} // closed when one of those that are asked has answered; nil if nobody waits
}

// begin waits until the password may be sent to one more target. The target's
// clock stands still meanwhile. Unless there is an error, end must follow.
func (t *tries) begin(ctx context.Context) error {
	defer stopClock(ctx)()
	for {
		settled, err := t.enter()
		if settled == nil {
			return err
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// enter counts one more target, or returns what to wait for.
func (t *tries) enter() (settled <-chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.right:
	case t.wrong >= maxWrong:
		return nil, ErrSpent
	case t.wrong+t.asking >= maxWrong:
		if t.settled == nil {
			t.settled = make(chan struct{})
		}
		return t.settled, nil
	}
	t.asking++
	return nil, nil
}

// end tells what has become of it.
func (t *tries) end(answer session.Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asking--
	switch answer {
	case session.LogsIn, session.Partial:
		t.right = true
	case session.Refused:
		t.wrong++
	}
	if t.settled != nil {
		close(t.settled)
		t.settled = nil
	}
}
