package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/state"
)

// Service is one member of the consumer group. Run does everything; the other methods may be called from anywhere.
type Service struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	// What follows belongs to the goroutine of Run.
	session *kgo.GroupTransactSession
	admin   *kadm.Client
	source  source
	members map[int32]*member
	seen    *hostTable
	dead    deadLetterLog
	endsAt  time.Time // when the ends of the input topics were last asked for
	served  bool      // something was committed since the start of the process
	// Records to these topics are flushed one by one until then: a batch of them was too large.
	oneByOne map[string]time.Time
	lostUpTo map[topicPartition]int64 // up to where records of the input are known to be lost

	mu       sync.Mutex // guards what the client's callbacks and other goroutines touch
	assigned map[int32]bool
	identity identity // under which it was assigned
	changed  bool     // there was a rebalance since members was brought in line
	revoked  bool     // a rebalance has begun: what we own isn't known until it ends
	ready    bool
	status   string
	held     *held     // nil: what is computed can be written
	swap     *ruleSwap // nil: none waits. It also guards changes of deps.Pipeline, which only Run makes
}

// identity is what the group knows a member by between two rebalances.
type identity struct {
	member     string
	generation int32
}

// member is a partition that this process owns.
type member struct {
	number    int32
	worker    *pipeline.Worker
	records   []pipeline.Record
	positions map[string]int64 // by topic: the next offset to read; none where nothing was read since it was assigned or set back
	committed map[string]int64 // by topic: the committed offset; none where there is none
	ends      map[string]int64 // by topic: the end of the log when it was last fetched
	lastSeen  time.Time        // when the last record came, or the worker was loaded
	clockSeen time.Time        // up to when the wall clock moved the record clock
	changelog int64            // next offset on the changelog
	newest    int64            // broker time of the newest record since the last commit in milliseconds, 0 without one
}

// New returns a service that does nothing yet.
func New(cfg Config, deps Deps) *Service {
	cfg.EnsureDefaults()
	deps.Pipeline.EnsureDefaults()
	return &Service{
		cfg: cfg, deps: deps, log: deps.Logger, seen: newHostTable(), dead: deadLetterLog{}, oneByOne: map[string]time.Time{}, lostUpTo: map[topicPartition]int64{},
		status: "starting",
	}
}

// Ready reports whether the member has joined the group and restored the state of its partitions, with a word on
// what it is doing.
func (s *Service) Ready() (ready bool, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		return false, "output is held back: " + s.held.cause.Error()
	}
	return s.ready, s.status
}

func (s *Service) setStatus(ready bool, status string) {
	s.mu.Lock()
	s.ready, s.status = ready, status
	s.mu.Unlock()
}

// The pauses between attempts to connect again.
const (
	firstBackoff = 200 * time.Millisecond
	lastBackoff  = 10 * time.Second
)

// Run joins the group and works until ctx ends: then it finishes the batch at hand, leaves the group and returns
// nil. Trouble with the broker is retried with a new client, as after a restart. What only an operator can mend is an
// error (errors.Is ErrTopics) before the first commit; later the service holds what it computed, isn't ready, and tries
// again. A number of partitions that doesn't fit the state is always an error, as is a local store that fails.
func (s *Service) Run(ctx context.Context) error {
	backoff := firstBackoff
	for {
		began := s.deps.Now()
		err := s.runClient(ctx)
		s.setStatus(false, "stopped")
		switch {
		case errors.Is(err, errStore):
			return err
		case ctx.Err() != nil:
			return nil //nolint:nilerr // the end was asked for, and what fails by it is no trouble
		case s.fatal(err):
			return err
		}
		if cause, ok := errors.AsType[*SinkError](err); ok && !s.isHeld(cause) {
			backoff = max(backoff, s.noteHeld(cause))
		}
		s.deps.Metrics.restarted()
		s.noteFenced(err)
		s.log.Warn("starting again with a new client", slog.Any("error", err), slog.Duration("pause", backoff))
		s.setStatus(false, "waiting to connect again: "+err.Error())
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		if backoff = min(2*backoff, lastBackoff); s.deps.Now().Sub(began) > time.Minute {
			backoff = firstBackoff
		}
	}
}

// errStore marks errors of the local store.
var errStore = errors.New("local store")

func (s *Service) fatal(err error) bool {
	return errors.Is(err, errPartitions) || errors.Is(err, ErrTopics) && !s.served
}

// isHeld reports whether a cause is noted already.
func (s *Service) isHeld(cause *SinkError) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held != nil && s.held.cause == cause
}

// runClient is the life of one client: from the connection to its loss or the end.
func (s *Service) runClient(ctx context.Context) (err error) {
	s.members = map[int32]*member{}
	s.mu.Lock()
	s.assigned, s.changed, s.revoked = map[int32]bool{}, false, false
	s.mu.Unlock()
	if err := s.connect(ctx); err != nil {
		return err
	}
	defer s.admin.Close()
	defer s.session.Close()
	s.setStatus(false, "joining the group")
	for ctx.Err() == nil {
		if err := s.swapRules(); err != nil {
			return err
		}
		if err := s.syncAssignment(ctx); err != nil {
			return err
		}
		if err := s.batch(ctx); err != nil {
			return err
		}
	}
	s.log.Info("leaving the group")
	return ctx.Err()
}

