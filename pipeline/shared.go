package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// sharedOrders are the orders in which a worker feeds the events of rules that join events of any host, one for each field that these
// rules take the time from.
type sharedOrders struct {
	orders []*sharedOrder // by field: the first is that of @timestamp, which is always there
	added  []*sharedEvent // since the last commit
	kept   int            // bytes of the documents of waiting events that are in memory

	// Of a target only.
	sources   map[int32]int64 // the clocks of those that were heard of
	clock     int64           // the least of them, the newest that it was; 0 before it is known
	changed   bool            // something of it isn't in the store
	published publishedIDs
	announced []rekey.Host
	taken     map[uint64]*takenLog // by log, of those whose events may be sent again
}

// sharedOrder is the one order by a field in which the events of such rules are fed. Its watermark is the record clock, less the
// delay with which events come at the least, less the lateness: the clock of the partition where the worker sees all events, else
// the least of all sources.
type sharedOrder struct {
	field   string // the rules' timestamp_field; empty: @timestamp
	host    *host  // its watermark, and the deadlines of the partials of these rules
	waiting minheap.Heap[*sharedEvent]

	// delay is the least time by which an event of the partition was behind the record clock when it came, of those that have a
	// candidate where the field isn't @timestamp; noDelay before the first.
	delay int64

	// Of a target only.
	steps map[int32][]delayStep // the delays of sources as far as the watermark hasn't come there
	least int64                 // their least delay up to the clock of the watermark

	changed bool // something of it isn't in the store
	stored  bool // the store has it
}

// sharedHost names the host of a shared order in the values of its partials. No host has a name with a NUL: Preparer.host.
const sharedHost = "\x00shared"

// maxKeptDocuments is how many bytes of documents of waiting events stay in memory once they are in the store too.
const maxKeptDocuments = 32 << 20

// noDelay is the delay of a partition that never had an event.
const noDelay = math.MaxInt64

// sharedEvent is an event that waits in a shared order.
type sharedEvent struct {
	buffered

	order   *sharedOrder
	carrier place  // where the record lies that brought it: names it in the store
	origin  string // its host
	doc     []byte // nil: only the store has it
	queued  bool   // it waits, or has waited
	stored  bool   // the store has a record of it
}

func (e *sharedEvent) before(f *sharedEvent) bool {
	if c := e.ref.Compare(f.ref.Ordinal); c != 0 {
		return c < 0
	}
	return e.carrier.offset < f.carrier.offset // two parts of one event
}

func newSharedOrders(cfg *Config) sharedOrders {
	s := sharedOrders{sources: map[int32]int64{}, published: newPublishedIDs(true), taken: map[uint64]*takenLog{}}
	for _, field := range cfg.sharedFields() {
		s.orders = append(s.orders, newSharedOrder(field))
	}
	return s
}

func newSharedOrder(field string) *sharedOrder {
	h := newHost(sharedHost)
	h.shared = true
	return &sharedOrder{
		field: field, host: h, waiting: minheap.New((*sharedEvent).before), delay: noDelay, least: noDelay, steps: map[int32][]delayStep{},
	}
}

// shares reports whether the events of a rule are put into a shared order.
func (c *Config) shares(r *rules.Compiled) bool { return r.Joins() && (c.Rekey.All || !r.HostLocal) }

// observeDelay takes in by how much an event was behind the record clock when it came. What comes in order but long after it
// happened, such as events of the past that are put on the topic now, is not late by that.
func (w *Worker) observeDelay(t int64) {
	if w.sharing {
		w.observeDelayOf(w.shared.orders[0], t)
	}
}

// observeDelayOf does that for one order, by whose field the event has the time t.
func (w *Worker) observeDelayOf(o *sharedOrder, t int64) {
	if delay := max(0, max(w.clock.now, w.recordTime)-t); delay < o.delay {
		o.delay, o.changed = delay, true
		w.followClock()
	}
}

// followClock moves the watermarks of the shared orders by the partition's record clock, where the worker sees all events. They are
// functions of what is stored, so that a worker that is made anew has the same.
func (w *Worker) followClock() {
	if !w.sharing || w.cfg.Rekey.Partitions > 0 {
		return
	}
	for _, o := range w.shared.orders {
		w.setSharedMark(o, w.clock.now, o.delay)
	}
	w.runShared()
}

func (w *Worker) setSharedMark(o *sharedOrder, clock, delay int64) {
	if delay != noDelay {
		o.host.mark = clock - delay - w.lateness - 1
	}
}

