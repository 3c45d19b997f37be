package kafka

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/state"
)

// batches is what the owner of a partition knows of its batches on the changelog. In a service with transactions it is what
// at-least-once delivery left there, until the first transaction has taken it away.
type batches struct {
	id    batchID // of the last whole batch; seq is 0 before the first of this owner
	slots slots
	// pending are changes that are not under their own keys on the changelog yet: those of the last whole batch, and what a member
	// overwrote after it had been replaced.
	pending changes
	old     map[uint64]slots // journals of earlier owners
	floor   uint64           // epoch of the last whole batch, 0 where there is none
	next    int64            // offset that the next record has to get, -1 where it isn't known
	at      *attempt         // the batch that is being written
}

// attempt is a batch that is being written.
type attempt struct {
	changes changes
	chunks  int
	slots   slots
}

// inherit takes over what the changelog says of a partition's batches, after its state was restored.
func (s *Service) inherit(m *member, t *restoring) error {
	j := t.journal
	if !s.cfg.AtLeastOnce && j.last == nil && len(j.old)+len(j.stale) == 0 {
		return nil
	}
	var nonce [2]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return err
	}
	if len(j.stale) > 0 {
		s.log.Warn("a member that had been replaced wrote to the changelog late: what it wrote is left out, and written over",
			slog.Int("partition", int(m.number)), slog.Int("keys", len(j.stale)))
	}
	b, err := newBatches(t, binary.BigEndian.Uint16(nonce[:]))
	if err != nil {
		return fmt.Errorf("%w: %w", errStore, err)
	}
	if j.last != nil {
		for topic, mark := range j.last.record.Inputs {
			if mark.ID == s.source.ids[topic].String() {
				m.committed[topic] = kgo.EpochOffset{Epoch: -1, Offset: mark.Offset}
			}
		}
	}
	m.batches = b
	return nil
}

// newBatches begins the batches of an owner whose state is restored. Of two members that take a partition over from the same state, one
// that is replaced before it wrote anything has another epoch: the nonce sees to that.
func newBatches(t *restoring, nonce uint16) (*batches, error) {
	j := t.journal
	b := &batches{id: batchID{epoch: (j.newest>>16+1)<<16 | uint64(nonce)}, old: j.old, floor: j.floor, pending: changes{}, next: t.next}
	if j.last != nil {
		maps.Copy(b.pending, j.last.changes)
	}
	for key := range j.stale {
		if _, ok := b.pending[key]; ok {
			continue
		}
		value, _, err := t.part.Get([]byte(key))
		if err != nil {
			return nil, err
		}
		b.pending[key] = value
	}
	return b, nil
}

// stateRecords returns the changelog's records of a batch, but for the checkpoint record of at-least-once delivery. published says that
// the batch has other output.
func (s *Service) stateRecords(m *member, published bool) (records []*kgo.Record) {
	overlay := m.worker.Changes()
	if !s.cfg.AtLeastOnce {
		records = s.changelogRecords(m.number, overlay)
		m.clearBatches(overlay, s.adder(m.number, &records))
		return records
	}
	m.batches.at = nil
	if overlay.Len() == 0 && !published && !m.moved() {
		return nil
	}
	c := changes{}
	for key, value := range overlay.All() {
		c[string(key)] = slices.Clone(value)
	}
	m.batches.begin(c, s.adder(m.number, &records))
	return records
}

// changelogRecords returns the changes of a partition's state. They share its memory, which is the batch's until it is committed.
func (s *Service) changelogRecords(partition int32, overlay *state.Overlay) []*kgo.Record {
	all := make([]kgo.Record, 0, overlay.Len())
	records := make([]*kgo.Record, 0, overlay.Len())
	for key, value := range overlay.All() {
		all = append(all, kgo.Record{Topic: s.cfg.ChangelogTopic, Partition: partition, Key: key, Value: value})
		records = append(records, &all[len(all)-1])
	}
	return records
}

// adder adds a record of the changelog to a batch.
type adder func(key, value []byte, headers ...kgo.RecordHeader)

func (s *Service) adder(partition int32, records *[]*kgo.Record) adder {
	return func(key, value []byte, headers ...kgo.RecordHeader) {
		*records = append(*records, &kgo.Record{Topic: s.cfg.ChangelogTopic, Partition: partition, Key: key, Value: value, Headers: headers})
	}
}

