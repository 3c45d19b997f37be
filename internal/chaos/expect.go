//go:build unix

package chaos

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weir-eql/weir/internal/oracle"
)

// wanted is an alert that has to be published.
type wanted struct {
	line string    // rule id and the ids of its events
	due  time.Time // when all that decides it is on the topic and its lateness has passed
}

// expect finds the alerts that follow from what was sent, by search over all events. It knows the events as they are on the
// topic: their times and positions, but nothing of members, commits or faults.
func expect(rules []detection, events []*Event, lateness time.Duration) []wanted {
	byTime, byCreated := inOrder(events, (*Event).time), inOrder(events, (*Event).created)
	var out []wanted
	for _, d := range rules {
		if d.created {
			out = append(out, d.expect(byCreated, lateness)...)
			continue
		}
		out = append(out, d.expect(byTime, lateness)...)
	}
	return out
}

// inOrder returns the events, one of each id, in the order that rules see: time, as of says it, in milliseconds, event.sequence with none
// last, the rest of the time, topic, position.
func inOrder(events []*Event, of func(*Event) time.Time) []*Event {
	out := slices.Clone(events)
	slices.SortStableFunc(out, func(a, b *Event) int {
		return cmp.Or(
			cmp.Compare(of(a).UnixMilli(), of(b).UnixMilli()),
			cmp.Compare(uint(a.sequence-1), uint(b.sequence-1)), // none is the largest
			cmp.Compare(of(a).UnixMicro(), of(b).UnixMicro()),
			cmp.Compare(a.topic, b.topic),
			cmp.Compare(a.partition, b.partition),
			cmp.Compare(a.offset, b.offset),
		)
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(out, func(e *Event) bool {
		if e.stamp.IsZero() || seen[e.id] {
			return true
		}
		seen[e.id] = true
		return false
	})
}

// expect finds the alerts of one rule among events in order.
func (d *detection) expect(events []*Event, lateness time.Duration) []wanted {
	var out []wanted
	if len(d.stages) == 1 {
		for _, e := range events {
			if d.stages[0].hits(e) {
				out = append(out, wanted{line: d.id + " " + e.id, due: e.acked})
			}
		}
		return out
	}
	for _, group := range d.groups(events) {
		if d.sample {
			out = append(out, d.gathered(group, lateness)...)
			continue
		}
		search := d.search(group)
		for _, chain := range search.Chains() {
			out = append(out, d.found(group, search.Events(chain), lateness))
		}
	}
	return out
}

// groups are the events of each join key that some stage or until wants, in order.
func (d *detection) groups(events []*Event) map[string][]*Event {
	groups := map[string][]*Event{}
	for _, e := range events {
		keys := map[string]bool{}
		for i := range d.stages {
			if s := &d.stages[i]; s.hits(e) {
				keys[s.key(d, e)] = true
			}
		}
		if d.until != nil && d.until(e) {
			keys[d.by(e)] = true
		}
		for key := range keys {
			if key != "" {
				groups[key] = append(groups[key], e)
			}
		}
	}
	return groups
}

func (s *bracket) key(d *detection, e *Event) string {
	if s.by != nil {
		return s.by(e)
	}
	return d.by(e)
}

// search is the search for sequences among the events of one join key. An event that hits two stages under different
// keys doesn't occur here.
func (d *detection) search(group []*Event) *oracle.Search {
	s := &oracle.Search{Maxspan: d.maxspan.Milliseconds()}
	for at, e := range group {
		when := e.time()
		if d.created {
			when = e.created()
		}
		s.Times = append(s.Times, when.UnixMilli())
		if d.until != nil && d.until(e) {
			s.Untils = append(s.Untils, at)
		}
	}
	for i := range d.stages {
		stage := oracle.Stage{Runs: max(1, d.stages[i].runs), Missing: d.stages[i].missing}
		for at, e := range group {
			if d.stages[i].hits(e) {
				stage.Places = append(stage.Places, at)
			}
		}
		s.Stages = append(s.Stages, stage)
	}
	return s
}

// found writes down a match; -1 among its events is a missing stage.
func (d *detection) found(group []*Event, places []int, lateness time.Duration) wanted {
	line := []string{d.id}
	var due time.Time
	for _, at := range places {
		if at < 0 {
			line = append(line, "-")
			continue
		}
		e := group[at]
		line = append(line, e.id)
		// The watermark passes an event when its host has been heard of for the lateness, on its own clock.
		if t := latest(e.acked, e.stamp.Add(lateness)); t.After(due) {
			due = t
		}
	}
	if places[len(places)-1] < 0 {
		due = latest(due, group[places[0]].stamp.Add(lateness+d.maxspan))
	}
	return wanted{line: strings.Join(line, " "), due: due}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// gathered finds the one sample that the events of a join key make: those of this script have as many events as stages, and
// one way to give each stage one of them that it wants.
func (d *detection) gathered(group []*Event, lateness time.Duration) []wanted {
	if len(group) != len(d.stages) {
		return nil
	}
	places := make([]int, len(d.stages))
	var assign func(stage int, used uint) bool
	assign = func(stage int, used uint) bool {
		if stage == len(d.stages) {
			return true
		}
		for at, e := range group {
			if used&(1<<at) == 0 && d.stages[stage].hits(e) {
				places[stage] = at
				if assign(stage+1, used|1<<at) {
					return true
				}
			}
		}
		return false
	}
	if !assign(0, 0) {
		return nil
	}
	return []wanted{d.found(group, places, lateness)}
}
