package sequence

import (
	"math"
	"slices"
)

const (
	none   = -1
	noHit  = math.MaxInt64
	noLead = math.MinInt64
)

// State is what one rule remembers of one join key. The zero value is empty. It has one owner at a time, and a copy
// shares its memory: copy one through Append and DecodeState.
type State struct {
	table []entry   // each event held, once, however many partials hold it
	live  []partial // by number of events, at most one of each number: the slots
	more  *extras   // what only rules with leading or trailing missing stages have
}

// entry is an event and the number of partials that hold it; 0 means that the place is free.
type entry struct {
	Ref
	uses uint32
}

// partial is a sequence that has begun: slot i of the machine is the partial of i+1 events.
type partial struct {
	at     []uint32 // its events, as places in the table
	hit    int64    // the earliest hit of a missing stage after the last event, or noHit
	lead   int64    // the latest hit of a leading missing stage before the first event, or noLead
	doomed bool     // an absence was violated: it goes on consuming events but never matches
}

// pending is a completed sequence whose trailing absence isn't certain before the watermark reaches end.
type pending struct {
	refs []Ref
	end  int64
}

type extras struct {
	pending []pending
	// The latest hits of the leading missing stages, newest first, of distinct milliseconds. Two are enough: a first
	// event isn't preceded by the hits of its own millisecond, and no event comes before the newest hit unless late.
	lead  [2]int64
	leads int
}

// Empty reports whether the state remembers nothing: it may be forgotten.
func (st *State) Empty() bool { return len(st.live) == 0 && st.more == nil }

// Len is the number of partials and of completed sequences whose trailing absence is pending.
func (st *State) Len() int {
	n := len(st.live)
	if st.more != nil {
		n += len(st.more.pending)
	}
	return n
}

// Oldest returns the time of the oldest first event, in milliseconds. It reports false if Len is 0.
func (st *State) Oldest() (int64, bool) {
	at := int64(math.MaxInt64)
	for k := range st.live {
		at = min(at, st.first(&st.live[k]).Time)
	}
	if st.more != nil {
		for _, p := range st.more.pending {
			at = min(at, p.refs[0].Time)
		}
	}
	if st.Len() == 0 {
		return 0, false
	}
	return at, true
}

// Refs yields every event held, once for each partial and pending sequence that holds it. It stops when yield
// returns false. The state must not change meanwhile.
func (st *State) Refs(yield func(Ref) bool) {
	for k := range st.live {
		for _, i := range st.live[k].at {
			if !yield(st.table[i].Ref) {
				return
			}
		}
	}
	if st.more == nil {
		return
	}
	for _, p := range st.more.pending {
		for _, r := range p.refs {
			if !yield(r) {
				return
			}
		}
	}
}

func (st *State) first(p *partial) *Ordinal { return &st.table[p.at[0]].Ordinal }

func (st *State) last(p *partial) *Ordinal { return &st.table[p.at[len(p.at)-1]].Ordinal }

// holds reports whether a delivery of ref's event is in any partial.
func (st *State) holds(ref Ref) bool {
	for i := range st.table {
		if st.table[i].uses > 0 && st.table[i].SameEvent(ref) {
			return true
		}
	}
	return false
}

func (st *State) contains(p *partial, ref Ref) bool {
	return slices.ContainsFunc(p.at, func(i uint32) bool { return st.table[i].SameEvent(ref) })
}

// extend appends ref to p. held is where ref is in the table, or none; it returns where ref is now.
func (st *State) extend(p *partial, ref Ref, held int) int {
	if held == none || st.table[held].uses == 0 { // the partial that had it may be gone again
		held = slices.IndexFunc(st.table, func(e entry) bool { return e.uses == 0 })
		if held == none {
			held = len(st.table)
			st.table = append(st.table, entry{})
		}
		st.table[held].Ref = ref
	}
	st.table[held].uses++
	p.at = append(p.at, uint32(held))
	return held
}

// settle puts the partial at k, which has just been extended, into its slot: the newer of two stays.
func (st *State) settle(k int) {
	if k+1 == len(st.live) || len(st.live[k].at) != len(st.live[k+1].at) {
		return
	}
	p, old := &st.live[k], &st.live[k+1]
	if st.last(old).Compare(*st.last(p)) > 0 {
		st.drop(k)
		return
	}
	// A hit after p's last event has been seen before it, if that event came late.
	if old.hit > st.last(p).Time {
		p.hit = old.hit
	}
	st.drop(k + 1)
}

// drop removes the partial at k.
func (st *State) drop(k int) {
	st.release(&st.live[k])
	st.live = slices.Delete(st.live, k, k+1)
}

// release gives up p's hold on its events.
func (st *State) release(p *partial) {
	for _, i := range p.at {
		e := &st.table[i]
		if e.uses--; e.uses == 0 {
			e.Ref = Ref{}
		}
	}
}

// trim gives back what isn't needed any more.
func (st *State) trim() {
	if x := st.more; x != nil && len(x.pending) == 0 {
		x.pending = nil
		if x.leads == 0 {
			st.more = nil
		}
	}
	if len(st.live) == 0 {
		st.live, st.table = nil, nil
		return
	}
	for st.table[len(st.table)-1].uses == 0 {
		st.table = st.table[:len(st.table)-1]
	}
}

func (st *State) extras() *extras {
	if st.more == nil {
		st.more = new(extras)
	}
	return st.more
}

// leadBefore returns the latest remembered hit before t, or noLead.
func (st *State) leadBefore(t int64) int64 {
	if st.more != nil {
		for _, l := range st.more.lead[:st.more.leads] {
			if l < t {
				return l
			}
		}
	}
	return noLead
}

// remember notes a hit of a leading missing stage at t.
func (x *extras) remember(t int64) {
	switch {
	case x.leads == 0:
		x.lead[0], x.leads = t, 1
	case t > x.lead[0]:
		x.lead, x.leads = [2]int64{t, x.lead[0]}, 2
	case t < x.lead[0] && (x.leads == 1 || t > x.lead[1]):
		x.lead[1], x.leads = t, 2
	}
}
