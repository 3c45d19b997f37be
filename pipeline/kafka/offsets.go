package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetKind is what is asked for of partitions.
type offsetKind int

const (
	startOffsets   offsetKind = iota // where the log begins
	endOffsets                       // its high watermark
	decidedOffsets                   // up to where transactions are decided
)

// listing are offsets of partitions. One that has no leader, or whose broker doesn't answer, has an error in place of one: that is no trouble
// of the others, of which nobody works on less for it.
type listing struct {
	offsets map[topicPartition]int64
	failed  map[topicPartition]error
}

// errNoOffset says that a broker left a partition out of its answer.
var errNoOffset = errors.New("the broker's answer lacks the partition")

// of returns the offset of a partition.
func (l listing) of(tp topicPartition) (int64, error) {
	if at, ok := l.offsets[tp]; ok {
		return at, nil
	}
	err := l.failed[tp]
	if err == nil {
		err = errNoOffset
	}
	return 0, fmt.Errorf("offsets of %s/%d: %w", tp.topic, tp.partition, err)
}

// list asks for offsets of partitions, and of no others: so it waits for no other's broker.
func (s *Service) list(ctx context.Context, kind offsetKind, partitions []topicPartition) listing {
	l := listing{offsets: map[topicPartition]int64{}, failed: map[topicPartition]error{}}
	if len(partitions) == 0 {
		return l
	}
	for _, shard := range s.cl.RequestSharded(ctx, kind.request(partitions)) {
		if shard.Err != nil {
			if req, ok := shard.Req.(*kmsg.ListOffsetsRequest); ok {
				l.fail(req, shard.Err)
			}
			continue
		}
		if resp, ok := shard.Resp.(*kmsg.ListOffsetsResponse); ok {
			l.take(resp)
		}
	}
	return l
}

// listWithin is list for brokers that have a time to answer.
func (s *Service) listWithin(ctx context.Context, patience time.Duration, kind offsetKind, partitions []topicPartition) listing {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.list(ctx, kind, partitions)
}

// request asks for the offsets of partitions.
func (k offsetKind) request(partitions []topicPartition) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	timestamp := int64(-1)
	switch k {
	case startOffsets:
		timestamp = -2
	case decidedOffsets:
		req.IsolationLevel = 1
	default:
	}
	topics := map[string]int{}
	for _, tp := range partitions {
		i, ok := topics[tp.topic]
		if !ok {
			i = len(req.Topics)
			topics[tp.topic] = i
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = tp.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Partition, p.Timestamp = tp.partition, timestamp
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}

// fail notes why what a request asked for isn't known.
func (l listing) fail(req *kmsg.ListOffsetsRequest, err error) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			l.failed[topicPartition{t.Topic, p.Partition}] = err
		}
	}
}

// take notes what a broker answered.
func (l listing) take(resp *kmsg.ListOffsetsResponse) {
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			tp := topicPartition{t.Topic, p.Partition}
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				l.failed[tp] = err
				continue
			}
			l.offsets[tp] = p.Offset
		}
	}
}
