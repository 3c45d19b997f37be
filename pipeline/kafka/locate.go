package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir-eql/weir/pipeline"
)

// A partition can't be taken over while one of its logs, of the input or the changelog, has no leader, or its broker doesn't answer. That holds up
// this partition only: its member works on the others meanwhile, and tries again until the log is there, the partition is taken away, or
// the client ends.

// How long brokers have to answer where the logs of partitions are before those that have answered go on, at first and at last.
const (
	firstPatience = 5 * time.Second
	lastPatience  = 30 * time.Second
)

// unknownPatience is how long a topic may not be known to a broker: it was created a moment ago. After that it is gone, and a new client finds out.
const unknownPatience = 5 * time.Second

// locate calls found with partitions of which it is known where their logs are, as they get known.
func (l *loader) locate(ctx context.Context, partitions []int32, found func(partitions []int32, at *located)) error {
	s := l.service
	patience := firstPatience
	for backoff := firstBackoff; ; backoff = min(2*backoff, lastBackoff) {
		at, err := s.locate(ctx, partitions, patience)
		if err != nil {
			return err
		}
		var ready, left []int32
		for _, n := range partitions {
			cause := at.failure(s.sources(n))
			if cause == nil {
				ready = append(ready, n)
				continue
			}
			left = append(left, n)
			if err := l.hindered(ctx, n, cause); err != nil {
				return err
			}
		}
		if len(ready) > 0 {
			found(ready, at)
		}
		if partitions = slices.DeleteFunc(left, l.released); len(partitions) == 0 {
			return nil
		}
		if err := pause(ctx, backoff); err != nil {
			return err
		}
		partitions, patience = slices.DeleteFunc(partitions, l.released), min(2*patience, lastPatience)
		if len(partitions) == 0 {
			return nil
		}
	}
}

// reread is the service's for the worker of a partition. It tries again until the input is there, and keeps no turn while it waits.
func (l *loader) reread(ctx context.Context, n int32, w *pipeline.Worker) (waited bool, err error) {
	for backoff := firstBackoff; !l.released(n); backoff = min(2*backoff, lastBackoff) {
		cause := l.turn(ctx, func() error { return l.service.reread(ctx, w) })
		if cause == nil {
			return waited, nil
		}
		waited = true
		if err := l.hindered(ctx, n, cause); err != nil {
			return true, err
		}
		if err := pause(ctx, backoff); err != nil {
			return true, err
		}
	}
	return waited, nil
}

// unknownFor returns for how long a topic of a partition hasn't been known to brokers, and nothing else kept it from being taken over.
func (l *loader) unknownFor(n int32, cause error) time.Duration {
	now := l.service.deps.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !errors.Is(cause, kerr.UnknownTopicOrPartition) {
		delete(l.unknown, n)
		return 0
	}
	if _, ok := l.unknown[n]; !ok {
		l.unknown[n] = now
	}
	return now.Sub(l.unknown[n])
}

// hindered notes why a partition has to wait. It returns the cause where waiting doesn't help.
func (l *loader) hindered(ctx context.Context, n int32, cause error) error {
	s := l.service
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !transient(cause), l.unknownFor(n, cause) > unknownPatience:
		return cause
	}
	return l.use(n, func() error { // not after it was given up
		s.restores.wait(n, cause.Error(), s.deps.Now())
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.told[n] {
			l.told[n] = true
			s.log.Warn("a partition waits for one of its logs, and is tried again until that is there; the others are worked on",
				slog.Int("partition", int(n)), slog.Any("error", cause))
		}
		return nil
	})
}

// pause waits, for a context at the longest.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
