package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// located says where the input of partitions goes on, and where their changelog begins and ends.
type located struct {
	committed    offsets
	parts        map[topicPartition]int64 // where the log goes on, where that is before what is committed
	unsure       map[topicPartition]error // why it can't be told just now whether it does
	starts, ends listing
}

// locate asks where the input of partitions goes on, and where their changelog is. It waits for transactions of predecessors to end. Brokers have
// patience to answer, for each of three questions: of partitions without an answer failure says what is wrong.
func (s *Service) locate(ctx context.Context, partitions []int32, patience time.Duration) (*located, error) {
	committed, err := s.committedOffsets(ctx, partitions) // first: what it waits for is on the changelog then
	if err != nil {
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	var wanted []topicPartition
	for _, n := range partitions {
		wanted = append(wanted, s.sources(n)...)
	}
	at := &located{
		committed: committed,
		ends:      s.listWithin(ctx, patience, endOffsets, wanted),
		starts:    s.listWithin(ctx, patience, startOffsets, wanted),
	}
	there := maps.Clone(committed)
	maps.DeleteFunc(there, func(tp topicPartition, _ kgo.EpochOffset) bool { _, err := at.ends.of(tp); return err != nil })
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	at.parts, at.unsure = s.parts(ctx, there)
	return at, nil
}

// sources are the logs that a partition's worker is made from.
func (s *Service) sources(n int32) []topicPartition {
	out := []topicPartition{{s.cfg.ChangelogTopic, n}}
	for _, topic := range s.cfg.consumed() {
		out = append(out, topicPartition{topic, n})
	}
	return out
}

// parts asks the leaders whether their logs have all that lies before committed offsets. A leader that was elected though it lacked the last
// records (unclean.leader.election.enable) gives their offsets anew, and may have come to the committed one again: only the epochs tell. parts
// returns the offsets at which those logs part from what was read. Where it can't be told, which is no error, there is none; where it can't be told because
// the leader is missing just now, unsure has it.
func (s *Service) parts(ctx context.Context, committed offsets) (out map[topicPartition]int64, unsure map[topicPartition]error) {
	out, unsure = map[topicPartition]int64{}, map[topicPartition]error{}
	var req kadm.OffsetForLeaderEpochRequest
	for tp, at := range committed {
		if at.Epoch >= 0 {
			req.Add(tp.topic, tp.partition, at.Epoch)
		}
	}
	if len(req) == 0 {
		return out, unsure
	}
	answer, err := s.admin.OffsetForLeaderEpoch(ctx, req)
	if err != nil {
		s.log.Info("whether records before the committed offsets are gone wasn't told by all brokers", slog.Any("error", err))
	}
	for tp, at := range committed {
		end, ok := answer[tp.topic][tp.partition]
		cause := err
		if ok {
			cause = end.Err
		}
		switch {
		case at.Epoch < 0:
		case cause != nil && momentary(cause):
			unsure[tp] = fmt.Errorf("end of the last epoch that was read of %s/%d: %w", tp.topic, tp.partition, cause)
		case ok && cause == nil && end.EndOffset >= 0 && end.EndOffset < at.Offset:
			out[tp] = end.EndOffset
		}
	}
	return out, unsure
}

// momentary reports whether a broker says that trying again helps, or doesn't answer in time.
func momentary(err error) bool {
	said, ok := errors.AsType[*kerr.Error](err)
	return ok && said.Retriable || errors.Is(err, context.DeadlineExceeded)
}

// failure returns why it isn't known where the sources of a partition are, nil where it is.
func (at *located) failure(sources []topicPartition) error {
	for _, tp := range sources {
		if _, err := at.ends.of(tp); err != nil {
			return err
		}
		if _, err := at.starts.of(tp); err != nil {
			return err
		}
		if err := at.unsure[tp]; err != nil {
			return err
		}
	}
	return nil
}

// checkPositions takes over where the input of a partition goes on, after its state was restored: records may have been
// deleted before they were read, and the group's offsets may have gone while the state is there.
func (s *Service) checkPositions(m *member, at *located) error {
	known := false
	for _, topic := range s.cfg.consumed() {
		s.deps.Metrics.inputLost(topic, m.number, 0) // so that the first loss is an increase
		tp := topicPartition{topic, m.number}
		m.starts[topic] = at.starts.offsets[tp]
		committed, ok := at.committed[tp]
		parts, parted := at.parts[tp]
		if from, has := m.committed[topic]; has && (from.Offset != committed.Offset || !ok) { // the checkpoint record's: the state is as old as that
			m.seek[topic], m.differs = from.Offset, true
			committed, ok, parted = from, true, parted && parts < from.Offset
		}
		if !ok {
			continue
		}
		known = known || topic != s.cfg.RekeyTopic
		if end := at.ends.offsets[tp]; parted {
			committed = s.partedAt(m, topic, at.committed[tp], parts)
		} else if end < committed.Offset {
			committed = s.shortened(m, topic, committed.Offset, end)
		}
		m.committed[topic] = committed
		s.noteLost(m, topic, m.starts[topic])
	}
	if clock := m.worker.RecordClock(); !known && clock > 0 {
		return s.orphaned([]int32{m.number}, time.UnixMilli(clock).UTC())
	}
	return nil
}

// shortened has a topic read on from its end, where it ends before what was read: the client would begin at its start, and
// everything on it would count twice.
func (s *Service) shortened(m *member, topic string, committed, end int64) kgo.EpochOffset {
	s.log.Error("the input ends before what was read: the broker has lost records, or the topic was made anew; it goes on at the end, and "+
		"records that were written since up to there aren't read",
		slog.String("topic", topic), slog.Int("partition", int(m.number)), slog.Int64("read_to", committed), slog.Int64("end", end))
	m.seek[topic], m.differs = end, true
	return kgo.EpochOffset{Epoch: -1, Offset: end}
}

// partedAt has a topic read on from where its log parts from what was read: what lies there is new, though the group was behind it.
func (s *Service) partedAt(m *member, topic string, committed kgo.EpochOffset, at int64) kgo.EpochOffset {
	s.log.Error("records of the input are gone: a leader was elected that lacked the last ones that were read, and new ones have their offsets "+
		"(unclean.leader.election.enable); it goes on with these",
		slog.String("topic", topic), slog.Int("partition", int(m.number)), slog.Int64("read_to", committed.Offset),
		slog.Int("epoch", int(committed.Epoch)), slog.Int64("goes_on_at", at))
	at = max(at, m.starts[topic])
	m.parted[topic] = committed
	m.seek[topic], m.differs = at, true
	return kgo.EpochOffset{Epoch: -1, Offset: at}
}

// knows reports whether it was found out when the partition was taken over what the client tells of the group's offset.
func (m *member) knows(loss *kgo.ErrDataLoss) bool {
	known, ok := m.parted[loss.Topic]
	return ok && known == kgo.EpochOffset{Epoch: loss.ConsumedToEpoch, Offset: loss.ConsumedTo}
}

// orphaned says that there is state of partitions for which the group has no offsets. To read them from their beginning would
// publish old alerts again, under state that is ahead of the events.
func (s *Service) orphaned(partitions []int32, newest time.Time) error {
	return fmt.Errorf("%w: the group %s has no committed offsets for partitions %v of %s, but the changelog %s holds their state, up to %s: "+
		"the offsets have expired (offsets.retention.minutes), or the group was deleted, or the input was replaced. Either set them to where the state "+
		"is: kafka-consumer-groups.sh --bootstrap-server %s --group %s --topic TOPIC --reset-offsets --to-datetime %s --execute; "+
		"or begin anew, from the start of the input: delete %s",
		ErrTopics, s.cfg.Group, partitions, strings.Join(s.cfg.Topics, ", "), s.cfg.ChangelogTopic, newest.Format(time.RFC3339),
		strings.Join(s.cfg.Brokers, ","), s.cfg.Group, newest.Format("2006-01-02T15:04:05.000"), s.cfg.ChangelogTopic)
}

// noteLost counts and reports the records of a topic that were deleted before they were read: those from where the member
// has read to, up to the start of the log.
func (s *Service) noteLost(m *member, topic string, start int64) {
	from, ok := m.fetchedTo(topic)
	if !ok {
		return
	}
	tp := topicPartition{topic, m.number}
	if from = max(from, s.lostUpTo[tp]); from >= start {
		return
	}
	s.lostUpTo[tp] = start // after an abort the same is seen again
	s.deps.Metrics.inputLost(topic, m.number, start-from)
	s.log.Error("records of the input are lost: they were deleted before they were read, and what they would have matched is missed; "+
		"raise the topic's retention.ms or retention.bytes above the longest time that the service may be down or behind",
		slog.String("topic", topic), slog.Int("partition", int(m.number)), slog.Int64("first_offset", from), slog.Int64("last_offset", start-1))
}

// committedOffsets returns the offsets that the group has committed for partitions of the input topics. It waits for
// transactions whose outcome isn't known yet.
func (s *Service) committedOffsets(ctx context.Context, partitions []int32) (offsets, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = s.cfg.Group
	for _, topic := range s.cfg.consumed() {
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = topic, slices.Clone(partitions)
		group.Topics = append(group.Topics, t)
	}
	req.Groups = append(req.Groups, group)
	ctx, cancel := context.WithTimeout(ctx, 3*s.cfg.TransactionTimeout)
	defer cancel()
	for {
		resp, err := req.RequestWith(ctx, s.cl)
		if err != nil {
			return nil, err
		}
		out, err := offsetsOf(resp)
		if !errors.Is(err, kerr.UnstableOffsetCommit) {
			return out, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func offsetsOf(resp *kmsg.OffsetFetchResponse) (offsets, error) {
	out := offsets{}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return nil, err
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
				if p.Offset >= 0 {
					out[topicPartition{t.Topic, p.Partition}] = kgo.EpochOffset{Epoch: p.LeaderEpoch, Offset: p.Offset}
				}
			}
		}
	}
	return out, nil
}
