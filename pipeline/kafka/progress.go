package kafka

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// RestoreProgress is how far the restore of a partition's state is. Records are counted as offsets of the changelog, of which
// some are markers of transactions.
type RestoreProgress struct {
	Partition int32 `json:"partition"`
	Restored  int64 `json:"restored_records"`
	Total     int64 `json:"total_records"`
	// Rate is the records restored in a second so far, 0 where nothing was yet.
	Rate float64 `json:"records_per_second"`
	// Seconds is how long the rest takes at this rate, -1 where that isn't known.
	Seconds float64 `json:"estimated_seconds"`
	// Waits is why the partition can't be taken over yet, empty where it can.
	Waits string `json:"waits_for,omitempty"`
}

// progressPause is the time between two lines of the log on the progress of a restore.
const progressPause = 5 * time.Second

// progress is how far the restores at hand are. It is safe for concurrent use.
type progress struct {
	mu     sync.Mutex // guards the rest
	by     map[int32]*restoreOf
	logged time.Time
}

type restoreOf struct {
	began     time.Time
	total     int64
	remaining int64
	waits     string
}

func newProgress() *progress { return &progress{by: map[int32]*restoreOf{}} }

// note takes in that a partition's restore has so many records left at now, all of them where it begins. It reports
// whether the log is due for a line.
func (p *progress) note(n int32, remaining int64, now time.Time) (due bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.by[n]
	if r == nil || r.waits != "" {
		if len(p.by) == 0 {
			p.logged = now
		}
		r = &restoreOf{began: now, total: remaining}
		p.by[n] = r
	}
	r.remaining = remaining
	if now.Sub(p.logged) < progressPause {
		return false
	}
	p.logged = now
	return true
}

// wait takes in why a partition can't be taken over yet.
func (p *progress) wait(n int32, why string, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.by[n]
	if r == nil {
		if len(p.by) == 0 {
			p.logged = now
		}
		r = &restoreOf{began: now}
		p.by[n] = r
	}
	r.waits = why
}

// end forgets a partition: its worker is there, or it was given up.
func (p *progress) end(n int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.by, n)
}

// clear forgets all partitions.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.by)
}

// at returns how far all restores are, by partition.
func (p *progress) at(now time.Time) []RestoreProgress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]RestoreProgress, 0, len(p.by))
	for n, r := range p.by {
		of := RestoreProgress{Partition: n, Restored: r.total - r.remaining, Total: r.total, Seconds: -1, Waits: r.waits}
		if took := now.Sub(r.began).Seconds(); took > 0 {
			of.Rate = float64(of.Restored) / took
		}
		switch {
		case r.waits != "":
		case r.remaining == 0:
			of.Seconds = 0
		case of.Rate > 0:
			of.Seconds = float64(r.remaining) / of.Rate
		}
		out = append(out, of)
	}
	slices.SortFunc(out, func(a, b RestoreProgress) int { return cmp.Compare(a.Partition, b.Partition) })
	return out
}

// String is the progress in words.
func (r RestoreProgress) String() string {
	text := fmt.Sprintf("partition %d: %d of %d changelog records restored", r.Partition, r.Restored, r.Total)
	switch {
	case r.Waits != "":
		return fmt.Sprintf("partition %d waits: %s", r.Partition, r.Waits)
	case r.Restored == r.Total:
		return text + ", its state is being read"
	case r.Seconds < 0:
		return text
	default:
		return fmt.Sprintf("%s, %.0f/s, about %s left", text, r.Rate, (time.Duration(r.Seconds*1e3) * time.Millisecond).Round(time.Second))
	}
}

// noteRestore tells metrics, the HTTP API and now and then the log how many records a partition's restore has left.
func (s *Service) noteRestore(n int32, remaining int64) {
	s.deps.Metrics.restoreRemaining(n, remaining)
	now := s.deps.Now()
	if !s.restores.note(n, remaining, now) {
		return
	}
	var restored, total int64
	var rate float64
	all := s.restores.at(now)
	for _, r := range all {
		restored, total, rate = restored+r.Restored, total+r.Total, rate+r.Rate
	}
	s.log.Info("restoring state", slog.Int("partitions", len(all)), slog.Int64("restored_records", restored),
		slog.Int64("total_records", total), slog.Float64("records_per_second", rate))
}

// Restores returns how far the restores at hand are, by partition; none where all partitions that were assigned have their state.
func (s *Service) Restores() []RestoreProgress { return s.restores.at(s.deps.Now()) }
