package minheap_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

type placed struct {
	value int
	place int32
}

func (p *placed) Before(q *placed) bool { return p.value < q.value }
func (p *placed) Place() *int32         { return &p.place }

func TestPlaced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		items := make([]placed, 12)
		var h minheap.Placed[*placed]
		var model []*placed
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			item := &items[rapid.IntRange(0, len(items)-1).Draw(t, "item")]
			in := slices.Contains(model, item)
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6:
				item.value = rapid.IntRange(0, 9).Draw(t, "value")
				h.Set(item)
				if !in {
					model = append(model, item)
				}
			case op < 8:
				h.Remove(item)
				model = slices.DeleteFunc(model, func(p *placed) bool { return p == item })
			case len(model) > 0:
				top := h.Pop()
				if slices.ContainsFunc(model, func(p *placed) bool { return p.value < top.value }) {
					t.Fatalf("popped %d of %v", top.value, model)
				}
				model = slices.DeleteFunc(model, func(p *placed) bool { return p == top })
			}
			if h.Len() != len(model) {
				t.Fatalf("%d items, want %d", h.Len(), len(model))
			}
			for i := range items {
				if in := slices.Contains(model, &items[i]); in != (items[i].place != 0) {
					t.Fatalf("item %d: in %v, place %d", i, in, items[i].place)
				}
			}
		}
		last := -1
		for h.Len() > 0 {
			p := h.Pop()
			if p.value < last {
				t.Fatalf("popped %d after %d", p.value, last)
			}
			last = p.value
		}
	})
}
