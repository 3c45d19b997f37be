//go:build unix

package chaos

import (
	"testing"
	"time"
)

// TestExplained holds what may be on the topic twice, with delivery at least once, against what happened to the members.
func TestExplained(t *testing.T) {
	at := func(seconds float64) time.Time {
		return time.Unix(1_800_000_000, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	const shortly, stuck = 3 * time.Second, 1500 * time.Millisecond
	first, again := process{0, 1}, process{0, 2}
	other := process{1, 1}
	tests := map[string]struct {
		writers [2]process
		seen    [2]float64
		upset   upset
		want    bool
	}{
		"killed between":                  {[2]process{first, again}, [2]float64{10, 11}, upset{0, at(10), at(10.1), true}, true},
		"killed long before":              {[2]process{first, again}, [2]float64{10, 11}, upset{0, at(1), at(1.1), true}, false},
		"killed afterwards":               {[2]process{first, again}, [2]float64{10, 11}, upset{0, at(14), at(14.1), true}, false},
		"a process killed wrote no more":  {[2]process{first, first}, [2]float64{10, 11}, upset{0, at(10), at(10.1), true}, false},
		"stopped, and written by others":  {[2]process{other, first}, [2]float64{10, 14}, upset{0, at(8), at(13), false}, true},
		"still stopped":                   {[2]process{first, other}, [2]float64{10, 14}, upset{0, at(10), time.Time{}, false}, true},
		"another was stopped":             {[2]process{first, first}, [2]float64{10, 10.2}, upset{1, at(8), at(13), false}, false},
		"another held the group up":       {[2]process{first, first}, [2]float64{10, 12}, upset{1, at(8), at(13), false}, true},
		"everybody was cut off":           {[2]process{first, first}, [2]float64{10, 10.2}, upset{everybody, at(9), at(13), false}, true},
		"nothing happened to the writers": {[2]process{first, other}, [2]float64{10, 10.5}, upset{2, at(9), at(13), true}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			u := upsets{all: []*upset{&tt.upset}}
			one := published{at: at(tt.seen[0]), writer: tt.writers[0]}
			two := published{at: at(tt.seen[1]), writer: tt.writers[1]}
			if got := u.explain(&one, &two, shortly, stuck); got != tt.want {
				t.Errorf("explained: %v, want %v", got, tt.want)
			}
		})
	}
}

// TestRepeated shows that delivery at least once has an excuse for a fault only, and none for another id.
func TestRepeated(t *testing.T) {
	now := time.Now()
	copies := []published{{line: "a e1", id: "x", at: now, from: "0/1"}, {line: "a e1", id: "x", at: now.Add(time.Second), from: "0/2"}}
	want := []wanted{{"a e1", now}}
	r := testRun()
	r.settings.atLeastOnce = true
	if got := r.compare(want, copies); len(got.Doubled) != 1 || got.Verdict != Failed {
		t.Errorf("without a fault: %d doubled, %s", len(got.Doubled), got.Verdict)
	}
	r.upsets.died(0, now)
	copies[1].writer.start = 1
	if got := r.compare(want, copies); len(got.Doubled) != 0 || got.Repeated != 1 || got.Verdict != Passed {
		t.Errorf("after a kill: %d doubled, %d repeated, %s", len(got.Doubled), got.Repeated, got.Verdict)
	}
	copies[1].id = "y"
	if got := r.compare(want, copies); len(got.Doubled) != 1 {
		t.Errorf("under another id: %d doubled", len(got.Doubled))
	}
	copies[1].id, r.settings.atLeastOnce = "x", false
	if got := r.compare(want, copies); len(got.Doubled) != 1 || got.Verdict != Failed {
		t.Errorf("exactly once: %d doubled, %s", len(got.Doubled), got.Verdict)
	}
	if got := r.compare(want, nil); len(got.Lost) != 1 {
		t.Errorf("at least once is once: %d lost", len(got.Lost))
	}
}
