package rules

import "time"

// Exclude makes the matcher leave rules out, given by number, until the next call: their candidates are counted in
// Stats.Excluded and not evaluated. Nil leaves none out. The matcher reads the slice. It returns what it left out before.
func (m *Matcher) Exclude(rules []bool) (before []bool) {
	before, m.excluded = m.excluded, rules
	return before
}

// Measure adds the time that each rule's evaluations take to times, by rule number, until the next call. now reads a clock that
// only goes forward; a nil times measures nothing. The clock is read twice for each evaluation: measure samples of the events.
func (m *Matcher) Measure(times []time.Duration, now func() time.Duration) {
	m.times, m.now = times, now
}

// holds evaluates a unit for the event at hand.
func (m *Matcher) holds(unit *unit) bool {
	if m.times == nil {
		return unit.stage.Match(m.event, m.memo)
	}
	began := m.now()
	holds := unit.stage.Match(m.event, m.memo)
	m.times[unit.rule] += m.now() - began
	return holds
}

// restHolds is holds for what is left of a unit.
func (m *Matcher) restHolds(r *rest) bool {
	if m.times == nil {
		return r.cond.Match(m.event, m.memo)
	}
	began := m.now()
	holds := r.cond.Match(m.event, m.memo)
	m.times[r.rule] += m.now() - began
	return holds
}