// begin adds the records of a batch that come before its checkpoint record. It ends an attempt at the same batch that failed.
func (b *batches) begin(c changes, add adder) {
	at := &attempt{changes: c, slots: b.slots}
	id := b.nextID()
	header := id.header()
	for _, key := range slices.Sorted(maps.Keys(b.pending)) {
		if _, again := c[key]; !again { // else this batch says what the key is now
			add([]byte(key), b.pending[key], header)
		}
	}
	slot := int(id.seq % 2)
	for i, chunk := range c.chunks() {
		add(chunkKey(id.epoch, slot, i), chunk, header)
		at.chunks = i + 1
	}
	at.slots[slot] = max(at.slots[slot], at.chunks)
	b.at = at
}

func (b *batches) nextID() batchID { return batchID{b.id.epoch, b.id.seq + 1} }

// end adds the records that end the batch, and then delete the journals of earlier owners.
func (b *batches) end(inputs map[string]inputMark, add adder) error {
	value, err := json.Marshal(checkpointRecord{Version: checkpointVersion, Inputs: inputs, Chunks: b.at.chunks, Slots: b.at.slots})
	if err != nil {
		return err
	}
	id := b.nextID()
	add(checkpointKey(id.epoch), value, id.header())
	for _, epoch := range slices.Sorted(maps.Keys(b.old)) {
		for key := range b.old[epoch].keys(epoch) {
			add(key, nil, id.header())
		}
	}
	return nil
}

// ended notes that the batch is written, and counts.
func (b *batches) ended() {
	b.id.seq++
	b.floor = b.id.epoch
	b.pending, b.slots, b.old, b.at = b.at.changes, b.at.slots, nil, nil
}

// clearBatches has the first transaction of a partition take over what at-least-once delivery left on the changelog.
func (m *member) clearBatches(overlay *state.Overlay, add adder) {
	b := m.batches
	if b == nil {
		return
	}
	for key, value := range b.pending {
		if _, presence := overlay.Get([]byte(key)); presence == state.Unknown {
			add([]byte(key), value)
		}
	}
	for epoch, n := range b.old {
		for key := range n.keys(epoch) {
			add(key, nil)
		}
	}
}

// moved reports whether something of the input was read since the last commit.
func (m *member) moved() bool {
	for topic, at := range m.positions {
		if committed, ok := m.committed[topic]; !ok || committed.Offset != at {
			return true
		}
	}
	return false
}

// publish writes a batch without a transaction: first all that it made, then, when that is written and the group still knows us, the
// checkpoint records that make it count, then the group's offsets and what the targets of the re-key topic are told. That comes last because it
// speaks of events that are on the topic, and because what a batch that doesn't count has sent comes again. publish returns why nothing counts, and as err that a new client has to find out
// from the changelog what does.
func (s *Service) publish(ctx context.Context, c *commit) (aborted, err error) {
	p, records, at := c.p, c.records, c.at
	ours := func(ctx context.Context, id identity, _ offsets) error { return s.heartbeat(ctx, id) }
	if aborted := s.commitOffsets(ctx, at, ours); aborted != nil {
		return aborted, nil
	}
	s.deps.at(PointBegun)
	s.produce(ctx, p, records)
	s.deps.at(PointProduced)
	if aborted := p.wait(ctx, s.cl); aborted != nil {
		for _, part := range c.parts {
			part.m.batches.next = -1 // some of it may be written
		}
		return aborted, s.cl.AbortBufferedRecords(ctx)
	}
	if err := s.alone(c, records, p); err != nil {
		return nil, err
	}
	if aborted := s.commitOffsets(ctx, at, ours); aborted != nil {
		return aborted, nil
	}
	s.deps.at(PointFlushed)
	ends, err := s.checkpointRecords(c)
	if err != nil {
		return nil, err
	}
	q := newProducing(&s.cfg)
	s.produce(ctx, q, ends)
	if err := q.wait(ctx, s.cl); err != nil {
		return nil, fmt.Errorf("checkpoint records: %w", err)
	}
	s.deps.at(PointCheckpointed)
	if err := s.alone(c, ends, q); err != nil {
		return nil, err
	}
	p.join(q)
	q = newProducing(&s.cfg)
	s.produce(ctx, q, c.reports)
	if len(at) > 0 {
		if err := s.commitOffsets(ctx, at, s.offsetCommit); err != nil {
			return nil, fmt.Errorf("the batch is complete, its offsets are not committed: %w", err)
		}
	}
	return nil, s.awaitReports(ctx, c, q)
}

