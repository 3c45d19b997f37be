package pipeline

import "math"

// The timers of a host are the partials that it drives, as a pairing heap with the earliest deadline on top: the links lie in
// the partials, so that a host with one partial, and there may be a million of those, needs nothing for it but its number.

// timerLinks are a partial's neighbours in the heap. Those below a partial form a list: child is its first, sibling the next,
// and prev the one before, or the partial above for the first.
type timerLinks struct{ child, sibling, prev partialID }

// setTimer gives the partial another deadline; math.MaxInt64 stops its timer.
func (t *partialTable) setTimer(p *partial, at int64) {
	h := p.host
	if p.at != math.MaxInt64 {
		t.unlinkTimer(h, p)
	}
	if p.at = at; at != math.MaxInt64 {
		h.timers = t.meld(h.timers, p.id)
	}
	h.deadline = math.MaxInt64
	if h.timers != 0 {
		h.deadline = t.at(h.timers).at
	}
}

// unlinkTimer takes a partial out of its host's heap.
func (t *partialTable) unlinkTimer(h *host, p *partial) {
	below := t.meldAll(p.timer.child)
	if h.timers == p.id {
		h.timers = below
	} else {
		if before := t.at(p.timer.prev); before.timer.child == p.id {
			before.timer.child = p.timer.sibling
		} else {
			before.timer.sibling = p.timer.sibling
		}
		if p.timer.sibling != 0 {
			t.at(p.timer.sibling).timer.prev = p.timer.prev
		}
		h.timers = t.meld(h.timers, below)
	}
	p.timer = timerLinks{}
}

// meld makes one heap of two, each of which may be empty.
func (t *partialTable) meld(a, b partialID) partialID {
	if a == 0 || b == 0 {
		return a | b
	}
	top, below := t.at(a), t.at(b)
	if t.before(below, top) {
		top, below = below, top
	}
	below.timer.sibling, below.timer.prev = top.timer.child, top.id
	if top.timer.child != 0 {
		t.at(top.timer.child).timer.prev = below.id
	}
	top.timer.child = below.id
	return top.id
}

// meldAll makes one heap of a list of them: pairs from the first to the last, then all pairs from the last to the first.
func (t *partialTable) meldAll(first partialID) partialID {
	var pairs partialID // linked by sibling, the last one first
	for first != 0 {
		a := t.at(first)
		b := a.timer.sibling
		first = 0
		if b != 0 {
			first = t.at(b).timer.sibling
			t.at(b).timer.sibling, t.at(b).timer.prev = 0, 0
		}
		a.timer.sibling, a.timer.prev = 0, 0
		pair := t.meld(a.id, b)
		t.at(pair).timer.sibling = pairs
		pairs = pair
	}
	var heap partialID
	for pairs != 0 {
		p := t.at(pairs)
		next := p.timer.sibling
		p.timer.sibling = 0
		heap = t.meld(heap, p.id)
		pairs = next
	}
	return heap
}

// before puts the earliest deadline first, equal ones in the order of compare.
func (t *partialTable) before(p, q *partial) bool {
	if p.at != q.at {
		return p.at < q.at
	}
	return t.compare(p, q) < 0
}
