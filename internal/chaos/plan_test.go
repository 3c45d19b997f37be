//go:build unix

package chaos

import (
	"testing"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// TestDensePlans shows that the plans reach what planted errors need: in two of three runs members are killed in commits that
// hold alerts, at each point, and each lane keeps to its own member.
func TestDensePlans(t *testing.T) {
	const seeds = 60
	dense, standby := 0, 0
	kinds := map[string]int{}
	points := map[kafka.Point]int{}
	for seed := range uint64(seeds) {
		s := newSettings(seed)
		standby += s.standby
		if !s.dense {
			continue
		}
		dense++
		plan := newPlan(s, true)
		if len(plan) != s.members+1 {
			t.Fatalf("seed %d: %d lanes for %d members", seed, len(plan), s.members)
		}
		for n, row := range plan[:s.members] {
			for _, f := range row.faults {
				if f.member != n {
					t.Fatalf("seed %d: lane %d has %v", seed, n, f)
				}
				kinds[f.kind]++
				if f.kind == killAt && f.alert {
					points[f.point]++
				}
				if f.kind == cutAt && f.point == kafka.PointRestored {
					t.Fatalf("seed %d: %v is no point of a commit", seed, f)
				}
			}
		}
	}
	// What aborts a commit of a member that keeps its state.
	for _, kind := range []string{cutAt, stopJoin, stopAt} {
		if kinds[kind] < 2*dense {
			t.Errorf("%d of %s in %d runs", kinds[kind], kind, dense)
		}
	}
	if dense < seeds/2 || dense == seeds || standby < seeds/4 || standby > seeds*3/4 {
		t.Errorf("of %d runs %d are dense and %d have standbys", seeds, dense, standby)
	}
	for _, p := range []kafka.Point{kafka.PointBegun, kafka.PointProduced, kafka.PointFlushed, kafka.PointEnded, kafka.PointStored} {
		if points[p] < dense {
			t.Errorf("%d kills at %s with an alert in %d runs", points[p], p, dense)
		}
	}
	if points[kafka.PointRestored] > 0 {
		t.Error("a restore has no alerts")
	}
}
