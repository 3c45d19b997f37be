package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/state"
)

// syncAssignment brings the workers in line with the assignment. Those of partitions that were taken away are dropped; of those that
// are new the state is restored on other goroutines, while the rest goes on; those whose state is there begin to work. It waits for the
// commit that is under way where there is something to do. Nothing was read behind that when it is called.
func (s *Service) syncAssignment(ctx context.Context) error {
	if s.pendingChange() {
		if _, err := s.settle(ctx); err != nil {
			return err
		}
		if err := s.changeAssignment(ctx); err != nil {
			return err
		}
	}
	s.seekOrphans(ctx)
	return nil
}

// changeAssignment does what the group and the restores have changed. Nothing is uncommitted when it is called.
func (s *Service) changeAssignment(ctx context.Context) error {
	s.giveUp()
	s.mu.Lock()
	rebalanced, arrived := s.rebalanced, s.arrived
	s.rebalanced, s.arrived = false, nil
	assigned := maps.Clone(s.membership.assigned)
	s.mu.Unlock()
	for _, a := range arrived {
		if err := s.arrive(a); err != nil {
			return err
		}
	}
	if rebalanced {
		if err := s.claimName(ctx); err != nil {
			return err
		}
		s.stopStandby() // it may have what is taken over now
		s.deps.Metrics.rebalanced(len(assigned))
		for n := range s.members {
			s.resume(n) // of the re-key topic it may have been added now
		}
		s.startTakeOver(ctx, s.missing(assigned))
		keep, drop := s.standbyShare()
		s.startStandby(ctx, keep, drop)
	}
	if rebalanced || len(arrived) > 0 {
		s.noteProgress(len(assigned))
	}
	return nil
}

// giveUp drops the partitions that were taken away, and lets the group go on. Nothing of them is uncommitted when it is
// called, or that was aborted.
func (s *Service) giveUp() {
	s.give(func(partitions []int32) {
		if len(partitions) > 0 {
			s.log.Info("partitions given up", slog.Any("partitions", partitions))
		}
		for _, n := range partitions {
			s.drop(n)
		}
	})
}

// missing returns the assigned partitions that nobody works on or restores.
func (s *Service) missing(assigned map[int32]bool) (partitions []int32) {
	for n := range assigned {
		if s.members[n] == nil && s.loading[n] == nil {
			partitions = append(partitions, n)
		}
	}
	slices.Sort(partitions)
	return partitions
}

// noteProgress says how far the restore is.
func (s *Service) noteProgress(assigned int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if restoring := len(s.loading); restoring > 0 {
		s.ready, s.status = false, fmt.Sprintf("restoring the state of %d of %d partitions", restoring, assigned)
		return
	}
	s.releaseGroup()
	s.ready, s.status = true, fmt.Sprintf("running, %d partitions", len(s.members))
}

func (s *Service) drop(n int32) {
	if l := s.loading[n]; l != nil {
		l.release(n)
		delete(s.loading, n)
		s.mu.Lock()
		s.arrived = slices.DeleteFunc(s.arrived, func(a arrival) bool { return a.member != nil && a.member.number == n })
		s.mu.Unlock()
		if !slices.Contains(slices.Collect(maps.Values(s.loading)), l) { // nobody would wait for it at the client's end
			l.stop()
		}
	}
	delete(s.members, n)
	s.restores.end(n)
	s.pauseRekeyed(n)
	s.deps.Pipeline.Metrics.Forget(n)
	s.deps.Pipeline.Quarantine.Forget(n)
	s.deps.Metrics.forget(n)
}

// loader restores the state of the partitions of one assignment on goroutines of its own.
type loader struct {
	service *Service
	pipe    *pipeline.Config // as it was when it began
	cancel  context.CancelFunc
	done    chan struct{}         // closed when the goroutines have ended
	busy    map[int32]*sync.Mutex // held by whoever uses the state of a partition
	turns   chan struct{}         // of those who read states from disk

	mu   sync.Mutex // guards the rest
	gone map[int32]bool
	told map[int32]bool // the log says that the partition waits

	unknown map[int32]time.Time // since when brokers haven't known a topic of the partition
}

