package kafka

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
)

// Where there are several input topics, records of the one that is ahead are held back until the others have brought
// theirs, or are known to be at their ends. What is held back isn't processed, so its offsets aren't committed. See
// docs/adr/0015.

// inputLane is the lane of one input topic on a partition of ours.
type inputLane struct {
	lane
	fetched bool
	next    int64         // the offset to be fetched next
	epoch   int32         // of the leader that wrote the last record that was fetched
	paused  bool          // too much is held back: it isn't fetched
	asked   time.Time     // when others were last seen to wait for it, and it had more to bring; zero where they don't
	waited  time.Duration // how long they have waited so
	givenUp bool          // they don't any more, until it brings something
}

// position returns the offset up to which all was handed on, and the epoch of a leader: there is nothing of an earlier one behind.
func (l *inputLane) position() (offset int64, epoch int32) {
	if l.len() > 0 {
		r := &l.records[l.first]
		return r.Offset, r.LeaderEpoch
	}
	return l.next, l.epoch
}

// brought notes that others need not wait: there are records, or there are none to come.
func (l *inputLane) brought() { l.asked, l.waited, l.givenUp = time.Time{}, 0, false }

// newLanes returns the lanes of a partition, none where there is one topic.
func newLanes(topics []string) (lanes []*inputLane) {
	if len(topics) < 2 {
		return nil
	}
	for _, topic := range slices.Sorted(slices.Values(topics)) {
		lanes = append(lanes, &inputLane{lane: lane{topic: topic}})
	}
	return lanes
}

func (m *member) lane(topic string) *inputLane {
	i := slices.IndexFunc(m.lanes, func(l *inputLane) bool { return l.topic == topic })
	if i < 0 {
		return nil
	}
	return m.lanes[i]
}

// hold notes fetched records in their lane.
func (m *member) hold(l *inputLane, p kgo.FetchTopicPartition) {
	l.brought()
	for _, r := range p.Records {
		if !r.Attrs.IsControl() {
			l.add(r)
		}
	}
	last := p.Records[len(p.Records)-1]
	l.fetched, l.next, l.epoch = true, last.Offset+1, last.LeaderEpoch
	m.ends[p.Topic] = max(p.HighWatermark, l.next)
}

// fetchedTo returns the offset up to which a topic was read, false where that isn't known.
func (m *member) fetchedTo(topic string) (int64, bool) {
	if l := m.lane(topic); l != nil && l.fetched {
		return l.next, true
	}
	if at, ok := m.positions[topic]; ok {
		return at, true
	}
	at, ok := m.committed[topic]
	return at.Offset, ok
}

// handOn moves what may be processed from the lanes to the worker's records. atEnd says of an empty lane that nothing is
// there to be fetched.
func (m *member) handOn(now time.Time, atEnd func(*inputLane) bool) {
	lanes := make([]*lane, 0, len(m.lanes))
	for _, l := range m.lanes {
		l.waits = !l.givenUp && (atEnd == nil || !atEnd(l))
		lanes = append(lanes, &l.lane)
	}
	before := len(m.records)
	release(lanes, func(h laneRecord) {
		m.records = append(m.records, h.Record)
		m.fetched = append(m.fetched, h.from)
	})
	m.took(m.records[before:], now)
	for _, l := range m.lanes {
		if l.fetched {
			m.positions[l.topic], m.epochs[l.topic] = l.position()
		}
	}
}

// blocked reports whether records are held back.
func (m *member) blocked() bool {
	return slices.ContainsFunc(m.lanes, func(l *inputLane) bool { return l.len() > 0 })
}

// clearLanes forgets what is held back.
func (s *Service) clearLanes(m *member) {
	for _, l := range m.lanes {
		l.clear()
		l.brought()
		l.fetched = false
		s.pauseLane(m, l, false)
	}
}

