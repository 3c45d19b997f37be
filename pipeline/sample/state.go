package sample

import (
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
)

const none = -1

// State is what one rule remembers of one join key. The zero value is empty. It has one owner at a time, and a copy
// shares its memory: copy one through Append and DecodeState.
type State struct {
	held []entry // in the order of their ordinals
	// The newest event of the last sample that was completed: it and what is older are consumed.
	mark   sequence.Ref
	marked bool
}

// entry is a delivery of an event with the stages that it may fill. Of the deliveries of one event, one may fill each stage.
type entry struct {
	sequence.Ref
	hits sequence.Hits // never empty
	same uint32        // the event: deliveries of one event have the same number
}

// Empty reports whether the state remembers nothing: it may be forgotten.
func (st *State) Empty() bool { return len(st.held) == 0 && !st.marked }

// Len is the number of partials: 1 where there are events that wait for others, else 0.
func (st *State) Len() int { return min(len(st.held), 1) }

// Oldest returns the time of the oldest event, in milliseconds. It reports false if Len is 0.
func (st *State) Oldest() (int64, bool) {
	if len(st.held) == 0 {
		return 0, false
	}
	return st.held[0].Time, true
}

// Refs yields every event held, once for each delivery. It stops when yield returns false. The state must not change
// meanwhile.
func (st *State) Refs(yield func(sequence.Ref) bool) {
	for i := range st.held {
		if !yield(st.held[i].Ref) {
			return
		}
	}
}

// consumed reports whether an event is older than the newest of the last sample, or is that event, delivered once more
// within a lookback.
func (st *State) consumed(ref sequence.Ref, lookback int64) bool {
	return st.marked && (ref.Compare(st.mark.Ordinal) <= 0 || ref.SameEvent(st.mark) && ref.Time <= plus(st.mark.Time, lookback))
}

// insert puts a delivery in its place, with the stages for which it is the one delivery of its event that counts: the newest
// or the earliest. It returns the place, or none where it counts for no stage.
func (st *State) insert(h sequence.Hits, ref sequence.Ref, newest bool) int {
	number, known := uint32(0), false
	for i := range st.held {
		e := &st.held[i]
		switch {
		case known:
		case e.SameEvent(ref):
			number, known = e.same, true
		default:
			number = max(number, e.same+1)
		}
	}
	for i := range st.held {
		e := &st.held[i]
		if !known || e.same != number {
			continue
		}
		if (e.Compare(ref.Ordinal) < 0) == newest {
			e.hits &^= h
		} else {
			h &^= e.hits
		}
	}
	if known {
		st.sweep()
	}
	if h == 0 {
		return none
	}
	at, _ := slices.BinarySearchFunc(st.held, ref.Ordinal, func(e entry, o sequence.Ordinal) int { return e.Compare(o) })
	st.held = slices.Insert(st.held, at, entry{Ref: ref, hits: h, same: number})
	return at
}

// prune leaves at most keep events for each stage: the newest or the earliest.
func (st *State) prune(stages, keep int, newest bool) {
	if len(st.held) <= keep {
		st.trim()
		return
	}
	for s := range stages {
		have := 0
		for i := range st.held {
			e := &st.held[i]
			if newest {
				e = &st.held[len(st.held)-1-i]
			}
			if !e.hits.Has(s) {
				continue
			}
			if have++; have > keep {
				e.hits &^= 1 << s
			}
		}
	}
	st.sweep()
	st.trim()
}

// sweep drops the deliveries that may fill no stage any more.
func (st *State) sweep() {
	st.held = slices.DeleteFunc(st.held, func(e entry) bool { return e.hits == 0 })
}

// trim gives the memory of a state without events back.
func (st *State) trim() {
	if len(st.held) == 0 {
		st.held = nil
	}
}
