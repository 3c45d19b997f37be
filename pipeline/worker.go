package pipeline

import (
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/internal/minheap"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Worker runs the rule set over one partition and owns its state. All methods belong to one goroutine. The life
// of a worker is Load, then for each commit Process (and Idle, or Finish at the end of the input), Changes
// and Output, then Committed, or Reload when the commit failed.
type Worker struct {
	cfg      *Config
	part     *state.Partition
	log      *slog.Logger
	lateness int64
	number   int32

	decoder  *event.Decoder
	meta     event.Meta
	ev       *event.Event
	matcher  *rules.Matcher
	machines []*sequence.Machine // by rule number; nil for single-event rules
	absences []bool              // by rule number: the rule has missing stages

	clock        recordClock
	clockStored  bool
	hosts        map[string]*host
	due          minheap.Heap[dueHost]
	pendingHosts int
	newHosts     []string
	partials     map[string]*partial
	byRule       []ruleQueue
	evidence     map[place]*evidence
	buffered     int
	keptBytes    int

	overlay        *state.Overlay
	dirtyPartials  []*partial
	dirtyHosts     []*host
	addedBuffers   []*buffered
	freshEvidence  []place
	out            Output
	counts         counts
	evictionLogged []bool
	feedingLate    bool // the event at hand came behind its host's watermark
	err            error

	keyBuf  []byte
	joins   [][]byte
	before  []sequence.Ref
	after   []sequence.Ref
	matches []sequence.Match
}

// NewWorker returns a worker for a partition with empty state: call Load before the first record.
func NewWorker(cfg *Config, part *state.Partition, number int32) (*Worker, error) {
	machines, err := newMachines(cfg.Set)
	if err != nil {
		return nil, err
	}
	w := &Worker{
		cfg: cfg, part: part, number: number, machines: machines,
		log:      cfg.Logger.With(slog.Int("partition", int(number))),
		lateness: cfg.Order.Lateness.Milliseconds(),
		decoder:  event.NewDecoder(cfg.Set.Schema()),
		meta:     cfg.Set.Meta(),
		ev:       event.New(cfg.Set.Schema()),
		matcher:  cfg.Set.NewMatcher(),
		overlay:  new(state.Overlay),
	}
	for _, c := range cfg.Set.Rules() {
		w.absences = append(w.absences, slices.ContainsFunc(c.Query.Stages, func(st *eql.Stage) bool { return st.Missing }))
	}
	w.evictionLogged = make([]bool, len(machines))
	w.counts = newCounts(len(machines), cfg.Set.Schema().Len())
	w.forget()
	return w, nil
}

func newMachines(set *rules.Set) ([]*sequence.Machine, error) {
	compiled := set.Rules()
	machines := make([]*sequence.Machine, len(compiled))
	for i, c := range compiled {
		if !c.Sequence() {
			continue
		}
		spec := sequence.Spec{MaxSpan: c.MaxSpan, Until: c.Query.Until != nil}
		for _, st := range c.Query.Stages {
			spec.Stages = append(spec.Stages, sequence.Stage{Missing: st.Missing, Runs: st.Runs})
		}
		m, err := sequence.New(spec)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", c.Rule.ID, err)
		}
		machines[i] = m
	}
	return machines, nil
}

// forget drops all state in memory.
func (w *Worker) forget() {
	w.clock, w.clockStored = recordClock{}, false
	w.hosts = map[string]*host{}
	w.due = minheap.New(dueHost.before)
	w.pendingHosts = 0
	w.newHosts = nil
	w.partials = map[string]*partial{}
	w.byRule = make([]ruleQueue, len(w.machines))
	w.evidence = map[place]*evidence{}
	w.buffered = 0
	w.clearBatch()
}

