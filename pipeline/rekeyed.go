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
	// Logs has a hash of each input topic, not that of a topic of the same name that there was before. It names events in what is sent.
	Logs map[string]uint64
	// Repeats says that what was sent may be sent again, by a worker that goes on where the last batch that counted ended.
	Repeats bool
}

// Rekeyed is a record for the re-key topic.
type Rekeyed struct {
	Partition int32
	Value     []byte
}

// source is what a target knows of a source: its clock, and the delays that it had at which clock, as far as the watermark hasn't come
// there. It has none of these where the source never had an event.
type source struct {
	clock int64
	steps []delayStep // clocks ascend, delays descend
}

// delayStep is the least delay of a source from a clock on.
type delayStep struct{ clock, delay int64 }

// maxSteps bounds the steps of a source. Above it every second one is forgotten: then the watermark follows it a little later.
const maxSteps = 256

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
	sent := rekey.Event{Ref: ref, Host: h.name, Source: r.Value, Log: w.cfg.Rekey.log(r.Topic, r.Partition), Repeats: w.cfg.Rekey.Repeats}
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
	defer w.meter.begin()()
	w.followQuarantine()
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
	if !w.takeOnce(sent) {
		return
	}
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
		if w.cfg.Rekey.Sources != nil || g.Source >= 0 && g.Source < w.cfg.Rekey.Partitions {
			s.progress(g)
		}
	}
	for _, sent := range p.Sent {
		s.allSent(sent)
	}
	w.followSources()
}

// progress takes in what one source reports.
func (s *sharedOrder) progress(g rekey.Progress) {
	src := s.sources[g.Source]
	switch {
	case src == nil:
		src = new(source)
		s.sources[g.Source] = src
	case g.Clock < src.clock: // it was sent before what is known
		return
	}
	s.changed = true
	src.clock = g.Clock
	if g.Empty {
		return
	}
	switch last := len(src.steps) - 1; {
	case last < 0 || g.Delay < src.steps[last].delay && g.Clock > src.steps[last].clock:
		src.steps = append(src.steps, delayStep{g.Clock, g.Delay})
	case g.Delay < src.steps[last].delay:
		src.steps[last].delay = g.Delay
	}
	if len(src.steps) > maxSteps {
		src.thin()
	}
}

// thin forgets every second step but the newest.
func (s *source) thin() {
	kept := s.steps[:0]
	for i, step := range s.steps {
		if i%2 == 0 || i == len(s.steps)-1 {
			kept = append(kept, step)
		}
	}
	s.steps = kept
}

// followSources moves the watermark of a target: to the least of the clocks of all sources, less the least delay that any of them had
// up to there, less the lateness.
func (w *Worker) followSources() {
	s := &w.shared
	clock, ok := s.leastClock(w.cfg.Rekey)
	if !ok {
		return
	}
	if clock > s.clock {
		s.clock = clock
		w.forgetIDs(&s.published, clock)
	}
	for _, src := range s.sources {
		for len(src.steps) > 1 && src.steps[1].clock <= s.clock {
			src.steps = src.steps[1:]
		}
		if len(src.steps) > 0 && src.steps[0].clock <= s.clock {
			s.least = min(s.least, src.steps[0].delay)
		}
	}
	w.setSharedMark(s.clock, s.least)
	w.runShared()
}

// leastClock returns the least of the sources' clocks, false while one is unknown.
func (s *sharedOrder) leastClock(cfg Rekey) (least int64, ok bool) {
	least = math.MaxInt64
	if cfg.Sources == nil && len(s.sources) < int(cfg.Partitions) {
		return 0, false
	}
	for _, n := range cfg.Sources {
		if s.sources[n] == nil {
			return 0, false
		}
	}
	for _, src := range s.sources {
		least = min(least, src.clock)
	}
	return least, least > 0 && least != math.MaxInt64
}

// lag is how far the newest source is ahead of the watermark's clock, in milliseconds.
func (s *sharedOrder) lag() (ms int64, ok bool) {
	return s.newestClock() - s.clock, s.clock > 0
}

func (s *sharedOrder) newestClock() (newest int64) {
	for _, src := range s.sources {
		newest = max(newest, src.clock)
	}
	return newest
}

// Announced returns the hosts that sources have seen for the first time, since the last call or commit: a host is on two partitions
// where two sources announce it. The slice is valid until the next call of ProcessRekeyed.
func (w *Worker) Announced() []rekey.Host {
	hosts := w.shared.announced
	w.shared.announced = w.shared.announced[:0]
	return hosts
}

// Progress returns what the partition's worker can report of itself as a source. It is not settled while the record clock may still be
// set back: a partition's first times may be wrong. Before the first event it is Empty, with the newest clock that is known of a source:
// that holds if the partition was caught up later than the worker has read it.
func (w *Worker) Progress() (p rekey.Progress, settled bool) {
	p = rekey.Progress{Source: w.number, Clock: w.clock.now, Delay: w.shared.delay}
	if p.Delay == noDelay {
		p = rekey.Progress{Source: w.number, Clock: w.shared.newestClock(), Empty: true}
	}
	return p, w.clock.young >= createConfirmations
}

// value is what is known of the sources and of the partition as one, as it is stored.
func (s *sharedOrder) value() []byte {
	dst := state.AppendVersion(nil)
	for _, v := range []int64{s.delay, s.clock, s.least} {
		dst = binary.AppendVarint(dst, v)
	}
	for _, n := range slices.Sorted(maps.Keys(s.sources)) {
		src := s.sources[n]
		dst = binary.AppendVarint(dst, int64(n))
		dst = binary.AppendVarint(dst, src.clock)
		dst = binary.AppendUvarint(dst, uint64(len(src.steps)))
		for _, step := range src.steps {
			dst = binary.AppendVarint(binary.AppendVarint(dst, step.clock), step.delay)
		}
	}
	return dst
}

func (s *sharedOrder) decode(value []byte) error {
	r := readValue(value)
	s.delay, s.clock, s.least = r.varint(), r.varint(), r.varint()
	for len(r.rest) > 0 {
		n, src := int32(r.varint()), &source{clock: r.varint()}
		for steps := r.uvarint(); steps > 0 && r.err == nil; steps-- {
			src.steps = append(src.steps, delayStep{r.varint(), r.varint()})
		}
		s.sources[n] = src
	}
	return r.err
}
