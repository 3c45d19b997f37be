package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The client's own transaction sessions abort whenever a partition is revoked, hold commits up while a member joins, and commit all
// that was polled. So transactions are ended here: see docs/adr/0008.

// offsets are input offsets to commit: the next ones to read, by topic and partition, with the epoch of the leader that wrote what lies before
// them. By the epoch whoever reads on sees that a leader was elected that lacked some of it: the log goes on at lesser offsets then.
type offsets map[topicPartition]kgo.EpochOffset

// reached returns where a topic was processed to.
func (m *member) reached(topic string) kgo.EpochOffset {
	return kgo.EpochOffset{Epoch: m.epochs[topic], Offset: m.positions[topic]}
}

// progress returns the input offsets that are not committed yet. A partition whose worker has something to publish is in it even
// where it read nothing: it is the commit of offsets that the broker refuses to a member that was replaced while it slept.
func (s *Service) progress() offsets {
	out := offsets{}
	for n, m := range s.members {
		for topic, at := range m.positions {
			if committed, ok := m.committed[topic]; !ok || committed.Offset != at {
				out[topicPartition{topic, n}] = m.reached(topic)
			}
		}
		if !m.produced && !m.differs {
			continue
		}
		for topic, at := range m.committed {
			if _, ok := out[topicPartition{topic, n}]; !ok {
				out[topicPartition{topic, n}] = at
			}
		}
	}
	return out
}

// transact produces records and commits offsets, all or nothing. It returns why the transaction was aborted, and as err that it isn't
// known what became of it.
func (s *Service) transact(ctx context.Context, p *producing, records []*kgo.Record, at offsets) (aborted, err error) {
	if err := s.cl.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	s.deps.at(PointBegun)
	s.produce(ctx, p, records)
	s.deps.at(PointProduced)
	if aborted = p.wait(ctx, s.cl); aborted == nil {
		aborted = s.commitOffsets(ctx, at, s.txnOffsetCommit)
	}
	s.deps.at(PointFlushed)
	ending := s.deps.Now()
	committed, err := s.end(ctx, aborted == nil)
	s.deps.Metrics.transaction(s.deps.Now().Sub(ending), committed && err == nil)
	switch {
	case err != nil:
		return nil, fmt.Errorf("end of the transaction unknown: %w", errors.Join(aborted, s.cfg.sinkError("", 0, err)))
	case !committed && aborted == nil:
		aborted = errors.New("the broker asked for an abort")
	}
	return aborted, nil
}

// end ends the transaction. An error means that its outcome is unknown: a new client, which asks for the producer id, makes an end of it.
func (s *Service) end(ctx context.Context, commit bool) (committed bool, err error) {
	if !commit {
		if err := s.cl.AbortBufferedRecords(ctx); err != nil {
			return false, err
		}
	}
	err = s.cl.EndTransaction(ctx, kgo.TransactionEndTry(commit))
	if commit && (errors.Is(err, kerr.OperationNotAttempted) || errors.Is(err, kerr.TransactionAbortable)) {
		commit = false
		err = s.cl.EndTransaction(ctx, kgo.TryAbort)
	}
	return commit && err == nil, err
}

// commitOffsets commits offsets under our identity in the group. Where the group has gone on to another generation meanwhile and left
// us our partitions, it does so under the new one: a rebalance that takes nothing from us aborts nothing.
func (s *Service) commitOffsets(ctx context.Context, at offsets, send func(context.Context, identity, offsets) error) error {
	id := s.currentIdentity()
	for until := s.deps.Now().Add(s.cfg.TransactionTimeout / 2); ; { // a transaction has to end in time
		err := send(ctx, id, at)
		switch {
		case isRebalance(err) && s.deps.Now().After(until):
			return fmt.Errorf("%w: %w", errReplaced, err)
		case isRebalance(err):
			next, waitErr := s.nextIdentity(ctx, id)
			if waitErr != nil {
				return fmt.Errorf("%w: %w", waitErr, err)
			}
			s.log.Debug("offsets are committed under the next generation", slog.Int("generation", int(next.generation)))
			id = next
		case isExpelled(err):
			return fmt.Errorf("%w: %w", errReplaced, err)
		case errors.Is(err, kerr.ConcurrentTransactions): // the end of the one before is still being written
			select {
			case <-ctx.Done():
				return err
			case <-time.After(10 * time.Millisecond):
			}
		case err != nil:
			return fmt.Errorf("commit offsets: %w", s.cfg.sinkError("", 0, err))
		default:
			return nil
		}
	}
}

// txnOffsetCommit commits offsets in the open transaction.
func (s *Service) txnOffsetCommit(ctx context.Context, id identity, at offsets) error {
	if len(at) == 0 {
		return s.heartbeat(ctx, id)
	}
	producer, epoch, err := s.cl.ProducerID(ctx)
	if err != nil {
		return err
	}
	if !s.source.implicit {
		add := kmsg.NewPtrAddOffsetsToTxnRequest()
		add.TransactionalID, add.Group, add.ProducerID, add.ProducerEpoch = s.cfg.transactionalID(), s.cfg.Group, producer, epoch
		resp, err := add.RequestWith(ctx, s.cl)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return fmt.Errorf("add offsets to the transaction: %w", err)
		}
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = s.cfg.transactionalID(), s.cfg.Group, producer, epoch
	req.MemberID, req.Generation, req.InstanceID = id.member, id.generation, s.cfg.instanceID()
	for topic, partitions := range at.byTopic() {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.source.ids[topic]
		for _, n := range partitions {
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			reached := at[topicPartition{topic, n}]
			p.Partition, p.Offset, p.LeaderEpoch = n, reached.Offset, reached.Epoch
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// offsetCommit commits offsets outside of a transaction.
func (s *Service) offsetCommit(ctx context.Context, id identity, at offsets) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = s.cfg.Group, id.member, id.generation, s.cfg.instanceID()
	for topic, partitions := range at.byTopic() {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.source.ids[topic]
		for _, n := range partitions {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			reached := at[topicPartition{topic, n}]
			p.Partition, p.Offset, p.LeaderEpoch = n, reached.Offset, reached.Epoch
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return err
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return err
			}
		}
	}
	return nil
}

// heartbeat fences a transaction that has no offsets at all, of partitions of which nothing was ever committed: the group still knows our
// generation. Everything that the transaction holds was written before it, so that any other member is given the partitions later than
// that, and the end of the changelog that it reads up to lies behind our records.
func (s *Service) heartbeat(ctx context.Context, id identity) error {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation, req.InstanceID = s.cfg.Group, id.member, id.generation, s.cfg.instanceID()
	resp, err := req.RequestWith(ctx, s.cl)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	if errors.Is(err, kerr.RebalanceInProgress) { // the group knows us in this generation
		return nil
	}
	return err
}

// byTopic returns the partitions of each topic, ascending.
func (o offsets) byTopic() map[string][]int32 {
	out := map[string][]int32{}
	for tp := range maps.Keys(o) {
		out[tp.topic] = append(out[tp.topic], tp.partition)
	}
	for _, partitions := range out {
		slices.Sort(partitions)
	}
	return out
}
