package minheap_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

func TestHeapSorts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := minheap.New(func(a, b int) bool { return a < b })
		var model []int
		for _, op := range rapid.SliceOf(rapid.IntRange(-20, 20)).Draw(t, "ops") {
			switch {
			case op > -5 || len(model) == 0:
				h.Push(op)
				model = append(model, op)
			case op > -10:
				slices.Sort(model)
				h.Items()[0], model[0] = op, op
				h.Fix()
			default:
				slices.Sort(model)
				if got := h.Pop(); got != model[0] {
					t.Fatalf("popped %d, want %d", got, model[0])
				}
				model = model[1:]
			}
			slices.Sort(model)
			if h.Len() != len(model) || len(model) > 0 && h.Top() != model[0] {
				t.Fatalf("%d items, top of %v; want %v", h.Len(), h.Items(), model)
			}
		}
	})
}
