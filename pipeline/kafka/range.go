package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
)

// Position is a place in a topic: an offset, a time, or one of the ends where both are unset.
type Position struct {
	Time   time.Time
	Offset int64
	// ByOffset says that Offset counts; otherwise Time does, unless it is zero.
	ByOffset bool
}

// RangeOptions say what a bounded replay reads.
type RangeOptions struct {
	Topics   []string
	From, To Position // zero values: the whole topic as it is now
	// WarmUp is read before From, so that sequences that began before it are complete; its alerts are not reported.
	WarmUp time.Duration
}

// Range reads a part of topics from beginning to end, as it was when it was opened. It commits nothing and joins
// no group. It is a replay.Source, for one goroutine.
type Range struct {
	ctx     context.Context //nolint:containedctx // a source is read without a context; this one ends it
	cl      *kgo.Client
	queue   []pipeline.Record
	next    int
	parts   map[topicPartition]*rangePart
	topics  []string // ascending
	numbers []int32  // of the partitions, ascending
	open    int
	total   int64

	released, returned int64 // records that went to the queue, and from it
	ends               []rangeEnd
}

// rangeEnd is a partition that ends with the records that were released before it.
type rangeEnd struct {
	partition int32
	released  int64
}

// topicPartition names a partition of a topic.
type topicPartition struct {
	topic     string
	partition int32
}

// rangePart is one partition of the range, offsets exclusive at the end.
type rangePart struct {
	warm, from, to int64
	next           int64
	held           lane // fetched, not released yet
	paused         bool
	done           bool
}

// maxHeld is the number of records that a partition may be ahead of its topic's fellows before it is paused.
const maxHeld = 20_000

// OpenRange resolves the range and begins to read.
func OpenRange(ctx context.Context, cfg Config, o RangeOptions, log *slog.Logger) (*Range, error) {
	cfg.EnsureDefaults()
	cfg.Topics = o.Topics
	common := cfg.clientOptions(log, newBuffers())
	base, err := kgo.NewClient(common...)
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(base)
	defer admin.Close()
	r := &Range{ctx: ctx, parts: map[topicPartition]*rangePart{}, topics: slices.Sorted(slices.Values(o.Topics))}
	if err := r.resolve(ctx, admin, o); err != nil {
		return nil, err
	}
	starts := map[string]map[int32]kgo.Offset{}
	for tp, p := range r.parts {
		if p.done {
			continue
		}
		if starts[tp.topic] == nil {
			starts[tp.topic] = map[int32]kgo.Offset{}
		}
		starts[tp.topic][tp.partition] = kgo.NewOffset().At(p.warm)
	}
	r.cl, err = kgo.NewClient(append(common,
		kgo.ConsumePartitions(starts), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(cfg.FetchMaxBytes), kgo.FetchMaxPartitionBytes(cfg.FetchMaxPartitionBytes))...)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// resolve turns the positions into offsets of each partition.
func (r *Range) resolve(ctx context.Context, admin *kadm.Client, o RangeOptions) error {
	starts, err := listed(admin.ListStartOffsets(ctx, o.Topics...))
	if err != nil {
		return fmt.Errorf("start offsets: %w", err)
	}
	// Up to what is decided: a transaction that is open, or hangs, must not hold the replay up.
	ends, err := listed(admin.ListCommittedOffsets(ctx, o.Topics...))
	if err != nil {
		return fmt.Errorf("end offsets: %w", err)
	}
	from, err := offsetsAt(ctx, admin, o.Topics, o.From, starts)
	if err != nil {
		return fmt.Errorf("from: %w", err)
	}
	to, err := offsetsAt(ctx, admin, o.Topics, o.To, ends)
	if err != nil {
		return fmt.Errorf("to: %w", err)
	}
	warm := from
	if o.WarmUp > 0 && !o.From.Time.IsZero() {
		warm, err = offsetsAt(ctx, admin, o.Topics, Position{Time: o.From.Time.Add(-o.WarmUp)}, starts)
		if err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	ends.Each(func(end kadm.ListedOffset) {
		tp := topicPartition{end.Topic, end.Partition}
		start, _ := starts.Lookup(end.Topic, end.Partition)
		clamp := func(at int64) int64 { return min(max(at, start.Offset), end.Offset) }
		p := &rangePart{held: lane{topic: end.Topic}, from: clamp(from[tp]), to: clamp(to[tp]), warm: clamp(min(warm[tp], from[tp]))}
		if o.From.ByOffset && o.WarmUp > 0 { // how far back a time lies is not known: begin at the start
			p.warm = start.Offset
		}
		p.next = p.warm
		p.done = p.warm >= p.to
		if !p.done {
			r.open++
			r.total += p.to - p.warm
		}
		r.parts[tp] = p
		if !slices.Contains(r.numbers, tp.partition) {
			r.numbers = append(r.numbers, tp.partition)
		}
	})
	slices.Sort(r.numbers)
	return nil
}

func listed(l kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	return l, errors.Join(err, l.Error())
}

// offsetsAt returns the offsets of a position, those of fallback where it is unset.
func offsetsAt(ctx context.Context, admin *kadm.Client, topics []string, at Position, fallback kadm.ListedOffsets) (map[topicPartition]int64, error) {
	out := map[topicPartition]int64{}
	if !at.ByOffset && !at.Time.IsZero() {
		var err error
		if fallback, err = listed(admin.ListOffsetsAfterMilli(ctx, at.Time.UnixMilli(), topics...)); err != nil {
			return nil, err
		}
	}
	fallback.Each(func(l kadm.ListedOffset) {
		offset := l.Offset
		if at.ByOffset {
			offset = at.Offset
		}
		out[topicPartition{l.Topic, l.Partition}] = offset
	})
	return out, nil
}

// Partitions returns the partitions that have records in the range.
func (r *Range) Partitions() (partitions []int32) {
	for tp, p := range r.parts {
		if p.warm < p.to && !slices.Contains(partitions, tp.partition) {
			partitions = append(partitions, tp.partition)
		}
	}
	slices.Sort(partitions)
	return partitions
}

// Total returns the number of offsets in the range, for a progress bar.
func (r *Range) Total() int64 { return r.total }

// Reported tells the alerts of the range from those of its warm-up: by the event that completed the match.
func (r *Range) Reported(a pipeline.Alert) bool {
	p := r.parts[topicPartition{a.Completed.Topic, a.Completed.Partition}]
	return p == nil || a.Completed.Offset >= p.from
}

// Next returns the next record: each partition in its order, several topics merged by record time.
func (r *Range) Next() (pipeline.Record, error) {
	for r.next == len(r.queue) {
		r.queue, r.next = r.queue[:0], 0
		if r.release(); len(r.queue) > 0 {
			break
		}
		if r.open == 0 {
			return pipeline.Record{}, io.EOF
		}
		if err := r.fetch(); err != nil {
			return pipeline.Record{}, err
		}
	}
	r.next++
	r.returned++
	return r.queue[r.next-1], nil
}

// Ended returns the partitions of which Next has returned the last record since the last call.
func (r *Range) Ended() (partitions []int32) {
	for len(r.ends) > 0 && r.ends[0].released <= r.returned {
		partitions = append(partitions, r.ends[0].partition)
		r.ends = r.ends[1:]
	}
	return partitions
}

// fetch polls once and holds what came.
func (r *Range) fetch() error {
	fetches := r.cl.PollFetches(r.ctx)
	if err := r.ctx.Err(); err != nil {
		return err
	}
	for _, e := range fetches.Errors() {
		if errors.Is(e.Err, errAnswerGone) {
			continue
		}
		return fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
	}
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		p := r.parts[topicPartition{f.Topic, f.Partition}]
		for _, rec := range f.Records {
			if p.done || rec.Offset >= p.to {
				break
			}
			p.next = rec.Offset + 1
			if !rec.Attrs.IsControl() {
				p.held.add(rec)
			}
		}
		last := f.Records
		if !p.done && (p.next >= p.to || len(last) > 0 && last[len(last)-1].Offset >= p.to-1) {
			p.done = true
			r.open--
			r.cl.PauseFetchPartitions(map[string][]int32{f.Topic: {f.Partition}})
		}
	})
	return nil
}