// runShared does what the watermarks of the shared orders have reached: of each first the events up to it, then the deadlines.
func (w *Worker) runShared() {
	for _, o := range w.shared.orders {
		for o.waiting.Len() > 0 && o.waiting.Top().ref.Time <= o.host.mark {
			w.feedShared(o.waiting.Pop())
		}
		for o.host.ticking() {
			w.tick(o.host)
		}
	}
}

// nextShared returns the record clock at which a shared order has something to do by the partition's own clock.
func (w *Worker) nextShared() (clock int64, ok bool) {
	if w.cfg.Rekey.Partitions > 0 {
		return 0, false
	}
	clock = math.MaxInt64
	for _, o := range w.shared.orders {
		if at := o.next(); at != math.MaxInt64 && o.delay != noDelay {
			clock = min(clock, at+o.delay+w.lateness+1)
		}
	}
	return clock, clock != math.MaxInt64
}

// next returns the earliest watermark that has something to do, math.MaxInt64 where none has.
func (o *sharedOrder) next() int64 {
	at := int64(math.MaxInt64)
	if o.waiting.Len() > 0 {
		at = o.waiting.Top().ref.Time
	}
	if t, ok := o.host.next(); ok {
		at = min(at, t)
	}
	return at
}

// waiting returns the number of events that wait in all orders.
func (s *sharedOrders) waiting() (n int) {
	for _, o := range s.orders {
		n += o.waiting.Len()
	}
	return n
}

// share takes an event into its order, where it waits for the watermark; behind that it is fed at once.
func (w *Worker) share(e *sharedEvent) {
	s, o := &w.shared, e.order
	e.owned = true
	if e.ref.Time <= o.host.mark {
		w.countLate(&e.buffered, w.arrivedShared(o, e.ref.Time))
		w.feedingLate = true
		w.feedShared(e)
		w.feedingLate = false
		return
	}
	e.queued = true
	o.waiting.Push(e)
	s.added = append(s.added, e)
	s.kept += len(e.doc)
	w.keptBytes += len(e.doc)
	if s.waiting() > w.cfg.Limits.Buffered {
		w.counts.bufferOverflow++
		w.feedShared(o.waiting.Pop())
	}
}

// arrivedShared tells why an event with time t, behind the watermark of a shared order, is late.
func (w *Worker) arrivedShared(o *sharedOrder, t int64) arrival {
	if w.cfg.Rekey.Partitions == 0 && t > w.clock.log-o.delay-w.lateness-1 {
		return lateBySilence
	}
	return late
}

// feedShared gives an event to its machines.
func (w *Worker) feedShared(e *sharedEvent) {
	doc := e.doc
	if doc == nil && e.stored && !w.cfg.NoEvidence {
		var err error
		if doc, err = w.storedDocument(e); err != nil {
			w.fail(err)
			return
		}
	}
	if w.wantedShared(e) {
		w.hold(placeOf(e.ref), doc, e.origin)
		w.feed(&e.buffered, e.order.host)
		w.letGo(placeOf(e.ref))
	}
	e.gone = true
	w.unkeep(e)
	if e.stored {
		w.overlay.Delete(e.key())
	}
}

// wantedShared reports whether the event can change anything: it begins a partial or there is one.
func (w *Worker) wantedShared(e *sharedEvent) bool {
	return slices.ContainsFunc(e.cands, func(c candidate) bool {
		if w.machines[c.rule.Number].Begins(c.hits) {
			return true
		}
		return w.partials.find(w.partials.hash(c.rule, c.join), c.rule, c.join) != nil
	})
}

// unkeep lets go of the document of an event that waited.
func (w *Worker) unkeep(e *sharedEvent) {
	if e.queued {
		w.shared.kept -= len(e.doc)
	}
	e.doc = nil
}

func (w *Worker) storedDocument(e *sharedEvent) ([]byte, error) {
	value, ok, err := w.stored(e.key())
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("waiting event %s/%d/%d: %w", e.ref.Topic, e.ref.Partition, e.ref.Offset, state.ErrCorrupt)
	}
	stored, err := decodeShared(value)
	if err != nil {
		return nil, err
	}
	return stored.Source, nil
}

func (e *sharedEvent) key() []byte {
	return state.SharedKey{Topic: e.carrier.topic, Partition: e.carrier.partition, Offset: e.carrier.offset}.Append(nil)
}

