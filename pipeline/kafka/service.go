package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/state"
)

// Service is one member of the consumer group. Run does everything; the other methods may be called from anywhere.
type Service struct {
	cfg  Config
	deps Deps
	log  *slog.Logger

	// What follows belongs to the goroutine of Run.
	cl      *kgo.Client
	admin   *kadm.Client
	source  source
	members map[int32]*member
	seen    *hostTable
	dead    deadLetterLog
	endsAt  time.Time // when the ends of the input topics were last asked for
	// toldEnds is when the log said last that some of them aren't known.
	toldEnds time.Time
	began    time.Time // when the last commit began
	asking   asking    // for the ends of topics
	remarks  remarks   // on settings of topics, that the log has
	askedAt  time.Time // when it was last asked which topics that hold others up are at their ends
	served   bool      // something was committed since the start of the process
	leave    bool      // the group is to be left with the client
	claimed  bool      // the client has its producer id
	// Records to these topics are flushed one by one until then: a batch of them was too large.
	oneByOne map[string]time.Time
	// toldReports is when the log said last that reports to the targets of the re-key topic aren't written. The goroutine of a commit has it.
	toldReports time.Time
	lostUpTo    map[topicPartition]int64 // up to where records of the input are known to be lost
	loading     map[int32]*loader        // partitions whose state is being restored
	standby     *standby                 // nil: no copies are kept

	orphanSearch orphanSearch
	committing   *commit // nil: nothing is being committed
	// life ends Config.StopTimeout after the context of Run: a commit outlives that.
	life context.Context //nolint:containedctx // it is Run's

	preparers *preparers // of the rule set that runs
	memory    *buffers   // of what is fetched
	restores  *progress  // of what is in loading

	mu         sync.Mutex // guards what the client's callbacks and other goroutines touch
	membership membership
	rebalanced bool                // there was a rebalance since members was brought in line
	arrived    []arrival           // partitions whose state was restored
	unasked    map[int32]time.Time // copies of state that nobody asks for, and when they are to be deleted
	warm       map[int32]int64     // up to which changelog offset the state of partitions is on disk
	ready      bool
	status     string
	held       *held           // nil: what is computed can be written
	reading    context.Context //nolint:containedctx // of the client: ends what is read again while records are worked on, which has no context to be given
	swap       *ruleSwap       // nil: none waits. It also guards changes of deps.Pipeline, which only Run makes
}

// member is a partition that this process owns.
type member struct {
	number    int32
	worker    *pipeline.Worker
	records   []pipeline.Record
	fetched   []*kgo.Record              // those that records came from, whose memory they share
	lanes     []*inputLane               // what is held back, by topic; none where there is one input topic
	positions map[string]int64           // by topic: the next offset to process; none where nothing was read since it was assigned or set back
	epochs    map[string]int32           // by topic: of the leader that wrote the last record before positions, or what is held there; negative where it isn't known
	committed map[string]kgo.EpochOffset // by topic: what is committed, with the epoch as in epochs; none where nothing is
	starts    map[string]int64           // by topic: the start of the log when the partition was taken over
	ends      map[string]int64           // by topic: the end of the log when it was last fetched
	lastSeen  time.Time                  // when the last record came, or the worker was loaded
	clockSeen time.Time                  // up to when the wall clock moved the record clock
	jump      int64                      // the worker's, see seeRecords
	jumpSeen  time.Time                  // when its record came; zero where that was before the worker was loaded
	changelog int64                      // next offset on the changelog
	newest    int64                      // broker time of the newest record since the last commit in milliseconds, 0 without one
	produced  bool                       // the batch has something to publish
	output    []*kgo.Record              // of the batch, while it is put together
	rekey     rekeying
	differs   bool                       // the group's offsets are not those of the checkpoint record
	seek      map[string]int64           // by topic: where to read first, which is not where the group's offset is
	parted    map[string]kgo.EpochOffset // by topic: the group's offset, where it is known that records before it are gone
	batches   *batches                   // nil where nothing of at-least-once delivery is on the changelog, and nothing will be
}

// restart returns where a topic is read from when it is set back: what was deleted meanwhile isn't there to be read, nor to be waited for.
// With the epoch the client sees whether what lies before is still what it was.
func (m *member) restart(topic string) kgo.EpochOffset {
	at, ok := m.committed[topic]
	if start := m.starts[topic]; !ok || at.Offset < start {
		return kgo.EpochOffset{Epoch: -1, Offset: start}
	}
	return at
}

