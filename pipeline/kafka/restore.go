package kafka

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/state"
)

// deleteRetention is how long the changelog keeps the tombstones of finished partials.
const deleteRetention = 24 * time.Hour

// compactionLag is how long the changelog of at-least-once delivery keeps all values of a key.
const compactionLag = time.Hour

// What is applied to the local store at once while a partition's state is read from the changelog: so many changed keys, or so many bytes.
const (
	restoreChunk      = 10_000
	restoreChunkBytes = 16 << 20
)

// restorePatience is how long a partition's restore may stand still before the log says what it waits for.
const restorePatience = 10 * time.Second

// restore brings the local state of partitions up to the committed state on the changelog: from the checkpoint
// where the local state can be trusted, else from the beginning.
//
// The end is the high watermark, read uncommitted: a transaction that is open now, of a predecessor, lies before
// it, and reading committed waits until its outcome is known. Its offsets are decided with it.
//
// complete is called for each partition whose local state is up to that end.
func (s *Service) restore(ctx context.Context, l *loader, partitions []int32, at *located, complete func(t *restoring)) error {
	r := &restorer{service: s, loader: l, todo: map[int32]*restoring{}, complete: complete}
	for _, n := range partitions {
		if err := l.use(n, func() error { return r.plan(n, at.starts, at.ends) }); err != nil {
			return err
		}
	}
	if err := r.run(ctx); err != nil {
		return fmt.Errorf("restore state from the changelog: %w", err)
	}
	return nil
}

// restorer reads the changelog of some partitions into the local store. Each has a goroutine of its own, which takes what was fetched for it.
type restorer struct {
	service  *Service
	loader   *loader
	todo     map[int32]*restoring // those of which there is more to fetch
	complete func(t *restoring)
	records  atomic.Int64
}

// restoring is one partition's restore. Up to work it belongs to whoever takes its records.
type restoring struct {
	part    *state.Partition
	next    int64 // changelog offset to take next
	end     int64 // where the restore is complete
	overlay state.Overlay
	journal *journal
	began   time.Time // when the end was asked for
	asOf    time.Time // when the copy was last up to the end, or began: nothing that was read before has a tombstone before next that is gone

	work  chan kgo.FetchTopicPartition // fetched, and to be taken
	read  int64                        // changelog offset to fetch next
	moved time.Time                    // when something was last fetched, or the log last said that nothing is
}

// plan decides from where a partition has to be read.
func (r *restorer) plan(n int32, starts, ends listing) (err error) {
	r.todo[n], err = r.service.planRestore(n, starts, ends)
	return err
}

// planRestore decides from where the changelog of a partition has to be read, and deletes local state that can't be trusted.
func (s *Service) planRestore(n int32, starts, ends listing) (*restoring, error) {
	part := s.deps.Store.Partition(n)
	end, err := ends.of(topicPartition{s.cfg.ChangelogTopic, n})
	if err != nil {
		return nil, err
	}
	start, err := starts.of(topicPartition{s.cfg.ChangelogTopic, n})
	if err != nil {
		return nil, err
	}
	now := s.deps.Now()
	from, asOf, reason := s.trusted(part, end)
	floor := epochOf(part)
	if reason != "" {
		s.log.Info("local state is rebuilt from the changelog", slog.Int("partition", int(n)), slog.String("reason", reason))
		if err := part.Wipe(); err != nil {
			return nil, fmt.Errorf("%w: wipe partition %d: %w", errStore, n, err)
		}
		from, asOf, floor = start, now, 0
	}
	from = max(from, start)
	return &restoring{part: part, next: from, end: end, journal: newJournal(floor), began: now, asOf: asOf, read: from, moved: now}, nil
}

// epochOf returns the epoch that the checkpoint of a partition's local state has.
func epochOf(part *state.Partition) uint64 {
	cp, ok, err := part.Checkpoint()
	if err != nil || !ok {
		return 0
	}
	return cp.Epoch
}

