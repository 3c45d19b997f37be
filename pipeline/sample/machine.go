// Package sample is the state machine of EQL samples: one distinct event for each stage, in any order, for one join key
// at a time. Like pipeline/sequence it is pure: time comes in with events and watermarks, and state is a value that the
// caller keeps. An event may satisfy several stages and fills one, so whether there is a sample is a matching between
// stages and events. docs/adr/0004-sample.md has the reasons.
package sample

import (
	"fmt"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// MaxStages is the number of stages that a sample may have.
const MaxStages = sequence.MaxStages

// Spec is the shape of a sample.
type Spec struct {
	Stages int
	// Lookback is the longest time from the oldest to the newest event of a sample, both included, in milliseconds. With 0 the
	// whole input is one search: it has no bound, and its samples are decided by Finish.
	Lookback int64
	// PerKey is the number of samples of one key in a search, Elasticsearch's max_samples_per_key; 0 counts as 1. With a
	// Lookback it is not used.
	PerKey int
}

// Machine matches the events of one sample. It is immutable: all workers share one, and everything that changes is in
// a State.
//
// Samples have an order: by their newest event, then by the event of stage 1, of stage 2, and so on. A search takes the
// earliest by it. With a lookback each event that makes a sample possible takes, of those, the one with the most recent
// events, stage by stage.
type Machine struct {
	stages   int
	lookback int64
	perKey   int
	keep     int // events kept per stage: the others can't be part of a sample that is chosen
}

// New checks the shape of a sample and builds its machine.
func New(spec Spec) (*Machine, error) {
	switch {
	case spec.Stages < 2 || spec.Stages > MaxStages:
		return nil, fmt.Errorf("a sample of %d stages: 2 to %d are supported", spec.Stages, MaxStages)
	case spec.Lookback < 0:
		return nil, fmt.Errorf("a lookback of %d ms is negative", spec.Lookback)
	case spec.PerKey < 0:
		return nil, fmt.Errorf("%d samples per key: at least 1", spec.PerKey)
	}
	m := &Machine{stages: spec.Stages, lookback: spec.Lookback, perKey: max(spec.PerKey, 1), keep: spec.Stages}
	if m.lookback == 0 {
		m.keep = spec.Stages + min(m.perKey, math.MaxInt-spec.Stages) - 1
	}
	return m, nil
}

// Advance handles one event: h are the stages that it satisfies under the state's join key, all of them in one call. A
// sample that it makes possible is appended to dst; it takes away its own events and all that are older than its newest
// one. Events come in the order of their ordinals. One that comes late is tried with its own place in the order: it completes the
// sample with the earliest newest event. The strings of ref are kept.
func (m *Machine) Advance(st *State, h sequence.Hits, ref sequence.Ref, dst []sequence.Match) []sequence.Match {
	h &= 1<<m.stages - 1
	if h == 0 || st.consumed(ref, m.lookback) {
		return dst
	}
	at := st.insert(h, ref, m.lookback > 0)
	if at == none {
		return dst
	}
	if m.lookback > 0 {
		dst = m.complete(st, at, dst)
	}
	st.prune(m.stages, m.keep, m.lookback > 0)
	return dst
}

// complete emits the first sample that the event at a place of the state has made possible.
func (m *Machine) complete(st *State, at int, dst []sequence.Match) []sequence.Match {
	last := plus(st.held[at].Time, m.lookback)
	from := 0
	for newest := at; newest < len(st.held) && st.held[newest].Time <= last; newest++ {
		for plus(st.held[from].Time, m.lookback) < st.held[newest].Time {
			from++
		}
		found := m.assign(st.held[from:newest+1], 1)
		if len(found) == 0 {
			continue
		}
		dst = append(dst, found[0])
		st.mark, st.marked = st.held[newest].Ref, true
		st.held = slices.Delete(st.held, 0, newest+1)
		return dst
	}
	return dst
}

// Tick tells the state that all events with times up to the watermark, in milliseconds, have been handled: what no later
// event can be in a sample with is forgotten. It never completes anything; dst is returned as it is.
func (m *Machine) Tick(st *State, watermark int64, dst []sequence.Match) []sequence.Match {
	if m.lookback == 0 {
		return dst
	}
	n := 0
	for n < len(st.held) && plus(st.held[n].Time, m.lookback) <= watermark {
		n++
	}
	st.held = slices.Delete(st.held, 0, n)
	if st.marked && plus(st.mark.Time, m.lookback) <= watermark {
		st.mark, st.marked = sequence.Ref{}, false
	}
	st.trim()
	return dst
}

// Finish ends the input and empties the state. A search appends its samples to dst, in their order.
func (m *Machine) Finish(st *State, dst []sequence.Match) []sequence.Match {
	if m.lookback == 0 {
		left := m.perKey
		for newest := m.stages - 1; newest < len(st.held) && left > 0; newest++ {
			found := m.assign(st.held[:newest+1], left)
			left -= len(found)
			dst = append(dst, found...)
		}
	}
	*st = State{}
	return dst
}

// Deadline returns the smallest watermark at which Tick would change something. It reports false if none would.
func (m *Machine) Deadline(st *State) (at int64, ok bool) {
	if m.lookback == 0 {
		return 0, false
	}
	at = math.MaxInt64
	if len(st.held) > 0 {
		at, ok = plus(st.held[0].Time, m.lookback), true
	}
	if st.marked {
		at, ok = min(at, plus(st.mark.Time, m.lookback)), true
	}
	return at, ok
}

// plus adds a span to a time and stops at the end of time.
func plus(t, span int64) int64 {
	if t > math.MaxInt64-span {
		return math.MaxInt64
	}
	return t + span
}
