package pipeline

// entry is a waiting event on a list that may be looked at when the event waits no more, and its memory is another's.
type entry struct {
	event  *buffered
	number uint32 // of the event that is meant
}

// waits reports whether the event that is meant still waits.
func (e entry) waits() bool { return e.event.number == e.number && !e.event.gone }

// in reports whether the event that is meant still waits and stands in a page.
func (e entry) in(page *eventPage) bool { return e.waits() && e.event.page == page }

// leastSpare is the number of events whose memory is kept, however few wait.
const leastSpare = 1024

// newBuffered returns an event to be put into the buffer, numbered and zero else.
func (w *Worker) newBuffered() *buffered { return w.own(&buffered{}) }

// own returns a copy of a prepared event that can wait: what was prepared, with its candidates, is the batch's.
func (w *Worker) own(prepared *buffered) *buffered {
	var b *buffered
	if n := len(w.spare); n > 0 {
		b, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		b = w.memory.newBuffered()
	}
	w.entered++
	*b = *prepared
	b.number = w.entered
	if len(b.cands) > 0 {
		b.cands = w.keepCandidates(b.cands)
	}
	b.ref.ID = w.memory.copyText(b.ref.ID)
	return b
}

// recycle takes the memory of an event that waits no more.
func (w *Worker) recycle(b *buffered) {
	*b = buffered{number: b.number, gone: true} // lists may know it still
	if len(w.spare) < max(leastSpare, w.buffered) {
		w.spare = append(w.spare, b)
	}
}

// trimSpare gives the memory of events back that a buffer left which was much fuller.
func (w *Worker) trimSpare() {
	if len(w.spare) > 4*max(leastSpare, w.buffered) {
		w.spare = nil
	}
}
