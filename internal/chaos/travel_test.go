//go:build unix

package chaos

import (
	"slices"
	"testing"
	"time"
)

// TestTravels shows that the rules of several hosts are matched by way of the re-key topic, that their events come from hosts
// whose clocks allow it, and that in each kind of run stories do change the host.
func TestTravels(t *testing.T) {
	rules := travelDetections()
	shared := map[string]bool{}
	for _, c := range ruleSet(t, joinsAcross).Rules() {
		shared[c.Rule.ID] = !c.HostLocal
	}
	for _, d := range rules {
		if !shared[d.id] {
			t.Errorf("the events of rule %s need not leave their partition", d.id)
		}
	}
	wants := func(e *Event) bool {
		return slices.ContainsFunc(rules, func(d detection) bool {
			return d.until != nil && d.until(e) || slices.ContainsFunc(d.stages, func(b bracket) bool { return b.hits(e) })
		})
	}
	runs := map[joins]int{}
	for seed := range uint64(60) {
		s := newSettings(seed)
		runs[s.joins]++
		hosts := map[string]map[string]bool{}
		for _, e := range s.script(5 * time.Second).events {
			if !wants(e) {
				continue
			}
			if e.skew > drift || e.skew < -drift {
				t.Errorf("seed %d: %s is of a host whose clock is %v off", seed, e.id, e.skew)
			}
			if hosts[e.user] == nil {
				hosts[e.user] = map[string]bool{}
			}
			hosts[e.user][e.host] = true
		}
		several := 0
		for _, on := range hosts {
			if len(on) > 1 {
				several++
			}
		}
		if s.joins == joinsHosts && len(hosts) > 0 || s.joins != joinsHosts && several < 5 {
			t.Errorf("seed %d, %s: %d stories, %d of them of several hosts", seed, s.joins, len(hosts), several)
		}
	}
	if runs[joinsAcross] < 15 || runs[joinsAnyKey] < 5 || runs[joinsHosts] < 20 {
		t.Errorf("of 60 runs: %v", runs)
	}
}
