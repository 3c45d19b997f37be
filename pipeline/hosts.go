package pipeline

import (
	"container/heap"
	"math"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// host is one host of a partition: its watermark, the candidates that wait for it, and the deadlines of the
// partials that it drives. Clocks differ between hosts, so each has a watermark of its own.
type host struct {
	name     string
	newest   int64 // newest event time, clamped; milliseconds
	clockAt  int64 // record clock when the newest event came
	mark     int64 // watermark: all events with a time up to it are taken to have come; never goes back
	buffer   bufferHeap
	timers   timerHeap
	partials int   // live partials that this host drives
	due      int64 // record clock of its earliest entry in the due heap; math.MaxInt64: none
	stored   bool  // the store has a record of it
	dirty    bool
}

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

// clockFor returns the record clock at which the watermark reaches t.
func (h *host) clockFor(t, lateness int64) int64 { return t - h.newest + h.clockAt + lateness + 1 }

// next returns the earliest watermark that has something to do.
func (h *host) next() (int64, bool) {
	at, ok := int64(math.MaxInt64), false
	if len(h.buffer) > 0 {
		at, ok = h.buffer[0].ref.Time, true
	}
	if len(h.timers) > 0 && h.timers[0].at < at {
		at, ok = h.timers[0].at, true
	}
	return at, ok
}

// pending reports whether anything waits for the host's watermark or lives by it.
func (h *host) pending() bool { return len(h.buffer) > 0 || h.partials > 0 }

// buffered is an event that waits in the reorder buffer, with what it may do to which partials.
type buffered struct {
	ref    sequence.Ref
	cands  []candidate
	host   *host
	field  string // the rules' timestamp_field; empty: @timestamp
	stored bool   // the store has a record of it
	gone   bool   // fed to its machines
}

// bufferHeap has the event with the smallest ordinal on top.
type bufferHeap []*buffered

func (b bufferHeap) Len() int           { return len(b) }
func (b bufferHeap) Less(i, j int) bool { return b[i].ref.Compare(b[j].ref.Ordinal) < 0 }
func (b bufferHeap) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }
func (b *bufferHeap) Push(x any)        { *b = append(*b, x.(*buffered)) } //nolint:errcheck // heap.Push is called with *buffered only
func (b *bufferHeap) Pop() any {
	old := *b
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*b = old[:len(old)-1]
	return last
}

// timer is a deadline of a partial. It is stale when the partial has another deadline by now.
type timer struct {
	at int64
	p  *partial
}

// timerHeap has the earliest deadline on top, equal ones in the order of the partials' keys, so that the order
// of decisions doesn't depend on history that isn't kept.
type timerHeap []timer

func (t timerHeap) Len() int { return len(t) }
func (t timerHeap) Less(i, j int) bool {
	if t[i].at != t[j].at {
		return t[i].at < t[j].at
	}
	return t[i].p.key < t[j].p.key
}
func (t timerHeap) Swap(i, j int) { t[i], t[j] = t[j], t[i] }
func (t *timerHeap) Push(x any)   { *t = append(*t, x.(timer)) } //nolint:errcheck // heap.Push is called with timer only
func (t *timerHeap) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*t = old[:len(old)-1]
	return last
}

// dueHost is a host and the record clock at which its watermark has something to do. Entries that a later one
// replaced are stale and skipped.
type dueHost struct {
	clock int64
	h     *host
}

type dueHeap []dueHost

func (d dueHeap) Len() int { return len(d) }
func (d dueHeap) Less(i, j int) bool {
	if d[i].clock != d[j].clock {
		return d[i].clock < d[j].clock
	}
	return d[i].h.name < d[j].h.name
}
func (d dueHeap) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dueHeap) Push(x any)   { *d = append(*d, x.(dueHost)) } //nolint:errcheck // heap.Push is called with dueHost only
func (d *dueHeap) Pop() any {
	old := *d
	last := old[len(old)-1]
	old[len(old)-1] = dueHost{}
	*d = old[:len(old)-1]
	return last
}

// hostOf returns the host of a name, made where it is new. The name is copied then.
func (w *Worker) hostOf(name string) *host {
	if h, ok := w.hosts[name]; ok {
		return h
	}
	if len(w.hosts) >= w.cfg.Limits.Hosts+w.pendingHosts {
		w.forgetIdleHosts()
	}
	h := &host{name: string([]byte(name)), mark: minMark, due: math.MaxInt64}
	w.hosts[h.name] = h
	w.newHosts = append(w.newHosts, h.name)
	return h
}

// forgetIdleHosts drops the hosts that nothing waits for: their next event starts them afresh.
func (w *Worker) forgetIdleHosts() {
	for name, h := range w.hosts {
		if !h.pending() && !h.stored {
			delete(w.hosts, name)
			w.counts.hostsForgotten++
		}
	}
}

// schedule puts the host into the due heap for its next watermark, if that is earlier than what is there.
func (w *Worker) schedule(h *host) {
	at, ok := h.next()
	if !ok {
		return
	}
	clock := h.clockFor(at, w.lateness)
	if clock >= h.due {
		return
	}
	h.due = clock
	heap.Push(&w.due, dueHost{clock: clock, h: h})
}

// touch marks a host whose record in the store has to be written or deleted with the next commit.
func (w *Worker) touch(h *host) {
	if !h.dirty {
		h.dirty = true
		w.dirtyHosts = append(w.dirtyHosts, h)
	}
}
