package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
)

// batch polls and processes records for one commit interval, while the batch before is being committed, and then begins to commit. It returns nil
// after an abort too: then everything was reloaded and the same records come again.
func (s *Service) batch(ctx context.Context) error {
	until := s.batchEnd(s.deps.Now())
	for _, m := range s.members {
		s.seek(m)
	}
	for more := true; more; {
		if err := s.poll(ctx, s.prolonged(until)); err != nil {
			return err
		}
		if aborted, err := s.settleEnded(ctx); aborted || err != nil {
			return err
		}
		more = s.deps.Now().Before(s.prolonged(until)) && !s.full() && ctx.Err() == nil && !s.pendingChange()
	}
	if len(s.cfg.Topics) > 1 {
		s.align(ctx, true)
		if err := s.process(); err != nil {
			return err
		}
	}
	if err := s.idle(ctx); err != nil {
		return err
	}
	if aborted, err := s.settle(ctx); aborted || err != nil {
		return err
	}
	return s.commit()
}

// longestBehind is how much longer a batch may go on than it should, while the one before is still being committed.
const longestBehind = time.Second

// prolonged returns when a batch ends that should end at until: not before the one before it is committed, but for its own bounds. A broker that
// is slow gets larger transactions, not a member that waits.
func (s *Service) prolonged(until time.Time) time.Time {
	if s.committing != nil {
		return until.Add(longestBehind)
	}
	return until
}

// batchEnd returns when the batch that begins now ends. Commits are an interval apart from beginning to beginning, where the member keeps up:
// what comes while one is under way waits for the rest of its interval, not for a whole one more. A batch has a quarter of the interval at
// least, however slow commits are, and all of it where much is still to be read: a commit costs the same for more records.
func (s *Service) batchEnd(now time.Time) time.Time {
	interval := s.cfg.CommitInterval
	if s.behind() > int64(s.cfg.BatchRecords/4) {
		return now.Add(interval)
	}
	if end := s.began.Add(interval); end.After(now.Add(interval / 4)) {
		return end
	}
	return now.Add(interval / 4)
}

// behind returns how many records of the input are known to be there that were not read yet.
func (s *Service) behind() (records int64) {
	for _, m := range s.members {
		for topic, end := range m.ends {
			if at, ok := m.positions[topic]; ok {
				records += max(0, end-at)
			}
		}
	}
	return records
}

func (s *Service) full() bool {
	for _, m := range s.members {
		if m.worker.Full() {
			return true
		}
	}
	return false
}

// fetch returns the next records, none at the time given or when the commit that is under way has ended.
func (s *Service) fetch(ctx context.Context, until time.Time) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, max(until.Sub(s.deps.Now()), time.Millisecond))
	defer cancel()
	if c := s.committing; c != nil {
		go func() {
			select {
			case <-c.done:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return s.cl.PollRecords(ctx, s.cfg.BatchRecords)
}

// poll fetches records until a time, hands them to their workers and waits for them.
func (s *Service) poll(ctx context.Context, until time.Time) error {
	fetches := s.fetch(ctx, until)
	if err := s.pollError(fetches); err != nil {
		return err
	}
	var strays []int32
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		if len(p.Records) == 0 {
			return
		}
		m := s.members[p.Partition]
		switch {
		case m == nil && p.Topic == s.cfg.RekeyTopic:
			return
		case m == nil:
			strays = append(strays, p.Partition)
			return
		}
		if s.astray(m, p) {
			return
		}
		s.noteLost(m, p.Topic, p.LogStartOffset)
		if p.Topic == s.cfg.RekeyTopic {
			m.takeRekeyed(p)
		} else {
			m.take(p, s.deps.Now())
		}
	})
	if len(strays) > 0 {
		return fmt.Errorf("records of partitions %v came before they were assigned", strays)
	}
	s.align(ctx, false)
	return s.process()
}

