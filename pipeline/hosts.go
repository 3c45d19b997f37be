package pipeline

import (
	"cmp"
	"math"
	"strings"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// host is one host of a partition: its watermark, the candidates that wait for it, and the deadlines of the
// partials that it drives. Clocks differ between hosts, so each has a watermark of its own. There may be a million of them: one takes 96 bytes.
type host struct {
	name     string
	newest   int64         // newest event time, clamped; milliseconds
	clockAt  int64         // record clock when the newest event came
	mark     int64         // watermark: all events with a time up to it are taken to have come; never goes back
	deadline int64         // the earliest of its partials; math.MaxInt64: none
	buffer   *waitingQueue // what waits, by ordinal; nil: nothing, as for most hosts
	page     *hostPage     // where the store has it; nil: nowhere
	noted    int64         // latest time of its notes; math.MinInt64: it has none
	place    int32         // in the due heap, plus one; 0: it isn't in it
	timers   partialID     // top of the heap of the partials that have deadlines; 0: none has one
	partials int32         // live partials that this host drives
	number   uint32        // by which notes name it; 0: none does
	hash     uint32        // of its name, in the table of hosts
	slot     uint8         // its place in its page
	counted  bool          // it is among the worker's pending hosts
	dirty    bool
	shared   bool // it stands for all hosts, in a shared order
}

// waitingQueue holds the events of a host that wait for its watermark.
type waitingQueue = minheap.Queue[inQueue]

// inQueue is an event in the queue of its host. The time that most comparisons need lies in the queue: by the time an event
// is looked at again it is in no cache.
type inQueue struct {
	at    int64 // event.ref.Time
	event *buffered
}

func (q inQueue) before(r inQueue) bool {
	if q.at != r.at {
		return q.at < r.at
	}
	return q.event.compare(r.event) < 0
}

// sparedQueues is the number of empty queues that a worker keeps for the next hosts that need one.
const sparedQueues = 1024

// sparedEvents is the room above which a queue is left to the garbage collector.
const sparedEvents = 256

// minMark is the watermark before the first event.
const minMark = math.MinInt64 / 4

// observe takes in the time of an event of the host.
func (h *host) observe(t, clock, lateness int64) {
	if t > h.newest || h.mark == minMark {
		h.newest, h.clockAt = t, clock
		h.mark = max(h.mark, t-lateness-1)
	}
}

// advance recomputes the watermark for a record clock. Silence of the host moves it as the clock moves.
func (h *host) advance(clock, lateness int64) {
	if h.mark == minMark {
		return
	}
	h.mark = max(h.mark, h.newest+(clock-h.clockAt)-lateness-1)
}

// arrival says how the time of an event stands to the watermark of its host.
type arrival uint8

const (
	inTime        arrival = iota
	late                  // behind it
	lateBySilence         // behind it only since the wall clock has moved the record clock of a silent partition
)

// arrived tells how an event with time t comes, before it is observed. What an earlier silence has left of the watermark once
// the log has caught up with the wall clock counts as the log's.
func (h *host) arrived(t int64, clock *recordClock, lateness int64) arrival {
	switch {
	case t > h.mark:
		return inTime
	case clock.log < clock.now && t > h.newest+max(0, clock.log-h.clockAt)-lateness-1:
		return lateBySilence
	default:
		return late
	}
}

// clockFor returns the record clock at which the watermark reaches t.
func (h *host) clockFor(t, lateness int64) int64 { return t - h.newest + h.clockAt + lateness + 1 }

// next returns the earliest watermark that has something to do.
func (h *host) next() (int64, bool) {
	at, ok := int64(math.MaxInt64), false
	if h.buffer.Len() > 0 {
		at, ok = h.buffer.Top().at, true
	}
	if h.deadline < at {
		at, ok = h.deadline, true
	}
	if h.noted > h.mark && h.noted < at { // it is pending until then
		at, ok = h.noted, true
	}
	return at, ok
}

// ready reports whether the host's earliest buffered event may be fed.
func (h *host) ready() bool { return h.buffer.Len() > 0 && h.buffer.Top().at <= h.mark }

// ticking reports whether the watermark has reached the host's first deadline.
func (h *host) ticking() bool { return h.timers != 0 && h.deadline <= h.mark }

// pending reports whether anything waits for the host's watermark or lives by it.
func (h *host) pending() bool { return h.buffer.Len() > 0 || h.partials > 0 || h.noted > h.mark }

// buffered is an event that waits in the reorder buffer, with what it may do to which partials.
type buffered struct {
	ref      sequence.Ref
	cands    []candidate // shared with other events: not to be changed
	host     *host
	field    string     // the rules' timestamp_field; empty: @timestamp
	doc      document   // while it waits in memory
	evidence *evidence  // where its document is in the store, else nil
	page     *eventPage // where the store has it; nil: nowhere
	kind     *eventKind // nil until it is stored
	owned    bool       // its id has memory of its own
	gone     bool       // fed to its machines
	number   uint32     // of those that the worker has put into the buffer: its memory is used again
	kept     bool       // something may ask for its document
}

// hostName is the name of the host of an event that waits or is fed.
func (b *buffered) hostName() string { return b.host.displayName() }

func (b *buffered) compare(c *buffered) int {
	if b.ref.Time != c.ref.Time { // as nearly always
		return cmp.Compare(b.ref.Time, c.ref.Time)
	}
	return cmp.Or(b.ref.Compare(c.ref.Ordinal), cmp.Compare(b.field, c.field)) // one event may wait by two timestamps
}

// newHost returns a host without a watermark.
func newHost(name string) *host {
	return &host{name: name, mark: minMark, deadline: math.MaxInt64, noted: math.MinInt64}
}

// push puts an event into the host's queue.
func (w *Worker) push(h *host, b *buffered) {
	if h.buffer == nil {
		if n := len(w.queues); n > 0 {
			h.buffer, w.queues = w.queues[n-1], w.queues[:n-1]
		} else {
			q := minheap.NewQueue(inQueue.before)
			h.buffer = &q
		}
	}
	h.buffer.Push(inQueue{b.ref.Time, b})
}

// pop takes the earliest event out of the host's queue, which isn't empty.
func (w *Worker) pop(h *host) *buffered {
	b := h.buffer.Pop().event
	w.spareQueue(h)
	return b
}

// spareQueue takes the queue from a host that has nothing left in it.
func (w *Worker) spareQueue(h *host) {
	if h.buffer == nil || h.buffer.Len() > 0 {
		return
	}
	if len(w.queues) < sparedQueues && h.buffer.Cap() <= sparedEvents {
		w.queues = append(w.queues, h.buffer)
	}
	h.buffer = nil
}

// displayName is the host's name without the timestamp field that orders its events.
func (h *host) displayName() string {
	name, _, _ := strings.Cut(h.name, "\x00")
	return name
}

// hostOf returns the host of a name, made where it is new. The name is copied then.
func (w *Worker) hostOf(name string) *host {
	if h := w.hosts.get(name); h != nil {
		return h
	}
	h := newHost(strings.Clone(name))
	w.hosts.put(h)
	if !strings.Contains(h.name, "\x00") { // a host, not its order by another timestamp field
		w.newHosts = append(w.newHosts, h.name)
	}
	return h
}

// forgetIdleHosts drops the hosts that nothing waits for: their next event starts them afresh.
func (w *Worker) forgetIdleHosts() {
	var numbers []uint32
	w.hosts.retain(func(h *host) bool {
		if h.pending() || h.page != nil {
			return true
		}
		w.undue(h)
		if h.number != 0 {
			numbers = append(numbers, h.number)
		}
		w.counts.hostsForgotten++
		return false
	})
	if len(numbers) > 0 {
		w.notes.forget(numbers)
	}
	w.forgetAt = w.hosts.len() + w.cfg.Limits.Hosts/8 + 1
}

// recount brings the number of pending hosts in line with a host that may have changed.
func (w *Worker) recount(h *host) {
	if h.shared {
		return
	}
	if p := h.pending(); p != h.counted {
		h.counted = p
		w.touch(h)
		if p {
			w.pendingHosts++
		} else {
			w.pendingHosts--
			w.undue(h)
		}
	}
}

// schedule puts the host into the due heap for its next watermark, if that is earlier than what is there.
func (w *Worker) schedule(h *host) {
	if h.shared { // it has no clock of its own
		return
	}
	at, ok := h.next()
	if !ok {
		return
	}
	clock := h.clockFor(at, w.lateness)
	if clock < w.due.of(h) {
		w.due.set(h, clock)
	}
}

// undue takes the host out of the due heap.
func (w *Worker) undue(h *host) {
	w.due.remove(h)
}

// touch marks a host whose record in the store has to be written or deleted with the next commit.
func (w *Worker) touch(h *host) {
	if !h.dirty && !h.shared {
		h.dirty = true
		w.dirtyHosts = append(w.dirtyHosts, h)
	}
}