// trusted returns the changelog offset up to which the local state is good and since when it may be behind, or the reason why it isn't.
func (s *Service) trusted(part *state.Partition, end int64) (from int64, asOf time.Time, reason string) {
	cp, ok, err := part.Checkpoint()
	switch {
	case err != nil:
		return 0, time.Time{}, "the checkpoint can't be read: " + err.Error()
	case !ok:
		return 0, time.Time{}, "there is no local state"
	case cp.Version != state.CodecVersion:
		return 0, time.Time{}, "the local state was written by another version"
	case cp.Cluster != s.source.cluster || cp.Topic != s.source.topics:
		return 0, time.Time{}, "the local state belongs to another cluster or other topics"
	case cp.Changelog > end:
		return 0, time.Time{}, "the local state is ahead of the changelog"
	case s.deps.Now().UnixMilli()-cp.At > deleteRetention.Milliseconds()/2:
		return 0, time.Time{}, "the checkpoint is older than half of the changelog's delete.retention.ms"
	}
	return cp.Changelog, time.UnixMilli(cp.At), ""
}

// run reads until every partition has reached its end. Control records are kept: the last records of a changelog
// are transaction markers, and without them the end would never be seen.
func (r *restorer) run(ctx context.Context) error {
	for n, t := range r.todo {
		if err := r.loader.use(n, func() error { // not after it was given up
			r.service.noteRestore(n, max(0, t.end-t.next))
			return nil
		}); err != nil {
			return err
		}
		if t.next >= t.end {
			delete(r.todo, n)
			r.complete(t)
		}
	}
	if len(r.todo) == 0 {
		return nil
	}
	g, working := errgroup.WithContext(ctx)
	for n, t := range r.todo {
		t.work = make(chan kgo.FetchTopicPartition, 1)
		g.Go(func() error { return r.work(working, n, t) })
	}
	err := r.fetch(working)
	for _, t := range r.todo {
		close(t.work)
	}
	if failed := cmp.Or(g.Wait(), err); failed != nil { // the first is the cause of the second
		return failed
	}
	if n := r.records.Load(); n > 0 { // else there were but markers
		r.service.log.Info("state restored", slog.Int64("changelog_records", n))
	}
	return nil
}

// fetch hands records to the goroutines of their partitions, until each has them up to its end.
func (r *restorer) fetch(ctx context.Context) error {
	offsets := map[int32]kgo.Offset{}
	for n, t := range r.todo {
		offsets[n] = kgo.NewOffset().At(t.read)
	}
	cl, err := r.service.changelogClient(offsets)
	if err != nil {
		return err
	}
	defer cl.Close()
	for r.forgetReleased(); len(r.todo) > 0; r.forgetReleased() {
		wait, cancel := context.WithTimeout(ctx, time.Second)
		fetches := cl.PollFetches(wait)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetchError(fetches); err != nil {
			return err
		}
		fetches.EachPartition(func(p kgo.FetchTopicPartition) { r.hand(ctx, p) })
		r.noteWaiting()
	}
	return nil
}

// hand gives what was fetched of a partition to its goroutine, and waits until that is done with what came before the last.
func (r *restorer) hand(ctx context.Context, p kgo.FetchTopicPartition) {
	t := r.todo[p.Partition]
	if t == nil || len(p.Records) == 0 {
		return
	}
	select {
	case <-ctx.Done():
		return
	case t.work <- p:
	}
	t.read, t.moved = p.Records[len(p.Records)-1].Offset+1, r.service.deps.Now()
	if t.read >= t.end {
		r.forget(p.Partition)
	}
}

// forget fetches no more of a partition.
func (r *restorer) forget(n int32) {
	close(r.todo[n].work)
	delete(r.todo, n)
}

// work takes the records of one partition.
func (r *restorer) work(ctx context.Context, n int32, t *restoring) error {
	for p := range t.work {
		if ctx.Err() != nil {
			continue
		}
		if err := r.loader.use(n, func() error { return r.take(t, p) }); err != nil {
			return err // nobody may work on a state that lacks what could not be written
		}
	}
	if t.next >= t.end && ctx.Err() == nil {
		r.complete(t)
	}
	return nil
}