func (s *Service) connect(ctx context.Context) error {
	common := s.cfg.clientOptions(s.log)
	// The client remembers that a topic is missing: not for longer than we wait for it.
	base, err := kgo.NewClient(append(slices.Clone(common), kgo.MetadataMinAge(topicPause))...)
	if err != nil {
		return err
	}
	s.admin = kadm.NewClient(base)
	s.admin.SetTimeoutMillis(15_000)
	if s.source, err = checkTopics(ctx, s.admin, &s.cfg); err != nil {
		s.admin.Close()
		return err
	}
	opts := slices.Concat(common, s.cfg.groupOptions())
	opts = append(opts,
		kgo.OnPartitionsAssigned(s.onAssigned), kgo.OnPartitionsRevoked(s.onRevoked), kgo.OnPartitionsLost(s.onRevoked))
	if s.session, err = kgo.NewGroupTransactSession(opts...); err != nil {
		s.admin.Close()
		return err
	}
	// Asking for the producer id ends what a predecessor under our name left open: else the restore would wait for
	// the timeout of its transaction.
	if _, _, err := s.session.Client().ProducerID(ctx); err != nil {
		s.session.Close()
		s.admin.Close()
		return fmt.Errorf("producer id: %w", s.cfg.sinkError("", 0, err))
	}
	return nil
}

// onAssigned takes over an assignment, the whole of it, and pauses it until the state is restored. The client calls it.
//
// It is the only callback that says what is owned: the session hides a revocation from us when there was one
// already since the last transaction.
func (s *Service) onAssigned(_ context.Context, cl *kgo.Client, assigned map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cl.PauseFetchPartitions(assigned)
	s.identity.member, s.identity.generation = cl.GroupMetadata()
	clear(s.assigned)
	for _, partitions := range assigned {
		for _, n := range partitions {
			s.assigned[n] = true
		}
	}
	s.changed, s.revoked = true, false
	s.ready, s.status = false, "restoring state"
}

// onRevoked notes that all partitions were taken away: the balancer is an eager one. The session aborts the
// transaction that is open. The client calls it.
func (s *Service) onRevoked(context.Context, *kgo.Client, map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
	s.ready, s.status = false, "rebalancing"
}

// syncAssignment brings the workers in line with the assignment: those of partitions that were taken away are
// dropped, all others get their state restored before their partitions are fetched. A partition that was ours
// before is restored too: it may have been another's in between. Nothing is uncommitted when it is called.
func (s *Service) syncAssignment(ctx context.Context) error {
	s.mu.Lock()
	changed := s.changed && !s.revoked
	if changed {
		s.changed = false
	}
	assigned := slices.Sorted(maps.Keys(s.assigned))
	s.mu.Unlock()
	if !changed {
		return nil
	}
	if err := s.resetSession(ctx); err != nil {
		return err
	}
	for n := range s.members {
		if !slices.Contains(assigned, n) {
			s.drop(n)
		}
	}
	s.deps.Metrics.rebalanced(len(assigned))
	if err := s.takeOver(ctx, assigned); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.changed && !s.revoked { // else what was assigned last stays paused
		s.resume(assigned)
		s.releaseGroup()
		s.ready, s.status = true, fmt.Sprintf("running, %d partitions", len(assigned))
	}
	return nil
}

// resetSession lets the session forget the revocation that we know of: it would abort the next transaction for it.
func (s *Service) resetSession(ctx context.Context) error {
	if err := s.session.Begin(); err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	if _, err := s.session.End(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("end of an empty transaction: %w", err)
	}
	return nil
}

func (s *Service) drop(n int32) {
	delete(s.members, n)
	s.deps.Pipeline.Metrics.Forget(n)
	s.deps.Metrics.forget(n)
}

// takeOver restores the state of partitions and makes their workers. A worker that is there stays where its state
// is still the newest.
func (s *Service) takeOver(ctx context.Context, partitions []int32) error {
	if len(partitions) == 0 {
		return nil
	}
	s.log.Info("partitions assigned", slog.Any("partitions", partitions))
	changed, err := s.restore(ctx, partitions)
	if err != nil {
		return err
	}
	for _, n := range partitions {
		if m := s.members[n]; m != nil && !changed[n] {
			m.rewind(s.deps.Now())
			continue
		}
		part := s.deps.Store.Partition(n)
		w, err := pipeline.NewWorker(s.deps.Pipeline, part, n)
		if err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
		if err := s.reload(w, part); err != nil {
			return err
		}
		s.members[n] = s.newMember(n, w, part)
	}
	return s.checkPositions(ctx, partitions)
}

// rewind forgets where the input stood: it is read from the committed position.
func (m *member) rewind(now time.Time) {
	clear(m.records)
	m.records = m.records[:0]
	clear(m.positions)
	clear(m.ends)
	m.newest = 0
	m.lastSeen, m.clockSeen = now, now
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
		number: n, worker: w, positions: map[string]int64{}, committed: map[string]int64{}, ends: map[string]int64{},
		lastSeen: now, clockSeen: now,
	}
	if cp, ok, err := part.Checkpoint(); err == nil && ok {
		m.changelog = cp.Changelog
	}
	return m
}

func (s *Service) resume(partitions []int32) {
	topics := map[string][]int32{}
	for _, t := range s.cfg.Topics {
		topics[t] = partitions
	}
	s.session.Client().ResumeFetchPartitions(topics)
}

// eachWorker runs fn for the members given, at the same time: every worker on one goroutine at a time.
func eachWorker(members []*member, fn func(*member) error) error {
	if len(members) == 1 {
		return fn(members[0])
	}
	var g errgroup.Group
	for _, m := range members {
		g.Go(func() error { return fn(m) })
	}
	return g.Wait()
}
