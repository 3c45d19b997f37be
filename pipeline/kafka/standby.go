package kafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// standbyLook is how often the lag of copies is looked at.
	standbyLook = 5 * time.Second
	// standbyStamp is how often a copy that is up to the end is stamped as such, though nothing was written. A checkpoint that is older than half of
	// delete.retention.ms is not trusted.
	standbyStamp = time.Hour
	// standbyPause is how long to wait after the changelog could not be read.
	standbyPause = time.Second
)

// standby keeps copies of the state of partitions that other members work on: it reads their changelog, committed, into the local store
// as it grows. When this member has to take one over, only the tail is left to read. It has one goroutine, which owns the partitions.
type standby struct {
	service *Service
	parts   map[int32]*restoring
	stamped map[int32]time.Time
	drop    map[int32]time.Time // copies that nobody asks for, and when they are to be deleted
	cancel  context.CancelFunc
	done    chan struct{}
}

// startStandby begins to keep copies of partitions, and deletes those of others.
func (s *Service) startStandby(ctx context.Context, partitions []int32, drop map[int32]time.Time) {
	s.deps.Metrics.standbys(len(partitions))
	if len(partitions)+len(drop) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	k := &standby{service: s, drop: drop, parts: map[int32]*restoring{}, stamped: map[int32]time.Time{}, cancel: cancel, done: make(chan struct{})}
	s.standby = k
	if len(partitions) > 0 {
		s.log.Info("standing by for partitions", slog.Any("partitions", partitions))
	}
	go func() {
		defer close(k.done)
		k.run(ctx, partitions)
	}()
}

// stopStandby ends the keeping of copies. When it returns nobody uses them, and they are up to what was read.
func (s *Service) stopStandby() {
	if s.standby == nil {
		return
	}
	s.standby.cancel()
	<-s.standby.done
	for n := range s.standby.parts {
		s.deps.Metrics.forgetStandby(n)
	}
	s.standby = nil
}

// standbyShare returns the partitions of which this member shall keep copies, and those of which it has copies for nothing, with when they are
// to be deleted. That is not at once: a partition that is on its way from one member to another is asked for by nobody.
func (s *Service) standbyShare() (keep []int32, drop map[int32]time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.membership
	for _, n := range m.standby {
		if !m.assigned[n] {
			keep = append(keep, n)
		}
	}
	if s.cfg.Standbys == 0 || m.eager {
		clear(s.unasked)
		return keep, nil
	}
	drop = map[int32]time.Time{}
	for n := range s.warm {
		if m.assigned[n] || slices.Contains(keep, n) {
			continue
		}
		drop[n] = s.deps.Now().Add(s.cfg.StandbyGrace)
		if at, ok := s.unasked[n]; ok {
			drop[n] = at
		}
	}
	s.unasked = drop
	return keep, maps.Clone(drop)
}

// run keeps copies until ctx ends. Trouble with the broker or a copy concerns nobody but a later takeover: it is logged, and
// tried again.
func (k *standby) run(ctx context.Context, partitions []int32) {
	s := k.service
	for ctx.Err() == nil {
		pause := standbyLook
		if len(partitions) > 0 {
			pause = standbyPause
			err := k.follow(ctx, partitions)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("standing by is interrupted", slog.Any("error", err))
			}
			if err := k.apply(1); err != nil {
				s.log.Warn("a copy of a partition's state could not be written", slog.Any("error", err))
			}
		}
		k.dropDue()
		select {
		case <-ctx.Done():
		case <-time.After(min(pause, s.cfg.StandbyGrace)):
		}
	}
}

// dropDue deletes the copies whose time has come.
func (k *standby) dropDue() {
	s := k.service
	for n, at := range k.drop {
		if s.deps.Now().Before(at) {
			continue
		}
		delete(k.drop, n)
		s.log.Info("the copy of a partition's state is deleted: others keep it", slog.Int("partition", int(n)))
		if err := s.deps.Store.Partition(n).Wipe(); err != nil {
			s.log.Warn("a copy of a partition's state could not be deleted", slog.Int("partition", int(n)), slog.Any("error", err))
			continue
		}
		s.noteCopy(n, -1)
	}
}

