// Package pacing sets how much the heap may grow between two garbage collections as an amount of memory, where GOGC knows
// only a share: a share that is right for what a few rules need lets a heap with a million partials grow by hundreds of
// megabytes. What was measured is in docs/performance.md.
package pacing

import (
	"context"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Pace is how the heap may grow between two collections.
type Pace struct {
	Headroom uint64 // bytes that it grows by while all of it stays below Total
	Total    uint64 // bytes that it is kept to as long as Floor allows; 0: no total
	Floor    uint64 // bytes that it grows by in any case
	Limit    uint64 // bytes of all memory of the runtime, as with GOMEMLIMIT, while less than nine tenths of them are live; 0: no limit
	Least    uint64 // the least share of what is live that it grows by, in percent: a large heap isn't marked all the time
}

const (
	liveMetric = "/gc/heap/live:bytes"
	most       = 10_000 // percent, for a heap with next to nothing in it
	interval   = 100 * time.Millisecond
)

// percent returns the GOGC for a heap with so many live bytes.
func (p Pace) percent(live uint64) int {
	room := p.Headroom
	if p.Total > 0 {
		room = min(room, max(p.Total, live)-live)
	}
	room = max(room, p.Floor, live/100*p.Least)
	return int(min(max(100*room/max(live, 1), 1), most))
}

// limit returns the memory limit for a heap with so many live bytes. Near to its limit a process would do nothing but collect.
func (p Pace) limit(live uint64) int64 {
	if p.Limit == 0 || live >= p.Limit/10*9 {
		return math.MaxInt64
	}
	return int64(p.Limit)
}

// Keep sets GOGC and the memory limit for the process as the heap changes, until ctx is done, and then puts back what was. Where the
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
	now, limit := p.percent(live()), p.limit(live())
	before, limitBefore := debug.SetGCPercent(now), debug.SetMemoryLimit(limit)
	defer func() {
		debug.SetGCPercent(before)
		debug.SetMemoryLimit(limitBefore)
	}()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			// Setting it stops the world for a moment: not for less than a tenth.
			if next := p.limit(live()); next != limit {
				debug.SetMemoryLimit(next)
				limit = next
			}
			if next := p.percent(live()); 10*max(next-now, now-next) > now {
				debug.SetGCPercent(next)
				now = next
			}
		}
	}
}
