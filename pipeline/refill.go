package pipeline

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/weir-eql/weir/state"
)

// Span is a part of an input topic's partition: the offsets from From up to and without To.
type Span struct {
	Topic     string
	Partition int32
	From, To  int64
}

// refill is what a worker waits for after a reload: events that are in the reorder buffer, and whose documents are on the
// input only.
type refill struct {
	events map[place][]waiting
}

// waiting is an event of the reorder buffer as the store has it.
type waiting struct {
	event *buffered
	rules []uint64 // hashes of the rules that it waits for
}

// maxPage is the highest number of a page that is believed.
const maxPage = 1 << 20

// loadWaiting reads the pages of waiting events. Those whose documents are in the store are put into the buffer.
func (w *Worker) loadWaiting() error {
	var here []waiting
	err := w.part.Scan([]byte{byte(state.FamilyWaiting)}, func(key, value []byte) error {
		number, err := state.ParsePageKey(state.FamilyWaiting, key)
		if err != nil {
			return err
		}
		if number > maxPage {
			return fmt.Errorf("page %d: %w", number, state.ErrCorrupt)
		}
		page := w.pages.eventPage(number)
		page.stored = true
		here, err = w.loadPage(page, value, here)
		return err
	})
	if err != nil {
		return err
	}
	for _, e := range here {
		if err := w.restoreStored(e); err != nil {
			return err
		}
	}
	return nil
}

// loadPage decodes a page. It appends the events whose documents are in the store to here, and puts the others on the list of
// those that have to come from the input.
func (w *Worker) loadPage(page *eventPage, value []byte, here []waiting) ([]waiting, error) {
	r := readValue(value)
	kinds := make([]*eventKind, r.count(4))
	for i := range kinds {
		kinds[i] = r.kind()
	}
	var offset, at int64
	for r.err == nil && len(r.rest) > 0 {
		head := r.unsigned()
		offset += r.varint()
		at += r.varint()
		if head>>1 >= uint64(len(kinds)) {
			r.fail()
		}
		if r.err != nil {
			break
		}
		k := kinds[head>>1]
		b := w.newBuffered()
		b.field, b.kind, b.page = k.field, k, page
		b.ref.Topic, b.ref.Partition, b.ref.Offset, b.ref.Time = k.topic, k.partition, offset, at
		page.events = append(page.events, entry{b, b.number})
		page.live++
		e := waiting{event: b, rules: k.rules}
		if head&1 != 0 {
			here = append(here, e)
			continue
		}
		if w.refill == nil {
			w.refill = &refill{events: map[place][]waiting{}}
		}
		p := placeOf(b.ref)
		w.refill.events[p] = append(w.refill.events[p], e)
	}
	return here, r.err
}

