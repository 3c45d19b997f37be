package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// inputPositions says where the input of partitions goes on.
type inputPositions struct {
	committed map[topicPartition]int64
	starts    kadm.ListedOffsets
	ends      kadm.ListedOffsets
}

// inputPositions asks where the input of partitions goes on. It waits for transactions of predecessors to end.
func (s *Service) inputPositions(ctx context.Context, partitions []int32) (*inputPositions, error) {
	committed, err := s.committedOffsets(ctx, partitions)
	if err != nil {
		return nil, fmt.Errorf("committed offsets: %w", err)
	}
	starts, err := listed(s.admin.ListStartOffsets(ctx, s.cfg.consumed()...))
	if err != nil {
		return nil, fmt.Errorf("start offsets of the input: %w", err)
	}
	ends, err := listed(s.admin.ListEndOffsets(ctx, s.cfg.consumed()...))
	if err != nil {
		return nil, fmt.Errorf("end offsets of the input: %w", err)
	}
	return &inputPositions{committed: committed, starts: starts, ends: ends}, nil
}

// checkPositions takes over where the input of a partition goes on, after its state was restored: records may have been
// deleted before they were read, and the group's offsets may have gone while the state is there.
func (s *Service) checkPositions(m *member, at *inputPositions) error {
	known := false
	for _, topic := range s.cfg.consumed() {
		s.deps.Metrics.inputLost(topic, m.number, 0) // so that the first loss is an increase
		start, hasStart := at.starts.Lookup(topic, m.number)
		if hasStart {
			m.starts[topic] = start.Offset
		}
		committed, ok := at.committed[topicPartition{topic, m.number}]
		if from, has := m.committed[topic]; has { // the checkpoint record's: the state is as old as that
			if from != committed || !ok {
				m.seek[topic], m.differs = from, true
			}
			committed, ok = from, true
		}
		if !ok {
			continue
		}
		known = known || topic != s.cfg.RekeyTopic
		if end, hasEnd := at.ends.Lookup(topic, m.number); hasEnd && end.Offset < committed {
			committed = s.shortened(m, topic, committed, end.Offset)
		}
		m.committed[topic] = committed
		if hasStart {
			s.noteLost(m, topic, start.Offset)
		}
	}
	if clock := m.worker.RecordClock(); !known && clock > 0 {
		return s.orphaned([]int32{m.number}, time.UnixMilli(clock).UTC())
	}
	return nil
}

// shortened has a topic read on from its end, where it ends before what was read: the client would begin at its start, and
// everything on it would count twice.
func (s *Service) shortened(m *member, topic string, committed, end int64) int64 {
	s.log.Error("the input ends before what was read: the broker has lost records, or the topic was made anew; it goes on at the end, and "+
		"records that were written since up to there aren't read",
		slog.String("topic", topic), slog.Int("partition", int(m.number)), slog.Int64("read_to", committed), slog.Int64("end", end))
	m.seek[topic], m.differs = end, true
	return end
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
func (s *Service) committedOffsets(ctx context.Context, partitions []int32) (map[topicPartition]int64, error) {
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

func offsetsOf(resp *kmsg.OffsetFetchResponse) (map[topicPartition]int64, error) {
	out := map[topicPartition]int64{}
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
					out[topicPartition{t.Topic, p.Partition}] = p.Offset
				}
			}
		}
	}
	return out, nil
}
