package sequence

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// MaxRuns is the largest number of repetitions of one stage.
const MaxRuns = 100

// MaxExpanded is the number of stages that a sequence may have after its runs were expanded. A key whose every
// slot is filled holds about half the square of it in positions, so it is bounded.
const MaxExpanded = 1024

// Machine matches the events of one sequence. It is immutable: all workers share one, and everything that changes
// is in a State.
type Machine struct {
	positive []int  // the stage as written of each positive stage after expansion
	places   []int  // its place among all stages after expansion
	layout   []bool // per stage after expansion: is it missing
	gaps     []Hits // gaps[i]: the missing stages between positive i and i+1
	leading  Hits   // the missing stages before the first positive one
	trailing Hits   // the missing stages after the last positive one
	missing  Hits   // all of them
	maxSpan  int64  // 0: unbounded
	until    bool
}

// New checks the shape of a sequence and builds its machine. A stage's Runs of 0 counts as 1. A spec is refused if
// it has no positive stage, if it has a missing one but no maxspan, or if it exceeds MaxStages, MaxRuns or MaxExpanded.
func New(spec Spec) (*Machine, error) {
	switch {
	case len(spec.Stages) > MaxStages:
		return nil, fmt.Errorf("a sequence of %d stages: at most %d are supported", len(spec.Stages), MaxStages)
	case spec.MaxSpan < 0:
		return nil, fmt.Errorf("a maxspan of %d ms is negative", spec.MaxSpan)
	}
	m := &Machine{maxSpan: spec.MaxSpan, until: spec.Until}
	var between Hits // missing stages since the last positive one
	for i, stage := range spec.Stages {
		runs := max(stage.Runs, 1)
		if stage.Runs < 0 || runs > MaxRuns {
			return nil, fmt.Errorf("stage %d runs %d times: 1 to %d are supported", i+1, stage.Runs, MaxRuns)
		}
		if stage.Missing {
			m.layout = append(m.layout, slices.Repeat([]bool{true}, runs)...)
			between = between.With(i)
			m.missing = m.missing.With(i)
			continue
		}
		for range runs {
			if len(m.positive) == 0 {
				m.leading = between
			} else {
				m.gaps = append(m.gaps, between)
			}
			between = 0
			m.positive = append(m.positive, i)
			m.places = append(m.places, len(m.layout))
			m.layout = append(m.layout, false)
		}
	}
	m.trailing = between
	switch {
	case len(m.positive) == 0:
		return nil, errors.New("a sequence needs a stage that isn't missing")
	case m.missing != 0 && m.maxSpan == 0:
		return nil, errors.New("a sequence with a missing stage needs a maxspan")
	case len(m.layout) > MaxExpanded:
		return nil, fmt.Errorf("a sequence of %d stages after its runs are expanded: at most %d are supported", len(m.layout), MaxExpanded)
	}
	return m, nil
}

// Advance handles one event: h are the stages that it satisfies under the state's join key, all of them in one call.
// Completed sequences are appended to dst. Events come in the order of their ordinals. One that comes late advances
// only partials whose last event is before it, never displaces a newer partial, and changes nothing already decided;
// hits and untils after it that were handled before it came are known to the machine only as far as partials noted them.
// The strings of ref are kept: the caller copies them if they point into a buffer.
func (m *Machine) Advance(st *State, h Hits, ref Ref, dst []Match) []Match {
	if h&m.missing != 0 {
		m.noteHit(st, h, ref.Time)
	}
	n := len(m.positive)
	held := none // where ref is in the state's table, once a partial needs it
	again := st.holds(ref)
	// Last to first, so that an event never advances one partial twice.
	for k := len(st.live) - 1; k >= 0; k-- {
		p := &st.live[k]
		stage := len(p.at)
		if stage >= n || !h.Has(m.positive[stage]) || st.last(p).Compare(ref.Ordinal) >= 0 {
			continue
		}
		if again && st.contains(p, ref) {
			continue
		}
		if m.maxSpan > 0 && ref.Time > plus(st.first(p).Time, m.maxSpan) {
			st.drop(k)
			continue
		}
		p.doomed = p.doomed || p.hit < ref.Time
		p.hit = noHit
		if stage == n-1 {
			dst = m.complete(st, p, ref, dst)
			st.drop(k)
			continue
		}
		held = st.extend(p, ref, held)
		st.settle(k)
	}
	if h.Has(m.positive[0]) {
		dst = m.begin(st, ref, held, dst)
	}
	if m.until && h.Has(UntilStage) {
		for k := len(st.live) - 1; k >= 0; k-- {
			if st.last(&st.live[k]).Compare(ref.Ordinal) <= 0 {
				st.drop(k)
			}
		}
	}
	st.trim()
	return dst
}

// Begins reports whether an event with these hits can change a state that is empty: begin a sequence, or be remembered
// as one that none may follow.
func (m *Machine) Begins(h Hits) bool { return h.Has(m.positive[0]) || h&m.leading != 0 }

// Holds reports whether a state or a match may refer to an event with these hits. Of one that hits missing stages only, or
// the until stage, no more than its time is remembered.
func (m *Machine) Holds(h Hits) bool { return h&^(m.missing|Hits(0).With(UntilStage)) != 0 }

// begin starts a sequence with ref: it takes the place of one that only had begun.
func (m *Machine) begin(st *State, ref Ref, held int, dst []Match) []Match {
	p := partial{hit: noHit, lead: noLead}
	if m.leading != 0 {
		p.lead = st.leadBefore(ref.Time)
	}
	if len(m.positive) == 1 {
		return m.complete(st, &p, ref, dst)
	}
	if len(st.live) > 0 && len(st.live[0].at) == 1 {
		old := &st.live[0]
		if st.last(old).Compare(ref.Ordinal) > 0 {
			return dst
		}
		if old.hit > ref.Time {
			p.hit = old.hit
		}
		st.release(old)
		p.at = old.at[:0]
		st.extend(&p, ref, held)
		*old = p
		return dst
	}
	st.extend(&p, ref, held)
	st.live = slices.Insert(st.live, 0, p)
	return dst
}

