package kafka

import (
	"hash/fnv"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
)

// Rules that join events of any host are matched by way of the re-key topic: see docs/adr/0010. A partition of ours is a source,
// which sends events and reports its progress in the transactions of its input, and a target, which reads what all sources have
// sent to its partition of that topic.

// rekeyRetention is how long the re-key topic keeps what was sent: as long as a target may be down.
const rekeyRetention = 7 * 24 * time.Hour

// maxReportBytes is about the size of a report above which another one is begun.
const maxReportBytes = 256 << 10

// rekeying is what a partition has to do with the re-key topic.
type rekeying struct {
	records  []pipeline.Record // fetched for the target
	reported rekey.Progress    // the last report that is committed; zero before the first
	report   *rekey.Progress   // in the batch
	// The delays by fields other than @timestamp that go with these.
	reportedDelays, delays []rekey.Delay

	told     map[string]rekey.Sent // by input topic: up to where targets know that all was sent; with delivery at least once
	telling  map[string]rekey.Sent // the same, in the batch
	promise  int64                 // what its clock was, by the wall clock, when the partition was last seen silent and caught up
	promised time.Time             // when that was
	hosts    []string              // to be announced with the next batches
	// announced are so many of hosts, the first, which the batch that is being committed announces.
	announced int
}

// rewind forgets what isn't committed.
func (r *rekeying) rewind() {
	clear(r.records)
	r.records, r.hosts = r.records[:0], nil
	r.unreported()
	r.promise = 0
}

// unreported forgets the batch's reports: the next ones say the same, and more.
func (r *rekeying) unreported() { r.report, r.delays, r.telling, r.announced = nil, nil, nil, 0 }

// committed takes in that the batch was committed.
func (r *rekeying) committed() {
	if r.report != nil {
		r.reported, r.report = *r.report, nil
		r.reportedDelays, r.delays = r.delays, nil
	}
	if r.telling != nil {
		r.told, r.telling = r.telling, nil
	}
	r.hosts = slices.Delete(r.hosts, 0, r.announced)
	r.announced = 0
}

// consumed returns the topics that the group shares out: partition n of all of them belongs to one worker.
func (c *Config) consumed() []string {
	if c.RekeyTopic == "" {
		return c.Topics
	}
	return append(slices.Clone(c.Topics), c.RekeyTopic)
}

// setRekeying tells the workers over how many partitions events are spread.
func (s *Service) setRekeying(partitions int32) {
	if s.cfg.RekeyTopic == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := *s.deps.Pipeline
	next.Rekey.Repeats, next.Rekey.Logs = s.cfg.AtLeastOnce, map[string]uint64{}
	for _, topic := range s.cfg.Topics {
		id := s.source.ids[topic]
		h := fnv.New64a()
		_, _ = h.Write([]byte(topic)) // never fails
		_, _ = h.Write(id[:])
		next.Rekey.Logs[topic] = h.Sum64()
	}
	if next.Rekey.Partitions = partitions; partitions == 1 {
		next.Rekey.Partitions = 0 // one worker sees all events
	}
	s.deps.Pipeline = &next
}

// rekeys reports whether events go through the re-key topic.
func (s *Service) rekeys() bool {
	return s.deps.Pipeline.Rekey.Partitions > 0 && s.deps.Pipeline.Shares()
}

// promises reports whether a silent partition has to tell the targets that its time goes on.
func (s *Service) promises(m *member, now time.Time) bool {
	return now.Sub(m.rekey.promised) >= s.cfg.IdleAfter && s.rekeys()
}

// promiseClock notes that the partition is caught up: whatever comes later comes after clock, which is the record clock moved by the
// wall clock. Where it never had an event, it comes after whatever is known of the clocks of others.
func (m *member) promiseClock(now time.Time, clock int64) {
	r := &m.rekey
	r.promised = now
	if p, _ := m.worker.Progress(); p.Empty {
		clock = p.Clock
	}
	r.promise = max(r.promise, clock)
}

// progress returns what a source has to report, false where nothing has changed.
func (m *member) progress() (p rekey.Progress, delays []rekey.Delay, ok bool) {
	r := &m.rekey
	p, settled := m.worker.Progress()
	switch {
	case p.Empty || !settled:
		p.Clock = r.promise
	default:
		p.Clock = max(p.Clock, r.promise)
	}
	delays = m.worker.Delays(p.Clock)
	old := r.reported
	less := old.Empty || p.Delay < old.Delay || lessDelays(delays, r.reportedDelays)
	return p, delays, p.Clock > old.Clock || p.Clock == old.Clock && p.Clock > 0 && !p.Empty && less
}

// lessDelays reports whether some delay is less than before, or wasn't there.
func lessDelays(delays, before []rekey.Delay) bool {
	return slices.ContainsFunc(delays, func(d rekey.Delay) bool {
		at := slices.IndexFunc(before, func(b rekey.Delay) bool { return b.Field == d.Field })
		return at < 0 || d.Delay < before[at].Delay
	})
}

// Partition n of the re-key topic belongs to the worker of partition n of the input. In a group with members that don't know the re-key
// topic, or share out by range, the two may be assigned to different members for a while. Then nobody reads the one of the re-key topic: its
// positions are the worker's, and move with it.

// placeRekeyed has the re-key topic read from where it was committed, for a worker that begins here.
func (s *Service) placeRekeyed(m *member) {
	if s.cfg.RekeyTopic != "" {
		s.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.cfg.RekeyTopic: {m.number: m.restart(s.cfg.RekeyTopic)}})
	}
}

