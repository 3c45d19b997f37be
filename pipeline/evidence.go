package pipeline

import (
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/state"
)

// place is where an event lies in the log; it names the event's evidence.
type place struct {
	topic     string
	partition int32
	offset    int64
}

func placeOf(r sequence.Ref) place { return place{r.Topic, r.Partition, r.Offset} }

// evidence is the raw document of one event that the reorder buffer or partials refer to, once however many refer to it. It
// goes to the store with the first commit at which a partial holds it. What only waits stays in memory, and
// after a restart is read again from the input; it goes to the store where the memory for it is used up.
type evidence struct {
	refs    int    // all that refer to it
	held    int    // partials among them, once for each time that one holds it
	doc     []byte // the document, where it is in memory
	host    string // with Config.NoEvidence: what is kept in its place
	stored  bool   // committed: the document is in the store
	storing bool   // it goes there with this batch
	listed  bool   // it is among the fresh ones
}

// keepEvidence copies the document of an event of h and holds one reference to it for the event, where anything may ask for it:
// what hits only missing stages or an until is in no partial and no alert.
func (w *Worker) keepEvidence(b *buffered, h *host, raw []byte) {
	if !slices.ContainsFunc(b.cands, func(c candidate) bool {
		return w.machines[c.rule.Number].Holds(c.hits) && (!w.cfg.NoEvidence || !c.rule.HostLocal)
	}) {
		return
	}
	at := placeOf(b.ref)
	if e, ok := w.evidence[at]; ok {
		e.refs++
		b.evidence = e
		return
	}
	e := &evidence{refs: 1}
	if w.cfg.NoEvidence {
		e.host = h.name
	} else {
		e.doc = append(make([]byte, 0, len(raw)), raw...)
		w.docBytes += len(raw)
	}
	w.evidence[at], b.evidence = e, e
}

// hold holds one reference to the document of an event of a host, which becomes the worker's, until letGo.
func (w *Worker) hold(at place, own []byte, host string) {
	if e, ok := w.evidence[at]; ok {
		e.refs++
		return
	}
	e := &evidence{refs: 1}
	if w.cfg.NoEvidence {
		e.host = host
	} else {
		e.doc = own
		w.docBytes += len(own)
	}
	w.evidence[at] = e
}

// letGo gives up what hold held.
func (w *Worker) letGo(at place) {
	if e, ok := w.evidence[at]; ok {
		w.unref(at, e)
	}
}

// releaseWaiting gives up the reference of an event that waits no more.
func (w *Worker) releaseWaiting(b *buffered) {
	if e := b.evidence; e != nil {
		b.evidence = nil
		w.unref(placeOf(b.ref), e)
	}
}

// retain holds an event's evidence for a partial.
func (w *Worker) retain(r sequence.Ref) {
	at := placeOf(r)
	e, ok := w.evidence[at]
	if !ok {
		return
	}
	e.refs++
	e.held++
	if !e.stored && !e.listed && e.doc != nil {
		e.listed = true
		w.freshEvidence = append(w.freshEvidence, at)
		w.keptBytes += len(e.doc)
	}
}

// release gives up what retain held.
func (w *Worker) release(r sequence.Ref) {
	at := placeOf(r)
	if e, ok := w.evidence[at]; ok {
		e.held--
		w.unref(at, e)
	}
}

func (w *Worker) unref(at place, e *evidence) {
	e.refs--
	if e.refs > 0 {
		return
	}
	delete(w.evidence, at)
	w.docBytes -= len(e.doc)
	if e.stored || e.storing {
		w.overlay.Delete(at.key())
	}
}

// changeEvidence writes the documents that partials hold since this batch, and those of waiting events that memory has no
// room for, the newest first: they wait the longest.
func (w *Worker) changeEvidence() {
	over := w.docBytes - w.cfg.Limits.BufferedBytes
	for _, at := range w.freshEvidence {
		e, ok := w.evidence[at]
		if !ok {
			continue
		}
		if e.held > 0 && !e.storing {
			w.overlay.Put(at.key(), e.value())
			e.storing = true
		}
		if e.storing {
			over -= len(e.doc)
		}
	}
	for i := len(w.addedBuffers) - 1; i >= 0 && over > 0; i-- {
		b := w.addedBuffers[i]
		e := b.evidence
		if b.gone || e == nil || e.stored || e.storing || e.doc == nil {
			continue
		}
		at := placeOf(b.ref)
		w.overlay.Put(at.key(), e.value())
		e.storing = true
		if !e.listed {
			e.listed = true
			w.freshEvidence = append(w.freshEvidence, at)
		}
		over -= len(e.doc)
		w.counts.spilled++
	}
}

// evidenceCommitted lets go of the documents that the store has now.
func (w *Worker) evidenceCommitted() {
	for _, at := range w.freshEvidence {
		e, ok := w.evidence[at]
		if !ok {
			continue
		}
		e.listed = false
		if e.storing {
			e.storing, e.stored = false, true
			w.docBytes -= len(e.doc)
			e.doc = nil
		}
	}
}

// source returns the document of an event, nil when it isn't kept.
func (w *Worker) source(r sequence.Ref) []byte {
	at := placeOf(r)
	e, ok := w.evidence[at]
	if !ok || w.cfg.NoEvidence {
		return nil
	}
	if e.doc != nil {
		return e.doc
	}
	raw, err := w.storedEvidence(at)
	if err != nil {
		w.fail(err)
	}
	return raw
}

// storedEvidence reads a document from the store, nil when it isn't there.
func (w *Worker) storedEvidence(at place) ([]byte, error) {
	value, ok, err := w.part.Get(at.key())
	if err != nil || !ok {
		return nil, err
	}
	return state.Payload(value)
}

// value is the evidence as it is stored.
func (e *evidence) value() []byte {
	return append(state.AppendVersion(make([]byte, 0, len(e.doc)+1)), e.doc...)
}
