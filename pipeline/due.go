package pipeline

import "math"

// dueHeap holds the hosts that have something to do at some record clock, the earliest first; those of one time come in no
// particular order. What it compares lies in it, so that moving a host through it looks at no other.
type dueHeap struct{ items []dueHost }

type dueHost struct {
	due  int64
	host *host // host.place is where it is in items, plus one
}

func (d *dueHeap) len() int { return len(d.items) }

// top returns the first host of a heap that isn't empty.
func (d *dueHeap) top() *host { return d.items[0].host }

// first returns the record clock at which the first host is due, math.MaxInt64 where there is none.
func (d *dueHeap) first() int64 {
	if len(d.items) == 0 {
		return math.MaxInt64
	}
	return d.items[0].due
}

// of returns the record clock at which a host's watermark has something to do, or an earlier one; math.MaxInt64 where the host isn't in the heap.
func (d *dueHeap) of(h *host) int64 {
	if h.place == 0 {
		return math.MaxInt64
	}
	return d.items[h.place-1].due
}

// set puts a host in, or where it belongs by another due.
func (d *dueHeap) set(h *host, due int64) {
	i := int(h.place) - 1
	if i < 0 {
		i = len(d.items)
		d.items = append(d.items, dueHost{})
	}
	d.move(i, dueHost{due, h})
}

// remove takes a host out, if it is in.
func (d *dueHeap) remove(h *host) {
	if h.place == 0 {
		return
	}
	i, last := int(h.place)-1, len(d.items)-1
	h.place = 0
	moved := d.items[last]
	d.items[last] = dueHost{}
	d.items = d.items[:last]
	if i < last {
		d.move(i, moved)
	}
}

// move puts a host into the hole at i, which is moved up or down to where the host belongs.
func (d *dueHeap) move(i int, item dueHost) {
	items := d.items
	for i > 0 && item.due < items[(i-1)/2].due {
		items[i] = items[(i-1)/2]
		items[i].host.place = int32(i + 1)
		i = (i - 1) / 2
	}
	for {
		child := 2*i + 1
		if child >= len(items) {
			break
		}
		if child+1 < len(items) && items[child+1].due < items[child].due {
			child++
		}
		if items[child].due >= item.due {
			break
		}
		items[i] = items[child]
		items[i].host.place = int32(i + 1)
		i = child
	}
	items[i] = item
	item.host.place = int32(i + 1)
}
