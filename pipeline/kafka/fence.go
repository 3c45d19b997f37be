package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fence makes sure that this member still owns its partitions, for a transaction without new offsets: what the
// wall clock decided on silent partitions. The client commits no offsets then, and it is the commit of offsets
// that the broker refuses to a member that was replaced while it slept. So the positions as they are committed
// already are committed once more, under the member's generation, as part of the transaction.
func (s *Service) fence(ctx context.Context) error {
	cl := s.session.Client()
	groupID, generation := cl.GroupMetadata()
	pid, epoch, err := cl.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID = s.cfg.transactionalID()
	add.ProducerID, add.ProducerEpoch, add.Group = pid, epoch, s.cfg.Group
	added, err := add.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("add offsets to the transaction: %w", err)
	}
	if err := kerr.ErrorForCode(added.ErrorCode); err != nil {
		return fmt.Errorf("add offsets to the transaction: %w", err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID = s.cfg.transactionalID()
	req.ProducerID, req.ProducerEpoch = pid, epoch
	req.Group, req.MemberID, req.Generation = s.cfg.Group, groupID, generation
	for topic, partitions := range cl.CommittedOffsets() {
		t := kmsg.NewTxnOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, s.source.ids[topic] // newer brokers go by the id
		for n, at := range partitions {
			if at.Offset < 0 {
				continue
			}
			p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch = n, at.Offset, at.Epoch
			t.Partitions = append(t.Partitions, p)
		}
		if len(t.Partitions) > 0 {
			req.Topics = append(req.Topics, t)
		}
	}
	if len(req.Topics) == 0 {
		return nil
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("commit of unchanged offsets: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("commit of unchanged offsets of %s/%d: %w", t.Topic, p.Partition, err)
			}
		}
	}
	return nil
}