// changelogClient returns a client that reads partitions of the changelog, committed, from offsets on.
func (s *Service) changelogClient(offsets map[int32]kgo.Offset) (*kgo.Client, error) {
	return kgo.NewClient(append(s.cfg.clientOptions(s.log, newBuffers()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.cfg.ChangelogTopic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchMaxBytes(s.cfg.FetchMaxBytes),
	)...)
}

// forgetReleased forgets partitions that were given up meanwhile.
func (r *restorer) forgetReleased() {
	for n := range r.todo {
		if r.loader.released(n) {
			r.forget(n)
		}
	}
}

// noteWaiting logs the partitions whose restore stands still: reading committed stops at a transaction that is open.
func (r *restorer) noteWaiting() {
	s := r.service
	now := s.deps.Now()
	for n, t := range r.todo {
		if now.Sub(t.moved) < restorePatience {
			continue
		}
		t.moved = now
		s.log.Warn("the restore waits for an open transaction on the changelog to end, of a member that is gone or busy: "+
			"it ends with that member's transaction_timeout at the latest",
			slog.String("topic", s.cfg.ChangelogTopic), slog.Int("partition", int(n)),
			slog.Int64("offset", t.read), slog.Int64("end", t.end))
	}
}

// take puts the records of one partition into its overlay, and applies that when it is large or complete.
func (r *restorer) take(t *restoring, p kgo.FetchTopicPartition) error {
	s := r.service
	n := t.add(p)
	r.records.Add(int64(n))
	s.deps.Metrics.restoredRecords(n)
	if t.next < t.end && t.overlay.Len() < restoreChunk && t.overlay.Bytes() < restoreChunkBytes {
		return nil
	}
	if t.next >= t.end {
		if err := t.journal.finish(&t.overlay); err != nil {
			return fmt.Errorf("%w: changelog %s, partition %d: %w: restore the topic, or delete it and begin anew (live partials are lost)",
				ErrTopics, s.cfg.ChangelogTopic, p.Partition, err)
		}
	}
	if err := t.apply(s); err != nil {
		return err
	}
	s.noteRestore(p.Partition, max(0, t.end-t.next))
	return nil
}

// add puts fetched records into the overlay, and returns their number.
func (t *restoring) add(p kgo.FetchTopicPartition) (records int) {
	for _, rec := range p.Records {
		t.next = rec.Offset + 1
		if rec.Attrs.IsControl() {
			continue
		}
		records++
		switch {
		case !t.journal.take(rec):
		case rec.Value == nil:
			t.overlay.Delete(rec.Key)
		default:
			t.overlay.Put(rec.Key, rec.Value)
		}
	}
	return records
}

// apply writes the overlay to the local store, with a checkpoint. A batch that isn't in it will be read again.
//
// The checkpoint is as old as the time since which the copy has been behind: a tombstone that it hasn't come to yet may be
// compacted away delete.retention.ms after the value that it read.
func (t *restoring) apply(s *Service) error {
	if t.next >= t.end && t.began.After(t.asOf) {
		t.asOf = t.began
	}
	cp := s.checkpoint(nil, t.journal.safe(t.next))
	cp.Epoch = t.journal.floor
	cp.At = t.asOf.UnixMilli()
	if err := t.part.Apply(&t.overlay, cp); err != nil {
		return fmt.Errorf("%w: partition %d: %w", errStore, t.part.Number(), err)
	}
	t.overlay.Reset()
	s.deps.at(PointRestored)
	return nil
}

// checkpoint makes a checkpoint of the service's source.
func (s *Service) checkpoint(inputs map[string]int64, changelog int64) state.Checkpoint {
	return state.Checkpoint{
		Version: state.CodecVersion, Cluster: s.source.cluster, Topic: s.source.topics,
		Inputs: inputs, Changelog: changelog, At: s.deps.Now().UnixMilli(),
	}
}
