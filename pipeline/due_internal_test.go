package pipeline

import (
	"testing"

	"pgregory.net/rapid"
)

// TestDueHeap compares the heap with the set of hosts in it.
func TestDueHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := make([]host, 12)
		var d dueHeap
		in := map[*host]bool{}
		check := func() {
			if d.len() != len(in) {
				t.Fatalf("%d hosts, want %d", d.len(), len(in))
			}
			for i := range hosts {
				h := &hosts[i]
				if in[h] != (h.place != 0) || in[h] && (d.items[h.place-1].host != h || d.items[h.place-1].due != h.due) {
					t.Fatalf("host %d is at place %d, in the heap: %t", i, h.place, in[h])
				}
				if in[h] && h.due < d.top().due {
					t.Fatalf("the first is due at %d, another at %d", d.top().due, h.due)
				}
			}
		}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			h := &hosts[rapid.IntRange(0, len(hosts)-1).Draw(t, "host")]
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6:
				h.due = rapid.Int64Range(-3, 9).Draw(t, "due")
				d.set(h)
				in[h] = true
			case op < 8:
				d.remove(h)
				delete(in, h)
			case len(in) > 0:
				top := d.top()
				d.remove(top)
				delete(in, top)
			}
			check()
		}
	})
}