// plan begins the copies of partitions whose changelog is there. It returns from where that is read, and the other partitions.
func (k *standby) plan(ctx context.Context, partitions []int32) (offsets map[int32]kgo.Offset, missing []topicPartition, err error) {
	s := k.service
	clear(k.parts)
	changelog := s.changelog(partitions)
	ends := s.listWithin(ctx, firstPatience, endOffsets, changelog)
	starts := s.listWithin(ctx, firstPatience, startOffsets, changelog)
	offsets = map[int32]kgo.Offset{}
	for _, tp := range changelog {
		n := tp.partition
		if cause := (&located{starts: starts, ends: ends}).failure([]topicPartition{tp}); cause != nil {
			missing, err = append(missing, tp), cause
			continue
		}
		t, err := s.planRestore(n, starts, ends)
		if err != nil {
			return nil, nil, err
		}
		k.parts[n] = t
		offsets[n] = kgo.NewOffset().At(t.next)
		s.noteCopy(n, t.next)
	}
	if len(missing) > 0 && len(offsets) > 0 && ctx.Err() == nil {
		s.log.Warn("no copies are kept for now of partitions whose changelog isn't there", slog.Int("partitions", len(missing)), slog.Any("error", err))
		err = nil
	}
	return offsets, missing, err
}

// follow reads the changelog until ctx ends, there is an error, or a partition's that wasn't there is.
func (k *standby) follow(ctx context.Context, partitions []int32) error {
	s := k.service
	offsets, missing, err := k.plan(ctx, partitions)
	if err != nil {
		return err
	}
	cl, err := s.changelogClient(offsets)
	if err != nil {
		return err
	}
	defer cl.Close()
	looked := time.Time{}
	for {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(wait)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if t := k.parts[p.Partition]; t != nil {
				t.add(p)
			}
		})
		least := standbyChunk
		if now := s.deps.Now(); now.Sub(looked) > standbyLook {
			looked, least = now, 1
			ends := s.listWithin(ctx, firstPatience, endOffsets, s.changelog(partitions))
			k.look(ends)
			k.dropDue()
			if slices.ContainsFunc(missing, func(tp topicPartition) bool { _, err := ends.of(tp); return err == nil }) {
				return nil
			}
		}
		if err := k.apply(least); err != nil {
			return err
		}
	}
}

// standbyChunk is the number of changed keys of a copy that are written at once; what is less waits for the next look.
const standbyChunk = 1000

// apply writes what was read of copies that have so many changed keys, or a lot of bytes.
func (k *standby) apply(least int) error {
	s := k.service
	for n, t := range k.parts {
		if t.overlay.Len() < least && t.overlay.Bytes() < restoreChunkBytes {
			continue
		}
		if err := t.apply(s); err != nil {
			return err
		}
		s.noteCopy(n, t.next)
	}
	return nil
}

// look measures how far copies are behind, and stamps those that aren't.
func (k *standby) look(ends listing) {
	s := k.service
	now := s.deps.Now()
	for n, t := range k.parts {
		end, err := ends.of(topicPartition{s.cfg.ChangelogTopic, n})
		if err != nil {
			continue
		}
		lag := max(0, end-t.next)
		s.deps.Metrics.standbyLag(n, lag)
		if lag > 0 {
			continue
		}
		t.asOf = now
		if now.Sub(k.stamped[n]) > standbyStamp {
			k.stamped[n] = now
			if err := t.apply(s); err != nil {
				s.log.Warn("a copy of a partition's state could not be stamped", slog.Int("partition", int(n)), slog.Any("error", err))
			}
		}
	}
}

// changelog returns partitions of the changelog.
func (s *Service) changelog(partitions []int32) (out []topicPartition) {
	for _, n := range partitions {
		out = append(out, topicPartition{s.cfg.ChangelogTopic, n})
	}
	return out
}

// noteCopy notes how far the copy of a partition is, -1 for none.
func (s *Service) noteCopy(n int32, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at < 0 {
		delete(s.warm, n)
		return
	}
	s.warm[n] = at
}