// Missing returns what has to be read again from the input after a Reload, for the events that waited at the last commit: one
// span for each topic, ordered by topic. It is empty where nothing is missing. Else hand the records to Refill, in any
// order and number, and call Refilled when there are no more of them.
func (w *Worker) Missing() []Span {
	if w.refill == nil {
		return nil
	}
	type source struct {
		topic     string
		partition int32
	}
	spans := map[source]Span{}
	for p := range w.refill.events {
		at := source{p.topic, p.partition}
		s, ok := spans[at]
		if !ok {
			s = Span{Topic: p.topic, Partition: p.partition, From: p.offset, To: p.offset + 1}
		}
		s.From, s.To = min(s.From, p.offset), max(s.To, p.offset+1)
		spans[at] = s
	}
	return slices.SortedFunc(maps.Values(spans), func(a, b Span) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// Refill takes records of the input, and puts those that waited at the last commit back into the reorder buffer. It copies
// what it keeps.
func (w *Worker) Refill(records []Record) {
	if w.refill == nil {
		return
	}
	for i := range records {
		r := &records[i]
		at := place{r.Topic, r.Partition, r.Offset}
		events, ok := w.refill.events[at]
		if !ok {
			continue
		}
		delete(w.refill.events, at)
		for _, e := range events {
			if !w.restore(e, r.Value, false) {
				w.lose(e)
			}
		}
	}
}

// RefillFrom does all that Missing asks for, for callers that hold the whole input. It is an error where an event isn't there.
func (w *Worker) RefillFrom(records []Record) error {
	w.Refill(records)
	lost, err := w.Refilled()
	if err == nil && lost > 0 {
		return fmt.Errorf("partition %d: %d waiting events are not among %d records", w.number, lost, len(records))
	}
	return err
}

// Refilled ends what Missing began. It returns the number of events that did not come: they are gone from the input, and
// are taken out of the buffer and counted. An error means that the store failed.
func (w *Worker) Refilled() (lost int, err error) {
	if w.refill == nil {
		return 0, nil
	}
	left := w.refill.events
	w.refill = nil
	for at, events := range left {
		raw, err := w.storedEvidence(at) // a partial may hold it as well
		if err != nil {
			return 0, fmt.Errorf("partition %d: %w", w.number, err)
		}
		for _, e := range events {
			if raw == nil || !w.restore(e, raw, true) {
				w.lose(e)
			}
		}
	}
	lost = int(w.counts.lost)
	if err := w.loaded(); err != nil {
		return lost, fmt.Errorf("partition %d: load state: %w", w.number, err)
	}
	return lost, nil
}

// lose takes an event out whose document is gone.
func (w *Worker) lose(e waiting) {
	w.counts.lost++
	w.forgo(e.event)
}

// forgo takes an event out that was never put into the buffer.
func (w *Worker) forgo(b *buffered) {
	b.gone = true
	w.pages.remove(b)
}

// restoreStored puts a waiting event back whose document is in the store.
func (w *Worker) restoreStored(e waiting) error {
	ref := &e.event.ref
	raw, err := w.storedEvidence(placeOf(*ref))
	if err != nil {
		return err
	}
	if raw == nil {
		return fmt.Errorf("evidence of %s/%d/%d is gone: %w", ref.Topic, ref.Partition, ref.Offset, state.ErrCorrupt)
	}
	if !w.restore(e, raw, true) {
		w.lose(e)
	}
	return nil
}

// restore puts a waiting event back into the buffer of its host. A rule that was not there when the event came must not see
// it: of the events of that time it would see only those that others waited for, and take what it doesn't see for
// missing. It reports false where the document isn't that of the event.
func (w *Worker) restore(e waiting, raw []byte, stored bool) bool {
	b := e.event
	found, ok := w.preparer.again(raw, b.ref.Topic)
	if !ok {
		return false
	}
	at, sub := found.time, found.sub
	for _, f := range found.hit.waiting {
		if f.field != b.field {
			continue
		}
		if f.time != noTime {
			at, sub = f.time, f.sub
		}
		b.cands = slices.DeleteFunc(f.cands, func(c candidate) bool { return !slices.Contains(e.rules, ruleHash(c.rule)) })
	}
	h := w.hosts.get(orderName(found.host, b.field))
	if h == nil {
		h = w.hosts.get(orderName(w.preparer.hostBefore(), b.field))
	}
	if h == nil {
		return false
	}
	kept := w.keepWaiting(e, h, raw)
	if len(b.cands) == 0 {
		if !kept {
			w.counts.buffersDiscarded++
		}
		w.forgo(b)
		return true
	}
	switch {
	case at < b.ref.Time:
		return false
	case at > b.ref.Time: // it was clamped
		sub = 0
	}
	b.cands = w.keepCandidates(b.cands)
	found.hit.ref.ID = w.memory.copyText(found.hit.ref.ID)
	b.ref.ID, b.ref.Sequence, b.ref.HasSeq, b.ref.SubMillis = found.hit.ref.ID, found.hit.ref.Sequence, found.hit.ref.HasSeq, sub
	if b.page != nil && rulesOf(b.cands) != len(e.rules) { // what isn't wanted now must not be wanted later
		b.kind = nil
		w.pages.touch(b.page)
	}
	w.keepRestored(b, raw, stored)
	w.enqueue(h, b)
	return true
}

// rulesOf returns the number of rules of candidates. Those of one rule are neighbours.
func rulesOf(cands []candidate) int {
	n := 0
	for i := range cands {
		if i == 0 || cands[i].rule != cands[i-1].rule {
			n++
		}
	}
	return n
}

func (w *Worker) keepRestored(b *buffered, raw []byte, stored bool) {
	at := placeOf(b.ref)
	if !stored {
		w.keepEvidence(b, raw)
		return
	}
	e := w.evidence[at]
	if e == nil {
		e = &evidence{stored: true}
		w.evidence[at] = e
	}
	e.refs++
	b.evidence = e // also where nothing would ask for it: the page says that the document is there
}
