package pipeline

import (
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Worker runs the rule set over one partition and owns its state. All methods belong to one goroutine. The life
// of a worker is Reload, Refill where something is Missing, then for each commit Process (and Idle, or Finish at the end of the input), Changes
// and Output, then Committed, or Reload when the commit failed. Where the commit takes time, Seal in place of Committed lets the next batch begin.
type Worker struct {
	// What it works with.
	cfg      *Config
	part     *state.Partition
	log      *slog.Logger
	lateness int64
	number   int32

	preparer *Preparer // of records that come without being prepared
	batch    Batch
	machines []Machine                  // by rule number; nil for single-event rules
	byHash   map[uint64]*rules.Compiled // those that have machines
	sharing  bool                       // some of them join events of any host
	absences []bool                     // by rule number: the rule has missing stages
	meter    *meter                     // nil measures nothing
	resting  []bool                     // by rule number: the rule is in quarantine; nil: none is
	// The version of the quarantine that resting is of; 0: of none.
	quarantined uint64
	// What is to be stored of the rules that rest, of which version that is, and what the store has.
	restsNow, restsStored []byte
	restsVersion          uint64

	loading bool // the state isn't complete: between Reload and, where it asks for records, Refilled

	// The state of the partition. What isn't rebuilt from other state is in the store after each commit.
	clock        recordClock
	clockStored  recordClock // as committed
	hosts        *hostTable
	due          dueHeap // those that have something to do at some record clock
	pendingHosts int
	queues       []*waitingQueue // empty ones, for the next hosts that need one
	forgetAt     int             // number of hosts from which on idle ones are looked for again
	newHosts     []string
	partials     *partialTable
	begun        int64  // partials begun, to number them
	topic        string // the topic that packed states don't name; empty until one is packed
	evidence     map[place]*evidence
	documents    documents // of what waits
	held         documents // of what partials hold, until the store has them
	docBytes     int       // of documents in memory
	buffered     int
	entered      uint32 // events that were put into the buffer, to number them
	pages        pages
	notes        notes
	live         liveCounts
	eager        []eager // by rule number
	seen         uint64  // records
	wholeUntil   uint64  // the record until which all events wait whole
	refill       *refill // not nil: what waited is being read again
	published    publishedIDs
	shared       sharedOrders
	unclaimed    unclaimed

	// What belongs to the batch, until it is committed.
	overlay        *state.Overlay
	dirtyPartials  []partialID
	dirtyHosts     []*host
	addedBuffers   []entry
	freshEvidence  []place
	keptBytes      int
	out            Output
	counts         counts
	evictionLogged []bool
	err            error

	sealed       *Sealed        // nil: no batch is being committed
	spareOverlay *state.Overlay // of the batch before: empty; nil: none
	spareCounts  *counts

	// What belongs to the record or the event at hand.
	recordTime   int64
	arriving     buffered  // what the record is to the rules that wait
	feedingLate  bool      // it came behind its host's watermark
	feedingEvent *buffered // what the machines are given; nil between events
	feeding      struct {
		rule   *rules.Compiled
		event  sequence.Ordinal
		alerts int // of the rule, completed by the event
	}

	// Memory that is used again.
	awake   []*host
	spare   []*buffered // that wait no more
	memory  slab
	recent  recentCandidates
	woken   []noteRef
	ready   []*buffered
	bodyBuf []byte
	scratch sequence.Scratch
	opened  MachineState
	before  []sequence.Ref
	after   []sequence.Ref
	matches []sequence.Match
}

// NewWorker returns a worker for a partition with empty state: call Reload before the first record.
func NewWorker(cfg *Config, part *state.Partition, number int32) (*Worker, error) {
	machines, err := newMachines(cfg)
	if err != nil {
		return nil, err
	}
	w := &Worker{
		part: part, number: number,
		log:      cfg.Logger.With(slog.Int("partition", int(number))),
		lateness: cfg.Order.Lateness.Milliseconds(),
		overlay:  new(state.Overlay),
		counts:   newCounts(len(machines)),
	}
	w.setRules(cfg, machines)
	w.forget()
	return w, nil
}

// Number returns the number of the worker's partition.
func (w *Worker) Number() int32 { return w.number }

// forget drops all state in memory.
func (w *Worker) forget() {
	w.clock, w.clockStored = recordClock{}, recordClock{}
	w.sealed = nil // whoever commits it may have its changes still
	w.hosts = newHostTable()
	w.due, w.forgetAt = dueHeap{}, 0
	w.pendingHosts = 0
	w.newHosts = nil
	w.partials = newPartialTable(w.cfg.Set.Rules())
	w.resting, w.quarantined = nil, 0
	w.restsNow, w.restsStored, w.restsVersion = nil, nil, 0
	w.topic = ""
	w.evidence = map[place]*evidence{}
	w.documents, w.held = documents{}, documents{}
	w.docBytes, w.buffered = 0, 0
	w.pages, w.refill = newPages(), nil
	w.notes, w.live = newNotes(), newLiveCounts(len(w.machines), 0)
	w.published = newPublishedIDs(false)
	w.shared = newSharedOrders(w.cfg)
	w.unclaimed = newUnclaimed()
	// Not with every batch: where commits fall must not move the cap on the alerts of one event.
	w.feeding.rule, w.feeding.event, w.feeding.alerts = nil, sequence.Ordinal{}, 0
	w.begun = 0
	w.clearBatch()
}

// clearBatch drops what belongs to the batch only.
func (w *Worker) clearBatch() {
	w.overlay.Reset()
	w.dirtyPartials = w.dirtyPartials[:0]
	w.dirtyHosts = w.dirtyHosts[:0]
	w.addedBuffers = w.addedBuffers[:0]
	clear(w.shared.added)
	w.shared.added = w.shared.added[:0]
	w.freshEvidence = w.freshEvidence[:0]
	w.keptBytes = 0
	w.newHosts = w.newHosts[:0]
	w.out = Output{}
	w.err = nil
}

// fail keeps the first error of the store; Process returns it.
func (w *Worker) fail(err error) {
	if w.err == nil {
		w.err = err
	}
}

// ownBatch is the number of records that a worker prepares before it processes them.
const ownBatch = 256

// Process prepares records and runs them in the order given: that of the log for each topic. An error means that the
// store failed and the batch must not be committed; bad records are no errors, they become dead letters.
func (w *Worker) Process(records []Record) error {
	w.batch.Partition = w.number
	for part := range slices.Chunk(records, ownBatch) {
		w.batch.Records = part
		w.preparer.Prepare(&w.batch)
		if err := w.ProcessBatch(&w.batch, 0, len(part)); err != nil {
			return err
		}
	}
	w.batch.Records = nil
	return nil
}

// ProcessBatch runs the records from up to to of a prepared batch, as Process does. Each record of a batch is run
// once: what was prepared of it becomes the worker's.
func (w *Worker) ProcessBatch(b *Batch, from, to int) error {
	if w.refill != nil {
		return fmt.Errorf("partition %d: BUG: records before what waited was read again", w.number)
	}
	defer w.meter.begin()()
	w.followQuarantine()
	w.counts.unknownStream += b.unknown
	b.unknown = 0
	for i := from; i < to; i++ {
		w.process(&b.Records[i], &b.prepared[i])
		if w.err != nil {
			return fmt.Errorf("partition %d offset %d: %w", w.number, b.Records[i].Offset, w.err)
		}
	}
	w.dropNotes()
	if w.err != nil {
		return fmt.Errorf("partition %d: %w", w.number, w.err)
	}
	return nil
}

func (w *Worker) process(r *Record, p *prepared) {
	w.seen++
	w.counts.records++
	w.counts.bytes += uint64(len(r.Value))
	w.observeClock(r, p)
	w.runDue()
	w.followClock()
	if p.reason != "" {
		w.deadLetter(r, p.reason, p.hit.detail)
		return
	}
	w.counts.folded += uint64(p.folded)
	w.counts.joinKeysTruncated += uint64(p.truncated)
	if p.host == "" {
		w.counts.hostless++
	}
	if n := w.hosts.len(); n >= w.cfg.Limits.Hosts+w.pendingHosts && n >= w.forgetAt { // here, where nobody holds a host
		w.forgetIdleHosts()
	}
	w.take(r, p)
	if w.live.crowded() { // here, where no event is between its host's queue and the machines
		w.countLive()
	}
}

// take runs an event, after everything that the record clock makes due was done.
func (w *Worker) take(r *Record, p *prepared) {
	h := w.hostOf(p.host)
	at, sub := w.believable(p.time, p.sub)
	w.counts.newest = max(w.counts.newest, at)
	came := w.arrive(h, at)
	if p.hit != nil {
		ref := &p.hit.ref
		ref.Topic, ref.Partition, ref.Offset = r.Topic, r.Partition, r.Offset
		ref.Time, ref.SubMillis = at, sub
		w.match(r, p.hit, h, came)
	}
	w.observeDelay(at)
	w.runHost(h)
}

// arrive moves the host's watermark by the time of an event of it, and tells how the event stands to it.
func (w *Worker) arrive(h *host, t int64) arrival {
	fresh := !h.pending()
	if fresh {
		// The store doesn't keep the watermarks of hosts that nothing waits for. Forgetting them here as well is
		// what makes a run that was killed decide as one that was not.
		h.mark = minMark
	}
	h.advance(w.clock.now, w.lateness)
	came := h.arrived(t, &w.clock, w.lateness)
	// While the record clock waits for a jump to be confirmed, the record's own time is nearer to the truth.
	h.observe(t, max(w.clock.now, w.recordTime), w.lateness)
	if fresh && h.number != 0 {
		w.begunAnew(h)
	}
	if h.pending() {
		w.touch(h)
	}
	return came
}

// noTime is the event time of a record that has none.
const noTime = math.MinInt64

// observeClock moves the record clock. A file's lines have no broker timestamp: event.ingested stands in, else
// the event's own time.
func (w *Worker) observeClock(r *Record, p *prepared) {
	w.recordTime = r.Time
	if r.Clock == ClockEvent {
		at := p.clock()
		if at == noTime {
			return
		}
		w.recordTime = at
	}
	w.recordTime = min(max(w.recordTime, 0), latestTime)
	w.clock.observe(w.recordTime, r.Clock, p.host)
	w.counts.clock = w.clock.now
	w.forgetIDs(&w.published, w.clock.now)
}

// believable clamps an event time that is ahead of both the record clock and the time of its own record.
func (w *Worker) believable(ms int64, sub int32) (int64, int32) {
	latest := max(w.clock.now, w.recordTime) + w.cfg.Order.FutureTolerance.Milliseconds()
	if ms <= latest {
		return ms, sub
	}
	w.counts.clamped++
	return latest, 0
}

// match does what the rules make of the event: single-event matches become alerts at once, candidates of sequences
// wait for the host's watermark, late ones don't.
func (w *Worker) match(r *Record, hit *hit, h *host, came arrival) {
	for _, c := range hit.single {
		if w.rests(c) {
			continue
		}
		if w.meter.sample(sampledCandidates) {
			began := w.meter.q.elapsed()
			w.alertEvent(c, h, hit.ref, r.Value)
			w.meter.took[c.Number] += w.meter.q.elapsed() - began
			continue
		}
		w.alertEvent(c, h, hit.ref, r.Value)
	}
	for _, c := range hit.timeless {
		w.counts.timeless[c.Number]++
	}
	w.matchShared(r, hit, h)
	for i := range hit.waiting {
		f := &hit.waiting[i]
		ref := hit.ref
		if f.time != noTime { // by another timestamp field
			ref.Time, ref.SubMillis = w.believable(f.time, f.sub)
		}
		w.noteCrossing(f.cands)
		if came == inTime && f.field == "" && w.noted(&ref, f.cands, h) {
			continue
		}
		w.arriving = buffered{field: f.field, ref: ref, cands: f.cands}
		w.wakeNotes(&w.arriving, h)
		w.keepEvidence(&w.arriving, r.Value)
		w.place(&w.arriving, h, came)
	}
}

// Idle moves the record clock to now (milliseconds), for a partition that is silent and caught up. What it
// decides is the wall clock's doing: the caller passes the broker's idea of the present, never a later one.
func (w *Worker) Idle(now int64) error {
	w.followQuarantine() // nothing may have come since a rule was put there, or the state was loaded
	if w.clock.advance(now) {
		w.counts.clock = w.clock.now
		w.counts.idleAdvances++
		w.forgetIDs(&w.published, w.clock.now)
		w.runDue()
		w.followClock()
		w.dropNotes()
	}
	return w.err
}

// NextDue returns the record clock at which a silent partition has something to do, false when nothing waits.
func (w *Worker) NextDue() (clock int64, ok bool) {
	clock, ok = w.nextShared()
	if w.due.len() > 0 && (!ok || w.due.first() < clock) {
		return w.due.first(), true
	}
	return clock, ok
}

// Finish ends the input: every watermark goes to infinity, and what only that decided carries weir.open_end.
func (w *Worker) Finish() error {
	for _, h := range w.sortedBuffers() {
		w.dequeue(h)
	}
	w.finishShared()
	decided := len(w.out.Alerts)
	for _, p := range w.sortedPartials() {
		m := w.machines[p.rule]
		st := w.open(p)
		w.before = appendRefs(w.before[:0], st)
		w.matches = m.Finish(st, w.matches[:0])
		w.settle(p, m, st)
	}
	if w.cfg.Samples == SamplesBatch { // a search found them by key, and readers want them by time
		slices.SortStableFunc(w.out.Alerts[decided:], func(a, b Alert) int { return a.Completed.Compare(b.Completed.Ordinal) })
	}
	return w.err
}

// NewHosts returns the hosts that the worker met for the first time since the last call or commit, to find
// hosts that are seen on two partitions. The slice is valid until the next call of Process.
func (w *Worker) NewHosts() []string {
	names := w.newHosts
	w.newHosts = w.newHosts[:0]
	return names
}

// Output returns what the batch has made so far.
func (w *Worker) Output() *Output { return &w.out }

// Full reports whether the batch has grown so far that it should be committed before more records come.
func (w *Worker) Full() bool {
	over := max(0, w.docBytes-w.cfg.Limits.BufferedBytes)
	return w.keptBytes+over > 32<<20 || len(w.out.Alerts) > 5_000 || len(w.out.Rekeyed) > 20_000
}

// Partials returns the number of live partials.
func (w *Worker) Partials() int { return w.partials.len() }

// RecordClock returns the record clock of the partition in milliseconds since the epoch, 0 before the first record.
func (w *Worker) RecordClock() int64 { return w.clock.now }

// ClockJump returns the smallest of the times far ahead of the record clock that wait for confirmation, in milliseconds since the epoch; 0
// for none. The record clock is it when the next record confirms it, however long that took to come.
func (w *Worker) ClockJump() int64 { return w.clock.jump }

// NoteWallClock says what the wall clock was when the record clock was last moved. It is stored with the record clock.
func (w *Worker) NoteWallClock(at int64) { w.clock.wall = at }

// WallClock returns what NoteWallClock last said, also before a restart; 0 where it wasn't called.
func (w *Worker) WallClock() int64 { return w.clock.wall }
