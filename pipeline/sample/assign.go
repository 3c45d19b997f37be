package sample

import (
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// assign returns up to limit samples of the deliveries held of which the last one is the newest event, in the machine's
// order of preference.
func (m *Machine) assign(held []entry, limit int) []sequence.Match {
	if len(held) < m.stages {
		return nil
	}
	hit := sequence.Hits(0)
	for i := range held {
		hit |= held[i].hits
	}
	if hit&(1<<m.stages-1) != 1<<m.stages-1 {
		return nil
	}
	a := newAssigner(m, held, limit)
	if a.feasible(0) {
		a.extend(0)
	}
	return a.found
}

// assigner lists assignments of distinct events to stages. It goes through the stages, and through each one's events in
// the order of preference, and follows only choices that the rest can be assigned to: a bipartite matching tells.
type assigner struct {
	held   []entry
	events [][]int // by stage: the deliveries that may fill it, as places in held, the preferred first
	limit  int
	found  []sequence.Match

	chosen []int           // by stage: the delivery, as a place in held; as far as the recursion has come
	used   map[uint32]bool // the events chosen

	owner map[uint32]int // in a matching: the stage that an event is matched with
	seen  map[uint32]bool
}

func newAssigner(m *Machine, held []entry, limit int) *assigner {
	a := &assigner{held: held, limit: limit, events: make([][]int, m.stages), used: map[uint32]bool{}}
	for i := range held {
		place := i
		if m.lookback > 0 { // the most recent first
			place = len(held) - 1 - i
		}
		for s := range m.stages {
			if held[place].hits.Has(s) {
				a.events[s] = append(a.events[s], place)
			}
		}
	}
	return a
}

// extend chooses for the stages from s on.
func (a *assigner) extend(s int) {
	if s == len(a.events) {
		match := sequence.Match{Events: make([]sequence.MatchEvent, s)}
		for i, place := range a.chosen {
			match.Events[i].Ref = a.held[place].Ref
		}
		a.found = append(a.found, match)
		return
	}
	for _, place := range a.events[s] {
		event := a.held[place].same
		if a.used[event] {
			continue
		}
		a.chosen = append(a.chosen, place)
		a.used[event] = true
		if a.feasible(s + 1) {
			a.extend(s + 1)
		}
		a.chosen = a.chosen[:s]
		delete(a.used, event)
		if len(a.found) == a.limit {
			return
		}
	}
}

// feasible reports whether the stages from s on can be filled beside what is chosen, the newest delivery among all.
func (a *assigner) feasible(s int) bool {
	newest := len(a.held) - 1
	if slices.Contains(a.chosen, newest) {
		return a.matched(s, none)
	}
	if a.used[a.held[newest].same] {
		return false
	}
	for pinned := s; pinned < len(a.events); pinned++ {
		if a.held[newest].hits.Has(pinned) && a.matched(s, pinned) {
			return true
		}
	}
	return false
}

// matched reports whether the stages from s on can be filled with distinct events that aren't chosen; pinned is the stage
// that takes the newest delivery, or none.
func (a *assigner) matched(s, pinned int) bool {
	a.owner = map[uint32]int{}
	if pinned != none {
		a.owner[a.held[len(a.held)-1].same] = none
	}
	for stage := s; stage < len(a.events); stage++ {
		if stage == pinned {
			continue
		}
		a.seen = map[uint32]bool{}
		if !a.augment(stage) {
			return false
		}
	}
	return true
}

// augment matches a stage with an event, moving other stages to other events where that is needed.
func (a *assigner) augment(stage int) bool {
	for _, place := range a.events[stage] {
		event := a.held[place].same
		if a.used[event] || a.seen[event] {
			continue
		}
		a.seen[event] = true
		owner, taken := a.owner[event]
		if !taken || owner != none && a.augment(owner) {
			a.owner[event] = stage
			return true
		}
	}
	return false
}
