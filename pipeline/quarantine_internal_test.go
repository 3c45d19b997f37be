package pipeline

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/rules"
)

// TestQuarantineByCPU: what counts is the share of the processing time over a window in which the process was busy.
func TestQuarantineByCPU(t *testing.T) {
	const busy = 10 * time.Second
	tests := []struct {
		name    string
		budget  float64
		windows []time.Duration // what rule a takes in each, of busy
		length  time.Duration
		want    int // rules in quarantine
	}{
		{"no budget", 0, []time.Duration{busy}, time.Minute, 0},
		{"within it", 0.5, []time.Duration{busy / 2, busy / 2}, time.Minute, 0},
		{"above it", 0.5, []time.Duration{busy / 4, busy/2 + time.Second}, time.Minute, 1},
		{"above it for less than a window", 0.5, []time.Duration{busy}, time.Minute - 1, 0},
		{"above it while there is little to do", 0.5, []time.Duration{busy}, 101 * time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := tableSet(t, "a", "b")
			now := time.Unix(1_790_000_000, 0)
			q := NewQuarantine(QuarantineOptions{
				CPU: tt.budget, Window: time.Minute, Hold: time.Hour, Now: func() time.Time { return now },
			}, prometheus.NewRegistry())
			for _, took := range tt.windows {
				times := make([]time.Duration, 2)
				for _, c := range set.Rules() {
					times[c.Number] = time.Second
					if c.Rule.ID == "a" {
						times[c.Number] = took / 2
					}
				}
				q.observe(set, busy/2, times)
				now = now.Add(tt.length)
				q.observe(set, busy/2, times)
			}
			if got := q.Notes(); len(got) != tt.want {
				t.Errorf("notes %q, want %d", got, tt.want)
			}
			if rests := q.restingOn(set, 7); tt.want > 0 && (!rests[number(set, "a")] || rests[number(set, "b")]) {
				t.Errorf("resting %v", rests)
			}
			now = now.Add(time.Hour)
			if got := q.Notes(); len(got) > 0 {
				t.Errorf("notes %q after an hour", got)
			}
		})
	}
}

// TestNoQuarantine: replays have none.
func TestNoQuarantine(t *testing.T) {
	var q *Quarantine
	set := tableSet(t, "a")
	q.Keep(set)
	q.observe(set, time.Hour, []time.Duration{time.Hour})
	if q.tooMany(set.Rules()[0], 0, 1<<30) || q.version() != 0 || len(q.Notes()) > 0 {
		t.Error("a rule is in a quarantine that isn't there")
	}
}

func number(set *rules.Set, id string) int {
	for _, c := range set.Rules() {
		if c.Rule.ID == id {
			return c.Number
		}
	}
	return -1
}