// arrival is a partition whose state was restored, or why it couldn't be.
type arrival struct {
	member *member
	pipe   *pipeline.Config // with which its worker was made
	at     *located
	err    error
}

// startTakeOver begins to restore the state of partitions.
func (s *Service) startTakeOver(ctx context.Context, partitions []int32) {
	if len(partitions) == 0 {
		return
	}
	s.log.Info("partitions assigned", slog.Any("partitions", partitions))
	ctx, cancel := context.WithCancel(ctx)
	l := newLoader(s, cancel, partitions)
	for _, n := range partitions {
		s.loading[n] = l
	}
	go func() {
		defer close(l.done)
		defer cancel()
		if err := l.takeOver(ctx, partitions); err != nil && ctx.Err() == nil {
			l.arrive(arrival{err: err})
		}
	}()
}

func newLoader(s *Service, cancel context.CancelFunc, partitions []int32) *loader {
	l := &loader{
		service: s, pipe: s.deps.Pipeline, cancel: cancel, done: make(chan struct{}),
		gone: map[int32]bool{}, told: map[int32]bool{}, unknown: map[int32]time.Time{}, busy: map[int32]*sync.Mutex{}, turns: make(chan struct{}, loaders),
	}
	for _, n := range partitions {
		l.busy[n] = &sync.Mutex{}
	}
	return l
}

// stop ends the goroutines and waits for them.
func (l *loader) stop() {
	l.cancel()
	<-l.done
}

// release gives a partition up: when it returns nobody uses its state.
func (l *loader) release(n int32) {
	busy := l.busy[n]
	busy.Lock()
	defer busy.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[n] = true
}

// use runs fn for a partition unless it was given up.
func (l *loader) use(n int32, fn func() error) error {
	busy := l.busy[n]
	busy.Lock()
	defer busy.Unlock()
	if l.released(n) {
		return nil
	}
	return fn()
}

func (l *loader) released(n int32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone[n]
}

// arrive hands something over to the goroutine of Run.
func (l *loader) arrive(a arrival) {
	s := l.service
	s.mu.Lock()
	defer s.mu.Unlock()
	a.pipe = l.pipe
	if a.member != nil && l.released(a.member.number) {
		return
	}
	s.arrived = append(s.arrived, a)
}

// loaders is how many partitions' states are read from disk at once.
const loaders = 4

// turn runs fn when it is its turn.
func (l *loader) turn(ctx context.Context, fn func() error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case l.turns <- struct{}{}:
	}
	defer func() { <-l.turns }()
	return fn()
}

// takeOver restores the state of partitions and makes their workers. Partitions whose logs aren't there wait, each for its own.
func (l *loader) takeOver(ctx context.Context, partitions []int32) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return l.locate(ctx, partitions, func(found []int32, at *located) {
			g.Go(func() error {
				// The callback must not wait: what is still to be fetched of other partitions would, too.
				return l.service.restore(ctx, l, found, at, func(t *restoring) {
					g.Go(func() error { return l.load(ctx, t, at) })
				})
			})
		})
	})
	return g.Wait()
}

// load makes the worker of a partition whose local state is complete.
func (l *loader) load(ctx context.Context, t *restoring, at *located) error {
	s, part := l.service, t.part
	n := part.Number()
	w, err := pipeline.NewWorker(l.pipe, part, n)
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if err := l.turn(ctx, func() error {
		return l.use(n, func() error { return s.reload(w, part) })
	}); err != nil {
		return err
	}
	waited, err := l.reread(ctx, n, w) // uses no state, and may take a while
	if err == nil && waited {          // the log may be another than it was
		err = l.locate(ctx, []int32{n}, func(_ []int32, now *located) { at = now })
	}
	if err != nil {
		return err
	}
	return l.use(n, func() error {
		if err := s.refilled(n, w); err != nil {
			return err
		}
		m := s.newMember(n, w, part)
		if err := s.inherit(m, t); err != nil {
			return err
		}
		l.arrive(arrival{member: m, at: at})
		return nil
	})
}

