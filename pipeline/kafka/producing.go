package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/state"
)

// producing gathers the outcome of the records of one transaction.
type producing struct {
	cfg     *Config
	mu      sync.Mutex
	err     error
	first   map[int32]int64 // oldest changelog offset by partition
	last    map[int32]int64 // newest changelog offset by partition
	written map[string]bool // topics to which records were written
}

func newProducing(cfg *Config) *producing {
	return &producing{cfg: cfg, first: map[int32]int64{}, last: map[int32]int64{}, written: map[string]bool{}}
}

func (p *producing) done(r *kgo.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.fail(r, err)
		return
	}
	p.written[r.Topic] = true
	if r.Topic == p.cfg.ChangelogTopic {
		if first, ok := p.first[r.Partition]; !ok || r.Offset < first {
			p.first[r.Partition] = r.Offset
		}
		p.last[r.Partition] = max(p.last[r.Partition], r.Offset)
	}
}

// fail keeps the first error, but prefers one that says what an operator has to do: others may follow from it.
func (p *producing) fail(r *kgo.Record, err error) {
	err = p.cfg.sinkError(r.Topic, len(r.Key)+len(r.Value), err)
	_, tells := errors.AsType[*SinkError](err)
	_, told := errors.AsType[*SinkError](p.err)
	if p.err == nil || tells && !told {
		p.err = fmt.Errorf("produce to %s: %w", r.Topic, err)
	}
}

// wait flushes, so that each record's outcome is known before the transaction ends.
func (p *producing) wait(ctx context.Context, cl *kgo.Client) error {
	flushErr := cl.Flush(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	return errors.Join(p.err, flushErr)
}

func alertRecord(topic string, a *pipeline.Alert) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: []byte(state.Fold(string(a.Key))), Value: a.Body, Headers: []kgo.RecordHeader{
		{Key: "rule.id", Value: []byte(a.RuleID)},
		{Key: "severity", Value: []byte(a.Severity)},
		{Key: "event.id", Value: []byte(a.ID)},
	}}
}

func deadLetterRecord(topic string, d *pipeline.DeadLetter) *kgo.Record {
	return &kgo.Record{Topic: topic, Key: d.Key, Value: d.Value, Headers: []kgo.RecordHeader{
		{Key: "weir.reason", Value: []byte(d.Reason)},
		{Key: "weir.detail", Value: []byte(d.Detail)},
		{Key: "weir.topic", Value: []byte(d.Topic)},
		{Key: "weir.partition", Value: strconv.AppendInt(nil, int64(d.Partition), 10)},
		{Key: "weir.offset", Value: strconv.AppendInt(nil, d.Offset, 10)},
		{Key: "weir.length", Value: strconv.AppendInt(nil, int64(d.Length), 10)},
		{Key: "weir.sha256", Value: []byte(d.SHA256)},
	}}
}
