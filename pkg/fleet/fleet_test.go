package fleet

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunIsBoundedAndComplete(t *testing.T) {
	var now, most atomic.Int32
	var got []int
	targets := make([]int, 100)
	for i := range targets {
		targets[i] = i
	}
	Run(slices.Values(targets), 7, false, func(i int) []int {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return []int{i, -i}
	}, func(i int) { got = append(got, i) })
	if len(got) != 200 {
		t.Errorf("%d results, want 200", len(got))
	}
	if most.Load() > 7 {
		t.Errorf("%d at once, want at most 7", most.Load())
	}
}

func TestRunKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		Run(slices.Values([]int{5, 1, 4, 2, 3}), 5, true, func(i int) []int {
			time.Sleep(time.Duration(i) * time.Second)
			return []int{i}
		}, func(i int) { got = append(got, i) })
		if want := []int{5, 1, 4, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A result must come out while the list is still open: the list may be a pipe
// that never ends.
func TestRunTakesTargetsAsTheyCome(t *testing.T) {
	for _, keepOrder := range []bool{false, true} {
		results := make(chan int, 1)
		endless := func(yield func(int) bool) {
			if !yield(1) {
				return
			}
			select {
			case <-results:
			case <-time.After(10 * time.Second):
				t.Error("no result while the list was open")
			}
		}
		Run(endless, 2, keepOrder, func(i int) []int { return []int{i} }, func(i int) { results <- i })
	}
}
