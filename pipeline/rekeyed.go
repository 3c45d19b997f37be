package pipeline

import (
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// Rekey says where the events of rules meet whose join keys don't imply the host.
type Rekey struct {
	// Partitions is the number of partitions that these events are spread over, by join key: what a worker finds goes out with
	// Output.Rekeyed, and comes back, of all sources, through ProcessRekeyed of the partition's worker. 0 is for a worker that
	// sees all events itself.
	Partitions int32
	// Sources are the partitions whose progress a target waits for; nil: as many as Partitions.
	Sources []int32
	// All takes all rules that join events for such, for topics that aren't keyed by the host.
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

// delayStep is the least delay of a source from a clock on. Of the steps of a source the clocks ascend and the delays descend. There are
// none where the source never had an event of the order.
type delayStep struct{ clock, delay int64 }

// maxSteps bounds the steps of a source in one order. Above it every second one is forgotten: then the watermark follows it a little later.
const maxSteps = 256

// maxJoinBytes bounds the join keys of one record, so that it is hardly larger than its document.
const maxJoinBytes = 32 << 10

// matchShared does with an event what the rules want that join events of any host: it goes to the targets, or into the worker's own
// order.
func (w *Worker) matchShared(r *Record, hit *hit, h *host) {
	for i := range hit.shared {
		s := &hit.shared[i]
		ref := hit.ref
		if s.time != noTime { // by another timestamp field
			ref.Time, ref.SubMillis = w.believable(s.time, s.sub)
		}
		o := w.shared.order(s.field)
		if w.cfg.Rekey.Partitions > 0 {
			w.send(r, ref, s.cands, h)
		} else {
			w.shareOwn(r, ref, s.cands, h, o)
		}
		if s.field != "" { // that of @timestamp is of all events
			w.observeDelayOf(o, ref.Time)
		}
	}
}

// shareOwn takes an event of the worker's own partition into an order.
func (w *Worker) shareOwn(r *Record, ref sequence.Ref, cands []candidate, h *host, o *sharedOrder) {
	e := &sharedEvent{order: o, carrier: placeOf(ref), origin: h.name}
	if o.field != "" {
		e.carrier.topic += "\x00" + o.field // an event may wait in several orders
	}
	e.ref, e.cands = ref, w.keepCandidates(cands)
	e.ref.ID = strings.Clone(ref.ID)
	if !w.cfg.NoEvidence {
		e.doc = slices.Clone(r.Value)
	}
	w.share(e)
}

// send hands out an event for each target, with what concerns it there.
func (w *Worker) send(r *Record, ref sequence.Ref, cands []candidate, h *host) {
	n := w.cfg.Rekey.Partitions
	sent := rekey.Event{
		Ref: ref, Host: h.name, Source: r.Value,
		Log: w.cfg.Rekey.log(r.Topic, r.Partition), LeaderEpoch: r.LeaderEpoch, Repeats: w.cfg.Rekey.Repeats,
	}
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
	known := func(source int32) bool {
		return w.cfg.Rekey.Sources != nil || source >= 0 && source < w.cfg.Rekey.Partitions
	}
	for _, d := range p.Delays {
		// An order that isn't there is one of no rule here: should one come, the next report says the same.
		if o := s.order(d.Field); o != nil && known(d.Source) && d.Clock >= s.sources[d.Source] {
			o.step(d.Source, delayStep{d.Clock, d.Delay})
		}
	}
	for _, g := range p.Progress {
		if known(g.Source) {
			s.progress(g)
		}
	}
	for _, sent := range p.Sent {
		s.allSent(sent)
	}
	w.followSources()
}

// progress takes in what one source reports.
func (s *sharedOrders) progress(g rekey.Progress) {
	if clock, ok := s.sources[g.Source]; ok && g.Clock < clock { // it was sent before what is known
		return
	}
	s.sources[g.Source], s.changed = g.Clock, true
	if !g.Empty {
		s.orders[0].step(g.Source, delayStep{g.Clock, g.Delay})
	}
}

// step takes in a delay of a source.
func (o *sharedOrder) step(source int32, d delayStep) {
	steps := o.steps[source]
	switch last := len(steps) - 1; {
	case last < 0 || d.delay < steps[last].delay && d.clock > steps[last].clock:
		steps = append(steps, d)
	case d.delay < steps[last].delay:
		steps[last].delay = d.delay
	default:
		return
	}
	if len(steps) > maxSteps {
		steps = thin(steps)
	}
	o.steps[source], o.changed = steps, true
}

// thin forgets every second step but the newest.
func thin(steps []delayStep) []delayStep {
	kept := steps[:0]
	for i, step := range steps {
		if i%2 == 0 || i == len(steps)-1 {
			kept = append(kept, step)
		}
	}
	return kept
}

// pass takes in that the watermark's clock has come so far.
func (o *sharedOrder) pass(clock int64) {
	for source, steps := range o.steps {
		for len(steps) > 1 && steps[1].clock <= clock {
			steps, o.changed = steps[1:], true
		}
		o.steps[source] = steps
		if steps[0].clock <= clock && steps[0].delay < o.least {
			o.least, o.changed = steps[0].delay, true
		}
	}
}

// followSources moves the watermarks of a target: to the least of the clocks of all sources, less the least delay that any of them had
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
	for _, o := range s.orders {
		o.pass(s.clock)
		w.setSharedMark(o, s.clock, o.least)
	}
	w.runShared()
}

// leastClock returns the least of the sources' clocks, false while one is unknown.
func (s *sharedOrders) leastClock(cfg Rekey) (least int64, ok bool) {
	least = math.MaxInt64
	if cfg.Sources == nil && len(s.sources) < int(cfg.Partitions) {
		return 0, false
	}
	for _, n := range cfg.Sources {
		if _, ok := s.sources[n]; !ok {
			return 0, false
		}
	}
	for _, clock := range s.sources {
		least = min(least, clock)
	}
	return least, least > 0 && least != math.MaxInt64
}

// lag is how far the newest source is ahead of the watermark's clock, in milliseconds.
func (s *sharedOrders) lag() (ms int64, ok bool) {
	return s.newestClock() - s.clock, s.clock > 0
}

func (s *sharedOrders) newestClock() (newest int64) {
	for _, clock := range s.sources {
		newest = max(newest, clock)
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
	p = rekey.Progress{Source: w.number, Clock: w.clock.now, Delay: w.shared.orders[0].delay}
	if p.Delay == noDelay {
		p = rekey.Progress{Source: w.number, Clock: w.shared.newestClock(), Empty: true}
	}
	return p, w.clock.young >= createConfirmations
}

// Delays returns what the partition's worker reports besides, with the clock of its progress: the least delay of each order that isn't
// by @timestamp, where it has one.
func (w *Worker) Delays(clock int64) (delays []rekey.Delay) {
	for _, o := range w.shared.orders[1:] {
		if o.delay != noDelay {
			delays = append(delays, rekey.Delay{Source: w.number, Clock: clock, Field: o.field, Delay: o.delay})
		}
	}
	return delays
}