// release moves what may be processed now into the queue. With several topics a partition's records wait until it is known that
// those of the same partition of other topics come later.
func (r *Range) release() {
	for _, n := range slices.Clone(r.numbers) {
		var lanes []*lane
		left := false
		for _, topic := range r.topics {
			p := r.parts[topicPartition{topic, n}]
			if p == nil {
				continue
			}
			p.held.waits = !p.done && len(r.topics) > 1
			lanes = append(lanes, &p.held)
		}
		release(lanes, func(h laneRecord) {
			r.queue = append(r.queue, h.Record)
			r.released++
		})
		for _, topic := range r.topics {
			p := r.parts[topicPartition{topic, n}]
			left = left || p != nil && (!p.done || p.held.len() > 0)
		}
		if !left {
			r.ends = append(r.ends, rangeEnd{n, r.released})
			r.numbers = slices.DeleteFunc(r.numbers, func(o int32) bool { return o == n })
		}
	}
	for tp, p := range r.parts {
		r.throttle(tp, p)
	}
}

// throttle pauses a partition that is far ahead, and lets it go on when the others have caught up. One that the others wait
// for is never paused: it holds nothing.
func (r *Range) throttle(tp topicPartition, p *rangePart) {
	if p.done {
		return
	}
	which := map[string][]int32{tp.topic: {tp.partition}}
	switch ahead := p.held.len() > maxHeld; {
	case ahead && !p.paused:
		p.paused = true
		r.cl.PauseFetchPartitions(which)
	case !ahead && p.paused:
		p.paused = false
		r.cl.ResumeFetchPartitions(which)
	}
}

// Close ends the client.
func (r *Range) Close() error {
	r.cl.Close()
	return nil
}