// New returns a service that does nothing yet.
func New(cfg Config, deps Deps) *Service {
	cfg.EnsureDefaults()
	deps.Pipeline.EnsureDefaults()
	pipe := *deps.Pipeline
	deps.Pipeline = &pipe
	s := &Service{
		cfg: cfg, deps: deps, log: deps.Logger, seen: newHostTable(), dead: deadLetterLog{}, oneByOne: map[string]time.Time{}, lostUpTo: map[topicPartition]int64{},
		life: context.Background(), status: "starting", membership: newMembership(), restores: newProgress(), memory: newBuffers(),
	}
	pipe.Input = input{s}
	return s
}

// Ready reports whether the member has joined the group and restored the state of its partitions, with a word on
// what it is doing, and a line for each partition whose state is being restored.
func (s *Service) Ready() (ready bool, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		return false, "output is held back: " + s.held.cause.Error()
	}
	lines := []string{s.status}
	for _, r := range s.Restores() {
		lines = append(lines, r.String())
	}
	return s.ready, strings.Join(lines, "\n")
}

func (s *Service) notReady(status string) {
	s.mu.Lock()
	s.ready, s.status = false, status
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
//
// The batch at hand is given up where the broker doesn't answer for Config.StopTimeout: it is worked on again after the next start.
func (s *Service) Run(ctx context.Context) error {
	life, end := s.outlive(ctx)
	defer end()
	s.life = life
	backoff := firstBackoff
	for {
		began := s.deps.Now()
		err := s.runClient(ctx)
		s.notReady("stopped")
		switch {
		case errors.Is(err, errStore):
			return s.storeFailed(err)
		case ctx.Err() != nil:
			return nil // the end was asked for, and what fails by it is no trouble
		case s.fatal(err):
			return err
		}
		if cause, ok := errors.AsType[*SinkError](err); ok && !s.isHeld(cause) {
			backoff = max(backoff, s.noteHeld(cause))
		}
		s.deps.Metrics.restarted()
		if s.noteFenced(err); isFenced(err) {
			s.awaitName(ctx, err)
		}
		s.log.Warn("starting again with a new client", slog.Any("error", err), slog.Duration("pause", backoff))
		s.notReady("waiting to connect again: " + err.Error())
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

// storeFailed returns the error of a local store that fails. One that is damaged must not be what the next start goes on with: at the same record it
// would come upon the same.
func (s *Service) storeFailed(err error) error {
	if !errors.Is(err, state.ErrCorrupt) {
		return err
	}
	s.deps.Store.Distrust()
	return fmt.Errorf("%w; the next start rebuilds the local state from the changelog", err)
}

// outlive returns a context that ends Config.StopTimeout after ctx. end ends it, and waits for the goroutine that watches over it.
func (s *Service) outlive(ctx context.Context) (life context.Context, end func()) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-life.Done():
			return
		case <-ctx.Done():
		}
		timer := time.NewTimer(s.cfg.StopTimeout)
		defer timer.Stop()
		select {
		case <-life.Done():
		case <-timer.C:
			s.log.Warn("the broker doesn't answer: the batch at hand is given up, and worked on again after the next start", slog.Duration("stop_timeout", s.cfg.StopTimeout))
			cancel()
		}
	}()
	return life, func() { cancel(); <-ended }
}

// leaveTimeout is how long a broker that hangs may take to let a member go at the end of the process.
const leaveTimeout = 5 * time.Second

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
	s.forgetRests()
	s.members, s.loading = map[int32]*member{}, map[int32]*loader{}
	s.restores.clear()
	s.orphanSearch, s.claimed = orphanSearch{}, false
	s.mu.Lock()
	s.membership, s.rebalanced, s.arrived, s.warm = newMembership(), false, nil, map[int32]int64{}
	s.reading = ctx
	s.mu.Unlock()
	s.notReady("joining the group") // now: partitions may be assigned before connect returns
	if err := s.connect(ctx); err != nil {
		return err
	}
	defer s.disconnect()
	s.preparers = newPreparers(s.deps.Pipeline, cores())
	defer func() { s.preparers.stop() }()
	defer func() { err = s.abandon(err) }()
	for ctx.Err() == nil {
		if err := s.swapRules(ctx); err != nil {
			return err
		}
		if err := s.syncAssignment(ctx); err != nil {
			return err
		}
		if err := s.batch(ctx); err != nil {
			return err
		}
	}
	if _, err := s.settle(ctx); err != nil {
		return err
	}
	if s.cfg.GroupInstance == "" || s.cfg.Leave {
		s.log.Info("leaving the group")
		s.leave = true
	} else {
		s.log.Info("stopping: the group keeps our partitions for us until session_timeout is over", slog.String("group_instance", s.cfg.GroupInstance))
	}
	return ctx.Err()
}

