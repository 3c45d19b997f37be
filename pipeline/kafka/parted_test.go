package kafka_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// partsAt has brokers say, while end isn't negative, that their log of partition 0 of the input parts at end from what was read.
func (c *cluster) partsAt(end *atomic.Int64) {
	c.fake.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := r.(*kmsg.OffsetForLeaderEpochRequest)
		at := end.Load()
		if !ok || at < 0 {
			return nil, nil, false
		}
		resp, ok := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		if !ok {
			return nil, nil, false
		}
		for _, topic := range req.Topics {
			answer := kmsg.NewOffsetForLeaderEpochResponseTopic()
			answer.Topic = topic.Topic
			for _, p := range topic.Partitions {
				part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				part.Partition, part.LeaderEpoch, part.EndOffset = p.Partition, p.LeaderEpoch, 1<<40
				if topic.Topic == c.input && p.Partition == 0 {
					part.EndOffset = at
				}
				answer.Partitions = append(answer.Partitions, part)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		return resp, nil, true
	})
}

func (c *cluster) committedAt(t *testing.T) kadm.Offset {
	t.Helper()
	committed, err := c.admin.FetchOffsets(t.Context(), c.prefix)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := committed.Lookup(c.input, 0)
	return at.Offset
}

// TestOffsetsGivenAnew: while the service is down a leader is elected that lacks the last records that were read, and its log has grown past the
// committed offset. What it has under their offsets is read; the log says so, once.
func TestOffsetsGivenAnew(t *testing.T) {
	for _, mode := range []string{"exactly once", "at least once"} {
		t.Run(mode, func(t *testing.T) {
			c := fakeCluster(t, 1)
			cfg := c.config()
			cfg.AtLeastOnce = mode != "exactly once"
			m := c.start(t, cfg, t.TempDir())
			c.produce(t, "h", events(0, 5)...)
			c.awaitRead(t, c.input)
			m.stop()
			if at := c.committedAt(t); at.At != 5 || at.LeaderEpoch < 0 {
				t.Fatalf("committed is %d of epoch %d, want 5 of a known one", at.At, at.LeaderEpoch)
			}
			var end atomic.Int64
			end.Store(3)
			c.partsAt(&end)
			c.produce(t, "h", events(5, 2)...)
			log := &logLines{t: t}
			m = c.startDeps(t, cfg, t.TempDir(), log.deps(time.Now))
			until(t, "what has the old offsets is read", func() bool { return len(c.alerts(t)) >= 5+4 })
			c.awaitRead(t, c.input)
			end.Store(-1)
			m.stop()
			if lines := log.find("new ones have their offsets"); len(lines) != 1 {
				t.Errorf("it is told %d times, want once", len(lines))
			}
			m = c.start(t, cfg, t.TempDir())
			c.produce(t, "h", events(7, 1)...)
			c.awaitRead(t, c.input)
			m.stop()
			if got := len(c.alerts(t)); got != 5+4+1 {
				t.Errorf("%d alerts, want 10: of 5 events, of 4 that took the place of the last 2 or came behind them, and of 1", got)
			}
		})
	}
}

// TestOffsetsGivenAnewBehindAnAbort: while the service runs a leader is elected that lacks records before the committed offset. What it has in their place
// is read, and read again when its batch is dropped.
func TestOffsetsGivenAnewBehindAnAbort(t *testing.T) {
	c := fakeCluster(t, 1)
	log := &logLines{t: t}
	m := c.startDeps(t, c.config(), t.TempDir(), log.deps(time.Now))
	c.produce(t, "h", events(0, 4)...)
	c.awaitRead(t, c.input)
	var end atomic.Int64
	end.Store(1)
	c.partsAt(&end)
	var refused atomic.Bool
	c.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		req, ok := r.(*kmsg.TxnOffsetCommitRequest)
		end.Store(-1)
		refused.Store(true)
		return unknownMember(req), nil, ok // once
	})
	if err := c.fake.MoveTopicPartition(c.input, 0, 0); err != nil { // a leader is elected
		t.Fatal(err)
	}
	until(t, "what has the old offsets is read, and dropped", refused.Load)
	c.produce(t, "h", events(4, 1)...)
	until(t, "what has the old offsets is read", func() bool { return len(c.alerts(t)) >= 4+4 })
	c.awaitRead(t, c.input)
	m.stop()
	if got := len(c.alerts(t)); got != 4+4 {
		t.Errorf("%d alerts, want 8: of 4 events, and of 4 from offset 1 on", got)
	}
}

// TestOffsetOutOfRange: a broker that says of the offset after the last record that its log doesn't have it, though it does, has nothing read again, also
// where records at the log's start were deleted while the service runs.
func TestOffsetOutOfRange(t *testing.T) {
	c := fakeCluster(t, 1)
	m := c.start(t, c.config(), t.TempDir())
	c.produce(t, "h", events(0, 10)...)
	c.awaitRead(t, c.input)
	c.deleteBefore(t, 5)
	topics, err := c.admin.ListTopics(t.Context(), c.input)
	if err != nil {
		t.Fatal(err)
	}
	var told atomic.Bool
	c.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := r.(*kmsg.FetchRequest)
		if !ok || told.Load() {
			return nil, nil, false
		}
		for _, topic := range req.Topics {
			for _, p := range topic.Partitions {
				if topic.TopicID == topics[c.input].ID && p.FetchOffset >= 10 {
					told.Store(true)
					return outOfRange(req, topic.TopicID, p.Partition), nil, true
				}
			}
		}
		return nil, nil, false
	})
	c.produce(t, "h", events(10, 2)...) // ends the fetch that waits
	until(t, "the broker has said so", func() bool {
		c.produce(t, "h", `{"@timestamp":1790000000000,"event":{"category":"none"},"host":{"id":"h"}}`)
		return told.Load()
	})
	c.produce(t, "h", events(12, 1)...)
	c.awaitRead(t, c.input)
	m.stop()
	if got := len(c.alerts(t)); got != 13 {
		t.Errorf("%d alerts of 13 events", got)
	}
}

func outOfRange(req *kmsg.FetchRequest, topic [16]byte, partition int32) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = req.Version
	t, p := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
	t.TopicID, p.Partition, p.ErrorCode = topic, partition, kerr.OffsetOutOfRange.Code
	t.Partitions = append(t.Partitions, p)
	resp.Topics = append(resp.Topics, t)
	return resp
}
