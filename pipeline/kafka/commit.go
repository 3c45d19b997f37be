package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/pipeline"
)

// A batch is committed on a goroutine of its own, while the workers go on with the records behind it: see docs/adr/0018. What
// they make of these is committed after it, or dropped with it.

// commit is a batch on its way to the broker and the local store.
type commit struct {
	began   time.Time
	records []*kgo.Record
	reports []*kgo.Record // to the targets of the re-key topic, with delivery at least once: they follow what they speak of
	at      offsets
	parts   []*committing // in the order of their partitions
	p       *producing
	done    chan struct{} // closed when the goroutine has ended; what follows may be read then

	took    time.Duration
	written bool  // it counts, whatever is wrong with the local store
	aborted error // why nothing of it counts
	err     error // why it isn't known what counts, or what is wrong with the local store
	// distrusted are partitions whose changelog another member writes to. Their local state is to be read anew, once no worker reads it.
	distrusted []int32
}

// committing is what a batch has of one partition.
type committing struct {
	m         *member
	batch     *pipeline.Sealed
	inputs    map[string]kgo.EpochOffset // by topic: the offsets that are committed with it
	changelog int64                      // from where the changelog has to be read on top of it
	written   bool                       // it has something on the changelog
	newest    int64                      // broker time of its newest record in milliseconds, 0 without one
}

// offsets returns the offsets of inputs.
func (c *committing) offsets() map[string]int64 {
	out := make(map[string]int64, len(c.inputs))
	for topic, at := range c.inputs {
		out[topic] = at.Offset
	}
	return out
}

// commit begins to publish what the batch made, in one transaction with the offsets, or without one, and then to bring the local store up to it.
// Nothing else is being committed when it is called.
func (s *Service) commit() error {
	s.began = s.deps.Now()
	records, reports, err := s.output()
	if err != nil {
		return err
	}
	if s.deps.Tamper != nil {
		records = s.deps.Tamper(records)
	}
	at := s.progress()
	if len(at) == 0 && len(records)+len(reports) == 0 {
		return nil
	}
	c := &commit{began: s.began, records: records, reports: reports, at: at, p: newProducing(&s.cfg), done: make(chan struct{}), err: errCutShort}
	for _, n := range s.sortedMembers() {
		m := s.members[n]
		inputs := maps.Clone(m.committed)
		for topic := range m.positions {
			inputs[topic] = m.reached(topic)
		}
		c.parts = append(c.parts, &committing{m: m, batch: m.worker.Seal(), inputs: inputs, changelog: m.changelog, newest: m.newest})
		m.newest = 0
	}
	s.committing = c
	go func() {
		defer close(c.done)
		aborted, err := s.publishAndStore(c)
		c.took, c.aborted, c.err = s.deps.Now().Sub(c.began), aborted, err
	}()
	return nil
}

// errCutShort is the outcome of a commit whose goroutine ended before it was through.
var errCutShort = errors.New("the commit was cut short")

