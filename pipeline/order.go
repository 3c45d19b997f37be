package pipeline

import (
	"slices"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

// place puts a candidate where it has to wait for its host's watermark, or feeds it where it came behind that.
func (w *Worker) place(b *buffered, h *host, came arrival) {
	if b.field != "" { // the order by another timestamp has a watermark of its own
		h = w.hostOf(orderName(h.name, b.field))
		came = w.arrive(h, b.ref.Time)
		defer w.runHost(h)
	}
	if came == inTime {
		w.enqueue(h, w.own(b))
		return
	}
	b.host = h
	w.countLate(b, came)
	w.feedingLate = true
	w.feed(b, h)
	w.feedingLate = false
	w.releaseWaiting(b)
}

// orderName names the order of a host's events by a timestamp field, that of @timestamp where it is empty.
func orderName(host, field string) string {
	if field == "" {
		return host
	}
	return host + "\x00" + field
}

// enqueue puts an event into the reorder buffer of its host.
func (w *Worker) enqueue(h *host, b *buffered) {
	b.host = h
	w.push(h, b)
	w.buffered++
	w.countBeginnings(b)
	w.noteAdded(b)
	w.recount(h)
	w.touch(h)
	w.schedule(h)
	// While the state is loaded events come back in any order, and with a lower limit than before there may be too many:
	// none leaves early for that.
	if w.buffered > w.cfg.Limits.Buffered && !w.loading {
		w.counts.bufferOverflow++
		w.dequeue(h)
	}
}

// noteAdded notes an event that waits since this batch. Most are gone before it ends, so they are dropped from the list rather than
// let it grow: it would keep them in memory.
func (w *Worker) noteAdded(b *buffered) {
	if n := len(w.addedBuffers); n == cap(w.addedBuffers) && n > w.buffered+w.buffered/2 {
		w.addedBuffers = slices.DeleteFunc(w.addedBuffers, func(e entry) bool { return !e.waits() })
	}
	w.addedBuffers = append(w.addedBuffers, entry{b, b.number})
}

// dequeue feeds the earliest event of the host's buffer to its machines.
func (w *Worker) dequeue(h *host) {
	w.run(w.pop(h))
}

// run feeds an event that was taken out of the buffer of its host.
func (w *Worker) run(b *buffered) {
	h := b.host
	w.buffered--
	w.feed(b, h)
	w.leave(b)
	w.recount(h)
	w.touch(h)
}

// leave notes that an event waits no more.
func (w *Worker) leave(b *buffered) {
	w.uncountBeginnings(b)
	w.releaseWaiting(b)
	w.pages.remove(b)
	w.recycle(b)
}

// runHost does what the host's watermark has reached: first the events up to it, in order, then the deadlines.
func (w *Worker) runHost(h *host) {
	for h.ready() {
		w.dequeue(h)
	}
	for h.ticking() {
		w.tick(h)
	}
	w.recount(h)
	w.schedule(h)
}

// runDue wakes the hosts that fell silent and whose watermark the record clock has moved far enough. Rules may join
// events across hosts, so the events of all of them are fed in one order, and so are their deadlines.
func (w *Worker) runDue() {
	w.awake = w.awake[:0]
	for w.due.len() > 0 && w.due.first() <= w.clock.now {
		h := w.due.top()
		w.undue(h)
		h.advance(w.clock.now, w.lateness)
		w.awake = append(w.awake, h)
	}
	if len(w.awake) == 0 {
		return
	}
	w.feedAwake()
	w.tickAwake()
	for _, h := range w.awake {
		w.recount(h)
		w.schedule(h)
	}
}

// tickAwake wakes the partials whose deadlines the watermarks of the hosts that are awake have reached, in one order.
func (w *Worker) tickAwake() {
	if !slices.ContainsFunc(w.awake, (*host).ticking) { // as nearly always
		return
	}
	timers := minheap.New(func(a, b *host) bool { return w.partials.before(w.partials.at(a.timers), w.partials.at(b.timers)) })
	for _, h := range w.awake {
		if h.ticking() {
			timers.Push(h)
		}
	}
	for timers.Len() > 0 {
		h := timers.Top()
		w.tick(h)
		if h.ticking() {
			timers.Fix()
		} else {
			timers.Pop()
		}
	}
}

// feedAwake feeds the events up to the watermarks of the hosts that are awake, in one order.
func (w *Worker) feedAwake() {
	w.ready = w.ready[:0]
	hosts := 0
	for _, h := range w.awake {
		if h.counted {
			w.touch(h)
		}
		before := len(w.ready)
		for h.ready() {
			w.ready = append(w.ready, w.pop(h))
		}
		if len(w.ready) > before {
			hosts++
		}
	}
	if hosts > 1 {
		slices.SortFunc(w.ready, (*buffered).compare)
	}
	for _, b := range w.ready {
		w.run(b)
	}
	clear(w.ready)
}
