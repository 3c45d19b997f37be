package pipeline

import (
	"fmt"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/state"
)

// Changes returns what the batch changes in the partition's state: the records for the changelog, to be
// committed in one transaction with Output and the input's offsets. The overlay is the worker's: it is valid until
// Committed or Reload, and nothing may be processed in between.
func (w *Worker) Changes() *state.Overlay {
	for _, id := range w.dirtyPartials {
		w.changePartial(w.partials.at(id))
	}
	for _, b := range w.addedBuffers {
		if !b.gone {
			w.overlay.Create(b.key(), b.value())
		}
	}
	w.changeShared()
	for _, at := range w.freshEvidence {
		if e, ok := w.evidence[at]; ok && e.fresh != nil {
			w.overlay.Create(at.key(), e.value())
		}
	}
	for _, h := range w.dirtyHosts {
		switch {
		case h.pending():
			w.overlay.Put(h.key(), h.value())
		case h.stored:
			w.overlay.Delete(h.key())
		}
	}
	// The clock is kept when nothing is pending too: a restart must not take the next record's word for the time.
	if w.clock != w.clockStored {
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
	for _, b := range w.addedBuffers {
		b.stored = true
	}
	w.sharedCommitted()
	for _, at := range w.freshEvidence {
		if e, ok := w.evidence[at]; ok {
			e.stored, e.fresh = true, nil
		}
	}
	for _, h := range w.dirtyHosts {
		h.dirty = false
		h.stored = h.pending()
	}
	w.clockStored = w.clock
	w.counts.flush(w)
	w.clearBatch()
	return nil
}

// EndBatch ends the batch without a commit, for a worker whose state nobody will read again: all of it stays in
// memory, and nothing goes to the store.
func (w *Worker) EndBatch() {
	w.endPartials(false)
	for _, h := range w.dirtyHosts {
		h.dirty = false
	}
	w.counts.flush(w)
	w.clearBatch()
}

// Reload drops everything that isn't committed and reads the state of the last commit back: on assignment,
// at the start, and after a transaction that was aborted.
func (w *Worker) Reload() error {
	w.counts.reset()
	w.forget()
	if err := w.load(); err != nil {
		return fmt.Errorf("partition %d: load state: %w", w.number, err)
	}
	return nil
}

// load reads the partition's state: clock, hosts, partials, buffered events.
func (w *Worker) load() error {
	raw, ok, err := w.part.Get(state.AppendClockKey(nil))
	if err != nil {
		return err
	}
	if ok {
		if err := w.clock.decode(raw); err != nil {
			return fmt.Errorf("record clock: %w", err)
		}
		w.clockStored = w.clock
	}
	if err := w.part.Scan([]byte{byte(state.FamilyHost)}, w.loadHost); err != nil {
		return fmt.Errorf("host watermarks: %w", err)
	}
	if err := w.loadPartials(); err != nil {
		return fmt.Errorf("partials: %w", err)
	}
	if err := w.loadBuffers(); err != nil {
		return fmt.Errorf("buffered events: %w", err)
	}
	if err := w.loadShared(); err != nil {
		return fmt.Errorf("events that wait for those of other hosts: %w", err)
	}
	if err := w.loadIDs(); err != nil {
		return fmt.Errorf("ids of alerts: %w", err)
	}
	if err := w.sweepEvidence(); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	w.dropStrayHosts()
	return nil
}

// sweepEvidence drops the evidence that nothing refers to any more, such as that of a removed rule's partials.
func (w *Worker) sweepEvidence() error {
	return w.part.Scan([]byte{byte(state.FamilyEvidence)}, func(key, _ []byte) error {
		k, err := state.ParseEvidenceKey(key)
		if err != nil {
			return err
		}
		if _, ok := w.evidence[place{k.Topic, k.Partition, k.Offset}]; !ok {
			w.overlay.Delete(key)
		}
		return nil
	})
}

func (w *Worker) loadHost(_, value []byte) error {
	h := newHost("")
	h.stored = true
	if err := h.decode(value); err != nil {
		return err
	}
	w.hosts[h.name] = h
	return nil
}

// loadPartials takes in the partials of the rules that are loaded. Those of rules that are gone, or whose query
// has changed, are dropped with the next commit: they would mean something else now.
func (w *Worker) loadPartials() error {
	dropped := 0
	err := w.part.Scan([]byte{byte(state.FamilyPartial)}, func(key, value []byte) error {
		k, err := state.ParsePartialKey(key)
		if err != nil {
			return err
		}
		if c, ok := w.byHash[k.Rule]; ok {
			p := storedPartial{rule: c}
			if err := p.decode(value); err != nil {
				return fmt.Errorf("rule %s: %w", c.Rule.ID, err)
			}
			if (p.host == sharedHost) == w.cfg.shares(c) { // else its events were ordered otherwise than they are now
				w.loadPartial(&p)
				return nil
			}
		}
		dropped++
		w.overlay.Delete(key)
		return nil
	})
	w.partials.sortByAge() // the store has them by key, the caps want them by age
	w.noteDiscarded(dropped)
	return err
}

func (w *Worker) loadPartial(s *storedPartial) {
	hash := w.partials.hash(s.rule, bytesOf(s.join))
	h := w.shared.host
	if s.host != sharedHost {
		h = w.hostOf(s.host)
	}
	p := w.insert(s.rule, s.join, hash, h, s.begun)
	p.stored = true
	w.begun = max(w.begun, s.begun)
	w.after = appendRefs(w.after[:0], &s.st)
	for _, r := range w.after {
		w.retainStored(r)
	}
	w.keep(p, &s.st, len(w.after))
	if s.at != math.MaxInt64 {
		w.wake(p, s.at)
	}
}

// retainStored counts a reference to evidence that the store holds.
func (w *Worker) retainStored(r sequence.Ref) {
	at := placeOf(r)
	if e, ok := w.evidence[at]; ok {
		e.refs++
		return
	}
	w.evidence[at] = &evidence{refs: 1, stored: true}
}

// waiting is a buffered event as the store has it.
type waiting struct {
	event *buffered
	host  string
	rules []uint64 // hashes of the rules that it waits for
}

// loadBuffers decodes the buffered events again and matches them with the rules that they wait for, as far as these
// are still there.
func (w *Worker) loadBuffers() error {
	var all []waiting
	err := w.part.Scan([]byte{byte(state.FamilyBuffered)}, func(key, value []byte) error {
		k, err := state.ParseBufferedKey(key)
		if err != nil {
			return err
		}
		e := waiting{event: &buffered{stored: true}}
		e.event.ref.Partition, e.event.ref.Offset = k.Partition, k.Offset
		e.host, e.rules, err = e.event.decode(value)
		all = append(all, e)
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := w.loadBuffer(e); err != nil {
			return fmt.Errorf("%s/%d/%d: %w", e.event.ref.Topic, e.event.ref.Partition, e.event.ref.Offset, err)
		}
	}
	return nil
}

// loadBuffer takes in one buffered event. A rule that was not there when the event came must not see it: of the events
// of that time it would see only those that others waited for, and take what it doesn't see for missing.
func (w *Worker) loadBuffer(e waiting) error {
	b := e.event
	raw, err := w.storedEvidence(placeOf(b.ref))
	if err != nil {
		return err
	}
	if raw == nil {
		return fmt.Errorf("its evidence is gone: %w", state.ErrCorrupt)
	}
	found, err := w.preparer.again(raw, b.ref.Topic)
	if err != nil {
		return fmt.Errorf("its evidence: %w", err)
	}
	b.ref.ID, b.ref.Sequence, b.ref.HasSeq = found.ref.ID, found.ref.Sequence, found.ref.HasSeq
	for _, f := range found.waiting {
		if f.field == b.field {
			b.cands = slices.DeleteFunc(f.cands, func(c candidate) bool { return !slices.Contains(e.rules, ruleHash(c.rule)) })
		}
	}
	h := w.hostOf(e.host)
	if len(b.cands) == 0 {
		w.counts.buffersDiscarded++
		b.host = h
		w.overlay.Delete(b.key())
		return nil
	}
	w.retainStored(b.ref)
	w.restoreBuffer(h, b)
	return nil
}

func (w *Worker) restoreBuffer(h *host, b *buffered) {
	added := len(w.addedBuffers)
	w.enqueue(h, b)
	w.addedBuffers = w.addedBuffers[:added]
}

// dropStrayHosts schedules the hosts that were loaded and lets go of those that nothing waits for any more.
func (w *Worker) dropStrayHosts() {
	for _, h := range w.hosts {
		if h.pending() {
			w.schedule(h)
		} else {
			w.touch(h)
		}
	}
	w.newHosts = nil
}
