// Package fleet works on many targets at once: it takes them as they come,
// keeps the number under way bounded, and hands the results on as targets
// finish or in the order given.
package fleet

import (
	"iter"
	"sync"
)

// Run calls work for every target, at most jobs at once, and emit for every
// result, one at a time. A target is taken only when there is room for it, so
// that an endless list works and nothing waits for its last line. With
// keepOrder the results of a target wait for those of all targets before it.
func Run[T, R any](targets iter.Seq[T], jobs int, keepOrder bool, work func(T) []R, emit func(R)) {
	room := make(chan struct{}, jobs)
	var all sync.WaitGroup
	var emitting sync.Mutex
	previous := make(chan struct{}) // closed when the target before is emitted
	close(previous)
	for target := range targets {
		room <- struct{}{}
		before, done := previous, make(chan struct{})
		previous = done
		all.Go(func() {
			defer close(done)
			results := work(target)
			if keepOrder {
				<-before
			}
			emitting.Lock()
			for _, r := range results {
				emit(r)
			}
			emitting.Unlock()
			<-room
		})
	}
	all.Wait()
}
