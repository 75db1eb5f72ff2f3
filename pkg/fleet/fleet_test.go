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
	Run(slices.Values(targets), 7, false, func(i int) int {
		most.Store(max(most.Load(), now.Add(1)))
		time.Sleep(time.Millisecond)
		now.Add(-1)
		return -i
	}, func(i int) { got = append(got, i) })
	if len(got) != 100 {
		t.Errorf("%d results, want 100", len(got))
	}
	if most.Load() > 7 {
		t.Errorf("%d at once, want at most 7", most.Load())
	}
}

func TestRunKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int
		Run(slices.Values([]int{5, 1, 4, 2, 3}), 5, true, func(i int) int {
			time.Sleep(time.Duration(i) * time.Second)
			return i
		}, func(i int) { got = append(got, i) })
		if want := []int{5, 1, 4, 2, 3}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// One slow target does not hold up the work on those after it, and they do not
// fill the memory meanwhile.
func TestRunWaitsForASlowOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs = 3
		var taken, done atomic.Int32
		endless := func(yield func(int32) bool) {
			for n := int32(0); n < 10*ahead*jobs && yield(n); n++ {
				taken.Add(1)
			}
		}
		slow := make(chan struct{})
		go func() {
			time.Sleep(time.Hour)
			if n := done.Load(); n < (ahead-1)*jobs {
				t.Errorf("%d are done", n)
			}
			if n := taken.Load(); n > (ahead+1)*jobs+2 {
				t.Errorf("%d are taken", n)
			}
			close(slow)
		}()
		var got []int32
		Run(endless, jobs, true, func(i int32) int32 {
			if i == 0 {
				<-slow
			}
			done.Add(1)
			return i
		}, func(i int32) { got = append(got, i) })
		if len(got) != int(taken.Load()) || !slices.IsSorted(got) {
			t.Errorf("%d results of %d, sorted: %v", len(got), taken.Load(), slices.IsSorted(got))
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
		Run(endless, 2, keepOrder, func(i int) int { return i }, func(i int) { results <- i })
	}
}

func TestBatches(t *testing.T) {
	for _, c := range []struct{ many, want int }{{0, 0}, {1, 1}, {2, 1}, {3, 2}, {5, 3}} {
		var got []int
		batches := 0
		for batch := range Batches(slices.Values([]int{1, 2, 3, 4, 5}[:c.many]), 2) {
			got, batches = append(got, batch...), batches+1
		}
		if batches != c.want || !slices.Equal(got, []int{1, 2, 3, 4, 5}[:c.many]) {
			t.Errorf("of %d: %d batches, %v", c.many, batches, got)
		}
	}
	for batch := range Batches(slices.Values([]int{1, 2, 3, 4, 5}), 2) {
		if !slices.Equal(batch, []int{1, 2}) {
			t.Errorf("first %v", batch)
		}
		break
	}
}