// complete decides what p becomes now that ref has completed it: a match, a pending one, or nothing.
func (m *Machine) complete(st *State, p *partial, ref Ref, dst []Match) []Match {
	if p.doomed {
		return dst
	}
	if m.trailing == 0 {
		if p.lead != noLead && ref.Time <= plus(p.lead, m.maxSpan) {
			return dst
		}
		return m.emit(st, p, ref, dst)
	}
	from := ref.Time
	if len(p.at) > 0 {
		from = st.first(p).Time
	}
	if m.leading != 0 {
		// Both ends are needed to discard: without a leading hit none can follow.
		if p.lead == noLead {
			return m.emit(st, p, ref, dst)
		}
		from = p.lead
	}
	end := plus(from, m.maxSpan)
	if ref.Time >= end {
		return m.emit(st, p, ref, dst)
	}
	refs := make([]Ref, 0, len(p.at)+1)
	for _, i := range p.at {
		refs = append(refs, st.table[i].Ref)
	}
	x := st.extras()
	x.pending = append(x.pending, pending{refs: append(refs, ref), end: end})
	return dst
}

// noteHit records an event of time t that satisfies missing stages.
func (m *Machine) noteHit(st *State, h Hits, t int64) {
	for k := range st.live {
		p := &st.live[k]
		open := len(p.at) - 1
		if open < len(m.gaps) && h&m.gaps[open] != 0 && t > st.last(p).Time {
			p.hit = min(p.hit, t)
		}
		if h&m.leading != 0 && t < st.first(p).Time {
			p.lead = max(p.lead, t)
		}
		if t >= st.last(p).Time {
			continue
		}
		for i := range min(open, len(m.gaps)) { // a late hit in a gap that is closed already
			if h&m.gaps[i] != 0 && st.table[p.at[i]].Time < t && t < st.table[p.at[i+1]].Time {
				p.doomed = true
			}
		}
	}
	if h&m.leading != 0 {
		st.extras().remember(t)
	}
	if h&m.trailing != 0 && st.more != nil {
		st.more.pending = slices.DeleteFunc(st.more.pending, func(p pending) bool {
			return p.refs[len(p.refs)-1].Time < t && t <= p.end
		})
	}
}

// Tick tells the state that all events with times up to the watermark, in milliseconds, have been handled. Pending
// absences that are certain by then are appended to dst in the order of their completion; partials and remembered
// hits that can't matter any more are dropped. Without a maxspan it does nothing.
func (m *Machine) Tick(st *State, watermark int64, dst []Match) []Match {
	if m.maxSpan == 0 {
		return dst
	}
	for k := len(st.live) - 1; k >= 0; k-- {
		if plus(st.first(&st.live[k]).Time, m.maxSpan) <= watermark {
			st.drop(k)
		}
	}
	if x := st.more; x != nil {
		x.pending = slices.DeleteFunc(x.pending, func(p pending) bool {
			if p.end > watermark {
				return false
			}
			dst = m.confirm(p, false, dst)
			return true
		})
		if x.leads > 0 && plus(x.lead[0], m.maxSpan) <= watermark {
			x.leads = 0
		}
	}
	st.trim()
	return dst
}

// Finish decides what is pending at the end of the input and empties the state. The matches it appends to dst, in
// the order of their completion, have OpenEnd set: call Tick first for those that the watermark has confirmed.
func (m *Machine) Finish(st *State, dst []Match) []Match {
	if st.more != nil {
		for _, p := range st.more.pending {
			dst = m.confirm(p, true, dst)
		}
	}
	*st = State{}
	return dst
}

// Deadline returns the smallest watermark at which Tick would change something. It reports false if none would.
func (m *Machine) Deadline(st *State) (at int64, ok bool) {
	if m.maxSpan == 0 {
		return 0, false
	}
	at = math.MaxInt64
	for k := range st.live {
		at, ok = min(at, plus(st.first(&st.live[k]).Time, m.maxSpan)), true
	}
	if x := st.more; x != nil {
		for _, p := range x.pending {
			at, ok = min(at, p.end), true
		}
		if x.leads > 0 {
			at, ok = min(at, plus(x.lead[0], m.maxSpan)), true
		}
	}
	return at, ok
}

// emit appends the match of the events of p and of ref, which completes it.
func (m *Machine) emit(st *State, p *partial, ref Ref, dst []Match) []Match {
	events := m.blank()
	for k, i := range p.at {
		events[m.places[k]].Ref = st.table[i].Ref
	}
	events[m.places[len(p.at)]].Ref = ref
	return append(dst, Match{Events: events})
}

// confirm appends the match of what was pending.
func (m *Machine) confirm(p pending, open bool, dst []Match) []Match {
	if len(p.refs) != len(m.places) {
		return dst // decoded from the state of another rule
	}
	events := m.blank()
	for k, ref := range p.refs {
		events[m.places[k]].Ref = ref
	}
	return append(dst, Match{Events: events, OpenEnd: open})
}

// blank returns the events of a match before the refs are filled in.
func (m *Machine) blank() []MatchEvent {
	events := make([]MatchEvent, len(m.layout))
	for i, missing := range m.layout {
		events[i].Missing = missing
	}
	return events
}

// plus adds a span to a time and stops at the end of time.
func plus(t, span int64) int64 {
	if t > math.MaxInt64-span {
		return math.MaxInt64
	}
	return t + span
}
