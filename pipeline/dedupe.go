package pipeline

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// publishedIDs are the ids of the alerts that a partition published within the window, with the record clock at which it
// did. What is remembered is a function of the log alone: ids are forgotten by the record clock, record by record.
type publishedIDs struct {
	at     map[state.AlertKey]int64
	oldest minheap.Heap[publishedID]
}

// publishedID is an id in the order in which ids are forgotten. It is stale when the id was published again since.
type publishedID struct {
	at int64
	id state.AlertKey
}

// before puts the oldest first, equal ones in the order of their bytes, so that it doesn't depend on history that isn't kept.
func (p publishedID) before(q publishedID) bool {
	if p.at != q.at {
		return p.at < q.at
	}
	return bytes.Compare(p.id[:], q.id[:]) < 0
}

func newPublishedIDs() publishedIDs {
	return publishedIDs{at: map[state.AlertKey]int64{}, oldest: minheap.New(publishedID.before)}
}

func (p *publishedIDs) add(id state.AlertKey, at int64) {
	p.at[id] = at
	p.oldest.Push(publishedID{at: at, id: id})
}

// publishedBefore reports whether an alert of this id was published within the window, and counts it then; else it notes
// that it is published now.
func (w *Worker) publishedBefore(c *rules.Compiled, alertID string) (bool, error) {
	window := w.cfg.Dedupe.Window.Milliseconds()
	if window <= 0 {
		return false, nil
	}
	id, err := alertKey(alertID)
	if err != nil {
		return false, err
	}
	now := w.clock.now
	at, known := w.published.at[id]
	if known && now-at <= window {
		w.counts.deduplicated[c.Number]++
		return true, nil
	}
	w.published.add(id, now)
	w.overlay.Put(id.Append(nil), publishedValue(now))
	for len(w.published.at) > w.cfg.Dedupe.IDs {
		w.forgetOldestID()
		w.counts.idsForgotten++
	}
	return false, nil
}

// forgetIDs drops the ids that the record clock has left behind. It is called with each record, not with each commit: where
// commits fall must not move anything.
func (w *Worker) forgetIDs() {
	window := w.cfg.Dedupe.Window.Milliseconds()
	for w.published.oldest.Len() > 0 && w.clock.now-w.published.oldest.Top().at > window {
		w.forgetOldestID()
	}
}

func (w *Worker) forgetOldestID() {
	p := w.published.oldest.Pop()
	if at, ok := w.published.at[p.id]; !ok || at != p.at {
		return // published again since
	}
	delete(w.published.at, p.id)
	w.overlay.Delete(p.id.Append(nil))
}

// loadIDs reads the ids that were published. Without a window they go.
func (w *Worker) loadIDs() error {
	return w.part.Scan([]byte{byte(state.FamilyAlert)}, func(key, value []byte) error {
		id, err := state.ParseAlertKey(key)
		if err != nil {
			return err
		}
		if w.cfg.Dedupe.Window <= 0 {
			w.overlay.Delete(key)
			return nil
		}
		r := readValue(value)
		at := r.varint()
		if r.err == nil {
			w.published.add(id, at)
		}
		return r.err
	})
}

// alertKey returns the key of an alert's id, which is hex: 128 of its 256 bits are enough to tell alerts apart.
func alertKey(alertID string) (key state.AlertKey, err error) {
	if len(alertID) < hex.EncodedLen(len(key)) {
		return key, fmt.Errorf("alert id %q is too short", alertID)
	}
	if _, err := hex.Decode(key[:], []byte(alertID[:hex.EncodedLen(len(key))])); err != nil {
		return key, fmt.Errorf("alert id %q: %w", alertID, err)
	}
	return key, nil
}

func publishedValue(at int64) []byte {
	return binary.AppendVarint(state.AppendVersion(nil), at)
}
