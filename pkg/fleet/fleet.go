// Package fleet works on many targets at once: it takes them as they arrive,
// bounds the number in progress, and passes on the results as targets finish or
// in the order given.
package fleet

import (
	"iter"
	"sync"
)

// ahead is how many targets, for each that may be under way, may wait for a slow
// one before them to have its turn: enough that it seldom holds up the work, few
// enough to be little in memory.
const ahead = 32

// Run calls work for every target, at most jobs at once, and emit for every
// result, one at a time. A target is taken only when there is room for it, so
// that an endless list works and nothing waits for its last line. With
// keepOrder the result of a target waits for those of all targets before it,
// and when too many wait, no more targets are taken.
func Run[T, R any](targets iter.Seq[T], jobs int, keepOrder bool, work func(T) R, emit func(R)) {
	var all, told sync.WaitGroup
	var emitting sync.Mutex
	tell := func(result R) {
		emitting.Lock()
		defer emitting.Unlock()
		emit(result)
	}
	var order chan chan R // of the targets as given, what will be their results
	if keepOrder {
		order = make(chan chan R, ahead*jobs)
		told.Go(func() {
			for result := range order {
				tell(<-result)
			}
		})
	}
	type task struct {
		target T
		result chan R // nil without keepOrder
	}
	// Who has finished one target works on the next: the stack has grown for it.
	next := make(chan task)
	workers := 0
	for target := range targets {
		t := task{target: target}
		if keepOrder {
			t.result = make(chan R, 1)
			order <- t.result
		}
		if workers == jobs {
			next <- t
			continue
		}
		select {
		case next <- t:
		default:
			workers++
			all.Go(func() {
				for more := true; more; t, more = <-next {
					if r := work(t.target); keepOrder {
						t.result <- r
					} else {
						tell(r)
					}
				}
			})
		}
	}
	close(next)
	all.Wait()
	if keepOrder {
		close(order)
	}
	told.Wait()
}

// Batches hands out targets by so many, of which the last may be fewer: work on
// one may be too little for Run to be called with.
func Batches[T any](targets iter.Seq[T], size int) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		batch := make([]T, 0, size)
		for target := range targets {
			if batch = append(batch, target); len(batch) == size {
				if !yield(batch) {
					return
				}
				batch = make([]T, 0, size)
			}
		}
		if len(batch) > 0 {
			yield(batch)
		}
	}
}