// forgetRests forgets what rests on the partitions of the client before: those that come back bring it with their state.
func (s *Service) forgetRests() {
	for n := range s.members {
		s.deps.Pipeline.Quarantine.Forget(n)
	}
	for n := range s.loading {
		s.deps.Pipeline.Quarantine.Forget(n)
	}
}

// disconnect ends the restores that go on, and the client. A static member stays in the group, unless it has to leave: it comes back under
// its name.
func (s *Service) disconnect() {
	s.closeMembership()
	for _, l := range s.loading {
		l.stop()
	}
	s.stopStandby()
	s.closeClient()
	if s.leave && s.cfg.GroupInstance != "" {
		s.leaveGroup()
	}
	s.admin.Close()
	s.memory.answers.Forget()
}

// closeClient leaves the group, where the member isn't static, and closes the client. That waits for the answer to a request to join, which the
// group gives when all its members have joined or are given up: where the process ends it is waited for as long as life lasts, and leaveTimeout
// more. What is left of the client ends with the process, or when its requests have timed out.
func (s *Service) closeClient() {
	closed := make(chan struct{})
	go func(cl *kgo.Client) {
		defer close(closed)
		cl.Close()
	}(s.cl)
	select {
	case <-closed:
		return
	case <-s.life.Done():
	}
	select {
	case <-closed:
	case <-time.After(leaveTimeout):
		s.log.Warn("the broker doesn't answer: the client is left as it is")
	}
}

func (s *Service) connect(ctx context.Context) error {
	common := s.cfg.clientOptions(s.log, s.memory)
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
	s.setRekeying(s.source.partitions)
	if err := checkSettings(ctx, s.admin, &s.cfg, s.source.partitions, s.log, &s.remarks); err != nil {
		s.admin.Close()
		return err
	}
	if err := s.findWarm(); err != nil {
		s.admin.Close()
		return err
	}
	if err := s.mayTransact(ctx); err != nil {
		s.admin.Close()
		return err
	}
	opts := slices.Concat(common, s.cfg.groupOptions(), s.balancers())
	opts = append(opts, kgo.OnPartitionsAssigned(s.onAssigned), kgo.OnPartitionsRevoked(s.onRevoked), kgo.OnPartitionsLost(s.onLost))
	if s.cl, err = kgo.NewClient(opts...); err != nil {
		s.admin.Close()
		return err
	}
	return nil
}

// mayTransact returns an error where the broker says that we may not use our transactional id: in the group such a member would take partitions from
// others, and work on none. Brokers before Kafka 3.0 aren't asked; there, and where it isn't known, claimName finds out.
func (s *Service) mayTransact(ctx context.Context) error {
	if s.cfg.AtLeastOnce {
		return nil
	}
	id := s.cfg.transactionalID()
	described, err := s.admin.DescribeTransactions(ctx, id)
	if err == nil {
		err = described[id].Err
	}
	if errors.Is(err, kerr.TransactionalIDAuthorizationFailed) {
		return fmt.Errorf("transactional id: %w", s.cfg.sinkError("", 0, err))
	}
	return nil
}

// claimName asks for the producer id, once for each client, and as soon as the group has this member. That ends what a predecessor under our name left
// open: else the restore would wait for the timeout of its transaction. Who is fenced by that finds us in the group, and stands back: see awaitName.
func (s *Service) claimName(ctx context.Context) error {
	if s.claimed || s.cfg.AtLeastOnce {
		return nil
	}
	if _, _, err := s.cl.ProducerID(ctx); err != nil {
		return fmt.Errorf("producer id: %w", s.cfg.sinkError("", 0, err))
	}
	s.claimed = true
	return nil
}

// balancers are the ways to share out partitions that this member can be in a group with.
func (s *Service) balancers() []kgo.Opt {
	return []kgo.Opt{kgo.Balancers(
		&groupBalancer{standbys: s.cfg.Standbys, warm: s.warmState, assigned: s.noteStandby, name: s.cfg.Instance, atLeastOnce: s.cfg.AtLeastOnce, differ: s.noteDeliveries},
		&rangeProtocol{GroupBalancer: kgo.RangeBalancer(), assigned: func() { s.noteProtocol(true) }},
	)}
}