// value is the event as it is stored: as it is sent.
func (e *sharedEvent) value() []byte {
	sent := rekey.Event{Ref: e.ref, Host: e.origin, Source: e.doc}
	for i := range e.cands {
		c := &e.cands[i]
		sent.Candidates = append(sent.Candidates, rekey.Candidate{Rule: ruleHash(c.rule), Hits: c.hits, Join: c.join})
	}
	return sent.Append(state.AppendVersion(make([]byte, 0, len(e.doc)+256)))
}

func decodeShared(value []byte) (*rekey.Event, error) {
	raw, err := state.Payload(value)
	if err != nil {
		return nil, err
	}
	rec, err := rekey.Decode(raw)
	if err == nil && rec.Event == nil {
		err = errValue
	}
	return rec.Event, err
}

// received makes an event of what was sent or stored, for the rules that share. Candidates of other rules are left
// out, and their number returned. It copies what it keeps of the event.
func (w *Worker) received(sent *rekey.Event, carrier place) (e *sharedEvent, unknown int) {
	e = &sharedEvent{carrier: carrier, origin: sent.Host}
	e.ref = sent.Ref
	for _, c := range sent.Candidates {
		rule := w.byHash[c.Rule]
		if rule == nil || !w.cfg.shares(rule) {
			unknown++
			continue
		}
		// A source sends an event once for each field, so all of them are of one.
		if o := w.shared.orderOf(w.cfg, rule); e.order == nil {
			e.order = o
		} else if e.order != o {
			unknown++
			continue
		}
		e.cands = append(e.cands, candidate{rule: rule, hits: c.Hits, join: slices.Clone(c.Join), hash: noteHash(c.Rule, c.Join)})
	}
	slices.SortStableFunc(e.cands, func(a, b candidate) int { return a.rule.Number - b.rule.Number })
	if len(e.cands) > 0 && !w.cfg.NoEvidence {
		e.doc = slices.Clone(sent.Source)
	}
	return e, unknown
}

// changeShared notes what the batch changes in the store.
func (w *Worker) changeShared() {
	for _, e := range w.shared.added {
		if !e.gone {
			w.overlay.Create(e.key(), e.value())
		}
	}
	w.changeOrders()
	w.changeTaken()
}

// sharedCommitted takes in that the batch was committed. What waits too long for the memory is left to the store.
func (w *Worker) sharedCommitted() {
	s := &w.shared
	for _, e := range s.added {
		e.stored = true
		if s.kept > maxKeptDocuments && !e.gone {
			w.unkeep(e)
		}
	}
	s.ordersCommitted()
	s.takenCommitted()
}

// loadShared reads what is known of the sources, and the events that wait in the shared orders.
func (w *Worker) loadShared() error {
	s := &w.shared
	if err := w.loadOrders(); err != nil {
		return fmt.Errorf("sources: %w", err)
	}
	for _, o := range s.orders {
		if w.cfg.Rekey.Partitions == 0 {
			w.setSharedMark(o, w.clock.now, o.delay)
		} else {
			w.setSharedMark(o, s.clock, o.least)
		}
	}
	return w.part.Scan([]byte{byte(state.FamilyShared)}, func(key, value []byte) error {
		k, err := state.ParseSharedKey(key)
		if err != nil {
			return err
		}
		sent, err := decodeShared(value)
		if err != nil {
			return err
		}
		carrier := place{strings.Clone(k.Topic), k.Partition, k.Offset}
		kept := w.keepShared(sent, carrier)
		e, _ := w.received(sent, carrier)
		if len(e.cands) == 0 {
			if !kept {
				w.counts.buffersDiscarded++
			}
			w.overlay.Delete(key)
			return nil
		}
		e.stored, e.owned, e.queued = true, true, true
		if s.kept+len(e.doc) > maxKeptDocuments {
			e.doc = nil
		}
		s.kept += len(e.doc)
		e.order.waiting.Push(e)
		return nil
	})
}

// swapShared gives the waiting events to the rules of another set.
func (w *Worker) swapShared(next map[uint64]*rules.Compiled) {
	for _, o := range w.shared.orders {
		o.waiting.Retain(func(e *sharedEvent) bool {
			if swapCandidates(&e.buffered, next) {
				return true
			}
			w.counts.buffersDiscarded++
			e.gone = true
			w.unkeep(e)
			if e.stored {
				w.overlay.Delete(e.key())
			}
			return false
		})
	}
	w.swapOrders()
}

// completingHost returns the host of the event that completed a match, "" where its document isn't kept.
func (w *Worker) completingHost(completed sequence.Ref) string {
	if name := w.hostOfEvidence(completed); name != "" {
		return name
	}
	return w.preparer.hostOf(w.source(completed))
}
