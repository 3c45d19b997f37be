package pipeline

import (
	"bytes"
	"fmt"

	"github.com/weir-eql/weir/state"
)

// Changes returns what the batch changes in the partition's state: the records for the changelog, to be
// committed in one transaction with Output and the input's offsets. The overlay is the worker's: nothing may be processed until Seal, which
// gives it away, Committed or Reload.
func (w *Worker) Changes() *state.Overlay {
	w.changeRests()
	w.dropUnclaimed()
	for _, id := range w.dirtyPartials {
		w.changePartial(w.partials.at(id))
	}
	w.changeShared()
	w.changeEvidence()
	w.changePages()
	w.changeNotes()
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

// Sealed is a batch that is being committed while its worker goes on with the next one. It doesn't change.
type Sealed struct {
	// Output is what the worker made of the batch's records.
	Output

	number  int32
	part    *state.Partition
	changes *state.Overlay
	counts  counts
}

// Seal ends the batch, after Changes, and lets the worker go on with records that come behind it, as if the batch were committed: what it reads
// of the state it finds in the batch until the local store has it. What becomes of the batch is up to the caller: Apply and then Confirm where its
// transaction was committed, Reload where it wasn't, which drops the records behind it as well. One batch is sealed at a time. What Changes and
// Output returned before is the sealed batch's, and valid until Confirm.
func (w *Worker) Seal() *Sealed {
	if w.sealed != nil {
		panic("BUG: a batch is sealed before the one before it is confirmed")
	}
	w.sealed = &Sealed{Output: w.out, number: w.number, part: w.part, changes: w.overlay, counts: w.counts}
	if w.overlay, w.spareOverlay = w.spareOverlay, nil; w.overlay == nil {
		w.overlay = new(state.Overlay)
	}
	w.counts, w.spareCounts = w.counts.next(w.spareCounts), nil
	w.endPartials(true)
	w.sharedCommitted()
	w.evidenceCommitted()
	w.pages.clearDirty()
	w.notes.notesStored()
	for _, h := range w.dirtyHosts {
		h.dirty = false
	}
	w.clockStored, w.restsStored = w.clock, w.restsNow
	w.clearBatch()
	w.trimSpare()
	return w.sealed
}

// Apply writes the changes of a batch whose transaction was committed to the local store, with the checkpoint cp. It may run on any goroutine
// while the worker works on. An error means that the local store can't be trusted any more; the commit itself stands.
func (s *Sealed) Apply(cp state.Checkpoint) error {
	if err := s.part.Apply(s.changes, cp); err != nil {
		return fmt.Errorf("partition %d: apply the committed changes: %w", s.number, err)
	}
	return nil
}

// Confirm forgets the sealed batch, which was committed: what it counted becomes metrics, and its memory is used again. After an Apply that failed
// nothing else may be asked of the worker.
func (w *Worker) Confirm() {
	s := w.sealed
	w.sealed = nil
	s.counts.flush(w, s.Alerts)
	s.changes.Reset()
	spare := s.counts // a copy: the batch's output isn't kept alive by it
	w.spareOverlay, w.spareCounts = s.changes, &spare
}

// Committed is Seal, Apply and Confirm in one, for callers that wait with the next batch.
func (w *Worker) Committed(cp state.Checkpoint) error {
	if err := w.Seal().Apply(cp); err != nil {
		return err
	}
	w.Confirm()
	return nil
}

// stored returns the value of a key after the last batch that was sealed, as a copy, and whether there is one.
func (w *Worker) stored(key []byte) (value []byte, ok bool, err error) {
	if w.sealed != nil {
		if value, presence := w.sealed.changes.Get(key); presence != state.Unknown {
			return bytes.Clone(value), presence == state.Present, nil
		}
	}
	return w.part.Get(key)
}

// EndBatch ends the batch without a commit, for a worker whose state nobody will read again: all of it stays in
// memory, and nothing goes to the store.
func (w *Worker) EndBatch() {
	w.endPartials(false)
	w.ownEvidence()
	for _, h := range w.dirtyHosts {
		h.dirty = false
	}
	w.counts.flush(w, w.out.Alerts)
	w.clearBatch()
}
