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

	"github.com/weir-eql/weir/pipeline"
)

// refillPatience is how long a refill may stand still, twice, with a broker that answers, before the records that it waits for are
// taken to be gone: a topic that is compacted has holes, and no reader is told of a hole at its end.
const refillPatience = 30 * time.Second

// reread reads the records of the input again that waited in the reorder buffers of workers at the last commit. Nothing
// is read where nothing waits. It is called after a reload; when it is through, refilled ends it for each worker.
func (s *Service) reread(ctx context.Context, workers ...*pipeline.Worker) error {
	r := refiller{service: s, todo: map[topicPartition]*refilling{}}
	for _, w := range workers {
		for _, span := range w.Missing() {
			r.todo[topicPartition{span.Topic, span.Partition}] = &refilling{take: w.Refill, next: span.From, end: span.To}
		}
	}
	if len(r.todo) == 0 {
		return nil
	}
	return r.read(ctx)
}

// input reads records again while they are being worked on.
type input struct{ service *Service }

// readPatience is how long the input is tried again where it brings nothing, before the client is given up.
const readPatience = 10 * time.Second

// Read is pipeline.Input's. Where the partition isn't there it tries again for readPatience only: until it returns the member commits nothing of its
// other partitions, and gives none up. Then the client is given up, as for any other trouble: the next one has this partition wait for its input,
// so that nothing is missed, and works on the others.
func (in input) Read(span pipeline.Span, take func([]pipeline.Record)) error {
	s := in.service
	s.mu.Lock()
	ctx := s.reading
	s.mu.Unlock()
	at, next := topicPartition{span.Topic, span.Partition}, span.From
	var failing time.Time // since when nothing came; zero where something did
	for backoff := firstBackoff; ; backoff = min(2*backoff, readPatience/4) {
		r := refiller{service: s, todo: map[topicPartition]*refilling{at: {take: func(records []pipeline.Record) {
			if len(records) > 0 { // control records aren't among them
				next, failing = records[len(records)-1].Offset+1, time.Time{}
				take(records)
			}
		}, next: next, end: span.To}}}
		err := r.read(ctx)
		if err == nil {
			return nil
		}
		now := s.deps.Now()
		if failing.IsZero() {
			failing = now
		}
		if ctx.Err() == nil {
			s.log.Warn("events that wait can't be read again from the input", slog.String("topic", span.Topic), slog.Int("partition", int(span.Partition)),
				slog.Int64("offset", next), slog.Any("error", err), slog.Duration("pause", backoff))
		}
		if now.Sub(failing) >= readPatience {
			return fmt.Errorf("%w: %w", errInput, err)
		}
		if err := pause(ctx, backoff); err != nil {
			return fmt.Errorf("%w: %w", errInput, err)
		}
	}
}

// errInput marks an end that came while records were read again.
var errInput = errors.New("reading the input again was broken off")

// read reads all spans.
func (r *refiller) read(ctx context.Context) error {
	if err := r.clamp(ctx); err != nil {
		return fmt.Errorf("offsets of waiting events: %w", err)
	}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("read waiting events again from the input: %w", err)
	}
	return nil
}

// refilled ends the refill of a partition's worker: what did not come is lost.
func (s *Service) refilled(n int32, w *pipeline.Worker) error {
	lost, err := w.Refilled()
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if lost > 0 {
		s.log.Error("events that waited for earlier ones are lost: the input doesn't have them any more, and what they would have matched is missed; "+
			"raise the topic's retention.ms or retention.bytes above the longest time that the service may be down, and don't compact it",
			slog.Int("partition", int(n)), slog.Int("events", lost))
	}
	return nil
}

// refiller reads spans of the input.
type refiller struct {
	service *Service
	todo    map[topicPartition]*refilling
	records []pipeline.Record
	count   int
}

// refilling is one span.
type refilling struct {
	take      func([]pipeline.Record)
	next, end int64
}

// clamp cuts the spans to what the input has.
func (r *refiller) clamp(ctx context.Context) error {
	s := r.service
	partitions := slices.Collect(maps.Keys(r.todo))
	starts := s.listWithin(ctx, firstPatience, startOffsets, partitions)
	ends := s.listWithin(ctx, firstPatience, decidedOffsets, partitions)
	for tp, t := range r.todo {
		start, err := starts.of(tp)
		if errors.Is(err, kerr.UnknownTopicOrPartition) && !slices.Contains(s.cfg.Topics, tp.topic) { // it was taken out, and deleted
			delete(r.todo, tp)
			continue
		}
		if err != nil {
			return err
		}
		end, err := ends.of(tp)
		if err != nil {
			return err
		}
		t.next, t.end = max(t.next, start), min(t.end, end)
		if t.next >= t.end {
			delete(r.todo, tp)
		}
	}
	return nil
}

// run reads until all spans are at their ends.
func (r *refiller) run(ctx context.Context) error {
	if len(r.todo) == 0 {
		return nil
	}
	s := r.service
	began := s.deps.Now()
	offsets := map[string]map[int32]kgo.Offset{}
	for tp, t := range r.todo {
		if offsets[tp.topic] == nil {
			offsets[tp.topic] = map[int32]kgo.Offset{}
		}
		offsets[tp.topic][tp.partition] = kgo.NewOffset().At(t.next)
	}
	cl, err := kgo.NewClient(append(s.cfg.clientOptions(s.log, newBuffers()),
		kgo.ConsumePartitions(offsets), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchMaxBytes(s.cfg.FetchMaxBytes),
		kgo.FetchMaxPartitionBytes(s.cfg.FetchMaxPartitionBytes),
	)...)
	if err != nil {
		return err
	}
	defer cl.Close()
	moved, proven := began, false
	for len(r.todo) > 0 {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollRecords(wait, s.cfg.BatchRecords)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		before := r.count
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { r.take(cl, p) })
		switch now := s.deps.Now(); {
		case r.count > before:
			moved, proven = now, false
		case now.Sub(moved) > refillPatience:
			// Only a broker that answers proves that there is nothing to read.
			if err := r.clamp(ctx); err != nil {
				return err
			}
			if proven {
				clear(r.todo)
			}
			moved, proven = s.deps.Now(), true // its leader may be back just now, and the client not know it yet
		}
	}
	s.log.Info("waiting events read again from the input", slog.Int("records_read", r.count),
		slog.Duration("took", s.deps.Now().Sub(began).Round(time.Millisecond)))
	return nil
}

// take hands records of one partition to their worker.
func (r *refiller) take(cl *kgo.Client, p kgo.FetchTopicPartition) {
	tp := topicPartition{p.Topic, p.Partition}
	t, ok := r.todo[tp]
	if !ok || len(p.Records) == 0 {
		return
	}
	r.count += len(p.Records)
	r.records = r.records[:0]
	for _, rec := range p.Records {
		t.next = rec.Offset + 1
		if !rec.Attrs.IsControl() && rec.Offset < t.end {
			r.records = append(r.records, toRecord(rec))
		}
	}
	t.take(r.records)
	clear(r.records)
	if t.next >= t.end {
		delete(r.todo, tp)
		cl.PauseFetchPartitions(map[string][]int32{p.Topic: {p.Partition}})
	}
}
