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

// evidence is the raw document of one event that the reorder buffer or partials refer to. It is stored once,
// however many refer to it, and leaves the store with the last of them.
type evidence struct {
	refs   int
	stored bool   // committed: the bytes are in the store
	fresh  []byte // not committed yet: the bytes
	host   string // with Config.NoEvidence: what is kept in their place
}

// keepEvidence copies the document of an event of h and holds one reference to it.
func (w *Worker) keepEvidence(b *buffered, h *host, raw []byte) {
	if w.cfg.NoEvidence && !slices.ContainsFunc(b.cands, func(c candidate) bool { return !c.rule.HostLocal }) {
		return
	}
	at := placeOf(b.ref)
	if e, ok := w.evidence[at]; ok {
		e.refs++
		return
	}
	if w.cfg.NoEvidence {
		raw = nil
	}
	w.hold(at, append(make([]byte, 0, len(raw)), raw...), h.name)
}

// hold holds one reference to the document of an event of a host, which becomes the worker's.
func (w *Worker) hold(at place, own []byte, host string) {
	if e, ok := w.evidence[at]; ok {
		e.refs++
		return
	}
	if w.cfg.NoEvidence {
		w.evidence[at] = &evidence{refs: 1, host: host}
		return
	}
	w.evidence[at] = &evidence{refs: 1, fresh: own}
	w.freshEvidence = append(w.freshEvidence, at)
	w.keptBytes += len(own)
}

func (w *Worker) retain(r sequence.Ref) {
	if e, ok := w.evidence[placeOf(r)]; ok {
		e.refs++
	}
}

func (w *Worker) release(r sequence.Ref) {
	at := placeOf(r)
	e, ok := w.evidence[at]
	if !ok {
		return
	}
	e.refs--
	if e.refs > 0 {
		return
	}
	delete(w.evidence, at)
	if e.stored {
		w.overlay.Delete(at.key())
	}
}

// source returns the document of an event, nil when it isn't kept.
func (w *Worker) source(r sequence.Ref) []byte {
	at := placeOf(r)
	e, ok := w.evidence[at]
	if !ok || w.cfg.NoEvidence {
		return nil
	}
	if e.fresh != nil {
		return e.fresh
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
	return append(state.AppendVersion(make([]byte, 0, len(e.fresh)+1)), e.fresh...)
}