// awaitReports waits until what targets are told of the batch is written. The batch counts whatever comes of that: where it can't be
// written the next one says it again. An error is for a new client.
func (s *Service) awaitReports(ctx context.Context, c *commit, q *producing) error {
	if len(c.reports) == 0 {
		return nil
	}
	switch err := q.wait(ctx, s.cl); {
	case err == nil:
		c.p.join(q)
	case ctx.Err() != nil:
		return fmt.Errorf("progress of the sources of rules that join events of any host: %w", err)
	default:
		s.reportsRefused(err)
		for _, part := range c.parts {
			part.m.rekey.unreported()
		}
	}
	return nil
}

// reportsRefused counts and tells that what targets are told of a batch isn't written: with each batch until somebody does something, but not
// in the log as often.
func (s *Service) reportsRefused(err error) {
	if cause, ok := errors.AsType[*SinkError](err); ok {
		s.deps.Metrics.sinkRefused(cause)
	}
	if now := s.deps.Now(); now.Sub(s.toldReports) >= lastBackoff {
		s.toldReports = now
		s.log.Error("the progress of sources can't be written, so that rules that join events of any host wait, of all members: it is tried again with each batch",
			slog.Any("error", err))
	}
}

// produce hands records to the client.
func (s *Service) produce(ctx context.Context, p *producing, records []*kgo.Record) {
	began := s.deps.Now()
	for _, r := range records {
		s.cl.Produce(ctx, r, p.done)
		if began.Before(s.oneByOne[r.Topic]) {
			_ = s.cl.Flush(ctx) // what failed is known from done
		}
	}
}

// join adds where the records of q, which came later, were written to.
func (p *producing) join(q *producing) {
	for n, first := range q.first {
		if _, ok := p.first[n]; !ok {
			p.first[n] = first
		}
		p.last[n] = q.last[n]
	}
	maps.Copy(p.written, q.written)
}

// checkpointRecords returns the records that end the batch.
func (s *Service) checkpointRecords(c *commit) (records []*kgo.Record, err error) {
	for _, part := range c.parts {
		m := part.m
		if m.batches.at == nil {
			continue
		}
		inputs := map[string]inputMark{}
		for topic, at := range part.inputs {
			inputs[topic] = inputMark{ID: s.source.ids[topic].String(), Offset: at.Offset}
		}
		if err := m.batches.end(inputs, s.adder(m.number, &records)); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// errNotAlone says that two members wrote to one partition of the changelog.
var errNotAlone = errors.New("another member writes to the changelog too: it was replaced, and wrote late, or this one is")

// alone looks whether records of others lie between ours on the changelog: nothing keeps a member that was replaced while it slept
// from writing what it had at hand. Then the changelog is read anew, as whoever takes the partition over would.
func (s *Service) alone(c *commit, records []*kgo.Record, p *producing) error {
	count := map[int32]int64{}
	for _, r := range records {
		if r.Topic == s.cfg.ChangelogTopic {
			count[r.Partition]++
		}
	}
	for _, part := range c.parts {
		n, b := part.m.number, part.m.batches
		written := count[n]
		if written == 0 {
			continue
		}
		first, last := p.first[n], p.last[n]
		if b.next >= 0 && first != b.next || last-first+1 != written {
			c.distrusted = append(c.distrusted, n)
			return fmt.Errorf("partition %d: %w: %d records at offsets %d to %d, expected from %d on", n, errNotAlone, written, first, last, b.next)
		}
		b.next = last + 1
	}
	return nil
}

// noteWritten notes that a batch counts, and from where the changelog of each partition is to be read after it.
func (s *Service) noteWritten(c *commit) {
	for _, part := range c.parts {
		m := part.m
		if s.cfg.AtLeastOnce && m.batches.at != nil {
			m.batches.ended()
		}
		last, ok := c.p.last[m.number]
		switch {
		case !ok:
			continue
		case s.cfg.AtLeastOnce:
			part.changelog = c.p.first[m.number]
		default:
			part.changelog, m.batches = last+1, nil
		}
		part.written = true
	}
}

// seek has the input of a partition read from where its checkpoint record says, once the client reads it.
func (s *Service) seek(m *member) {
	if len(m.seek) == 0 {
		return
	}
	read := s.cl.CommittedOffsets()
	for topic, at := range m.seek {
		if _, ok := read[topic][m.number]; ok {
			s.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{topic: {m.number: {Epoch: -1, Offset: at}}})
		}
	}
}

// astray reports whether fetched records are not those that have to come first. Then the client began at the group's offset, and is set back.
func (s *Service) astray(m *member, p kgo.FetchTopicPartition) bool {
	at, ok := m.seek[p.Topic]
	if !ok {
		return false
	}
	delete(m.seek, p.Topic)
	if p.Records[0].Offset == at {
		return false
	}
	s.cl.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.Topic: {p.Partition: {Epoch: -1, Offset: at}}})
	return true
}
