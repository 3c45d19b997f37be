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
	held       []entry
	event      []int   // by place in held: the event that it is a delivery of, counted from 0
	candidates [][]int // by stage: the deliveries that may fill it, as places in held, the preferred first
	limit      int
	found      []sequence.Match

	chosen []int  // by stage: the delivery, as a place in held; as far as the recursion has come
	used   []bool // by event: it is chosen

	owner []int    // by event, in a matching: the stage that it is matched with, none, or pinned
	seen  []uint32 // by event: the round that looked at it last
	round uint32
}

// pinned owns the newest delivery's event where it must stay with its stage.
const pinned = -2

func newAssigner(m *Machine, held []entry, limit int) *assigner {
	a := &assigner{held: held, limit: limit, event: make([]int, len(held)), candidates: make([][]int, m.stages)}
	number := make(map[uint32]int, len(held))
	for i := range held {
		n, ok := number[held[i].same]
		if !ok {
			n = len(number)
			number[held[i].same] = n
		}
		a.event[i] = n
	}
	for i := range held {
		place := i
		if m.lookback > 0 { // the most recent first
			place = len(held) - 1 - i
		}
		for s := range m.stages {
			if held[place].hits.Has(s) {
				a.candidates[s] = append(a.candidates[s], place)
			}
		}
	}
	a.used, a.owner, a.seen = make([]bool, len(number)), make([]int, len(number)), make([]uint32, len(number))
	return a
}

// extend chooses for the stages from s on.
func (a *assigner) extend(s int) {
	if s == len(a.candidates) {
		match := sequence.Match{Events: make([]sequence.MatchEvent, s)}
		for i, place := range a.chosen {
			match.Events[i].Ref = a.held[place].Ref
		}
		a.found = append(a.found, match)
		return
	}
	for _, place := range a.candidates[s] {
		event := a.event[place]
		if a.used[event] {
			continue
		}
		a.chosen = append(a.chosen, place)
		a.used[event] = true
		if a.feasible(s + 1) {
			a.extend(s + 1)
		}
		a.chosen = a.chosen[:s]
		a.used[event] = false
		if len(a.found) == a.limit {
			return
		}
	}
}

// feasible reports whether the stages from s on can be filled beside what is chosen, the newest delivery among all.
func (a *assigner) feasible(s int) bool {
	if !a.matched(s, none) {
		return false
	}
	newest := len(a.held) - 1
	if slices.Contains(a.chosen, newest) {
		return true
	}
	if a.used[a.event[newest]] {
		return false
	}
	for stage := s; stage < len(a.candidates); stage++ {
		if a.held[newest].hits.Has(stage) && a.matched(s, stage) {
			return true
		}
	}
	return false
}

// matched reports whether the stages from s on can be filled with distinct events that aren't chosen; pin is the stage
// that takes the newest delivery, or none.
func (a *assigner) matched(s, pin int) bool {
	for event := range a.owner {
		a.owner[event] = none
	}
	if pin != none {
		a.owner[a.event[len(a.held)-1]] = pinned
	}
	for stage := s; stage < len(a.candidates); stage++ {
		if stage == pin {
			continue
		}
		a.round++
		if !a.augment(stage) {
			return false
		}
	}
	return true
}

// augment matches a stage with an event, moving other stages to other events where that is needed.
func (a *assigner) augment(stage int) bool {
	for _, place := range a.candidates[stage] {
		event := a.event[place]
		if a.used[event] || a.seen[event] == a.round {
			continue
		}
		a.seen[event] = a.round
		if owner := a.owner[event]; owner == none || owner != pinned && a.augment(owner) {
			a.owner[event] = stage
			return true
		}
	}
	return false
}
