package pipeline

import (
	"math"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

// place puts a candidate where it has to wait for its host's watermark, or feeds it where it came behind that.
func (w *Worker) place(b *buffered, h *host, came arrival) {
	if b.field != "" { // the order by another timestamp has a watermark of its own
		h = w.hostOf(h.name + "\x00" + b.field)
		came = w.arrive(h, b.ref.Time)
		defer w.runHost(h)
	}
	if came == inTime {
		w.enqueue(h, b)
		return
	}
	w.countLate(b, came)
	w.feedingLate = true
	w.feed(b, h)
	w.feedingLate = false
	w.releaseWaiting(b)
}

// enqueue puts an event into the reorder buffer of its host.
func (w *Worker) enqueue(h *host, b *buffered) {
	b.host = h
	w.push(h, b)
	w.buffered++
	w.addedBuffers = append(w.addedBuffers, b)
	w.recount(h)
	w.touch(h)
	w.schedule(h)
	// While the state is loaded events come back in any order, and with a lower limit than before there may be too many: none leaves early for that.
	if w.buffered > w.cfg.Limits.Buffered && !w.loading {
		w.counts.bufferOverflow++
		w.dequeue(h)
	}
}

// dequeue feeds the earliest event of the host's buffer to its machines.
func (w *Worker) dequeue(h *host) {
	b := w.pop(h)
	w.buffered--
	w.feed(b, h)
	w.leave(b)
	w.recount(h)
	w.touch(h)
}

// leave notes that an event waits no more.
func (w *Worker) leave(b *buffered) {
	w.releaseWaiting(b)
	b.gone = true
	w.pages.remove(b)
}

// runHost does what the host's watermark has reached: first the events up to it, in order, then the deadlines.
func (w *Worker) runHost(h *host) {
	for h.ready() {
		w.dequeue(h)
	}
	for h.ticking() {
		w.tick(h)
	}
	w.schedule(h)
}

// runDue wakes the hosts that fell silent and whose watermark the record clock has moved far enough. Rules may join
// events across hosts, so the events of all of them are fed in one order, and so are their deadlines.
func (w *Worker) runDue() {
	if w.due.Len() == 0 || w.due.Top().due > w.clock.now {
		return
	}
	w.awake = w.awake[:0]
	buffers := minheap.New(func(a, b *host) bool { return a.buffer.Top().before(b.buffer.Top()) })
	for w.due.Len() > 0 && w.due.Top().due <= w.clock.now {
		h := w.due.Pop()
		h.due = math.MaxInt64
		h.advance(w.clock.now, w.lateness)
		w.awake = append(w.awake, h)
		if h.pending() {
			w.touch(h)
		}
		if h.ready() {
			buffers.Push(h)
		}
	}
	drain(&buffers, (*host).ready, w.dequeue)
	timers := minheap.New(func(a, b *host) bool { return w.partials.before(w.partials.at(a.timers), w.partials.at(b.timers)) })
	for _, h := range w.awake {
		if h.ticking() {
			timers.Push(h)
		}
	}
	drain(&timers, (*host).ticking, w.tick)
	for _, h := range w.awake {
		w.schedule(h)
	}
}

// drain does one thing for the first host of the heap, again and again, until no host has anything left to do.
func drain(hosts *minheap.Heap[*host], more func(*host) bool, do func(*host)) {
	for hosts.Len() > 0 {
		h := hosts.Top()
		do(h)
		if more(h) {
			hosts.Fix()
		} else {
			hosts.Pop()
		}
	}
}
