package kafka

import (
	"testing"
	"time"
)

// TestAsking: a broker that doesn't answer takes a bounded part of the time, one that is slow gets an answer in the end, and one that is back is
// noticed soon.
func TestAsking(t *testing.T) {
	start := time.UnixMilli(1_790_000_000_000)
	for name, tt := range map[string]struct {
		takes func(since time.Duration) time.Duration // that an answer takes
		lost  time.Duration                           // at most, of a minute in which it is always asked
		first time.Duration                           // until the first answer, at most; 0: none comes
	}{
		"fast": {func(time.Duration) time.Duration { return time.Millisecond }, time.Minute, time.Millisecond},
		"slow": {func(time.Duration) time.Duration { return 1200 * time.Millisecond }, time.Minute, 15 * time.Second},
		"down": {func(time.Duration) time.Duration { return time.Hour }, 14 * time.Second, 0},
		"down for a while": {func(since time.Duration) time.Duration {
			if since < 20*time.Second {
				return time.Hour
			}
			return time.Millisecond
		}, 14 * time.Second, 31 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var a asking
			now, waited, first := start, time.Duration(0), time.Duration(0)
			for gap := start; now.Before(start.Add(time.Minute)); now = now.Add(10 * time.Millisecond) {
				if !a.due(now) {
					continue
				}
				if now.Sub(gap) > a.longestGap() {
					t.Fatalf("%v between two questions, more than %v", now.Sub(gap), a.longestGap())
				}
				gap = now
				took, limit := tt.takes(now.Sub(start)), a.limit()
				ok := took <= limit
				took = min(took, limit)
				now = now.Add(took)
				if !ok {
					waited += took
				} else if first == 0 {
					first = now.Sub(start)
				}
				a.answered(now, took, ok)
			}
			if waited > tt.lost || first > tt.first || (first == 0) != (tt.first == 0) {
				t.Errorf("%v of a minute waited for nothing, the first answer after %v", waited, first)
			}
		})
	}
}
