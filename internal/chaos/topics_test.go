//go:build unix

package chaos

import (
	"testing"
	"time"
)

// TestSpread shows that half of the runs have two topics, that both have their part, that stages of most sequences are on different
// ones, and copies too where chance decides.
func TestSpread(t *testing.T) {
	runs := map[spread]int{}
	lags := 0
	for seed := range uint64(60) {
		s := newSettings(seed)
		runs[s.spread]++
		for _, row := range newPlan(s, true) {
			for _, f := range row.faults {
				if f.kind != lagTopic {
					continue
				}
				if lags++; s.spread == spreadNone || f.length > 10*time.Second {
					t.Errorf("seed %d, %s: %v", seed, s.spread, f)
				}
			}
		}
		events, chains, apart, copies := map[int]int{}, map[string]map[int]bool{}, 0, 0
		for _, e := range s.script(10 * time.Second).events {
			events[e.topic]++
			if e.copyOf != nil && e.copyOf.topic != e.topic {
				copies++
			}
			if chains[e.entity] == nil {
				chains[e.entity] = map[int]bool{}
			}
			chains[e.entity][e.topic] = true
		}
		for _, on := range chains {
			if len(on) > 1 {
				apart++
			}
		}
		switch two := s.spread != spreadNone; {
		case two != (len(events) == 2) || len(s.topics("t")) != len(events):
			t.Errorf("seed %d, %s: events by topic %v", seed, s.spread, events)
		case two && (events[0] < 50 || events[1] < 50 || apart < 30):
			t.Errorf("seed %d, %s: events by topic %v, %d stories on both", seed, s.spread, events, apart)
		case s.spread == spreadAny && s.dedupe && copies < 5:
			t.Errorf("seed %d: %d copies on the other topic", seed, copies)
		}
	}
	if runs[spreadNone] < 20 || runs[spreadCategory] < 10 || runs[spreadAny] < 10 || lags < 60 {
		t.Errorf("of 60 runs: %v, a topic is held up %d times", runs, lags)
	}
}