// arrive puts a restored partition to work.
func (s *Service) arrive(a arrival) error {
	if a.err != nil {
		return a.err
	}
	n := a.member.number
	delete(s.loading, n)
	if a.pipe != s.deps.Pipeline { // the rules were swapped meanwhile
		if err := a.member.worker.Swap(s.deps.Pipeline); err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
	}
	s.members[n] = a.member
	a.member.begin(s.deps.Now())
	if err := s.checkPositions(a.member, a.at); err != nil {
		return err
	}
	s.noteWarm(a.member)
	s.restores.end(n)
	s.deps.Metrics.tookOver()
	s.placeRekeyed(a.member)
	s.seek(a.member)
	s.resume(n)
	return nil
}

// rewind has the input read from where it is committed.
func (s *Service) rewind() {
	now := s.deps.Now()
	set := map[string]map[int32]kgo.EpochOffset{}
	for n, m := range s.members {
		for _, topic := range s.cfg.consumed() {
			if set[topic] == nil {
				set[topic] = map[int32]kgo.EpochOffset{}
			}
			set[topic][n] = m.restart(topic)
		}
		m.forget(s.memory)
		s.clearLanes(m)
		m.rekey.rewind()
		clear(m.positions)
		clear(m.epochs)
		clear(m.ends)
		m.newest = 0
		m.begin(now)
	}
	s.cl.SetOffsets(set)
}

// findWarm finds out of which partitions the state is on disk, for the group's leader.
func (s *Service) findWarm() error {
	known, err := s.deps.Store.Partitions()
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	warm := map[int32]int64{}
	for _, n := range known {
		if at, _, reason := s.trusted(s.deps.Store.Partition(n), math.MaxInt64); reason == "" {
			warm[n] = at
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warm = warm
	return nil
}

// noteWarm notes how far the local state of a partition is.
func (s *Service) noteWarm(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warm[m.number] = m.changelog
}

// warmState returns of which partitions the state is on disk. The client calls it.
func (s *Service) warmState() map[int32]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.warm)
}

// reload loads a worker's state; one that can't be read is wiped, so that the next start rebuilds it.
func (s *Service) reload(w *pipeline.Worker, part *state.Partition) error {
	err := w.Reload()
	if err == nil {
		return nil
	}
	if wipeErr := part.Wipe(); wipeErr != nil {
		return fmt.Errorf("%w: %w", errStore, errors.Join(err, wipeErr))
	}
	return fmt.Errorf("the local state was wiped and will be rebuilt: %w", err)
}

func (s *Service) newMember(n int32, w *pipeline.Worker, part *state.Partition) *member {
	now := s.deps.Now()
	m := &member{
		number: n, worker: w, positions: map[string]int64{}, epochs: map[string]int32{}, committed: map[string]kgo.EpochOffset{}, starts: map[string]int64{}, ends: map[string]int64{},
		lastSeen: now, clockSeen: now, seek: map[string]int64{}, parted: map[string]kgo.EpochOffset{}, lanes: newLanes(s.cfg.Topics),
	}
	if cp, ok, err := part.Checkpoint(); err == nil && ok {
		m.changelog = cp.Changelog
	}
	return m
}

// resume has a partition fetched, but for topics that are ahead of others.
func (s *Service) resume(n int32) {
	topics := map[string][]int32{}
	for _, t := range s.cfg.consumed() {
		if l := s.members[n].lane(t); l == nil || !l.paused {
			topics[t] = []int32{n}
		}
	}
	s.cl.ResumeFetchPartitions(topics)
}
