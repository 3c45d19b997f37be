package pipeline

import (
	"fmt"

	"github.com/weir-eql/weir/state"
)

// Changes returns what the batch changes in the partition's state: the records for the changelog, to be
// committed in one transaction with Output and the input's offsets. The overlay is the worker's: it is valid until
// Committed or Reload, and nothing may be processed in between.
func (w *Worker) Changes() *state.Overlay {
	w.changeRests()
	for _, id := range w.dirtyPartials {
		w.changePartial(w.partials.at(id))
	}
	w.changeShared()
	w.changeEvidence()
	w.changePages()
	// The clock is kept when nothing is pending too: a restart must not take the next record's word for the time.
	if !w.clock.storedAlike(w.clockStored) {
		w.overlay.Put(state.AppendClockKey(nil), w.clock.value())
	}
	return w.overlay
}

// maxPartialBytes is the largest state of one rule and join key that the changelog takes.
const maxPartialBytes = 900_000

func (w *Worker) changePartial(p *partial) {
	if p.dead() || !p.dirty {
		return
	}
	w.bodyBuf = w.partials.appendValue(w.bodyBuf[:0], p, w.topic)
	if len(w.bodyBuf) > maxPartialBytes {
		w.evict(p, "the size of a record on the changelog")
		return
	}
	w.overlay.Put(w.partials.key(p), w.bodyBuf)
}

// endPartials empties the list of partials that had to change; stored says that the store has them now.
func (w *Worker) endPartials(stored bool) {
	for _, id := range w.dirtyPartials {
		p := w.partials.at(id)
		if p.listed = false; !p.dead() && p.dirty {
			p.dirty, p.stored = false, p.stored || stored
		}
	}
}

// Committed ends the batch after its transaction was committed: the changes go to the local store with the
// checkpoint cp. An error means that the local store can't be trusted any more; the commit itself stands.
func (w *Worker) Committed(cp state.Checkpoint) error {
	if err := w.part.Apply(w.overlay, cp); err != nil {
		return fmt.Errorf("partition %d: apply the committed changes: %w", w.number, err)
	}
	w.endPartials(true)
	w.sharedCommitted()
	w.evidenceCommitted()
	w.pages.clearDirty()
	for _, h := range w.dirtyHosts {
		h.dirty = false
	}
	w.clockStored, w.restsStored = w.clock, w.restsNow
	w.counts.flush(w)
	w.clearBatch()
	return nil
}

// EndBatch ends the batch without a commit, for a worker whose state nobody will read again: all of it stays in
// memory, and nothing goes to the store.
func (w *Worker) EndBatch() {
	w.endPartials(false)
	w.ownEvidence()
	for _, h := range w.dirtyHosts {
		h.dirty = false
	}
	w.counts.flush(w)
	w.clearBatch()
}
