package pipeline

import (
	"math"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestDueHeap compares the heap with the set of hosts in it.
func TestDueHeap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		hosts := make([]host, 12)
		var d dueHeap
		in, due := map[*host]bool{}, map[*host]int64{}
		check := func() {
			if d.len() != len(in) {
				t.Fatalf("%d hosts, want %d", d.len(), len(in))
			}
			for i := range hosts {
				h := &hosts[i]
				if in[h] != (h.place != 0) || in[h] && (d.items[h.place-1].host != h || d.of(h) != due[h]) || !in[h] && d.of(h) != math.MaxInt64 {
					t.Fatalf("host %d is at place %d, in the heap: %t", i, h.place, in[h])
				}
				if in[h] && due[h] < d.first() {
					t.Fatalf("the first is due at %d, another at %d", d.first(), due[h])
				}
			}
		}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			h := &hosts[rapid.IntRange(0, len(hosts)-1).Draw(t, "host")]
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6:
				due[h] = rapid.Int64Range(-3, 9).Draw(t, "due")
				d.set(h, due[h])
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

// TestHostIsSmall: there may be a million hosts, and the next size of the allocator is 112 bytes.
func TestHostIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(host{}); size > 96 {
		t.Errorf("a host takes %d bytes", size)
	}
}
