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

// evidence is the raw document of one event that partials refer to, or that went to the store while it waited: once however
// many refer to it. What only waits has its document with it; it goes to the store with the first commit at which a partial holds
// it, and after a restart is read again from the input, or earlier where the memory for it is used up.
type evidence struct {
	refs    int      // all that refer to it
	held    int      // partials among them, once for each time that one holds it
	doc     document // where it is in memory
	host    string   // with Config.NoEvidence: what is kept in its place
	stored  bool     // committed: the document is in the store
	storing bool     // it goes there with this batch
	listed  bool     // it is among the fresh ones
}

// keepEvidence copies the document of an event for as long as it waits, where anything may ask for it: what hits only
// missing stages or an until is in no partial and no alert.
func (w *Worker) keepEvidence(b *buffered, raw []byte) {
	for i := range b.cands {
		c := &b.cands[i]
		if w.machines[c.rule.Number].Holds(c.hits) && (!w.cfg.NoEvidence || !c.rule.HostLocal) {
			b.kept = true
			break
		}
	}
	if b.kept && !w.cfg.NoEvidence {
		b.doc = w.documents.copy(raw)
		w.docBytes += len(raw)
	}
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
		e.doc = document{raw: own}
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

// releaseWaiting gives up the document of an event that waits no more.
func (w *Worker) releaseWaiting(b *buffered) {
	if b.kept {
		b.kept = false
		w.releaseDocument(&b.doc)
	}
	if e := b.evidence; e != nil {
		b.evidence = nil
		w.unref(placeOf(b.ref), e)
	}
}

func (w *Worker) releaseDocument(doc *document) {
	w.docBytes -= len(doc.raw)
	doc.release()
}

// waits returns the event at hand if it is the one at a place and has its document with it.
func (w *Worker) waits(at place) *buffered {
	if b := w.feedingEvent; b != nil && b.kept && placeOf(b.ref) == at {
		return b
	}
	return nil
}

// retain holds an event's evidence for a partial.
func (w *Worker) retain(r sequence.Ref) {
	at := placeOf(r)
	e, ok := w.evidence[at]
	if !ok {
		b := w.waits(at)
		if b == nil {
			return
		}
		// A copy: it stays until the commit at least, and would keep the chunk in which the event waited with all that lies
		// beside it.
		e = &evidence{doc: w.held.copy(b.doc.raw)}
		w.docBytes += len(e.doc.raw)
		if w.cfg.NoEvidence {
			e.host = b.hostName()
		}
		w.evidence[at] = e
	}
	e.refs++
	e.held++
	if !e.stored && !e.listed && e.doc.raw != nil {
		e.listed = true
		w.freshEvidence = append(w.freshEvidence, at)
		w.keptBytes += len(e.doc.raw)
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
	w.releaseDocument(&e.doc)
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
		if e.held > 0 {
			w.storeEvidence(at, e)
		}
		if e.storing {
			over -= len(e.doc.raw)
		}
	}
	for i := len(w.addedBuffers) - 1; i >= 0 && over > 0; i-- {
		if b := w.addedBuffers[i].event; w.addedBuffers[i].waits() && b.doc.raw != nil {
			over -= len(b.doc.raw)
			w.spill(b)
		}
	}
}

func (w *Worker) storeEvidence(at place, e *evidence) {
	if !e.storing && !e.stored {
		w.bodyBuf = append(state.AppendVersion(w.bodyBuf[:0]), e.doc.raw...)
		w.overlay.Put(at.key(), w.bodyBuf)
		e.storing = true
	}
}

// spill puts the document of a waiting event into the store.
func (w *Worker) spill(b *buffered) {
	at := placeOf(b.ref)
	e, ok := w.evidence[at]
	if ok {
		w.releaseDocument(&b.doc)
	} else {
		e = &evidence{doc: b.doc}
		w.evidence[at] = e
	}
	b.kept, b.doc, b.evidence = false, document{}, e
	e.refs++
	w.storeEvidence(at, e)
	if e.storing && !e.listed {
		e.listed = true
		w.freshEvidence = append(w.freshEvidence, at)
	}
	w.counts.spilled++
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
			w.releaseDocument(&e.doc)
		}
	}
}

// ownEvidence gives the documents that partials hold since this batch memory of their own, where the store never has them: a partial may
// live for long, and would keep all that waited beside its event.
func (w *Worker) ownEvidence() {
	for _, at := range w.freshEvidence {
		if e, ok := w.evidence[at]; ok && e.doc.chunk != nil {
			own := slices.Clone(e.doc.raw)
			e.doc.release()
			e.doc.raw = own
		}
	}
}

// source returns the document of an event, nil when it isn't kept. It is valid until the event is released.
func (w *Worker) source(r sequence.Ref) []byte {
	at := placeOf(r)
	e, ok := w.evidence[at]
	switch b := w.waits(at); {
	case w.cfg.NoEvidence:
		return nil
	case ok && e.doc.raw != nil:
		return e.doc.raw
	case b != nil:
		return b.doc.raw
	case !ok:
		return nil
	}
	raw, err := w.storedEvidence(at)
	if err != nil {
		w.fail(err)
	}
	return raw
}

// hostOfEvidence returns what Config.NoEvidence keeps of an event, "" where that isn't known.
func (w *Worker) hostOfEvidence(r sequence.Ref) string {
	at := placeOf(r)
	if e, ok := w.evidence[at]; ok {
		return e.host
	}
	if b := w.waits(at); b != nil && w.cfg.NoEvidence {
		return b.hostName()
	}
	return ""
}

// storedEvidence reads a document from the store, nil when it isn't there.
func (w *Worker) storedEvidence(at place) ([]byte, error) {
	value, ok, err := w.stored(at.key())
	if err != nil || !ok {
		return nil, err
	}
	return state.Payload(value)
}