// pollError returns the first error of a poll that isn't the end of its time. The client retries what can be
// retried; what it reports is for us: a new client looks at the topics again and finds out what is wrong with them.
func (s *Service) pollError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		var loss *kgo.ErrDataLoss
		_, session := errors.AsType[*kgo.ErrGroupSession](e.Err)
		switch {
		case session && (isExpelled(e.Err) || isRebalance(e.Err)): // the client joins again by itself
			s.log.Warn("the group took this member for dead", slog.Any("error", e.Err))
		case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, context.Canceled), errors.Is(e.Err, errAnswerGone):
		case errors.As(e.Err, &loss):
			s.log.Error("records of the input are gone: the broker lost or deleted them",
				slog.String("topic", e.Topic), slog.Int("partition", int(e.Partition)), slog.Any("error", e.Err))
			if m := s.members[e.Partition]; m != nil && loss.ResetTo < loss.ConsumedTo && !m.knows(loss) {
				// It goes on where its log parts from what was read, or, where it doesn't know that, reads all of the log again; and a commit may be
				// under way that says otherwise. A new one asks where what is committed goes on.
				return fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
			}
		case errors.Is(e.Err, kerr.TopicAuthorizationFailed), errors.Is(e.Err, kerr.GroupAuthorizationFailed):
			return fmt.Errorf("%w: %s: %w", ErrTopics, e.Topic, e.Err)
		default:
			return fmt.Errorf("fetch %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return nil
}

// fetchError returns the first error of a poll that is neither the end of its time nor passes by itself.
func fetchError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, errAnswerGone) {
			return e.Err
		}
	}
	return nil
}

// take notes fetched records for the worker. Transaction markers only move the position.
func (m *member) take(p kgo.FetchTopicPartition, now time.Time) {
	if l := m.lane(p.Topic); l != nil {
		m.hold(l, p)
		return
	}
	m.noteRead(p)
	before := len(m.records)
	for _, r := range p.Records {
		if !r.Attrs.IsControl() {
			m.records = append(m.records, toRecord(r))
			m.fetched = append(m.fetched, r)
		}
	}
	m.took(m.records[before:], now)
}

// forget gives up the records that were processed, and their memory back.
func (m *member) forget(memory *buffers) {
	clear(m.records)
	m.records = m.records[:0]
	memory.recycle(m.fetched)
	clear(m.fetched)
	m.fetched = m.fetched[:0]
}

// noteRead moves the position on a topic.
func (m *member) noteRead(p kgo.FetchTopicPartition) {
	last := p.Records[len(p.Records)-1]
	m.positions[p.Topic], m.epochs[p.Topic] = last.Offset+1, last.LeaderEpoch
	m.ends[p.Topic] = max(p.HighWatermark, m.positions[p.Topic])
}

// toRecord takes over what the pipeline needs of a record; key and value stay the client's.
func toRecord(r *kgo.Record) pipeline.Record {
	rec := pipeline.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Key: r.Key, Value: r.Value,
		Time: r.Timestamp.UnixMilli(), Clock: pipeline.ClockCreate, LeaderEpoch: r.LeaderEpoch,
	}
	if r.Attrs.TimestampType() == 1 {
		rec.Clock = pipeline.ClockLogAppend
	}
	return rec
}

// process lets the workers run what was fetched for them.
func (s *Service) process() error {
	var busy []*member
	for _, m := range s.members {
		if len(m.records) > 0 || len(m.rekey.records) > 0 {
			busy = append(busy, m)
		}
	}
	if len(busy) == 0 {
		return nil
	}
	err := each(busy, func(m *member) error {
		before := m.worker.RecordClock()
		err := s.preparers.process(m.worker, m.records)
		m.seeRecords(before)
		if err != nil {
			return err
		}
		return m.worker.ProcessRekeyed(m.rekey.records)
	})
	for _, m := range busy {
		m.forget(s.memory)
		clear(m.rekey.records)
		m.rekey.records = m.rekey.records[:0]
	}
	switch {
	case errors.Is(err, errInput):
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errStore, err)
	}
	for _, m := range busy {
		s.noteHosts(m)
	}
	return nil
}

// idle lets the wall clock move the watermarks of partitions that are silent and caught up. The record clock
// moves as far as the wall clock has since the last record came, so that it never passes the broker's present.
func (s *Service) idle(ctx context.Context) error {
	now := s.deps.Now()
	var silent []*member
	for _, m := range s.members {
		if _, due := m.idleClock(now); (due || s.promises(m, now)) && now.Sub(m.lastSeen) >= s.cfg.IdleAfter {
			silent = append(silent, m)
		}
	}
	if len(silent) == 0 || now.Sub(s.endsAt) < s.cfg.IdleAfter/4 || s.pendingChange() {
		return nil
	}
	s.endsAt = now
	// A partition may also be silent because fetching it is slow: only the broker knows.
	ends, ok := s.inputEnds(ctx, silent)
	if !ok {
		return nil
	}
	for _, m := range silent {
		if !m.caughtUp(s.cfg.Topics, ends) {
			continue
		}
		clock, due := m.idleClock(now)
		m.promiseClock(now, clock)
		if !due {
			continue
		}
		m.seeClock(now)
		if err := m.worker.Idle(clock); errors.Is(err, errInput) {
			return err
		} else if err != nil {
			return fmt.Errorf("%w: %w", errStore, err)
		}
	}
	return nil
}

