package pipeline

import (
	"hash/maphash"
	"iter"
)

// hostTable holds the hosts of a partition by name. A partition may have a million of them, and a map from their names would
// take some 60 bytes for each beside the host itself; this takes about 16: pointers in a power of two of slots, linear
// probing, and the hash kept in the host. Iteration follows the slots, whose order depends on the table's seed: nothing that is
// decided may depend on it. It belongs to one goroutine.
type hostTable struct {
	seed  maphash.Seed
	slots []*host
	live  int
}

func newHostTable() *hostTable { return &hostTable{seed: maphash.MakeSeed(), slots: make([]*host, 64)} }

func (t *hostTable) len() int { return t.live }

// hash returns the hash of a name.
func (t *hostTable) hash(name string) uint32 {
	h := maphash.String(t.seed, name)
	return uint32(h ^ h>>32)
}

// get returns the host of a name, nil where there is none.
func (t *hostTable) get(name string) *host {
	hash, mask := t.hash(name), uint32(len(t.slots)-1)
	for i := hash & mask; ; i = (i + 1) & mask {
		h := t.slots[i]
		if h == nil || h.hash == hash && h.name == name {
			return h
		}
	}
}

// put adds a host. One of its name that was there before makes place for it.
func (t *hostTable) put(h *host) {
	if t.live >= len(t.slots)/4*3 {
		t.grow()
	}
	h.hash = t.hash(h.name)
	mask := uint32(len(t.slots) - 1)
	for i := h.hash & mask; ; i = (i + 1) & mask {
		switch g := t.slots[i]; {
		case g == nil:
			t.slots[i] = h
			t.live++
			return
		case g.hash == h.hash && g.name == h.name:
			t.slots[i] = h
			return
		}
	}
}

// grow doubles the slots.
func (t *hostTable) grow() {
	old := t.slots
	t.slots = make([]*host, 2*len(old))
	mask := uint32(len(t.slots) - 1)
	for _, h := range old {
		if h == nil {
			continue
		}
		i := h.hash & mask
		for t.slots[i] != nil {
			i = (i + 1) & mask
		}
		t.slots[i] = h
	}
}

// all yields all hosts. None may be added meanwhile.
func (t *hostTable) all() iter.Seq[*host] {
	return func(yield func(*host) bool) {
		for _, h := range t.slots {
			if h != nil && !yield(h) {
				return
			}
		}
	}
}

// retain drops the hosts for which keep is false. It makes the table again as small as its hosts allow.
func (t *hostTable) retain(keep func(*host) bool) {
	kept := 0
	for i, h := range t.slots {
		switch {
		case h == nil:
		case keep(h):
			kept++
		default:
			t.slots[i] = nil
		}
	}
	old, size := t.slots, 64
	for kept >= size/4*3 {
		size *= 2
	}
	t.slots, t.live = make([]*host, size), 0
	for _, h := range old {
		if h != nil {
			t.put(h)
		}
	}
}
