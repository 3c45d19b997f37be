package pipeline

import (
	"encoding/binary"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/state"
)

// Rekey says where the events of rules meet whose join keys don't imply the host.
type Rekey struct {
	// Partitions is the number of partitions that these events are spread over, by join key: what a worker finds goes out with
	// Output.Rekeyed, and comes back, of all sources, through ProcessRekeyed of the partition's worker. 0 is for a worker that
	// sees all events itself.
	Partitions int32
	// Sources are the partitions whose progress a target waits for; nil: as many as Partitions.
	Sources []int32
	// All takes all rules that join events and order them by @timestamp for such, for topics that aren't keyed by the host.
	All bool
}

// Rekeyed is a record for the re-key topic.
type Rekeyed struct {
	Partition int32
	Value     []byte
}

// source is what a target knows of a source.
type source struct {
	clock int64
	empty bool
}

// maxJoinBytes bounds the join keys of one record, so that it is hardly larger than its document.
const maxJoinBytes = 32 << 10

// matchShared does with an event what the rules want that join events of any host: it goes to the targets, or into the worker's own
// order.
func (w *Worker) matchShared(r *Record, ref sequence.Ref, cands []candidate, h *host) {
	if w.cfg.Rekey.Partitions > 0 {
		w.send(r, ref, cands, h)
		return
	}
	e := &sharedEvent{carrier: placeOf(ref), origin: h.name}
	e.ref, e.cands = ref, cands
	e.ref.ID = strings.Clone(ref.ID)
	if !w.cfg.NoEvidence {
		e.doc = slices.Clone(r.Value)
	}
	w.share(e)
}

// send hands out an event for each target, with what concerns it there.
func (w *Worker) send(r *Record, ref sequence.Ref, cands []candidate, h *host) {
	n := w.cfg.Rekey.Partitions
	sent := rekey.Event{Ref: ref, Host: h.name, Source: r.Value}
	if w.cfg.NoEvidence {
		sent.Source = nil
	}
	byTarget := map[int32][]rekey.Candidate{}
	for i := range cands {
		c := &cands[i]
		hash := ruleHash(c.rule)
		to := rekey.Partition(hash, c.join, n)
		byTarget[to] = append(byTarget[to], rekey.Candidate{Rule: hash, Hits: c.hits, Join: c.join})
	}
	for _, to := range slices.Sorted(maps.Keys(byTarget)) {
		rest := byTarget[to]
		for len(rest) > 0 {
			size, count := 0, 0
			for count < len(rest) && (count == 0 || size+len(rest[count].Join) <= maxJoinBytes) {
				size += len(rest[count].Join)
				count++
			}
			sent.Candidates, rest = rest[:count], rest[count:]
			value := sent.Append(make([]byte, 0, len(sent.Source)+size+256))
			w.out.Rekeyed = append(w.out.Rekeyed, Rekeyed{Partition: to, Value: value})
			w.keptBytes += len(value)
			w.counts.rekeySent++
			w.counts.rekeyBytes += uint64(len(value))
		}
	}
}

// ProcessRekeyed runs records of the re-key topic in the order of its log, on the worker of the partition. Where they lie among the
// records of Process doesn't matter. An error means that the store failed and the batch must not be committed.
func (w *Worker) ProcessRekeyed(records []Record) error {
	for i := range records {
		r := &records[i]
		rec, err := rekey.Decode(r.Value)
		switch {
		case err != nil:
			w.counts.rekeyMalformed++
			w.log.Error("record of the re-key topic left out", slog.String("topic", r.Topic), slog.Int64("offset", r.Offset), slog.Any("error", err))
		case rec.Event != nil:
			w.receive(r, rec.Event)
		default:
			w.report(&rec.Report)
		}
		if w.err != nil {
			return w.err
		}
	}
	return nil
}

// receive takes in an event that a source has sent.
func (w *Worker) receive(r *Record, sent *rekey.Event) {
	w.counts.rekeyReceived++
	e, unknown := w.received(sent, place{r.Topic, r.Partition, r.Offset})
	w.counts.rekeyUnknown += uint64(unknown)
	if len(e.cands) > 0 {
		w.share(e)
	}
}

// report takes in what sources say of their progress, and moves the watermark where all of them have got on.
func (w *Worker) report(p *rekey.Report) {
	s := &w.shared
	s.announced = append(s.announced, p.Hosts...)
	for _, g := range p.Progress {
		if w.cfg.Rekey.Sources == nil && (g.Source < 0 || g.Source >= w.cfg.Rekey.Partitions) {
			continue
		}
		old, known := s.sources[g.Source]
		switch {
		case g.Empty && known:
		case known && !old.empty && old.clock >= g.Clock:
		default:
			s.sources[g.Source] = source{clock: g.Clock, empty: g.Empty}
			s.changed = true
		}
	}
	w.followSources()
}

// followSources moves the watermark of a target: to the least of the clocks of all sources, less the lateness. A source whose
// partition never had a record doesn't count, one that hasn't been heard of does.
func (w *Worker) followSources() {
	s := &w.shared
	least, ok := s.leastClock(w.cfg.Rekey)
	if !ok {
		return
	}
	if least > s.clock {
		s.clock = least
		w.forgetIDs(&s.published, s.clock)
	}
	s.host.mark = s.clock - w.lateness - 1
	w.runShared()
}

// leastClock returns the least of the sources' clocks, false while one is unknown or all are empty.
func (s *sharedOrder) leastClock(cfg Rekey) (least int64, ok bool) {
	least = math.MaxInt64
	if cfg.Sources == nil && len(s.sources) < int(cfg.Partitions) {
		return 0, false
	}
	for _, n := range cfg.Sources {
		if _, known := s.sources[n]; !known {
			return 0, false
		}
	}
	for _, src := range s.sources {
		if !src.empty {
			least = min(least, src.clock)
		}
	}
	return least, least != math.MaxInt64
}

// lag is how far the newest source is ahead of the watermark's clock, in milliseconds.
func (s *sharedOrder) lag() (ms int64, ok bool) {
	newest := int64(0)
	for _, src := range s.sources {
		newest = max(newest, src.clock)
	}
	return newest - s.clock, s.clock > 0
}

// Announced returns the hosts that sources have seen for the first time, since the last call or commit: a host is on two partitions
// where two sources announce it. The slice is valid until the next call of ProcessRekeyed.
func (w *Worker) Announced() []rekey.Host {
	hosts := w.shared.announced
	w.shared.announced = w.shared.announced[:0]
	return hosts
}

// ClockSettled reports whether the record clock won't be set back: a partition's first times may be wrong.
func (w *Worker) ClockSettled() bool { return w.clock.young >= createConfirmations }

// value is what is known of the sources, as it is stored.
func (s *sharedOrder) value() []byte {
	dst := binary.AppendVarint(state.AppendVersion(nil), s.clock)
	for _, n := range slices.Sorted(maps.Keys(s.sources)) {
		src := s.sources[n]
		dst = binary.AppendVarint(dst, int64(n))
		empty := int64(0)
		if src.empty {
			empty = 1
		}
		dst = binary.AppendVarint(binary.AppendVarint(dst, empty), src.clock)
	}
	return dst
}

func (s *sharedOrder) decode(value []byte) error {
	r := readValue(value)
	s.clock = r.varint()
	for len(r.rest) > 0 {
		n := int32(r.varint())
		empty := r.varint() != 0
		s.sources[n] = source{clock: r.varint(), empty: empty}
	}
	return r.err
}