// inputEnds asks for the ends of the input on the partitions of members. ok is false where nothing is asked, or the end is asked for. Partitions
// whose ends aren't known are left out: the others don't wait for them.
func (s *Service) inputEnds(ctx context.Context, members []*member) (ends listing, ok bool) {
	var partitions []topicPartition
	for _, m := range members {
		for _, topic := range s.cfg.Topics {
			partitions = append(partitions, topicPartition{topic, m.number})
		}
	}
	ends, err := s.ends(ctx, partitions)
	if err != nil || ctx.Err() != nil {
		return ends, false
	}
	now := s.deps.Now()
	for _, tp := range partitions {
		if _, err := ends.of(tp); err != nil && now.Sub(s.toldEnds) >= toldEndsPause {
			s.toldEnds = now
			s.log.Warn("the ends of the input topics are not known everywhere: where they aren't the wall clock moves nothing", slog.Any("error", err))
		}
	}
	return ends, true
}

// toldEndsPause is how often the log says that ends of the input aren't known.
const toldEndsPause = time.Minute

// seeRecords notes when the time was what the record clock says, after records were processed; before is what it said before them.
// Where it is the time of an earlier record, which the last ones confirmed, it is as old as that record: else all silence that follows would
// begin by as much too late. Where they were not believed yet, the silence before them still counts.
func (m *member) seeRecords(before int64) {
	clock := m.worker.RecordClock()
	switch {
	case clock == before:
	case clock != m.jump:
		m.seeClock(m.lastSeen)
	case !m.jumpSeen.IsZero():
		m.seeClock(m.jumpSeen)
	default: // nobody knows: since the clock moved before, more time than that can't have passed
		m.seeClock(m.lastSeen.Add(-max(0, m.lastSeen.Sub(m.clockSeen)-time.Duration(clock-before)*time.Millisecond)))
	}
	if jump := m.worker.ClockJump(); jump != m.jump {
		m.jump, m.jumpSeen = jump, m.lastSeen
	}
}

// seeClock notes up to when the wall clock has moved the record clock, or a record did.
func (m *member) seeClock(at time.Time) {
	m.clockSeen = at
	m.worker.NoteWallClock(at.UnixMilli())
}

// clockSkew is by how much the wall clocks of two members may differ: the time between what two of them say counts less by that.
const clockSkew = 5 * time.Second

// begin has the time of a worker whose state was loaded go on: silence counts from now. The record clock is as old as its
// last move, before a restart too: records that came since, and weren't believed, don't say how much time has passed. What the last
// move's wall clock says, which may have been another member's and wrong, moves it no further than the present.
func (m *member) begin(now time.Time) {
	m.lastSeen, m.clockSeen = now, now
	m.jump, m.jumpSeen = m.worker.ClockJump(), time.Time{}
	if wall := m.worker.WallClock(); wall > 0 {
		silence := min(now.Sub(time.UnixMilli(wall))-clockSkew, now.Sub(time.UnixMilli(m.worker.RecordClock())))
		m.clockSeen = now.Add(-max(0, silence))
	}
}

// idleClock returns what the record clock would be by the wall clock, and whether something is due then.
func (m *member) idleClock(now time.Time) (clock int64, due bool) {
	at, ok := m.worker.NextDue()
	clock = m.worker.RecordClock() + now.Sub(m.clockSeen).Milliseconds()
	return clock, ok && clock >= at
}

// caughtUp reports whether everything on the member's partition of all topics was read. What was not read since
// the assignment stands where it is committed.
func (m *member) caughtUp(topics []string, ends listing) bool {
	for _, topic := range topics {
		end, err := ends.of(topicPartition{topic, m.number})
		if err != nil {
			return false
		}
		at, read := m.positions[topic]
		if !read {
			at = m.restart(topic).Offset
		}
		if at < end {
			return false
		}
	}
	return true
}