// align hands on what was fetched of several topics, as far as its order is known. last says that the batch ends with it.
func (s *Service) align(ctx context.Context, last bool) {
	if len(s.cfg.Topics) < 2 {
		return
	}
	now := s.deps.Now()
	share := s.laneShare()
	ask := last || now.Sub(s.askedAt) >= s.cfg.CommitInterval/4
	var blocked []*member
	for _, m := range s.members {
		m.handOn(now, nil)
		if m.blocked() {
			blocked = append(blocked, m)
			ask = ask || slices.ContainsFunc(m.lanes, func(l *inputLane) bool { return !l.paused && l.bytes > share/2 })
		}
	}
	if len(blocked) > 0 && ask && s.asking.due(now) && ctx.Err() == nil && !s.pendingChange() {
		s.awaitSlower(ctx, blocked, now)
	}
	for _, m := range s.members {
		for _, l := range m.lanes {
			s.pauseLane(m, l, l.bytes > share || l.paused && l.bytes > share/2)
		}
	}
	if last {
		s.deps.Metrics.inputHeld(s.members)
	}
}

// laneShare is how much one lane may hold before it isn't fetched any more.
func (s *Service) laneShare() int {
	lanes := max(1, len(s.members)*len(s.cfg.Topics))
	return max(2*int(s.cfg.FetchMaxBytes)/lanes, 64<<10)
}

// pauseLane stops or resumes fetching a topic's partition.
func (s *Service) pauseLane(m *member, l *inputLane, pause bool) {
	if l.paused == pause {
		return
	}
	l.paused = pause
	which := map[string][]int32{l.topic: {m.number}}
	if pause {
		s.cl.PauseFetchPartitions(which)
	} else {
		s.cl.ResumeFetchPartitions(which)
	}
}

// waitFor counts the time in which others wait for a topic, up to longest between two calls: more means that we stood
// still, not the topic.
func (l *inputLane) waitFor(now time.Time, longest time.Duration) {
	if !l.asked.IsZero() {
		l.waited += min(now.Sub(l.asked), longest)
	}
	l.asked = now
}

// awaitSlower finds out which of the topics that hold others up are at their ends, and which bring nothing though they aren't.
func (s *Service) awaitSlower(ctx context.Context, blocked []*member, now time.Time) {
	s.askedAt = now
	var slower []topicPartition
	for _, m := range blocked {
		for _, l := range m.lanes {
			if l.len() == 0 && !l.givenUp {
				slower = append(slower, topicPartition{l.topic, m.number})
			}
		}
	}
	gap := max(s.asking.longestGap(), 2*s.cfg.CommitInterval)
	ends, err := s.ends(ctx, slower)
	if err != nil {
		s.log.Debug("the ends of input topics are not known", slog.Any("error", err))
	}
	for _, m := range blocked {
		atEnd := map[*inputLane]bool{}
		for _, l := range m.lanes {
			switch {
			case l.len() > 0 || l.givenUp:
			case m.isAtEnd(l, ends):
				l.brought()
				atEnd[l] = true
			default:
				l.waitFor(now, gap)
				if l.waited >= s.cfg.TopicWait {
					s.goOnWithout(m, l)
				}
			}
		}
		m.handOn(now, func(l *inputLane) bool { return atEnd[l] })
	}
}

// isAtEnd reports whether all of a topic's partition was fetched. What was not read since the assignment stands where it is
// committed.
func (m *member) isAtEnd(l *inputLane, ends listing) bool {
	end, err := ends.of(topicPartition{l.topic, m.number})
	if err != nil {
		return false
	}
	at := m.restart(l.topic).Offset
	if l.fetched {
		at = l.next
	}
	return at >= end
}

// goOnWithout lets others go on without a topic that has records and brings none.
func (s *Service) goOnWithout(m *member, l *inputLane) {
	l.givenUp = true
	s.deps.Metrics.topicWaitExceeded(l.topic, m.number)
	s.log.Warn("an input topic brings no records though there are some: events of the other topics don't wait for it any longer, "+
		"and its own are late when they come", slog.String("topic", l.topic), slog.Int("partition", int(m.number)),
		slog.Duration("topic_wait", s.cfg.TopicWait))
}

// took notes that records go to the worker.
func (m *member) took(records []pipeline.Record, now time.Time) {
	for i := range records {
		m.newest = max(m.newest, records[i].Time)
	}
	if len(records) > 0 {
		m.lastSeen = now
	}
}