// clearBatch drops what belongs to the batch only.
func (w *Worker) clearBatch() {
	w.overlay.Reset()
	w.dirtyPartials = w.dirtyPartials[:0]
	w.dirtyHosts = w.dirtyHosts[:0]
	w.addedBuffers = w.addedBuffers[:0]
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

// Process runs records in the order given: that of the log for each topic. An error means that the store
// failed and the batch must not be committed; bad records are no errors, they become dead letters.
func (w *Worker) Process(records []Record) error {
	for i := range records {
		w.process(&records[i])
		if w.err != nil {
			return fmt.Errorf("partition %d offset %d: %w", w.number, records[i].Offset, w.err)
		}
	}
	return nil
}

func (w *Worker) process(r *Record) {
	w.counts.records++
	w.counts.bytes += uint64(len(r.Value))
	reason, detail := w.decode(r)
	var ms int64
	var sub int32
	if reason == "" {
		var ok bool
		if ms, sub, ok = w.meta.Time(w.ev); !ok {
			reason, detail = ReasonNoTimestamp, "the event has no @timestamp that is a date"
		}
	}
	if reason != "" {
		w.observeClock(r, "", noTime)
		w.runDue()
		w.deadLetter(r, reason, detail)
		return
	}
	name := state.Fold(w.meta.Host(w.ev)) // names as large as an event would make values that no topic takes
	if name == "" {
		w.counts.hostless++
	}
	w.observeClock(r, name, ms)
	w.runDue()
	w.take(r, w.hostOf(name), w.refOf(r, ms, sub))
}

// take runs an event that was decoded, after everything that the record clock makes due was done.
func (w *Worker) take(r *Record, h *host, ref sequence.Ref) {
	if !h.pending() {
		// The store doesn't keep the watermarks of hosts that nothing waits for. Forgetting them here as well is
		// what makes a run that was killed decide as one that was not.
		h.mark = minMark
	}
	h.advance(w.clock.now, w.lateness)
	late := ref.Time <= h.mark
	h.observe(ref.Time, w.clock.now, w.lateness)
	if h.pending() {
		w.touch(h)
	}
	w.match(r, h, ref, late)
	w.runHost(h)
}

// noTime is the event time of a record that has none.
const noTime = math.MinInt64

func (w *Worker) decode(r *Record) (reason, detail string) {
	if len(r.Value) > w.cfg.Limits.EventBytes {
		return ReasonTooLarge, fmt.Sprintf("%d bytes, the limit is %d", len(r.Value), w.cfg.Limits.EventBytes)
	}
	if err := w.decoder.Decode(r.Value, w.ev); err != nil {
		return decodeReason(err), err.Error()
	}
	return "", ""
}

// observeClock moves the record clock. A file's lines have no broker timestamp: event.ingested stands in, else
// the event's own time.
func (w *Worker) observeClock(r *Record, host string, eventTime int64) {
	switch {
	case r.Clock != ClockEvent:
		w.clock.observe(r.Time, r.Clock, host)
	case eventTime != noTime:
		if ingested, _, ok := w.meta.IngestTime(w.ev); ok {
			eventTime = ingested
		}
		w.clock.observe(eventTime, ClockEvent, host)
	}
	w.counts.clock = w.clock.now
}

// refOf returns the event's place in the order, its time clamped to what the record clock makes believable.
func (w *Worker) refOf(r *Record, ms int64, sub int32) sequence.Ref {
	ref := sequence.Ref{ID: state.Fold(w.meta.ID(w.ev))}
	ref.Ordinal = sequence.Ordinal{
		Time: ms, SubMillis: sub, Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
	}
	ref.Sequence, ref.HasSeq = w.meta.Sequence(w.ev)
	if latest := w.latestBelievable(); ms > latest {
		w.counts.clamped++
		ref.Time, ref.SubMillis = latest, 0
	}
	w.counts.newest = max(w.counts.newest, ref.Time)
	return ref
}

// latestBelievable is the latest event time that the record clock makes believable.
func (w *Worker) latestBelievable() int64 {
	return w.clock.now + w.cfg.Order.FutureTolerance.Milliseconds()
}

// match runs the rule set over the decoded event: single-event matches become alerts at once, candidates of
// sequences wait for the host's watermark, late ones don't.
func (w *Worker) match(r *Record, h *host, ref sequence.Ref, late bool) {
	hits := w.matcher.Match(w.ev, w.cfg.Streams[r.Topic])
	for _, c := range hits.Single {
		w.alertEvent(c, h, ref, r.Value)
	}
	if len(hits.Sequences) == 0 {
		return
	}
	for _, b := range w.candidates(hits.Sequences, ref) {
		if len(b.cands) == 0 {
			continue
		}
		b.ref.ID = string([]byte(b.ref.ID))
		w.keepEvidence(b.ref, r.Value)
		if late {
			w.countLate(b)
			w.feedingLate = true
			w.feed(b, h)
			w.feedingLate = false
			w.release(b.ref)
			continue
		}
		w.enqueue(h, b)
	}
}

// enqueue puts an event into the reorder buffer of its host.
func (w *Worker) enqueue(h *host, b *buffered) {
	if !h.pending() {
		w.pendingHosts++
	}
	b.host = h
	h.buffer.Push(b)
	w.buffered++
	w.addedBuffers = append(w.addedBuffers, b)
	w.touch(h)
	w.schedule(h)
	if w.buffered > w.cfg.Limits.Buffered {
		w.counts.bufferOverflow++
		w.dequeue(h)
	}
}

// dequeue feeds the earliest event of the host's buffer to its machines.
func (w *Worker) dequeue(h *host) {
	b := h.buffer.Pop()
	w.buffered--
	w.feed(b, h)
	w.release(b.ref)
	b.gone = true
	if b.stored {
		w.overlay.Delete(b.key())
	}
	if !h.pending() {
		w.pendingHosts--
	}
	w.touch(h)
}

// runHost does what the host's watermark has reached: first the events up to it, in order, then the deadlines.
func (w *Worker) runHost(h *host) {
	for h.buffer.Len() > 0 && h.buffer.Top().ref.Time <= h.mark {
		w.dequeue(h)
	}
	w.tick(h)
	w.schedule(h)
}

// runDue wakes the hosts that fell silent and whose watermark the record clock has moved far enough.
func (w *Worker) runDue() {
	for w.due.Len() > 0 && w.due.Top().clock <= w.clock.now {
		d := w.due.Pop()
		h := d.h
		if d.clock != h.due {
			continue
		}
		h.due = math.MaxInt64
		h.advance(w.clock.now, w.lateness)
		if h.pending() {
			w.touch(h)
		}
		w.runHost(h)
	}
}

// Idle moves the record clock to now (milliseconds), for a partition that is silent and caught up. What it
// decides is the wall clock's doing: the caller passes the broker's idea of the present, never a later one.
func (w *Worker) Idle(now int64) error {
	if w.clock.advance(now) {
		w.counts.clock = w.clock.now
		w.counts.idleAdvances++
		w.runDue()
	}
	return w.err
}

// NextDue returns the record clock at which a silent partition has something to do, false when nothing waits.
func (w *Worker) NextDue() (clock int64, ok bool) {
	if w.due.Len() == 0 {
		return 0, false
	}
	return w.due.Top().clock, true
}

// Finish ends the input: every watermark goes to infinity, and what only that decided carries weir.open_end.
func (w *Worker) Finish() error {
	for _, h := range w.sortedBuffers() {
		w.dequeue(h)
	}
	for _, p := range w.sortedPartials() {
		m := w.machines[p.rule.Number]
		w.before = appendRefs(w.before[:0], &p.st)
		w.matches = m.Finish(&p.st, w.matches[:0])
		w.settle(p, m)
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
func (w *Worker) Full() bool { return w.keptBytes > 32<<20 || len(w.out.Alerts) > 5_000 }

// RecordClock returns the record clock of the partition in milliseconds since the epoch, 0 before the first record.
func (w *Worker) RecordClock() int64 { return w.clock.now }
