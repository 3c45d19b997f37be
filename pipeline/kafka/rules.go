package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
)

// ruleSwap is a rule set that waits for the end of the batch at hand.
type ruleSwap struct {
	next *pipeline.Config
	done chan struct{} // closed when it runs, or when a later one took its place
}

// SwapRules makes all workers go on with another rule set after the commit at hand, and returns when they do: partials
// and waiting events of rules whose query is the same are kept, those of others are dropped. While the service has no
// connection it waits. An error means that the set can't run, or that ctx ended first. It may be called from any
// goroutine.
func (s *Service) SwapRules(ctx context.Context, set *rules.Set) error {
	s.mu.Lock()
	next, err := s.deps.Pipeline.WithSet(set)
	if err != nil {
		s.mu.Unlock()
		return fmt.Errorf("rule set: %w", err)
	}
	if s.swap != nil {
		close(s.swap.done)
	}
	swap := &ruleSwap{next: next, done: make(chan struct{})}
	s.swap = swap
	s.mu.Unlock()
	select {
	case <-swap.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// swapRules puts the rule set that waits in the place of the one that runs, once the batch at hand is committed. Nothing was read behind it when
// it is called.
func (s *Service) swapRules(ctx context.Context) error {
	s.mu.Lock()
	waits := s.swap != nil
	s.mu.Unlock()
	if !waits {
		return nil
	}
	if _, err := s.settle(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	swap := s.swap
	s.swap = nil
	swap.next.Rekey = s.deps.Pipeline.Rekey // it may have been made before the number of partitions was known
	s.deps.Pipeline = swap.next
	s.mu.Unlock()
	defer close(swap.done)
	began := s.deps.Now()
	if err := each(s.allMembers(), func(m *member) error { return m.worker.Swap(swap.next) }); err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	s.preparers.stop() // it has nothing to do: nothing was polled that isn't processed
	s.preparers = newPreparers(swap.next, cores())
	s.log.Info("rules swapped", slog.Int("rules", len(swap.next.Set.Rules())), slog.Int("partitions", len(s.members)),
		slog.Duration("took", s.deps.Now().Sub(began).Round(time.Millisecond)))
	return nil
}