// pauseRekeyed has the re-key topic not read any more, for a worker that is gone.
func (s *Service) pauseRekeyed(n int32) {
	if s.cfg.RekeyTopic != "" {
		s.cl.PauseFetchPartitions(map[string][]int32{s.cfg.RekeyTopic: {n}})
	}
}

// takeRekeyed notes records of the re-key topic for the target: from where it stands, the client may stand before that.
func (m *member) takeRekeyed(p kgo.FetchTopicPartition) {
	from, ok := m.positions[p.Topic]
	if !ok {
		from = m.restart(p.Topic).Offset
	}
	for _, r := range p.Records {
		if r.Offset >= from && !r.Attrs.IsControl() {
			m.rekey.records = append(m.rekey.records, toRecord(r))
		}
	}
	if p.Records[len(p.Records)-1].Offset >= from {
		m.noteRead(p)
	}
}

// rekeyRecords returns what the batch has for the re-key topic: the events, and the reports of the sources. They are written in this
// order, so that a target reads what a report speaks of before it.
func (s *Service) rekeyRecords() (events, told []*kgo.Record) {
	if s.cfg.RekeyTopic == "" {
		return nil, nil
	}
	var say rekey.Report
	hosts := map[int32][]rekey.Host{}
	sharing := s.rekeys()
	for _, n := range s.sortedMembers() {
		m := s.members[n]
		sent := m.worker.Output().Rekeyed
		for i := range sent {
			events = append(events, &kgo.Record{Topic: s.cfg.RekeyTopic, Partition: sent[i].Partition, Value: sent[i].Value})
		}
		if m.rekey.report = nil; sharing {
			if p, delays, ok := m.progress(); ok {
				m.rekey.report, m.rekey.delays = &p, delays
				say.Progress, say.Delays = append(say.Progress, p), append(say.Delays, delays...)
			}
			say.Sent = append(say.Sent, m.tell(s.cfg.Topics)...)
		}
		m.rekey.announced = len(m.rekey.hosts)
		for _, host := range m.rekey.hosts {
			to := rekey.HostPartition(host, s.source.partitions)
			hosts[to] = append(hosts[to], rekey.Host{Source: n, Name: host})
		}
		if len(sent) > 0 || m.rekey.report != nil || m.rekey.telling != nil || len(m.rekey.hosts) > 0 {
			m.produced = true
		}
	}
	for to := range s.source.partitions {
		say.Hosts = hosts[to]
		for _, value := range reports(say) {
			told = append(told, &kgo.Record{Topic: s.cfg.RekeyTopic, Partition: to, Value: value})
		}
	}
	return events, told
}

// tell returns up to where all of the partition's events will have been sent with the batch, where targets have to know that. Where nothing was read
// since the partition was taken over the epoch isn't known, and nothing is told: targets remember a little more until something comes.
func (m *member) tell(topics []string) (all []rekey.Sent) {
	r := &m.rekey
	r.telling = nil
	for _, topic := range topics {
		at, ok := m.positions[topic]
		if !ok {
			continue
		}
		sent, repeats := m.worker.Sent(topic, at, m.epochs[topic])
		if before, ok := r.told[topic]; repeats && (!ok || before != sent) {
			if r.telling == nil {
				r.telling = map[string]rekey.Sent{}
				maps.Copy(r.telling, r.told)
			}
			r.telling[topic] = sent
			all = append(all, sent)
		}
	}
	return all
}

// reports encodes what a target is told, in records of a size that the topic takes. Delays by field come first, in records of their own: members
// of an earlier version can't read those.
func reports(say rekey.Report) (values [][]byte) {
	for delays := say.Delays; len(delays) > 0; {
		count := fitting(delays, func(d rekey.Delay) int { return len(d.Field) + 16 })
		part := rekey.Report{Delays: delays[:count]}
		values, delays = append(values, part.Append(nil)), delays[count:]
	}
	say.Delays = nil
	for hosts := say.Hosts; len(say.Progress) > 0 || len(hosts) > 0 || len(say.Sent) > 0; {
		count := fitting(hosts, func(h rekey.Host) int { return len(h.Name) + 8 })
		say.Hosts, hosts = hosts[:count], hosts[count:]
		values = append(values, say.Append(nil))
		say.Progress, say.Sent = nil, nil
	}
	return values
}

// fitting returns how many of some things, the first, go into one report.
func fitting[T any](things []T, bytes func(T) int) (count int) {
	for size := 0; count < len(things) && size < maxReportBytes; count++ {
		size += bytes(things[count])
	}
	return count
}

// noteHosts looks for hosts that are on two partitions, among those that a worker met and those that the sources of other members have
// announced to it.
func (s *Service) noteHosts(m *member) {
	for _, host := range m.worker.NewHosts() {
		s.noteHost(host, m.number)
		if s.cfg.RekeyTopic != "" && host != "" {
			m.rekey.hosts = append(m.rekey.hosts, host)
		}
	}
	for _, h := range m.worker.Announced() {
		s.noteHost(h.Name, h.Source)
	}
}

// noteHost reports a host that was seen on two partitions: its sequences are split between them, unless all are re-keyed.
func (s *Service) noteHost(host string, partition int32) {
	other, ok := s.seen.note(host, partition)
	if ok {
		return
	}
	at := []any{slog.String("host", host), slog.Int("partition", int(partition)), slog.Int("other_partition", int(other))}
	if s.deps.Pipeline.Rekey.All {
		s.log.Debug("a host is on two partitions: rekey puts its sequences together", at...)
		return
	}
	s.deps.Metrics.hostConflict()
	s.log.Warn("a host is seen on two partitions: its sequences are incomplete; have the producers key their records by host.id, all "+
		"with the same partitioner, or set rekey: true", at...)
}
