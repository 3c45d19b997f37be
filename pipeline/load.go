package pipeline

import (
	"fmt"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/state"
)

// Reload drops everything that isn't committed and reads the state of the last commit back: on assignment, at the start, and
// after a transaction that was aborted. The documents of the events that waited then are on the input: where Missing
// returns any, they come by Refill before the next record.
func (w *Worker) Reload() error {
	w.counts.reset()
	w.forget()
	w.loading = true
	if err := w.load(); err != nil {
		return fmt.Errorf("partition %d: load state: %w", w.number, err)
	}
	return nil
}

// load reads the partition's state: clock, hosts, partials, waiting events.
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
	for _, step := range []struct {
		what string
		load func() error
	}{
		{"host watermarks", w.loadMarks},
		{"host watermarks of codec version 1", w.loadHostsVersion1},
		{"partials", w.loadPartials},
		{"events that wait for rules that weren't loaded", w.loadUnclaimed},
		{"notes of waiting events", w.loadNotes},
		{"waiting events", w.loadWaiting},
		{"waiting events of codec version 1", w.loadWaitingVersion1},
		{"events that wait for those of other hosts", w.loadShared},
		{"what was taken of the re-key topic", w.loadTaken},
		{"ids of alerts", w.loadIDs},
		{"quarantine", w.loadRests},
		{"what is kept for rules that weren't loaded", w.claimLoaded},
	} {
		if err := step.load(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	if w.refill == nil {
		return w.loaded()
	}
	return nil
}

// loaded ends the load, when everything that waits is there.
func (w *Worker) loaded() error {
	if err := w.sweepEvidence(); err != nil {
		return fmt.Errorf("evidence: %w", err)
	}
	for _, h := range w.dirtyHosts { // what was loaded is what is stored
		h.dirty = false
	}
	w.dirtyHosts = w.dirtyHosts[:0]
	w.addedBuffers = slices.DeleteFunc(w.addedBuffers, func(e entry) bool { return !e.waits() || e.event.page != nil })
	for h := range w.hosts.all() {
		if h.pending() {
			w.schedule(h)
			w.recount(h)
		}
		if !h.pending() || h.page == nil {
			w.touch(h)
		}
	}
	w.newHosts = nil
	w.loading = false
	return nil
}

// sweepEvidence drops the evidence that nothing refers to any more, such as that of a removed rule's partials.
func (w *Worker) sweepEvidence() error {
	return w.part.ScanKeys([]byte{byte(state.FamilyEvidence)}, func(key []byte) error {
		k, err := state.ParseEvidenceKey(key)
		if err != nil {
			return err
		}
		e, ok := w.evidence[place{k.Topic, k.Partition, k.Offset}]
		switch {
		case !ok:
			w.overlay.Delete(key)
		case !e.stored: // of an event that waits, and that a partial held
			w.releaseDocument(&e.doc)
			e.stored = true
		}
		return nil
	})
}

// loadMarks reads the pages of hosts.
func (w *Worker) loadMarks() error {
	err := w.part.Scan([]byte{byte(state.FamilyMarks)}, func(key, value []byte) error {
		number, err := state.ParsePageKey(state.FamilyMarks, key)
		if err != nil {
			return err
		}
		if number > maxPage {
			return fmt.Errorf("page %d: %w", number, state.ErrCorrupt)
		}
		page := w.pages.hostPage(number)
		page.stored = true
		r := readValue(value)
		for r.err == nil && len(r.rest) > 0 {
			if len(page.hosts) == hostsPerPage {
				return fmt.Errorf("page %d has more than %d hosts: %w", number, hostsPerPage, state.ErrCorrupt)
			}
			h := r.host()
			w.hosts.put(h)
			w.pages.placeHost(page, h)
		}
		return r.err
	})
	for _, page := range w.pages.hosts {
		if len(page.hosts) < hostsPerPage {
			w.pages.offer(page)
		}
	}
	return err
}

// loadPartials takes in the partials of the rules that are loaded. Those of rules that are gone, or whose query
// has changed, are dropped with the next commit: they would mean something else now. Where a rule file is broken they may be its rule's, and are kept.
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
		} else if w.misses(k.Rule) {
			return w.keepPartial(k, value)
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
	var h *host
	if s.host == sharedHost {
		h = w.shared.orderOf(w.cfg, s.rule).host
	} else {
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

// retainStored counts a partial's reference to evidence that the store holds.
func (w *Worker) retainStored(r sequence.Ref) {
	at := placeOf(r)
	e, ok := w.evidence[at]
	if !ok {
		e = &evidence{stored: true}
		w.evidence[at] = e
	}
	e.refs++
	e.held++
}
