package connect

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pi-key-tools/pkg/session"
)

func TestTries(t *testing.T) {
	const spent = session.Answer("not sent")
	tests := []struct {
		name    string
		answers []session.Answer // one target after another
	}{
		{"wrong on all", []session.Answer{session.Refused, session.Refused, session.Refused, spent, spent}},
		{"right once", []session.Answer{session.Refused, session.LogsIn, session.Refused, session.Refused, session.Refused, session.Refused}},
		{"counts once", []session.Answer{session.Refused, session.Partial, session.Refused, session.Refused, session.Refused}},
		{"lost says nothing", []session.Answer{session.Refused, session.Unanswered, "", session.Refused, session.Refused, spent}},
	}
	for _, tt := range tests {
		var tries tries
		for i, answer := range tt.answers {
			err := tries.begin(t.Context())
			if errors.Is(err, ErrSpent) != (answer == spent) {
				t.Errorf("%s: target %d: %v", tt.name, i, err)
			}
			if err == nil {
				tries.end(answer)
			}
		}
	}
}

// However many ask at once, three targets at most see a wrong password.
func TestTriesAtOnce(t *testing.T) {
	for _, answer := range []session.Answer{session.Refused, session.LogsIn} {
		var tries tries
		var sent, asking, most atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if tries.begin(t.Context()) != nil {
					return
				}
				sent.Add(1)
				if n := asking.Add(1); answer == session.Refused && n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Millisecond)
				asking.Add(-1)
				tries.end(answer)
			})
		}
		all.Wait()
		if want := map[session.Answer]int32{session.Refused: maxWrong, session.LogsIn: 100}[answer]; sent.Load() != want {
			t.Errorf("%s: sent to %d, want %d", answer, sent.Load(), want)
		}
		if most.Load() > maxWrong {
			t.Errorf("%s: %d at once", answer, most.Load())
		}
	}
}

// Who waits for the others still ends with its context.
func TestTriesEndWithTheContext(t *testing.T) {
	var tries tries
	for range maxWrong {
		if err := tries.begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(gone) })
	if err := tries.begin(ctx); !errors.Is(err, gone) {
		t.Errorf("%v, want %v", err, gone)
	}
}

// Each password has tries of its own, and they are told apart by nothing that
// tells what it is.
func TestTriesOfPasswords(t *testing.T) {
	var all, other triesOf
	a, b := all.password([]byte("a")), all.password([]byte("b"))
	if a == b || a != all.password([]byte("a")) {
		t.Error("they are mixed up")
	}
	other.password([]byte("a"))
	for sum := range other.by {
		if _, same := all.by[sum]; same {
			t.Error("there is no salt")
		}
	}
}