// publishAndStore is the work of a commit. It uses nothing that the workers, or who feeds them, change. It returns why nothing of the batch counts,
// and as err that it isn't known what does, or what is wrong with the local store.
func (s *Service) publishAndStore(c *commit) (aborted, err error) {
	if err := s.deps.Store.Attached(); err != nil { // before anything counts that the store would lack
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	ctx, cancel := context.WithTimeout(s.life, 2*s.cfg.TransactionTimeout)
	defer cancel()
	switch {
	case s.cfg.AtLeastOnce:
		aborted, err = s.publish(ctx, c)
	case len(c.records) > 0:
		aborted, err = s.transact(ctx, c.p, c.records, c.at)
	default: // offsets alone need no transaction
		aborted = s.commitOffsets(ctx, c.at, s.offsetCommit)
	}
	if err != nil || aborted != nil {
		return aborted, err
	}
	c.written = true
	s.deps.at(PointEnded)
	s.noteWritten(c)
	err = each(c.parts, func(part *committing) error {
		cp := s.checkpoint(part.offsets(), part.changelog)
		if b := part.m.batches; b != nil {
			cp.Epoch = b.floor
		}
		err := part.batch.Apply(cp)
		s.deps.at(PointStored)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errStore, err)
	}
	return nil, nil
}

// settle waits for the commit that is under way, if one is, and does what follows from its outcome. After an abort everything was reloaded,
// and the records of the batch and those behind it come again.
func (s *Service) settle(ctx context.Context) (aborted bool, err error) {
	c := s.committing
	if c == nil {
		return false, nil
	}
	<-c.done
	s.committing = nil
	switch {
	case c.err != nil:
		s.handOn(c)
		return false, cmp.Or(s.wipe(c.distrusted), c.err)
	case c.aborted != nil:
		return true, s.aborted(ctx, c.aborted)
	}
	s.committed(c)
	return false, nil
}

// settleEnded is settle for a commit that has ended. It doesn't wait.
func (s *Service) settleEnded(ctx context.Context) (aborted bool, err error) {
	if c := s.committing; c != nil {
		select {
		case <-c.done:
			return s.settle(ctx)
		default:
		}
	}
	return false, nil
}

// abandon waits for the commit that is under way when the client is given up for a cause, and returns the cause that counts then. What became of
// the commit the next client finds out.
func (s *Service) abandon(cause error) error {
	c := s.committing
	if c == nil {
		return cause
	}
	<-c.done
	switch s.committing = nil; {
	case c.err == nil && c.aborted == nil:
		s.committed(c)
	case errors.Is(c.err, errStore):
		s.handOn(c)
		return c.err
	default: // that it was fenced, or what the broker refuses, counts as well
		return cmp.Or(s.wipe(c.distrusted), errors.Join(cause, c.aborted, c.err))
	}
	return cause
}

// wipe drops the local state of partitions.
func (s *Service) wipe(partitions []int32) error {
	for _, n := range partitions {
		if err := s.deps.Store.Partition(n).Wipe(); err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
	}
	return nil
}

// aborted drops everything that isn't committed, and reads the input from there.
func (s *Service) aborted(ctx context.Context, cause error) error {
	sink, refused := errors.AsType[*SinkError](cause)
	switch {
	case refused:
	case !errors.Is(cause, errReplaced):
		return fmt.Errorf("transaction aborted: %w", cause)
	default:
		s.log.Info("transaction aborted by a rebalance", slog.Any("cause", cause))
	}
	s.giveUp()
	reloaded := make([]*pipeline.Worker, 0, len(s.members))
	for n, m := range s.members {
		if err := s.reload(m.worker, s.deps.Store.Partition(n)); err != nil {
			return err
		}
		reloaded = append(reloaded, m.worker)
	}
	if err := s.reread(ctx, reloaded...); err != nil {
		return err
	}
	for n, m := range s.members {
		if err := s.refilled(n, m.worker); err != nil {
			return err
		}
	}
	s.rewind()
	if refused && !s.tooLarge(sink) {
		return s.hold(ctx, sink)
	}
	if !refused {
		s.awaitNews(ctx, 100*time.Millisecond)
	}
	return nil
}

// committed takes in that a batch is committed, and the local store up to it.
func (s *Service) committed(c *commit) {
	s.served = true
	s.release(c.p)
	s.handOn(c)
	for _, part := range c.parts {
		m := part.m
		m.committed, m.changelog, m.differs = part.inputs, part.changelog, false
		m.rekey.committed()
		if part.written {
			s.noteWarm(m)
		}
	}
	s.deps.Metrics.committed(c, s.deps.Store)
	s.preparers.report()
}

// handOn counts what a batch published, and hands its alerts on. It does nothing for a batch of which it isn't known whether it counts: one that does,
// and that the local store lacks, is found on the changelog by the next start, and isn't made again.
func (s *Service) handOn(c *commit) {
	if !c.written {
		return
	}
	for _, part := range c.parts {
		for i := range part.batch.DeadLetters {
			s.dead.note(&part.batch.DeadLetters[i])
		}
	}
	s.dead.report(s.deps.Now(), s.log)
	for _, part := range c.parts {
		if s.deps.OnAlert != nil {
			for _, a := range part.batch.Alerts {
				s.deps.OnAlert(a)
			}
		}
		part.m.worker.Confirm()
	}
}

// output returns the records of one transaction: what all workers made, and how their state changed. With delivery at least once reports are what
// the targets of the re-key topic are told of that, which has to follow it.
func (s *Service) output() (records, reports []*kgo.Record, err error) {
	err = each(s.allMembers(), func(m *member) error {
		m.output = s.outputOf(m)
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	for _, n := range s.sortedMembers() {
		m := s.members[n]
		m.produced = len(m.output) > 0
		records = append(records, m.output...)
		m.output = nil
	}
	events, told := s.rekeyRecords()
	if records = append(records, events...); s.cfg.AtLeastOnce { // they have to come after what must be written first
		return records, told, nil
	}
	return append(records, told...), nil, nil
}

// outputOf returns the records of one partition, without those for the re-key topic.
func (s *Service) outputOf(m *member) []*kgo.Record {
	out := m.worker.Output()
	records := make([]*kgo.Record, 0, len(out.Alerts)+len(out.DeadLetters))
	for i := range out.Alerts {
		records = append(records, alertRecord(s.cfg.AlertTopic, &out.Alerts[i]))
	}
	for i := range out.DeadLetters {
		records = append(records, deadLetterRecord(s.cfg.DeadLetterTopic, &out.DeadLetters[i]))
	}
	return append(records, s.stateRecords(m, len(records) > 0)...)
}

// each runs fn for all items at the same time.
func each[T any](items []T, fn func(T) error) error {
	if len(items) == 1 {
		return fn(items[0])
	}
	var g errgroup.Group
	for _, item := range items {
		g.Go(func() error { return fn(item) })
	}
	return g.Wait()
}

func (s *Service) allMembers() []*member { return slices.Collect(maps.Values(s.members)) }

func (s *Service) sortedMembers() []int32 { return slices.Sorted(maps.Keys(s.members)) }
