// Package pacing sets how much the heap may grow between two garbage collections as an amount of memory, where GOGC knows
// only a share: a share that is right for what a few rules need lets a heap with a million partials grow by hundreds of
// megabytes. What was measured is in docs/performance.md.
package pacing

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Pace is how the heap may grow between two collections.
type Pace struct {
	Headroom uint64 // bytes, whatever is live
	Least    int    // at least this share of what is live, in percent: a large heap isn't marked all the time
	Most     int    // at most this one
}

const (
	liveMetric = "/gc/heap/live:bytes"
	interval   = 100 * time.Millisecond
)

// percent returns the GOGC for a heap with so many live bytes.
func (p Pace) percent(live uint64) int {
	return int(min(max(100*p.Headroom/max(live, 1), uint64(p.Least)), uint64(p.Most)))
}

// Keep sets GOGC for the process as the heap changes, until ctx is done, and then puts back what was. Where the
// environment says GOGC or GOMEMLIMIT it does nothing. It returns when it has ended.
func Keep(ctx context.Context, p Pace) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	sample := []metrics.Sample{{Name: liveMetric}}
	live := func() uint64 {
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	now := p.percent(live())
	before := debug.SetGCPercent(now)
	defer debug.SetGCPercent(before)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// Setting it stops the world for a moment: not for less than a tenth.
			if next := p.percent(live()); 10*max(next-now, now-next) > now {
				debug.SetGCPercent(next)
				now = next
			}
		}
	}
}
