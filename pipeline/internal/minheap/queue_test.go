package minheap_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

// TestQueueSorts compares a queue with a sorted list, for items that come in order but for some.
func TestQueueSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := minheap.NewQueue(func(a, b int) bool { return a < b })
		var model []int
		next := 0
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 40).Draw(t, "op"); {
			case op < 20:
				next += rapid.IntRange(0, 3).Draw(t, "later")
				q.Push(next)
				model = append(model, next)
			case op < 24:
				item := next - rapid.IntRange(0, 30).Draw(t, "earlier")
				q.Push(item)
				model = append(model, item)
			case op == 40:
				odd := func(i int) bool { return i%2 != 0 }
				q.Retain(odd)
				model = slices.DeleteFunc(model, func(i int) bool { return !odd(i) })
			case len(model) > 0:
				slices.Sort(model)
				if got := q.Pop(); got != model[0] {
					t.Fatalf("popped %d, want %d", got, model[0])
				}
				model = model[1:]
			}
			slices.Sort(model)
			if all := slices.Sorted(q.All()); q.Len() != len(model) || !slices.Equal(all, model) {
				t.Fatalf("%d items, %v; want %v", q.Len(), all, model)
			}
			if len(model) > 0 && q.Top() != model[0] {
				t.Fatalf("top %d, want %d", q.Top(), model[0])
			}
		}
	})
}

// TestQueueReusesMemory: a queue that never holds more than some items needs no more memory however many go through it.
func TestQueueReusesMemory(t *testing.T) {
	q := minheap.NewQueue(func(a, b int) bool { return a < b })
	next := 0
	step := func() {
		for range 100 {
			q.Push(next)
			next++
		}
		for q.Len() > 10 {
			q.Pop()
		}
	}
	step()
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
